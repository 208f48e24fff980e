"""Learning to foretell every symbol of streams, with the gradient over some symbols at once."""

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
    """Where streams come from: `draw` gives the next symbols of one, from where it is."""

    init: Callable[[PRNGKeyArray], PyTree]
    draw: Callable[[PyTree, PRNGKeyArray], tuple[PyTree, Stream]]
    resets: bool = True  # at the start of a string the layer forgets


class Learner(NamedTuple):
    """One trial, with a batch of streams of its own."""

    net: Model
    optimizer: optax.OptState
    state: PyTree
    places: PyTree
    right: Int[Array, ""]  # strings in a row whose end was foretold
    seen: Int[Array, ""]  # batches
    solved: Bool[Array, ""]


def init_learner(layer: Layer, source: Source, model: Model, key: PRNGKeyArray) -> Learner:
    """A trial at the start of its streams."""
    zero = jnp.zeros((), jnp.int32)
    places = jax.vmap(source.init)(jax.random.split(key, layer.batch))
    state = init_state(model.layer, (layer.batch,))
    adam = optimizer(layer.rate).init(model)
    return Learner(model, adam, state, places, zero, zero, jnp.zeros((), bool))


def foretell(
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
    """`number` steps of each of the learners.

    Args:
      layer: what learns.
      source: from what.
      learners: the trials.
      key: of what is drawn.
      number: steps.
      tolerance: the end of a string is foretold where no probability is further off.
      enough: the task is solved by so many strings in a row; None leaves that to others.
    """
    shape = (number, len(learners.seen), layer.batch)

    def one(learners: Learner, keys: PRNGKeyArray) -> tuple[Learner, None]:
        return jax.vmap(step)(learners, keys), None

    def step(learner: Learner, keys: PRNGKeyArray) -> Learner:
        places, stream = jax.vmap(source.draw)(learner.places, keys)

        def error(model: Model) -> tuple[Array, tuple[PyTree, Array]]:
            state, ys = foretell(model, learner.state, stream, source.resets)
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
    """How far off the last symbol but one of a stream was in what it foretold."""
    target = jax.nn.one_hot(stream.following[..., -2], probabilities.shape[-1])
    return jnp.abs(probabilities[..., -2, :] - target).max(-1)
