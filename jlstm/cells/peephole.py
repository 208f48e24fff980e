"""The LSTM with peepholes: gates that take the cell state, through one weight per unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

from jlstm.checks.calls import check_step
from jlstm.equations import expand_to_batch, pre_activations
from jlstm.initializers import Initializer, glorot_uniform, init_layer, lstm_bias, orthogonal
from jlstm.masks import reset_before
from jlstm.types import LayerType, LSTMState, Shapes, compute_dtype

if TYPE_CHECKING:
    from jax.typing import DTypeLike

    from jlstm.types import Array, Bool, Float, PRNGKeyArray


class PeepholeParams(NamedTuple):
    """Weights of a layer: those of the LSTM, and the peepholes of the gates i, f and o."""

    weight_ih: Float[Array, "input gates"]
    weight_hh: Float[Array, "hidden gates"]
    bias: Float[Array, "gates"]
    peephole: Float[Array, "3*hidden"]


SHAPES: Shapes = {
    "weight_hh": ("hidden", "4*hidden"),
    "weight_ih": ("input", "4*hidden"),
    "bias": ("4*hidden",),
    "peephole": ("3*hidden",),
}


def init_peephole(
    key: PRNGKeyArray,
    input_size: int,
    hidden_size: int,
    *,
    forget_bias: float = 1.0,
    weight_init: Initializer = glorot_uniform,
    recurrent_init: Initializer = orthogonal,
    bias_init: Initializer | None = None,
    dtype: DTypeLike = jnp.float32,
) -> PeepholeParams:
    """Draw the weights of a layer; the peepholes start at 0, which is the plain LSTM.

    Args: as in `jlstm.init_params`.

    Raises:
      ValueError, TypeError: as in `jlstm.init_params`.

    Example:
      >>> import jax
      >>> from jlstm.variants import init_peephole
      >>> init_peephole(jax.random.key(0), 3, 5).peephole.shape
      (15,)
    """
    return init_layer(
        LAYER_TYPE, key, input_size, hidden_size, weight_init=weight_init,
        recurrent_init=recurrent_init, bias_init=lstm_bias(forget_bias, bias_init), dtype=dtype,
        peephole=jnp.zeros,
    )  # fmt: skip


def peephole_step(
    params: PeepholeParams,
    state: LSTMState,
    x: Float[Array, "*batch input"],
    *,
    reset: Bool[Array, "*batch"] | None = None,
    reset_state: LSTMState | None = None,
) -> tuple[LSTMState, Float[Array, "*batch hidden"]]:
    """One time step.

        i  = sigmoid(x W_xi + h W_hi + p_i * c  + b_i)
        f  = sigmoid(x W_xf + h W_hf + p_f * c  + b_f)
        g  = tanh   (x W_xg + h W_hg + b_g)
        c' = f * c + i * g
        o  = sigmoid(x W_xo + h W_ho + p_o * c' + b_o)
        h' = o * tanh(c')

    Gers and Schmidhuber (2000), section 3: the output gate takes the new cell, the others the old.

    Args:
      params: the layer's weights.
      state: `h` and `c` before the step, each `(*batch, hidden)`.
      x: the input, `(*batch, input)`.
      reset: as in `jlstm.lstm_step`.
      reset_state: as in `jlstm.lstm_step`.

    Returns:
      The state after the step, and its `h` as the output; dtypes as in `jlstm.lstm_step`.

    Raises:
      ValueError: sizes or batch axes that differ. TypeError: a wrong type or dtype.

    Example:
      >>> import jax, jlstm
      >>> from jlstm.variants import init_peephole, peephole_step
      >>> params = init_peephole(jax.random.key(0), 3, 5)
      >>> state, hs = jlstm.scan_cell(
      ...     peephole_step, params, jlstm.init_state(params), jax.numpy.ones((7, 3)))
      >>> hs.shape
      (7, 5)
    """
    check_step(params, state, x, PeepholeParams, SHAPES, reset, reset_state)
    state = reset_before(state, reset, reset_state)
    z = pre_activations(params, state.h, x)
    z_i, z_f, z_g, z_o = jnp.split(z, 4, axis=-1)
    p_i, p_f, p_o = jnp.split(expand_to_batch(params.peephole, z, z.dtype), 3, axis=-1)
    c = state.c.astype(z.dtype)
    i = jax.nn.sigmoid(z_i + p_i * c)
    f = jax.nn.sigmoid(z_f + p_f * c)
    g = jnp.tanh(z_g)
    c = f * c + i * g
    o = jax.nn.sigmoid(z_o + p_o * c)
    h = (o * jnp.tanh(c)).astype(compute_dtype(x, *params))
    return LSTMState(h, c), h


LAYER_TYPE = LayerType(PeepholeParams, peephole_step, SHAPES, "ifgo")
