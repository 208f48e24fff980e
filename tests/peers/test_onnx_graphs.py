"""ONNX as tools other than PyTorch write it, built by hand, and models that are not stacks."""

import jax
import numpy as np
import pytest

import jlstm
from jlstm import interop
from tests.peers.conftest import library
from tests.support.problems import assert_close

TOLERANCE = 2e-6  # both are float32, of a few products of tens of numbers
I, H = 3, 4  # noqa: E741


@pytest.fixture(scope="module")
def onnx():
    return library("onnx")


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape, scale=0.5).astype(np.float32)


def weights(op="LSTM", inputs=I, directions=1, suffix=""):
    rows = {"LSTM": 4, "GRU": 3, "RNN": 1}[op] * H
    arrays = (
        normal(directions, rows, inputs),
        normal(directions, rows, H),
        normal(directions, 2 * rows),
    )
    return {letter + suffix: a for letter, a in zip("WRB", arrays, strict=True)}


def described(onnx, name, shape, dtype=np.float32):
    number = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return onnx.helper.make_tensor_value_info(name, number, shape)


def build(onnx, nodes, constants, inputs=(("X", ("t", "b", I)),), outputs=("Y",), opset=17, **more):
    """A model of nodes `(op, inputs, outputs, attributes)`; inputs `(name, shape, dtype)`."""
    helper = onnx.helper
    made = [
        helper.make_node(op, read.split(","), shown.split(","), name=f"n{k}", **options)
        for k, (op, read, shown, options) in enumerate(nodes)
    ]
    graph = helper.make_graph(
        made, "g", [described(onnx, *value) for value in inputs],
        [described(onnx, name, None) for name in outputs],
        [onnx.numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()],
    )  # fmt: skip
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8, **more)


def run(model, **inputs):
    session = library("onnxruntime").InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)


def lstm(read="X", shown="Y", letters="W,R,B", op="LSTM", **options):
    return (op, f"{read},{letters}", shown, {"hidden_size": H, **options})


def squeezed(name, axis="one"):
    return ("Squeeze", f"{name},{axis}", f"{name}_s", {})


TWO = weights() | weights(inputs=H, suffix="2")
INTS = {
    "zero": np.array([0]), "one": np.array([1]), "two": np.array([2]), "h": np.array([H]),
    "minus": np.array([-1]), "flat": np.array([0, 0, -1]), "zero_": np.array(0),
}  # fmt: skip
BATCH = [("Shape", "X", "sizes", {}), ("Slice", "sizes,one,two", "batch", {})]
SECOND = lstm("Y1_s", "Y", "W2,R2,B2")


def stacks():
    """Models that are stacks, each `(nodes, constants)`; the output is `Y`, the input `X`."""
    first = lstm(shown="Y1")
    zeros = ("ConstantOfShape", "shape", "h0", {})
    half = {name: a.astype(np.float16) for name, a in weights().items()}
    keras = weights()
    quantised = {
        "q": np.random.default_rng(0).integers(-99, 99, (1, 4 * H, I)).astype(np.int8),
        "scale": np.float32(0.01), "point": np.int8(3),
    }  # fmt: skip
    return {
        "dropout": ([first, squeezed("Y1"), ("Dropout", "Y1_s", "d", {}),
                     lstm("d", "Y", "W2,R2,B2")], TWO),
        "identity": ([first, squeezed("Y1"), ("Identity", "Y1_s", "d", {}),
                      lstm("d", "Y", "W2,R2,B2")], TWO),
        "reshape by the shape of the input": (
            [first, ("Shape", "X", "sizes", {}), ("Slice", "sizes,zero,two", "tb", {}),
             ("Concat", "tb,h", "to", {"axis": 0}), ("Reshape", "Y1,to", "Y1_s", {}), SECOND], TWO),
        "zeros of the batch": ([*BATCH, ("Concat", "one,batch,h", "shape", {"axis": 0}), zeros,
                                lstm(letters="W,R,B,,h0,h0")], weights()),
        "zeros expanded": ([*BATCH, ("Concat", "one,batch,h", "shape", {"axis": 0}),
                            ("Expand", "nothing,shape", "h0", {}), lstm(letters="W,R,B,,h0,h0")],
                           weights() | {"nothing": np.zeros((1, 1, 1), np.float32)}),
        "zeros of the input": ([("Mul", "X,nothing", "m", {}),
                                ("ReduceSum", "m,axes", "s", {"keepdims": 1}),
                                ("Expand", "s,shape", "e", {}), lstm(letters="W,R,B,,e,e")],
                               weights() | {"nothing": np.float32(0), "axes": np.array([0, 2]),
                                            "shape": np.array([1, 1, H])}),
        "lengths are the time": ([*BATCH, ("Gather", "sizes,zero_", "time", {"axis": 0}),
                                  ("Expand", "time,batch", "t", {}), ("Cast", "t", "L", {"to": 6}),
                                  lstm(letters="W,R,B,L")], weights()),
        "weights of half precision": ([("Cast", n.lower(), n, {"to": 1}) for n in "WRB"] + [lstm()],
                                      {name.lower(): a for name, a in half.items()}),
        "weights transposed": ([("Transpose", "k", "kt", {"perm": [1, 0]}),
                                ("Unsqueeze", "kt,zero", "W", {}), lstm()],
                               {"k": keras["W"][0].T, "R": keras["R"], "B": keras["B"]}),
        "weights concatenated": ([("Split", "W_", "a,b", {"axis": 1}), ("Identity", "b", "c", {}),
                                  ("Concat", "a,c", "W", {"axis": 1}), lstm()],
                                 {"W_": keras["W"], "R": keras["R"], "B": keras["B"]}),
        "weights dequantised": ([("DequantizeLinear", "q,scale,point", "W", {}), lstm()],
                                quantised | {"R": keras["R"], "B": keras["B"]}),
        "no bias": ([lstm(letters="W,R")], weights()),
        "batch first inside": ([("Transpose", "X", "x", {"perm": [1, 0, 2]}),
                                ("Transpose", "x", "xx", {"perm": [1, 0, 2]}), lstm("xx")],
                               weights()),
        "a head": ([lstm(), ("Relu", "Y", "r", {}), ("ReduceMean", "r", "head", {})], weights()),
        "Relu before": ([("Relu", "X", "r", {}), ("Sub", "X,r", "n", {}), ("Add", "r,n", "x", {}),
                         lstm("x")], weights()),
        "forward and reverse": ([
            lstm(shown="F"), lstm(shown="G", letters="Wr,Rr,Br", direction="reverse"),
            ("Concat", "F,G", "Y", {"axis": 1})], weights() | weights(suffix="r")),
        "forward and reverse below": ([
            lstm(shown="F"), lstm(shown="G", letters="Wr,Rr,Br", direction="reverse"),
            squeezed("F"), squeezed("G"), ("Concat", "F_s,G_s", "Y1_s", {"axis": 2}), SECOND],
            weights() | weights(suffix="r") | weights(inputs=2 * H, suffix="2")),
        "reverse alone": ([lstm(direction="reverse")], weights()),
        "GRU": ([lstm(op="GRU", linear_before_reset=1)], weights("GRU")),
        "GRU of the paper": ([lstm(op="GRU")], weights("GRU")),
        "RNN": ([lstm(op="RNN", activations=["Tanh"], activation_alpha=[0.5])], weights("RNN")),
        "quiet If": ([lstm(shown="Y1"), ("Constant", "", "yes", {"value_int": 1}),
                      squeezed("Y1"), SECOND], TWO),
    }  # fmt: skip


@pytest.mark.parametrize("name", stacks())
def test_stacks(onnx, name):
    nodes, constants = stacks()[name]
    nodes = [(op, read, shown, o) for op, read, shown, o in nodes]
    model = build(onnx, nodes, constants | INTS)
    for node in model.graph.node:  # a node without inputs has none, and not one without a name
        if list(node.input) == [""]:
            del node.input[:]
    layers = interop.from_onnx(model)
    assert set(interop.onnx_states(model)) == {None}
    for time, batch in ((5, 2), (1, 3), (8, 1)):
        xs = normal(time, batch, I, seed=1)
        (y,) = run(model, X=xs)
        hs = np.asarray(jlstm.stack_scan(layers, None, xs)[1])
        assert_close(hs, y.transpose(0, 2, 1, 3).reshape(time, batch, -1), TOLERANCE)


def refused():
    """Models that are not stacks: nodes, constants, more inputs, the message."""
    first, second = lstm(shown="Y1,Yh,Yc"), SECOND
    lengths = [("L", ("b",), np.int32)]
    start = [("s", (1, "b", H))]
    between = [first, squeezed("Y1")]
    after = lstm("c", "Y", "W2,R2,B2")
    return {
        "residual": ([lstm(shown="Y1", letters="W2,R2,B2"), squeezed("Y1"),
                      ("Add", "Y1_s,X", "c", {}), lstm("c", "Y", "W2,R2,B2")], TWO,
                     [("X", ("t", "b", H))], "n3: takes X beside the output of n0"),
        "clipped": ([*between, ("Clip", "Y1_s,low,high", "c", {}), after],
                    TWO | {"low": np.float32(-0.9), "high": np.float32(0.9)}, [],
                    "n3: takes the output of n0 changed by Clip"),
        "scaled": ([*between, ("Mul", "Y1_s,half", "c", {}), after],
                   TWO | {"half": np.float32(0.5)}, [], "n3: takes .* changed by Mul"),
        "rounded": ([*between, ("Cast", "Y1_s", "l", {"to": 10}), ("Cast", "l", "c", {"to": 1}),
                     after], TWO, [], "n4: takes .* changed by Cast"),
        "quantised": ([*between, ("QuantizeLinear", "Y1_s,scale,point", "q", {}),
                       ("DequantizeLinear", "q,scale,point", "c", {}), after],
                      TWO | {"scale": np.float32(0.01), "point": np.uint8(128)}, [],
                      "n4: takes .* quantised by QuantizeLinear, DequantizeLinear"),
        "every other step": ([*between, ("Slice", "Y1_s,zero,end,zero,two", "c", {}), after],
                             TWO | {"end": np.array([99])}, [], "n3: takes .* changed by Slice"),
        "turned": ([*between, ("Transpose", "Y1_s", "c", {"perm": [1, 0, 2]}), after], TWO, [],
                   "n3: takes the output of n0 in another order"),
        "masked": ([*between, ("Equal", "Y1_s,nothing", "m", {}), ("Where", "m,four,Y1_s", "c", {}),
                    after], TWO | {"nothing": np.float32(0), "four": np.float32(4)}, [],
                   "n4: takes .* changed by"),
        "last state": ([first, lstm("Yh", "Y", "W2,R2,B2")], TWO, [],
                       "n1: takes the last state of n0"),
        "encoder and decoder": ([first, squeezed("Y1"), ("LSTM", "Y1_s,W2,R2,B2,,Yh,Yc", "Y",
                                                         {"hidden_size": H})], TWO, [],
                                "n2: its initial_h is computed by a node LSTM from the layers"),
        "two stacks": ([lstm(), lstm(shown="Z")], weights(), [],
                       r"2 recurrent nodes of the model do not form one stack: 'n0' .LSTM., 'n1'"),
        "forward and reverse of two inputs": (
            [lstm(), lstm("Z", "Z1", direction="reverse")], weights(), [("Z", ("t", "b", I))],
            "not form one stack"),
        "summed directions": ([lstm(shown="F"), lstm(shown="G", direction="reverse"),
                               ("Add", "F,G", "Y1", {}), squeezed("Y1"), SECOND], TWO, [],
                              "n4: takes the output of n0 and n1 changed by Add"),
        "short lengths": ([lstm(letters="W,R,B,L")], weights() | {"L": np.array([2, 1], np.int32)},
                          [], "n0: its sequence_lens are constants of the model, 2, 1 for"),
        "lengths of a mask": ([("Sign", "X", "g", {}), ("ReduceMax", "g", "m", {
            "axes": [0, 2], "keepdims": 0}), ("Cast", "m", "L", {"to": 6}),
            lstm(letters="W,R,B,L")], weights(), [], "n3: its sequence_lens is computed by a node"),
        "one layer takes lengths": ([lstm(shown="Y1", letters="W,R,B,L"), squeezed("Y1"), second],
                                    TWO, lengths, "n2: takes no lengths, n0 takes lengths L"),
        "state of a linear layer": ([("Tanh", "s", "t", {}), lstm(letters="W,R,B,,t,t")], weights(),
                                    start, "n1: its initial_h is computed by a node Tanh; nodes="),
        "state with negative parts cut off": (
            [("Relu", "s", "t", {}), lstm(letters="W,R,B,,t,t")], weights(), start,
            "n1: its initial_h is computed by a node Relu"),
        "state of the first step": (
            [("Slice", "X,zero,one,zero", "t", {}), lstm(letters="W,R,B,,t,t")],
            weights(inputs=H), [("X", ("t", "b", H))], "n1: its initial_h is computed by a node"),
        "lengths of three at most": (
            [("Min", "L,three", "l", {}), lstm(letters="W,R,B,l")],
            weights() | {"three": np.array(3, np.int32)}, lengths,
            "n1: its sequence_lens is computed by a node Min"),
        "a Dropout that drops": (
            [*between, ("Dropout", "Y1_s,half,yes", "c", {}), after],
            TWO | {"half": np.float32(0.5), "yes": np.array(True)}, [], "not form one stack"),
        "lengths of all but one step": (
            [*BATCH, ("Gather", "sizes,zero_", "time", {"axis": 0}),
             ("Sub", "time,one", "less", {}), ("Expand", "less,batch", "t", {}),
             ("Cast", "t", "L", {"to": 6}), lstm(letters="W,R,B,L")], weights(), [],
            "n6: its sequence_lens are computed by the model, 4, 4, 4 for 5 time steps"),
        "lengths of all but those beyond a bound": (
            [*BATCH, ("Gather", "sizes,zero_", "time", {"axis": 0}),
             ("Min", "time,bound", "less", {}), ("Expand", "less,batch", "t", {}),
             ("Cast", "t", "L", {"to": 6}), lstm(letters="W,R,B,L")],
            weights() | {"bound": np.array(100)}, [], "n6: its sequence_lens are computed by"),
        "state of units turned round": (
            [("Slice", "s,last,past,two,minus", "t", {}), lstm(letters="W,R,B,,t,t")],
            weights() | {"last": np.array([-1]), "past": np.array([-99])}, start,
            "n1: its initial_h is computed by a node Slice"),
        "weights of an input": ([("Mul", "W,u", "w", {}), lstm(letters="w,R,B")], weights(),
                                [("u", ())], "n1: W is not a constant: it depends on u"),
        "weights quantised as it runs": (
            [("DynamicQuantizeLinear", "u", "q,scale,point", {}),
             ("DequantizeLinear", "q,scale,point", "w", {}), lstm(letters="w,R,B")], weights(),
            [("u", (1, 4 * H, I))], "n2: W is quantised: it depends on u"),
        "unknown operator": ([*between, ("Wonder", "Y1_s", "c", {}), after], TWO, [],
                             r"n2 \(Wonder\) cannot be computed"),
        "HardSigmoid": ([lstm(activations=["HardSigmoid", "Tanh", "Tanh"])], weights(), [],
                        "n0: has the activations HardSigmoid, Tanh, Tanh"),
        "both peepholes and input_forget": (
            [lstm(letters="W,R,B,,,,P", input_forget=1)], weights() | {"P": normal(1, 3 * H)}, [],
            "n0: input_forget together with peepholes is not supported"),
        "a missing value": ([lstm("nowhere")], weights(), [], "'nowhere' is neither an output"),
        "a circle": ([("Relu", "b", "a", {}), ("Relu", "a", "b", {}), lstm("a")], weights(), [],
                     "depends on itself"),
    }  # fmt: skip


@pytest.mark.parametrize("name", refused())
def test_refused(onnx, name):
    nodes, constants, more, message = refused()[name]
    inputs = [] if any(value[0] == "X" for value in more) else [("X", ("t", "b", I))]
    model = build(onnx, nodes, constants | INTS, [*inputs, *more])
    with pytest.raises(ValueError, match=message):
        interop.from_onnx(model)


def test_quantised_nodes_are_named(onnx):
    node = ("DynamicQuantizeLSTM", "X,W,R,B", "Y", {"hidden_size": H, "domain": "com.microsoft"})
    model = build(onnx, [node], weights())
    with pytest.raises(
        ValueError, match=r"n0: com.microsoft.DynamicQuantizeLSTM is quantised and not"
    ):
        interop.from_onnx(model)


def test_nodes_by_name(onnx):
    nodes = [lstm(shown="Y1"), lstm(shown="Z", letters="W,R"), squeezed("Y1"), SECOND]
    model = build(onnx, nodes, TWO | INTS)
    with pytest.raises(ValueError, match="not form one stack"):
        interop.from_onnx(model)
    xs = normal(4, 2, I)
    for chosen, output in ((["n0", "n3"], "Y"), (["n1"], "Z"), (["Z"], "Z"), (["n0"], "Y1")):
        model.graph.output[0].name = output
        hs = jlstm.stack_scan(interop.from_onnx(model, nodes=chosen), None, xs)[1]
        assert_close(hs, run(model, X=xs)[0][:, 0], TOLERANCE)
    for chosen, message in [
        (["n0", "n1"], "2 recurrent nodes chosen do not form one stack: 'n0'"),
        (["n1", "n3"], "not form one stack"),
        (["n2"], "model has no recurrent node 'n2', but: n0, n1, n3"),
        (["n1", "Z"], "nodes has a name twice: n1, Z"),
        ("n1", "nodes must be a list of names"),
        ([], "nodes must be a list of names"),
    ]:
        with pytest.raises(ValueError, match=message):
            interop.from_onnx(model, nodes=chosen)


def test_a_decoder_by_name_leaves_its_states_to_you(onnx):
    nodes = [
        lstm(shown="Y1,Yh,Yc"),
        ("LSTM", "Z,W,R,B,,Yh,Yc", "Y", {"hidden_size": H}),
    ]
    model = build(onnx, nodes, weights(), [("X", ("t", "b", I)), ("Z", ("u", "b", I))])
    with pytest.raises(ValueError, match="not form one stack"):
        interop.from_onnx(model)
    xs, zs = normal(4, 2, I), normal(3, 2, I, seed=2)
    states, _ = jlstm.stack_scan(interop.from_onnx(model, nodes=["n0"]), None, xs)
    hs = jlstm.stack_scan(interop.from_onnx(model, nodes=["n1"]), states, zs)[1]
    assert_close(hs, run(model, X=xs, Z=zs)[0][:, 0], TOLERANCE)


@pytest.mark.parametrize("constant", [False, True])
def test_branches_of_an_if(onnx, constant):
    helper = onnx.helper

    def branch(letter):
        node = helper.make_node(
            "LSTM", ["X", letter, "R", "B"], ["y"], f"of_{letter}", hidden_size=H
        )
        return helper.make_graph([node], letter, [], [described(onnx, "y", ("t", 1, "b", H))])

    model = build(
        onnx, [("If", "which", "Y", {"then_branch": branch("W"), "else_branch": branch("V")})],
        weights() | {"V": weights()["W"] + 1} | ({"which": np.array(True)} if constant else {}),
        [("X", ("t", "b", I))] + [("which", (), bool)] * (not constant),
    )  # fmt: skip
    with pytest.raises(
        ValueError, match=r"not form one stack, 2 of them in branches of an If: 'n0/then_"
    ):
        interop.from_onnx(model)
    xs = normal(4, 2, I)
    for which, name in ((True, "n0/then_branch/of_W"), (False, "n0/else_branch/of_V")):
        hs = jlstm.stack_scan(interop.from_onnx(model, nodes=[name]), None, xs)[1]
        if which or not constant:
            given = {} if constant else {"which": np.array(which)}
            assert_close(hs, run(model, X=xs, **given)[0][:, 0], TOLERANCE)


@pytest.mark.parametrize("shapes_decide", [False, True])
def test_an_if_between_layers(onnx, shapes_decide):
    helper = onnx.helper

    def branch(name, op, *inputs):
        node = helper.make_node(op, inputs, [name])
        return helper.make_graph([node], name, [], [described(onnx, name, None)])

    decide = [("Shape", "Y1", "d", {"start": 1, "end": 2}), ("Equal", "d,one", "q", {}),
              ("Squeeze", "q", "which", {})]  # fmt: skip
    branches = {
        "then_branch": branch("a", "Squeeze", "Y1", "one"),
        "else_branch": branch("b", "Identity", "Y1"),
    }
    if not shapes_decide:
        decide, branches["else_branch"] = [], branch("b", "ReduceMax", "Y1")
    nodes = [lstm(shown="Y1"), *decide, ("If", "which", "Y1_s", branches), SECOND]
    more = [] if shapes_decide else [("which", (), bool)]
    model = build(onnx, nodes, TWO | INTS, [("X", ("t", "b", I)), *more])
    if not shapes_decide:
        with pytest.raises(ValueError, match="n2: takes which beside the output of n0"):
            interop.from_onnx(model)
        return
    xs = normal(4, 2, I)
    hs = jlstm.stack_scan(interop.from_onnx(model), None, xs)[1]
    assert_close(hs, run(model, X=xs)[0][:, 0], TOLERANCE)


@pytest.mark.sampled
def test_functions(onnx):
    helper = onnx.helper
    imports = [helper.make_opsetid("", 17)]
    body = [
        helper.make_node("LSTM", ["x", "w", "r", "b"], ["y"], hidden_size=H),
        helper.make_node("Constant", [], ["axis"], value_ints=[1]),
        helper.make_node("Squeeze", ["y", "axis"], ["out"]),
    ]
    function = helper.make_function("mine", "Layer", ["x", "w", "r", "b"], ["out"], body, imports)
    nodes = [
        ("Layer", "X,W,R,B", "a", {"domain": "mine"}),
        ("Layer", "a,W2,R2,B2", "Y", {"domain": "mine"}),
    ]
    model = build(onnx, nodes, TWO)
    model.opset_import.append(helper.make_opsetid("mine", 1))
    model.functions.append(function)
    xs = normal(4, 2, I)
    hs = jlstm.stack_scan(interop.from_onnx(model), None, xs)[1]
    assert_close(hs, run(model, X=xs)[0], TOLERANCE)


def test_a_learned_state_for_every_sequence(onnx):
    nodes = [*BATCH, ("Concat", "one,batch,h", "to", {"axis": 0}), ("Expand", "s,to", "h0", {}),
             lstm(letters="W,R,B,,h0,h0")]  # fmt: skip
    start = normal(1, 1, H, seed=5)
    model = build(onnx, nodes, weights() | INTS | {"s": start})
    (state,) = interop.onnx_states(model)
    assert jax.tree.map(np.shape, state) == jlstm.LSTMState((H,), (H,))
    xs, layers = normal(4, 2, I), interop.from_onnx(model)
    hs = jlstm.stack_scan(layers, [jlstm.broadcast_state(state, (2,))], xs)[1]
    assert_close(hs, run(model, X=xs)[0][:, 0], TOLERANCE)


@pytest.mark.parametrize("shape", [None, (5, 2, I), ("a", "b", "c"), (None, None, None)])
def test_shapes_of_the_input(onnx, shape):
    nodes = [lstm(shown="Y1"), squeezed("Y1"), SECOND]
    model = build(onnx, nodes, TWO | INTS, [("X", shape)])
    xs = normal(5, 2, I)
    hs = jlstm.stack_scan(interop.from_onnx(model.SerializeToString()), None, xs)[1]
    assert_close(hs, run(model, X=xs)[0][:, 0], TOLERANCE)


def test_sizes_that_are_baked_in(onnx):
    nodes = [
        ("Transpose", "X", "x", {"perm": [1, 0, 2]}), lstm("x", "Y1"),
        ("Reshape", "Y1,to", "Y1_s", {}), SECOND,
    ]  # fmt: skip
    constants = TWO | {"to": np.array([6, 2, H]), "L": np.array([6, 6], np.int32)}
    model = build(onnx, nodes, constants, [("X", (2, 6, I))])
    xs = normal(2, 6, I)
    for letters in ("W2,R2,B2", "W2,R2,B2,L"):
        del model.graph.node[3].input[1:]
        model.graph.node[3].input.extend(letters.split(","))
        hs = jlstm.stack_scan(interop.from_onnx(model), None, xs.swapaxes(0, 1))[1]
        assert_close(hs, run(model, X=xs)[0][:, 0], TOLERANCE)


def test_what_is_no_model(onnx, tmp_path):
    model = build(onnx, [lstm()], weights())
    whole = model.SerializeToString()
    for data in (bytearray(whole), memoryview(whole)):
        assert len(interop.from_onnx(data)) == 1
    for data in (b"", b"\x08\x08:\x00" * 99, whole[: len(whole) // 2]):
        with pytest.raises(ValueError, match="model is not a complete ONNX model") as raised:
            interop.from_onnx(data)
        assert len(str(raised.value)) < 200
    with pytest.raises(TypeError, match="its bytes or its path, got dict"):
        interop.from_onnx({"W": 1})
    onnx.save(
        model, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0, location="w"
    )
    assert len(interop.from_onnx(tmp_path / "m.onnx")) == 1
    with pytest.raises(ValueError, match="W is stored in a file beside the model: pass"):
        interop.from_onnx((tmp_path / "m.onnx").read_bytes())
