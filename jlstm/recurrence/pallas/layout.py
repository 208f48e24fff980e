"""Layout of the kernels' arrays: one batch axis, padded to whole tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

from jlstm.recurrence.pallas.tiling import ROWS, Tiling
from jlstm.types import LSTMState

if TYPE_CHECKING:
    from jlstm.types import Array, Bool, Float, Int


def next_entered(
    entered: Bool[Array, "time *batch"], reverse: bool
) -> tuple[Bool[Array, "*batch"], Bool[Array, "time *batch"]]:
    """Masks of resets: before the first step, and after each step."""
    first = entered[-1 if reverse else 0]
    never = jnp.zeros_like(entered[:1])
    if reverse:
        return first, jnp.concatenate([never, entered[:-1]])
    return first, jnp.concatenate([entered[1:], never])


def codes_of(
    valid: Bool[Array, "time *batch"] | None,
    marked: Bool[Array, "time *batch"] | None,
    tiling: Tiling,
    shape: Sequence[int],
) -> Int[Array, "time group row"]:
    """A code per step and sequence: the bit 1 where it is valid, the bit 2 where it is marked."""

    def of_shape(mask: Array) -> Array:
        mask = lax.expand_dims(mask, range(mask.ndim, len(shape)))
        return jnp.broadcast_to(mask, shape).astype(jnp.int32)

    code = jnp.ones(shape, jnp.int32) if valid is None else of_shape(valid)
    if marked is not None:
        code = code + 2 * of_shape(marked)
    code = batched(code[..., None], tiling)
    return _to_rows(code.reshape(len(code), tiling.groups, tiling.rows))


def in_rows(state: LSTMState, tiling: Tiling) -> LSTMState:
    """From `(*batch, hidden)` to `(group, row, hidden)`."""

    def one(a: Array) -> Array:
        a = batched(a[None].astype(jnp.float32), tiling)
        a = a.reshape(tiling.groups, tiling.rows, tiling.hidden)
        return _to_rows(a.swapaxes(1, 2)).swapaxes(1, 2)

    return jax.tree.map(one, state)


def batched(
    a: Float[Array, "time *batch features"], tiling: Tiling
) -> Float[Array, "time sequences features"]:
    """Flatten the batch axes to one, padded to that of the tiling."""
    a = a.reshape(a.shape[0], -1, a.shape[-1])
    return jnp.pad(a, ((0, 0), (0, tiling.batch - a.shape[1]), (0, 0)))


def of_batch(tree: Any, batch: Sequence[int], axis: int) -> Any:
    """Undo `batched`, for arrays whose batch axis is `axis`."""
    count = math.prod(batch)

    def one(a: Array) -> Array:
        a = lax.slice_in_dim(a, 0, count, axis=axis)
        return a.reshape(*a.shape[:axis], *batch, *a.shape[axis + 1 :])

    return jax.tree.map(one, tree)


def _to_rows(a: Array) -> Array:
    """Pad the last axis to the rows of a tile."""
    return jnp.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, ROWS - a.shape[-1])])
