"""Stacks as ONNX models with standard `LSTM`, `GRU` and `RNN` nodes. Imports onnx on use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.cells.coupled import CoupledParams
from jlstm.cells.gru import ChoGRUParams, GRUParams
from jlstm.cells.layer_types import LAYER_TYPES
from jlstm.cells.peephole import PeepholeParams
from jlstm.cells.rnn import RNNParams
from jlstm.checks.extras import needs
from jlstm.interop.arrays import directions, reorder
from jlstm.types import LSTMParams, compute_dtype

if TYPE_CHECKING:
    from jlstm.types import Array, PyTree

# ONNX has gates i o f c and peepholes i o f; this library i f g o and i f o.
TO_ONNX = (0, 3, 1, 2)
PEEPHOLES = (0, 2, 1)  # its own inverse
GRU_TO_ONNX = (1, 0, 2)  # gates r z n, in ONNX z r h
OPS = {
    LSTMParams: "LSTM", PeepholeParams: "LSTM", CoupledParams: "LSTM",
    GRUParams: "GRU", ChoGRUParams: "GRU", RNNParams: "RNN",
}  # fmt: skip
OPTIONS = {CoupledParams: {"input_forget": 1}, GRUParams: {"linear_before_reset": 1}}
OPSET = 17


class _Parts(NamedTuple):
    """The parts of a graph under construction."""

    nodes: list[Any]
    inputs: list[Any]
    outputs: list[Any]
    constants: list[Any]
    dtype: np.dtype

    def node(self, op: str, inputs: Sequence[str], outputs: Sequence[str], **options: Any) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(op, inputs, outputs, **options))

    def constant(self, name: str, value: Any) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def value(self, to: list[Any], name: str, *axes: str | int) -> str:
        from onnx import helper

        number = helper.np_dtype_to_tensor_dtype(self.dtype)
        to.append(helper.make_tensor_value_info(name, number, axes))
        return name


def to_onnx(layers: Sequence[PyTree], *, lengths: bool = False, states: bool = False) -> Any:
    """Convert layers to an ONNX model with one standard node per layer: exact.

    Its inputs are `xs`, `(time, batch, input)`, with any time and batch size, and optionally
    `lengths`, `(batch,)` of int32, and initial states. Its outputs are `hs`, `(time, batch,
    output)`, and the final states of each layer: `h_0`, `c_0` and so on, with `h_0_reverse` and
    `c_0_reverse` for a backward direction, each `(batch, hidden)`; a GRU and a simple RNN have no
    `c`. An initial state has the name of the final state with the prefix `initial_`: pass the `h_0`
    that one call returns to the next call as `initial_h_0`.

    Args:
      layers: a stack of `LSTMParams`, `PeepholeParams`, `CoupledParams`, `GRUParams`,
        `ChoGRUParams` or `RNNParams`, in one direction or both, of float32, float16 or float64.
      lengths: True for a model that takes lengths, each at least 1; ONNX Runtime requires every
        input of a model.
      states: True for a model that takes initial states, for streams; else they are zeros.

    Returns:
      A checked `onnx.ModelProto`; write it with `onnx.save`.

    Raises:
      TypeError: a layer or a dtype that ONNX cannot represent.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 4))
      >>> model = jlstm.interop.to_onnx(layers, states=True)
      >>> [output.name for output in model.graph.output]
      ['hs', 'h_0', 'c_0', 'h_1', 'c_1']
      >>> [value.name for value in model.graph.input][:3]
      ['xs', 'initial_h_0', 'initial_c_0']
    """
    with needs("to_onnx", "interop"):
        import onnx
        from onnx import helper

    stack = list(directions(layers, "ONNX", tuple(OPS)))
    for k, pair in stack:
        if len({(type(params), params.weight_hh.shape) for params in pair}) > 1:
            raise TypeError(f"layers[{k}]: ONNX cannot represent directions that differ in type")
    dtype = np.dtype(compute_dtype(*jax.tree.leaves(layers)))
    if dtype.name not in ("float32", "float16", "float64"):
        raise TypeError(f"layers are of {dtype}, ONNX's LSTM takes float32, float16 or float64")
    parts = _Parts([], [], [], [], dtype)
    layer_input = parts.value(
        parts.inputs, "xs", "time", "batch", stack[0][1][0].weight_ih.shape[0]
    )
    if lengths:
        batch = helper.make_tensor_value_info("lengths", onnx.TensorProto.INT32, ("batch",))
        parts.inputs.append(batch)
    parts.constant("together", np.array([0, 0, -1]))
    parts.constant("first", np.array([0]))
    for k, pair in stack:
        output = f"hs_{k}" if k + 1 < len(stack) else "hs"
        _add_layer(parts, k, pair, layer_input, output, lengths, states)
        layer_input = output
    width = sum(params.weight_hh.shape[0] for params in stack[-1][1])
    parts.value(parts.outputs, "hs", "time", "batch", width)
    for k, pair in stack:
        _add_final_states(parts, k, pair)
    graph = helper.make_graph(parts.nodes, "jlstm", *parts[1:4])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="jlstm"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _add_layer(
    parts: _Parts, k: int, pair: Sequence[PyTree], layer_input: str, output: str, lengths: bool,
    states: bool,
) -> None:  # fmt: skip
    """Add one node, and the concatenation of its directions."""
    params_type = type(pair[0])
    arrays = zip(*map(_to_node, pair), strict=True)
    inputs = [layer_input]
    for letter, each in zip("WRB", arrays, strict=True):
        stacked = np.stack([a.astype(parts.dtype) for a in each])
        inputs.append(parts.constant(f"{letter}_{k}", stacked))
    inputs.append("lengths" if lengths else "")
    names = _state(params_type)
    inputs += [_add_initial_state(parts, k, pair, name) if states else "" for name in names]
    if params_type is PeepholeParams:
        peepholes = [reorder(params.peephole, PEEPHOLES).astype(parts.dtype) for params in pair]
        inputs.append(parts.constant(f"P_{k}", np.stack(peepholes)))
    parts.node(
        OPS[params_type], inputs, [f"Y_{k}", *(f"Y_{name}_{k}" for name in names)],
        name=f"layer_{k}", hidden_size=pair[0].weight_hh.shape[0],
        direction="bidirectional" if len(pair) == 2 else "forward", **OPTIONS.get(params_type, {}),
    )  # fmt: skip
    parts.node("Transpose", [f"Y_{k}"], [f"by_step_{k}"], perm=(0, 2, 1, 3))
    parts.node("Reshape", [f"by_step_{k}", "together"], [output])


def _add_initial_state(parts: _Parts, k: int, pair: Sequence[PyTree], part: str) -> str:
    """Add an input for each direction, and their concatenation, which the node takes."""
    each = []
    for params, suffix in zip(pair, ("", "_reverse"), strict=False):
        hidden = params.weight_hh.shape[0]
        name = parts.value(parts.inputs, f"initial_{part}_{k}{suffix}", "batch", hidden)
        parts.node("Unsqueeze", [name, "first"], [f"{name}_of_direction"])
        each.append(f"{name}_of_direction")
    parts.node("Concat", each, [f"initial_{part}_of_{k}"], axis=0)
    return f"initial_{part}_of_{k}"


def _add_final_states(parts: _Parts, k: int, pair: Sequence[PyTree]) -> None:
    for d, suffix in enumerate(("", "_reverse")[: len(pair)]):
        which = parts.constant(f"direction_{k}{suffix}", np.array(d))
        for part in _state(type(pair[0])):
            name = f"{part}_{k}{suffix}"
            parts.node("Gather", [f"Y_{part}_{k}", which], [name], axis=0)
            parts.value(parts.outputs, name, "batch", pair[0].weight_hh.shape[0])


def _state(params_type: type) -> str:
    return "hc" if LAYER_TYPES[params_type].has_cell else "h"


def _to_node(params: PyTree) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """W, R and B of one direction; the second half of B is zero, except for `bias_hn` of a GRU."""
    weights = params[:3]
    if isinstance(params, CoupledParams):
        weights = map(_with_forget, weights)
    order = {"LSTM": TO_ONNX, "GRU": GRU_TO_ONNX, "RNN": (0,)}[OPS[type(params)]]
    weight_ih, weight_hh, bias = (reorder(a, order) for a in weights)
    recurrent_bias = jnp.zeros_like(bias)
    if isinstance(params, GRUParams):
        recurrent_bias = recurrent_bias.at[-params.bias_hn.shape[0] :].set(params.bias_hn)
    both = jnp.concatenate([bias, recurrent_bias])
    return np.asarray(weight_ih.T), np.asarray(weight_hh.T), np.asarray(both)


def _with_forget(a: Array) -> Array:
    """Gates i g o as i f g o, with zeros for the coupled gate."""
    i, g, o = jnp.split(a, 3, axis=-1)
    return jnp.concatenate([i, jnp.zeros_like(i), g, o], axis=-1)
