"""Masks over time: lengths, resets and direction as booleans per step."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jlstm.types import compute_dtype

if TYPE_CHECKING:
    from jlstm.types import Array, Bool, Int, PyTree, Shaped


class Masks(NamedTuple):
    """Masks of a sequence call, `(time, *batch)` or `(time,)`.

    `valid` is false at padding, None where every step is valid. `entered` is true at the steps
    before which the state is replaced by the reset state, None where there are none.
    """

    valid: Bool[Array, "time *batch"] | None = None
    entered: Bool[Array, "time *batch"] | None = None


def make_masks(
    time: int,
    lengths: Int[Array, "*batch"] | None,
    resets: Bool[Array, "time *batch"] | None,
    reverse: bool,
) -> Masks:
    """The masks of a sequence call, whose arguments have been checked."""
    valid = None if lengths is None else valid_steps(time, lengths)
    entered = None if resets is None else segment_entries(resets, lengths, reverse)
    return Masks(valid, entered)


def valid_steps(time: int, lengths: Int[Array, "*batch"]) -> Bool[Array, "time *batch"]:
    """The steps before each sequence's length."""
    lengths = as_counts(lengths)
    steps = lax.expand_dims(jnp.arange(time, dtype=jnp.int32), range(1, lengths.ndim + 1))
    return steps < lengths[None]


def segment_entries(
    resets: Bool[Array, "time *batch"], lengths: Int[Array, "*batch"] | None, reverse: bool
) -> Bool[Array, "time *batch"]:
    """The steps before which, in the order of the scan, the state is replaced.

    Forward, a segment is entered at its start. Reversed, it is entered at its end, one step before
    the next segment's start, which has to be a valid step itself.
    """
    start = jnp.arange(resets.shape[0], dtype=jnp.int32)
    if reverse:
        resets, start = jnp.roll(resets, -1, axis=0), start + 1
    start = lax.expand_dims(start, range(1, resets.ndim))
    return resets & (start < (resets.shape[0] if lengths is None else as_counts(lengths)[None]))


def as_counts(lengths: Int[Array, "*batch"]) -> Int[Array, "*batch"]:
    """Lengths in the dtype of the steps that they are compared with."""
    return jnp.asarray(lengths).astype(jnp.int32)


def reverse_within_lengths(
    a: Shaped[Array, "time *batch any"], lengths: Int[Array, "*batch"]
) -> Shaped[Array, "time *batch any"]:
    """Each sequence from its last valid step to its first; padding stays where it is.

    The function is its own inverse.

    Example:
      >>> import jax.numpy as jnp
      >>> from jlstm.masks import reverse_within_lengths
      >>> a = jnp.array([[1, 4], [2, 5], [3, 6]])[..., None]  # two sequences of 3 steps
      >>> reverse_within_lengths(a, jnp.array([3, 2]))[..., 0].T.tolist()
      [[3, 2, 1], [5, 4, 6]]
    """
    lengths = as_counts(lengths)
    step = lax.expand_dims(jnp.arange(a.shape[0], dtype=jnp.int32), range(1, lengths.ndim + 1))
    source = jnp.where(step < lengths[None], lengths[None] - 1 - step, step)
    return jnp.take_along_axis(a, lax.expand_dims(source, range(source.ndim, a.ndim)), axis=0)


def select(mask: Bool[Array, "*batch"], new: PyTree, old: PyTree) -> PyTree:
    """`new` where the mask holds, else `old`; arrays lead with the axes of the mask."""

    def select_leaf(new: Array, old: Array) -> Array:
        return jnp.where(lax.expand_dims(mask, range(mask.ndim, new.ndim)), new, old)

    return jax.tree.map(select_leaf, new, old)


def reset_before(state: PyTree, reset: Bool[Array, "*batch"] | None, reset_state: PyTree) -> PyTree:
    """The state before a step: `reset_state` where the mask holds, or zeros if that is None."""
    if reset is None:
        return state
    if reset_state is None:
        reset_state = jax.tree.map(jnp.zeros_like, state)

    def reset_leaf(new: Array, old: Array) -> Array:
        dtype = compute_dtype(new, old)  # rounds neither: the step rounds both alike
        return select(jnp.asarray(reset), new.astype(dtype), old.astype(dtype))

    return jax.tree.map(reset_leaf, *jax.tree.map(jnp.asarray, (reset_state, state)))
