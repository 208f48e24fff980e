"""Every kind of layer that the library knows: its step, and its zero state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.cell import lstm_step
from jlstm.checks import SHAPES, Shapes, check_params, stack_hint
from jlstm.types import LSTMParams, LSTMState, ProjectedParams, cell_dtype, compute_dtype
from jlstm.values import described
from jlstm.variants import coupled, gru, layer_norm, no_forget, peephole, rnn
from jlstm.variants.projected import projected_step

if TYPE_CHECKING:
    from jaxtyping import PyTree


class Kind(NamedTuple):
    """What the library knows of the layers that have one type of weights."""

    step: Callable[..., tuple[Any, Any]]  # a `Step` that takes a `reset` too
    shapes: Shapes
    gates: str  # in the order in which they lie side by side
    has_cell: bool = True  # whether the state is `LSTMState(h, c)`, or `h` alone


KINDS: Mapping[type, Kind] = MappingProxyType(
    {
        LSTMParams: Kind(lstm_step, SHAPES[LSTMParams], "ifgo"),
        ProjectedParams: Kind(projected_step, SHAPES[ProjectedParams], "ifgo"),
        peephole.PeepholeParams: Kind(peephole.peephole_step, peephole.SHAPES, "ifgo"),
        coupled.CoupledParams: Kind(coupled.coupled_step, coupled.SHAPES, "igo"),
        layer_norm.LayerNormParams: Kind(layer_norm.layer_norm_step, layer_norm.SHAPES, "ifgo"),
        no_forget.NoForgetParams: Kind(no_forget.no_forget_step, no_forget.SHAPES, "igo"),
        gru.GRUParams: Kind(gru.gru_step, gru.SHAPES, "rzn", has_cell=False),
        gru.ChoGRUParams: Kind(gru.cho_gru_step, gru.CHO_SHAPES, "rzn", has_cell=False),
        rnn.RNNParams: Kind(rnn.rnn_step, rnn.SHAPES, "", has_cell=False),
    }
)


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
    _check_batch_shape(batch_shape)
    dtype = compute_dtype(*params)
    h = jnp.zeros((*batch_shape, output_size(params)), dtype)
    if not KINDS[type(params)].has_cell:
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

    Raises:
      TypeError: a `batch_shape` that is no tuple.

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


def check_layer(params: Any) -> dict[str, Any]:
    """`params` are of a kind that is known, and fit each other; their sizes."""
    if type(params) not in KINDS:
        known = ", ".join(kind.__name__ for kind in KINDS)
        raise TypeError(
            f"params must be one of {known}; got {described(params)}"
            f"{stack_hint(params) or '. A cell of your own has a step, and a state that you make'}"
        )
    return check_params(params, type(params), KINDS[type(params)].shapes)


def _check_batch_shape(batch_shape: Any) -> None:
    if not isinstance(batch_shape, tuple) or hasattr(batch_shape, "_fields"):
        cure = ""
        if isinstance(batch_shape, int | np.integer) and not isinstance(batch_shape, bool):
            cure = f"; ({batch_shape},) is one"
        elif isinstance(batch_shape, list):
            cure = "; tuple(batch_shape) is one"
        raise TypeError(f"batch_shape must be a tuple of sizes, got {batch_shape!r:.80}{cure}")


def output_size(params: Any) -> int:
    """Numbers in what a layer shows: the `h` that its recurrent weights take."""
    return jnp.shape(params.weight_hh)[0]
