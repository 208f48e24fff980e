"""ONNX: stacks as standard `LSTM` nodes, and from them. Imports onnx on use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.interop.arrays import as_array, as_layer, directions, reorder, zero_bias
from jlstm.types import BiLSTMParams, BiLSTMState, LSTMParams, LSTMState
from jlstm.variants.coupled import CoupledParams
from jlstm.variants.peephole import PeepholeParams

if TYPE_CHECKING:
    from jaxtyping import Array, PyTree

# ONNX has the gates i o f c, and peepholes i o f; this library i f g o, and i f o.
TO_ONNX, FROM_ONNX = (0, 3, 1, 2), (0, 2, 3, 1)
PEEPHOLES = (0, 2, 1)  # the same both ways
OPSET = 17
RESHAPES = ("Squeeze", "Unsqueeze", "Transpose", "Reshape", "Identity")
ACTIVATIONS = ("Sigmoid", "Tanh", "Tanh")


def to_onnx(layers: Sequence[PyTree], lengths: bool = False) -> Any:
    """A stack as a model of ONNX, with one standard `LSTM` node a layer: exact.

    Its inputs are `xs`, `(time, batch, input)`, with any time and batch, and, when asked for,
    `lengths`, `(batch,)` of int32. Its outputs are `hs`, `(time, batch, output)`, and the final
    states of each layer, `h_0` and `c_0`, and so on, `h_0_reverse` and `c_0_reverse` of a backward
    direction, each `(batch, hidden)`. Initial states are zeros.

    Args:
      layers: a stack of `LSTMParams`, `PeepholeParams` or `CoupledParams`, in one direction or
        both, of float32, float16 or float64.
      lengths: whether the model takes lengths, each at least 1; ONNX Runtime refuses an input that
        is not fed.

    Returns:
      An `onnx.ModelProto`, checked; write it with `onnx.save`.

    Raises:
      TypeError: a layer or a dtype that ONNX has no place for.

    Example:
      >>> import jax, jlstm
      >>> model = jlstm.interop.to_onnx(jlstm.init_stack(jax.random.key(0), 3, (8, 4)))
      >>> [output.name for output in model.graph.output]
      ['hs', 'h_0', 'c_0', 'h_1', 'c_1']
    """
    import onnx
    from onnx import helper, numpy_helper

    kinds = (LSTMParams, PeepholeParams, CoupledParams)
    stack = list(directions(layers, "ONNX", kinds))
    dtype = np.dtype(jnp.result_type(*jax.tree.leaves(layers)))
    if dtype.name not in ("float32", "float16", "float64"):
        raise TypeError(f"layers are of {dtype}, ONNX's LSTM takes float32, float16 or float64")
    number = helper.np_dtype_to_tensor_dtype(dtype)
    nodes, constants, outputs = [], [], []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def output(name: str, *axes: str | int) -> None:
        outputs.append(helper.make_tensor_value_info(name, number, axes))

    read, width = "xs", stack[0][1][0].weight_ih.shape[0]
    inputs = [helper.make_tensor_value_info("xs", number, ("time", "batch", width))]
    if lengths:
        inputs.append(helper.make_tensor_value_info("lengths", onnx.TensorProto.INT32, ("batch",)))
    constant("together", np.array([0, 0, -1]))
    for k, found in stack:
        hidden = found[0].weight_hh.shape[0]
        if len({(type(params), params.weight_hh.shape) for params in found}) > 1:
            raise TypeError(f"layers[{k}]: ONNX has no place for two directions of different kinds")
        weights = [
            constant(f"{name}_{k}", np.stack([a.astype(dtype) for a in arrays]))
            for name, arrays in zip("WRB", zip(*map(_to_node, found), strict=True), strict=True)
        ]
        weights += ["lengths" if lengths else "", "", ""]
        if isinstance(found[0], PeepholeParams):
            peepholes = [reorder(params.peephole, PEEPHOLES).astype(dtype) for params in found]
            weights.append(constant(f"P_{k}", np.stack(peepholes)))
        options: Any = {"input_forget": 1} if isinstance(found[0], CoupledParams) else {}
        nodes.append(
            helper.make_node(
                "LSTM", [read, *weights], [f"Y_{k}", f"Y_h_{k}", f"Y_c_{k}"], f"layer_{k}",
                hidden_size=hidden, direction="bidirectional" if len(found) == 2 else "forward",
                **options,
            )
        )  # fmt: skip
        read = f"hs_{k}" if k + 1 < len(stack) else "hs"
        nodes.append(helper.make_node("Transpose", [f"Y_{k}"], [f"by_step_{k}"], perm=(0, 2, 1, 3)))
        nodes.append(helper.make_node("Reshape", [f"by_step_{k}", "together"], [read]))
        width = hidden * len(found)
    output("hs", "time", "batch", width)
    for k, found in stack:
        for d, suffix in enumerate(("", "_reverse")[: len(found)]):
            which = constant(f"direction_{k}{suffix}", np.array(d))
            for part in "hc":
                name = f"{part}_{k}{suffix}"
                nodes.append(helper.make_node("Gather", [f"Y_{part}_{k}", which], [name], axis=0))
                output(name, "batch", found[0].weight_hh.shape[0])
    graph = helper.make_graph(nodes, "jlstm", inputs, outputs, constants)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="jlstm"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def from_onnx(model: Any) -> tuple[PyTree, ...]:
    """The layers of a model's `LSTM` nodes: its two biases are added, which rounds once.

    The nodes have to be one stack: each reads what the one before it shows, with nothing between
    but changes of axes. What else the model holds before or after them is left to you, and so are
    its initial states, see `onnx_states`. Its weights do not depend on the layout of its inputs;
    `jlstm.stack_scan` takes `xs` time-major. With `input_forget` the forget gate's weights are not
    used, and not kept.

    Args:
      model: an `onnx.ModelProto`, or the path of one.

    Returns:
      A tuple of layers: `LSTMParams`, `PeepholeParams` or `CoupledParams`, `BiLSTMParams` of two,
      or, where a node runs in reverse alone, `BiLSTMParams(None, backward)`.

    Raises:
      ValueError: no such node; nodes that are no stack; weights that are no constants; activations,
        clipping or lengths that are set in the model.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 4), bidirectional=True)
      >>> back = jlstm.interop.from_onnx(jlstm.interop.to_onnx(layers))
      >>> bool((back[1].backward.weight_hh == layers[1].backward.weight_hh).all())
      True
    """
    graph = _Graph(model)
    layers = []
    for k, node in enumerate(graph.lstms):
        name = node.name or f"LSTM node {k}"
        options = _options(name, node)
        graph.check_reads(name, node, graph.lstms[k - 1] if k else None)
        w, r, b, p = (graph.constant(name, node, place) for place in (1, 2, 3, 7))
        if w is None or r is None:
            raise ValueError(f"{name}: its weights W and R have to be constants of the model")
        if graph.given(node, 4) and graph.constant(name, node, 4) is not None:
            raise ValueError(f"{name}: its sequence_lens are constants; give lengths to stack_scan")
        cells = []
        for d in range(len(w)):
            weight_ih, weight_hh = (reorder(a[d].T, FROM_ONNX) for a in (w, r))
            bias = zero_bias(weight_hh)
            if b is not None:
                bias = reorder(jnp.add(*jnp.split(b[d], 2)), FROM_ONNX)
            cell = LSTMParams(weight_ih, weight_hh, bias)
            if options.get("input_forget"):
                if p is not None:
                    raise ValueError(
                        f"{name}: input_forget with peepholes is no kind of layer here"
                    )
                cell = CoupledParams(*(_without_forget(a) for a in cell))
            elif p is not None:
                cell = PeepholeParams(*cell, reorder(p[d], PEEPHOLES))
            cells.append(cell)
        if len(cells) != (2 if options["direction"] == "bidirectional" else 1):
            raise ValueError(
                f"{name}: is {options['direction']}, but W holds {len(cells)} directions"
            )
        layer = as_layer(cells)
        layers.append(BiLSTMParams(None, layer) if options["direction"] == "reverse" else layer)
    return tuple(layers)


def onnx_states(model: Any) -> tuple[PyTree, ...]:
    """The initial states that are constants of the model, one entry a layer; None where none is.

    Args:
      model: as for `from_onnx`.

    Returns:
      A tuple as `stack_scan` takes it: `LSTMState`, `BiLSTMState`, or None for zeros. The states of
      a model are `(batch, hidden)`, for the one batch size that they were made for.

    Raises:
      ValueError: as `from_onnx`; an `initial_h` without `initial_c`, or the other way round.
    """
    graph = _Graph(model)
    states = []
    for k, node in enumerate(graph.lstms):
        name = node.name or f"LSTM node {k}"
        options = _options(name, node)
        h, c = (graph.constant(name, node, place) for place in (5, 6))
        if (h is None) != (c is None):
            given, other = ("initial_c", "initial_h") if h is None else ("initial_h", "initial_c")
            raise ValueError(f"{name}: {given} is a constant, {other} is not")
        if h is None or c is None:
            states.append(None)
            continue
        if options["layout"]:
            h, c = h.swapaxes(0, 1), c.swapaxes(0, 1)
        each = [LSTMState(h[d], c[d]) for d in range(len(h))]
        if options["direction"] == "reverse":
            each = [None, *each]
        states.append(BiLSTMState(*each) if len(each) == 2 else each[0])
    return tuple(states)


def load_model(model: Any) -> Any:
    """A model as it is, or read from its path."""
    import onnx

    if isinstance(model, onnx.ModelProto):
        return model
    try:
        return onnx.load(model)
    except OSError:
        raise
    except Exception as error:  # of protobuf, which is not imported here
        raise ValueError(f"{model} is no whole model of ONNX: {error}") from None


class _Graph:
    """The `LSTM` nodes of a model in order, and where what they read comes from."""

    def __init__(self, model: Any):
        from onnx import numpy_helper

        model = load_model(model)
        self.array = numpy_helper.to_array
        self.constants = {value.name: value for value in model.graph.initializer}
        self.makers = {}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = node.attribute[0].t
            self.makers |= {name: node for name in node.output if name}
        self.lstms = [node for node in model.graph.node if node.op_type == "LSTM"]
        if not self.lstms:
            held = ", ".join(sorted({node.op_type for node in model.graph.node})) or "no node"
            raise ValueError(f"model has no LSTM node; it holds {held}")

    def given(self, node: Any, place: int) -> bool:
        """Whether the node has an input there."""
        return len(node.input) > place and bool(node.input[place])

    def constant(self, name: str, node: Any, place: int) -> Array | None:
        """The input at that place, if it is a constant."""
        if not self.given(node, place):
            return None
        found = self.constants.get(node.input[place])
        if found is None:
            if place in (3, 7):
                raise ValueError(f"{name}: its input {node.input[place]} has to be a constant")
            return None
        array = self.array(found)
        return jnp.asarray(array) if place == 4 else as_array(node.input[place], array)

    def check_reads(self, name: str, node: Any, before: Any) -> None:
        """The node reads what `before` shows, through changes of axes alone."""
        maker = self.makers.get(node.input[0])
        while maker is not None and maker.op_type in RESHAPES:
            maker = self.makers.get(maker.input[0])
        if before is None:
            behind = maker
            while behind is not None and behind.op_type != "LSTM":
                behind = self.makers.get(behind.input[0]) if behind.input else None
            if behind is not None:
                raise ValueError(f"{name}: the LSTM nodes are not in the order of a stack")
        elif maker is not before:
            found = "an input of the model" if maker is None else f"a node {maker.op_type}"
            raise ValueError(
                f"{name}: reads {found}, not what the LSTM before it shows; a stack has nothing "
                "between its layers but changes of axes"
            )


def _options(name: str, node: Any) -> dict[str, Any]:
    """The node's attributes; those that change its equations are refused."""
    from onnx import helper

    options: dict[str, Any] = {"direction": "forward", "layout": 0}
    for attribute in node.attribute:
        options[attribute.name] = helper.get_attribute_value(attribute)
    options["direction"] = _text(options["direction"])
    count = 2 if options["direction"] == "bidirectional" else 1
    activations = tuple(map(_text, options.get("activations", ACTIVATIONS * count)))
    if activations != ACTIVATIONS * count:
        raise ValueError(
            f"{name}: has the activations {', '.join(activations)}, not those of an LSTM"
        )
    for refused in ("clip", "activation_alpha", "activation_beta"):
        if options.get(refused):
            raise ValueError(f"{name}: has {refused}={options[refused]}, which no layer here has")
    return options


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _to_node(params: PyTree) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """W, R and B of one direction; the second half of B is zero."""
    weights = params[:3]
    if isinstance(params, CoupledParams):
        weights = map(_with_forget, weights)
    weight_ih, weight_hh, bias = (reorder(a, TO_ONNX) for a in weights)
    both = jnp.concatenate([bias, jnp.zeros_like(bias)])
    return np.asarray(weight_ih.T), np.asarray(weight_hh.T), np.asarray(both)


def _with_forget(a: Array) -> Array:
    """Gates i g o as i f g o, with zeros for the gate that is coupled."""
    i, g, o = jnp.split(a, 3, axis=-1)
    return jnp.concatenate([i, jnp.zeros_like(i), g, o], axis=-1)


def _without_forget(a: Array) -> Array:
    i, _, g, o = jnp.split(a, 4, axis=-1)
    return jnp.concatenate([i, g, o], axis=-1)
