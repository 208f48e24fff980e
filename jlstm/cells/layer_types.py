"""The layer types of the library, by the type of their weights, and their zero states."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.cells import (
    coupled,
    gru,
    layer_norm,
    lstm,
    no_forget,
    peephole,
    projected,
    rnn,
)
from jlstm.checks.params import check_params, stack_hint
from jlstm.checks.values import described
from jlstm.types import BiLSTMParams, LayerType, LSTMState, cell_dtype, compute_dtype

if TYPE_CHECKING:
    from jlstm.types import PyTree


LAYER_TYPES: Mapping[type, LayerType] = MappingProxyType(
    {
        layer_type.params: layer_type
        for layer_type in (
            lstm.LAYER_TYPE,
            projected.LAYER_TYPE,
            peephole.LAYER_TYPE,
            coupled.LAYER_TYPE,
            layer_norm.LAYER_TYPE,
            no_forget.LAYER_TYPE,
            gru.LAYER_TYPE,
            gru.CHO_LAYER_TYPE,
            rnn.LAYER_TYPE,
        )
    }
)
"""The layer types of the library, by the type of their weights; a read-only mapping."""


def init_state(params: PyTree, batch_shape: tuple[int, ...] = ()) -> PyTree:
    """The zero state of a layer: `h` in the dtype of the weights, `c` in float32 or wider.

    Args:
      params: the layer's weights, of the LSTM or of any of `jlstm.variants`.
      batch_shape: the batch axes, `()` for a single sequence.

    Returns:
      `LSTMState(h, c)`, each of shape `(*batch_shape, hidden)`, with a projection `h` of shape
      `(*batch_shape, projection)`; `h` alone for a GRU or a simple RNN.

    Raises:
      TypeError: weights of an unknown layer type, or a `batch_shape` that is not a tuple.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5)
      >>> jlstm.init_state(params, (8,)).h.shape
      (8, 5)
    """
    sizes = check_layer(params)
    _check_batch_shape(batch_shape)
    dtype = compute_dtype(*params)
    h = jnp.zeros((*batch_shape, output_size(params)), dtype)
    if not LAYER_TYPES[type(params)].has_cell:
        return h
    return LSTMState(h, c=jnp.zeros((*batch_shape, sizes["hidden"]), cell_dtype(dtype)))


def broadcast_state(state: PyTree, batch_shape: tuple[int, ...]) -> PyTree:
    """One state for every sequence of a batch, such as a learned initial or reset state.

    Its gradient is the sum over the batch.

    Args:
      state: a state without batch axes: any pytree of arrays `(features,)`.
      batch_shape: the batch axes.

    Returns:
      The state, each array `(*batch_shape, features)`.

    Raises:
      TypeError: a `batch_shape` that is not a tuple.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5)
      >>> learned = jlstm.init_state(params)  # train it beside params
      >>> state = jlstm.broadcast_state(learned, (8,))
      >>> jlstm.lstm_scan(params, state, jax.numpy.ones((7, 8, 3)))[1].shape
      (7, 8, 5)
    """
    _check_batch_shape(batch_shape)
    return jax.tree.map(lambda a: jnp.broadcast_to(a, (*batch_shape, *jnp.shape(a))), state)


def output_size(params: PyTree) -> int:
    """The size of a layer's output, its last axis.

    Args:
      params: the layer's weights, of any layer type of the library or in two directions.

    Returns:
      The units of `h`; those of both directions together for `BiLSTMParams`.

    Raises:
      AttributeError: weights without `weight_hh`.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (5, 8), bidirectional=True)
      >>> jlstm.output_size(layers[-1])
      16
    """
    if isinstance(params, BiLSTMParams):
        return sum(output_size(direction) for direction in params if direction is not None)
    return jnp.shape(params.weight_hh)[0]


def check_layer(params: Any) -> dict[str, Any]:
    """Check that `params` are of a known layer type and fit each other; return their sizes."""
    if type(params) not in LAYER_TYPES:
        known = ", ".join(params_type.__name__ for params_type in LAYER_TYPES)
        hint = stack_hint(params) or "; for a custom cell, pass its step and its initial state"
        raise TypeError(f"params must be one of {known}; got {described(params)}{hint}")
    return check_params(params, type(params), LAYER_TYPES[type(params)].shapes)


def _check_batch_shape(batch_shape: Any) -> None:
    if not isinstance(batch_shape, tuple) or hasattr(batch_shape, "_fields"):
        cure = ""
        if isinstance(batch_shape, int | np.integer) and not isinstance(batch_shape, bool):
            cure = f"; ({batch_shape},) is one"
        elif isinstance(batch_shape, list):
            cure = "; tuple(batch_shape) is one"
        raise TypeError(f"batch_shape must be a tuple of sizes, got {batch_shape!r:.80}{cure}")
