"""Errors of converters, and cuDNN's layout as JAX packs it; other libraries are in peers/."""

import itertools
import json
import os
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import jlstm
from jlstm import interop, variants
from tests.support.problems import assert_close, tolerance

LAYERS = jax.tree.map(
    lambda a: jnp.sin(jnp.arange(a.size, dtype=jnp.float32)).reshape(a.shape),
    jlstm.init_stack(jax.random.key(0), 3, (5, 5)),
)
BOTH = jlstm.init_stack(jax.random.key(0), 3, (5, 5), bidirectional=True)
XS = np.random.default_rng(0).normal(size=(7, 4, 3)).astype(np.float32)


@pytest.mark.sampled
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
def test_cudnn(layers, bidirectional):
    """Unpacked and computed by `jax.experimental.rnn`, with its two biases, on CPU."""
    from jax.experimental import rnn

    sizes = {
        "input_size": 3, "hidden_size": 5, "num_layers": layers, "bidirectional": bidirectional,
    }  # fmt: skip
    weights = rnn.init_lstm_weight(jax.random.key(0), **sizes)
    stack = interop.from_cudnn(weights, **sizes)
    ways = 2 if bidirectional else 1
    zeros = jnp.zeros((layers * ways, 4, 5))
    lengths = jnp.array([7, 2, 5, 1])
    matrices = rnn.unpack_lstm_weights(weights, **sizes)
    xs = jnp.asarray(XS).swapaxes(0, 1)
    hs, _, _ = rnn.lstm_ref(xs, zeros, zeros, *matrices, seq_lengths=lengths, **sizes, dropout=0.0)
    close = tolerance(jnp.float32)
    found = jlstm.stack_scan(stack, None, XS, lengths=lengths)[1]
    assert_close(found, hs.swapaxes(0, 1), close)
    there = interop.to_cudnn(stack)
    assert there.shape == weights.shape
    again = interop.from_cudnn(there, **sizes)
    jax.tree.map(np.testing.assert_array_equal, again, stack)
    unpacked = rnn.unpack_lstm_weights(there, **sizes)
    hs, _, _ = rnn.lstm_ref(xs, zeros, zeros, *unpacked, seq_lengths=lengths, **sizes, dropout=0.0)
    assert_close(hs.swapaxes(0, 1), found, close)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_there_and_back_in_every_dtype(dtype):
    for stack in (LAYERS, BOTH):
        stack = jax.tree.map(lambda a: a.astype(dtype), stack)
        pairs = [
            interop.from_torch(interop.to_torch(stack)),
            interop.from_flax(interop.to_flax(stack)),
            interop.from_flax(interop.to_nnx(stack)),
            interop.from_keras(interop.to_keras(stack)),
        ]
        for back in pairs:
            jax.tree.map(np.testing.assert_array_equal, back, stack)
            assert {a.dtype for a in jax.tree.leaves(back)} == {jnp.dtype(dtype)}


def test_float64_is_not_rounded_in_silence(x64):
    stack = jax.tree.map(lambda a: a.astype(jnp.float64) / 3, LAYERS)
    state_dict = interop.to_torch(stack)
    back = interop.from_torch(state_dict)
    jax.tree.map(np.testing.assert_array_equal, back, stack)
    with (
        jax.enable_x64(False),
        pytest.raises(TypeError, match="weight_ih_l0 is float64, but jax_enable_x64 is off"),
    ):
        interop.from_torch(state_dict)


STATE_DICT = interop.to_torch(LAYERS)


def without(name):
    return {key: value for key, value in STATE_DICT.items() if key != name}


REFUSED = [
    (lambda: interop.from_torch(without("weight_hh_l1")), ValueError,
     "state_dict has no weight_hh_l1"),
    (lambda: interop.from_torch(without("bias_hh_l0")), ValueError, "state_dict has no bias_hh_l0"),
    (lambda: interop.from_torch({**STATE_DICT, "weight_hh_l3": STATE_DICT["weight_hh_l0"]}),
     ValueError, "state_dict has no bias_hh_l2"),
    (lambda: interop.from_torch(STATE_DICT, "lstm."), ValueError,
     r"state_dict has no lstm\.weight_ih_l0; it holds bias_hh_l0, bias_hh_l1, "),
    (lambda: interop.from_torch({**STATE_DICT, "weight_ch_l0": np.zeros(3)}), ValueError,
     "state_dict has 'weight_ch_l0', which is not a weight of an LSTM"),
    (lambda: interop.from_torch(list(STATE_DICT)), TypeError,
     "state_dict must map names to arrays, or be a module; got list"),
    (lambda: interop.from_torch({**STATE_DICT, "bias_ih_l0": np.zeros(20, int)}), TypeError,
     "bias_ih_l0 must be floating point of 16 bits or more, got int64"),
    (lambda: interop.from_torch({**STATE_DICT, "weight_ih_l0": np.zeros((16, 3), np.float32)}),
     ValueError, r"params.weight_ih must be \(input, 4\*hidden\) with hidden=5"),
    (lambda: interop.from_torch(
        {"weight_ih_l0": np.zeros((5, 3), np.float32), "weight_hh_l0": np.zeros((5, 5), np.float32)}
     ), ValueError, r"weight_hh_l0 is of a torch.nn.RNN, which may use tanh or relu"),
    (lambda: interop.to_torch(LAYERS, bias=False), ValueError,
     r"layers\[0\] has a bias that is not zero, which would be lost without one"),
    (lambda: interop.to_torch(jlstm.init_stack(jax.random.key(0), 3, (5, 4))), ValueError,
     r"layers\[1\] differs from layers\[0\] in type or size"),
    (lambda: interop.to_torch((BOTH[0], jlstm.init_params(jax.random.key(0), 10, 5))), ValueError,
     r"layers\[1\] differs from layers\[0\] in type or size"),
    (lambda: interop.to_torch(LAYERS[0]), TypeError,
     "layers must be a tuple of layers, got LSTMParams"),
    (lambda: interop.to_cudnn((BOTH[0], jlstm.init_params(jax.random.key(0), 10, 5))), ValueError,
     r"layers\[1\] has other directions than layers\[0\]"),
    (lambda: interop.to_cudnn(jlstm.init_stack(jax.random.key(0), 3, (5, 4))), ValueError,
     r"layers\[1\] has 4 units, layers\[0\] has 5; cuDNN takes equal sizes only"),
    (lambda: interop.from_cudnn(np.zeros(7, np.float32), 3, 5), ValueError,
     r"weights must be \(200,\) for input_size=3, hidden_size=5, .*got shape \(7,\)"),
    (lambda: interop.to_haiku(BOTH), TypeError,
     r"layers\[0\]: Haiku cannot represent BiLSTMParams; convert its two parts"),
    (lambda: interop.to_equinox(BOTH, [None, None]), TypeError,
     r"layers\[0\]: Equinox cannot represent BiLSTMParams"),
    (lambda: interop.from_equinox(np.zeros(3)), TypeError,
     r"cells\[0\] must be an eqx.nn.LSTMCell or eqx.nn.GRUCell, got ndarray"),
    (lambda: interop.from_haiku({"linear": {}}), ValueError,
     "params has no lstm/linear and no gru; it holds linear"),
    (lambda: interop.from_haiku({"lstm/linear": {"w": np.zeros((8, 20), np.float32)}}), ValueError,
     r"params\['lstm/linear'\] has no 'b'"),
    (lambda: interop.from_haiku(
        {"a/lstm/linear": {}, "b/lstm/linear": {}}), ValueError,
     "params has 'a/lstm/linear' and 'b/lstm/linear': choose one by a prefix"),
    (lambda: interop.from_haiku(
        {"lstm/linear": {"w": np.zeros((4, 20), np.float32), "b": np.zeros(20, np.float32)}}),
     ValueError, r"must hold w \(input \+ hidden, 4\*hidden\) and b \(4\*hidden,\), got \(4, 20\)"),
    (lambda: interop.from_flax({"ii": {}}), ValueError,
     r"params\['ii'\] has no 'kernel', as a cell of Flax has; it holds nothing"),
    (lambda: interop.from_flax(3), TypeError, "params must be a dict of a cell, or a list of them"),
    (lambda: interop.from_flax([3]), TypeError, r"params\[0\] must be a dict of a cell, got int"),
    (lambda: interop.from_flax({"dense_i": {"kernel": np.zeros((3, 20), np.float32)}}), ValueError,
     "params holds no known cell of Flax, but dense_i"),
    (lambda: interop.from_keras("model.keras"), TypeError,
     r"weights is a path: keras.models.load_model\('model.keras'\) reads it"),
    (lambda: interop.from_keras([1]), TypeError, r"weights\[0\] must be a layer or a list"),
    (lambda: interop.from_keras(7), TypeError, r"weights must be a layer, a model or a list"),
    (lambda: interop.from_torch("net.pt"), TypeError, r"torch.load\(path, weights_only=True\)"),
    (lambda: interop.to_torch(LAYERS[0]), TypeError, r"\(params,\) is a stack of one layer"),
    (lambda: interop.from_keras([[np.zeros((3, 15), np.float32)] * 5]), ValueError,
     r"weights\[0\] holds 5 arrays; a layer has 3, or 2 without bias"),
    (lambda: interop.from_keras([[np.zeros((3, 25), np.float32), np.zeros((5, 25), np.float32),
                                  np.zeros((2, 25), np.float32)]]), ValueError,
     r"weights\[0\]\[1\] has shape \(5, 25\); a recurrent kernel is \(units"),
    (lambda: interop.from_keras([[np.zeros((3, 15), np.float32), np.zeros((5, 15), np.float32)]]),
     ValueError, r"weights\[0\]\[0\] is of a GRU without bias, .*: pass the layer itself"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


# Files.

KINDS = {
    "LSTM": jlstm.init_params(jax.random.key(0), 3, 5),
    "projected": variants.init_projected(jax.random.key(0), 3, 5, projection_size=2),
    **{
        name: getattr(variants, f"init_{name}")(jax.random.key(0), 3, 5)
        for name in ("peephole", "coupled", "layer_norm", "no_forget", "gru", "cho_gru", "rnn")
    },
    "stack": LAYERS,
    "stack of one": LAYERS[:1],
    "both directions": BOTH,
    "one bidirectional layer": BOTH[0],
    "mixed": (BOTH[0], variants.init_gru(jax.random.key(0), 10, 4)),
}


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
@pytest.mark.parametrize("name", KINDS)
def test_files_there_and_back(name, dtype, tmp_path):
    layers = jax.tree.map(lambda a: a.astype(dtype), KINDS[name])
    path = tmp_path / "layers.safetensors"
    interop.save_safetensors(path, layers)
    back = interop.load_safetensors(path)
    assert jax.tree.structure(back) == jax.tree.structure(layers)
    jax.tree.map(np.testing.assert_array_equal, back, layers)
    assert {a.dtype for a in jax.tree.leaves(back)} == {jnp.dtype(dtype)}
    first = path.read_bytes()
    interop.save_safetensors(path, back)
    assert path.read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == ["layers.safetensors"]


def test_a_file_of_torch_is_read_by_from_torch(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file({f"lstm.{k}": v for k, v in STATE_DICT.items()}, path)
    stack = interop.from_torch(safetensors.numpy.load_file(path), "lstm.")
    jax.tree.map(np.testing.assert_array_equal, stack, LAYERS)
    with pytest.raises(
        ValueError, match=r"not written by save_safetensors \(it holds lstm.bias_hh"
    ):
        interop.load_safetensors(path)


@pytest.fixture
def whole(tmp_path):
    path = tmp_path / "layers.safetensors"
    interop.save_safetensors(path, LAYERS)
    return path


def test_files_that_are_cut_short(whole):
    data = whole.read_bytes()
    for size in (0, 1, 7, 8, 9, 100, len(data) // 2, len(data) - 1):
        whole.write_bytes(data[:size])
        with pytest.raises(
            ValueError, match=r"layers.safetensors is not a complete safetensors file"
        ):
            interop.load_safetensors(whole)
    whole.write_bytes(data + b"more")
    with pytest.raises(ValueError, match="is not a complete safetensors file"):
        interop.load_safetensors(whole)
    with pytest.raises(OSError, match="nowhere"):
        interop.load_safetensors(whole.with_name("nowhere"))


def header_of(data):
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def with_header(header, rest):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + rest


def spoil_sizes(header):
    header["0.weight_ih"]["shape"] = [2**60, 2**60]


def spoil_offsets(header):
    header["0.weight_ih"]["data_offsets"] = [0, 2**62]


def spoil_about(**changes):
    def spoil(header):
        about = json.loads(header["__metadata__"]["jlstm"])
        about.update(changes)
        header["__metadata__"]["jlstm"] = json.dumps(about)

    return spoil


def spoil_layer(**changes):
    def spoil(header):
        about = json.loads(header["__metadata__"]["jlstm"])
        about["layers"][1][""].update(changes)
        header["__metadata__"]["jlstm"] = json.dumps(about)

    return spoil


def set_about(text):
    def spoil(header):
        header["__metadata__"]["jlstm"] = text

    return spoil


HOSTILE = [
    (spoil_sizes, "is not a complete safetensors file"),
    (spoil_offsets, "is not a complete safetensors file"),
    (lambda header: header.update({"0.weight_ih": {"dtype": "PICKLE", "shape": [1],
                                                   "data_offsets": [0, 4]}}),
     "is not a complete safetensors file"),
    (lambda header: header.update({"0.other": header.pop("0.bias")}), "has no array 0.bias"),
    (spoil_about(format=2), "has format 2, this version of jlstm reads up to 1"),
    (spoil_about(format=[]), "its metadata does not describe layers"),
    (spoil_about(layers="os.system"), "its metadata does not describe layers"),
    (spoil_about(layers=[]), "holds arrays of no layer: 0.bias, 0.weight_hh, 0.weight_ih, 1.bias"),
    (spoil_about(layers=[[]]), "its metadata does not describe layers"),
    (spoil_about(single=True), "its metadata lists 2 layers"),
    (spoil_about(layers=[{"sideways": {"kind": "LSTMParams"}}]), "layer 0 has the directions"),
    (spoil_layer(kind="subprocess.Popen"), "its metadata does not describe layers: KeyError"),
    (spoil_layer(kind="PeepholeParams"), "has no array 1.peephole"),
    (spoil_layer(kind="CoupledParams"), r"layer 1: params.weight_hh must be \(hidden, 3\*hidden\)"),
    (spoil_layer(gates="ifog"), "layer 1 has gates 'ifog', LSTMParams has 'ifgo'"),
    (spoil_layer(hidden=6), "layer 1 states hidden=6, its arrays have 5"),
    (set_about("{"), "its metadata is not JSON"),
    (set_about("[1]"), "its metadata does not describe layers"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "message"), HOSTILE)
def test_hostile_files(whole, spoil, message):
    header, rest = header_of(whole.read_bytes())
    spoil(header)
    whole.write_bytes(with_header(header, rest))
    with pytest.raises(ValueError, match=message):
        interop.load_safetensors(whole)


def test_huge_headers_and_pickles(whole):
    for data in (b"\xff" * 64, pickle.dumps(LAYERS[0].bias.tolist()), b"PK\x03\x04" + b"0" * 99):
        whole.write_bytes(data)
        with pytest.raises(ValueError, match="is not a complete safetensors file"):
            interop.load_safetensors(whole)


def test_what_cannot_be_written_leaves_the_old_file(whole, monkeypatch):
    before = whole.read_bytes()
    with pytest.raises(TypeError, match="params must be one of LSTMParams"):
        interop.save_safetensors(whole, (LAYERS[0], jnp.ones(3)))

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        interop.save_safetensors(whole, BOTH)
    assert whole.read_bytes() == before
    assert len(list(whole.parent.iterdir())) == 1


@pytest.mark.parametrize("to", ["torch", "flax", "nnx", "haiku", "keras", "cudnn"])
def test_variants_are_refused_where_there_is_no_place(to):
    peephole = variants.init_peephole(jax.random.key(0), 3, 5)
    with pytest.raises(TypeError, match=r"layers\[1\]: \w+ cannot represent PeepholeParams"):
        getattr(interop, f"to_{to}")((LAYERS[0], peephole))


def test_arrays_that_do_not_lie_in_order(tmp_path):
    """As PyTorch's transposed weights do; safetensors writes memory as it is."""
    rng = np.random.default_rng(0)
    turned = jlstm.LSTMParams(
        rng.normal(size=(20, 3)).astype(np.float32).T,
        np.asfortranarray(rng.normal(size=(5, 20)).astype(np.float32)),
        np.arange(40, dtype=np.float32)[::2],
    )
    path = tmp_path / "layers.safetensors"
    interop.save_safetensors(path, turned)
    jax.tree.map(np.testing.assert_array_equal, interop.load_safetensors(path), turned)


def test_layers_that_do_not_follow_each_other():
    wrong = (LAYERS[0], jlstm.init_params(jax.random.key(0), 7, 5))
    for to in (interop.to_torch, interop.to_flax, interop.to_onnx, interop.to_keras):
        with pytest.raises(
            ValueError, match=r"layers\[1\] takes 7 features, layers\[0\] outputs 5"
        ):
            to(wrong)
    state_dict = {**STATE_DICT, "weight_ih_l1": np.zeros((20, 7), np.float32)}
    with pytest.raises(ValueError, match=r"layers\[1\] takes 7 features, layers\[0\] outputs 5"):
        interop.from_torch(state_dict)
    ragged = {k: v for k, v in STATE_DICT.items() if k not in ("bias_ih_l1", "bias_hh_l1")}
    with pytest.raises(ValueError, match="state_dict has no bias_hh_l1"):
        interop.from_torch(ragged)


def test_a_cell_of_pytorch():
    names = {k.removesuffix("_l0"): v for k, v in STATE_DICT.items() if k.endswith("_l0")}
    (cell,) = interop.from_torch(names)
    jax.tree.map(np.testing.assert_array_equal, cell, LAYERS[0])


def test_cells_of_nnx():
    for optimized, stack in itertools.product((True, False), (LAYERS, BOTH)):
        back = interop.from_flax(interop.to_nnx(stack, optimized=optimized))
        jax.tree.map(np.testing.assert_array_equal, back, stack)
    assert "if_" in interop.to_nnx(LAYERS, optimized=False)[0]


@pytest.mark.parametrize("about", ['{"format":Infinity,"single":false,"layers":[]}', "[" * 100_000])
def test_metadata_that_python_chokes_on(whole, about):
    header, rest = header_of(whole.read_bytes())
    header["__metadata__"]["jlstm"] = about
    whole.write_bytes(with_header(header, rest))
    with pytest.raises(ValueError, match=r"its metadata (is not JSON|does not describe layers)"):
        interop.load_safetensors(whole)


def test_a_dtype_that_numpy_lacks(whole):
    header, rest = header_of(whole.read_bytes())
    header["other"] = {"dtype": "F8_E4M3", "shape": [0], "data_offsets": [len(rest)] * 2}
    whole.write_bytes(with_header(header, rest))
    with pytest.raises(ValueError, match=r"an array has an unsupported dtype|holds arrays"):
        interop.load_safetensors(whole)
