"""ONNX: our models in ONNX Runtime, and ONNX's test cases in our layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import interop, variants
from tests.peers.conftest import library
from tests.support.problems import assert_close, tolerance

XS = np.random.default_rng(0).normal(size=(9, 5, 4)).astype(np.float32)
LENGTHS = np.array([9, 1, 4, 7, 2], np.int32)


@pytest.fixture(scope="module")
def onnx():
    return library("onnx")


@pytest.fixture(scope="module")
def run():
    runtime = library("onnxruntime")

    def run(model, **inputs):
        session = runtime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        return dict(
            zip([o.name for o in session.get_outputs()], session.run(None, inputs), strict=True)
        )

    return run


def draw(init=jlstm.init_params, sizes=(6, 5), bidirectional=False, dtype=jnp.float32):
    stack = jlstm.init_stack(jax.random.key(0), 4, sizes, bidirectional=bidirectional, init=init)
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape, scale=0.5), dtype), stack)


def same_bits(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("init", ["params", "peephole", "coupled"])
def test_what_onnx_runtime_computes(run, init, bidirectional, ragged):
    init = jlstm.init_params if init == "params" else getattr(variants, f"init_{init}")
    stack = draw(init, bidirectional=bidirectional)
    model = interop.to_onnx(stack, lengths=ragged)
    inputs = {"xs": XS, "lengths": LENGTHS} if ragged else {"xs": XS}
    found = run(model, **inputs)
    states, hs = jlstm.stack_scan(stack, None, XS, lengths=LENGTHS if ragged else None)
    close = tolerance(jnp.float32)
    assert_close(found["hs"], hs, close)
    for k, state in enumerate(states):
        parts = {"": state.forward, "_reverse": state.backward} if bidirectional else {"": state}
        for suffix, part in parts.items():
            assert_close((found[f"h_{k}{suffix}"], found[f"c_{k}{suffix}"]), tuple(part), close)
    assert len(found) == 1 + 2 * len(jax.tree.leaves(states)) // 2
    other = XS[:3, :2]  # any time and batch
    inputs = {"xs": other, "lengths": np.array([3, 1], np.int32)} if ragged else {"xs": other}
    lengths = inputs.get("lengths")
    assert_close(
        run(model, **inputs)["hs"], jlstm.stack_scan(stack, None, other, lengths=lengths)[1], close
    )
    same_bits(interop.from_onnx(model), stack)


@pytest.mark.sampled
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.float64])
def test_other_dtypes(onnx, dtype, x64):
    stack = draw(dtype=dtype)
    same_bits(interop.from_onnx(interop.to_onnx(stack)), stack)


def test_a_model_on_disk(onnx, tmp_path):
    stack = draw(bidirectional=True)
    onnx.save(interop.to_onnx(stack), tmp_path / "model.onnx")
    same_bits(interop.from_onnx(tmp_path / "model.onnx"), stack)


def change(onnx, model, **attributes):
    """The model with other attributes of its first LSTM node."""
    node = next(node for node in model.graph.node if node.op_type == "LSTM")
    kept = [a for a in node.attribute if a.name not in attributes]
    del node.attribute[:]
    node.attribute.extend(kept)
    node.attribute.extend(onnx.helper.make_attribute(k, v) for k, v in attributes.items())
    return model


@pytest.mark.parametrize(("attributes", "message"), [
    ({"activations": ["Sigmoid", "Relu", "Tanh"]}, "layer_0: has the activations Sigmoid, Relu,"),
    ({"clip": 3.0}, r"layer_0: has clip=3.0, which is not supported"),
    ({"direction": "bidirectional"}, r"layer_0: W must be \(2, 24, 4\), got \(1, 24, 4\)"),
])  # fmt: skip
def test_equations_that_are_not_ours_are_refused(onnx, attributes, message):
    with pytest.raises(ValueError, match=message):
        interop.from_onnx(change(onnx, interop.to_onnx(draw()), **attributes))


def test_models_that_are_no_stack_are_refused(onnx):
    model = interop.to_onnx(draw())
    second = [node for node in model.graph.node if node.op_type == "LSTM"][1]
    read = second.input[0]
    between = onnx.helper.make_node("Relu", [read], ["changed"])
    model.graph.node.insert(3, between)
    second.input[0] = "changed"
    with pytest.raises(ValueError, match="layer_1: takes the output of layer_0 changed by Relu"):
        interop.from_onnx(model)
    second.input[0] = "xs"
    with pytest.raises(
        ValueError, match=r"2 recurrent nodes of the model do not form one stack: 'layer_0'"
    ):
        interop.from_onnx(model)
    between.input[0] = "xs"
    empty = onnx.helper.make_model(
        onnx.helper.make_graph([between], "g", model.graph.input[:1], []),
        opset_imports=model.opset_import, ir_version=8,
    )  # fmt: skip
    with pytest.raises(ValueError, match="model has no LSTM, GRU or RNN node; it holds Relu"):
        interop.from_onnx(empty)
    model = interop.to_onnx(draw())
    for name in ("W_0", "B_0"):
        broken = onnx.ModelProto()
        broken.CopyFrom(model)
        kept = [c for c in model.graph.initializer if c.name != name]
        del broken.graph.initializer[:]
        broken.graph.initializer.extend(kept)
        with pytest.raises(ValueError, match=rf"layer_0: {name[0]}: '{name}' is neither an output"):
            interop.from_onnx(broken)
        value = onnx.helper.make_tensor_value_info(
            name, onnx.TensorProto.FLOAT, "abc"[: 3 - (name == "B_0")]
        )
        broken.graph.input.append(value)
        with pytest.raises(
            ValueError, match=rf"layer_0: {name[0]} is not a constant: it depends on"
        ):
            interop.from_onnx(broken)


def between_layers(onnx, nodes, **changes):
    """A model of two layers with other nodes between them, from `Y_0` to `hs_0`."""
    bidirectional = changes.pop("bidirectional", False)
    model = interop.to_onnx(draw(sizes=(6, 6), bidirectional=bidirectional))
    kept = [n for n in model.graph.node if n.name == "layer_0"]
    made = [onnx.helper.make_node(*node[:3], **node[3]) for node in nodes]
    rest = [
        n
        for n in model.graph.node
        if n.name != "layer_0" and n.output[0] not in ("by_step_0", "hs_0")
    ]
    del model.graph.node[:]
    model.graph.node.extend([*kept, *made, *rest])
    for name, value in (("one", [1]), ("flat", [0, 0, -1]), ("swap", [0, -1, 6])):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value), name))
    return model


AXES = [
    ("squeeze", False, [("Squeeze", ["Y_0", "one"], ["hs_0"], {})], True),
    ("there and back", False, [
        ("Squeeze", ["Y_0", "one"], ["a"], {}), ("Transpose", ["a"], ["b"], {"perm": [1, 0, 2]}),
        ("Transpose", ["b"], ["hs_0"], {"perm": [1, 0, 2]})], True),
    ("over the batch", False, [
        ("Squeeze", ["Y_0", "one"], ["a"], {}),
        ("Transpose", ["a"], ["hs_0"], {"perm": [1, 0, 2]})], False),
    ("both", True, [
        ("Transpose", ["Y_0"], ["a"], {"perm": [0, 2, 1, 3]}),
        ("Reshape", ["a", "flat"], ["hs_0"], {})], True),
    ("both, mixed up", True, [
        ("Transpose", ["Y_0"], ["a"], {"perm": [0, 2, 3, 1]}),
        ("Reshape", ["a", "flat"], ["hs_0"], {})], False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("bidirectional", "nodes", "good"), [c[1:] for c in AXES], ids=lambda c: ""
)
def test_what_lies_between_two_layers(onnx, bidirectional, nodes, good):
    model = between_layers(onnx, nodes, bidirectional=bidirectional)
    if good:
        stack = draw(sizes=(6, 6), bidirectional=bidirectional)
        same_bits(interop.from_onnx(model), stack)
        return
    with pytest.raises(ValueError, match=r"layer_1: takes the output of layer_0 in another order"):
        interop.from_onnx(model)


def test_a_layer_that_reads_a_last_state_is_no_stack(onnx):
    model = between_layers(onnx, [("Identity", ["Y_h_0"], ["hs_0"], {})])
    with pytest.raises(ValueError, match="layer_1: takes the last state of layer_0, but a layer"):
        interop.from_onnx(model)


def test_states_that_the_model_computes_are_refused(onnx):
    model = interop.to_onnx(draw(sizes=(6, 6)))
    second = [node for node in model.graph.node if node.op_type == "LSTM"][1]
    second.input[5], second.input[6] = "Y_h_0", "Y_c_0"
    with pytest.raises(ValueError, match="layer_1: its initial_h is computed by a node LSTM"):
        interop.from_onnx(model)


def test_constants_behind_an_identity_are_constants(onnx):
    model = interop.to_onnx(draw(sizes=(6,)))
    node = next(node for node in model.graph.node if node.op_type == "LSTM")
    h, c = np.random.default_rng(2).normal(size=(2, 1, 5, 6)).astype(np.float32)
    for name, value, place in (("h", h, 5), ("c", c, 6)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
        model.graph.node.insert(0, onnx.helper.make_node("Identity", [name], [name + "_same"]))
        node.input[place] = name + "_same"
    (state,) = interop.onnx_states(model)
    same_bits(state, jlstm.LSTMState(h[0], c[0]))


def test_states_given_as_constants(onnx):
    model = interop.to_onnx(draw(sizes=(6,), bidirectional=True))
    assert interop.onnx_states(model) == (None,)
    h, c = np.random.default_rng(2).normal(size=(2, 2, 5, 6)).astype(np.float32)
    node = model.graph.node[0]
    for name, value, place in (("h", h, 5), ("c", c, 6)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
        node.input[place] = name
    (state,) = interop.onnx_states(model)
    same_bits(state, jlstm.BiLSTMState(jlstm.LSTMState(h[0], c[0]), jlstm.LSTMState(h[1], c[1])))
    node.input[6] = ""  # which is zero
    (state,) = interop.onnx_states(model)
    same_bits(state.backward, jlstm.LSTMState(h[1], 0 * c[1]))
    node.input[6] = "start"
    model.graph.input.append(
        onnx.helper.make_tensor_value_info("start", onnx.TensorProto.FLOAT, (2, "batch", 6))
    )
    assert len(interop.from_onnx(model)) == 1
    with pytest.raises(ValueError, match="layer_0: initial_h is a constant, initial_c is not"):
        interop.onnx_states(model)


def test_what_onnx_has_no_place_for(onnx):
    for init in (variants.init_no_forget, variants.init_layer_norm):
        with pytest.raises(TypeError, match=r"layers\[0\]: ONNX cannot represent \w+Params"):
            interop.to_onnx(draw(init))
    with pytest.raises(TypeError, match="layers are of bfloat16, ONNX's LSTM takes float32"):
        interop.to_onnx(draw(dtype=jnp.bfloat16))
    backward = (jlstm.BiLSTMParams(None, draw()[0]),)
    with pytest.raises(TypeError, match="ONNX cannot represent BiLSTMParams with one direction"):
        interop.to_onnx(backward)
