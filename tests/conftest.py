"""Set-up of every test: four CPU devices, programs compiled once, and hypothesis profiles."""

import os
from pathlib import Path

import jax
import pytest
from hypothesis import HealthCheck, settings

# Most of the time goes into compiling small programs, the same ones in many tests and processes:
# they are kept in a folder, and not optimised, which takes longer than they run. The slow tests
# run them as users do: `make test-slow` sets XLA_FLAGS to nothing.
CACHE = Path(os.environ.get("JLSTM_TEST_CACHE", Path(__file__).parents[1] / ".pytest_cache"))
SETTINGS = {
    "jax_num_cpu_devices": 4,
    "jax_compilation_cache_dir": str(CACHE / "programs"),
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}
for name, value in SETTINGS.items():
    jax.config.update(name, value)
    os.environ[name.upper()] = str(value)  # of the processes that tests start
FLAGS = "--xla_backend_optimization_level=0"
if jax.__version_info__ < (0, 11):
    # XLA's older emitters compile in half the time; of a later XLA this flag would be an error.
    FLAGS += " --xla_cpu_use_fusion_emitters=false"
FLAGS += " " + os.environ.get("JLSTM_TEST_XLA_FLAGS", "")  # of tests/support/portable.py
os.environ.setdefault("XLA_FLAGS", FLAGS)

# One fixed set of examples, so that a failure on one machine is a failure on all; the slow tests
# draw more. A first example compiles, so there is no deadline.
COMMON = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}
settings.register_profile("quick", max_examples=20, **COMMON)
settings.register_profile("slow", max_examples=400, **COMMON)
settings.load_profile("quick")


def quick(names, chosen):
    """Parameters of a test: the chosen ones in the quick run, all of them in the slow one."""
    return [
        name if name in chosen else pytest.param(name, marks=pytest.mark.slow) for name in names
    ]


@pytest.fixture(autouse=True, scope="module")
def forget_compiled_programs():
    """Thousands of them in one process reach the system's limit of memory maps."""
    yield
    jax.clear_caches()


@pytest.fixture
def x64():
    """Float64 for one test."""
    with jax.enable_x64(True):
        yield


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marks
def pytest_collection_modifyitems(items):
    """Leave one case of each test that is marked `sampled` in `make test`."""
    sampled = set()
    for item in items:
        if item.get_closest_marker("sampled") and not item.get_closest_marker("slow"):
            test = item.parent.nodeid, item.originalname
            if test in sampled:
                item.add_marker("full")
            sampled.add(test)


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and jax.default_backend() != "gpu":
        pytest.skip("needs a GPU")
