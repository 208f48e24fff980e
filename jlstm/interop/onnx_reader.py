"""ONNX: stacks from the `LSTM` nodes of a model. Imports onnx on use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from jlstm.extras import needs
from jlstm.interop.arrays import as_array, as_layer, check_widths, reorder, zero_bias
from jlstm.interop.onnx import PEEPHOLES
from jlstm.types import BiLSTMParams, BiLSTMState, LSTMParams, LSTMState
from jlstm.variants.coupled import CoupledParams
from jlstm.variants.peephole import PeepholeParams

if TYPE_CHECKING:
    from jaxtyping import Array, PyTree

FROM_ONNX = (0, 2, 3, 1)  # gates i o f c, here i f g o
RESHAPES = ("Squeeze", "Unsqueeze", "Transpose", "Reshape", "Identity")
ACTIVATIONS = ("Sigmoid", "Tanh", "Tanh")
WAYS = {"forward": 1, "reverse": 1, "bidirectional": 2}


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
        clipping or lengths that are set in the model; states that the model computes.

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
        graph.check_states(name, node)
        w, r, b, p = (graph.constant(name, node, place) for place in (1, 2, 3, 7))
        if w is None or r is None:
            raise ValueError(f"{name}: its weights W and R have to be constants of the model")
        hidden = r.shape[2] if r.ndim == 3 else 0
        ways = WAYS[options["direction"]]
        shapes = {
            "W": (w, (ways, 4 * hidden, w.shape[-1])), "R": (r, (ways, 4 * hidden, hidden)),
            "B": (b, (ways, 8 * hidden)), "P": (p, (ways, 3 * hidden)),
        }  # fmt: skip
        for letter, (array, wanted) in shapes.items():
            if array is not None and array.shape != wanted:
                raise ValueError(f"{name}: {letter} must be {wanted}, got {array.shape}")
        if options.get("hidden_size", hidden) != hidden:
            raise ValueError(f"{name}: hidden_size is {options['hidden_size']}, R has {hidden}")
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
        layer = as_layer(cells)
        layers.append(BiLSTMParams(None, layer) if options["direction"] == "reverse" else layer)
    check_widths(layers)
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


def adds_biases(model: Any) -> bool:
    """Whether a node of the model has two biases that are not zero, so that their sum rounds."""
    graph = _Graph(model)
    both = [graph.constant(node.name, node, 3) for node in graph.lstms]
    return any(b is not None and bool(jnp.split(b, 2, axis=1)[1].any()) for b in both)


def load_model(model: Any) -> Any:
    """A model as it is, or read from its path."""
    with needs("a model of ONNX", "interop"):
        import onnx

    given = isinstance(model, onnx.ModelProto)
    name = "model" if given else model
    try:
        model = model if given else onnx.load(model)
        onnx.checker.check_model(model)
    except OSError:
        raise
    except Exception as error:  # of protobuf, which is not imported here, or of the checker
        raise ValueError(f"{name} is no whole model of ONNX: {error}") from None
    return model


class _Graph:
    """The `LSTM` nodes of a model in order, and where what they read comes from."""

    def __init__(self, model: Any):
        model = load_model(model)  # first, as it says what to install
        from onnx import numpy_helper

        self.model, self.array = model, numpy_helper.to_array
        self.constants = {value.name: value for value in model.graph.initializer}
        self.makers = {}
        for node in model.graph.node:  # in an order in which they can be computed
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = node.attribute[0].t
            if node.op_type == "Identity" and node.input[0] in self.constants:
                self.constants[node.output[0]] = self.constants[node.input[0]]
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

    def check_states(self, name: str, node: Any) -> None:
        """States and lengths are constants or inputs of the model, and not computed in it."""
        for place, what in ((4, "sequence_lens"), (5, "initial_h"), (6, "initial_c")):
            computed = self.given(node, place) and node.input[place] in self.makers
            if computed and node.input[place] not in self.constants:
                maker = self.makers[node.input[place]].op_type
                raise ValueError(f"{name}: its {what} is computed by a node {maker}")

    def check_reads(self, name: str, node: Any, before: Any) -> None:
        """The node reads what `before` shows, step by step and direction beside direction."""
        between: list[Any] = []
        read = node.input[0]
        while read in self.makers and self.makers[read].op_type in RESHAPES:
            between.insert(0, self.makers[read])
            read = between[0].input[0]
        maker = self.makers.get(read)
        if before is None:
            behind = maker
            while behind is not None and behind.op_type != "LSTM":
                behind = self.makers.get(behind.input[0]) if behind.input else None
            if behind is not None:
                raise ValueError(f"{name}: the LSTM nodes are not in the order of a stack")
        elif maker is not before or read != before.output[0]:
            found = "an input of the model" if maker is None else f"a node {maker.op_type}"
            found = "the last state of the LSTM before it" if maker is before else found
            raise ValueError(
                f"{name}: reads {found}, not what the LSTM before it shows; a stack has nothing "
                "between its layers but changes of axes"
            )
        elif not self.keeps_order(before, between, node):
            raise ValueError(
                f"{name}: what the LSTM before it shows comes in other axes than (time, batch, "
                "features) with one direction beside the other, as a stack has them"
            )

    def keeps_order(self, before: Any, between: list[Any], node: Any) -> bool:
        """Whether these nodes, run on numbers that all differ, give what a stack gives."""
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        first, second = _options("", before), _options("", node)
        hidden, ways = self.constants[before.input[2]].dims[2], WAYS[first["direction"]]
        time, batch = self.sizes(_options("", self.lstms[0])["layout"])
        shape = (batch, time, ways, hidden) if first["layout"] else (time, ways, batch, hidden)
        shown = np.arange(time * batch * ways * hidden, dtype=np.float32).reshape(shape)
        wanted = shown if first["layout"] else shown.transpose(2, 0, 1, 3)
        wanted = wanted.reshape(batch, time, -1)
        wanted = wanted if second["layout"] else wanted.swapaxes(0, 1)
        needed = {name for n in between for name in n.input[1:] if name}
        if not needed <= set(self.constants):
            return False
        constants = []
        for name in needed:
            value = type(self.constants[name])()
            value.CopyFrom(self.constants[name])
            value.name = name
            constants.append(value)
        kind = helper.np_dtype_to_tensor_dtype(shown.dtype)
        graph = helper.make_graph(
            between, "between",
            [helper.make_tensor_value_info(before.output[0], kind, None)],
            [helper.make_tensor_value_info(node.input[0], kind, None)], constants,
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=self.model.opset_import)
        try:
            (found,) = ReferenceEvaluator(model).run(None, {before.output[0]: shown})
        except Exception:  # sizes that do not go together
            return False
        return np.array_equal(found, wanted)

    def sizes(self, layout: int) -> tuple[int, int]:
        """Time and batch that fit the model: its own where it has them, others where it has not."""
        axes = {value.name: value.type.tensor_type.shape.dim for value in self.model.graph.input}
        found = [axis.dim_value for axis in axes.get(self.lstms[0].input[0], [])[:2]]
        known = dict(enumerate(reversed(found) if layout else found))
        return known.get(0) or 3, known.get(1) or 2


def _options(name: str, node: Any) -> dict[str, Any]:
    """The node's attributes; those that change its equations are refused."""
    from onnx import helper

    options: dict[str, Any] = {"direction": "forward", "layout": 0}
    for attribute in node.attribute:
        options[attribute.name] = helper.get_attribute_value(attribute)
    options["direction"] = _text(options["direction"])
    if options["direction"] not in WAYS:
        raise ValueError(f"{name}: its direction is {options['direction']!r}")
    count = WAYS[options["direction"]]
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


def _without_forget(a: Array) -> Array:
    i, _, g, o = jnp.split(a, 4, axis=-1)
    return jnp.concatenate([i, g, o], axis=-1)
