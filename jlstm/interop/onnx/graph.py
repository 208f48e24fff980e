"""ONNX models as one flat graph of named values, and the computation of those values."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jlstm.interop.onnx.evaluate import domain_of, evaluate, load_model

RANDOM = {
    "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli",
    "Multinomial",
}  # fmt: skip
RECURRENT = ("LSTM", "GRU", "RNN")


class Node(NamedTuple):
    """A node, with the names that its values have in the flat graph."""

    name: str
    op: str  # with its domain, where that is not ONNX's own
    proto: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    branches: tuple[tuple[str, ...], ...] = ()  # of an If: the outputs of its branches
    captured: tuple[tuple[str, str], ...] = ()  # of a Loop: its own names of outer values, and ours

    @property
    def recurrent(self) -> bool:
        """Return whether it is an LSTM, GRU or RNN, be it quantised."""
        plain = self.op.rpartition(".")[2]
        return plain in RECURRENT or ("Quant" in plain and plain.endswith(RECURRENT))

    @property
    def reads(self) -> tuple[str, ...]:
        """All values that it may depend on."""
        inner = [name for branch in self.branches for name in branch]
        return tuple(filter(None, (*self.inputs, *inner, *(name for _, name in self.captured))))


class Undecidable(ValueError):
    """A fault that no other size mends: an If whose branches differ, an unknown operator."""


class Graph:
    """The nodes of a model, its functions and its subgraphs, in one namespace.

    Values of a subgraph have the name of its node before their own. An initializer is a constant,
    whether or not it is an input of the graph as well, as in files of before IR version 4.
    """

    def __init__(self, model: Any):
        model = load_model(model)  # first, as it says what to install
        from onnx import inliner

        if model.functions:
            model = inliner.inline_local_functions(model)
        self.opsets = {domain_of(o.domain): o.version for o in model.opset_import} or {"": 1}
        self.nodes: list[Node] = []
        self.makers: dict[str, Node] = {}
        self.tensors: dict[str, Any] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.types: dict[str, Any] = {}
        self.inputs: list[str] = []
        self.repeated: dict[str, str] = {}  # recurrent nodes inside others that run them many times
        self._names: set[str] = set()
        self._dependencies: dict[tuple[frozenset[str], bool], dict[str, frozenset[str]]] = {}
        self._flatten(model.graph, ChainMap(), "")
        self.recurrent = [node for node in self.nodes if node.recurrent]

    def _flatten(self, graph: Any, outer: ChainMap[str, str], prefix: str) -> tuple[str, ...]:
        """Add the nodes of a graph; the flat names of its outputs."""
        scope = outer.new_child()
        made = [name for node in graph.node for name in node.output]
        names = [value.name for value in (*graph.input, *graph.initializer)]
        scope.update({name: prefix + name for name in (*names, *made) if name})
        self.tensors |= {scope[tensor.name]: tensor for tensor in graph.initializer}
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.name in scope.maps[0]:
                self.types[scope[value.name]] = value.type
        self.inputs += [scope[v.name] for v in graph.input if scope[v.name] not in self.tensors]
        for proto in graph.node:
            self._add(proto, scope, prefix)
        return tuple(scope.get(value.name, value.name) for value in graph.output)

    def _add(self, proto: Any, scope: ChainMap[str, str], prefix: str) -> None:
        domain = domain_of(proto.domain)
        op = f"{domain}.{proto.op_type}" if domain else proto.op_type
        output = next(filter(None, proto.output), op)
        name = prefix + (proto.name or output)
        name = f"{name} of {output}" if name in self._names else name
        self._names.add(name)
        inner = {a.name: a.g for a in proto.attribute if a.HasField("g")}
        branches: list[tuple[str, ...]] = []
        captured: dict[str, str] = {}
        outside = len(self.nodes)
        for attribute in ("then_branch", "else_branch") if op == "If" else inner:
            outputs = self._flatten(inner[attribute], scope, f"{name}/{attribute}/")
            branches += [outputs] if op == "If" else []
            captured |= {} if op == "If" else _captured(inner[attribute], scope)
        if op != "If":
            inside = [node.name for node in self.nodes[outside:] if node.recurrent]
            self.repeated |= dict.fromkeys(inside, f"{name} ({op})")
        node = Node(
            name, op, proto,
            tuple(scope.get(i, i) for i in proto.input),
            tuple(scope.get(o, o) for o in proto.output),
            tuple(branches), tuple(captured.items()),
        )  # fmt: skip
        self.nodes.append(node)
        self.makers |= {output: node for output in node.outputs if output}

    def shape(self, name: str) -> list[int | str | None] | None:
        """The declared shape of a value: sizes, names of sizes, or None for a size unknown."""
        kind = self.types.get(name)
        if kind is None or not kind.tensor_type.HasField("shape"):
            return None
        return [d.dim_param or (d.dim_value or None) for d in kind.tensor_type.shape.dim]

    def dtype(self, name: str) -> np.dtype:
        """The declared dtype of a value, float32 where none is."""
        from onnx import helper

        kind = self.types.get(name)
        number = kind.tensor_type.elem_type if kind is not None else 0
        try:
            return np.dtype(helper.tensor_dtype_to_np_dtype(number) if number else np.float32)
        except KeyError:
            raise ValueError(f"{name} has the unknown dtype {number}") from None

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
                raise ValueError(f"model is no graph in order: {top!r} depends on itself")
            if top not in known:
                free = not reads and self._free(top, cut)
                below = [known[read] for read in reads]
                known[top] = frozenset([top]) if free else frozenset[str]().union(*below)
            stack.pop()
        return known[name]

    def between(self, name: str) -> list[str]:
        """The operators between a value and the free values that it depends on."""
        found, names = [], [name]
        for name in names:
            node = self.makers.get(name)
            if node is None or node.recurrent or not self.sources(name, values=True):
                continue
            found.append(node.op)
            names += [read for read in node.reads if read not in names]
        return list(dict.fromkeys(reversed(found)))

    def _free(self, name: str, cut: frozenset[str]) -> bool:
        node = self.makers.get(name)
        if name in cut or name in self.inputs:
            return True
        return node is not None and (node.recurrent or node.op in RANDOM or _trains(self, node))

    def _reads(self, name: str, cut: frozenset[str], values: bool) -> tuple[str, ...]:
        """The values that this one is computed from."""
        node = self.makers.get(name)
        if name in self.constants or name in self.tensors or self._free(name, cut):
            return ()
        if node is None:
            raise ValueError(f"{name!r} is made by no node, and is no input of the model")
        if values and (node.op in ("Shape", "Size") or self._vanishes(node)):
            return ()
        if node.op == "If" and not self.sources(node.inputs[0]):
            chosen = 0 if bool(self.constant(node.inputs[0]).all()) else 1
            return tuple(filter(None, node.branches[chosen]))
        return node.reads

    def _vanishes(self, node: Node) -> bool:
        """Return whether the node computes zeros from a value: `0 * x`, `x - x`."""
        if node.op == "Sub":
            return node.inputs[0] == node.inputs[1]
        known = [name for name in node.inputs if name in self.tensors or name in self.constants]
        return node.op == "Mul" and any(not self.constant(name).any() for name in known)

    def constant(self, name: str) -> np.ndarray:
        """A value that depends on nothing."""
        return self.compute([name], {})[name]

    def compute(self, names: Iterable[str], known: Mapping[str, Any]) -> dict[str, Any]:
        """The values of these names, given those of others.

        Raises:
          ValueError: a node that cannot be computed, with its name and the reason.
        """
        from onnx import numpy_helper

        found: dict[str, Any] = dict(known)
        names = list(names)
        stack = list(names)
        while stack:
            name = stack[-1]
            if name in self.constants:
                found.setdefault(name, self.constants[name])
            if name in found:
                stack.pop()
                continue
            if name in self.tensors:
                self.constants[name] = _array(name, self.tensors[name], numpy_helper)
                continue
            node = self.makers.get(name)
            if node is None or node.recurrent:
                raise ValueError(f"its value {name!r} depends on what is not known")
            missing = [read for read in self._wanted(node, found) if read not in found]
            if missing:
                stack += missing
                continue
            outputs = self._run(node, found)
            free = node.op in RANDOM or _trains(self, node)
            if not free and all(read in self.constants for read in self._wanted(node, found)):
                self.constants |= outputs
            found |= outputs
        return {name: found[name] for name in names}

    def _wanted(self, node: Node, found: Mapping[str, Any]) -> tuple[str, ...]:
        """The values that a node needs: of an `If`, the branch that is taken.

        Where the values of inputs decide and not their shapes, both are, and have to agree.
        """
        if node.op != "If":
            return node.reads
        (condition,) = node.inputs
        if condition not in found:
            return (condition,)
        return (condition, *(n for branch in self._taken(node, found) for n in branch if n))

    def _taken(self, node: Node, found: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
        if self.sources(node.inputs[0], values=True):
            return node.branches
        return (node.branches[0 if bool(np.all(found[node.inputs[0]])) else 1],)

    def _run(self, node: Node, found: Mapping[str, Any]) -> dict[str, Any]:
        if node.op == "If":
            first, *others = ([found[n] for n in b] for b in self._taken(node, found))
            for other in others:
                if not all(map(np.array_equal, first, other)):
                    raise Undecidable(f"the branches of the node {node.name} (If) differ")
            return dict(zip(node.outputs, first, strict=False))
        try:
            results = evaluate(node, found, self.opsets)
        except Exception as error:  # of any kind: the evaluator lets NumPy's errors through
            reason = " ".join(str(error).split())
            unknown = isinstance(error, NotImplementedError) or "No implementation" in reason
            raise (Undecidable if unknown else ValueError)(
                f"the node {node.name} ({node.op}) cannot be computed: {reason:.150}"
            ) from None
        return {name: value for name, value in zip(node.outputs, results, strict=False) if name}


def _array(name: str, tensor: Any, numpy_helper: Any) -> np.ndarray:
    if tensor.data_location == tensor.EXTERNAL and not tensor.raw_data:
        raise ValueError(f"{name} lies in a file beside the model: give the model's path")
    try:
        return numpy_helper.to_array(tensor)
    except Exception as error:  # of any kind: an unknown dtype is a KeyError or a TypeError
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{name} is no tensor that can be read: of dtype {tensor.data_type} and shape "
            f"{list(tensor.dims)}: {reason:.100}"
        ) from None


def _trains(graph: Graph, node: Node) -> bool:
    """Return whether this is a Dropout that drops."""
    mode = node.inputs[2] if node.op == "Dropout" and len(node.inputs) > 2 else ""
    return bool(mode and not graph.sources(mode) and graph.constant(mode).all())


def _captured(graph: Any, scope: Mapping[str, str]) -> dict[str, str]:
    """The values of outer graphs that a subgraph reads, and their flat names."""
    own = {value.name for value in (*graph.input, *graph.initializer)}
    own |= {name for node in graph.node for name in node.output}
    read = {name for node in graph.node for name in node.input} | {v.name for v in graph.output}
    found = {name: scope[name] for name in read - own if name in scope}
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found |= _captured(attribute.g, {k: v for k, v in scope.items() if k not in own})
    return found
