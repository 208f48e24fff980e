"""The training step: a pure function, and the one place where it is compiled."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import jlstm
from train.config import Config, Optimizer
from train.data import Batch, batch_at
from train.devices import make_mesh, place
from train.model import CharLM, init_model, predict

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int


class TrainState(NamedTuple):
    """All that training changes; with the config and the text it is the whole of a run."""

    step: Int[Array, ""]
    params: CharLM
    opt_state: optax.OptState
    memory: jlstm.LSTMState  # carried from chunk to chunk, one a row


class Metrics(NamedTuple):
    """Of one step: nats per character, and the norm of the gradient before clipping."""

    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]


def make_optimizer(config: Optimizer, steps: int) -> optax.GradientTransformation:
    """AdamW under warm-up and cosine decay, after clipping by the global norm."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, config.warmup, max(steps, config.warmup + 1),
        config.final_learning_rate,
    )  # fmt: skip
    return optax.chain(
        optax.clip_by_global_norm(config.clip),
        optax.adamw(
            schedule,
            weight_decay=config.weight_decay,
            mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params),
        ),
    )


def init_train_state(config: Config, vocabulary_size: int) -> TrainState:
    """The state before the first step, drawn from the seed."""
    params = init_model(jax.random.key(config.seed), config.model, vocabulary_size)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=make_optimizer(config.optimizer, config.steps).init(params),
        memory=jlstm.init_state(params.lstm, (config.data.rows,)),
    )


def spread(config: Config, state: TrainState) -> TrainState:
    """The state on the devices that share the rows: the memory by rows, the rest on each."""
    mesh = make_mesh(config.data.rows)
    return place(state, mesh, P())._replace(memory=place(state.memory, mesh, P("rows")))


def chunk_loss(
    params: CharLM, memory: jlstm.LSTMState, batch: Batch
) -> tuple[Array, jlstm.LSTMState]:
    """Nats per character of a chunk, and the memory at its end.

    The values of the memory come from the chunk before; the gradient ends at this chunk's start.
    """
    memory = jax.tree.map(lambda s: jnp.where(batch.first, 0, s), memory)
    memory, logits = predict(params, memory, batch.inputs)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch.targets)
    return losses.mean(), memory


def loss_and_gradient(
    params: CharLM, memory: jlstm.LSTMState, batch: Batch
) -> tuple[tuple[Array, jlstm.LSTMState], CharLM]:
    """`chunk_loss` and its gradient, every device with its own rows; they meet once, at the end."""

    def mean_loss(params: CharLM, memory: jlstm.LSTMState, batch: Batch) -> tuple:
        loss, memory = chunk_loss(params, memory, batch)
        return jax.lax.pmean(loss, "rows"), memory

    rows, time_and_rows = P("rows"), P(None, "rows")
    return jax.shard_map(
        jax.value_and_grad(mean_loss, has_aux=True),
        mesh=make_mesh(batch.inputs.shape[1]),
        in_specs=(P(), rows, Batch._make((time_and_rows, time_and_rows, P()))),
        out_specs=((P(), rows), P()),
    )(params, memory, batch)


def train_step(
    optimizer: optax.GradientTransformation, state: TrainState, batch: Batch
) -> tuple[TrainState, Metrics]:
    """One step of truncated backpropagation through time: read a chunk, adjust the weights."""
    (loss, memory), gradient = loss_and_gradient(state.params, state.memory, batch)
    updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
    params: Any = optax.apply_updates(state.params, updates)
    new_state = TrainState(state.step + 1, params, opt_state, memory)
    return new_state, Metrics(loss, optax.tree.norm(gradient))


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def run_steps(
    config: Config, count: int, state: TrainState, tokens: Int[Array, "characters"]
) -> tuple[TrainState, Metrics]:
    """`count` steps in one dispatch. The old state is donated: its memory holds the new one."""
    optimizer = make_optimizer(config.optimizer, config.steps)

    def step(state: TrainState, _: None) -> tuple[TrainState, Metrics]:
        return train_step(optimizer, state, batch_at(tokens, config.data, config.seed, state.step))

    state, metrics = jax.lax.scan(step, state, None, length=count)
    by_rows = NamedSharding(make_mesh(config.data.rows), P("rows"))
    return state._replace(memory=jax.lax.with_sharding_constraint(state.memory, by_rows)), metrics


@partial(jax.jit, static_argnums=0)
def next_loss(config: Config, state: TrainState, tokens: Int[Array, "characters"]) -> Array:
    """The loss that the next step will find: a state is worth keeping if it is finite."""
    batch = batch_at(tokens, config.data, config.seed, state.step)
    return loss_and_gradient(state.params, state.memory, batch)[0][0]


def evaluate(params: CharLM, tokens: np.ndarray, rows: int, chunk: int) -> float:
    """Bits per character, every character after the first predicted once.

    The text is cut into at most `rows` pieces read side by side; each begins with an empty memory,
    which costs little, and never helps.
    """
    devices = make_mesh(rows).size
    rows = min(rows, max(1, (len(tokens) - 1) // chunk))
    rows = -(-rows // devices) * devices
    chunks = -(-(len(tokens) - 1) // (rows * chunk))
    places = np.arange(rows * chunks * chunk).reshape(rows, chunks, chunk).transpose(1, 2, 0)
    counted = places < len(tokens) - 1
    places = np.where(counted, places, 0)
    total = _total_loss(params, tokens[places], tokens[places + 1], counted, devices)
    return float(total / (len(tokens) - 1) / np.log(2))


@partial(jax.jit, static_argnums=4)
def _total_loss(
    params: CharLM, inputs: Array, targets: Array, counted: Array, devices: int
) -> Array:
    def part(params: CharLM, memory: jlstm.LSTMState, *chunks: Array) -> Array:
        def read(memory: jlstm.LSTMState, chunk: tuple) -> tuple[jlstm.LSTMState, Array]:
            inputs, targets, counted = chunk
            memory, logits = predict(params, memory, inputs)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
            return memory, jnp.where(counted, losses, 0).sum()

        return jax.lax.psum(jax.lax.scan(read, memory, chunks)[1].sum(), "rows")

    memory = jlstm.init_state(params.lstm, inputs.shape[2:])
    rows = P(None, None, "rows")
    return jax.shard_map(
        part,
        mesh=make_mesh(devices),
        in_specs=(P(), P("rows"), rows, rows, rows),
        out_specs=P(),
    )(params, memory, inputs, targets.astype(jnp.int32), counted)
