"""The simple recurrent network, a baseline without gates and without a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp

from jlstm.checks.calls import check_hidden, check_step
from jlstm.equations import pre_activations
from jlstm.initializers import Initializer, glorot_uniform, init_layer, orthogonal, zeros
from jlstm.masks import reset_before
from jlstm.types import LayerType, Shapes, compute_dtype

if TYPE_CHECKING:
    from jax.typing import DTypeLike

    from jlstm.types import Array, Bool, Float, PRNGKeyArray


class RNNParams(NamedTuple):
    """Weights of a simple recurrent layer."""

    weight_ih: Float[Array, "input hidden"]
    weight_hh: Float[Array, "hidden hidden"]
    bias: Float[Array, "hidden"]


SHAPES: Shapes = {
    "weight_hh": ("hidden", "hidden"),
    "weight_ih": ("input", "hidden"),
    "bias": ("hidden",),
}


def init_rnn(
    key: PRNGKeyArray,
    input_size: int,
    hidden_size: int,
    *,
    weight_init: Initializer = glorot_uniform,
    recurrent_init: Initializer = orthogonal,
    dtype: DTypeLike = jnp.float32,
) -> RNNParams:
    """Draw the weights of a layer; the bias starts at 0.

    Args: as in `jlstm.init_params`.

    Raises:
      ValueError, TypeError: as in `jlstm.init_params`.

    Example:
      >>> import jax
      >>> from jlstm.variants import init_rnn
      >>> init_rnn(jax.random.key(0), 3, 5).weight_hh.shape
      (5, 5)
    """
    return init_layer(
        LAYER_TYPE, key, input_size, hidden_size, weight_init=weight_init,
        recurrent_init=recurrent_init, bias_init=zeros, dtype=dtype,
    )  # fmt: skip


def rnn_step(
    params: RNNParams,
    h: Float[Array, "*batch hidden"],
    x: Float[Array, "*batch input"],
    *,
    reset: Bool[Array, "*batch"] | None = None,
    reset_state: Float[Array, "*batch hidden"] | None = None,
) -> tuple[Float[Array, "*batch hidden"], Float[Array, "*batch hidden"]]:
    """One time step.

        h' = tanh(x W_x + h W_h + b)

    Elman (1990), with tanh. Every step multiplies the gradient by `W_h` and by a slope below 1, so
    that it vanishes over a long lag. The state is `h` itself.

    Args:
      params: the layer's weights.
      h: the state before the step, `(*batch, hidden)`.
      x: the input, `(*batch, input)`.
      reset: as in `jlstm.lstm_step`.
      reset_state: as in `jlstm.lstm_step`.

    Returns:
      The state after the step, twice: as the state and as the output, in `result_type(x, params)`.

    Raises:
      ValueError: sizes or batch axes that differ. TypeError: a wrong type or dtype.

    Example:
      >>> import jax, jlstm
      >>> from jlstm.variants import init_rnn, rnn_step
      >>> params = init_rnn(jax.random.key(0), 3, 5)
      >>> h, hs = jlstm.scan_cell(
      ...     rnn_step, params, jlstm.init_state(params), jax.numpy.ones((7, 3)))
      >>> hs.shape
      (7, 5)
    """
    check_step(params, h, x, RNNParams, SHAPES, reset, reset_state, check_hidden)
    h = reset_before(h, reset, reset_state)
    h = jnp.tanh(pre_activations(params, jnp.asarray(h), x)).astype(compute_dtype(x, *params))
    return h, h


LAYER_TYPE = LayerType(RNNParams, rnn_step, SHAPES, "", has_cell=False)
