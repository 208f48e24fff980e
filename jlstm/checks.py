"""Checks of arguments: raised while tracing, each naming the argument and both values."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.types import (
    BiLSTMParams,
    BiLSTMTrace,
    LSTMParams,
    LSTMState,
    LSTMTrace,
    ProjectedParams,
    Shapes,
)
from jlstm.values import check_float, described, dtype_of, is_key, meant, whole

if TYPE_CHECKING:
    from jax.typing import DTypeLike

SHAPES: Mapping[type, Shapes] = MappingProxyType(
    {
        LSTMParams: {
            "weight_hh": ("hidden", "4*hidden"),
            "weight_ih": ("input", "4*hidden"),
            "bias": ("4*hidden",),
        },
        ProjectedParams: {
            "weight_hr": ("hidden", "output"),
            "weight_hh": ("output", "4*hidden"),
            "weight_ih": ("input", "4*hidden"),
            "bias": ("4*hidden",),
        },
    }
)


def check_sizes(dtype: DTypeLike, **sizes: int) -> None:
    """Sizes are integers of 1 or more, the dtype is a real float."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int | np.integer):
            raise TypeError(f"{name} must be an integer, got {size!r:.80}{whole(size)}")
        if size < 1:
            raise ValueError(f"{name} must be 1 or more, got {size}")
    check_float("dtype", jnp.dtype(dtype))


def check_params(params: Any, kind: type, shapes: Shapes) -> dict[str, Any]:
    """`params` is of that kind and its arrays fit each other; the sizes of the axes, by name."""
    if not isinstance(params, kind):
        fields = ", ".join(kind._fields)
        raise TypeError(
            f"params must be {kind.__name__}({fields}), got {described(params)}{stack_hint(params)}"
        )
    sizes: dict[str, Any] = {}
    for name, axes in shapes.items():
        weight = getattr(params, name)
        check_float(f"params.{name}", dtype_of(f"params.{name}", weight))
        found = dict(sizes)
        if not _fits(np.shape(weight), axes, found):
            wanted = "".join(f"{axis}, " for axis in axes)
            wanted = wanted.strip() if len(axes) == 1 else wanted.rstrip(", ")
            known = [f"{axis}={size}" for axis, size in sizes.items() if axis in " ".join(axes)]
            known = f" with {' and '.join(known)}" if known else ""
            raise ValueError(
                f"params.{name} must be ({wanted}){known}, got shape {np.shape(weight)}"
            )
        sizes = found
    return sizes


def stack_hint(params: Any) -> str:
    """The functions that take a stack, where one layer is wanted."""
    takers = "stack_scan, stack_step, stack_trace and init_stack_state take"
    if isinstance(params, BiLSTMParams):
        return f"; {takers} a bidirectional layer, as (params,)"
    layers = isinstance(params, tuple | list) and not hasattr(params, "_fields")
    if layers and any(hasattr(p, "weight_hh") or isinstance(p, BiLSTMParams) for p in params):
        return f"; {takers} a stack of layers, and params[0] is one of them"
    return ""


def _fits(shape: tuple, axes: tuple[str, ...], sizes: dict[str, Any]) -> bool:
    """Whether a shape is `("hidden", "4*hidden")`; an axis met first is written into `sizes`."""
    if len(shape) != len(axes):
        return False
    for size, axis in zip(shape, axes, strict=True):
        times, _, name = axis.rpartition("*")
        if size != int(times or 1) * sizes.setdefault(name, size):
            return False
    return True


def check_lstm(params: Any) -> dict[str, Any]:
    """`params` are those of the LSTM, with or without a projection."""
    kind = ProjectedParams if isinstance(params, ProjectedParams) else LSTMParams
    if hasattr(params, "weight_hh") and not isinstance(params, kind):
        raise TypeError(
            f"params must be LSTMParams or ProjectedParams, got {described(params)}; "
            "scan_cell and stack_scan take other cells"
        )
    return check_params(params, kind, SHAPES[kind])


def check_state(sizes: dict[str, Any], state: Any, batch: tuple, *, name: str, beside: str) -> None:
    """`state` is an `LSTMState` with the units of the weights and the batch axes of `beside`."""
    if not isinstance(state, LSTMState):
        raise TypeError(
            f"{name} must be LSTMState(h, c), got {described(state)}{_state_hint(name, state)}"
        )
    check_hidden(sizes.get("output", sizes["hidden"]), state.h, batch, f"{name}.h", beside)
    check_hidden(sizes["hidden"], state.c, batch, f"{name}.c", beside)


def check_hidden(size: Any, h: Any, batch: tuple, name: str, beside: str) -> None:
    """One array of a state: `(*batch, size)`."""
    if h is None or isinstance(h, tuple):
        raise TypeError(f"{name} must be one array, got {described(h)}{_state_hint(name, h)}")
    check_float(name, dtype_of(name, h))
    _check_rank(
        name, h, len(batch) + 1, f"(*batch, hidden) with the batch axes {batch} of {beside}"
    )
    *axes, units = np.shape(h)
    if units != size:
        raise ValueError(f"{name} has {units} units, the weights have {size}")
    _check_batch(name, tuple(axes), beside, batch)


def check_step(
    params: Any,
    state: Any,
    x: Any,
    kind: type,
    shapes: Shapes,
    reset: Any = None,
    reset_state: Any = None,
) -> None:
    """The arguments of one step of a cell with `h` and `c`."""
    sizes = check_params(params, kind, shapes)
    _check_features("x", x, sizes["input"], 1, "(*batch, input)")
    batch = np.shape(x)[:-1]
    check_state(sizes, state, batch, name="state", beside="x")
    if reset_state is not None:
        check_state(sizes, reset_state, batch, name="reset_state", beside="x")
    check_reset(reset, batch)


def check_hidden_step(
    params: Any,
    h: Any,
    x: Any,
    kind: type,
    shapes: Shapes,
    reset: Any = None,
    reset_state: Any = None,
) -> None:
    """The arguments of one step of a cell whose state is `h` alone."""
    sizes = check_params(params, kind, shapes)
    _check_features("x", x, sizes["input"], 1, "(*batch, input)")
    batch = np.shape(x)[:-1]
    check_hidden(sizes["hidden"], h, batch, "state", "x")
    if reset_state is not None:
        check_hidden(sizes["hidden"], reset_state, batch, "reset_state", "x")
    check_reset(reset, batch)


def check_reset(reset: Any, batch: tuple) -> None:
    """`reset` is a boolean for each sequence of the batch, or None."""
    if reset is not None:
        _check_boolean("reset", reset)
        _check_batch("reset", np.shape(reset), "x", batch)


def check_sequence(
    params: Any, state: Any, xs: Any, lengths: Any, resets: Any, reset_state: Any
) -> None:
    """The arguments of a sequence of the LSTM; states and masks may be None."""
    sizes = check_lstm(params)
    _check_features("xs", xs, sizes["input"], 2, "(time, *batch, input)")
    shape = np.shape(xs)
    for name, given in (("state", state), ("reset_state", reset_state)):
        if given is not None:
            if isinstance(given, LSTMState) and hasattr(given.h, "shape"):
                _check_time_first(xs, name, tuple(given.h.shape[:-1]))
            check_state(sizes, given, shape[1:-1], name=name, beside="xs")
    for name, batch in check_masks(xs, lengths, resets).items():
        _check_batch(name, batch, "xs", shape[1:-1])


def check_cell(state: Any, xs: Any, lengths: Any, resets: Any, reset_state: Any) -> None:
    """The arguments of a sequence of any cell: its arrays lead with the axes of the masks."""
    if state is None:
        raise TypeError(f"state must be that of the cell, got None{_state_hint('state', None)}")
    check_times(xs)
    leaves = jax.tree.leaves(xs)
    for name, batch in check_masks(xs, lengths, resets).items():
        rank = len(batch)
        for leaf in jax.tree.leaves(state):
            _check_batch(name, batch, "state", np.shape(leaf)[:rank])
        for leaf in leaves:
            if not is_key(leaf):
                _check_batch(name, batch, "xs", np.shape(leaf)[1 : rank + 1])
    if reset_state is None:
        if resets is not None and any(map(is_key, jax.tree.leaves(state))):
            raise TypeError("reset_state is needed: state holds random keys, which have no zero")
        return
    given, wanted = jax.tree.structure(reset_state), jax.tree.structure(state)
    if given != wanted:
        raise ValueError(f"reset_state has the structure {given}, state has {wanted}")
    for value, like in zip(jax.tree.leaves(reset_state), jax.tree.leaves(state), strict=True):
        if np.shape(value) != np.shape(like):
            raise ValueError(
                f"reset_state has an array of shape {np.shape(value)}, state has {np.shape(like)}; "
                "they must be equal, nothing broadcasts"
            )


def check_times(xs: Any) -> None:
    """All arrays of `xs` lead with the same time axis."""
    leaves = jax.tree.leaves(xs)
    if not leaves:
        raise ValueError("xs has no arrays, so the sequence has no time axis")
    for leaf in leaves:
        if np.ndim(leaf) < 1:
            raise ValueError("xs must lead with the time axis, got a scalar")
        if np.shape(leaf)[0] != np.shape(leaves[0])[0]:
            raise ValueError(
                f"xs holds arrays of {np.shape(leaves[0])[0]} and of {np.shape(leaf)[0]} steps"
            )


def check_index(name: str, index: Any, count: int, of: str) -> None:
    """`index` is one of so many, counted from 0; of a tracer nothing is known."""
    if isinstance(index, jax.core.Tracer):
        return
    if isinstance(index, bool) or not isinstance(index, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {index!r:.80}")
    if not 0 <= index < count:
        raise ValueError(f"{name} must lie in [0, {count}), {of}; got {index}")


def check_trace(trace: Any) -> None:
    """`trace` is of one LSTM layer in one direction."""
    if isinstance(trace, BiLSTMTrace):
        raise TypeError(
            "trace must be LSTMTrace(i, f, g, o, c), got BiLSTMTrace: choose trace.forward or "
            "trace.backward"
        )
    if not isinstance(trace, LSTMTrace):
        wanted = "trace must be LSTMTrace(i, f, g, o, c)"
        if isinstance(trace, tuple) and any(isinstance(t, LSTMTrace | BiLSTMTrace) for t in trace):
            raise TypeError(f"{wanted}, got a tuple: choose the one of a layer, as traces[0]")
        raise TypeError(f"{wanted}, as lstm_trace gives it; got {described(trace)}")


def check_masks(xs: Any, lengths: Any, resets: Any) -> dict[str, tuple]:
    """`lengths` and `resets` have the right dtype and steps; their batch axes by name."""
    time = np.shape(jax.tree.leaves(xs)[0])[0]
    masks = {}
    if lengths is not None:
        dtype = dtype_of("lengths", lengths)
        if not jnp.issubdtype(dtype, jnp.integer):
            mask = dtype == jnp.bool_
            cure = "of a mask, mask.sum(0) are" if mask else "lengths.astype(int) are"
            raise TypeError(f"lengths must be integers, got {dtype}; {cure}")
        masks["lengths"] = np.shape(lengths)
        _check_time_first(xs, "lengths", np.shape(lengths))
        _check_range(lengths, time)
    if resets is not None:
        _check_boolean("resets", resets)
        shape = np.shape(resets)
        if not shape or shape[0] != time:
            turned = "; resets.swapaxes(0, 1) is time-first" if shape[1:2] == (time,) else ""
            raise ValueError(
                f"resets must be (time, *batch) with the {time} steps of xs, got shape {shape}"
                f"{turned}"
            )
        masks["resets"] = np.shape(resets)[1:]
    return masks


def _check_boolean(name: str, mask: Any) -> None:
    dtype = dtype_of(name, mask)
    if dtype != jnp.bool_:
        raise TypeError(f"{name} must be booleans, got {dtype}; {name} > 0 are")


def check_reverse(reverse: Any) -> None:
    """`reverse` is True or False: it decides which program is compiled."""
    if not isinstance(reverse, bool | np.bool):
        raise TypeError(f"reverse must be True or False, got {reverse!r}")


def check_outputs(y: Any, lengths: Any) -> None:
    """The outputs of a step lead with the batch axes, so that padding can be blanked."""
    for leaf in jax.tree.leaves(y):
        if np.shape(leaf)[: np.ndim(lengths)] != np.shape(lengths):
            raise ValueError(
                f"an output of the step has shape {np.shape(leaf)}, "
                f"lengths has batch axes {np.shape(lengths)}; it must lead with them"
            )


def check_save(save: Any) -> str | int:
    """`save` is "gates", "states", or a number of steps, given back as an int."""
    wanted = 'save must be "gates", "states" or a number of steps'
    if isinstance(save, str):
        if save not in ("gates", "states"):
            raise ValueError(f"{wanted}, got {save!r}{meant(save, ('gates', 'states'))}")
        return save
    if isinstance(save, bool) or not isinstance(save, int | np.integer):
        raise TypeError(f"{wanted}, got {save!r:.80}{whole(save)}")
    if save < 1:
        raise ValueError(f"save must be 1 step between checkpoints or more, got {save}")
    return int(save)


def check_step_result(out: Any, state: Any) -> None:
    """A step returns `(state, y)`, the state in the structure that it was given in."""
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError(f"the step must return (state, y), got {type(out).__name__}")
    given, returned = jax.tree.structure(state), jax.tree.structure(out[0])
    if given != returned:
        raise ValueError(f"the step takes a state of structure {given} and returns {returned}")


def check_key(key: Any) -> None:
    """`key` is one random key of JAX, of either form."""
    if not hasattr(key, "dtype") or not (
        is_key(key) or (key.dtype == jnp.uint32 and np.ndim(key) == 1)
    ):
        raise TypeError(f"key must be a random key, as jax.random.key(0); got {described(key)}")
    if is_key(key) and np.ndim(key):
        raise ValueError(f"key must be one random key, got {np.shape(key)}; jax.vmap takes many")


def _state_hint(name: str, state: Any) -> str:
    if state is None:
        return "; jlstm.init_state makes zeros"
    if isinstance(state, tuple) and len(state) == 2 and not hasattr(state, "_fields"):
        return f"; jlstm.LSTMState(*{name}) where it is (h, c), as in PyTorch; Flax has (c, h)"
    return ""


def _check_rank(name: str, value: Any, rank: int, wanted: str) -> None:
    if np.ndim(value) != rank:
        raise ValueError(f"{name} must be {wanted}, got shape {np.shape(value)}")


def _check_features(name: str, x: Any, inputs: Any, rank: int, wanted: str) -> None:
    dtype = dtype_of(name, x)
    if not (jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)):
        cure = f"; {name}.astype(float) are" if dtype == jnp.bool_ else ""
        raise TypeError(f"{name} must be real numbers, got {dtype}{cure}")
    if np.ndim(x) < rank:
        raise ValueError(f"{name} must be {wanted}, got shape {np.shape(x)}")
    if np.shape(x)[-1] != inputs:
        raise ValueError(
            f"{name} has {np.shape(x)[-1]} features, the weights take {inputs}"
            f"{_features_hint(name, dtype, inputs)}"
        )


def _features_hint(name: str, dtype: Any, inputs: Any) -> str:
    if isinstance(inputs, int) and inputs == 1:
        return f"; {name}[..., None] adds an axis of 1 feature"
    if jnp.issubdtype(dtype, jnp.integer):
        return f"; of tokens, jax.nn.one_hot({name}, {inputs})"
    return ""


def _check_time_first(xs: Any, name: str, batch: tuple) -> None:
    """`xs` do not lead with the batch, as what else has batch axes would show."""
    shape = np.shape(jax.tree.leaves(xs)[0])
    if len(shape) == 3 and batch == shape[:1] and batch != shape[1:2]:
        raise ValueError(
            f"xs must be (time, *batch, input), got shape {shape}, and {name} has batch axes "
            f"{batch}; of xs that lead with the batch, xs.swapaxes(0, 1) is time-first"
        )


def _check_batch(name: str, batch: tuple, other: str, other_batch: tuple) -> None:
    if batch != other_batch:
        raise ValueError(
            f"{name} has batch axes {batch}, {other} has {other_batch}; "
            "they must be equal, nothing broadcasts"
        )


def _check_range(lengths: Any, time: Any) -> None:
    """Concrete lengths lie in [0, time]; of a tracer or a symbolic time nothing is known."""
    if isinstance(lengths, jax.core.Tracer) or not isinstance(time, int) or not np.size(lengths):
        return
    if isinstance(lengths, jax.Array) and not lengths.is_fully_addressable:
        return
    values = np.asarray(lengths)
    for value in (values.min(), values.max()):
        if not 0 <= value <= time:
            raise ValueError(f"lengths must lie in [0, {time}], the steps of xs; got {value}")
