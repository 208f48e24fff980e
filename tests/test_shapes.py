"""The shapes written in the signatures are true: jaxtyping and beartype check them on real calls.

They run in a process of their own, where the annotations are evaluated; the library itself
imports neither.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import jlstm

ROOT = Path(__file__).parents[1]
CALLS = """
import sys
import typing
from importlib.util import module_from_spec, spec_from_file_location

import jax
import jax.numpy as jnp
import beartype
import flax.linen, flax.nnx  # whose own annotations are not under test
import jaxtyping

# The annotations of the library are to be those of jaxtyping.
spec = spec_from_file_location("jlstm.types", "jlstm/types.py")
types = sys.modules["jlstm.types"] = module_from_spec(spec)
spec.loader.exec_module(types)
for name in ("Array", "Bool", "Float", "Int", "PRNGKeyArray", "PyTree", "Shaped"):
    setattr(types, name, getattr(jaxtyping, name))
typing.TYPE_CHECKING = True  # evaluates the imports that annotations need
with jaxtyping.install_import_hook("jlstm", "beartype.beartype"):
    import jlstm
typing.TYPE_CHECKING = False

params = jlstm.init_params(jax.random.key(0), 4, 5)
for batch in ((), (3,), (2, 3)):
    state = jlstm.init_state(params, batch)
    xs = jnp.ones((7, *batch, 4))
    masks = {
        "lengths": jnp.full(batch, 4), "resets": jnp.zeros((7, *batch), bool), "reset_state": state
    }
    for options in ({}, masks, masks | {"reverse": True}):
        jlstm.lstm_scan(params, state, xs, **options)
        jlstm.lstm_scan(params, None, xs, save=3, **options)
        jlstm.lstm_trace(params, state, xs, **options)
        jlstm.scan_cell(jlstm.lstm_step, params, state, xs, **options)
    jlstm.lstm_step(params, state, xs[0])
    jax.vmap(jlstm.lstm_step, (None, None, 0))(params, state, xs)
jlstm.init_params(jax.random.key(0), 4, 5, bias_init=jlstm.initializers.chrono(10.0))
try:
    jlstm.equations.pre_activations(params, jnp.ones((3, 5)), jnp.ones((2, 4)))
except jaxtyping.TypeCheckError:
    print("checked")
"""


@pytest.mark.slow
def test_annotations_are_true():
    result = subprocess.run(
        [sys.executable, "-c", CALLS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "checked\n"


HOVER = """
import jax
import jlstm

params = jlstm.init_params(jax.random.key(0), 3, 5)
reveal_type(jlstm.lstm_scan)
reveal_type(jlstm.lstm_scan(params, None, jax.numpy.ones((7, 3))))
reveal_type(jlstm.stack_scan)
reveal_type(jlstm.gradient_norms)
"""


@pytest.mark.slow
def test_an_editor_without_jaxtyping_shows_types(tmp_path):
    """In an environment that has jax, numpy and the library alone."""
    (tmp_path / "packages").mkdir()
    for name in ("jax", "jaxlib", "numpy"):
        (tmp_path / "packages" / name).symlink_to(Path(find_spec(name).origin).parent)
    (tmp_path / "packages" / "jlstm").symlink_to(Path(jlstm.__file__).parent)
    (tmp_path / "hover.py").write_text(HOVER)
    (tmp_path / "pyrefly.toml").write_text(
        'skip-interpreter-query = true\nsite-package-path = ["packages"]\n'
    )
    command = [Path(sys.executable).parent / "pyrefly", "check", "hover.py"]
    result = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert "tuple[LSTMState, Array]" in result.stdout
    shown = [line for line in result.stdout.splitlines() if "revealed type" in line]
    assert len(shown) == 4
    assert not [line for line in shown if "Unknown" in line]
