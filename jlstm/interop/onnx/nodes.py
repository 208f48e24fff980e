"""One `LSTM`, `GRU` or `RNN` node of an ONNX model as the weights of its directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp

from jlstm.cells.coupled import CoupledParams
from jlstm.cells.gru import ChoGRUParams, GRUParams
from jlstm.cells.peephole import PeepholeParams
from jlstm.cells.rnn import RNNParams
from jlstm.interop.arrays import as_array, reorder, zero_bias
from jlstm.interop.onnx.evaluate import Node
from jlstm.interop.onnx.graph import Graph
from jlstm.types import LSTMParams

if TYPE_CHECKING:
    from jlstm.types import Array, PyTree

FROM_ONNX = (0, 2, 3, 1)  # gates i o f c, here i f g o
GRU_FROM_ONNX = (1, 0, 2)  # gates z r h, here r z n
PEEPHOLES = (0, 2, 1)  # ONNX has i o f, here i f o
ACTIVATIONS = {"LSTM": ("sigmoid", "tanh", "tanh"), "GRU": ("sigmoid", "tanh"), "RNN": ("tanh",)}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
PLACES = {
    "X": 0, "W": 1, "R": 2, "B": 3, "sequence_lens": 4, "initial_h": 5, "initial_c": 6, "P": 7,
}  # fmt: skip
NO_CLIP = 3e38  # exporters write the largest float32 for no limit


class Cell(NamedTuple):
    """A recurrent node with the equations of a layer type of this library."""

    node: Node
    direction: str
    batch_first: bool
    options: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of the node."""
        return self.node.name

    @property
    def op(self) -> str:
        """The operator: LSTM, GRU or RNN."""
        return self.node.op

    def reads(self, place: str) -> str:
        """The name of the input at that place, `""` if it is missing."""
        at = PLACES[place]
        return self.node.inputs[at] if len(self.node.inputs) > at else ""


def as_cell(node: Node) -> Cell:
    """Read the attributes of a recurrent node.

    Raises:
      ValueError: a quantised node, or equations that no layer type has.
    """
    from onnx import helper

    name = node.name
    if node.op not in GATES:
        kind = "quantised" if "Quant" in node.op else "not a standard operator of ONNX"
        raise ValueError(
            f"{name}: {node.op} is {kind} and not supported; export the model in floating point, "
            "with standard LSTM, GRU or RNN nodes"
        )
    options = {a.name: helper.get_attribute_value(a) for a in node.proto.attribute}
    direction = _text(options.get("direction", "forward"))
    if direction not in DIRECTIONS:
        raise ValueError(f"{name}: its direction is {direction!r}")
    expected = ACTIVATIONS[node.op] * DIRECTIONS[direction]
    activations = tuple(map(_text, options.get("activations", expected)))
    if tuple(map(str.lower, activations)) != expected:
        raise ValueError(
            f"{name}: has the activations {', '.join(activations)}, but jlstm has "
            f"{', '.join(expected)}"
        )
    clip = options.get("clip", NO_CLIP)
    if not isinstance(clip, (int, float)) or not abs(clip) >= NO_CLIP:
        raise ValueError(f"{name}: has clip={clip!r}, which is not supported")
    return Cell(node, direction, bool(options.get("layout", 0)), options)


def sizes(graph: Graph, cell: Cell) -> tuple[int, int, int]:
    """The number of directions, the input size and the hidden size."""
    w, r = (_weights(graph, cell, place) for place in "WR")
    return len(w), w.shape[-1], r.shape[-1]


def read_cells(graph: Graph, cell: Cell) -> list[PyTree]:
    """The weights of each direction."""
    arrays = {
        "W": _weights(graph, cell, "W"), "R": _weights(graph, cell, "R"),
        "B": _optional(graph, cell, "B"), "P": _optional(graph, cell, "P"),
    }  # fmt: skip
    _check_shapes(cell, arrays)
    given = {n: as_array(f"{cell.name}: {n}", a) for n, a in arrays.items() if a is not None}
    read = {"LSTM": _read_lstm, "GRU": _read_gru, "RNN": _read_rnn}[cell.op]
    cells = []
    for d in range(len(given["W"])):
        w, r = given["W"][d].T, given["R"][d].T
        b, p = (given[n][d] if n in given else None for n in "BP")
        cells.append(read(cell, w, r, b, p))
    return cells


def second_bias(graph: Graph, cell: Cell) -> bool:
    """Return True if both biases of the node are nonzero somewhere, so that their sum rounds."""
    b = _optional(graph, cell, "B")
    if b is None:
        return False
    first, second = jnp.split(jnp.asarray(b), 2, axis=1)
    if cell.options.get("linear_before_reset"):
        first, second = (a[:, : 2 * a.shape[1] // 3] for a in (first, second))
    return bool(((first != 0) & (second != 0)).any())


def _weights(graph: Graph, cell: Cell, place: str) -> Any:
    array = _optional(graph, cell, place)
    if array is None:
        raise ValueError(f"{cell.name}: has no input {place}")
    if array.ndim != 3:
        raise ValueError(f"{cell.name}: {place} must have 3 axes, got {array.shape}")
    return array


def _optional(graph: Graph, cell: Cell, place: str) -> Any:
    name = cell.reads(place)
    if not name or (place == "P" and cell.op != "LSTM"):
        return None
    try:
        free = graph.sources(name)
        if not free:
            return graph.constant(name)
    except ValueError as error:
        raise ValueError(f"{cell.name}: {place}: {error}") from None
    quantised = any("Quant" in op for op in graph.between(name))
    kind = "quantised" if quantised else "not a constant"
    raise ValueError(
        f"{cell.name}: {place} is {kind}: it depends on {', '.join(sorted(free))}; weights and "
        "biases must be constants of the model"
    )


def _check_shapes(cell: Cell, arrays: dict[str, Any]) -> None:
    hidden, directions = arrays["R"].shape[-1], DIRECTIONS[cell.direction]
    rows = GATES[cell.op] * hidden
    wanted = {
        "W": (directions, rows, arrays["W"].shape[-1]), "R": (directions, rows, hidden),
        "B": (directions, 2 * rows), "P": (directions, 3 * hidden),
    }  # fmt: skip
    for letter, array in arrays.items():
        if array is not None and array.shape != wanted[letter]:
            raise ValueError(f"{cell.name}: {letter} must be {wanted[letter]}, got {array.shape}")
    if cell.options.get("hidden_size", hidden) != hidden:
        stated = cell.options["hidden_size"]
        raise ValueError(f"{cell.name}: hidden_size is {stated}, R has {hidden}")


def _read_lstm(cell: Cell, w: Array, r: Array, b: Array | None, p: Array | None) -> PyTree:
    bias = zero_bias(r) if b is None else jnp.add(*jnp.split(b, 2))
    params = LSTMParams(*(reorder(a, FROM_ONNX) for a in (w, r, bias)))
    if not cell.options.get("input_forget"):
        return params if p is None else PeepholeParams(*params, reorder(p, PEEPHOLES))
    if p is not None and bool(p.any()):
        raise ValueError(f"{cell.name}: input_forget together with peepholes is not supported")
    return CoupledParams(*(_without_forget(a) for a in params))


def _read_gru(cell: Cell, w: Array, r: Array, b: Array | None, p: Array | None) -> PyTree:
    hidden = r.shape[0]
    input_bias, recurrent_bias = jnp.split(jnp.zeros(6 * hidden, r.dtype) if b is None else b, 2)
    w, r = (reorder(a, GRU_FROM_ONNX) for a in (w, r))
    if not cell.options.get("linear_before_reset"):
        return ChoGRUParams(w, r, reorder(input_bias + recurrent_bias, GRU_FROM_ONNX))
    gates_bias = recurrent_bias.at[2 * hidden :].set(0)
    bias = reorder(input_bias + gates_bias, GRU_FROM_ONNX)
    return GRUParams(w, r, bias, recurrent_bias[2 * hidden :])


def _read_rnn(cell: Cell, w: Array, r: Array, b: Array | None, p: Array | None) -> PyTree:
    return RNNParams(w, r, zero_bias(r) if b is None else jnp.add(*jnp.split(b, 2)))


def _without_forget(a: Array) -> Array:
    i, _, g, o = jnp.split(a, 4, axis=-1)
    return jnp.concatenate([i, g, o], axis=-1)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
