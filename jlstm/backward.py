"""The loop of backpropagation through time: one step of it, and the scan over many."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jlstm.equations import lstm_cotangents
from jlstm.scan import select
from jlstm.types import LSTMGates, LSTMState

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float


class Masks(NamedTuple):
    """Which steps count, and before which the state is replaced; None is all, and none."""

    valid: Bool[Array, "time *batch"] | None
    entered: Bool[Array, "time *batch"] | None


class Whole(NamedTuple):
    """What the loop back in time reads of all steps; without gates it is given fresh ones."""

    before_c: Float[Array, "time *batch hidden"]
    d_hs: Float[Array, "time *batch output"]
    gates: LSTMGates | None
    masks: Masks


class Back(NamedTuple):
    """The way back, of weights laid out once and not each step; None where `h` is all there is."""

    to_h: Float[Array, "gates output"]
    to_m: Float[Array, "output hidden"] | None


class Moved(NamedTuple):
    """What the loop back in time carries: cotangents, those of `reset_state` as a sum so far."""

    d_state: LSTMState
    d_reset_state: LSTMState | None


def scan_back(
    back: Back,
    whole: Whole,
    start: Array,
    size: int,
    fresh: LSTMGates | None,
    moved: Moved,
    reverse: bool,
) -> tuple[Moved, tuple[Array, Array | None]]:
    """Backpropagation through `size` steps from `start`: cotangents of the pre-activations.

    With them, where `h` is projected, those of `h`.
    """
    wide = back.to_h.dtype
    projected = back.to_m is not None

    def one_step(moved: Moved, inputs: tuple) -> tuple[Moved, tuple]:
        d_state, d_reset_state = moved
        t, fresh = inputs
        # Cut here and not for a block of steps at once, which would be copied first.
        c, d_h, kept, (valid, entered) = jax.tree.map(
            lambda a: lax.dynamic_index_in_dim(a, t, keepdims=False), whole
        )
        gates = fresh if kept is None else kept
        d_h = d_state.h + d_h.astype(wide)
        d_m = d_h if back.to_m is None else jnp.matmul(d_h, back.to_m)
        d_z, d_c = lstm_cotangents(gates, c, d_m, d_state.c)
        if valid is not None:
            d_z, d_h = select(valid, (d_z, d_h), (jnp.zeros_like(d_z), jnp.zeros_like(d_h)))
        new = LSTMState(jnp.matmul(d_z, back.to_h), d_c)
        if valid is not None:
            new = select(valid, new, d_state)
        if entered is not None:
            zeros = jax.tree.map(jnp.zeros_like, new)
            entering = select(entered, new, zeros)
            d_reset_state = jax.tree.map(jnp.add, d_reset_state, entering)
            new = select(entered, zeros, new)
        return Moved(new, d_reset_state), (d_z, d_h if projected else None)

    steps = (start + jnp.arange(size), fresh)
    return lax.scan(one_step, moved, steps, reverse=not reverse)
