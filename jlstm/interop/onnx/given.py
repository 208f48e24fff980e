"""Checks of the lengths and initial states that recurrent nodes of an ONNX model take."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from jlstm.interop.onnx.graph import Graph
from jlstm.interop.onnx.nodes import Cell, sizes
from jlstm.interop.onnx.probe import Probe
from jlstm.interop.onnx.sizes import around, bounds


def lengths_of(graph: Graph, x: str, cell: Cell, places: Sequence[str], probe: Probe) -> str:
    """The source of the lengths of a node, `""` if they equal the time."""
    name = cell.reads("sequence_lens")
    if not name or "sequence_lens" not in places:
        return name and f"lengths {name}"
    value = np.ravel(probe.values[name])
    free = graph.sources(name, values=True)
    if not free:
        others = graph.sources(name) - graph.sources(x)
        if others and not probe.apart:  # their sizes were drawn equal to those of the layers
            raise ValueError(computed(graph, cell, "sequence_lens"))
        if value.size and (value == probe.time).all():
            return ""
        kind = "computed by the model" if graph.sources(name) else "constants of the model"
        raise ValueError(
            f"{cell.name}: its sequence_lens are {kind}, {listed(value)} for {probe.time} time "
            "steps; pass lengths to stack_scan"
        )
    for source in sorted(free):
        given = np.ravel(probe.drawn.get(source, np.zeros(0)))
        if len(free) == 1 and same(value, given):
            return f"lengths {source}"
    raise ValueError(computed(graph, cell, "sequence_lens"))


def check_long_lengths(
    graph: Graph, stack: Sequence[Sequence[Cell]], places: dict[str, list[str]],
    cut: tuple[str, ...], probe: Probe,
) -> None:  # fmt: skip
    """Check that lengths from an input are unchanged, also long ones and ones near constants."""
    rng = np.random.default_rng(1)
    for cell in itertools.chain(*stack):
        name = cell.reads("sequence_lens")
        free = graph.sources(name, values=True) if name else frozenset()
        if "sequence_lens" not in places[cell.name] or len(free) != 1:
            continue
        (source,) = free
        given = probe.drawn[source]
        if given.dtype.kind not in "iu":
            raise ValueError(computed(graph, cell, "sequence_lens"))
        most = min(10**6, np.iinfo(given.dtype).max)
        drawn = np.exp(rng.uniform(0, np.log(most), 8 * given.size)).astype(np.int64)
        edges = np.minimum(around(bounds(graph, [name], cut)), most)
        values = np.resize(rng.permutation([*drawn, *edges]), (8 + len(edges), given.size))
        for row in values:
            lengths = row.reshape(given.shape).astype(given.dtype)
            value = graph.compute([name], probe.drawn | {source: lengths})[name]
            if not same(np.ravel(value), row):
                raise ValueError(computed(graph, cell, "sequence_lens"))


def check_state(
    graph: Graph, cell: Cell, place: str, probe: Probe, constants: dict[str, np.ndarray]
) -> None:
    """Check that the initial state is a constant, or entries of inputs in their order."""
    name = cell.reads(place)
    state = np.asarray(probe.values[name])
    directions, _, hidden = sizes(graph, cell)
    state = state.swapaxes(0, 1) if cell.batch_first and state.ndim == 3 else state
    if state.ndim != 3 or state.shape[::2] != (directions, hidden):
        raise ValueError(
            f"{cell.name}: its {place} must be {(directions, 'batch', hidden)}, got {state.shape}"
        )
    free = graph.sources(name, values=True)
    if not free and same(state, np.broadcast_to(state[:, :1], state.shape)):
        if same(constants.setdefault(name, state[:, :1]), state[:, :1]):
            return
        raise ValueError(
            f"{cell.name}: its {place} is not a constant but depends on the time or the batch: for "
            f"{probe.time} time steps of {probe.batch} sequences it is {listed(state.ravel())}"
        )
    inputs = [probe.drawn[source] for source in sorted(free)]
    if not free or not all(any(_selects(part, a) for a in inputs) for part in state):
        raise ValueError(computed(graph, cell, place))


def _selects(state: np.ndarray, given: np.ndarray) -> bool:
    """Return True if `(batch, hidden)` are entries of an array, with the units in its order."""
    flat = given.ravel()
    if not flat.size or len(np.unique(flat)) != flat.size:
        return same(state.ravel(), flat)
    order = np.argsort(flat)
    at = np.minimum(np.searchsorted(flat[order], state), flat.size - 1)
    if not same(flat[order][at], state):
        return False
    steps = np.diff(order[at], axis=1)
    rows = np.diff(order[at][:, 0])
    return bool((steps > 0).all() and (steps == steps.ravel()[:1]).all() and (rows >= 0).all())


def computed(graph: Graph, cell: Cell, place: str) -> str:
    """The error message for a state or lengths that the model computes."""
    node = graph.makers.get(cell.reads(place))
    how = f"computed by a node {node.op}" if node else "the data of the first layer"
    given = "lengths" if place == "sequence_lens" else "states"
    return (
        f"{cell.name}: its {place} is {how}; nodes=[{cell.name!r}] takes its "
        f"weights only; pass the {given} to stack_scan"
    )


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Return True if two arrays have the same shape and entries."""
    return np.array_equal(a, b)


def listed(values: Any) -> str:
    """The first few values, as text."""
    text = ", ".join(str(value) for value in list(values)[:8])
    return text + (", ..." if len(values) > 8 else "")
