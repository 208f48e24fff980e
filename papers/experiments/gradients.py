"""Vanishing gradients: their norms against the lag, before and after training."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

import jlstm
from jlstm.initializers import chrono
from jlstm.variants import init_no_forget, init_rnn
from papers import layers
from papers.layers.model import Layer, init_model
from papers.problems import arithmetic
from papers.row import Log, Measured, Row
from papers.trials import Criterion, until_solved

SECTION = "Vanishing gradients: norms at a lag of 100, before and after training to add"
STEPS, UNITS, TESTED = 100, 32, 64
EVERY = 3200  # sequences between two lines of progress
CRITERION = Criterion(0.04, wrong=0, error=1.0)
LAYERS: dict[str, tuple[str, Callable[..., Any]]] = {
    "rnn": ("simple RNN", init_rnn),
    "no-forget": ("LSTM without forget gate", init_no_forget),
    "forget-0": ("LSTM, forget bias 0", partial(jlstm.init_params, forget_bias=0.0)),
    "forget-1": ("LSTM, forget bias 1", jlstm.init_params),
    "chrono": ("LSTM, chrono biases", partial(jlstm.init_params, bias_init=chrono(STEPS))),
}


def norms(models: Any, key: Any) -> dict[str, np.ndarray]:
    """Norms of d h_T / d h_t and, of layers with a cell, d h_T / d c_t at each lag.

    Divided by the square root of the number of units; geometric means over trials and sequences.
    """
    draw = partial(arithmetic.adding, STEPS)
    xs = jax.vmap(draw)(jax.random.split(key, TESTED)).xs[:, -STEPS - 1 :].swapaxes(0, 1)
    norms = jax.vmap(lambda model: jlstm.log_gradient_norms(model.layer, None, xs))(models)
    return {
        by: np.exp(np.asarray(logs, np.float64).mean((0, 2))[::-1]) / UNITS**0.5
        for by, logs in norms._asdict().items()
        if logs is not None
    }


def learned(init: Callable[..., Any], trials: int, budget: int, log: Log) -> Measured:
    """The norms before and after training to add."""
    first, second, key = jax.random.split(jax.random.key(0), 3)
    layer = Layer(2, UNITS, 1, rate=0.003, init=init)
    models = jax.vmap(partial(init_model, layer))(jax.random.split(first, trials))
    before = norms(models, second)
    learners = jax.vmap(partial(layers.final_answer.init_learner, layer))(models)
    learn = partial(layers.final_answer.learn, layer, partial(arithmetic.adding, STEPS), CRITERION)
    learners = until_solved(
        learners, lambda learners, key: learn(learners, key, EVERY // layer.batch), key,
        every=EVERY, budget=budget, log=log,
    )  # fmt: skip
    after = norms(learners.net, second)
    solved = np.asarray(learners.solved)
    line = "; ".join(
        f"by {by} {before[by][STEPS]:.1e} before, {after[by][STEPS]:.1e} after" for by in before
    )
    figures = {
        "solved": solved.tolist(), "sequences": np.asarray(learners.seen).tolist(),
        "before": {by: values.tolist() for by, values in before.items()},
        "after": {by: values.tolist() for by, values in after.items()},
    }  # fmt: skip
    return Measured(f"{line}; {solved.sum()} of {trials} learn to add", figures)


ROWS = tuple(
    Row(
        f"gradient-{name}", SECTION, title, "", partial(learned, init), 3, 96_000,
        (2, 16_000) if name in ("rnn", "forget-1") else None,
    )
    for name, (title, init) in LAYERS.items()
)  # fmt: skip
