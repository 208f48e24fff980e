"""The data of the experiments, as pure functions of a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int


class Sequences(NamedTuple):
    """Sequences that end at the same step, and the targets at their end.

    Shorter sequences are padded at the start, where `valid` is false. Integers stand for one-hot
    vectors.
    """

    xs: Float[Array, "*batch time inputs"] | Int[Array, "*batch time"]
    valid: Bool[Array, "*batch time"]
    target: Float[Array, "*batch outputs"]


class Stream(NamedTuple):
    """A stream of symbols, and the symbol to predict after each."""

    symbols: Int[Array, "*batch time"]
    following: Int[Array, "*batch time"]  # the next symbol: the target
    allowed: Bool[Array, "*batch time symbols"]  # symbols that may come next
    starts: Bool[Array, "*batch time"]  # the first symbol of a string
    scored: Bool[Array, "*batch time"]  # true where the prediction counts


def is_correct(
    ys: Float[Array, "*batch time symbols"], stream: Stream
) -> Bool[Array, "*batch time"]:
    """Return whether the allowed symbols have the largest outputs; true at steps not scored."""
    lowest_allowed = jnp.where(stream.allowed, ys, jnp.inf).min(-1)
    highest_other = jnp.where(stream.allowed, -jnp.inf, ys).max(-1)
    return (lowest_allowed > highest_other) | ~stream.scored
