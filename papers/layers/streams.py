"""Training to predict every symbol of streams, with truncated gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jlstm import init_state
from papers.layers.model import Layer, Model, optimizer, read, run
from papers.problems import Stream

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree


class Source(NamedTuple):
    """A source of streams: `draw` returns the next place in a stream and its symbols."""

    init: Callable[[PRNGKeyArray], PyTree]
    draw: Callable[[PyTree, PRNGKeyArray], tuple[PyTree, Stream]]
    resets: bool = True  # reset the layer at the start of a string


class Learner(NamedTuple):
    """A trial in training, with its own batch of streams."""

    net: Model
    optimizer: optax.OptState
    state: PyTree
    places: PyTree
    right: Int[Array, ""]  # strings in a row with the end predicted
    seen: Int[Array, ""]  # batches
    solved: Bool[Array, ""]


def init_learner(layer: Layer, source: Source, model: Model, key: PRNGKeyArray) -> Learner:
    """Initialise a trial at the start of its streams."""
    zero = jnp.zeros((), jnp.int32)
    places = jax.vmap(source.init)(jax.random.split(key, layer.batch))
    state = init_state(model.layer, (layer.batch,))
    adam = optimizer(layer.rate).init(model)
    return Learner(model, adam, state, places, zero, zero, jnp.zeros((), bool))


def predict(
    model: Model, state: PyTree | None, stream: Stream, resets: bool
) -> tuple[PyTree, Float[Array, "batch time symbols"]]:
    """The state after a batch of streams, and logits of the symbol after each."""
    xs = jax.nn.one_hot(stream.symbols.T, len(model.layer.weight_ih))
    state, hs = run(model, state, xs, resets=stream.starts.T if resets else None)
    return state, jnp.swapaxes(read(model, hs), 0, 1)


@partial(jax.jit, static_argnames=("layer", "source", "tolerance", "enough", "number"))
def learn(
    layer: Layer,
    source: Source,
    learners: Learner,
    key: PRNGKeyArray,
    number: int,
    *,
    tolerance: float = 1.0,
    enough: int | None = None,
) -> Learner:
    """Take `number` steps of every learner.

    Args:
      layer: the layer's sizes and training parameters.
      source: the source of streams.
      learners: the trials.
      key: the key of all random numbers.
      number: the number of steps.
      tolerance: the largest error of a probability for which an end is predicted.
      enough: the strings in a row that solve the task; None to decide elsewhere.
    """
    shape = (number, len(learners.seen), layer.batch)

    def one(learners: Learner, keys: PRNGKeyArray) -> tuple[Learner, None]:
        return jax.vmap(step)(learners, keys), None

    def step(learner: Learner, keys: PRNGKeyArray) -> Learner:
        places, stream = jax.vmap(source.draw)(learner.places, keys)

        def error(model: Model) -> tuple[Array, tuple[PyTree, Array]]:
            state, ys = predict(model, learner.state, stream, source.resets)
            nats = optax.softmax_cross_entropy_with_integer_labels(ys, stream.following)
            mean = jnp.where(stream.scored, nats, 0).sum() / stream.scored.sum()
            return mean, (jax.lax.stop_gradient(state), ys)

        gradient, (state, ys) = jax.grad(error, has_aux=True)(learner.net)
        updates, adam = optimizer(layer.rate).update(gradient, learner.optimizer)
        model: Any = optax.apply_updates(learner.net, updates)
        right = (end_error(jax.nn.softmax(ys), stream) <= tolerance).all()
        right = jnp.where(right, learner.right + layer.batch, 0)
        solved = jnp.zeros((), bool) if enough is None else right >= enough
        new = Learner(model, adam, state, places, right, learner.seen + 1, solved)
        return jax.tree.map(partial(jnp.where, learner.solved), learner, new)

    return jax.lax.scan(one, learners, jax.random.split(key, shape))[0]


def end_error(
    probabilities: Float[Array, "*batch time symbols"], stream: Stream
) -> Float[Array, "*batch"]:
    """The largest error of the probabilities at the second-to-last symbol of a stream."""
    target = jax.nn.one_hot(stream.following[..., -2], probabilities.shape[-1])
    return jnp.abs(probabilities[..., -2, :] - target).max(-1)
