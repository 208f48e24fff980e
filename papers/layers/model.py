"""A layer of jlstm with a linear output layer, and Adam."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import jlstm

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree


@dataclass(frozen=True)
class Layer:
    """The sizes and the type of a layer, and its training parameters."""

    inputs: int
    hidden: int
    outputs: int
    rate: float = 0.003  # of Adam
    batch: int = 32  # sequences per step
    init: Callable[..., Any] = jlstm.init_params


class Model(NamedTuple):
    """The weights."""

    layer: PyTree
    weight: Float[Array, "hidden outputs"]
    bias: Float[Array, "outputs"]


def init_model(layer: Layer, key: PRNGKeyArray) -> Model:
    """Draw the initial weights."""
    key, output_key = jax.random.split(key)
    weight = jax.nn.initializers.glorot_uniform()(output_key, (layer.hidden, layer.outputs))
    return Model(layer.init(key, layer.inputs, layer.hidden), weight, jnp.zeros(layer.outputs))


def run(
    model: Model,
    state: PyTree | None,
    xs: Float[Array, "time batch inputs"],
    *,
    lengths: Int[Array, "batch"] | None = None,
    resets: Bool[Array, "time batch"] | None = None,
) -> tuple[PyTree, Float[Array, "time batch hidden"]]:
    """Run the layer: its state after the sequences, and its output at each step."""
    states = None if state is None else (state,)
    (state,), hs = jlstm.stack_scan((model.layer,), states, xs, lengths=lengths, resets=resets)
    return state, hs


def read(model: Model, h: Float[Array, "*batch hidden"]) -> Float[Array, "*batch outputs"]:
    """The model's outputs for the layer's output `h`."""
    return h @ model.weight + model.bias


def optimizer(rate: float) -> optax.GradientTransformation:
    """Adam, with gradients clipped to a norm of 1."""
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))


def count(models: PyTree) -> int:
    """The number of weights of one of several stacked models."""
    return sum(leaf[0].size for leaf in jax.tree.leaves(models))
