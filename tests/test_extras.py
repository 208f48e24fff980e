"""Errors without an optional library: its name, and the extra to install."""

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import jax
import pytest

import jlstm
from jlstm import interop
from jlstm.interop import export

ROOT = Path(__file__).parents[1]
PARAMS = jlstm.init_params(jax.random.key(0), 2, 3)


def save_exported(path):
    export.save(path / "lstm.jax", export.step(PARAMS, batch_shape=(), platforms=("cpu",)))


@pytest.mark.parametrize(("hidden", "call", "message"), [
    ("onnx", lambda path: interop.to_onnx((PARAMS,)), "to_onnx needs onnx: pip install '.[inter"),
    ("onnx", lambda path: interop.from_onnx(path / "a.onnx"), "a model of ONNX needs onnx: pip"),
    ("onnx", lambda path: interop.onnx_states(path / "a.onnx"), "a model of ONNX needs onnx: pip"),
    ("safetensors", lambda path: interop.load_safetensors(path / "a.safetensors"),
     "a safetensors file needs safetensors: pip install '.[interop]' in the clone, or safetensors"),
    ("safetensors.numpy", lambda path: interop.save_safetensors(path / "a.safetensors", (PARAMS,)),
     "needs safetensors: pip install '.[interop]'"),
    ("flatbuffers", save_exported, "program needs flatbuffers: pip install '.[interop]' in the"),
    ("matplotlib.figure", lambda path: jlstm.plot.gradient_flow(PARAMS, jax.numpy.ones((3, 2))),
     "jlstm.plot needs matplotlib: pip install '.[plot]' in the clone, or matplotlib"),
])  # fmt: skip
def test_the_error_says_what_to_install(hidden, call, message, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "jax._src.export.serialization", raising=False)
    monkeypatch.setitem(sys.modules, hidden, None)
    with pytest.raises(ModuleNotFoundError) as caught:
        call(tmp_path)
    assert message in str(caught.value)


def without(hidden, code):
    """The last line on stderr of a process that cannot import `hidden`."""
    hide = f"import sys, importlib.util as u; sys.modules['{hidden}'] = None; f = u.find_spec; "
    hide += f"u.find_spec = lambda name, *more: None if name == '{hidden}' else f(name, *more); "
    process = subprocess.run(
        [sys.executable, "-c", hide + code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode != 0
    return process.stderr.splitlines()[-1]


@pytest.mark.sampled
@pytest.mark.parametrize("name", ["nnx", "linen"])
@pytest.mark.parametrize(
    "code", ["import jlstm.{}", "import jlstm; jlstm.{}", "from jlstm import {}"]
)
def test_flax(code, name):
    assert without("flax", code.format(name)) == (
        f"ModuleNotFoundError: jlstm.{name} needs flax: pip install '.[flax]' in the clone, or flax"
    )


def test_without_flax_its_modules_are_not_listed(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: name != "flax" and find_spec(name, *more)
    )
    assert set(jlstm.__dir__()) == {*jlstm.__all__, "__version__"}


def test_the_training_program():
    assert without("tyro", "import train.config.command").startswith(
        "ModuleNotFoundError: train needs tyro: pip install '.[train,data]' in the clone"
    )


def test_a_command_of_the_training_program_ends_with_one_line():
    command = "sys.argv = ['-m']; runpy.run_module('train', run_name='__main__')"
    code = f"import runpy, sys; sys.modules['tyro'] = None; {command}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "train needs tyro: pip install '.[train,data]' in the clone\n"


def test_the_training_program_asks_for_all_that_its_extra_installs():
    import train

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {name.partition(">")[0] for name in project["optional-dependencies"]["train"]}
    wanted -= {"tzdata"}  # which is data: zoneinfo finds it
    imported = {"orbax-checkpoint": "orbax", "tomli-w": "tomli_w"}
    assert {imported.get(name, name) for name in wanted} == set(train.NEEDED)


def test_the_converter_ends_with_one_line(tmp_path, monkeypatch, capsys):
    from jlstm.convert import __main__ as convert

    interop.save_safetensors(tmp_path / "a.safetensors", (PARAMS,))
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert convert.main([str(tmp_path / "a.safetensors"), str(tmp_path / "b.onnx")]) != 0
    assert "needs onnx: pip install '.[interop]'" in capsys.readouterr().err
