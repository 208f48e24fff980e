"""The two-sequence problem: experiment 3 of 1997, after Bengio, Simard and Frasconi (1994).

The first `signal` elements give the class: 1 for the first and -1 for the second. The others are
Gaussian noise of variance 0.2. A sequence has `steps` to 1.1 `steps` elements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from papers.problems import Sequences

if TYPE_CHECKING:
    from jaxtyping import Array, PRNGKeyArray

NOISE_STD = 0.2**0.5


def two_sequence(steps: int, signal: int, key: PRNGKeyArray) -> Sequences:
    """3a: the signal is clean; targets are 1 and 0."""
    return _sequence(steps, signal, 0.0, (1.0, 0.0), key)


def noisy_signal(steps: int, signal: int, key: PRNGKeyArray) -> Sequences:
    """3b: the signal has noise as well."""
    return _sequence(steps, signal, NOISE_STD, (1.0, 0.0), key)


def noisy_target(steps: int, signal: int, key: PRNGKeyArray) -> Sequences:
    """3c for training: targets are 0.2 and 0.8, with Gaussian noise of variance 0.1."""
    key, noise = jax.random.split(key)
    sequence = expected_target(steps, signal, key)
    return sequence._replace(target=sequence.target + 0.1**0.5 * jax.random.normal(noise, (1,)))


def expected_target(steps: int, signal: int, key: PRNGKeyArray) -> Sequences:
    """3c for tests: the targets are the means."""
    return _sequence(steps, signal, 0.0, (0.2, 0.8), key)


def _sequence(
    steps: int, signal: int, deviation: float, targets: tuple[float, float], key: PRNGKeyArray
) -> Sequences:
    keys = jax.random.split(key, 3)
    longest = steps + steps // 10
    start = jax.random.randint(keys[0], (), 0, longest - steps + 1)
    place = jnp.arange(longest) - start
    second = jax.random.bernoulli(keys[1])
    noise = jax.random.normal(keys[2], (longest,))
    level = jnp.where(second, -1.0, 1.0)
    xs = jnp.where(place < signal, level + deviation * noise, NOISE_STD * noise)
    target: Array = jnp.where(second, targets[1], targets[0])
    return Sequences(xs[:, None], place >= 0, target[None])
