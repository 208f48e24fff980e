"""ONNX: stacks from the recurrent nodes of a model. Imports onnx on use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jlstm.interop.arrays import as_array, as_layer, check_widths
from jlstm.interop.onnx.graph import Graph
from jlstm.interop.onnx.nodes import Cell, read_cells, second_bias
from jlstm.interop.onnx.probe import evaluations
from jlstm.interop.onnx.stack import STATES, Stack, find_stack, prove_stack
from jlstm.types import BiLSTMParams, BiLSTMState, LSTMState

if TYPE_CHECKING:
    from jlstm.shapes import Array, PyTree


def from_onnx(model: Any, nodes: Sequence[str] | None = None) -> tuple[PyTree, ...]:
    """The layers of a model's `LSTM`, `GRU` and `RNN` nodes.

    Two biases of a node are added, which rounds once. The nodes have to be one stack: each takes
    what the one before it outputs, and nothing between them changes it but its axes. That, and
    what lengths and initial states amount to, is decided by ONNX's reference evaluator on random
    numbers at several times and batches, those around the model's own numbers among them; a model
    whose numbers are beyond what can be tried is refused. Constants may be computed in the model;
    functions and subgraphs are searched too, and an initializer is a constant even if an input has
    its name. A node that a Loop or Scan repeats is taken by name alone.

    What the model computes before and after the stack is left to you, and so are its initial
    states: `onnx_states` has those that are constants. Weights do not depend on the layout of
    inputs; `jlstm.stack_scan` takes `xs` time-major. With `input_forget` the forget gate's weights
    are not used, and not kept.

    Args:
      model: an `onnx.ModelProto`, the bytes of one, or its path.
      nodes: the names of the nodes that are the stack, or of their outputs; None takes all. Of
        chosen nodes, states and lengths that the rest of the model computes are left to you.

    Returns:
      A tuple of layers: `LSTMParams`, `PeepholeParams`, `CoupledParams`, `GRUParams` (of
      `linear_before_reset=1`), `ChoGRUParams` or `RNNParams`, `BiLSTMParams` of two, or, where a
      node runs in reverse alone, `BiLSTMParams(None, backward)`.

    Raises:
      ValueError: no such node; nodes that are no stack; weights that are no constants or quantised;
        other activations, clipping; lengths or states that the model computes.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 4), bidirectional=True)
      >>> back = jlstm.interop.from_onnx(jlstm.interop.to_onnx(layers))
      >>> bool((back[1].backward.weight_hh == layers[1].backward.weight_hh).all())
      True
    """
    return layers_of(*read_stack(model, nodes))


def layers_of(graph: Graph, stack: Stack) -> tuple[PyTree, ...]:
    """The layers of a stack that was found in a model."""
    layers = []
    for cells in stack:
        layer = as_layer([params for cell in cells for params in read_cells(graph, cell)])
        reverse = [cell.direction for cell in cells] == ["reverse"]
        layers.append(BiLSTMParams(None, layer) if reverse else layer)
    check_widths(layers)
    return tuple(layers)


def onnx_states(model: Any, nodes: Sequence[str] | None = None) -> tuple[PyTree, ...]:
    """The initial states that are constants of the model, one entry a layer.

    Args:
      model: as for `from_onnx`.
      nodes: as for `from_onnx`.

    Returns:
      A tuple as `stack_scan` takes it: `LSTMState`, `h` alone of a GRU or RNN, `BiLSTMState`; None
      for zeros, and for states that are inputs of the model or that it computes. A constant is
      `(batch, hidden)`, for the one batch size that it was made for, or, where the model repeats
      it for every sequence, `(hidden,)`: `jlstm.broadcast_state` gives it a batch.

    Raises:
      ValueError: as `from_onnx`; of `initial_h` and `initial_c` one is a constant, and the other is
        not.
    """
    return states_of(*read_stack(model, nodes))


def states_of(graph: Graph, stack: Stack) -> tuple[PyTree, ...]:
    """The constant initial states of a stack that was found in a model."""
    states = []
    for cells in stack:
        parts = [part for cell in cells for part in _constant_states(graph, stack, cell)]
        if not any(part is not None for part in parts):
            states.append(None)
            continue
        if [cell.direction for cell in cells] == ["reverse"]:
            parts = [None, *parts]
        states.append(BiLSTMState(*parts) if len(parts) == 2 else parts[0])
    return tuple(states)


def adds_biases(graph: Graph, stack: Stack) -> bool:
    """Return whether a node has two biases that are not zero, so that their sum rounds."""
    return any(second_bias(graph, cell) for cells in stack for cell in cells)


def read_stack(model: Any, nodes: Sequence[str] | None = None) -> tuple[Graph, Stack]:
    """The graph of a model, and its recurrent nodes as a stack, checked."""
    graph = Graph(model)
    stack = find_stack(graph, nodes)
    prove_stack(graph, stack, chosen=nodes is not None)
    return graph, stack


def _constant_states(graph: Graph, stack: Stack, cell: Cell) -> list[PyTree]:
    """The state of each direction, None where it is zero or no constant."""
    places = STATES if cell.op == "LSTM" else STATES[:1]
    names = {place: cell.reads(place) for place in places}
    constant = {p: not name or not graph.sources(name, values=True) for p, name in names.items()}
    found = {p: _constant(graph, stack, names[p], cell) for p in places if names[p] and constant[p]}
    if not any(array.any() for array in found.values()):
        return [None]
    if not all(constant.values()):
        given, other = sorted(places, key=lambda place: not constant[place])
        raise ValueError(f"{cell.name}: {given} is a constant, {other} is not")
    shapes = {array.shape for array in found.values()}
    if len(shapes) > 1:
        raise ValueError(f"{cell.name}: its initial states have the shapes {sorted(shapes)}")
    arrays = [_of_directions(cell, found.get(p), next(iter(found.values()))) for p in places]
    if cell.op != "LSTM":
        return list(arrays[0])
    return [LSTMState(h, c) for h, c in zip(*arrays, strict=True)]


def _of_directions(cell: Cell, array: Any, like: Any) -> Array:
    """A state as `(directions, batch, hidden)`; one that is not given is zero."""
    array = np.zeros_like(like) if array is None else array
    swapped = cell.batch_first and array.ndim == 3
    return as_array(cell.name, array.swapaxes(0, 1) if swapped else array)


def _constant(graph: Graph, stack: Stack, name: str, cell: Cell) -> np.ndarray:
    """A constant state; one that is repeated for every sequence without its batch axis."""
    if not graph.sources(name):
        return graph.constant(name)
    state = next(evaluations(graph, stack, [name])).values[name]
    return state[0] if cell.batch_first else state[:, 0]
