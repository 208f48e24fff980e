"""Temporal order: experiment 6 of 1997.

E starts a sequence and B ends it. In between are random letters of a, b, c and d, and two or three
X or Y, at steps drawn from `TWO` or `THREE`. The class is given by these letters in their order:
one of 4, or of 8. A sequence has 100 to 110 steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from papers.problems import Sequences

if TYPE_CHECKING:
    from jaxtyping import PRNGKeyArray

LETTERS = "abcdEBXY"
STEPS = (100, 110)
TWO = ((10, 20), (50, 60))  # of the relevant letters, from and to
THREE = ((10, 20), (33, 43), (66, 76))


def temporal_order(windows: tuple[tuple[int, int], ...], key: PRNGKeyArray) -> Sequences:
    """A sequence with a relevant letter in each of the windows."""
    keys = jax.random.split(key, 4)
    shortest, longest = STEPS
    start = jax.random.randint(keys[0], (), 0, longest - shortest + 1)
    xs = jax.random.randint(keys[1], (longest,), 0, LETTERS.index("E"))
    lows, highs = jnp.array(windows).T
    places = jax.random.randint(keys[2], lows.shape, lows, highs + 1)
    which = jax.random.bernoulli(keys[3], shape=lows.shape).astype(jnp.int32)
    xs = xs.at[start].set(LETTERS.index("E")).at[-1].set(LETTERS.index("B"))
    xs = xs.at[start + places].set(LETTERS.index("X") + which)
    label = (which * 2 ** jnp.arange(len(windows))[::-1]).sum()
    return Sequences(xs, jnp.arange(longest) >= start, jax.nn.one_hot(label, 2 ** len(windows)))
