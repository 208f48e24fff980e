"""The copy task: ten symbols are shown, and asked for again after a long gap.

As Arjovsky, Shah and Bengio (2016) set it, after Hochreiter and Schmidhuber (1997): ten symbols of
eight, `gap - 1` blanks, a mark, and ten blanks during which the symbols are due in their order;
before that, a blank is due at every step.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Int, PRNGKeyArray

SYMBOLS, SHOWN = 8, 10
BLANK, MARK = SYMBOLS, SYMBOLS + 1


def copying(gap: int, key: PRNGKeyArray) -> tuple[Int[Array, "time"], Int[Array, "time"]]:
    """Inputs, and what is due at each step; `gap + 20` steps."""
    shown = jax.random.randint(key, (SHOWN,), 0, SYMBOLS)
    time = gap + 2 * SHOWN
    xs = jnp.full(time, BLANK).at[:SHOWN].set(shown).at[gap + SHOWN - 1].set(MARK)
    return xs, jnp.full(time, BLANK).at[-SHOWN:].set(shown)


def without_memory(gap: int) -> float:
    """Nats a step of the best answer that remembers nothing: `10 ln 8 / (gap + 20)`."""
    return SHOWN * math.log(SYMBOLS) / (gap + 2 * SHOWN)
