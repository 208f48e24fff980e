"""One layer of this library, and a linear layer that reads what it shows; Adam."""

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
    """What kind of layer between how many inputs and outputs, and how it learns."""

    inputs: int
    hidden: int
    outputs: int
    rate: float = 0.003  # of Adam
    batch: int = 32  # sequences in a step
    init: Callable[..., Any] = jlstm.init_params


class Model(NamedTuple):
    """The weights."""

    layer: PyTree
    weight: Float[Array, "hidden outputs"]
    bias: Float[Array, "outputs"]


def init_model(layer: Layer, key: PRNGKeyArray) -> Model:
    """Draw the weights."""
    key, read = jax.random.split(key)
    weight = jax.nn.initializers.glorot_uniform()(read, (layer.hidden, layer.outputs))
    return Model(layer.init(key, layer.inputs, layer.hidden), weight, jnp.zeros(layer.outputs))


def run(
    model: Model,
    state: PyTree | None,
    xs: Float[Array, "time batch inputs"],
    *,
    lengths: Int[Array, "batch"] | None = None,
    resets: Bool[Array, "time batch"] | None = None,
) -> tuple[PyTree, Float[Array, "time batch hidden"]]:
    """The layer over sequences: its state after them, and what it shows at each step."""
    states = None if state is None else (state,)
    (state,), hs = jlstm.stack_scan((model.layer,), states, xs, lengths=lengths, resets=resets)
    return state, hs


def read(model: Model, h: Float[Array, "*batch hidden"]) -> Float[Array, "*batch outputs"]:
    """The outputs when the layer shows `h`."""
    return h @ model.weight + model.bias


def optimizer(rate: float) -> optax.GradientTransformation:
    """Adam, with gradients of a norm of 1 at most."""
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))


def count(models: PyTree) -> int:
    """Weights of one of several models."""
    return sum(leaf[0].size for leaf in jax.tree.leaves(models))
