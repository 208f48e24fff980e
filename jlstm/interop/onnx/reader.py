"""Stacks from the recurrent nodes of an ONNX model. Imports onnx on use."""

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
    from jlstm.types import Array, PyTree


def from_onnx(model: Any, nodes: Sequence[str] | None = None) -> tuple[PyTree, ...]:
    """Convert the `LSTM`, `GRU` and `RNN` nodes of a model to layers.

    The two biases of a node are added, which rounds once. The nodes must form one stack: each takes
    the output of the node before it, and the nodes between them change its axes only. This, and the
    meaning of lengths and initial states, is checked with ONNX's reference evaluator on random
    numbers at several times and batch sizes, including those around constants of the model; a model
    with constants too large for this raises an error. Constants may be computed in the model;
    functions and subgraphs are searched as well, and an initializer is a constant even if an input
    has its name. A node inside a Loop or Scan is taken only by name.

    Computations before and after the stack are not converted, and neither are initial states;
    `onnx_states` returns the constant ones. Weights do not depend on the layout of inputs;
    `jlstm.stack_scan` takes `xs` time-major. With `input_forget` the weights of the forget gate are
    unused and are dropped.

    Args:
      model: an `onnx.ModelProto`, its bytes, or its path.
      nodes: the names of the nodes of the stack, or of their outputs; None takes all. States and
        lengths of named nodes may be computed by the rest of the model; they are not converted.

    Returns:
      A tuple of `LSTMParams`, `PeepholeParams`, `CoupledParams`, `GRUParams` (for
      `linear_before_reset=1`), `ChoGRUParams` or `RNNParams`, or of `BiLSTMParams` with two;
      `BiLSTMParams(None, backward)` for a node that runs in reverse only.

    Raises:
      ValueError: no such node; nodes that do not form a stack; weights that are quantised or not
        constant; other activations, clipping; lengths or states that the model computes.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 4), bidirectional=True)
      >>> back = jlstm.interop.from_onnx(jlstm.interop.to_onnx(layers))
      >>> bool((back[1].backward.weight_hh == layers[1].backward.weight_hh).all())
      True
    """
    return layers_of(*read_stack(model, nodes))


def layers_of(graph: Graph, stack: Stack) -> tuple[PyTree, ...]:
    """The layers of a stack that `read_stack` returned."""
    layers = []
    for cells in stack:
        layer = as_layer([params for cell in cells for params in read_cells(graph, cell)])
        reverse = [cell.direction for cell in cells] == ["reverse"]
        layers.append(BiLSTMParams(None, layer) if reverse else layer)
    check_widths(layers)
    return tuple(layers)


def onnx_states(model: Any, nodes: Sequence[str] | None = None) -> tuple[PyTree, ...]:
    """Read the initial states that are constants of the model, one entry per layer.

    Args:
      model: as for `from_onnx`.
      nodes: as for `from_onnx`.

    Returns:
      A tuple for `stack_scan`: `LSTMState`, `h` alone for a GRU or RNN, `BiLSTMState`; None for
      zeros, and for states that are inputs of the model or that it computes. A constant has shape
      `(batch, hidden)` for a fixed batch size, or `(hidden,)` if the model repeats it for every
      sequence: `jlstm.broadcast_state` adds the batch axes.

    Raises:
      ValueError: as in `from_onnx`; only one of `initial_h` and `initial_c` is a constant.
    """
    return states_of(*read_stack(model, nodes))


def states_of(graph: Graph, stack: Stack) -> tuple[PyTree, ...]:
    """The constant initial states of a stack that `read_stack` returned."""
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
    """Return True if a node has two nonzero biases, so that their sum rounds."""
    return any(second_bias(graph, cell) for cells in stack for cell in cells)


def read_stack(model: Any, nodes: Sequence[str] | None = None) -> tuple[Graph, Stack]:
    """Return the graph of a model and its recurrent nodes as a stack, checked."""
    graph = Graph(model)
    stack = find_stack(graph, nodes)
    prove_stack(graph, stack, chosen=nodes is not None)
    return graph, stack


def _constant_states(graph: Graph, stack: Stack, cell: Cell) -> list[PyTree]:
    """The state of each direction, None if it is zero or not a constant."""
    places = STATES if cell.op == "LSTM" else STATES[:1]
    names = {place: cell.reads(place) for place in places}
    constant = {p: not name or not graph.sources(name, values=True) for p, name in names.items()}
    arrays = {
        place: _constant(graph, stack, names[place], cell)
        for place in places
        if names[place] and constant[place]
    }
    if not any(array.any() for array in arrays.values()):
        return [None]
    if not all(constant.values()):
        given, other = sorted(places, key=lambda place: not constant[place])
        raise ValueError(f"{cell.name}: {given} is a constant, {other} is not")
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) > 1:
        raise ValueError(f"{cell.name}: its initial states have the shapes {sorted(shapes)}")
    like = next(iter(arrays.values()))
    states = [_by_direction(cell, arrays.get(place), like) for place in places]
    if cell.op != "LSTM":
        return list(states[0])
    return [LSTMState(h, c) for h, c in zip(*states, strict=True)]


def _by_direction(cell: Cell, array: Any, like: Any) -> Array:
    """A state as `(directions, batch, hidden)`; a missing one is zero."""
    array = np.zeros_like(like) if array is None else array
    swapped = cell.batch_first and array.ndim == 3
    return as_array(cell.name, array.swapaxes(0, 1) if swapped else array)


def _constant(graph: Graph, stack: Stack, name: str, cell: Cell) -> np.ndarray:
    """A constant state; without its batch axis if the model repeats it for every sequence."""
    if not graph.sources(name):
        return graph.constant(name)
    state = next(evaluations(graph, stack, [name])).values[name]
    return state[0] if cell.batch_first else state[:, 0]
