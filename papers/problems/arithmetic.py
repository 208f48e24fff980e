"""Adding and multiplying two marked numbers: experiments 4 and 5 of 1997.

A step has a number and a mark. The first and the last step are marked -1; two numbers are marked 1,
the first among the first ten steps, the second in the first half; all others 0. The target is at
the end. A sequence has `steps` to 1.1 `steps` steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from papers.problems import Sequences

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Array, PRNGKeyArray


def adding(steps: int, key: PRNGKeyArray) -> Sequences:
    """Numbers in (-1, 1), target 0.5 + (a + b) / 4; the number of a first step counts as 0."""
    return _marked(steps, -1.0, lambda a, b: 0.5 + (a + b) / 4, key)


def multiplication(steps: int, key: PRNGKeyArray) -> Sequences:
    """Numbers in (0, 1), target a b; the number of a first step counts as 1."""
    return _marked(steps, 0.0, lambda a, b: a * b, key)


def _marked(
    steps: int, lowest: float, result: Callable[[Array, Array], Array], key: PRNGKeyArray
) -> Sequences:
    keys = jax.random.split(key, 4)
    longest = steps + steps // 10
    start = jax.random.randint(keys[0], (), 0, longest - steps + 1)
    place = jnp.arange(longest) - start  # of each step in its sequence; negative in the padding
    numbers = jax.random.uniform(keys[1], (longest,), minval=lowest)
    first = jax.random.randint(keys[2], (), 0, 10)
    second = jax.random.randint(keys[3], (), 0, steps // 2 - 2)
    second += second >= first  # skip the step that is already marked
    neutral = 0.0 if lowest < 0 else 1.0

    def number(at: Array) -> Array:
        return jnp.where(at == 0, neutral, numbers[start + at])

    marks = jnp.where((place == first) | (place == second), 1.0, 0.0)
    marks = jnp.where((place == 0) | (place == longest - start - 1), -1.0, marks)
    return Sequences(
        jnp.stack([numbers, marks], axis=-1),
        place >= 0,
        result(number(first), number(second))[None],
    )
