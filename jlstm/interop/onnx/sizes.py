"""Times and batch sizes at which constants of an ONNX model could change its computation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from jlstm.interop.onnx.graph import Graph
from jlstm.interop.onnx.nodes import Cell, sizes

MOST = 20_000  # the most time steps or sequences of a probe
END = 2**31 - 1  # exporters write this or more for "to the end"
TIMES, BATCHES = 2**24, 2**21  # the most entries of a value in a long, or wide, probe
LONG = 2**20  # entries of the outputs of all layers in the long probe of every model
SQUARE = 32  # up to this number, one probe tries it as time and as batch
FEW = 16  # constants of up to this size may be bounds; larger ones are weights
# Attributes that name axes, types and choices, and are no bounds.
NO_BOUNDS = {"perm", "axes", "axis", "to", "keepdims", "allowzero", "hidden_size", "layout"}


def bounds(graph: Graph, names: Iterable[str], cut: Sequence[str]) -> set[int]:
    """The integers from 2 to END with which these values are computed."""
    numbers: set[int] = set()
    known, left = set(cut), list(names)
    while left:
        name = left.pop()
        node = graph.makers.get(name)
        if name in known or not name or name in graph.inputs:
            continue
        known.add(name)
        if not graph.sources(name, cut):
            numbers |= _numbers(graph.constant(name))
        elif node is not None and not node.recurrent:
            numbers |= _attributes(node.proto)
            left += node.reads
    return numbers


def around(numbers: Iterable[int]) -> list[int]:
    """The numbers and their neighbours."""
    return sorted({n + step for n in numbers for step in (-1, 0, 1)})


def more_sizes(
    graph: Graph, stack: Sequence[Sequence[Cell]], numbers: set[int]
) -> Iterator[tuple[int, int]]:
    """Pairs of time and batch size around the numbers, and one with a long time."""
    cells = [cell for layer in stack for cell in layer]
    known = [sizes(graph, cell) for cell in cells]
    widths = [directions * hidden for directions, _, hidden in known]
    # The sizes of the layers occur in shapes; those too large to be tried are not taken as bounds.
    explained = {n for _, inputs, hidden in known for n in (inputs, hidden, 2 * hidden)}
    most_time, most_batch = (min(MOST, most // (2 * max(widths))) for most in (TIMES, BATCHES))
    beyond = [n for n in sorted(numbers - explained) if n >= most_time]
    if beyond:
        raise ValueError(
            f"the model computes with the number {beyond[0]} there, which may be a bound, but at "
            f"most {most_time} time steps can be tried"
        )
    numbers = {n for n in numbers if n < most_time}
    yield from ((1, 1), (1, 3), (5, 1))
    small = [n for n in around(numbers) if n <= SQUARE]
    yield from ((n, n) for n in small)
    for n in around(numbers):
        if n > SQUARE:
            yield n, 2
            if n <= most_batch:
                yield 2, n
    if numbers:
        yield max(numbers) + 1, 1
        yield 1, min(max(numbers) + 1, most_batch)
    yield max(2, min(MOST, LONG // (2 * sum(widths)))), 2


def _numbers(value: Any) -> set[int]:
    array = np.asarray(value)
    if array.size > FEW or array.dtype.kind not in "iuf":
        return set()
    with np.errstate(invalid="ignore"):
        sizes = np.abs(array.astype(np.float64)).ravel()
    return {int(np.ceil(size)) for size in sizes if 1 < size < END}


def _attributes(proto: Any) -> set[int]:
    """The numbers in the attributes of a node, and in its subgraphs."""
    from onnx import numpy_helper

    numbers: set[int] = set()
    for attribute in proto.attribute:
        if attribute.name in NO_BOUNDS:
            continue
        numbers |= _numbers(np.array([attribute.f, *attribute.floats], np.float64))
        numbers |= _numbers(np.array([attribute.i, *attribute.ints], np.int64))
        if attribute.HasField("t"):
            numbers |= _numbers(numpy_helper.to_array(attribute.t))
        if attribute.HasField("g"):
            for tensor in attribute.g.initializer:
                numbers |= _numbers(numpy_helper.to_array(tensor))
            for node in attribute.g.node:
                numbers |= _attributes(node)
    return numbers
