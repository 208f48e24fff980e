"""The data of the tables: pure functions of a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int


class Sequences(NamedTuple):
    """Sequences that end together, and the answer that is due at their end.

    Shorter ones have steps before their first, which `valid` marks as false. Integers stand for
    vectors that are 1 at that place and 0 elsewhere.
    """

    xs: Float[Array, "*batch time inputs"] | Int[Array, "*batch time"]
    valid: Bool[Array, "*batch time"]
    target: Float[Array, "*batch outputs"]


class Stream(NamedTuple):
    """Symbols one after the other, and what is to be foretold after each."""

    symbols: Int[Array, "*batch time"]
    following: Int[Array, "*batch time"]  # the symbol that does come next: the target
    allowed: Bool[Array, "*batch time symbols"]  # those that may
    starts: Bool[Array, "*batch time"]  # the first symbol of a string
    scored: Bool[Array, "*batch time"]  # there is something to foretell


def foretold(ys: Float[Array, "*batch time symbols"], stream: Stream) -> Bool[Array, "*batch time"]:
    """Whether the symbols that may follow have the largest outputs; true where none is scored."""
    least = jnp.where(stream.allowed, ys, jnp.inf).min(-1)
    most = jnp.where(stream.allowed, -jnp.inf, ys).max(-1)
    return (least > most) | ~stream.scored
