"""Checks of the arguments of steps and sequences: raised while tracing, with both values."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.checks.params import check_lstm, check_params
from jlstm.checks.values import check_float, described, dtype_of, is_key
from jlstm.types import (
    LSTMState,
    Shapes,
)

if TYPE_CHECKING:
    pass


def check_step(
    params: Any,
    state: Any,
    x: Any,
    kind: type,
    shapes: Shapes,
    reset: Any = None,
    reset_state: Any = None,
    check: Callable[..., None] | None = None,
) -> None:
    """Check the arguments of one time step; `check` is for a state that is not `LSTMState`."""
    check = check_state if check is None else check
    sizes = check_params(params, kind, shapes)
    _check_features("x", x, sizes["input"], 1, "(*batch, input)")
    batch = np.shape(x)[:-1]
    check(sizes, state, batch, name="state", beside="x")
    if reset_state is not None:
        check(sizes, reset_state, batch, name="reset_state", beside="x")
    check_reset(reset, batch)


def check_state(sizes: dict[str, Any], state: Any, batch: tuple, *, name: str, beside: str) -> None:
    """Check an `LSTMState` against the weights' sizes and the batch axes of `beside`."""
    if not isinstance(state, LSTMState):
        raise TypeError(
            f"{name} must be LSTMState(h, c), got {described(state)}{_state_hint(name, state)}"
        )
    _check_units(sizes.get("output", sizes["hidden"]), state.h, batch, f"{name}.h", beside)
    _check_units(sizes["hidden"], state.c, batch, f"{name}.c", beside)


def check_hidden(sizes: dict[str, Any], h: Any, batch: tuple, *, name: str, beside: str) -> None:
    """Check a state that is `h` alone, `(*batch, hidden)`."""
    _check_units(sizes["hidden"], h, batch, name, beside)


def _check_units(size: Any, h: Any, batch: tuple, name: str, beside: str) -> None:
    """Check one array of a state, `(*batch, size)`."""
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


def check_reset(reset: Any, batch: tuple) -> None:
    """Check that `reset` is one boolean per sequence, or None."""
    if reset is not None:
        _check_boolean("reset", reset)
        _check_batch("reset", np.shape(reset), "x", batch)


def check_sequence(
    params: Any, state: Any, xs: Any, lengths: Any, resets: Any, reset_state: Any
) -> None:
    """Check the arguments of `lstm_scan`; states and masks may be None."""
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
    """Check the arguments of `scan_cell`: arrays lead with the batch axes of the masks."""
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
    """Check that all arrays of `xs` lead with the same time axis."""
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


def check_masks(xs: Any, lengths: Any, resets: Any) -> dict[str, tuple]:
    """Check the dtype and steps of `lengths` and `resets`; return their batch axes by name."""
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


def check_outputs(y: Any, valid: Any) -> None:
    """Check that the outputs of a step lead with the batch axes, so that padding can be blanked."""
    for leaf in jax.tree.leaves(y):
        if np.shape(leaf)[: np.ndim(valid)] != np.shape(valid):
            raise ValueError(
                f"an output of the step has shape {np.shape(leaf)}, "
                f"lengths has batch axes {np.shape(valid)}; it must lead with them"
            )


def check_step_result(out: Any, state: Any) -> None:
    """Check that a step returned `(state, y)`, the state in the structure it was given."""
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError(f"the step must return (state, y), got {type(out).__name__}")
    given, returned = jax.tree.structure(state), jax.tree.structure(out[0])
    if given != returned:
        raise ValueError(f"the step takes a state of structure {given} and returns {returned}")


def _state_hint(name: str, state: Any) -> str:
    if state is None:
        return "; jlstm.init_state makes zeros"
    if isinstance(state, tuple) and len(state) == 2 and not hasattr(state, "_fields"):
        return f"; jlstm.LSTMState(*{name}) where it is (h, c), as in PyTorch; Flax has (c, h)"
    return ""


def _check_boolean(name: str, mask: Any) -> None:
    dtype = dtype_of(name, mask)
    if dtype != jnp.bool_:
        raise TypeError(f"{name} must be booleans, got {dtype}; {name} > 0 are")


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
    """Check that `xs` do not lead with the batch, judged by another argument's batch axes."""
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
    """Check that concrete lengths lie in [0, time]; tracers and a symbolic time cannot be."""
    if isinstance(lengths, jax.core.Tracer) or not isinstance(time, int) or not np.size(lengths):
        return
    if isinstance(lengths, jax.Array) and not lengths.is_fully_addressable:
        return
    values = np.asarray(lengths)
    for value in (values.min(), values.max()):
        if not 0 <= value <= time:
            raise ValueError(f"lengths must lie in [0, {time}], the steps of xs; got {value}")
