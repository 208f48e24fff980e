"""Training with a target at the end of a sequence: experiments 2c and 3 to 6 of 1997.

The gradient is the truncated one of `blocks`: recurrent activations are constants. A first loop
over time computes them; then all steps are independent, a cell without forget gate is the sum of
its inputs, and the error is a function of the weights without a loop.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

from papers.nets.blocks import (
    Layout,
    Net,
    activate,
    connections,
    hidden_weights,
    outputs,
    project,
)
from papers.problems import Sequences
from papers.trials import RECENT, Criterion

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray


class Learner(NamedTuple):
    """A trial in training: a net, and its recent errors."""

    net: Net
    wrong: Bool[Array, "recent"]  # of the most recent sequences, in a ring buffer
    error: Float[Array, ""]  # running mean of the absolute error
    seen: Int[Array, ""]  # sequences
    solved: Bool[Array, ""]  # a solved trial is not trained further


def init_learner(net: Net) -> Learner:
    """Initialise a trial, with all recent sequences wrong."""
    seen = jnp.zeros((), jnp.int32)
    return Learner(net, jnp.ones(RECENT, bool), jnp.ones(()), seen, jnp.zeros((), bool))


def answer(layout: Layout, net: Net, sequence: Sequences) -> Float[Array, "outputs"]:
    """The net's output at the end of a sequence, with the truncated gradient."""
    weights = hidden_weights(net)
    recurrent = jax.lax.stop_gradient(_recurrent_inputs(layout, weights, sequence))
    pre = _of_inputs(layout, weights, sequence.xs) + recurrent @ weights[layout.inputs : -1]
    units = activate(layout, pre[:-1], jnp.zeros(layout.memory))
    stored = jnp.where(sequence.valid[:-1, None], units.i * units.g, 0).sum(0)
    return outputs(layout, net, activate(layout, pre[-1], stored).h, sequence.xs[-1])


@partial(jax.jit, static_argnames=("layout", "draw", "criterion", "number"))
def learn(
    layout: Layout,
    draw: Callable[[PRNGKeyArray], Sequences],
    criterion: Criterion,
    rate: float,
    learners: Learner,
    key: PRNGKeyArray,
    number: int,
) -> Learner:
    """Train every learner on its own `number` sequences, with an update after each."""
    trials = len(learners.seen)

    def one(learners: Learner, key: PRNGKeyArray) -> tuple[Learner, None]:
        sequences = jax.vmap(draw)(jax.random.split(key, trials))
        return jax.vmap(partial(_learn_one, layout, criterion, rate))(learners, sequences), None

    return jax.lax.scan(one, learners, jax.random.split(key, number))[0]


@partial(jax.jit, static_argnames=("layout", "draw", "number"))
def test_errors(
    layout: Layout,
    draw: Callable[[PRNGKeyArray], Sequences],
    nets: Net,
    key: PRNGKeyArray,
    number: int,
) -> Float[Array, "trials number"]:
    """The largest error of an output for each of `number` new sequences, the same for all nets."""
    sequences = jax.vmap(draw)(jax.random.split(key, number))

    def errors(net: Net) -> Array:
        answers = jax.vmap(partial(answer, layout, net))(sequences)
        return jnp.abs(answers - sequences.target).max(-1)

    return jax.vmap(errors)(nets)


def _recurrent_inputs(
    layout: Layout, weights: Array, sequence: Sequences
) -> Float[Array, "time back"]:
    """The recurrent inputs of each step."""

    def one(carry: tuple[Array, Array], now: tuple[Array, Array]):
        s, back = carry
        pre, valid = now
        units = activate(layout, pre + back @ weights[layout.inputs : -1], s)
        return (jnp.where(valid, units.s, s), jnp.where(valid, units.back, back)), back

    zeros = (jnp.zeros(layout.memory), jnp.zeros(layout.back))
    pre = _of_inputs(layout, weights, sequence.xs)
    return jax.lax.scan(one, zeros, (pre, sequence.valid))[1]


def _of_inputs(layout: Layout, weights: Array, xs: Array) -> Float[Array, "time units"]:
    return project(xs, weights[: layout.inputs]) + weights[-1]


def _learn_one(
    layout: Layout, criterion: Criterion, rate: float, learner: Learner, sequence: Sequences
) -> Learner:
    def error(net: Net) -> tuple[Array, Array]:
        errors = answer(layout, net, sequence) - sequence.target
        return (errors**2).sum() / 2, errors

    gradient, errors = jax.grad(error, has_aux=True)(learner.net)
    now = jnp.where(learner.solved, 0.0, rate)
    net = jax.tree.map(
        lambda weights, slope, mask: weights - now * slope * mask,
        learner.net,
        gradient,
        connections(layout),
    )
    recent = learner.wrong.at[learner.seen % RECENT].set(
        jnp.abs(errors).max() > criterion.tolerance
    )
    mean = learner.error + (jnp.abs(errors).mean() - learner.error) / RECENT
    seen = learner.seen + ~learner.solved
    solved = (seen >= RECENT) & (recent.sum() <= criterion.wrong) & (mean < criterion.error)
    return Learner(net, recent, mean, seen, learner.solved | solved)
