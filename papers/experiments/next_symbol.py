"""Rows of next-symbol prediction: experiments 1, 2a and 2b."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from papers import layers, nets
from papers.experiments.final_answer import Blocks
from papers.layers.model import Layer, init_model
from papers.layers.streams import Source, end_error
from papers.nets.blocks import count, with_shortcuts_of
from papers.problems import Stream, is_correct, lags, reber
from papers.row import Log, Measured, solved_line
from papers.trials import until_solved

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Int, PRNGKeyArray, PyTree

STRINGS = 256  # training strings, and as many test strings
EVERY = 100  # strings between two tests
ALONE = 1000  # sequences of 2a and 2b before the cell and its gate are added
TOLERANCE = 0.25  # of 2a and 2b, for the last symbol
IN_A_ROW = 10_000  # sequences of 2a and 2b whose last symbol must be predicted


class Trial(NamedTuple):
    """A net of 1997 in training."""

    net: PyTree
    right: Int[Array, ""]  # strings in a row with the end predicted
    seen: Int[Array, ""]
    solved: Bool[Array, ""]


def reber_of_blocks(blocks: Blocks, trials: int, budget: int, log: Log) -> Measured:
    """Experiment 1 with nets of 1997; each trial has its own strings."""
    first, second, key = jax.random.split(jax.random.key(0), 3)
    strings = _trimmed(jax.vmap(lambda key: reber.strings(key, 2 * STRINGS))(
        jax.random.split(second, trials)
    ))  # fmt: skip
    layout = blocks.layout

    @jax.jit
    def learn(trials: Trial, key: PRNGKeyArray) -> Trial:
        def one(trial: Trial, strings: Stream, key: PRNGKeyArray) -> Trial:
            order = jax.random.randint(key, (EVERY,), 0, STRINGS)
            stream = jax.tree.map(lambda a: a[order].reshape(-1, *a.shape[2:]), strings)
            rate = jnp.where(trial.solved, 0.0, blocks.rate)
            learner = nets.streams.init_learner(layout, trial.net)
            learner, _, _ = nets.streams.learn(layout, learner, stream, rate)
            return trial._replace(net=learner.net, seen=trial.seen + EVERY * ~trial.solved)

        return jax.vmap(one)(trials, strings, jax.random.split(key, len(trials.seen)))

    @jax.jit
    def evaluate(trials: Trial, key: PRNGKeyArray, done: int) -> Trial:
        def one(trial: Trial, strings: Stream) -> Trial:
            ys = jax.vmap(lambda s: nets.streams.predict(layout, trial.net, None, s)[1])(strings)
            return trial._replace(solved=trial.solved | is_correct(ys, strings).all())

        return jax.vmap(one)(trials, strings)

    learners = until_solved(
        _trials(blocks, first, trials), learn, key,
        every=EVERY, budget=budget, log=log, evaluate=evaluate, unit="strings",
    )  # fmt: skip
    return _measured(learners.solved, learners.seen, count(layout))


def reber_of_layer(layer: Layer, trials: int, budget: int, log: Log) -> Measured:
    """Experiment 1 with a layer of jlstm, trained on new strings at every step."""
    first, second, key = jax.random.split(jax.random.key(0), 3)
    strings = _trimmed(reber.strings(second, 2 * STRINGS))
    longest = strings.symbols.shape[1]

    def draw(place: tuple, key: PRNGKeyArray) -> tuple[tuple, Stream]:
        return place, jax.tree.map(lambda a: a[0, :longest], reber.strings(key, 1))

    source = Source(lambda key: (), draw)

    @jax.jit
    def evaluate(learners: Any, key: PRNGKeyArray, done: int) -> Any:
        def right(net: PyTree) -> Array:
            return is_correct(layers.streams.predict(net, None, strings, True)[1], strings).all()

        return learners._replace(solved=learners.solved | jax.vmap(right)(learners.net))

    steps = max(1, EVERY // layer.batch)
    learners = until_solved(
        _learners(layer, source, first, trials),
        lambda learners, key: layers.streams.learn(layer, source, learners, key, steps),
        key, every=steps * layer.batch, budget=budget, log=log, evaluate=evaluate, unit="strings",
    )  # fmt: skip
    seen = learners.seen * layer.batch
    return _measured(learners.solved, seen, layers.model.count(learners.net))


def lag_of_blocks(
    draw: Callable[[PRNGKeyArray], Array], blocks: Blocks, trials: int, budget: int, log: Log
) -> Measured:
    """Experiments 2a and 2b with nets of 1997; hidden units are added after `ALONE` sequences."""
    first, second, key = jax.random.split(jax.random.key(0), 3)
    small = replace(blocks, layout=replace(blocks.layout, blocks=0))
    learners = _until_right(draw, small, _trials(small, second, trials), key, ALONE, log)
    net = jax.vmap(with_shortcuts_of)(_trials(blocks, first, trials).net, learners.net)
    learners = _until_right(draw, blocks, learners._replace(net=net), key, budget + IN_A_ROW, log)
    seen = learners.seen - jnp.where(learners.solved, IN_A_ROW, 0)
    return _measured(learners.solved, seen, count(blocks.layout))


def _until_right(
    draw: Callable[[PRNGKeyArray], Array],
    blocks: Blocks,
    trials: Trial,
    key: PRNGKeyArray,
    budget: int,
    log: Log,
) -> Trial:
    """Train until the ends of `IN_A_ROW` sequences are predicted, or `budget` were seen."""
    layout = blocks.layout

    def one(trial: Trial, key: PRNGKeyArray) -> Trial:
        stream = lags.as_stream(draw, key)
        learner = nets.streams.init_learner(layout, trial.net)
        rate = jnp.where(trial.solved, 0.0, blocks.rate)
        learner, ys, _ = nets.streams.learn(layout, learner, stream, rate)
        right = jnp.where(end_error(ys, stream) <= TOLERANCE, trial.right + 1, 0)
        seen = trial.seen + ~trial.solved
        return Trial(learner.net, right, seen, trial.solved | (right >= IN_A_ROW))

    @jax.jit
    def learn(trials: Trial, key: PRNGKeyArray) -> Trial:
        keys = jax.random.split(key, (EVERY, len(trials.seen)))
        return jax.lax.scan(lambda t, keys: (jax.vmap(one)(t, keys), None), trials, keys)[0]

    return until_solved(trials, learn, key, every=EVERY, budget=budget, log=log)


def lag_of_layer(
    draw: Callable[[PRNGKeyArray], Array], layer: Layer, trials: int, budget: int, log: Log
) -> Measured:
    """Experiments 2a and 2b with a layer of jlstm."""
    first, key = jax.random.split(jax.random.key(0))
    source = Source(lambda key: (), lambda place, key: (place, lags.as_stream(draw, key)))
    learn = partial(
        layers.streams.learn, layer, source, number=max(1, EVERY // layer.batch),
        tolerance=TOLERANCE, enough=IN_A_ROW,
    )  # fmt: skip
    learners = until_solved(
        _learners(layer, source, first, trials), lambda learners, key: learn(learners, key), key,
        every=max(1, EVERY // layer.batch) * layer.batch, budget=budget + IN_A_ROW, log=log,
    )  # fmt: skip
    seen = learners.seen * layer.batch - jnp.where(learners.solved, IN_A_ROW, 0)
    return _measured(learners.solved, seen, layers.model.count(learners.net))


def _trials(blocks: Blocks, key: PRNGKeyArray, number: int) -> Trial:
    zeros = jnp.zeros(number, jnp.int32)
    drawn = jax.vmap(blocks.draw)(jax.random.split(key, number))
    return Trial(drawn, zeros, zeros, jnp.zeros(number, bool))


def _learners(layer: Layer, source: Source, key: PRNGKeyArray, number: int) -> Any:
    keys = jax.random.split(key, (2, number))
    drawn = jax.vmap(partial(init_model, layer))(keys[0])
    return jax.vmap(partial(layers.streams.init_learner, layer, source))(drawn, keys[1])


def _trimmed(strings: Stream) -> Stream:
    """Drop the steps after the end of the longest string."""
    scored = np.asarray(strings.scored)
    longest = int(np.flatnonzero(scored.reshape(-1, scored.shape[-1]).any(0))[-1]) + 1
    axis = scored.ndim - 1
    return jax.tree.map(lambda a: jax.lax.slice_in_dim(a, 0, longest, axis=axis), strings)


def _measured(solved: Array, seen: Array, weights: int) -> Measured:
    right, sequences = np.asarray(solved).tolist(), np.asarray(seen).tolist()
    figures = {"weights": weights, "solved": right, "sequences": sequences}
    return Measured(solved_line(right, sequences), figures)
