"""The training step: a pure function, compiled here only."""

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
    """Metrics of one step."""

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
    """The loss of a batch in nats, summed over `axis` if given, and the memory at its end.

    The memory's values come from the previous batch; gradients stop at the start of this one.
    """
    memory, outputs, penalty = run_batch(config, task, params, memory, batch, key)
    total, count = task.loss(outputs, batch)
    if axis is None:
        return total / count + penalty, memory
    share = jax.lax.axis_size(axis)
    return jax.lax.psum(total / jax.lax.psum(count, axis) + penalty / share, axis), memory


def run_batch(
    config: Config, task: Task, params: Params, memory: PyTree, batch: Batch, key: Any = None
) -> tuple[PyTree, Array, Array]:
    """Run the model on a batch; rows that start a new sequence have zero memory."""
    if not task.memory:
        start = None
    else:
        first = batch.first[:, None]
        start = jax.tree.map(lambda s: jnp.where(first, 0, s).astype(s.dtype), memory)
    # Outputs at every step do not depend on later steps: padding needs no masks there.
    lengths = None if task.per_step else batch.lengths
    end, outputs, penalty = apply(
        config, params, start, batch.inputs, lengths, batch.resets, key, per_step=task.per_step
    )
    return end if task.memory else (), outputs, penalty


def loss_and_gradient(
    config: Config, task: Task, state: TrainState, batch: Batch, seed: Any
) -> tuple[tuple[Array, PyTree], Any]:
    """`batch_loss` and its gradient: each device runs its own rows, and they are summed at the end.

    Sharded weights are gathered first, and each device keeps its part of the gradient.
    """
    key = None
    if any(dataclasses.astuple(config.regularize)):
        key = jax.random.fold_in(jax.random.key(seed), state.step)
    specs = weight_specs(config, state.params)

    def loss(params: Params, memory: PyTree, batch: Batch, key: Any) -> tuple:
        params = jax.tree.map(gather, params, specs)
        return batch_loss(config, task, params, memory, batch, key, AXIS)

    def on_device(params: Params, memory: PyTree, batch: Batch) -> tuple:
        device_key = None if key is None else jax.random.fold_in(key, jax.lax.axis_index(AXIS))
        return jax.value_and_grad(loss, has_aux=True)(params, memory, batch, device_key)

    return jax.shard_map(
        on_device,
        mesh=make_mesh(config.data.rows),
        in_specs=(specs, ROWS, ROWS),
        out_specs=((P(), ROWS), specs),
    )(state.params, state.memory, batch)


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def train_step(
    config: Config, task: Task, state: TrainState, batch: Batch
) -> tuple[TrainState, Metrics]:
    """Update the state on a batch. The old state is donated to the new one."""
    optimizer = make_optimizer(config.optimizer, config.steps)

    def step(state: TrainState, batch: Batch, seed: Any) -> tuple[TrainState, Metrics]:
        (loss, memory), gradient = loss_and_gradient(config, task, state, batch, seed)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params: Any = optax.apply_updates(state.params, updates)
        average = state.average
        if config.optimizer.average:
            count = state.step + 1  # at first an average of few steps, without the initial weights
            decay = jnp.minimum(config.optimizer.average, count / (10 + count))
            average = optax.incremental_update(params, average, 1 - decay)
        new = TrainState(state.step + 1, params, opt_state, average, memory)
        return new, Metrics(loss, optax.tree.norm(gradient))

    new, metrics = trials.over_trials(config, step)(state, batch, _seeds(config))
    return jax.lax.with_sharding_constraint(new, shardings(config, new)), metrics


@partial(jax.jit, static_argnums=(0, 1))
def next_loss(config: Config, task: Task, state: TrainState, batch: Batch) -> Array:
    """The loss of the next step: a state is saved only if this is finite."""

    def loss(state: TrainState, batch: Batch, seed: Any) -> Array:
        return loss_and_gradient(config, task, state, batch, seed)[0][0]

    return trials.over_trials(config, loss)(state, batch, _seeds(config))


def _seeds(config: Config) -> np.ndarray:
    seeds = np.array([trial.seed for trial in trials.trial_configs(config)], np.uint32)
    return seeds if config.trials > 1 else seeds[0]
