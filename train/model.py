"""The model: an embedding or numbers in, layers of jlstm, a linear layer out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

import jlstm
from jlstm import regularize, variants
from train.config import settings
from train.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

    from train.tasks import Shape


class Params(NamedTuple):
    """The weights."""

    embedding: Float[Array, "tokens embedding"] | None  # None if the inputs are numbers
    layers: tuple[PyTree, ...]
    output_weight: Float[Array, "hidden outputs"] | None  # None if it is the embedding
    output_bias: Float[Array, "outputs"]


def check_fits(config: settings.Config, per_step: bool) -> None:
    """Check that the model fits the task.

    Raises:
      InputError: it does not, with both values.
    """
    model, rates = config.model, config.regularize
    if model.bidirectional and per_step:
        raise InputError(
            f"model.bidirectional would reveal the next step to {config.task}; it is for tasks "
            "with one output per sequence"
        )
    if (model.cell == "projected") != (model.projection is not None):
        raise InputError(
            f"model.projection requires model.cell = 'projected', and the reverse: got "
            f"{model.projection} with {model.cell!r}"
        )
    if model.tie_weights:
        if config.task != "char_lm":
            raise InputError(f"model.tie_weights supports language models only, got {config.task}")
        width = model.projection or model.hidden[-1]
        if width != model.embedding:
            raise InputError(
                f"model.tie_weights needs model.embedding = {model.embedding} to equal the output "
                f"size of the last layer, {width}"
            )
    if model.implementation == "fused" and model.cell not in ("lstm", "projected"):
        raise InputError(
            f"model.implementation = 'fused' supports the LSTM only, got {model.cell!r}"
        )
    if model.implementation == "fused" and (rates.zoneout_h or rates.zoneout_c):
        raise InputError(
            f"model.implementation = 'fused' does not support zoneout: got regularize.zoneout_h = "
            f"{rates.zoneout_h}, zoneout_c = {rates.zoneout_c}"
        )
    if rates.zoneout_c and model.cell in ("gru", "cho_gru", "rnn"):
        raise InputError(
            f"regularize.zoneout_c = {rates.zoneout_c} needs a cell with c; {model.cell!r} has none"
        )


def init_model(key: PRNGKeyArray, model: settings.Model, shape: Shape) -> Params:
    """Draw the initial weights; outputs start near 0."""
    key_embedding, key_layers, key_output = jax.random.split(key, 3)
    embedding, width = None, shape.features
    if shape.tokens:
        scale = model.embedding**-0.5 if model.tie_weights else 1.0
        width = model.embedding
        embedding = scale * jax.random.normal(key_embedding, (shape.tokens, width))
    init, _ = layer_type(model.cell)
    if model.cell == "projected":
        init = partial(init, projection_size=model.projection)
    layers = jlstm.init_stack(
        key_layers, width, model.hidden, bidirectional=model.bidirectional, init=init
    )
    output_weight = None
    if not model.tie_weights:
        size = (output_size(layers[-1]), shape.outputs)
        output_weight = jlstm.initializers.glorot_uniform(key_output, size, jnp.float32)
        output_weight = 0.1 * output_weight
    return Params(embedding, layers, output_weight, jnp.zeros(shape.outputs))


def layer_type(cell: str) -> tuple[Callable, Callable]:
    """The functions of a layer type: `(init, step)`."""
    if cell == "lstm":
        return jlstm.init_params, jlstm.lstm_step
    return getattr(variants, f"init_{cell}"), getattr(variants, f"{cell}_step")


def output_size(layer: PyTree) -> int:
    """The size of a layer's output: of its two directions together if it is bidirectional."""
    if isinstance(layer, jlstm.BiLSTMParams):
        return sum(map(output_size, layer))
    return jnp.shape(layer.weight_hh)[0]


def init_memory(model: settings.Model, params: Params, rows: int) -> PyTree:
    """The initial memory of a batch of sequences."""
    return jlstm.init_stack_state(computed(model, params.layers), (rows,))


def computed(model: settings.Model, tree: PyTree) -> PyTree:
    """Cast to the dtype of the computation."""
    return jax.tree.map(lambda a: a.astype(model.dtype), tree)


def apply(
    config: settings.Config,
    params: Params,
    memory: PyTree | None,
    inputs: Array,
    lengths: Int[Array, "batch"] | None = None,
    resets: Bool[Array, "batch time"] | None = None,
    key: PRNGKeyArray | None = None,
    *,
    per_step: bool = True,
) -> tuple[PyTree, Float[Array, "batch ..."], Float[Array, ""]]:
    """The final memory, the outputs, and the regularisation penalty.

    Args:
      config: its `model` and `regularize`.
      params: the weights.
      memory: the states before the first step; zeros if None.
      inputs: tokens `(batch, time)`, or numbers `(batch, time, features)`.
      lengths: the number of valid steps of each sequence.
      resets: true where a row's memory is reset, because another sequence begins.
      key: for regularisation; None outside training.
      per_step: return an output at every step, `(batch, time, outputs)`, or one per sequence, from
        the layers' outputs at its end (of backward layers at its start).
    """
    model, trains = config.model, key is not None
    rates = config.regularize if trains else settings.Regularize()  # all rates are 0
    keys = jax.random.split(jax.random.key(0) if key is None else key, 5)
    table = params.embedding
    xs = jnp.moveaxis(inputs if table is None else table[inputs], 1, 0)
    layers, xs = computed(model, (params.layers, xs))
    steps, extras = zoneout(keys[0] if trains else None, config, layers, len(xs))
    resets = None if resets is None else resets.T
    memory, hs = jlstm.stack_scan(
        drop_weights(keys[1], layers, rates.weights),
        memory,
        regularize.sequence_dropout(keys[2], xs, rates.inputs),
        lengths=lengths, resets=resets, residual=model.residual, save=model.save,
        dropout_rate=rates.layers, key=keys[3], steps=steps, extras=extras,
        implementation=model.implementation,
    )  # fmt: skip
    features = hs if per_step else final_output(memory[-1])
    features = regularize.dropout(keys[4], features, rates.outputs).astype(jnp.float32)
    weight: Any = params.embedding if params.output_weight is None else params.output_weight
    weight = weight.T if params.output_weight is None else weight
    outputs = features @ weight + params.output_bias
    return memory, jnp.moveaxis(outputs, 0, 1) if per_step else outputs, penalty(hs, rates)


def penalty(hs: Array, rates: settings.Regularize) -> Array:
    """The regularisation penalty, added to the loss."""
    total, hs = jnp.zeros(()), hs.astype(jnp.float32)
    if rates.activation:
        total += rates.activation * regularize.activation_penalty(hs)
    if rates.temporal:
        total += rates.temporal * regularize.temporal_penalty(hs)
    return total


def final_output(state: PyTree) -> Float[Array, "batch hidden"]:
    """A layer's output after its last step, with both directions concatenated."""
    if isinstance(state, jlstm.BiLSTMState):
        return jnp.concatenate([final_output(direction) for direction in state], axis=-1)
    return state.h if isinstance(state, jlstm.LSTMState) else state


def drop_weights(key: PRNGKeyArray, layers: tuple, rate: float) -> tuple:
    """Apply weight drop to every layer and direction."""
    if not rate:
        return layers
    weights, structure = jax.tree.flatten(layers, is_leaf=_is_weights)
    keys = jax.random.split(key, len(weights))
    dropped = [regularize.weight_drop(k, w, rate) for k, w in zip(keys, weights, strict=True)]
    return jax.tree.unflatten(structure, dropped)


def _is_weights(node: Any) -> bool:
    return hasattr(node, "weight_hh")


def zoneout(
    key: PRNGKeyArray | None, config: settings.Config, layers: tuple, time: int
) -> tuple[Any, Any]:
    """The layers' steps with zoneout and their keys; the expected steps if `key` is None."""
    h, c = config.regularize.zoneout_h, config.regularize.zoneout_c
    if not h and not c:
        return None, None
    _, step = layer_type(config.model.cell)
    state = jlstm.init_state(jax.tree.leaves(layers, is_leaf=_is_weights)[0])
    has_cell = isinstance(state, jlstm.LSTMState)
    rates: Any = jlstm.LSTMState(h, c) if has_cell else h  # type: ignore[arg-type]
    if key is None:
        return [regularize.expected_zoneout(step, rates)] * len(layers), None
    extras: list[Any] = []
    for layer_key, layer in zip(jax.random.split(key, len(layers)), layers, strict=True):
        directions = tuple(jax.random.split(k, time) for k in jax.random.split(layer_key))
        extras.append(directions if isinstance(layer, jlstm.BiLSTMParams) else directions[0])
    return [regularize.zoneout(step, rates)] * len(layers), extras


def flops_per_step(params: Params) -> int:
    """FLOPs of a training step per time step and sequence, in matrix products.

    Each weight is multiplied and added once in the forward pass, and twice in the backward pass.
    """
    last = params.embedding if params.output_weight is None else params.output_weight
    return 6 * sum(p.size for p in jax.tree.leaves((params.layers, last)) if p.ndim == 2)
