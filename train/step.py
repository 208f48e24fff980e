"""The training step: a pure function, and the one place where it is compiled."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import PartitionSpec as P

from train import trials
from train.devices import make_mesh, place
from train.model import Params, apply, init_memory, init_model
from train.settings import Config, Optimizer
from train.tasks import Batch, Shape, Task

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

ROWS = P("rows")


class TrainState(NamedTuple):
    """All that training changes; with the config and the data it is the whole of a run."""

    step: Int[Array, ""]
    params: Any  # of the type Params, which optax's types do not know
    opt_state: optax.OptState
    average: Any  # of the weights over time, or () where there is none
    memory: PyTree  # carried from batch to batch, one a row, or () where each begins anew


class Metrics(NamedTuple):
    """Figures of one step."""

    loss: Float[Array, ""]  # nats
    gradient_norm: Float[Array, ""]


def learning_rate(config: Optimizer, steps: int) -> optax.Schedule:
    """Warm-up and cosine decay, over training steps."""
    return optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, config.warmup, max(steps, config.warmup + 1),
        config.final_learning_rate,
    )  # fmt: skip


def make_optimizer(config: Optimizer, steps: int) -> optax.GradientTransformation:
    """AdamW after clipping by the global norm, once in `accumulate` steps."""
    schedule = learning_rate(config, steps)
    optimizer = optax.chain(
        optax.clip_by_global_norm(config.clip),
        optax.adamw(
            lambda count: schedule(count * config.accumulate),
            weight_decay=config.weight_decay,
            mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params),
        ),
    )
    if config.accumulate == 1:
        return optimizer
    return optax.MultiSteps(optimizer, config.accumulate).gradient_transformation()


def init_train_state(config: Config, task: Task, shape: Shape) -> TrainState:
    """The state before the first step, drawn from the seed; of several trials side by side."""

    def drawn(config: Config) -> TrainState:
        params: Any = init_model(jax.random.key(config.seed), config.model, shape)
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            opt_state=make_optimizer(config.optimizer, config.steps).init(params),
            average=jax.tree.map(jnp.copy, params) if config.optimizer.average else (),
            memory=init_memory(config.model, params, config.data.rows) if task.memory else (),
        )

    return trials.together(config, [drawn(one) for one in trials.configs_of(config)])


def by_rows(config: Config) -> P:
    """How what lies row by row is shared by the devices."""
    return ROWS if config.trials == 1 else P(None, "rows")


def spread(config: Config, state: TrainState) -> TrainState:
    """The state on the devices that share the rows: the memory by rows, the rest on each."""
    mesh = make_mesh(config.data.rows)
    memory = place(state.memory, mesh, by_rows(config))
    return place(state, mesh, P())._replace(memory=memory)


def step_of(state: TrainState) -> int:
    """Steps that were taken, the same of every trial."""
    return int(np.max(state.step))


def trained(state: TrainState) -> Params:
    """The weights that are measured and saved: the average, where there is one."""
    return state.average if isinstance(state.average, Params) else state.params


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
    memory, outputs, penalty = _read(config, task, params, memory, batch, key)
    total, count = task.loss(outputs, batch)
    if axis is None:
        return total / count + penalty, memory
    share = jax.lax.axis_size(axis)
    return jax.lax.psum(total / jax.lax.psum(count, axis) + penalty / share, axis), memory


def _read(
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
        config, params, start, batch.inputs, lengths, key, per_step=task.per_step
    )
    return end if task.memory else (), outputs, penalty


def loss_and_gradient(
    config: Config, task: Task, state: TrainState, batch: Batch, seed: Any
) -> tuple[tuple[Array, PyTree], Any]:
    """`batch_loss` and its gradient, every device with its own rows; they meet once, at the end."""
    key = None
    if any(dataclasses.astuple(config.regularize)):
        key = jax.random.fold_in(jax.random.key(seed), state.step)

    def own_rows(params: Params, memory: PyTree, batch: Batch) -> tuple:
        own = None if key is None else jax.random.fold_in(key, jax.lax.axis_index("rows"))
        return jax.value_and_grad(batch_loss, argnums=2, has_aux=True)(
            config, task, params, memory, batch, own, "rows"
        )

    return jax.shard_map(
        own_rows,
        mesh=make_mesh(len(batch.lengths)),
        in_specs=(P(), ROWS, ROWS),
        out_specs=((P(), ROWS), P()),
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

    return trials.each(config, step)(state, batch, _seeds(config))


@partial(jax.jit, static_argnums=(0, 1))
def next_loss(config: Config, task: Task, state: TrainState, batch: Batch) -> Array:
    """The loss that the next step will find: a state is worth keeping if it is finite."""

    def loss(state: TrainState, batch: Batch, seed: Any) -> Array:
        return loss_and_gradient(config, task, state, batch, seed)[0][0]

    return trials.each(config, loss)(state, batch, _seeds(config))


def _seeds(config: Config) -> np.ndarray:
    seeds = [np.uint32(one.seed) for one in trials.configs_of(config)]
    return trials.together(config, seeds)


@partial(jax.jit, static_argnums=(0, 1))
def _outputs(
    config: Config, task: Task, params: Params, memory: PyTree, batch: Batch
) -> tuple[PyTree, Array]:
    return jax.shard_map(
        lambda params, memory, batch: _read(config, task, params, memory, batch)[:2],
        mesh=make_mesh(len(batch.lengths)),
        in_specs=(P(), ROWS, ROWS),
        out_specs=(ROWS, ROWS),
    )(params, memory, batch)


def run(
    config: Config, task: Task, params: Params, batches: Iterable[Batch]
) -> Iterator[tuple[Batch, Array]]:
    """The outputs of batches in their order, nothing dropped; memory goes from one to the next."""
    memory: PyTree = None
    for batch in batches:
        if memory is None:
            rows = len(batch.lengths)
            params = place(params, make_mesh(rows), P())
            memory = init_memory(config.model, params, rows) if task.memory else ()
        memory, outputs = _outputs(config, task, params, memory, batch)
        yield batch, outputs


def evaluate(config: Config, task: Task, params: Params, split: Any) -> dict[str, float]:
    """The figures of a split, each of its items counted once."""
    measure, rows = jax.jit(task.measure), config.data.rows
    sums: dict[str, np.ndarray] = {}
    for batch, outputs in run(config, task, params, task.in_order(config, split, rows)):
        for name, pair in measure(outputs, batch).items():
            sums[name] = sums.get(name, np.zeros(2)) + np.array(pair, np.float64)
    return {
        name: float(total / count) if count else float("nan")
        for name, (total, count) in sums.items()
    }
