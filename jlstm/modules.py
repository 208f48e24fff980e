"""Axes, lengths and dtypes, shared by the modules of NNX and of linen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jax.typing import DTypeLike

    from jlstm.types import Array, PyTree


def time_first(
    inputs: Any, resets: Any, seq_lengths: Any, time_major: bool
) -> tuple[Array, Array | None]:
    """The inputs and the resets with time as the first axis.

    Raises:
      ValueError: inputs without axes, resets or lengths whose axes differ from those of the inputs.
    """
    if jnp.ndim(inputs) < 2:
        raise ValueError(f"inputs must have axes time and features, got {jnp.shape(inputs)}")
    axes = jnp.shape(inputs)[:-1]
    for name, array, wanted in (
        ("resets", resets, axes),
        ("seq_lengths", seq_lengths, axes[1:] if time_major else axes[:-1]),
    ):
        if array is not None and jnp.shape(array) != wanted:
            raise ValueError(
                f"{name} must have the shape {wanted} for inputs {jnp.shape(inputs)} with "
                f"time_major={time_major}, got {jnp.shape(array)}"
            )
    if time_major:
        return inputs, resets
    return jnp.moveaxis(inputs, -2, 0), None if resets is None else jnp.moveaxis(resets, -1, 0)


def cast_inputs(inputs: Any, dtype: DTypeLike | None) -> Array:
    """The inputs in the compute dtype, if one is given.

    Raises:
      TypeError: complex inputs.
    """
    if dtype is None:
        return inputs
    inputs = jnp.asarray(inputs)
    if jnp.issubdtype(inputs.dtype, jnp.complexfloating):
        raise TypeError(f"inputs are {inputs.dtype}, the computation is in {dtype}")
    return inputs.astype(dtype)


def cast_weights(weights: PyTree, dtype: DTypeLike | None) -> PyTree:
    """The weights in the compute dtype, if one is given."""
    return weights if dtype is None else jax.tree.map(lambda a: a.astype(dtype), weights)


def either(given: bool | None, default: bool | None) -> bool | None:
    """The argument of the call, or that of the module where the call has None."""
    return default if given is None else given
