"""Set-up of every test: four CPU devices, and hypothesis profiles."""

import os

import jax
import pytest
from hypothesis import HealthCheck, settings

jax.config.update("jax_num_cpu_devices", 4)
os.environ["JAX_NUM_CPU_DEVICES"] = "4"  # of the processes that tests start

# One fixed set of examples, so that a failure on one machine is a failure on all; the slow tests
# draw more. A first example compiles, so there is no deadline.
COMMON = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}
settings.register_profile("quick", max_examples=40, **COMMON)
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


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and jax.default_backend() != "gpu":
        pytest.skip("needs a GPU")
