"""ONNX Runtime: the standard `LSTM` node; forward pass only."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def calls(problem):
    """Calls without arguments, by name; each returns NumPy arrays."""
    session = _session(problem)

    def forward():
        return {"hs": session.run(["hs"], {"xs": problem.xs})[0][:, 0]}

    return {"forward": forward}


def step(problem):
    """One step of a stream, with the state kept."""
    session = _session(problem, stateful=True)
    x = problem.xs[:1]
    zeros = np.zeros((1, x.shape[1], problem.weight_hh.shape[0]), np.float32)
    state = (zeros, zeros)

    def call():
        nonlocal state
        hs, *state = session.run(None, {"xs": x, "h_0": state[0], "c_0": state[1]})
        return hs

    return call


def _session(problem, stateful=False):
    def gates(weight):  # i, o, f, c, one row per gate
        i, f, g, o = np.split(weight, 4, -1)
        return np.concatenate([i, o, f, g], -1).T

    bias = gates(problem.bias[None])[:, 0]
    constants = {
        "W": gates(problem.weight_ih)[None],
        "R": gates(problem.weight_hh)[None],
        "B": np.concatenate([bias, 0 * bias])[None],
    }
    states = ["h_0", "c_0"] if stateful else []
    results = ["hs", "h", "c"] if stateful else ["hs"]
    node = helper.make_node(
        "LSTM",
        ["xs", *constants, *(["", *states] if stateful else [])],
        results,
        hidden_size=problem.weight_hh.shape[0],
    )

    def value(name):
        return helper.make_tensor_value_info(
            name, TensorProto.FLOAT, (None,) * (3 if name in ("xs", "h_0", "c_0", "h", "c") else 4)
        )

    graph = helper.make_graph(
        [node], "lstm", [value(name) for name in ("xs", *states)], [value(r) for r in results],
        [numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=10)
    onnx.checker.check_model(model)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
