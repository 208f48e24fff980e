"""The LSTM cell: its weights, and one time step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from jlstm.checks.calls import check_step
from jlstm.checks.params import SHAPES
from jlstm.equations import lstm_equations, pre_activations
from jlstm.initializers import (
    Initializer,
    glorot_uniform,
    init_layer,
    lstm_bias,
    orthogonal,
)
from jlstm.masks import reset_before
from jlstm.types import LayerType, LSTMParams, LSTMState, compute_dtype

if TYPE_CHECKING:
    from jax.typing import DTypeLike

    from jlstm.types import Array, Bool, Float, PRNGKeyArray


def init_params(
    key: PRNGKeyArray,
    input_size: int,
    hidden_size: int,
    *,
    forget_bias: float = 1.0,
    weight_init: Initializer = glorot_uniform,
    recurrent_init: Initializer = orthogonal,
    bias_init: Initializer | None = None,
    dtype: DTypeLike = jnp.float32,
) -> LSTMParams:
    """Draw the weights of one layer.

    Each gate is a matrix of its own: `weight_init` is called four times with shape
    `(input, hidden)`, `recurrent_init` four times with `(hidden, hidden)`, so that orthogonal
    weights are orthogonal gate by gate. Everything is drawn in float32 and then cast, so one key
    gives the same weights, to rounding, in every dtype.

    Args:
      key: a JAX random key.
      input_size: features of one `x`.
      hidden_size: units of `h` and `c`.
      forget_bias: the value of the forget gate's bias; the other gates start at 0. At 1 the cell
        keeps its memory from the start (Gers et al. 2000; Jozefowicz et al. 2015).
      weight_init: initialiser of the input weights, called as `(key, shape, dtype)`.
      recurrent_init: initialiser of the recurrent weights, called likewise.
      bias_init: draws the whole bias of shape `(4*hidden,)`, forget gate included, in place of
        `forget_bias`; see `jlstm.initializers.chrono` and `torch_bias`.
      dtype: dtype of the weights.

    Raises:
      ValueError: a size below 1, an initialiser that returns another shape, or `forget_bias` and
        `bias_init` both given.
      TypeError: a size that is not an integer, or a dtype that is not a float.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), input_size=3, hidden_size=5)
      >>> params.weight_ih.shape, params.weight_hh.shape, params.bias.shape
      ((3, 20), (5, 20), (20,))
    """
    return init_layer(
        LAYER_TYPE, key, input_size, hidden_size, weight_init=weight_init,
        recurrent_init=recurrent_init, bias_init=lstm_bias(forget_bias, bias_init), dtype=dtype,
    )  # fmt: skip


def lstm_step(
    params: LSTMParams,
    state: LSTMState,
    x: Float[Array, "*batch input"],
    *,
    reset: Bool[Array, "*batch"] | None = None,
    reset_state: LSTMState | None = None,
) -> tuple[LSTMState, Float[Array, "*batch hidden"]]:
    """One time step.

        i  = sigmoid(x W_xi + h W_hi + b_i)    how much of the candidate is stored
        f  = sigmoid(x W_xf + h W_hf + b_f)    how much of the old cell is kept
        g  = tanh   (x W_xg + h W_hg + b_g)    the candidate
        o  = sigmoid(x W_xo + h W_ho + b_o)    how much of the cell is output
        c' = f * c + i * g                     the cell state, the memory
        h' = o * tanh(c')                      the hidden state, also the output

    Hochreiter and Schmidhuber (1997) with the forget gate of Gers et al. (2000), no peepholes.
    `functools.partial(lstm_step, params)` is the body of a `jax.lax.scan`.

    Args:
      params: the layer's weights.
      state: `h` and `c` before the step, each `(*batch, hidden)`.
      x: the input, `(*batch, input)`, with the same batch axes.
      reset: booleans `(*batch,)`, true where an episode starts: the state is replaced by
        `reset_state` before the step, as by `resets` in `lstm_scan`.
      reset_state: the state at a reset, in the shape of `state`; None is zeros.

    Returns:
      The state after the step, and its `h` once more as the output. `h` has the compute dtype
      `result_type(x, params)`; `c` is float32, or float64 when the compute dtype is.

    Raises:
      ValueError: sizes or batch axes that differ. TypeError: a wrong type or dtype.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5)
      >>> state, h = jlstm.lstm_step(params, jlstm.init_state(params), jax.numpy.ones(3))
      >>> h.shape
      (5,)
    """
    check_step(params, state, x, LSTMParams, SHAPES[LSTMParams], reset, reset_state)
    state = reset_before(state, reset, reset_state)
    dtype = compute_dtype(x, *params)
    z = pre_activations(params, state.h, x)
    _, c, h = lstm_equations(z, state.c)
    h = h.astype(dtype)
    return LSTMState(h, c), h


LAYER_TYPE = LayerType(LSTMParams, lstm_step, SHAPES[LSTMParams], "ifgo")
