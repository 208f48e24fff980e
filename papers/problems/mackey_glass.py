"""The series of Mackey and Glass (1977), with a delay of 17, which is weakly chaotic.

    dx/dt = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x(t)

by ten Euler steps per unit of time, from a history of 1.2 with uniform noise of 0.1, squashed by
`tanh(x - 1)`; as in the experiments of Voelker, Kajic and Eliasmith (2019), the first 100 units of
time are dropped, and the mean is subtracted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float, PRNGKeyArray

DELAY, EULER, WASHOUT, AHEAD = 17, 10, 100, 15


def series(key: PRNGKeyArray, number: int, steps: int) -> Float[Array, "number steps+ahead"]:
    """Series of `steps` steps and 15 more, with a mean of 0 over all series."""
    values = jax.vmap(lambda key: _one(key, WASHOUT + steps + AHEAD))(jax.random.split(key, number))
    values = values[:, WASHOUT:]
    return values - values.mean()


def _one(key: PRNGKeyArray, units: int) -> Float[Array, "units"]:
    past = 1.2 + 0.2 * (jax.random.uniform(key, (DELAY * EULER,)) - 0.5)

    def euler(carry: tuple[Array, Array], k: Array) -> tuple[tuple[Array, Array], Array]:
        past, x = carry  # `past` is a ring of the last values
        delayed = past[k % len(past)]
        past = past.at[k % len(past)].set(x)
        x = x + (0.2 * delayed / (1 + delayed**10) - 0.1 * x) / EULER
        return (past, x), x

    _, xs = jax.lax.scan(euler, (past, jnp.array(1.2)), jnp.arange(units * EULER))
    return jnp.tanh(xs[EULER - 1 :: EULER] - 1)
