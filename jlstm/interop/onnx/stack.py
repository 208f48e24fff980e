"""The recurrent nodes of an ONNX model that form one stack, and the proof that they do."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from jlstm.interop.onnx.evaluate import Node
from jlstm.interop.onnx.given import (
    check_long_lengths,
    check_state,
    computed,
    lengths_of,
    listed,
    same,
)
from jlstm.interop.onnx.graph import Graph
from jlstm.interop.onnx.nodes import Cell, as_cell
from jlstm.interop.onnx.probe import Probe, cuts, probes

STATES = ("initial_h", "initial_c")
MOVES = {"Squeeze", "Unsqueeze", "Transpose", "Reshape", "Identity", "Concat", "Dropout", "Flatten"}

Stack = list[tuple[Cell, ...]]


def find_stack(graph: Graph, nodes: Sequence[str] | None) -> Stack:
    """The nodes of each layer in order: one, or a forward and a reverse one.

    Raises:
      ValueError: no recurrent node, none of a name, or nodes that do not form one stack.
    """
    if not graph.recurrent:
        held = ", ".join(sorted({node.op for node in graph.nodes}))
        raise ValueError(f"model has no LSTM, GRU or RNN node; it holds {held}")
    chosen = graph.recurrent if nodes is None else _chosen(graph, nodes)
    for node in chosen:
        if not node.inputs or not node.inputs[0]:
            raise ValueError(f"{node.name}: has no input X")
        if nodes is None and node.name in graph.repeated:
            raise ValueError(
                f"{node.name}: is inside the node {graph.repeated[node.name]}, which runs it "
                f"several times; nodes=[{node.name!r}] takes its weights only"
            )
    makers = {output: node.name for node in chosen for output in node.outputs if output}
    parents = {
        node.name: {makers[s] for s in graph.sources(node.inputs[0], values=True) if s in makers}
        for node in chosen
    }
    stack: Stack = []
    before: set[str] = set()
    remaining = list(chosen)
    while remaining:
        layer = [node for node in remaining if parents[node.name] == before]
        cells = tuple(map(as_cell, layer))
        if len(cells) == 2 and cells[0].op == cells[1].op:
            cells = tuple(sorted(cells, key=lambda cell: cell.direction))
        paired = [cell.direction for cell in cells] == ["forward", "reverse"]
        if len(layer) != 1 and not paired:
            raise ValueError(_no_stack(chosen, nodes))
        stack.append(cells)
        before = {node.name for node in layer}
        remaining = [node for node in remaining if node not in layer]
    return stack


def prove_stack(graph: Graph, stack: Stack, chosen: bool) -> None:
    """Check that `stack_scan` computes what the model computes between these nodes.

    The model is evaluated on random numbers, at several times and batch sizes where it allows
    several: the input of each layer must be the output of the layer before it, lengths the time or
    an input of the model, initial states constants or inputs of the model.

    Args:
      graph: the model.
      stack: the nodes, as `find_stack` returns them.
      chosen: True for nodes that were chosen by name: states and lengths that the rest of the model
        computes are then left to the caller.

    Raises:
      ValueError: nodes that do not form a stack, with the node and the reason.
    """
    _check_sources(graph, stack)
    cells = list(itertools.chain(*stack))
    places = {cell.name: _to_prove(graph, stack, cell, chosen) for cell in cells}
    wanted = list(dict.fromkeys(c.reads(place) for c in cells for place in places[c.name]))
    if len(wanted) > 1 or len(cells) > 1 or places[cells[0].name] != ["X"]:
        _prove(graph, stack, places, wanted)


def _prove(graph: Graph, stack: Stack, places: dict[str, list[str]], wanted: list[str]) -> None:
    failure: ValueError | None = None
    tried = cuts(graph, stack[0][0].reads("X"))
    for cut in tried:
        try:
            constants: dict[str, np.ndarray] = {}
            for k, probe in enumerate(probes(graph, stack, wanted, cut)):
                _compare(graph, stack, places, probe, constants)
                if k == 0:
                    check_long_lengths(graph, stack, places, cut, probe)
        except ValueError as error:
            failure = error if cut or failure is None else _better(failure, error)
        else:
            return
    assert failure is not None
    first = stack[0][0].name
    message = str(failure)
    known = any(message.startswith(f"{cell.name}: ") for cell in itertools.chain(*stack))
    raise ValueError(message if known else f"{first}: its inputs cannot be evaluated: {message}")


def _better(first: ValueError, last: ValueError) -> ValueError:
    """Choose the more specific of the errors of the last two attempts."""
    return first if "cannot be computed" in str(last) or "would have" in str(last) else last


def _check_sources(graph: Graph, stack: Stack) -> None:
    """Check that each layer depends only on the output of the layer before it."""
    for before, layer in itertools.pairwise(stack):
        names = " and ".join(cell.name for cell in before)
        outputs = {cell.node.outputs[0] for cell in before}
        lasts = {output for cell in before for output in cell.node.outputs[1:] if output}
        for cell in layer:
            free = graph.sources(cell.reads("X"), values=True)
            if free & lasts:
                raise ValueError(
                    f"{cell.name}: takes the last state of {names}, but a layer of a stack takes "
                    "the whole sequence"
                )
            if free != outputs:
                others = ", ".join(sorted(free - outputs))
                raise ValueError(
                    f"{cell.name}: takes {others} beside the output of {names}, but a layer of a "
                    "stack takes that output only"
                )


def _to_prove(graph: Graph, stack: Stack, cell: Cell, chosen: bool) -> list[str]:
    """The inputs of the node that have to be evaluated."""
    outputs = {output for c in itertools.chain(*stack) for output in c.node.outputs if output}
    data = graph.sources(stack[0][0].reads("X"), values=True)
    places = ["X"]
    for place in ("sequence_lens", *STATES):
        name = cell.reads(place)
        if not name or (place == "initial_c" and cell.op != "LSTM"):
            continue
        free = graph.sources(name, values=True)
        if free & outputs:
            raise ValueError(
                f"{cell.name}: its {place} is computed by a node {graph.makers[name].op} from the "
                "layers of the stack, which stack_scan does not support"
            )
        if name in graph.inputs and name not in data:
            continue
        if chosen and (free & data or not free <= set(graph.inputs)):
            continue
        if not free <= set(graph.inputs) or free & data:
            raise ValueError(computed(graph, cell, place))
        if graph.sources(name) or place == "sequence_lens":
            places.append(place)
    return places


def _compare(
    graph: Graph, stack: Stack, places: dict[str, list[str]], probe: Probe,
    constants: dict[str, np.ndarray],
) -> None:  # fmt: skip
    cells = list(itertools.chain(*stack))
    lengths = [
        (cell, lengths_of(graph, cells[0].reads("X"), cell, places[cell.name], probe))
        for cell in cells
    ]
    (first, wanted), *others = lengths
    for cell, given in others:
        if given != wanted:
            raise ValueError(
                f"{cell.name}: takes {given or 'no lengths'}, {first.name} takes "
                f"{wanted or 'no lengths'}; the layers of a stack have the same lengths"
            )
    for k, layer in enumerate(stack):
        for cell in layer:
            taken = probe.values[cell.reads("X")]
            if 1 in (probe.time, probe.batch) and np.ndim(taken) != 3:
                continue  # a Squeeze removed an axis of size 1: the model fails at this size
            if k == 0:
                shared = probe.values[layer[0].reads("X")]
                if not same(_time_major(cell, taken), _time_major(layer[0], shared)):
                    raise ValueError(_no_stack([c.node for c in cells], None))
            else:
                _check_taken(graph, stack[k - 1], cell, _time_major(cell, taken), probe)
            for place in STATES:
                if place in places[cell.name]:
                    check_state(graph, cell, place, probe, constants)


def _check_taken(
    graph: Graph, before: Sequence[Cell], cell: Cell, taken: np.ndarray, probe: Probe
) -> None:
    """Check that `cell` takes the output of `before`, with time, batch and directions in order."""
    outputs = []
    for earlier in before:
        y = probe.drawn[earlier.node.outputs[0]]
        y = y.swapaxes(0, 1) if earlier.batch_first else y.swapaxes(1, 2)
        outputs.append(y.reshape(probe.time, probe.batch, -1))
    output = np.concatenate(outputs, axis=-1)
    if same(taken, output):
        return
    names = " and ".join(earlier.name for earlier in before)
    if taken.size == output.size and same(np.sort(taken, axis=None), np.sort(output, axis=None)):
        raise ValueError(
            f"{cell.name}: takes the output of {names} in another order of axes than (time, batch, "
            "features) with the directions concatenated"
        )
    between = graph.between(cell.reads("X"))
    ops = [op for op in between if op not in MOVES] or between
    how = "quantised" if any("Quant" in op for op in ops) else "changed"
    raise ValueError(
        f"{cell.name}: takes the output of {names} {how} by {', '.join(ops)}, but between the "
        "layers of a stack only axes may change"
    )


def _time_major(cell: Cell, array: Any) -> np.ndarray:
    return array.swapaxes(0, 1) if cell.batch_first and np.ndim(array) == 3 else np.asarray(array)


def _chosen(graph: Graph, nodes: Sequence[str]) -> list[Node]:
    if isinstance(nodes, str) or not nodes:
        raise ValueError(f"nodes must be a list of names of recurrent nodes, got {nodes!r}")
    chosen = []
    for name in nodes:
        named = [node for node in graph.recurrent if name == node.name or name in node.outputs]
        if len(named) != 1:
            held = listed([node.name for node in graph.recurrent])
            many = "no" if not named else f"{len(named)} different"
            raise ValueError(f"model has {many} recurrent node {name!r}, but: {held}")
        chosen += named
    if len({node.name for node in chosen}) < len(nodes):
        raise ValueError(f"nodes has a name twice: {listed(nodes)}")
    return chosen


def _no_stack(nodes: Sequence[Node], chosen: Sequence[str] | None) -> str:
    inner = sum("_branch/" in node.name for node in nodes)
    where = f", {inner} of them in branches of an If" if inner else ""
    names = ", ".join(f"{node.name!r} ({node.op})" for node in nodes)
    source = "chosen" if chosen is not None else "of the model"
    return (
        f"{len(nodes)} recurrent nodes {source} do not form one stack{where}: {names}; "
        "from_onnx(model, nodes=[...]) takes one of them, or those of one stack"
    )
