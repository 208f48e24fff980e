"""The copy task, as in Tallec and Ollivier (2018), who introduce chrono biases."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import optax

import jlstm
from jlstm.initializers import chrono
from papers.layers.model import Layer, init_model, optimizer, read, run
from papers.problems.copying import MARK, copying, without_memory
from papers.row import Log, Measured, Row
from papers.trials import LOG_EVERY

if TYPE_CHECKING:
    from jaxtyping import Array, Float, PRNGKeyArray

SECTION = "The copy task"
EVERY, TESTED = 50, 256  # steps between two records of the loss; sequences of the final test


def loss(model: Any, xs: Any, targets: Any) -> Float[Array, ""]:
    """Nats per step, as a mean over a batch and all steps."""
    inputs = jax.nn.one_hot(xs.T, MARK + 1)
    ys = read(model, run(model, None, inputs)[1])
    return optax.softmax_cross_entropy_with_integer_labels(ys, targets.T).mean()


@partial(jax.jit, static_argnames=("layer", "gap"))
def learn(layer: Layer, gap: int, carry: Any, key: PRNGKeyArray) -> tuple[Any, Array]:
    """Take `EVERY` steps of all trials, each on its own batches; and the loss of each step."""
    trials = len(jax.tree.leaves(carry)[0])

    def one(carry: tuple, keys: PRNGKeyArray) -> tuple[tuple, Array]:
        model, adam = carry
        nats, gradient = jax.value_and_grad(loss)(model, *jax.vmap(partial(copying, gap))(keys))
        updates, adam = optimizer(layer.rate).update(gradient, adam)
        return (optax.apply_updates(model, updates), adam), nats

    keys = jax.random.split(key, (EVERY, trials, layer.batch))
    return jax.lax.scan(lambda carry, keys: jax.vmap(one)(carry, keys), carry, keys)


def copied(
    gap: int, init: Callable[..., Any], units: int, trials: int, budget: int, log: Log
) -> Measured:
    """Train on `budget` sequences; the loss on new ones, and the curve during training."""
    layer = Layer(MARK + 1, units, MARK, rate=0.001, batch=32, init=init)
    first, second, key = jax.random.split(jax.random.key(0), 3)
    models = jax.vmap(partial(init_model, layer))(jax.random.split(first, trials))
    carry = (models, jax.vmap(optimizer(layer.rate).init)(models))
    logged, curve, steps = time.monotonic(), [], budget // layer.batch
    for done in range(EVERY, steps + 1, EVERY):
        key, now = jax.random.split(key)
        carry, nats = learn(layer, gap, carry, now)
        curve.append(np.asarray(nats).mean(0).round(5).tolist())
        if time.monotonic() > logged + LOG_EVERY:
            logged = time.monotonic()
            log(f"{done * layer.batch:,} sequences, {curve[-1]} nats")
    test = jax.vmap(partial(copying, gap))(jax.random.split(second, TESTED))
    nats = np.asarray(jax.vmap(lambda model: loss(model, *test))(carry[0]))
    line = f"{', '.join(f'{n:.4f}' for n in nats)} nats per step after {budget:,} sequences"
    figures = {"nats": nats.tolist(), "every": EVERY * layer.batch, "curve": curve}
    return Measured(f"{line}; without memory {without_memory(gap):.4f}", figures)


ROWS = (
    Row(
        "copy-500-chrono", SECTION, "T = 500, LSTM, 128 units, chrono biases",
        "below the memoryless answer within the first steps",
        partial(copied, 500, partial(jlstm.init_params, bias_init=chrono(750)), 128), 1, 64_000,
        note="2,000 steps do not reach below the memoryless answer; nor do 1,300 at a learning "
        "rate of 0.005, which end at 0.0401.",
    ),
    Row(
        "copy-500-constant", SECTION, "T = 500, LSTM, 128 units, forget bias 1",
        "at the memoryless answer for long", partial(copied, 500, jlstm.init_params, 128),
        1, 64_000,
    ),
    Row(
        "copy-1000-constant", SECTION,
        "T = 1000, LSTM, 128 units, forget bias 1: a negative control",
        "at the memoryless answer", partial(copied, 1000, jlstm.init_params, 128), 1, 16_000,
        note="still above the memoryless answer after 500 steps, and falling.",
    ),
)  # fmt: skip
