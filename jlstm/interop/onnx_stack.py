"""ONNX: which recurrent nodes are one stack, and the proof that they are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from jlstm.interop.onnx_graph import Graph, Node
from jlstm.interop.onnx_nodes import Cell, as_cell, sizes
from jlstm.interop.onnx_probe import Probe, cuts, probes

STATES = ("initial_h", "initial_c")
MOVES = {"Squeeze", "Unsqueeze", "Transpose", "Reshape", "Identity", "Concat", "Dropout", "Flatten"}

Stack = list[tuple[Cell, ...]]


def find_stack(graph: Graph, nodes: Sequence[str] | None) -> Stack:
    """The nodes of each layer, one of each or a forward and a reverse one, in order.

    Raises:
      ValueError: there is none, there is none of a name, or they are no one stack.
    """
    if not graph.recurrent:
        held = ", ".join(sorted({node.op for node in graph.nodes}))
        raise ValueError(f"model has no LSTM, GRU or RNN node; it holds {held}")
    chosen = graph.recurrent if nodes is None else _chosen(graph, nodes)
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

    What the model computes is evaluated on random numbers, at several times and batches where it
    allows several: the input of each layer is the output of the one before, lengths are the time
    or an input of the model, initial states are constants or inputs of the model.

    Args:
      graph: the model.
      stack: as `find_stack` gives it.
      chosen: whether the nodes were chosen by name; then states and lengths that the rest of the
        model computes are left to the caller.

    Raises:
      ValueError: they are no stack, with the node and the reason.
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
            for probe in probes(graph, stack, wanted, cut):
                _compare(graph, stack, places, probe)
        except ValueError as error:
            failure = error if cut or failure is None else _better(failure, error)
        else:
            return
    assert failure is not None
    first = stack[0][0].name
    message = str(failure)
    known = any(message.startswith(f"{cell.name}: ") for cell in itertools.chain(*stack))
    raise ValueError(message if known else f"{first}: what it takes is not clear: {message}")


def _better(first: ValueError, last: ValueError) -> ValueError:
    """Of the reasons of the last two attempts the one that names a recurrent node."""
    return first if "cannot be computed" in str(last) or "would have" in str(last) else last


def _check_sources(graph: Graph, stack: Stack) -> None:
    """Each layer depends on the output of the layer before it, and on nothing else."""
    for before, layer in itertools.pairwise(stack):
        names = " and ".join(cell.name for cell in before)
        outputs = {cell.node.outputs[0] for cell in before}
        lasts = {output for cell in before for output in cell.node.outputs[1:] if output}
        for cell in layer:
            free = graph.sources(cell.reads("X"), values=True)
            if free & lasts:
                raise ValueError(
                    f"{cell.name}: takes the last state of {names}, and a layer of a stack takes "
                    "the whole sequence"
                )
            if free != outputs:
                others = ", ".join(sorted(free - outputs))
                raise ValueError(
                    f"{cell.name}: takes {others} beside the output of {names}, and a layer of a "
                    "stack takes that alone"
                )


def _to_prove(graph: Graph, stack: Stack, cell: Cell, chosen: bool) -> list[str]:
    """The inputs of the node that have to be computed to know what they amount to."""
    own = {output for c in itertools.chain(*stack) for output in c.node.outputs if output}
    data = graph.sources(stack[0][0].reads("X"), values=True)
    found = ["X"]
    for place in ("sequence_lens", *STATES):
        name = cell.reads(place)
        if not name or (place == "initial_c" and cell.op != "LSTM"):
            continue
        free = graph.sources(name, values=True)
        if free & own:
            raise ValueError(
                f"{cell.name}: its {place} is computed by a node {graph.makers[name].op} from the "
                "layers of the stack, which stack_scan does not do"
            )
        if name in graph.inputs and name not in data:
            continue
        if chosen and (free & data or not free <= set(graph.inputs)):
            continue
        if not free <= set(graph.inputs) or free & data:
            raise ValueError(_computed(graph, cell, place))
        if graph.sources(name) or place == "sequence_lens":
            found.append(place)
    return found


def _computed(graph: Graph, cell: Cell, place: str) -> str:
    node = graph.makers.get(cell.reads(place))
    how = f"computed by a node {node.op}" if node else "the data of the first layer"
    given = "lengths" if place == "sequence_lens" else "states"
    return (
        f"{cell.name}: its {place} is {how}; nodes=[{cell.name!r}] takes its "
        f"weights all the same, and you give the {given} to stack_scan"
    )


def _compare(graph: Graph, stack: Stack, places: dict[str, list[str]], probe: Probe) -> None:
    cells = list(itertools.chain(*stack))
    lengths = [(cell, _lengths(graph, cell, places[cell.name], probe)) for cell in cells]
    (first, wanted), *others = lengths
    for cell, found in others:
        if found != wanted:
            raise ValueError(
                f"{cell.name}: takes {found or 'no lengths'}, {first.name} takes "
                f"{wanted or 'no lengths'}; a stack has the same for all layers"
            )
    for k, layer in enumerate(stack):
        for cell in layer:
            taken = probe.values[cell.reads("X")]
            if k == 0:
                same = probe.values[layer[0].reads("X")]
                if not _same(_time_major(cell, taken), _time_major(layer[0], same)):
                    raise ValueError(_no_stack([c.node for c in cells], None))
            else:
                _check_taken(graph, stack[k - 1], cell, _time_major(cell, taken), probe)
            for place in STATES:
                if place in places[cell.name]:
                    _check_state(graph, cell, place, probe)


def _check_taken(
    graph: Graph, before: Sequence[Cell], cell: Cell, taken: np.ndarray, probe: Probe
) -> None:
    """The layer takes the output of the layer before, direction beside direction."""
    outputs = []
    for earlier in before:
        y = probe.drawn[earlier.node.outputs[0]]
        y = y.swapaxes(0, 1) if earlier.batch_first else y.swapaxes(1, 2)
        outputs.append(y.reshape(probe.time, probe.batch, -1))
    shown = np.concatenate(outputs, axis=-1)
    if _same(taken, shown):
        return
    names = " and ".join(earlier.name for earlier in before)
    if taken.size == shown.size and _same(np.sort(taken, axis=None), np.sort(shown, axis=None)):
        raise ValueError(
            f"{cell.name}: the output of {names} comes in other axes than (time, batch, features) "
            "with one direction beside the other, as a stack has them"
        )
    between = graph.between(cell.reads("X"))
    ops = [op for op in between if op not in MOVES] or between
    how = "quantised" if any("Quant" in op for op in ops) else "changed"
    raise ValueError(
        f"{cell.name}: takes the output of {names} {how} by {', '.join(ops)}, and a stack has "
        "nothing between its layers but changes of axes"
    )


def _lengths(graph: Graph, cell: Cell, places: Sequence[str], probe: Probe) -> str:
    """The lengths of a node: nothing where they are the time, else where they come from."""
    name = cell.reads("sequence_lens")
    if not name or "sequence_lens" not in places:
        return name and f"lengths {name}"
    value = np.ravel(probe.values[name])
    free = graph.sources(name, values=True)
    if not free:
        if value.size and (value == probe.time).all():
            return ""
        kind = "computed by the model" if graph.sources(name) else "constants of the model"
        raise ValueError(
            f"{cell.name}: its sequence_lens are {kind}, {_some(value)} for {probe.time} time "
            "steps; give lengths to stack_scan"
        )
    for source in sorted(free):
        given = np.ravel(probe.drawn.get(source, np.zeros(0)))
        if len(free) == 1 and _same(np.sort(value), np.sort(given)):
            return f"lengths {source}"
    raise ValueError(_computed(graph, cell, "sequence_lens"))


def _check_state(graph: Graph, cell: Cell, place: str, probe: Probe) -> None:
    """The initial state is a constant for every sequence, or entries of inputs in their order."""
    name = cell.reads(place)
    state = np.asarray(probe.values[name])
    directions, _, hidden = sizes(graph, cell)
    state = state.swapaxes(0, 1) if cell.batch_first and state.ndim == 3 else state
    if state.ndim != 3 or state.shape[::2] != (directions, hidden):
        raise ValueError(
            f"{cell.name}: its {place} must be {(directions, 'batch', hidden)}, got {state.shape}"
        )
    free = graph.sources(name, values=True)
    if not free and (state == state[:, :1]).all():
        return
    inputs = [probe.drawn[source] for source in sorted(free)]
    if not free or not all(any(_selects(part, a) for a in inputs) for part in state):
        raise ValueError(_computed(graph, cell, place))


def _selects(state: np.ndarray, given: np.ndarray) -> bool:
    """Whether `(batch, hidden)` are entries of an array, with the units in its order."""
    flat = given.ravel()
    if not flat.size or len(np.unique(flat)) != flat.size:
        return _same(state.ravel(), flat)
    order = np.argsort(flat)
    at = np.minimum(np.searchsorted(flat[order], state), flat.size - 1)
    if not _same(flat[order][at], state):
        return False
    steps = np.diff(order[at], axis=1)
    rows = np.diff(order[at][:, 0])
    return bool((steps > 0).all() and (steps == steps.ravel()[:1]).all() and (rows >= 0).all())


def _time_major(cell: Cell, array: Any) -> np.ndarray:
    return array.swapaxes(0, 1) if cell.batch_first and np.ndim(array) == 3 else np.asarray(array)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a, b)


def _chosen(graph: Graph, nodes: Sequence[str]) -> list[Node]:
    if isinstance(nodes, str) or not nodes:
        raise ValueError(f"nodes must be a list of names of recurrent nodes, got {nodes!r}")
    found = []
    for name in nodes:
        named = [node for node in graph.recurrent if name == node.name or name in node.outputs]
        if len(named) != 1:
            held = _some([node.name for node in graph.recurrent])
            many = "no" if not named else f"{len(named)} different"
            raise ValueError(f"model has {many} recurrent node {name!r}, but: {held}")
        found += named
    if len({node.name for node in found}) < len(nodes):
        raise ValueError(f"nodes has a name twice: {_some(nodes)}")
    return found


def _no_stack(nodes: Sequence[Node], chosen: Sequence[str] | None) -> str:
    inner = sum("_branch/" in node.name for node in nodes)
    where = f", {inner} of them in branches of an If" if inner else ""
    names = ", ".join(f"{node.name!r} ({node.op})" for node in nodes)
    asked = "are chosen and are" if chosen is not None else "of the model are"
    return (
        f"{len(nodes)} recurrent nodes {asked} no one stack{where}: {names}; "
        "from_onnx(model, nodes=[...]) takes one of them, or those of one stack"
    )


def _some(values: Any) -> str:
    shown = ", ".join(str(value) for value in list(values)[:8])
    return shown + (", ..." if len(values) > 8 else "")
