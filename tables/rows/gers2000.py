"""Gers, Schmidhuber and Cummins (2000), Learning to Forget, section 4: the continual grammar."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from tables import streams
from tables.nets.blocks import Layout, Net, init_net
from tables.problems import reber
from tables.row import Measured, Say, spread
from tables.streams import Learner

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Int, PRNGKeyArray

RATE, SCALE = 0.5, 0.2
FASTER, STREAMS = 0.99, 100  # the rate decays by this factor with every so many streams
BIASES = (0.5, 1.0, 1.5, 2.0)  # of the forget gates; of the others with a minus
SYMBOLS = 10_000  # between two looks at the nets
TEST_STREAMS, PERFECT = 10, 1_000_000  # all right on so many symbols each
SEGMENT = 1000


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


def continual_grammar(setting: Setting, trials: int, budget: int, say: Say) -> Measured:
    """Train nets on streams that end at their first error, until ten test streams have none."""
    first, places, key = jax.random.split(jax.random.key(0), 3)
    minus = tuple(-bias for bias in BIASES)
    forget = BIASES if setting.forget_gates else ()
    nets = jax.vmap(
        lambda key: init_net(
            key, setting.layout, SCALE, input_bias=minus, forget_bias=forget, output_bias=minus
        )
    )(jax.random.split(first, trials))
    learners = jax.vmap(partial(streams.init_learner, setting.layout))(nets)
    place = jax.vmap(reber.start)(jax.random.split(places, trials))
    seen, solved, best = np.zeros(trials, int), np.zeros(trials, bool), np.zeros(trials)
    began = told = time.monotonic()
    while (active := ~solved & (seen < budget)).any():
        key, now, test = jax.random.split(key, 3)
        rate = RATE * (FASTER ** (seen / STREAMS) if setting.decay else 1.0) * active
        learners, place, wrong = _learn(setting, learners, place, now, jnp.asarray(rate, "float32"))
        seen += np.asarray(wrong) * active
        best, solved = _test(setting, learners.net, test, best, solved, active)
        if time.monotonic() > told + 20:
            told = time.monotonic()
            say(f"{seen.min():,} to {seen.max():,} streams, {solved.sum()} of {trials} solved, "
                f"{told - began:.0f} s")  # fmt: skip
    those = seen[solved].tolist()
    line = f"{100 * solved.mean():.0f}% of {trials} nets"
    line += f", after {spread(those)} streams" if those else f" in {budget:,} streams"
    line += f"; the others foretold {spread(best[~solved].tolist())} symbols" * (~solved).any()
    figures = {"solved": solved.tolist(), "streams": seen.tolist(), "symbols": best.tolist()}
    return Measured(line, figures)


@partial(jax.jit, static_argnames="setting")
def _learn(
    setting: Setting, learners: Learner, places: reber.Place, key: PRNGKeyArray, rate: Array
) -> tuple[Learner, reber.Place, Int[Array, "trials"]]:
    """Some symbols of each trial's own stream; also how many errors there were."""
    draw = partial(reber.continual, steps=SYMBOLS)
    places, seen = jax.vmap(draw)(places, jax.random.split(key, len(rate)))
    learn = partial(streams.learn, setting.layout, resets=setting.resets, until_wrong=True)
    learners, wrong = jax.vmap(learn)(learners, seen, rate)
    return learners, places, wrong.sum(1)


def _test(setting, nets, key, best, solved, active):
    """Longer tests for those that pass a shorter one: the mean of what they foretold rightly."""
    for limit in (SYMBOLS, 10 * SYMBOLS, PERFECT):
        lengths = np.asarray(until_wrong(setting, nets, key, jnp.asarray(active), limit)).mean(1)
        best = np.where(active, np.maximum(best, lengths), best)
        active = active & (lengths == limit)
        if not active.any():
            break
    return best, solved | active


@partial(jax.jit, static_argnames=("setting", "limit"))
def until_wrong(
    setting: Setting, nets: Net, key: PRNGKeyArray, active: Bool[Array, "trials"], limit: int
) -> Int[Array, "trials streams"]:
    """How many symbols of each test stream the nets that are `active` foretell before an error."""
    first, key = jax.random.split(key)
    layout, trials = setting.layout, len(active)
    places = jax.vmap(reber.start)(jax.random.split(first, TEST_STREAMS))
    states = (
        jnp.zeros((trials, TEST_STREAMS, layout.memory)),
        jnp.zeros((trials, TEST_STREAMS, layout.back)),
    )
    going = jnp.broadcast_to(active[:, None], (trials, TEST_STREAMS))

    def more(carry: tuple) -> Array:
        return carry[2].any() & (carry[4] < limit)

    def segment(carry: tuple) -> tuple:
        states, places, going, lengths, done = carry
        keys = jax.random.split(jax.random.fold_in(key, done), TEST_STREAMS)
        places, seen = jax.vmap(partial(reber.continual, steps=SEGMENT))(places, keys)
        foretell = partial(streams.foretell, layout, resets=setting.resets)
        over_streams = jax.vmap(foretell, (None, 0, 0))
        states, ys = jax.vmap(over_streams, (0, 0, None))(nets, states, seen)
        right = jnp.cumprod(jax.vmap(streams.foretold, (0, None))(ys, seen), axis=-1)
        lengths = lengths + jnp.where(going, right.sum(-1), 0)
        return states, places, going & (right[..., -1] == 1), lengths, done + SEGMENT

    zero = jnp.zeros((), jnp.int32)
    lengths = jnp.zeros(going.shape, jnp.int32)
    return jax.lax.while_loop(more, segment, (states, places, going, lengths, zero))[3]
