"""ONNX models as one flat graph of named values: functions inlined, subgraphs in one namespace."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

import numpy as np

from jlstm.interop.onnx.evaluate import Node, domain_of, load_model


class FlatGraph:
    """The nodes of a model, its functions and its subgraphs, in one namespace.

    Names of a subgraph's values are prefixed with the name of its node. An initializer is a
    constant, also where it is an input of the graph as well, as in files before IR version 4.
    """

    def __init__(self, model: Any):
        model = load_model(model)  # before onnx is imported: its error names the extra
        from onnx import inliner

        if model.functions:
            model = inliner.inline_local_functions(model)
        self.opsets = {domain_of(o.domain): o.version for o in model.opset_import} or {"": 1}
        self.nodes: list[Node] = []
        self.makers: dict[str, Node] = {}
        self.tensors: dict[str, Any] = {}
        self.types: dict[str, Any] = {}
        self.inputs: list[str] = []
        self.repeated: dict[str, str] = {}  # recurrent nodes inside a Loop or Scan, by name
        self._names: set[str] = set()
        self._flatten(model.graph, ChainMap(), "")
        self.recurrent = [node for node in self.nodes if node.recurrent]

    def _flatten(self, graph: Any, outer: ChainMap[str, str], prefix: str) -> tuple[str, ...]:
        """Add the nodes of a graph and return the flat names of its outputs."""
        scope = outer.new_child()
        outputs = [name for node in graph.node for name in node.output]
        names = [value.name for value in (*graph.input, *graph.initializer)]
        scope.update({name: prefix + name for name in (*names, *outputs) if name})
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
        """The declared shape of a value: sizes, names of sizes, or None for an unknown size."""
        declared = self.types.get(name)
        if declared is None or not declared.tensor_type.HasField("shape"):
            return None
        return [d.dim_param or (d.dim_value or None) for d in declared.tensor_type.shape.dim]

    def dtype(self, name: str) -> np.dtype:
        """The declared dtype of a value, float32 if none is declared."""
        from onnx import helper

        declared = self.types.get(name)
        number = declared.tensor_type.elem_type if declared is not None else 0
        try:
            return np.dtype(helper.tensor_dtype_to_np_dtype(number) if number else np.float32)
        except KeyError:
            raise ValueError(f"{name} has the unknown dtype {number}") from None


def _captured(graph: Any, scope: Mapping[str, str]) -> dict[str, str]:
    """The values of outer graphs that a subgraph takes, and their flat names."""
    local = {value.name for value in (*graph.input, *graph.initializer)}
    local |= {name for node in graph.node for name in node.output}
    taken = {name for node in graph.node for name in node.input} | {v.name for v in graph.output}
    captured = {name: scope[name] for name in taken - local if name in scope}
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                outer = {name: flat for name, flat in scope.items() if name not in local}
                captured |= _captured(attribute.g, outer)
    return captured
