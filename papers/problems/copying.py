"""The copy task: repeat ten symbols after a long gap.

As in Arjovsky, Shah and Bengio (2016), after Hochreiter and Schmidhuber (1997): ten symbols out of
eight, `gap - 1` blanks, a mark, and ten blanks with the symbols as targets, in order; all earlier
targets are blanks.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Int, PRNGKeyArray

SYMBOLS, COPIED = 8, 10
BLANK, MARK = SYMBOLS, SYMBOLS + 1


def copying(gap: int, key: PRNGKeyArray) -> tuple[Int[Array, "time"], Int[Array, "time"]]:
    """The inputs and targets of `gap + 20` steps."""
    symbols = jax.random.randint(key, (COPIED,), 0, SYMBOLS)
    time = gap + 2 * COPIED
    xs = jnp.full(time, BLANK).at[:COPIED].set(symbols).at[gap + COPIED - 1].set(MARK)
    return xs, jnp.full(time, BLANK).at[-COPIED:].set(symbols)


def without_memory(gap: int) -> float:
    """Nats per step of the best answer without memory: `10 ln 8 / (gap + 20)`."""
    return COPIED * math.log(SYMBOLS) / (gap + 2 * COPIED)
