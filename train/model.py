"""The model: embedding or numbers in, layers of jlstm, one linear layer out."""

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

    embedding: Float[Array, "tokens embedding"] | None  # None where inputs are numbers
    layers: tuple[PyTree, ...]
    output_weight: Float[Array, "hidden outputs"] | None  # None where it is the embedding
    output_bias: Float[Array, "outputs"]


def check_fits(config: settings.Config, per_step: bool) -> None:
    """The model can do what the task asks.

    Raises:
      InputError: it cannot, with both values.
    """
    model, rates = config.model, config.regularize
    if model.bidirectional and per_step:
        raise InputError(
            f"model.bidirectional would show {config.task} what comes next; it is for tasks with "
            "one output a sequence"
        )
    if (model.cell == "projected") != (model.projection is not None):
        raise InputError(
            f"model.projection is of cell = 'projected': got {model.projection} with {model.cell!r}"
        )
    if model.tie_weights:
        if config.task != "char_lm":
            raise InputError(f"model.tie_weights is of language models, not of {config.task}")
        width = model.projection or model.hidden[-1]
        if width != model.embedding:
            raise InputError(
                f"model.tie_weights needs model.embedding = {model.embedding} to be what the last "
                f"layer shows, {width}"
            )
    if model.implementation == "fused" and model.cell not in ("lstm", "projected"):
        raise InputError(f"model.implementation = 'fused' is of the LSTM, not of {model.cell!r}")
    if model.implementation == "fused" and (rates.zoneout_h or rates.zoneout_c):
        raise InputError(
            f"model.implementation = 'fused' has no zoneout: got regularize.zoneout_h = "
            f"{rates.zoneout_h}, zoneout_c = {rates.zoneout_c}"
        )
    if rates.zoneout_c and model.cell in ("gru", "cho_gru", "rnn"):
        raise InputError(
            f"regularize.zoneout_c = {rates.zoneout_c} is of cells with c; {model.cell!r} has none"
        )


def init_model(key: PRNGKeyArray, model: settings.Model, shape: Shape) -> Params:
    """Draw the weights; the outputs start near 0."""
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
    """The memory of so many sequences at their beginning."""
    return jlstm.init_stack_state(computed(model, params.layers), (rows,))


def computed(model: settings.Model, tree: PyTree) -> PyTree:
    """In the dtype of the computation."""
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
    """The memory to go on from, the outputs, and what regularisation adds to the loss.

    Args:
      config: its `model` and `regularize`.
      params: the weights.
      memory: the states before the first step; None is zeros.
      inputs: tokens `(batch, time)`, or numbers `(batch, time, features)`.
      lengths: valid steps of each sequence.
      resets: where a row's memory is emptied, because another sequence begins.
      key: for what regularisation draws; None says that nothing is trained now.
      per_step: whether there is an output at every step, `(batch, time, outputs)`, or one a
        sequence, of what the layers show at its end (backward ones at its beginning).
    """
    model, trains = config.model, key is not None
    rates = config.regularize if trains else settings.Regularize()  # rates of 0 draw nothing
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
    features = hs if per_step else at_the_ends(memory[-1])
    features = regularize.dropout(keys[4], features, rates.outputs).astype(jnp.float32)
    weight: Any = params.embedding if params.output_weight is None else params.output_weight
    weight = weight.T if params.output_weight is None else weight
    outputs = features @ weight + params.output_bias
    return memory, jnp.moveaxis(outputs, 0, 1) if per_step else outputs, penalty(hs, rates)


def penalty(hs: Array, rates: settings.Regularize) -> Array:
    """What regularisation adds to the loss."""
    total, hs = jnp.zeros(()), hs.astype(jnp.float32)
    if rates.activation:
        total += rates.activation * regularize.activation_penalty(hs)
    if rates.temporal:
        total += rates.temporal * regularize.temporal_penalty(hs)
    return total


def at_the_ends(state: PyTree) -> Float[Array, "batch hidden"]:
    """What a layer shows after its last step, of both directions side by side."""
    if isinstance(state, jlstm.BiLSTMState):
        return jnp.concatenate([at_the_ends(way) for way in state], axis=-1)
    return state.h if isinstance(state, jlstm.LSTMState) else state


def drop_weights(key: PRNGKeyArray, layers: tuple, rate: float) -> tuple:
    """Weight drop in every layer and direction."""
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
    """Of a training step, a step of time and a sequence: the matrix products, forward and back.

    Each weight is multiplied and added once forward, and twice more for the two gradients.
    """
    last = params.embedding if params.output_weight is None else params.output_weight
    return 6 * sum(p.size for p in jax.tree.leaves((params.layers, last)) if p.ndim == 2)
