"""`python -m jlstm.convert`: reading, writing, printing and errors."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
import safetensors.numpy

import jlstm
from jlstm import interop, variants
from jlstm.convert import __main__ as convert


def draw(*sizes, dtype=jnp.float32, **options):
    layers = jlstm.init_stack(jax.random.key(0), sizes[0], sizes[1:], **options)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), dtype), layers)


LAYERS = draw(3, 5, 5, bidirectional=True)


def same_bits(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert [a.dtype for a in jax.tree.leaves(found)] == [a.dtype for a in jax.tree.leaves(expected)]


@pytest.fixture
def files(tmp_path):
    """A file of each format with the same layers, and one of a larger model."""
    state_dict = interop.to_torch(LAYERS)
    others = {"head.weight": np.ones((2, 5), np.float32)}
    decoder = interop.to_torch(draw(4, 6))
    whole = {"enc." + name: a for name, a in state_dict.items()} | others
    safetensors.numpy.save_file(state_dict, tmp_path / "torch.safetensors")
    safetensors.numpy.save_file(whole, tmp_path / "model.safetensors")
    two = whole | {"dec." + name: a for name, a in decoder.items()}
    safetensors.numpy.save_file(two, tmp_path / "two.safetensors")
    interop.save_safetensors(tmp_path / "jlstm.safetensors", LAYERS)
    onnx.save(interop.to_onnx(LAYERS), tmp_path / "model.onnx")
    return tmp_path


def run(*arguments):
    return convert.main([str(argument) for argument in arguments])


@pytest.mark.sampled
@pytest.mark.parametrize("source", ["torch.safetensors", "jlstm.safetensors", "model.onnx"])
@pytest.mark.parametrize("to", ["torch", "jlstm", "onnx"])
def test_every_pair_of_formats(files, source, to):
    target = files / ("out.onnx" if to == "onnx" else "out.safetensors")
    assert run(files / source, target, "--to", to) == 0
    found = {
        "torch": lambda: interop.from_torch(safetensors.numpy.load_file(target)),
        "jlstm": lambda: interop.load_safetensors(target),
        "onnx": lambda: interop.from_onnx(target),
    }[to]()
    same_bits(found, LAYERS)
    assert {path.name for path in files.iterdir()} == {
        "torch.safetensors", "model.safetensors", "two.safetensors", "jlstm.safetensors",
        "model.onnx", target.name,
    }  # fmt: skip


def test_what_it_prints(files, capsys):
    assert run(files / "model.safetensors", files / "out.onnx", "--lengths") == 0
    lines = capsys.readouterr().out.splitlines()
    size = (files / "out.onnx").stat().st_size
    rows = "LSTMParams, {} -> 2 x 5, forward and backward, gates i f g o, {} numbers, float32"
    assert lines == [
        f"read {files}/model.safetensors: safetensors of PyTorch",
        f"  layer 0: {rows.format(3, 360)}",
        f"  layer 1: {rows.format(10, 640)}",
        "  prefix: enc.",
        "  its two biases are added, which rounds once",
        "  left out, 1 arrays of other modules: head.weight",
        f"wrote {files}/out.onnx: ONNX, {size:,} bytes",
        "  inputs: xs, lengths",
        "  outputs: hs, h_0, c_0, h_0_reverse, c_0_reverse, h_1, c_1, h_1_reverse, c_1_reverse",
    ]
    inputs = [value.name for value in onnx.load(files / "out.onnx").graph.input]
    assert inputs == ["xs", "lengths"]


def test_a_model_that_takes_states(files, capsys):
    assert run(files / "jlstm.safetensors", files / "out.onnx", "--states") == 0
    out = capsys.readouterr().out
    (inputs,) = [line for line in out.splitlines() if "inputs:" in line]
    names = [s + k + d for s in "hc" for k in ("_0", "_1") for d in ("", "_reverse")]
    assert set(inputs.split(": ")[1].split(", ")) == {"xs", *("initial_" + name for name in names)}
    same_bits(interop.from_onnx(files / "out.onnx"), LAYERS)


def test_nodes_of_a_model_by_name(files):
    model = interop.to_onnx(LAYERS)
    names = [node.name for node in model.graph.node if node.op_type == "LSTM"]
    assert len(names) == 2
    assert run(files / "model.onnx", files / "first.safetensors", "--nodes", names[0]) == 0
    same_bits(interop.load_safetensors(files / "first.safetensors"), LAYERS[:1])
    assert run(files / "model.onnx", files / "a.safetensors", "--nodes", ",".join(names)) == 0
    same_bits(interop.load_safetensors(files / "a.safetensors"), LAYERS)


def test_the_other_format_is_the_default(files):
    assert run(files / "torch.safetensors", files / "a.safetensors") == 0
    same_bits(interop.load_safetensors(files / "a.safetensors"), LAYERS)
    assert run(files / "a.safetensors", files / "b.safetensors", "--prefix", "lstm.") == 0
    arrays = safetensors.numpy.load_file(files / "b.safetensors")
    assert set(arrays) == {"lstm." + name for name in interop.to_torch(LAYERS)}
    same_bits(interop.from_torch(arrays, "lstm."), LAYERS)


def test_show(files, capsys):
    for name in ("torch.safetensors", "jlstm.safetensors", "model.onnx"):
        assert run("--show", files / name) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[1].startswith("  layer 0: LSTMParams, 3 -> 2 x 5, forward and backward")
        assert not any("left out" in line for line in lines)
    assert run("--show", files / "two.safetensors") == 0
    out = capsys.readouterr().out
    assert "prefix: enc." in out
    assert "layer 0: LSTMParams, 4 -> 6, gates i f g o, 264 numbers, float32" in out
    layers = (*LAYERS, *draw(10, 4, init=variants.init_gru), draw(4, 3)[0])
    interop.save_safetensors(files / "mixed.safetensors", layers)
    assert run("--show", files / "mixed.safetensors") == 0
    assert "layer 2: GRUParams, 10 -> 4, gates r z n" in capsys.readouterr().out


@pytest.mark.sampled
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float64])
def test_other_dtypes(tmp_path, dtype):
    with jax.enable_x64(True):
        layers = draw(3, 5, dtype=dtype)
        interop.save_safetensors(tmp_path / "a.safetensors", layers)
        assert run(tmp_path / "a.safetensors", tmp_path / "b.safetensors") == 0
        assert run(tmp_path / "b.safetensors", tmp_path / "c.safetensors") == 0
        same_bits(interop.load_safetensors(tmp_path / "c.safetensors"), layers)


def test_what_is_left_out_of_a_model_is_said(files, capsys):
    model = interop.to_onnx(draw(3, 5))
    state = np.ones((1, 2, 5), np.float32)
    for place, name in ((5, "start_h"), (6, "start_c")):
        model.graph.initializer.append(onnx.numpy_helper.from_array(state, name))
        model.graph.node[0].input[place] = name
    model.graph.node.append(onnx.helper.make_node("Relu", ["hs"], ["shown"]))
    model.producer_name = "another"
    onnx.save(model, files / "more.onnx")
    assert run(files / "more.onnx", files / "out.safetensors") == 0
    out = capsys.readouterr().out
    assert "left out, nodes outside of the stack: 1 Relu, 2 Gather" in out
    assert "left out, initial states: read them with jlstm.interop.onnx_states" in out


def test_rounding_to_another_dtype(files):
    layers = draw(3, 5, dtype=jnp.bfloat16)
    interop.save_safetensors(files / "b.safetensors", layers)
    assert run(files / "b.safetensors", files / "b.onnx") == 2
    assert run(files / "b.safetensors", files / "b.onnx", "--dtype", "float32") == 0
    wide = jax.tree.map(lambda a: a.astype(jnp.float32), layers)
    same_bits(interop.from_onnx(files / "b.onnx"), wide)


def test_suffixes_in_capitals(files):
    for name in ("model.onnx", "torch.safetensors", "jlstm.safetensors"):
        (files / name).rename(files / name.upper())
        same_bits(convert.read(files / name.upper()).layers, LAYERS)
        target = files / ("OUT.SAFETENSORS" if name == "model.onnx" else "Out.Onnx")
        assert run(files / name.upper(), target) == 0
        same_bits(convert.read(target).layers, LAYERS)


def test_a_prefix_without_its_dot(files):
    assert run(files / "two.safetensors", files / "a.safetensors", "--prefix", "enc") == 0
    same_bits(interop.load_safetensors(files / "a.safetensors"), LAYERS)
    assert run(files / "a.safetensors", files / "b.safetensors", "--prefix", "lstm") == 0
    names = set(safetensors.numpy.load_file(files / "b.safetensors"))
    assert names == {"lstm." + name for name in interop.to_torch(LAYERS)}


def test_a_simple_rnn_of_pytorch(files, capsys):
    layers = draw(3, 5, init=variants.init_rnn)
    source, target = files / "rnn.safetensors", files / "out.safetensors"
    safetensors.numpy.save_file(interop.to_torch(layers), source)
    assert run("--show", source) == 0
    out = capsys.readouterr().out
    assert "layer 0: RNNParams, 3 -> 5" in out
    assert "its nonlinearity is not in the file: --nonlinearity tanh" in out
    assert "pass nonlinearity='tanh'" in refused(capsys, source, target)
    assert "RNNParams has tanh only" in refused(capsys, source, target, "--nonlinearity", "relu")
    assert run(source, target, "--nonlinearity", "tanh") == 0
    same_bits(interop.load_safetensors(target), layers)


def test_weights_that_are_computed_are_named(files, capsys):
    tensors = interop.to_torch(draw(3, 5))
    raw = tensors.pop("weight_hh_l0")
    mask = (raw > 0).astype(np.float32)
    scale = np.array([3, 1], np.int8)  # in another module, with 8 bits
    tensors |= {"weight_hh_l0_orig": raw, "weight_hh_l0_mask": mask, "head.scale": scale}
    safetensors.numpy.save_file(tensors, files / "pruned.safetensors")
    assert run("--show", files / "pruned.safetensors") == 0
    assert "computed from weight_hh_l0_mask, weight_hh_l0_orig\n" in capsys.readouterr().out
    (layer,) = convert.read(files / "pruned.safetensors").layers
    np.testing.assert_array_equal(layer.weight_hh, (raw * mask).T)


def test_other_modules_in_the_file(files, capsys):
    tensors = safetensors.numpy.load_file(files / "model.safetensors")
    rnn = {
        "rnn.weight_ih_l0": np.ones((5, 3), np.float32),
        "rnn.weight_hh_l0": np.ones((5, 5), np.float32),
    }
    safetensors.numpy.save_file({**tensors, **rnn}, files / "rnn.safetensors")
    assert run("--show", files / "rnn.safetensors") == 0
    out = capsys.readouterr().out
    assert "left out, 3 arrays" in out
    assert "RNNParams, 3 -> 5" in out
    cell = {k.replace("_l0", ""): v for k, v in interop.to_torch(draw(3, 5)).items()}
    safetensors.numpy.save_file(cell, files / "cell.safetensors")
    assert run("--show", files / "cell.safetensors") == 0
    out = capsys.readouterr().out
    assert "layer 0: LSTMParams, 3 -> 5" in out
    assert "its two biases are added" in out
    assert "left out" not in out


def test_two_biases_of_onnx_are_named_where_they_round(files, capsys):
    model = interop.to_onnx(draw(3, 5))
    assert run("--show", files / "model.onnx") == 0
    assert "two biases" not in capsys.readouterr().out
    (bias,) = [value for value in model.graph.initializer if value.name == "B_0"]
    both = np.ones((1, 40), np.float32)
    bias.CopyFrom(onnx.numpy_helper.from_array(both, "B_0"))
    onnx.save(model, files / "both.onnx")
    assert run("--show", files / "both.onnx") == 0
    assert "its two biases are added, which rounds once" in capsys.readouterr().out


def refused(capsys, *arguments):
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    return line


def test_what_it_refuses(files, capsys):
    out = files / "out.onnx"
    (files / "half.safetensors").write_bytes((files / "torch.safetensors").read_bytes()[:200])
    (files / "half.onnx").write_bytes((files / "model.onnx").read_bytes()[:200])
    normed = files / "normed.safetensors"
    interop.save_safetensors(normed, draw(3, 5, init=variants.init_layer_norm))
    safetensors.numpy.save_file({"a": np.ones(3, np.float32)}, files / "none.safetensors")
    half = files / "half.safetensors"
    (files / "a_folder.onnx").mkdir()
    torch, ours = files / "torch.safetensors", files / "jlstm.safetensors"
    for arguments, message in (
        ((files / "two.safetensors", out), "holds 2 modules, choose by --prefix: 'dec.', 'enc.'"),
        ((torch, out, "--prefix", "x."), "state_dict has no x.weight_ih_l0; it holds bias_hh_l0,"),
        ((files / "model.safetensors", out, "--prefix", "dec"),
         "state_dict has no dec.weight_ih_l0; it holds modules under 'enc.'"),
        ((torch, files / "nofolder" / "out.onnx"), f"is in no folder: make {files}/nofolder first"),
        ((torch, files / "a_folder.onnx"), "a_folder.onnx, is a folder"),
        ((files / "none.safetensors", out), "state_dict has no weight_ih_l0; it holds a"),
        ((files / "nowhere.onnx", out), "nowhere.onnx"),
        ((half, out), "half.safetensors is not a complete safetensors file"),
        ((files / "half.onnx", files / "a.safetensors"), "half.onnx is not a complete ONNX model"),
        ((normed, out), "layers[0]: ONNX cannot represent LayerNormParams"),
        ((files / "model.pt", out), "looks like a pickle, which can run code; in PyTorch, load"),
        ((files / "model.PTH", out), "torch.load(path, weights_only=True)"),
        ((files / "model.keras", out), "model.keras is of Keras: use jlstm.interop.from_keras"),
        ((files / "model.msgpack", out), "is of Flax: use jlstm.interop.from_flax"),
        ((torch, files / "out.npz"), "out.npz must end in .safetensors or .onnx"),
        ((torch, torch), "OUT is IN"),
        ((torch, out, "--to", "jlstm"), "--to jlstm does not go with OUT"),
        ((torch, out, "--no-bias"), "--no-bias is for torch, and OUT is onnx"),
        ((torch, files / "a.safetensors", "--lengths"), "--lengths is for onnx, and OUT is jlstm"),
        ((ours, out, "--prefix", "a."), "--prefix is for torch, and IN is jlstm, OUT is onnx"),
        ((torch, files / "a.safetensors", "--states"), "--states is for onnx, and OUT is jlstm"),
        ((torch, out, "--nodes", "lstm"), "--nodes is for onnx, and IN is torch"),
        ((ours, out, "--nodes", "lstm"), "--nodes is for onnx, and IN is jlstm"),
        ((ours, out, "--nonlinearity", "tanh"), "--nonlinearity is for torch, and IN is jlstm"),
        ((files / "model.onnx", out, "--nodes", "none"), "none"),
        ((ours, files / "a.safetensors", "--no-bias"), "layers[0] has a bias that is not zero"),
    ):  # fmt: skip
        line = refused(capsys, *arguments)
        assert line.startswith("error: ")
        assert message in line
    assert not out.exists()
    assert not (files / "a.safetensors").exists()
    for arguments in ((torch,), ("--show", torch, out), ()):
        with pytest.raises(SystemExit):
            run(*arguments)


@pytest.mark.full
def test_as_a_command(files):
    command = [sys.executable, "-W", "error", "-m", "jlstm.convert"]
    options = {"capture_output": True, "text": True, "cwd": Path(__file__).parents[1]}
    done = subprocess.run([*command, "--help"], **options, check=True)
    assert "--show" in done.stdout
    target = files / "out.safetensors"
    subprocess.run([*command, files / "model.onnx", target], **options, check=True)
    same_bits(interop.load_safetensors(target), LAYERS)
    done = subprocess.run([*command, files / "x.onnx", target], **options, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_help_on_a_narrow_screen(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit):
        convert.main(["--help"])
    text = capsys.readouterr().out
    assert text.isascii()
    assert "python -m jlstm.convert --show model.safetensors" in text
    assert max(map(len, text.splitlines())) <= 60
