"""The values of an ONNX model: their dependencies and their computation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jlstm.interop.onnx.evaluate import Node, evaluate
from jlstm.interop.onnx.flat import FlatGraph

RANDOM = {
    "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli",
    "Multinomial",
}  # fmt: skip


class Undecidable(ValueError):
    """An error at every size: an If whose branches differ, an unknown operator."""


class Graph(FlatGraph):
    """A flat graph with the dependencies between its values, and their computation."""

    def __init__(self, model: Any):
        super().__init__(model)
        self.constants: dict[str, np.ndarray] = {}
        self._dependencies: dict[tuple[frozenset[str], bool], dict[str, frozenset[str]]] = {}

    def sources(self, name: str, cut: Iterable[str] = (), values: bool = False) -> frozenset[str]:
        """The free values that a value depends on: inputs, outputs of recurrent nodes, `cut`.

        With `values`, dependence on their shapes alone does not count.
        """
        cut = frozenset(cut)
        known = self._dependencies.setdefault((cut, values), {})
        stack, entered = [name], set()
        while stack:
            top = stack[-1]
            reads = self._reads(top, cut, values) if top not in known else ()
            missing = [read for read in reads if read not in known]
            if missing and top not in entered:
                entered.add(top)
                stack += missing
                continue
            if missing:
                raise ValueError(f"the graph of the model has a cycle: {top!r} depends on itself")
            if top not in known:
                free = not reads and self._free(top, cut)
                below = [known[read] for read in reads]
                known[top] = frozenset([top]) if free else frozenset[str]().union(*below)
            stack.pop()
        return known[name]

    def between(self, name: str) -> list[str]:
        """The operators between a value and the free values that it depends on."""
        ops, names = [], [name]
        for name in names:
            node = self.makers.get(name)
            if node is None or node.recurrent or not self.sources(name, values=True):
                continue
            ops.append(node.op)
            names += [read for read in node.reads if read not in names]
        return list(dict.fromkeys(reversed(ops)))

    def _free(self, name: str, cut: frozenset[str]) -> bool:
        node = self.makers.get(name)
        if name in cut or name in self.inputs:
            return True
        return node is not None and (node.recurrent or node.op in RANDOM or _trains(self, node))

    def _reads(self, name: str, cut: frozenset[str], values: bool) -> tuple[str, ...]:
        """The values from which this value is computed."""
        node = self.makers.get(name)
        if name in self.constants or name in self.tensors or self._free(name, cut):
            return ()
        if node is None:
            raise ValueError(f"{name!r} is neither an output of a node nor an input of the model")
        if values and (node.op in ("Shape", "Size") or self._vanishes(node)):
            return ()
        if node.op == "If" and not self.sources(node.inputs[0]):
            chosen = 0 if bool(self.constant(node.inputs[0]).all()) else 1
            return tuple(filter(None, node.branches[chosen]))
        return node.reads

    def _vanishes(self, node: Node) -> bool:
        """Return True if the node computes zeros from a value: `0 * x`, `x - x`."""
        if node.op == "Sub":
            return node.inputs[0] == node.inputs[1]
        known = [name for name in node.inputs if name in self.tensors or name in self.constants]
        return node.op == "Mul" and any(not self.constant(name).any() for name in known)

    def constant(self, name: str) -> np.ndarray:
        """The value of a constant."""
        return self.compute([name], {})[name]

    def compute(self, names: Iterable[str], known: Mapping[str, Any]) -> dict[str, Any]:
        """Compute the values of these names, given the `known` ones.

        Raises:
          ValueError: a node that cannot be computed, with its name and the reason.
        """
        from onnx import numpy_helper

        values: dict[str, Any] = dict(known)
        names = list(names)
        stack = list(names)
        while stack:
            name = stack[-1]
            if name in self.constants:
                values.setdefault(name, self.constants[name])
            if name in values:
                stack.pop()
                continue
            if name in self.tensors:
                self.constants[name] = _array(name, self.tensors[name], numpy_helper)
                continue
            node = self.makers.get(name)
            if node is None or node.recurrent:
                raise ValueError(f"its value {name!r} depends on unknown values")
            missing = [read for read in self._wanted(node, values) if read not in values]
            if missing:
                stack += missing
                continue
            outputs = self._run(node, values)
            free = node.op in RANDOM or _trains(self, node)
            if not free and all(read in self.constants for read in self._wanted(node, values)):
                self.constants |= outputs
            values |= outputs
        return {name: values[name] for name in names}

    def _wanted(self, node: Node, values: Mapping[str, Any]) -> tuple[str, ...]:
        """The values that a node needs: for an `If`, those of the taken branch.

        Both branches are taken, and must agree, if the condition depends on the values of inputs
        and not only on their shapes.
        """
        if node.op != "If":
            return node.reads
        (condition,) = node.inputs
        if condition not in values:
            return (condition,)
        return (condition, *(n for branch in self._taken(node, values) for n in branch if n))

    def _taken(self, node: Node, values: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
        if self.sources(node.inputs[0], values=True):
            return node.branches
        return (node.branches[0 if bool(np.all(values[node.inputs[0]])) else 1],)

    def _run(self, node: Node, values: Mapping[str, Any]) -> dict[str, Any]:
        if node.op == "If":
            first, *others = ([values[n] for n in b] for b in self._taken(node, values))
            for other in others:
                if not all(map(np.array_equal, first, other)):
                    raise Undecidable(f"the branches of the node {node.name} (If) differ")
            return dict(zip(node.outputs, first, strict=False))
        try:
            results = evaluate(node, values, self.opsets)
        except Exception as error:  # of any type: the evaluator lets NumPy's errors through
            reason = " ".join(str(error).split())
            unknown = isinstance(error, NotImplementedError) or "No implementation" in reason
            raise (Undecidable if unknown else ValueError)(
                f"the node {node.name} ({node.op}) cannot be computed: {reason:.150}"
            ) from None
        return {name: value for name, value in zip(node.outputs, results, strict=False) if name}


def _array(name: str, tensor: Any, numpy_helper: Any) -> np.ndarray:
    if tensor.data_location == tensor.EXTERNAL and not tensor.raw_data:
        raise ValueError(f"{name} is stored in a file beside the model: pass the model's path")
    try:
        return numpy_helper.to_array(tensor)
    except Exception as error:  # of any type: an unknown dtype is a KeyError or a TypeError
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{name} cannot be read as a tensor of dtype {tensor.data_type} and shape "
            f"{list(tensor.dims)}: {reason:.100}"
        ) from None


def _trains(graph: Graph, node: Node) -> bool:
    """Return True for a Dropout in training mode."""
    mode = node.inputs[2] if node.op == "Dropout" and len(node.inputs) > 2 else ""
    return bool(mode and not graph.sources(mode) and graph.constant(mode).all())
