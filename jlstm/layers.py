"""Every kind of layer that the library knows: its step, and its zero state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jlstm import variants
from jlstm.cell import lstm_step
from jlstm.checks import SHAPES, Shapes, check_params
from jlstm.types import LSTMParams, LSTMState, ProjectedParams, cell_dtype
from jlstm.variants import coupled, gru, layer_norm, no_forget, peephole, rnn

if TYPE_CHECKING:
    from jaxtyping import PyTree

STEPS: Mapping[type, Callable] = MappingProxyType(
    {
        LSTMParams: lstm_step,
        ProjectedParams: variants.projected_step,
        variants.PeepholeParams: variants.peephole_step,
        variants.CoupledParams: variants.coupled_step,
        variants.LayerNormParams: variants.layer_norm_step,
        variants.NoForgetParams: variants.no_forget_step,
        variants.GRUParams: variants.gru_step,
        variants.ChoGRUParams: variants.cho_gru_step,
        variants.RNNParams: variants.rnn_step,
    }
)
ALL_SHAPES: Mapping[type, Shapes] = MappingProxyType(
    {
        **SHAPES,
        variants.PeepholeParams: peephole.SHAPES,
        variants.CoupledParams: coupled.SHAPES,
        variants.LayerNormParams: layer_norm.SHAPES,
        variants.NoForgetParams: no_forget.SHAPES,
        variants.GRUParams: gru.SHAPES,
        variants.ChoGRUParams: gru.CHO_SHAPES,
        variants.RNNParams: rnn.SHAPES,
    }
)
WITHOUT_CELL = (variants.GRUParams, variants.ChoGRUParams, variants.RNNParams)


def init_state(params: PyTree, batch_shape: tuple[int, ...] = ()) -> PyTree:
    """The zero state of a layer: `h` in the dtype of the weights, `c` in float32 or wider.

    Args:
      params: the layer's weights, of the LSTM or of any of `jlstm.variants`.
      batch_shape: the batch axes, `()` for one sequence alone.

    Returns:
      `LSTMState(h, c)`, each of shape `(*batch_shape, hidden)`, `h` of a projected layer
      `(*batch_shape, projection)`; of a GRU or a simple RNN, `h` alone.

    Raises:
      TypeError: weights of no kind that is known, a `batch_shape` that is no tuple.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5)
      >>> jlstm.init_state(params, (8,)).h.shape
      (8, 5)
    """
    sizes = check_layer(params)
    if not isinstance(batch_shape, tuple):
        raise TypeError(f"batch_shape must be a tuple of sizes, got {batch_shape!r}")
    dtype = jnp.result_type(*params)
    h = jnp.zeros((*batch_shape, output_size(params)), dtype)
    if isinstance(params, WITHOUT_CELL):
        return h
    return LSTMState(h, c=jnp.zeros((*batch_shape, sizes["hidden"]), cell_dtype(dtype)))


def broadcast_state(state: PyTree, batch_shape: tuple[int, ...]) -> PyTree:
    """One state for every sequence of a batch: a learned initial or reset state, for instance.

    Its gradient is the sum over the batch.

    Args:
      state: a state without batch axes: any pytree of arrays `(features,)`.
      batch_shape: the batch axes.

    Returns:
      The state, each array `(*batch_shape, features)`.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5)
      >>> learned = jlstm.init_state(params)  # train it beside params
      >>> state = jlstm.broadcast_state(learned, (8,))
      >>> jlstm.lstm_scan(params, state, jax.numpy.ones((7, 8, 3)))[1].shape
      (7, 8, 5)
    """
    return jax.tree.map(lambda a: jnp.broadcast_to(a, (*batch_shape, *jnp.shape(a))), state)


def check_layer(params: Any) -> dict[str, Any]:
    """`params` are of a kind that is known, and fit each other; their sizes."""
    if type(params) not in ALL_SHAPES:
        known = ", ".join(kind.__name__ for kind in ALL_SHAPES)
        raise TypeError(f"params must be one of {known}; got {type(params).__name__}")
    return check_params(params, type(params), ALL_SHAPES[type(params)])


def output_size(params: Any) -> int:
    """Numbers in what a layer shows: the `h` that its recurrent weights take."""
    return jnp.shape(params.weight_hh)[0]
