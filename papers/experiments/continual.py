"""Rows of the continual grammar: nets predict streams until their first error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jlstm import init_state
from papers import layers
from papers.layers.model import Layer, init_model
from papers.layers.streams import Source
from papers.nets import streams
from papers.nets.blocks import Layout, init_net
from papers.problems import is_correct, reber
from papers.row import Log, Measured, mean_and_std
from papers.trials import until_solved

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Int, PRNGKeyArray, PyTree

RATE, SCALE = 0.5, 0.2
DECAY, STREAMS = 0.99, 100  # the rate is multiplied by this factor every 100 streams
BIASES = (0.5, 1.0, 1.5, 2.0)  # of the forget gates; the negative ones of the other gates
SYMBOLS = 50_000  # between two evaluations
TEST_STREAMS, PERFECT = 10, 1_000_000  # a perfect net has no error in this many symbols of each
SEGMENT = 1000
CHUNK, BATCH = 100, 8  # symbols per gradient, and streams, for the layers of jlstm

Advance = Callable[[Any, Any, Any], tuple[Any, Any]]


@dataclass(frozen=True)
class Setting:
    """A line of the paper's table."""

    forget_gates: bool = True
    resets: bool = False  # from outside, at the start of each string
    decay: bool = False  # of the learning rate

    @property
    def layout(self) -> Layout:
        """4 blocks of 2 cells; 424 weights with forget gates."""
        return Layout(
            7, 7, 4, 2, sent_back="cells", forget_gates=self.forget_gates, biases="gates",
            output_biases=True, shortcuts=True,
        )  # fmt: skip

    def draw(self, key: PRNGKeyArray) -> streams.Learner:
        """Draw an untrained net."""
        minus = tuple(-bias for bias in BIASES)
        forget = BIASES if self.forget_gates else ()
        net = init_net(
            key, self.layout, SCALE, input_bias=minus, forget_bias=forget, output_bias=minus
        )
        return streams.init_learner(self.layout, net)


class Trials(NamedTuple):
    """All trials: their learners, their places in the grammar, and their scores."""

    learner: Any
    place: reber.Place
    seen: Any  # streams, each ending at the first error
    best: Any  # mean number of symbols predicted correctly on test streams
    solved: Any


def measure_blocks(setting: Setting, trials: int, budget: int, log: Log) -> Measured:
    """Train nets of the paper on streams that end at their first error."""
    first, second, key = jax.random.split(jax.random.key(0), 3)
    keys, zeros = jax.random.split(first, trials), np.zeros(trials)
    place = jax.vmap(reber.start)(jax.random.split(second, trials))
    layout = setting.layout

    def learn(now: Trials, key: PRNGKeyArray) -> Trials:
        active = ~now.solved & (now.seen < budget)
        rate = RATE * (DECAY ** (now.seen / STREAMS) if setting.decay else 1.0) * active
        rate = jnp.asarray(rate, "float32")
        learner, place, wrong = _learn(setting, now.learner, now.place, key, rate)
        return now._replace(learner=learner, place=place, seen=now.seen + wrong * active)

    @partial(jax.jit, static_argnums=3)
    def lengths(nets: PyTree, key: PRNGKeyArray, active: Array, limit: int) -> Array:
        predict = jax.vmap(partial(streams.predict, layout, resets=setting.resets), (None, 0, 0))
        advance = jax.vmap(predict, (0, 0, None))
        states = (jnp.zeros(layout.memory), jnp.zeros(layout.back))
        return until_wrong(advance, nets, states, key, active, limit)

    def evaluate(now: Trials, key: PRNGKeyArray, done: int) -> Trials:
        now = _tested(lengths, now, now.learner.net, key)
        return now._replace(solved=now.solved | (now.seen >= budget))  # their budget is used up

    learners = jax.vmap(setting.draw)(keys)
    now = Trials(learners, place, zeros, zeros, np.zeros(trials, bool))
    now = until_solved(
        now,
        learn,
        key,
        every=SYMBOLS,
        budget=100 * budget,
        log=log,
        evaluate=evaluate,
        unit="symbols",
    )
    return _measured(now.best, now.seen, "streams")


def measure_layer(
    init: Callable[..., Any], resets: bool, trials: int, budget: int, log: Log
) -> Measured:
    """Train a layer of jlstm on endless streams."""
    first, second, key = jax.random.split(jax.random.key(0), 3)
    layer = Layer(7, 16, 7, rate=0.01, batch=BATCH, init=init)
    source = Source(reber.start, partial(reber.continual, steps=CHUNK), resets)
    models = jax.vmap(partial(init_model, layer))(jax.random.split(first, trials))
    draw = jax.vmap(partial(layers.streams.init_learner, layer, source))
    learners = draw(models, jax.random.split(second, trials))
    state = init_state(jax.tree.map(lambda a: a[0], models).layer)
    steps = SYMBOLS // (CHUNK * BATCH)
    symbols = steps * CHUNK * BATCH

    def learn(now: Trials, key: PRNGKeyArray) -> Trials:
        learner = layers.streams.learn(layer, source, now.learner, key, steps)
        return now._replace(learner=learner, seen=now.seen + steps * CHUNK * BATCH * ~now.solved)

    @partial(jax.jit, static_argnums=3)
    def lengths(nets: PyTree, key: PRNGKeyArray, active: Array, limit: int) -> Array:
        advance = jax.vmap(partial(layers.streams.predict, resets=resets), (0, 0, None))
        return until_wrong(advance, nets, state, key, active, limit, warm=True)

    def evaluate(now: Trials, key: PRNGKeyArray, done: int) -> Trials:
        now = _tested(lengths, now, now.learner.net, key)
        return now._replace(learner=now.learner._replace(solved=jnp.asarray(now.solved)))

    zeros, none = np.zeros(trials), np.zeros(trials, bool)
    now = Trials(learners, learners.places, zeros, zeros, none)
    now = until_solved(
        now, learn, key, every=symbols, budget=budget, log=log, evaluate=evaluate, unit="symbols"
    )
    return _measured(now.best, now.seen, "symbols")


@partial(jax.jit, static_argnames="setting")
def _learn(
    setting: Setting, learners: streams.Learner, places: reber.Place, key: PRNGKeyArray, rate: Array
) -> tuple[streams.Learner, reber.Place, Int[Array, "trials"]]:
    """Train each trial on the next symbols of its stream; and the number of errors."""
    draw = partial(reber.continual, steps=SYMBOLS)
    places, seen = jax.vmap(draw)(places, jax.random.split(key, len(rate)))
    learn = partial(streams.learn, setting.layout, resets=setting.resets, until_wrong=True)
    learners, _, wrong = jax.vmap(learn)(learners, seen, rate)
    return learners, places, wrong.sum(1)


def _tested(lengths: Callable, now: Trials, nets: PyTree, key: PRNGKeyArray) -> Trials:
    """Test the nets, longer if they pass a shorter test; keep the mean number of symbols."""
    best, active = now.best, ~now.solved
    for limit in (SYMBOLS, 10 * SYMBOLS, PERFECT):
        mean = np.asarray(lengths(nets, key, jnp.asarray(active), limit)).mean(1)
        best = np.where(active, np.maximum(best, mean), best)
        active = active & (mean == limit)
        if not active.any():
            break
    return now._replace(best=best, solved=now.solved | active)


def until_wrong(
    advance: Advance,
    nets: PyTree,
    state: PyTree,
    key: PRNGKeyArray,
    active: Bool[Array, "trials"],
    limit: int,
    *,
    warm: bool = False,
) -> Int[Array, "trials streams"]:
    """The number of symbols of each test stream that the `active` nets predict before an error.

    Args:
      advance: runs all nets on the same streams, from their states.
      nets: the nets of all trials.
      state: the initial state of one net.
      key: the key of the streams.
      active: the trials to test.
      limit: the most symbols.
      warm: run the nets on a segment before the test; nets trained on endless streams have not
        met a state of zeros since their first symbol.
    """
    first, before, key = jax.random.split(key, 3)
    shape = (len(active), TEST_STREAMS)
    places = jax.vmap(reber.start)(jax.random.split(first, TEST_STREAMS))
    states = jax.tree.map(lambda a: jnp.zeros((*shape, *a.shape), a.dtype), state)
    going = jnp.broadcast_to(active[:, None], shape)
    if warm:
        keys = jax.random.split(before, TEST_STREAMS)
        places, seen = jax.vmap(partial(reber.continual, steps=SEGMENT))(places, keys)
        states, _ = advance(nets, states, seen)

    def more(carry: tuple) -> Array:
        return carry[2].any() & (carry[4] < limit)

    def segment(carry: tuple) -> tuple:
        states, places, going, lengths, done = carry
        keys = jax.random.split(jax.random.fold_in(key, done), TEST_STREAMS)
        places, seen = jax.vmap(partial(reber.continual, steps=SEGMENT))(places, keys)
        states, ys = advance(nets, states, seen)
        correct = jnp.cumprod(jax.vmap(is_correct, (0, None))(ys, seen), axis=-1)
        lengths = lengths + jnp.where(going, correct.sum(-1), 0)
        return states, places, going & (correct[..., -1] == 1), lengths, done + SEGMENT

    zero, lengths = jnp.zeros((), jnp.int32), jnp.zeros(shape, jnp.int32)
    return jax.lax.while_loop(more, segment, (states, places, going, lengths, zero))[3]


def _measured(best: np.ndarray, seen: np.ndarray, unit: str) -> Measured:
    solved = best >= PERFECT
    line = f"{100 * solved.mean():.0f}% of {len(best)} nets perfect"
    if solved.any():
        line += f", after {mean_and_std(seen[solved].tolist())} {unit}"
    if not solved.all():
        line += f"; the others reach {mean_and_std(best[~solved].tolist())} symbols"
    return Measured(
        line, {"solved": solved.tolist(), unit: seen.tolist(), "symbols": best.tolist()}
    )
