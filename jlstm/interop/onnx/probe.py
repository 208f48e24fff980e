"""Evaluation of an ONNX model between its recurrent nodes, on random values."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jlstm.interop.onnx.graph import Graph, Undecidable
from jlstm.interop.onnx.nodes import Cell, sizes
from jlstm.interop.onnx.sizes import bounds, more_sizes

# The first (time, batch), all different; `more_sizes` follow.
SIZES = ((5, 3), (4, 2), (7, 4), (2, 6))
MANY = 2**16  # draws of more numbers use a faster generator
CHAIN = 8  # the most values before the first node that are tried as its only source


class Probe(NamedTuple):
    """One evaluation of a model: its time and batch size, the drawn and the computed values."""

    time: int
    batch: int
    drawn: dict[str, np.ndarray]
    values: dict[str, Any]
    apart: bool  # True if the sizes of other axes differ from those of the layers


def cuts(graph: Graph, name: str) -> list[tuple[str, ...]]:
    """Choices of the values to draw in place of the inputs: this value, its sources, or none."""
    chain: list[tuple[str, ...]] = []
    while name and len(chain) < CHAIN:
        chain.append((name,))
        node = graph.makers.get(name)
        if node is None or node.recurrent:
            break
        name = next((i for i in node.inputs if i and graph.sources(i)), "")
    return [*chain, ()]


def probes(
    graph: Graph, stack: Sequence[Sequence[Cell]], wanted: Sequence[str], cut: tuple[str, ...]
) -> Iterator[Probe]:
    """Compute the wanted values for several draws of all that they depend on.

    Raises:
      ValueError: they cannot be computed at any of the sizes tried.
    """
    rng = np.random.default_rng(0)
    failure = ValueError("no sizes fit the model")
    seen: list[tuple[int, int]] = []
    for k, size in enumerate(SIZES):
        try:
            probe = _first(graph, stack, wanted, cut, size, k, rng)
        except Undecidable:
            raise
        except ValueError as error:
            failure = error
            continue
        seen.append((probe.time, probe.batch))
        yield probe
    if not seen:
        raise failure
    fixed = [set(axis) for axis in zip(*seen, strict=True) if len(set(axis)) == 1 < len(seen)]
    if len(fixed) == 2:
        return
    x = stack[0][0].reads("X")
    numbers = bounds(graph, [name for name in wanted if name != x], (*cut, x))
    numbers = numbers.difference(*fixed)
    for k, size in enumerate(more_sizes(graph, stack, numbers), len(SIZES)):
        try:
            yield _first(graph, stack, wanted, cut, size, k, rng)
        except Undecidable:
            raise
        except ValueError:
            continue  # the model does not support this size


def _first(
    graph: Graph, stack: Sequence[Sequence[Cell]], wanted: Sequence[str], cut: tuple[str, ...],
    size: tuple[int, int], k: int, rng: np.random.Generator,
) -> Probe:  # fmt: skip
    """The evaluation with the first choice of shapes that the model accepts."""
    failure = ValueError("no shapes fit the model")
    for apart, fill in itertools.product((True, False), range(4)):
        try:
            return _probe(graph, stack, wanted, cut, size, fill, apart, k, rng)
        except Undecidable:
            raise
        except ValueError as error:
            failure = error
    raise failure


def evaluations(
    graph: Graph, stack: Sequence[Sequence[Cell]], wanted: Sequence[str]
) -> Iterator[Probe]:
    """As `probes`, with the first cut that can be computed."""
    failure = None
    for cut in cuts(graph, stack[0][0].reads("X")):
        try:
            yield from probes(graph, stack, wanted, cut)
        except ValueError as error:
            failure = error
        else:
            return
    raise failure or ValueError("nothing can be computed")


def _probe(
    graph: Graph, stack: Sequence[Sequence[Cell]], wanted: Sequence[str], cut: tuple[str, ...],
    size: tuple[int, int], fill: int, apart: bool, k: int, rng: np.random.Generator,
) -> Probe:  # fmt: skip
    first = stack[0][0]
    x, features = first.reads("X"), sizes(graph, first)[1]
    recurrent = {o for node in graph.recurrent for o in node.outputs if o}
    free = set().union(*(graph.sources(name, cut) for name in (x, *wanted)))
    states = set().union(
        *(graph.sources(cell.reads(place), values=True) for cell in itertools.chain(*stack)
          for place in ("initial_h", "initial_c") if cell.reads(place))
    )  # fmt: skip
    named = _names(graph, x, first, size)
    drawn = {
        name: _draw(
            graph,
            name,
            _shape(graph, stack, name, size, fill, apart, named, name in cut),
            k,
            rng,
            distinct=name in states,
        )
        for name in sorted((free | set(cut)) - recurrent, key=lambda name: (name not in cut, name))
    }
    outer = {o for node in graph.recurrent for o in node.outputs} - set(_outputs(stack))
    drawn |= _recurrent_values(graph, free & outer, size, rng)
    taken = graph.compute([x], drawn)[x]
    if np.ndim(taken) != 3 or np.shape(taken)[2] != features:
        raise ValueError(
            f"its input {x} would have the shape {np.shape(taken)}, but not {features} features"
        )
    batch, time = np.shape(taken)[:2] if first.batch_first else np.shape(taken)[1::-1]
    for cell in itertools.chain(*stack):
        drawn |= _outputs_of(graph, cell, time, batch, k, rng)
    return Probe(time, batch, drawn, graph.compute([x, *wanted], drawn), apart)


def _outputs(stack: Sequence[Sequence[Cell]]) -> list[str]:
    return [o for cell in itertools.chain(*stack) for o in cell.node.outputs if o]


def _outputs_of(
    graph: Graph, cell: Cell, time: int, batch: int, k: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Random values with the shapes of a node's outputs."""
    directions, _, hidden = sizes(graph, cell)
    dtype = graph.constant(cell.reads("R")).dtype
    shapes = [(time, directions, batch, hidden), *[(directions, batch, hidden)] * 2]
    if cell.batch_first:
        shapes = [(batch, time, directions, hidden), *[(batch, directions, hidden)] * 2]
    return {
        name: _normal(shape, k, rng).astype(dtype)
        for name, shape in zip(cell.node.outputs, shapes, strict=False)
        if name
    }


def _recurrent_values(
    graph: Graph, names: set[str], size: tuple[int, int], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Random outputs of recurrent nodes outside of the stack, time-major."""
    from jlstm.interop.onnx.nodes import as_cell

    values: dict[str, np.ndarray] = {}
    for name in sorted(names):
        values |= _outputs_of(graph, as_cell(graph.makers[name]), *size, 0, rng)
    return values


def _normal(shape: Sequence[int], k: int, rng: np.random.Generator) -> np.ndarray:
    """Random numbers on the scale of draw `k`; odd draws have steps of zeros, as padding."""
    if np.prod(shape, dtype=int) > MANY:
        return rng.random(shape, np.float32) - np.float32(0.5)
    values = rng.normal(size=shape) * (0.5, 1.0, 8.0, 0.05)[k % 4]
    if k % 2 and len(shape) > 1:
        values *= rng.random((*shape[:-1], 1)) < 0.7
    return values


def _draw(
    graph: Graph, name: str, shape: Sequence[int], k: int, rng: np.random.Generator,
    distinct: bool,
) -> np.ndarray:  # fmt: skip
    """Random values of the declared dtype; if `distinct`, of both signs and unordered."""
    dtype = graph.dtype(name)
    if distinct and dtype.kind in "fiuV":
        count = int(np.prod(shape))
        return (rng.permutation(count) - count // 2 + 0.25).reshape(shape).astype(dtype)
    if dtype.kind == "O":
        return np.full(shape, "a", object)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if np.issubdtype(dtype, np.integer):
        most = (
            3 if len(shape) > 1 else 2 + 3 * (k % 4)
        )  # one axis may be lengths, more axes are tokens
        return rng.integers(0, most, shape).astype(dtype)
    return _normal(shape, k, rng).astype(dtype)


def _shape(
    graph: Graph, stack: Sequence[Sequence[Cell]], name: str, size: tuple[int, int], fill: int,
    apart: bool, named: dict[str, int], main: bool,
) -> list[int]:  # fmt: skip
    """A shape for a value: as declared, with free sizes according to the choice `fill`."""
    time, batch = size
    first = stack[0][0]
    directions, features, hidden = sizes(graph, first)
    declared = graph.shape(name)
    if declared is None and graph.dtype(name) != np.float32 and not main:
        declared = [None] * (1 + fill % 2)
    if declared is None and not main and fill % 2 == 0:
        return [8 * directions, batch, hidden]  # the states of all layers
    ordered = [batch, time] if first.batch_first else [time, batch]
    if declared is None:
        if name == first.reads("X"):
            return [*ordered, features]
        shapes = ([time, batch, features], [batch, time, features], [batch, features, time])
        return [*shapes, [batch, 1, features, time]][fill]
    if name == first.reads("X") and len(declared) == 3:
        ordered = [*ordered, features]
        return [
            d if isinstance(d, int) else size for d, size in zip(declared, ordered, strict=True)
        ]
    free = itertools.cycle((time, batch) if fill % 2 == 0 else (batch, time))
    shape = []
    for axis, d in enumerate(declared):
        if not isinstance(d, int) and main and fill >= 2 and axis == len(declared) - 1:
            d = features
        if not isinstance(d, int):
            offset = 0 if main or not apart else 1 + len(named)
            d = named.setdefault(d or f"{name}.{axis}", next(free) + offset)
        shape.append(d)
    return shape


def _names(graph: Graph, x: str, first: Cell, size: tuple[int, int]) -> dict[str, int]:
    """The names of the axes of the first layer's input, and their sizes."""
    declared = graph.shape(x) or []
    ordered = size[::-1] if first.batch_first else size
    if len(declared) != 3:
        return {}
    return {d: n for d, n in zip(declared, ordered, strict=False) if isinstance(d, str)}
