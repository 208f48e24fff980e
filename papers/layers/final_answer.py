"""Training with a target at the end of each sequence."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from papers.layers.model import Layer, Model, optimizer, read, run
from papers.problems import Sequences
from papers.trials import RECENT, Criterion

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray


class Learner(NamedTuple):
    """A trial in training."""

    net: Model
    optimizer: optax.OptState
    right: Int[Array, ""]  # sequences in a row that were correct
    seen: Int[Array, ""]
    solved: Bool[Array, ""]


def init_learner(layer: Layer, model: Model) -> Learner:
    """Initialise a trial."""
    zero = jnp.zeros((), jnp.int32)
    return Learner(model, optimizer(layer.rate).init(model), zero, zero, jnp.zeros((), bool))


def answer(model: Model, sequences: Sequences) -> Float[Array, "batch outputs"]:
    """The model's output at the end of each sequence of a batch."""
    xs = sequences.xs
    if jnp.issubdtype(xs.dtype, jnp.integer):
        xs = jax.nn.one_hot(xs, len(model.layer.weight_ih))
    lengths = sequences.valid.sum(-1)
    # jlstm pads sequences at the end, the experiments pad them at the start.
    xs = jax.vmap(partial(jnp.roll, axis=0))(xs, lengths - xs.shape[1])
    state, _ = run(model, None, jnp.swapaxes(xs, 0, 1), lengths=lengths)
    return read(model, getattr(state, "h", state))


@partial(jax.jit, static_argnames=("layer", "draw", "criterion", "number"))
def learn(
    layer: Layer,
    draw: Callable[[PRNGKeyArray], Sequences],
    criterion: Criterion,
    learners: Learner,
    key: PRNGKeyArray,
    number: int,
) -> Learner:
    """Take `number` steps of every learner, each on its own batches."""
    trials = len(learners.seen)

    def one(learners: Learner, key: PRNGKeyArray) -> tuple[Learner, None]:
        sequences = jax.vmap(jax.vmap(draw))(jax.random.split(key, (trials, layer.batch)))
        return jax.vmap(partial(_learn_one, layer, criterion))(learners, sequences), None

    return jax.lax.scan(one, learners, jax.random.split(key, number))[0]


@partial(jax.jit, static_argnames=("draw", "number"))
def test_errors(
    draw: Callable[[PRNGKeyArray], Sequences], models: Model, key: PRNGKeyArray, number: int
) -> Float[Array, "trials number"]:
    """The largest error of an output for each of `number` new sequences, the same for all."""
    sequences = jax.vmap(draw)(jax.random.split(key, number))
    return jax.vmap(lambda m: jnp.abs(answer(m, sequences) - sequences.target).max(-1))(models)


def _learn_one(
    layer: Layer, criterion: Criterion, learner: Learner, sequences: Sequences
) -> Learner:
    def error(model: Model) -> tuple[Array, Array]:
        errors = answer(model, sequences) - sequences.target
        return (errors**2).mean(), errors

    gradient, errors = jax.grad(error, has_aux=True)(learner.net)
    updates, state = optimizer(layer.rate).update(gradient, learner.optimizer)
    model: Any = optax.apply_updates(learner.net, updates)
    all_right = (jnp.abs(errors) <= criterion.tolerance).all()
    right = jnp.where(all_right, learner.right + len(errors), 0)
    new = Learner(model, state, right, learner.seen + len(errors), right >= RECENT)
    return jax.tree.map(partial(jnp.where, learner.solved), learner, new)
