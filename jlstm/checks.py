"""Checks of arguments: raised while tracing, each naming the argument and both values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.types import LSTMParams, LSTMState

if TYPE_CHECKING:
    from jax.typing import DTypeLike


def check_sizes(dtype: DTypeLike, **sizes: int) -> None:
    """Sizes are integers of 1 or more, the dtype is a real float."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int | np.integer):
            raise TypeError(f"{name} must be an integer, got {size!r}")
        if size < 1:
            raise ValueError(f"{name} must be 1 or more, got {size}")
    _check_float("dtype", jnp.dtype(dtype))


def check_params(params: Any) -> None:
    """`params` is an `LSTMParams` whose three arrays fit each other."""
    if not isinstance(params, LSTMParams):
        raise TypeError(
            f"params must be LSTMParams(weight_ih, weight_hh, bias), got {type(params).__name__}"
        )
    for name, weight in params._asdict().items():
        _check_float(f"params.{name}", _dtype(f"params.{name}", weight))
    _check_rank("params.weight_hh", params.weight_hh, 2, "(hidden, 4*hidden)")
    hidden, gates = np.shape(params.weight_hh)
    if gates != 4 * hidden:
        raise ValueError(
            f"params.weight_hh must be (hidden, 4*hidden), got {(hidden, gates)}: "
            f"{gates} columns for {hidden} units"
        )
    _check_rank("params.weight_ih", params.weight_ih, 2, "(input, 4*hidden)")
    _check_rank("params.bias", params.bias, 1, "(4*hidden,)")
    for name, weight in (("weight_ih", params.weight_ih), ("bias", params.bias)):
        if np.shape(weight)[-1] != gates:
            raise ValueError(
                f"params.{name} has {np.shape(weight)[-1]} columns, params.weight_hh has {gates}"
            )


def check_state(params: LSTMParams, state: Any, batch: tuple, *, name: str, beside: str) -> None:
    """`state` is an `LSTMState` with the units of the weights and the batch axes of `beside`."""
    if not isinstance(state, LSTMState):
        raise TypeError(f"{name} must be LSTMState(h, c), got {type(state).__name__}")
    hidden = np.shape(params.weight_hh)[0]
    for field, value in state._asdict().items():
        _check_float(f"{name}.{field}", _dtype(f"{name}.{field}", value))
        _check_rank(f"{name}.{field}", value, len(batch) + 1, f"(*batch, hidden) as {beside}")
        *axes, units = np.shape(value)
        if units != hidden:
            raise ValueError(f"{name}.{field} has {units} units, the weights have {hidden}")
        _check_batch(f"{name}.{field}", tuple(axes), beside, batch)


def check_step(params: Any, state: Any, x: Any) -> None:
    """The arguments of one step."""
    check_params(params)
    _check_features("x", x, params, 1, "(*batch, input)")
    check_state(params, state, np.shape(x)[:-1], name="state", beside="x")


def check_sequence(
    params: Any, state: Any, xs: Any, lengths: Any, resets: Any, reset_state: Any
) -> None:
    """The arguments of a sequence of the LSTM; states and masks may be None."""
    check_params(params)
    _check_features("xs", xs, params, 2, "(time, *batch, input)")
    for name, given in (("state", state), ("reset_state", reset_state)):
        if given is not None:
            check_state(params, given, np.shape(xs)[1:-1], name=name, beside="xs")
    for name, batch in check_masks(xs, lengths, resets).items():
        _check_batch(name, batch, "xs", np.shape(xs)[1:-1])


def check_cell(state: Any, xs: Any, lengths: Any, resets: Any, reset_state: Any) -> None:
    """The arguments of a sequence of any cell: its arrays lead with the axes of the masks."""
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


def check_masks(xs: Any, lengths: Any, resets: Any) -> dict[str, tuple]:
    """`lengths` and `resets` have the right dtype and steps; their batch axes by name."""
    time = np.shape(jax.tree.leaves(xs)[0])[0]
    masks = {}
    if lengths is not None:
        dtype = _dtype("lengths", lengths)
        if not jnp.issubdtype(dtype, jnp.integer):
            raise TypeError(f"lengths must be integers, got {dtype}")
        masks["lengths"] = np.shape(lengths)
        _check_range(lengths, time)
    if resets is not None:
        dtype = _dtype("resets", resets)
        if dtype != jnp.bool_:
            raise TypeError(f"resets must be booleans, got {dtype}")
        if np.ndim(resets) < 1 or np.shape(resets)[0] != time:
            raise ValueError(
                f"resets must be (time, *batch) with the {time} steps of xs, "
                f"got shape {np.shape(resets)}"
            )
        masks["resets"] = np.shape(resets)[1:]
    return masks


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
            raise ValueError(f"{wanted}, got {save!r}")
        return save
    if isinstance(save, bool) or not isinstance(save, int | np.integer):
        raise TypeError(f"{wanted}, got {save!r}")
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


def is_key(value: Any) -> bool:
    """Whether `value` holds random keys: they lead with no batch axes and hold no padding."""
    return jnp.issubdtype(jnp.result_type(value), jax.dtypes.prng_key)


def _check_float(name: str, dtype: Any) -> None:
    if not jnp.issubdtype(dtype, jnp.floating) or jnp.finfo(dtype).bits < 16:
        raise TypeError(f"{name} must be floating point of 16 bits or more, got {dtype}")


def _dtype(name: str, value: Any) -> Any:
    """The dtype of an array or of a number; lists are no arrays, as everywhere in JAX."""
    if not hasattr(value, "dtype") and not np.isscalar(value):
        raise TypeError(f"{name} must be an array, got {type(value).__name__}")
    return jnp.result_type(value)


def _check_rank(name: str, value: Any, rank: int, wanted: str) -> None:
    if np.ndim(value) != rank:
        raise ValueError(f"{name} must be {wanted}, got shape {np.shape(value)}")


def _check_features(name: str, x: Any, params: LSTMParams, rank: int, wanted: str) -> None:
    dtype = _dtype(name, x)
    if not (jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)):
        raise TypeError(f"{name} must be real numbers, got {dtype}")
    if np.ndim(x) < rank:
        raise ValueError(f"{name} must be {wanted}, got shape {np.shape(x)}")
    features, inputs = np.shape(x)[-1], np.shape(params.weight_ih)[0]
    if features != inputs:
        raise ValueError(f"{name} has {features} features, the weights take {inputs}")


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
