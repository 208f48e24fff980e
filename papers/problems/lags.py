"""Long time lags: experiment 2 of 1997. The last symbol repeats one of the first.

2a and 2b: x or y, then p - 1 others, then x or y again; the task is to predict the next symbol at
every step. In 2a the others are 0, 1, ..., p - 2 in order; in 2b they are random.

2c: b, then x or y, then at least q random symbols of p, with a probability of 0.1 to stop after
each further symbol, then e; the target, and so the error, is at the end only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from papers.problems import Sequences, Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Array, Int, PRNGKeyArray

MORE = 100  # the most steps after the q-th: the probability of more is 0.9^100


def in_turn(lag: int, key: PRNGKeyArray) -> Int[Array, "lag+1"]:
    """2a: one of the two sequences."""
    ends = lag - 1 + jax.random.bernoulli(key).astype(jnp.int32)[None]
    return jnp.concatenate([ends, jnp.arange(lag - 1), ends])


def at_random(lag: int, key: PRNGKeyArray) -> Int[Array, "lag+1"]:
    """2b: a sequence with random symbols in between."""
    key, between = jax.random.split(key)
    return in_turn(lag, key).at[1:-1].set(jax.random.randint(between, (lag - 1,), 0, lag - 1))


def very_long(least: int, symbols: int, key: PRNGKeyArray) -> Sequences:
    """2c: q is `least`, p is `symbols`; the symbols after these are e, b, x and y."""
    keys = jax.random.split(key, 3)
    e, b, x = symbols, symbols + 1, symbols + 2
    more = jnp.floor(jnp.log(jax.random.uniform(keys[0], minval=1e-30)) / jnp.log(0.9))
    longest = least + MORE + 3
    start = MORE - jnp.minimum(more, MORE).astype(jnp.int32)
    second = jax.random.bernoulli(keys[1]).astype(jnp.int32)
    xs = jax.random.randint(keys[2], (longest,), 0, symbols)
    xs = xs.at[start].set(b).at[start + 1].set(x + second).at[-1].set(e)
    return Sequences(xs, jnp.arange(longest) >= start, jax.nn.one_hot(second, 2))


def as_stream(draw: Callable[[PRNGKeyArray], Int[Array, "steps"]], key: PRNGKeyArray) -> Stream:
    """A sequence of 2a or 2b as a stream."""
    symbols = draw(key)
    following = jnp.roll(symbols, -1)
    steps = jnp.arange(len(symbols))
    allowed = jax.nn.one_hot(following, len(symbols), dtype=bool)
    return Stream(symbols, following, allowed, steps == 0, steps < len(symbols) - 1)
