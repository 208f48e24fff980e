"""The training state, and its sharding over the devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from train.config.settings import Config, Optimizer
from train.engine import trials
from train.engine.devices import AXIS, make_mesh, shared_axis
from train.model import Params, init_memory, init_model
from train.tasks import Shape, Task

if TYPE_CHECKING:
    from jaxtyping import Array, Int, PyTree


class TrainState(NamedTuple):
    """Everything that training changes; with the config and the data it determines the run."""

    step: Int[Array, ""]
    params: Any  # `Params`; optax's types are narrower
    opt_state: optax.OptState
    average: Any  # moving average of the weights, or () without one
    memory: PyTree  # carried between batches, one per row, or () if each starts from zero


def learning_rate(config: Optimizer, steps: int) -> optax.Schedule:
    """The schedule of the learning rate: warm-up and cosine decay."""
    return optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, config.warmup, max(steps, config.warmup + 1),
        config.final_learning_rate,
    )  # fmt: skip


def make_optimizer(config: Optimizer, steps: int) -> optax.GradientTransformation:
    """AdamW after clipping by the global norm, once every `accumulate` steps."""
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
    """The state before the first step, drawn from the seed; several trials are stacked."""

    def init() -> TrainState:
        return trials.stack(config, [_init(c, task, shape) for c in trials.trial_configs(config)])

    return jax.jit(init, out_shardings=shardings(config, jax.eval_shape(init)))()


def _init(config: Config, task: Task, shape: Shape) -> TrainState:
    params: Any = init_model(jax.random.key(config.seed), config.model, shape)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=make_optimizer(config.optimizer, config.steps).init(params),
        average=params if config.optimizer.average else (),
        memory=init_memory(config.model, params, config.data.rows) if task.memory else (),
    )


def shapes(config: Config, task: Task, shape: Shape) -> TrainState:
    """The shapes, dtypes and shardings of a state, without its values."""
    like = jax.eval_shape(lambda: init_train_state(config, task, shape))
    return jax.tree.map(
        lambda a, sharding: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding),
        like, shardings(config, like),
    )  # fmt: skip


def weight_specs(config: Config, weights: Any, trials: int = 1) -> Any:
    """The partition specs of weights, or of trees like them: replicated, or sharded."""
    count = make_mesh(config.data.rows).size
    lead = () if trials == 1 else (None,)

    def spec(array: Any) -> P:
        axes = shared_axis(array.shape[len(lead) :], count) if config.shard_weights else P()
        return P(*lead, *axes)

    return jax.tree.map(spec, weights)


def shardings(config: Config, state: TrainState) -> Any:
    """The shardings of a state: the memory by rows, the rest by `weight_specs`."""
    rows = P(AXIS) if config.trials == 1 else P(None, AXIS)
    specs = weight_specs(config, state._replace(memory=()), config.trials)
    specs = specs._replace(memory=jax.tree.map(lambda _: rows, state.memory))
    mesh = make_mesh(config.data.rows)
    return jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)


def step_of(state: TrainState) -> int:
    """The number of steps taken, the same in every trial."""
    return int(np.max(state.step))


def trained(state: TrainState) -> Params:
    """The weights to evaluate and save: the average, if there is one."""
    return state.average if isinstance(state.average, Params) else state.params
