"""ONNX: stacks as standard `LSTM` nodes. Imports onnx on use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.extras import needs
from jlstm.interop.arrays import directions, reorder
from jlstm.types import LSTMParams
from jlstm.variants.coupled import CoupledParams
from jlstm.variants.peephole import PeepholeParams

if TYPE_CHECKING:
    from jaxtyping import Array, PyTree

# ONNX has the gates i o f c, and peepholes i o f; this library i f g o, and i f o.
TO_ONNX = (0, 3, 1, 2)
PEEPHOLES = (0, 2, 1)  # the same both ways
OPSET = 17


def to_onnx(layers: Sequence[PyTree], lengths: bool = False) -> Any:
    """A stack as a model of ONNX, with one standard `LSTM` node a layer: exact.

    Its inputs are `xs`, `(time, batch, input)`, with any time and batch, and, when asked for,
    `lengths`, `(batch,)` of int32. Its outputs are `hs`, `(time, batch, output)`, and the final
    states of each layer, `h_0` and `c_0`, and so on, `h_0_reverse` and `c_0_reverse` of a backward
    direction, each `(batch, hidden)`. Initial states are zeros.

    Args:
      layers: a stack of `LSTMParams`, `PeepholeParams` or `CoupledParams`, in one direction or
        both, of float32, float16 or float64.
      lengths: whether the model takes lengths, each at least 1; ONNX Runtime refuses an input that
        is not fed.

    Returns:
      An `onnx.ModelProto`, checked; write it with `onnx.save`.

    Raises:
      TypeError: a layer or a dtype that ONNX has no place for.

    Example:
      >>> import jax, jlstm
      >>> model = jlstm.interop.to_onnx(jlstm.init_stack(jax.random.key(0), 3, (8, 4)))
      >>> [output.name for output in model.graph.output]
      ['hs', 'h_0', 'c_0', 'h_1', 'c_1']
    """
    with needs("to_onnx", "interop"):
        import onnx
        from onnx import helper, numpy_helper

    kinds = (LSTMParams, PeepholeParams, CoupledParams)
    stack = list(directions(layers, "ONNX", kinds))
    dtype = np.dtype(jnp.result_type(*jax.tree.leaves(layers)))
    if dtype.name not in ("float32", "float16", "float64"):
        raise TypeError(f"layers are of {dtype}, ONNX's LSTM takes float32, float16 or float64")
    number = helper.np_dtype_to_tensor_dtype(dtype)
    nodes, constants, outputs = [], [], []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def output(name: str, *axes: str | int) -> None:
        outputs.append(helper.make_tensor_value_info(name, number, axes))

    read, width = "xs", stack[0][1][0].weight_ih.shape[0]
    inputs = [helper.make_tensor_value_info("xs", number, ("time", "batch", width))]
    if lengths:
        inputs.append(helper.make_tensor_value_info("lengths", onnx.TensorProto.INT32, ("batch",)))
    constant("together", np.array([0, 0, -1]))
    for k, found in stack:
        hidden = found[0].weight_hh.shape[0]
        if len({(type(params), params.weight_hh.shape) for params in found}) > 1:
            raise TypeError(f"layers[{k}]: ONNX has no place for two directions of different kinds")
        weights = [
            constant(f"{name}_{k}", np.stack([a.astype(dtype) for a in arrays]))
            for name, arrays in zip("WRB", zip(*map(_to_node, found), strict=True), strict=True)
        ]
        weights += ["lengths" if lengths else "", "", ""]
        if isinstance(found[0], PeepholeParams):
            peepholes = [reorder(params.peephole, PEEPHOLES).astype(dtype) for params in found]
            weights.append(constant(f"P_{k}", np.stack(peepholes)))
        options: Any = {"input_forget": 1} if isinstance(found[0], CoupledParams) else {}
        nodes.append(
            helper.make_node(
                "LSTM", [read, *weights], [f"Y_{k}", f"Y_h_{k}", f"Y_c_{k}"], f"layer_{k}",
                hidden_size=hidden, direction="bidirectional" if len(found) == 2 else "forward",
                **options,
            )
        )  # fmt: skip
        read = f"hs_{k}" if k + 1 < len(stack) else "hs"
        nodes.append(helper.make_node("Transpose", [f"Y_{k}"], [f"by_step_{k}"], perm=(0, 2, 1, 3)))
        nodes.append(helper.make_node("Reshape", [f"by_step_{k}", "together"], [read]))
        width = hidden * len(found)
    output("hs", "time", "batch", width)
    for k, found in stack:
        for d, suffix in enumerate(("", "_reverse")[: len(found)]):
            which = constant(f"direction_{k}{suffix}", np.array(d))
            for part in "hc":
                name = f"{part}_{k}{suffix}"
                nodes.append(helper.make_node("Gather", [f"Y_{part}_{k}", which], [name], axis=0))
                output(name, "batch", found[0].weight_hh.shape[0])
    graph = helper.make_graph(nodes, "jlstm", inputs, outputs, constants)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="jlstm"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _to_node(params: PyTree) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """W, R and B of one direction; the second half of B is zero."""
    weights = params[:3]
    if isinstance(params, CoupledParams):
        weights = map(_with_forget, weights)
    weight_ih, weight_hh, bias = (reorder(a, TO_ONNX) for a in weights)
    both = jnp.concatenate([bias, jnp.zeros_like(bias)])
    return np.asarray(weight_ih.T), np.asarray(weight_hh.T), np.asarray(both)


def _with_forget(a: Array) -> Array:
    """Gates i g o as i f g o, with zeros for the gate that is coupled."""
    i, g, o = jnp.split(a, 3, axis=-1)
    return jnp.concatenate([i, jnp.zeros_like(i), g, o], axis=-1)
