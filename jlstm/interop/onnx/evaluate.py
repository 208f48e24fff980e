"""Loading of ONNX models, and evaluation of single nodes with ONNX's reference evaluator."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jlstm.checks.extras import needs

# The first versions that ONNX's evaluator supports of operators that have not changed since.
SINCE = {"QuantizeLinear": 19, "DequantizeLinear": 19}
RECURRENT = ("LSTM", "GRU", "RNN")


class Node(NamedTuple):
    """A node, with the names of its values in the flat graph."""

    name: str
    op: str  # with its domain, unless that is ONNX's
    proto: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    branches: tuple[tuple[str, ...], ...] = ()  # the outputs of the branches of an If
    captured: tuple[tuple[str, str], ...] = ()  # outer values of a Loop: inner name, flat name

    @property
    def recurrent(self) -> bool:
        """Return True for an LSTM, GRU or RNN, quantised or not."""
        plain = self.op.rpartition(".")[2]
        return plain in RECURRENT or ("Quant" in plain and plain.endswith(RECURRENT))

    @property
    def reads(self) -> tuple[str, ...]:
        """All values that the node may depend on."""
        inner = [name for branch in self.branches for name in branch]
        return tuple(filter(None, (*self.inputs, *inner, *(name for _, name in self.captured))))


def load_model(model: Any) -> Any:
    """Load an `onnx.ModelProto` from its bytes or from its path, or return it as it is.

    Raises:
      ValueError: an incomplete model. TypeError: an argument that is neither.
      OSError: the file cannot be read.
    """
    with needs("a model of ONNX", "interop"):
        import onnx

    data = isinstance(model, (bytes, bytearray, memoryview))
    path = isinstance(model, (str, os.PathLike))
    if not (data or path or isinstance(model, onnx.ModelProto)):
        raise TypeError(
            f"model must be an onnx.ModelProto, its bytes or its path, got {type(model).__name__}"
        )
    name = os.fspath(model) if path else "model"
    try:
        loaded: Any = onnx.load_model_from_string(bytes(model)) if data else model
        loaded = onnx.load(model) if path else loaded
    except OSError:
        raise
    except Exception as error:  # of protobuf, which is not imported here
        raise ValueError(f"{name} is not a complete ONNX model: {error!s:.200}") from None
    if not loaded.graph.node:
        raise ValueError(f"{name} is not a complete ONNX model: its graph has no node")
    return loaded


def evaluate(node: Node, values: Mapping[str, Any], opsets: Mapping[str, int]) -> list[Any]:
    """The outputs of one node, from ONNX's reference evaluator."""
    import onnx
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    if node.op == "ConstantFill":  # not standard: PyTorch writes it for opsets before 9
        return [_constant_fill(node, values)]
    proto = onnx.NodeProto()
    proto.CopyFrom(node.proto)
    proto.domain = domain_of(proto.domain)
    inputs = zip(proto.input, node.inputs, strict=True)
    feeds = {name: values[flat] for name, flat in (*inputs, *node.captured) if name}
    infos = [_value_info(name, value) for name, value in feeds.items()]
    outputs = [onnx.ValueInfoProto(name=name) for name in proto.output if name]
    graph = helper.make_graph([proto], "node", infos, outputs)
    versions = {**opsets, "": max(opsets.get("", 1), SINCE.get(node.op, 1))}
    results = iter(ReferenceEvaluator(graph, opsets=versions).run(None, feeds))
    return [next(results) if name else None for name in proto.output]


def _value_info(name: str, value: Any) -> Any:
    import onnx
    from onnx import helper

    if not isinstance(value, (np.ndarray, np.generic)):  # a sequence
        return onnx.ValueInfoProto(name=name)
    number = helper.np_dtype_to_tensor_dtype(value.dtype)
    return helper.make_tensor_value_info(name, number, value.shape)


def _constant_fill(node: Node, values: Mapping[str, Any]) -> np.ndarray:
    from onnx import helper

    options = {a.name: helper.get_attribute_value(a) for a in node.proto.attribute}
    shape = values[node.inputs[0]] if options.get("input_as_shape") else options["shape"]
    dtype = helper.tensor_dtype_to_np_dtype(options.get("dtype", 1))
    return np.full([int(size) for size in shape], options.get("value", 0.0), dtype)


def domain_of(domain: str) -> str:
    """The domain of an operator, empty for that of ONNX."""
    return "" if domain == "ai.onnx" else domain
