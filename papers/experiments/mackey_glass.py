"""Mackey-Glass, 15 steps ahead: four layers of 25 units, as in Voelker et al. (2019)."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jlstm
from papers.problems.mackey_glass import AHEAD, series
from papers.row import Log, Measured, Row, mean_and_std
from papers.trials import LOG_EVERY

if TYPE_CHECKING:
    from jaxtyping import Array, Float, PRNGKeyArray, PyTree

NUMBER, STEPS = 64, 5000  # training series, as many test series, and steps of each
UNITS = (25, 25, 25, 25)  # 18,026 weights with the last layer
CHUNK = 250  # steps per gradient; states continue across chunks
RATE, LAST_RATE = 5e-3, 5e-5


class Model(NamedTuple):
    """The weights."""

    layers: tuple[PyTree, ...]
    weight: Float[Array, "units 1"]
    bias: Float[Array, "1"]


def init_model(key: PRNGKeyArray) -> Model:
    """Draw the initial weights."""
    key, read = jax.random.split(key)
    weight = jax.nn.initializers.glorot_uniform()(read, (UNITS[-1], 1))
    return Model(jlstm.init_stack(key, 1, UNITS), weight, jnp.zeros(1))


def predict(
    model: Model, states: PyTree, values: Float[Array, "number time"]
) -> tuple[PyTree, Float[Array, "number time"]]:
    """The states after the last step, and the predicted values 15 steps after each."""
    states, hs = jlstm.stack_scan(model.layers, states, values.T[..., None])
    return states, (hs @ model.weight + model.bias)[..., 0].T


def nrmse(predicted: Any, values: Any) -> Any:
    """Root mean square error, over the root mean square of the values."""
    return jnp.sqrt(((predicted - values) ** 2).mean() / (values**2).mean())


def optimizer(epochs: int) -> optax.GradientTransformation:
    """Adam with a cosine decay over `epochs` passes."""
    rate = optax.cosine_decay_schedule(RATE, epochs * STEPS // CHUNK, LAST_RATE / RATE)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))


@partial(jax.jit, static_argnames="epochs")
def learn(epochs: int, model: Model, adam: Any, values: Any) -> tuple[Model, Any]:
    """One pass over all series, as a batch, in chunks."""
    chunks = jnp.arange(STEPS // CHUNK) * CHUNK

    def one(carry: tuple, begin: Array) -> tuple[tuple, None]:
        model, adam, states = carry
        xs = jax.lax.dynamic_slice_in_dim(values, begin, CHUNK, axis=1)
        targets = jax.lax.dynamic_slice_in_dim(values, begin + AHEAD, CHUNK, axis=1)

        def error(model: Model) -> tuple[Array, PyTree]:
            after, ys = predict(model, states, xs)
            return ((ys - targets) ** 2).mean(), after

        gradient, states = jax.grad(error, has_aux=True)(model)
        updates, adam = optimizer(epochs).update(gradient, adam)
        return (optax.apply_updates(model, updates), adam, states), None

    states = jlstm.init_stack_state(model.layers, (len(values),))
    (model, adam, _), _ = jax.lax.scan(one, (model, adam, states), chunks)
    return model, adam


def measured(trials: int, epochs: int, log: Log) -> Measured:
    """Train for `epochs` passes; the error on the test series."""
    values = series(jax.random.key(0), 2 * NUMBER, STEPS)
    train, test = values[:NUMBER], values[NUMBER:]
    models = jax.vmap(init_model)(jax.random.split(jax.random.key(1), trials))
    adam = jax.vmap(optimizer(epochs).init)(models)
    pass_over = jax.jit(jax.vmap(partial(learn, epochs), (0, 0, None)))

    @jax.jit
    def tested(models: Model) -> Array:
        def one(model: Model) -> Array:
            return nrmse(predict(model, None, test[:, :-AHEAD])[1], test[:, AHEAD:])

        return jax.vmap(one)(models)

    logged, curve = time.monotonic(), []
    for epoch in range(1, epochs + 1):
        models, adam = pass_over(models, adam, train)
        if epoch % 10 == 0 or epoch == epochs:
            curve.append(np.asarray(tested(models)).round(5).tolist())
        if time.monotonic() > logged + LOG_EVERY:
            logged = time.monotonic()
            log(f"pass {epoch} of {epochs}, NRMSE {curve[-1] if curve else 'not measured yet'}")
    percent = [100 * error for error in np.asarray(tested(models)).tolist()]
    figures = {"nrmse_percent": percent, "weights": _count(models), "every_10_passes": curve}
    return Measured(f"NRMSE {mean_and_std(percent)}%, {epochs} passes", figures)


def _count(models: Model) -> int:
    return sum(leaf[0].size for leaf in jax.tree.leaves(models))


ROWS = (
    Row(
        "mackey-glass", "Real data and series",
        "Mackey-Glass, 15 steps ahead, 4 layers of 25 units",
        "NRMSE at most 5.87% (Voelker et al. 2019, corrected)", measured, 2, 60,
        deviations="gradients over 250 steps instead of 5,000; cosine decay; 60 passes instead of "
        "500",
    ),
)  # fmt: skip
