"""The training step: a pure function, and the one place where it is compiled."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import PartitionSpec as P

from train.config.settings import Config
from train.engine import trials
from train.engine.devices import AXIS, gather, make_mesh
from train.engine.state import TrainState, make_optimizer, shardings, weight_specs
from train.model import Params, apply
from train.tasks import Batch, Task

if TYPE_CHECKING:
    from jaxtyping import Array, Float, PRNGKeyArray, PyTree

ROWS = P(AXIS)


class Metrics(NamedTuple):
    """Figures of one step."""

    loss: Float[Array, ""]  # nats
    gradient_norm: Float[Array, ""]


def batch_loss(
    config: Config,
    task: Task,
    params: Params,
    memory: PyTree,
    batch: Batch,
    key: PRNGKeyArray | None,
    axis: str | None = None,
) -> tuple[Array, PyTree]:
    """Nats of a batch, and the memory at its end; over devices that share the rows, of all of them.

    The values of the memory come from the batch before; the gradient ends at this one's start.
    """
    memory, outputs, penalty = read_batch(config, task, params, memory, batch, key)
    total, count = task.loss(outputs, batch)
    if axis is None:
        return total / count + penalty, memory
    share = jax.lax.axis_size(axis)
    return jax.lax.psum(total / jax.lax.psum(count, axis) + penalty / share, axis), memory


def read_batch(
    config: Config, task: Task, params: Params, memory: PyTree, batch: Batch, key: Any = None
) -> tuple[PyTree, Array, Array]:
    """The model over a batch; where a row begins anew, its memory is empty."""
    if not task.memory:
        start = None
    else:
        new = batch.first[:, None]
        start = jax.tree.map(lambda s: jnp.where(new, 0, s).astype(s.dtype), memory)
    # Outputs at every step do not depend on what comes after: padding needs no care there.
    lengths = None if task.per_step else batch.lengths
    end, outputs, penalty = apply(
        config, params, start, batch.inputs, lengths, batch.resets, key, per_step=task.per_step
    )
    return end if task.memory else (), outputs, penalty


def loss_and_gradient(
    config: Config, task: Task, state: TrainState, batch: Batch, seed: Any
) -> tuple[tuple[Array, PyTree], Any]:
    """`batch_loss` and its gradient, every device with its own rows; they meet once, at the end.

    Weights that are sharded are gathered before, and each device is left with its part of the
    gradient.
    """
    key = None
    if any(dataclasses.astuple(config.regularize)):
        key = jax.random.fold_in(jax.random.key(seed), state.step)
    specs = weight_specs(config, state.params)

    def loss(params: Params, memory: PyTree, batch: Batch, key: Any) -> tuple:
        params = jax.tree.map(gather, params, specs)
        return batch_loss(config, task, params, memory, batch, key, AXIS)

    def own_rows(params: Params, memory: PyTree, batch: Batch) -> tuple:
        own = None if key is None else jax.random.fold_in(key, jax.lax.axis_index(AXIS))
        return jax.value_and_grad(loss, has_aux=True)(params, memory, batch, own)

    return jax.shard_map(
        own_rows,
        mesh=make_mesh(config.data.rows),
        in_specs=(specs, ROWS, ROWS),
        out_specs=((P(), ROWS), specs),
    )(state.params, state.memory, batch)


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def train_step(
    config: Config, task: Task, state: TrainState, batch: Batch
) -> tuple[TrainState, Metrics]:
    """Read a batch, adjust the weights. The old state is donated: its memory holds the new one."""
    optimizer = make_optimizer(config.optimizer, config.steps)

    def step(state: TrainState, batch: Batch, seed: Any) -> tuple[TrainState, Metrics]:
        (loss, memory), gradient = loss_and_gradient(config, task, state, batch, seed)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params: Any = optax.apply_updates(state.params, updates)
        average = state.average
        if config.optimizer.average:
            count = state.step + 1  # at first of few steps, and not of the weights that were drawn
            decay = jnp.minimum(config.optimizer.average, count / (10 + count))
            average = optax.incremental_update(params, average, 1 - decay)
        new = TrainState(state.step + 1, params, opt_state, average, memory)
        return new, Metrics(loss, optax.tree.norm(gradient))

    new, metrics = trials.each(config, step)(state, batch, _seeds(config))
    return jax.lax.with_sharding_constraint(new, shardings(config, new)), metrics


@partial(jax.jit, static_argnums=(0, 1))
def next_loss(config: Config, task: Task, state: TrainState, batch: Batch) -> Array:
    """The loss that the next step will find: a state is worth keeping if it is finite."""

    def loss(state: TrainState, batch: Batch, seed: Any) -> Array:
        return loss_and_gradient(config, task, state, batch, seed)[0][0]

    return trials.each(config, loss)(state, batch, _seeds(config))


def _seeds(config: Config) -> np.ndarray:
    seeds = np.array([one.seed for one in trials.configs_of(config)], np.uint32)
    return seeds if config.trials > 1 else seeds[0]
