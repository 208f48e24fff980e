"""ONNX models that are stacks at some sizes only, and nodes that are broken."""

import numpy as np
import pytest

import jlstm
from jlstm import interop
from jlstm.interop.onnx import sizes as onnx_sizes
from tests.peers.conftest import library
from tests.peers.test_onnx_graphs import (
    BATCH,
    INTS,
    SECOND,
    TOLERANCE,
    TWO,
    H,
    I,
    build,
    described,
    lstm,
    normal,
    run,
    squeezed,
    weights,
)
from tests.support.problems import assert_close


@pytest.fixture(scope="module")
def onnx():
    return library("onnx")


def bounded():
    """Models that are stacks at some sizes only: nodes, constants, more inputs, the message."""
    numbers = {n: np.array([n]) for n in (50, 100, 1600, 15_000, 90_000)}
    numbers = {f"n{n}": a for n, a in numbers.items()} | {"n8": np.array([8])}
    numbers |= {
        "f": np.float32(0.05),
        "hundred": np.float32(100),
        "m100": np.array([-100]),
        "end": np.array([2**40]),
        "start": np.array([-(2**40)]),
    }
    between = [lstm(shown="Y1"), squeezed("Y1")]
    after = lstm("c", "Y", "W2,R2,B2")
    lengths = [("L", ("b",), np.int32)]
    turned = ("Slice", "L,minus,start,zero,minus", "l", {})
    time = [*BATCH, ("Slice", "sizes,zero,one", "time", {}), ("Concat", "one,batch,h", "to",
                                                              {"axis": 0})]  # fmt: skip
    state = ("Expand", "value,to", "h0", {})
    start = lstm(letters="W,R,B,,h0,h0")
    of_time = [("Expand", "time,batch", "t", {}), ("Cast", "t", "l", {"to": 6})]
    changed, computed = "changed by Slice", "sequence_lens is computed by a node"
    return {
        **{f"time to {n}": ([*between, ("Slice", f"Y1_s,zero,{n},zero", "c", {}), after], [],
                            changed) for n in ("n50", "n100", "n1600", "n15000")},
        "time to 90000": ([*between, ("Slice", "Y1_s,zero,n90000,zero", "c", {}), after], [],
                          "computes with the number 90000 there, which may be a bound"),
        "last 100 steps": ([*between, ("Slice", "Y1_s,m100,end,zero", "c", {}), after], [],
                           changed),
        "batch to 8": ([*between, ("Slice", "Y1_s,zero,n8,one", "c", {}), after], [], changed),
        "time to 1600 in lengths": ([*time, ("Min", "time,n1600", "less", {}),
                                     ("Expand", "less,batch", "t", {}),
                                     ("Cast", "t", "l", {"to": 6}), lstm(letters="W,R,B,l")], [],
                                    "1600, 1600 for 1601 time steps"),
        "lengths to 50": ([("Cast", "n50", "n", {"to": 6}), ("Min", "L,n", "l", {}),
                           lstm(letters="W,R,B,l")], lengths, computed),
        "lengths turned round": ([turned, lstm(letters="W,R,B,l")], lengths, computed),
        "lengths turned round above": (
            [turned, lstm(shown="Y1", letters="W,R,B,L"), squeezed("Y1"),
             lstm("Y1_s", "Y", "W2,R2,B2,l")], lengths, computed),
        "lengths of another input": (
            [("Shape", "Z", "z", {}), ("Slice", "z,zero,one", "time", {}), *BATCH, *of_time,
             lstm(letters="W,R,B,l")], [("Z", (None, None, 2))], "computed by the model"),
        "lengths of another named input": (
            [("Shape", "Z", "z", {}), ("Slice", "z,zero,one", "time", {}), *BATCH, *of_time,
             lstm(letters="W,R,B,l")], [("Z", ("u", "b", 2))], "computed by the model"),
        "state of the time": ([*time, ("Cast", "time", "v", {"to": 1}), ("Mul", "v,f", "value", {}),
                               state, start], [], "initial_h is not a constant but depends on"),
        "state of the batch": ([*time, ("Cast", "batch", "v", {"to": 1}),
                                ("Mul", "v,f", "value", {}), state, start], [],
                               "initial_h is not a constant but depends on"),
        "state of a long time": ([*time, ("Cast", "time", "v", {"to": 1}),
                                  ("Sub", "v,hundred", "w", {}), ("Relu", "w", "value", {}), state,
                                  start], [], "for 101 time steps of 2 sequences it is 1.0"),
        "twice a state": ([("Mul", "s,f", "h0", {}), start], [("s", (1, "b", H))],
                          "initial_h is computed by a node Mul"),
    }, numbers  # fmt: skip


@pytest.mark.parametrize("name", bounded()[0])
def test_what_is_a_stack_at_some_sizes_only(onnx, name):
    (nodes, more, message), numbers = bounded()[0][name], bounded()[1]
    model = build(onnx, nodes, TWO | INTS | numbers, [("X", ("t", "b", I)), *more])
    with pytest.raises(ValueError, match=message):
        interop.from_onnx(model)


def test_widths_of_layers_are_no_bounds(onnx, monkeypatch):
    monkeypatch.setattr(onnx_sizes, "TIMES", 24)  # so that 3 time steps are too many
    nodes = [
        lstm(shown="Y1"), ("Transpose", "Y1", "y", {"perm": [0, 2, 1, 3]}),
        ("Reshape", "y,to", "Y1_s", {}), ("Slice", "Y1_s,zero,end,zero", "c", {}),
        lstm("c", "Y", "W2,R2,B2"),
    ]  # fmt: skip
    constants = TWO | INTS | {"to": np.array([0, 0, H])}
    model = build(onnx, nodes, constants | {"end": np.array([2**31 - 1])})
    assert len(interop.from_onnx(model)) == 2
    with pytest.raises(ValueError, match=r"with the number 50 there, .* at most 3 time steps"):
        interop.from_onnx(build(onnx, nodes, constants | {"end": np.array([50])}))


def test_lengths_of_flags_are_none(onnx):
    nodes = [("Cast", "L", "l", {"to": 6}), lstm(letters="W,R,B,l")]
    model = build(onnx, nodes, weights(), [("X", ("t", "b", I)), ("L", ("b",), bool)])
    with pytest.raises(ValueError, match="n1: its sequence_lens is computed by a node Cast"):
        interop.from_onnx(model)


def test_slices_to_the_end_are_none(onnx):
    xs = normal(4, 2, I)
    for end in (2**31 - 1, 2**63 - 1):
        slices = ("Slice", "Y1_s,zero,end,zero", "c", {})
        nodes = [lstm(shown="Y1"), squeezed("Y1"), slices, lstm("c", "Y", "W2,R2,B2")]
        model = build(onnx, nodes, TWO | INTS | {"end": np.array([end])})
        hs = jlstm.stack_scan(interop.from_onnx(model), None, xs)[1]
        assert_close(hs, run(model, X=xs)[0][:, 0], TOLERANCE)


@pytest.mark.parametrize(("axis", "number"), [(0, 100), (0, 1), (1, 1), (1, 7)])
@pytest.mark.parametrize("op", ["Neg", "Wonder"])
def test_an_if_on_one_size(onnx, axis, number, op):
    helper = onnx.helper

    def branch(name, op):
        node = helper.make_node(op, ["Y1_s"], [name])
        return helper.make_graph([node], name, [], [described(onnx, name, None)])

    branches = {"then_branch": branch("p", op), "else_branch": branch("q", "Identity")}
    nodes = [
        lstm(shown="Y1"), squeezed("Y1"), ("Shape", "X", "d", {"start": axis, "end": axis + 1}),
        ("Equal", "d,n", "e", {}), ("Squeeze", "e", "which", {}), ("If", "which", "c", branches),
        lstm("c", "Y", "W2,R2,B2"),
    ]  # fmt: skip
    model = build(onnx, nodes, TWO | INTS | {"n": np.array([number])})
    with pytest.raises(ValueError, match=r"n6: takes .* by Neg, If|Wonder. cannot be comp"):
        interop.from_onnx(model)


def test_a_node_that_a_loop_repeats(onnx):
    helper = onnx.helper
    body = helper.make_graph(
        [
            helper.make_node("LSTM", ["x", "W2", "R2", "B2"], ["y"], "inner", hidden_size=H),
            helper.make_node("Squeeze", ["y", "one"], ["out"]),
            helper.make_node("Identity", ["go"], ["on"]),
        ],
        "body",
        [described(onnx, "k", (), np.int64), described(onnx, "go", (), bool),
         described(onnx, "x", ("t", "b", H))],
        [described(onnx, "on", (), bool), described(onnx, "out", ("t", "b", H))],
    )  # fmt: skip
    constants = TWO | INTS | {"three": np.array(3), "yes": np.array(True)}
    model = build(
        onnx, [("Loop", "three,yes,X", "Y", {"body": body})], constants, [("X", ("t", "b", H))]
    )
    with pytest.raises(ValueError, match=r"inner: is inside the node n0 \(Loop\), which runs"):
        interop.from_onnx(model)
    assert len(interop.from_onnx(model, nodes=["n0/body/inner"])) == 1


def test_broken_nodes_are_named(onnx):
    nodes = [lstm(shown="Y1"), squeezed("Y1"), SECOND]
    for broken, message in [
        (lambda m: m.graph.node[0].ClearField("input"), "n0: has no input X"),
        (lambda m: m.graph.node[2].input.__setitem__(0, ""), "n2: has no input X"),
        (lambda m: setattr(m.graph.initializer[0], "data_type", 99), "W cannot be read"),
        (lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 99),
         "X has the unknown dtype 99"),
        (lambda m: m.graph.node[0].attribute.append(onnx.helper.make_attribute("clip", "a")),
         "n0: has clip=b'a'"),
    ]:  # fmt: skip
        model = build(onnx, nodes, TWO | INTS)
        broken(model)
        with pytest.raises(ValueError, match=message) as raised:
            interop.from_onnx(model)
        assert "\n" not in str(raised.value)
