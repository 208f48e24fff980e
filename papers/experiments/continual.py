"""How rows of the continual grammar are measured: nets foretell streams until their first error."""

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
from papers.problems import foretold, reber
from papers.row import Measured, Say, spread
from papers.trials import until_solved

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Int, PRNGKeyArray, PyTree

RATE, SCALE = 0.5, 0.2
FASTER, STREAMS = 0.99, 100  # the rate decays by this factor with every so many streams
BIASES = (0.5, 1.0, 1.5, 2.0)  # of the forget gates; of the others with a minus
SYMBOLS = 50_000  # between two looks at the nets
TEST_STREAMS, PERFECT = 10, 1_000_000  # all right on so many symbols each
SEGMENT = 1000
CHUNK, SIDE_BY_SIDE = 100, 8  # symbols of a gradient, and streams at once, of this library's layers

Advance = Callable[[Any, Any, Any], tuple[Any, Any]]


@dataclass(frozen=True)
class Setting:
    """One line of the paper's table."""

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
        """A net that has seen nothing."""
        minus = tuple(-bias for bias in BIASES)
        forget = BIASES if self.forget_gates else ()
        net = init_net(
            key, self.layout, SCALE, input_bias=minus, forget_bias=forget, output_bias=minus
        )
        return streams.init_learner(self.layout, net)


class Trials(NamedTuple):
    """All trials: their learners, where in the grammar they are, and how they did."""

    learner: Any
    place: reber.Place
    seen: Any  # streams, each of which ends at the first error
    best: Any  # symbols foretold on test streams, on average
    solved: Any


def of_blocks(setting: Setting, trials: int, budget: int, say: Say) -> Measured:
    """Nets of the paper learn from streams that end at their first error."""
    first, second, key = jax.random.split(jax.random.key(0), 3)
    keys, zeros = jax.random.split(first, trials), np.zeros(trials)
    place = jax.vmap(reber.start)(jax.random.split(second, trials))
    layout = setting.layout

    def learn(now: Trials, key: PRNGKeyArray) -> Trials:
        active = ~now.solved & (now.seen < budget)
        rate = RATE * (FASTER ** (now.seen / STREAMS) if setting.decay else 1.0) * active
        rate = jnp.asarray(rate, "float32")
        learner, place, wrong = _learn(setting, now.learner, now.place, key, rate)
        return now._replace(learner=learner, place=place, seen=now.seen + wrong * active)

    @partial(jax.jit, static_argnums=3)
    def lengths(nets: PyTree, key: PRNGKeyArray, active: Array, limit: int) -> Array:
        foretell = jax.vmap(partial(streams.foretell, layout, resets=setting.resets), (None, 0, 0))
        advance = jax.vmap(foretell, (0, 0, None))
        states = (jnp.zeros(layout.memory), jnp.zeros(layout.back))
        return until_wrong(advance, nets, states, key, active, limit)

    def look(now: Trials, key: PRNGKeyArray, done: int) -> Trials:
        now = _tested(lengths, now, now.learner.net, key)
        return now._replace(solved=now.solved | (now.seen >= budget))  # they have had their share

    learners = jax.vmap(setting.draw)(keys)
    now = Trials(learners, place, zeros, zeros, np.zeros(trials, bool))
    now = until_solved(
        now, learn, key, every=SYMBOLS, budget=100 * budget, say=say, look=look, unit="symbols"
    )
    return _measured(now.best, now.seen, "streams")


def of_layer(
    init: Callable[..., Any], resets: bool, trials: int, budget: int, say: Say
) -> Measured:
    """A layer of this library learns from streams that do not end."""
    first, second, key = jax.random.split(jax.random.key(0), 3)
    layer = Layer(7, 16, 7, rate=0.01, batch=SIDE_BY_SIDE, init=init)
    source = Source(reber.start, partial(reber.continual, steps=CHUNK), resets)
    models = jax.vmap(partial(init_model, layer))(jax.random.split(first, trials))
    draw = jax.vmap(partial(layers.streams.init_learner, layer, source))
    learners = draw(models, jax.random.split(second, trials))
    state = init_state(jax.tree.map(lambda a: a[0], models).layer)
    steps = SYMBOLS // (CHUNK * SIDE_BY_SIDE)
    symbols = steps * CHUNK * SIDE_BY_SIDE

    def learn(now: Trials, key: PRNGKeyArray) -> Trials:
        learner = layers.streams.learn(layer, source, now.learner, key, steps)
        return now._replace(
            learner=learner, seen=now.seen + steps * CHUNK * SIDE_BY_SIDE * ~now.solved
        )

    @partial(jax.jit, static_argnums=3)
    def lengths(nets: PyTree, key: PRNGKeyArray, active: Array, limit: int) -> Array:
        advance = jax.vmap(partial(layers.streams.foretell, resets=resets), (0, 0, None))
        return until_wrong(advance, nets, state, key, active, limit, warm=True)

    def look(now: Trials, key: PRNGKeyArray, done: int) -> Trials:
        now = _tested(lengths, now, now.learner.net, key)
        return now._replace(learner=now.learner._replace(solved=jnp.asarray(now.solved)))

    zeros, none = np.zeros(trials), np.zeros(trials, bool)
    now = Trials(learners, learners.places, zeros, zeros, none)
    now = until_solved(
        now, learn, key, every=symbols, budget=budget, say=say, look=look, unit="symbols"
    )
    return _measured(now.best, now.seen, "symbols")


@partial(jax.jit, static_argnames="setting")
def _learn(
    setting: Setting, learners: streams.Learner, places: reber.Place, key: PRNGKeyArray, rate: Array
) -> tuple[streams.Learner, reber.Place, Int[Array, "trials"]]:
    """Some symbols of each trial's own stream; also how many errors there were."""
    draw = partial(reber.continual, steps=SYMBOLS)
    places, seen = jax.vmap(draw)(places, jax.random.split(key, len(rate)))
    learn = partial(streams.learn, setting.layout, resets=setting.resets, until_wrong=True)
    learners, _, wrong = jax.vmap(learn)(learners, seen, rate)
    return learners, places, wrong.sum(1)


def _tested(lengths: Callable, now: Trials, nets: PyTree, key: PRNGKeyArray) -> Trials:
    """Longer tests for those that pass a shorter one: the mean of what they foretold rightly."""
    best, active = now.best, ~now.solved
    for limit in (SYMBOLS, 10 * SYMBOLS, PERFECT):
        found = np.asarray(lengths(nets, key, jnp.asarray(active), limit)).mean(1)
        best = np.where(active, np.maximum(best, found), best)
        active = active & (found == limit)
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
    """How many symbols of each test stream the nets that are `active` foretell before an error.

    Args:
      advance: nets over streams that all of them read, from their states.
      nets: the nets of all trials.
      state: of one net that has read nothing.
      key: of the streams.
      active: the trials that are tested.
      limit: symbols at most.
      warm: nets that learned from streams without end read a segment before they are tested; a
        state of zeros is nothing that they have met since their first symbol.
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
        right = jnp.cumprod(jax.vmap(foretold, (0, None))(ys, seen), axis=-1)
        lengths = lengths + jnp.where(going, right.sum(-1), 0)
        return states, places, going & (right[..., -1] == 1), lengths, done + SEGMENT

    zero, lengths = jnp.zeros((), jnp.int32), jnp.zeros(shape, jnp.int32)
    return jax.lax.while_loop(more, segment, (states, places, going, lengths, zero))[3]


def _measured(best: np.ndarray, seen: np.ndarray, unit: str) -> Measured:
    solved = best >= PERFECT
    line = f"{100 * solved.mean():.0f}% of {len(best)} nets perfect"
    if solved.any():
        line += f", after {spread(seen[solved].tolist())} {unit}"
    if not solved.all():
        line += f"; the others foretold {spread(best[~solved].tolist())} symbols at best"
    return Measured(
        line, {"solved": solved.tolist(), unit: seen.tolist(), "symbols": best.tolist()}
    )
