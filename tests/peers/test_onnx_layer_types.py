"""ONNX: GRU and simple RNN, streams, and the test cases of ONNX for all recurrent nodes."""

import importlib
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import interop, variants
from tests.peers.conftest import library
from tests.support.problems import assert_close, tolerance

INITS = {
    "LSTM": jlstm.init_params, "peephole": variants.init_peephole, "coupled": variants.init_coupled,
    "GRU": variants.init_gru, "Cho": variants.init_cho_gru, "RNN": variants.init_rnn,
}  # fmt: skip
CLOSE = 4 * tolerance(jnp.float32)  # without gates, rounding grows from step to step


def draw(kind, both=False, sizes=(6, 5)):
    stack = jlstm.init_stack(jax.random.key(0), 4, sizes, bidirectional=both, init=INITS[kind])
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape, scale=0.5), a.dtype), stack)


def same_bits(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def run(model, inputs):
    session = library("onnxruntime").InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def by_name(states, both):
    """States of ours by the names of the model's outputs."""
    found = {}
    for k, state in enumerate(states):
        for suffix, part in zip(("", "_reverse"), state if both else [state], strict=False):
            each = part if isinstance(part, tuple) else [part]
            found |= {
                f"{name}_{k}{suffix}": np.asarray(a) for name, a in zip("hc", each, strict=False)
            }
    return found


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", INITS)
def test_states_in_and_out(kind, both):
    stack, rng = draw(kind, both), np.random.default_rng(2)
    xs, lengths = rng.normal(size=(7, 3, 4)).astype(np.float32), np.array([7, 2, 5], np.int32)
    states = jlstm.init_stack_state(stack, (3,))
    states = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), a.dtype), states)
    model = interop.to_onnx(stack, lengths=True, states=True)
    given = {f"initial_{name}": a for name, a in by_name(states, both).items()}
    found = run(model, {"xs": xs, "lengths": lengths, **given})
    ends, hs = jlstm.stack_scan(stack, states, xs, lengths=lengths)
    assert_close(found.pop("hs"), hs, CLOSE)
    expected = by_name(ends, both)
    assert found.keys() == expected.keys()
    assert_close([found[name] for name in expected], list(expected.values()), CLOSE)
    same_bits(interop.from_onnx(model), stack)
    same_bits(interop.from_onnx(model.SerializeToString()), stack)
    assert interop.onnx_states(model) == (None, None)


@pytest.mark.parametrize("kind", INITS)
def test_a_stream_in_pieces(kind):
    stack = draw(kind)
    xs = np.random.default_rng(3).normal(size=(9, 2, 4)).astype(np.float32)
    model = interop.to_onnx(stack, states=True)
    states = by_name(jlstm.init_stack_state(stack, (2,)), False)
    pieces = []
    for piece in np.split(xs, [4, 5]):
        states = run(model, {"xs": piece} | {f"initial_{name}": a for name, a in states.items()})
        pieces.append(states.pop("hs"))
    assert_close(np.concatenate(pieces), jlstm.stack_scan(stack, None, xs)[1], CLOSE)


def test_layers_of_several_kinds():
    library("onnx")
    keys = jax.random.split(jax.random.key(0), 3)
    stack = (
        variants.init_gru(keys[0], 4, 6), jlstm.init_params(keys[1], 6, 5),
        variants.init_rnn(keys[2], 5, 3),
    )  # fmt: skip
    model, xs = interop.to_onnx(stack), np.ones((3, 2, 4), np.float32)
    same_bits(interop.from_onnx(model), stack)
    assert_close(run(model, {"xs": xs})["hs"], jlstm.stack_scan(stack, None, xs)[1], CLOSE)


def cases():
    """ONNX's own cases by name: the node, its inputs and the outputs expected."""
    found = {}

    def record(node, inputs, outputs, name, **_):
        found[name] = (node, dict(zip(filter(None, node.input), inputs, strict=True)), outputs)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for op in ("LSTM", "GRU", "RNN"):
                module = importlib.import_module(f"onnx.backend.test.case.node.{op.lower()}")
                module.expect = record
                made = getattr(module, op)
                for export in (name for name in vars(made) if name.startswith("export")):
                    getattr(made, export)()
    except ImportError:
        return {}
    return found


CASES = cases()


def test_the_cases_are_those_we_know():
    library("onnx")
    assert set(CASES) >= set(KNOWN)


KNOWN = """
test_lstm_defaults test_lstm_with_initial_bias test_lstm_with_peepholes test_lstm_batchwise
test_lstm_reverse test_lstm_bidirectional test_gru_defaults test_gru_with_initial_bias
test_gru_seq_length test_gru_batchwise test_gru_reverse test_gru_bidirectional
test_simple_rnn_defaults test_simple_rnn_with_initial_bias test_rnn_seq_length
test_simple_rnn_batchwise test_simple_rnn_reverse test_simple_rnn_bidirectional
""".split()


def with_constants(onnx, case, names):
    """A model of the case with these inputs as constants, all inputs, and the outputs expected."""
    helper = onnx.helper
    node, values, outputs = case

    def described(name, array):
        number = helper.np_dtype_to_tensor_dtype(array.dtype)
        return helper.make_tensor_value_info(name, number, array.shape)

    expected = dict(zip(filter(None, node.output), outputs, strict=True))
    graph = helper.make_graph(
        [node], "case", [described(*item) for item in values.items() if item[0] not in names],
        [described(*item) for item in expected.items()],
        [onnx.numpy_helper.from_array(values[name], name) for name in values if name in names],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), values, expected


@pytest.mark.parametrize("states", ["constants", "inputs"])
@pytest.mark.parametrize("name", CASES)
def test_every_case_of_onnx(name, states):
    onnx = library("onnx")
    names = ["W", "R", "B", "P"] + ["initial_h", "initial_c"] * (states == "constants")
    model, values, expected = with_constants(onnx, CASES[name], names)
    (node,) = model.graph.node
    batch_first = any(a.name == "layout" and a.i for a in node.attribute)
    layers = interop.from_onnx(model)
    xs = values["X"].swapaxes(0, 1) if batch_first else values["X"]
    lengths = values.get("sequence_lens")
    start = interop.onnx_states(model)
    given = [values[n] for n in ("initial_h", "initial_c") if n in values and states == "inputs"]
    if given:
        parts = [jlstm.LSTMState(*p) if len(p) == 2 else p[0] for p in zip(*given, strict=True)]
        start = [jlstm.BiLSTMState(*parts) if len(parts) == 2 else parts[0]]
    ends, hs = jlstm.stack_scan(
        layers, start, xs, lengths=None if lengths is None else lengths.astype(np.int32)
    )
    parts = (
        [p for p in ends[0] if p is not None] if isinstance(ends[0], jlstm.BiLSTMState) else ends
    )
    time, batch = hs.shape[:2]
    found = {
        "Y": np.asarray(hs).reshape(time, batch, len(parts), -1).swapaxes(1, 2),
        "Y_h": np.stack([getattr(p, "h", p) for p in parts]),
        "Y_c": np.stack([getattr(p, "c", p) for p in parts]),
    }
    if batch_first:
        found = {"Y": found["Y"].transpose(2, 0, 1, 3), "Y_h": found["Y_h"].swapaxes(0, 1)}
    assert expected
    for output, value in expected.items():
        assert_close(found[output], value, CLOSE)


@pytest.mark.parametrize("name", KNOWN[::3])
def test_weights_that_are_inputs_are_refused(name):
    onnx = library("onnx")
    if name not in CASES:
        pytest.skip(f"this onnx has no {name}")
    model, values, _ = with_constants(onnx, CASES[name], ())
    with pytest.raises(
        ValueError, match="W is not a constant: it depends on W; weights and biases"
    ):
        interop.from_onnx(model)
    for letter in values.keys() & set("WRBP"):  # as files of before IR version 4 have them
        model.graph.initializer.append(onnx.numpy_helper.from_array(values[letter], letter))
    model.ir_version = 3
    assert len(interop.from_onnx(model)) == 1


@pytest.mark.parametrize(("kind", "attributes", "message"), [
    ("GRU", {"activations": ["HardSigmoid", "Tanh"]}, "has the activations HardSigmoid, Tanh, but"),
    ("RNN", {"activations": ["Relu"]}, "has the activations Relu, but jlstm has tanh"),
    ("RNN", {"activations": ["Affine"], "activation_alpha": [1.0]}, "has the activations Affine"),
    ("GRU", {"clip": 2.0}, "has clip=2.0"),
    ("LSTM", {"clip": 0.0}, "has clip=0.0"),
    ("LSTM", {"activations": ["SIGMOID", "tanh", "Tanh"], "activation_beta": [1.0]}, None),
    ("GRU", {"activations": ["sigmoid", "TANH"], "clip": 3.4e38}, None),
])  # fmt: skip
def test_attributes(kind, attributes, message):
    onnx, stack = library("onnx"), draw(kind, sizes=(6,))
    model = interop.to_onnx(stack)
    model.graph.node[0].attribute.extend(
        onnx.helper.make_attribute(name, value) for name, value in attributes.items()
    )
    if message is None:
        same_bits(interop.from_onnx(model), stack)
        return
    with pytest.raises(ValueError, match=f"layer_0: {message}"):
        interop.from_onnx(model)
