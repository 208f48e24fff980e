"""The LSTM with coupled input and forget gates (CIFG): `f = 1 - i`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

from jlstm.checks.calls import check_step
from jlstm.equations import pre_activations
from jlstm.initializers import Initializer, glorot_uniform, init_layer, orthogonal
from jlstm.masks import reset_before
from jlstm.types import LayerType, LSTMState, Shapes, compute_dtype

if TYPE_CHECKING:
    from jax.typing import DTypeLike

    from jlstm.types import Array, Bool, Float, PRNGKeyArray


class CoupledParams(NamedTuple):
    """Weights of a layer. Gates lie side by side on the last axis, in the order i, g, o."""

    weight_ih: Float[Array, "input 3*hidden"]
    weight_hh: Float[Array, "hidden 3*hidden"]
    bias: Float[Array, "3*hidden"]


SHAPES: Shapes = {
    "weight_hh": ("hidden", "3*hidden"),
    "weight_ih": ("input", "3*hidden"),
    "bias": ("3*hidden",),
}


def init_coupled(
    key: PRNGKeyArray,
    input_size: int,
    hidden_size: int,
    *,
    forget_bias: float = 1.0,
    weight_init: Initializer = glorot_uniform,
    recurrent_init: Initializer = orthogonal,
    dtype: DTypeLike = jnp.float32,
) -> CoupledParams:
    """Draw the weights of a layer.

    Args: as in `jlstm.init_params`, except

      forget_bias: subtracted from the input gate's bias: `f = 1 - i` starts at its sigmoid.

    Raises:
      ValueError, TypeError: as in `jlstm.init_params`.

    Example:
      >>> import jax
      >>> from jlstm.variants import init_coupled
      >>> init_coupled(jax.random.key(0), 3, 2).bias.tolist()
      [-1.0, -1.0, 0.0, 0.0, 0.0, 0.0]
    """

    def bias_init(key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        del key
        return jnp.where(jnp.arange(shape[0]) < hidden_size, -forget_bias, 0.0).astype(dtype)

    return init_layer(
        LAYER_TYPE, key, input_size, hidden_size, weight_init=weight_init,
        recurrent_init=recurrent_init, bias_init=bias_init, dtype=dtype,
    )  # fmt: skip


def coupled_step(
    params: CoupledParams,
    state: LSTMState,
    x: Float[Array, "*batch input"],
    *,
    reset: Bool[Array, "*batch"] | None = None,
    reset_state: LSTMState | None = None,
) -> tuple[LSTMState, Float[Array, "*batch hidden"]]:
    """One time step.

        i  = sigmoid(x W_xi + h W_hi + b_i)
        g  = tanh   (x W_xg + h W_hg + b_g)
        o  = sigmoid(x W_xo + h W_ho + b_o)
        c' = (1 - i) * c + i * g
        h' = o * tanh(c')

    Greff et al. (2017), section 3, "coupled input and forget gate": `f = 1 - i`, no peepholes.

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
      >>> from jlstm.variants import coupled_step, init_coupled
      >>> params = init_coupled(jax.random.key(0), 3, 5)
      >>> state, hs = jlstm.scan_cell(
      ...     coupled_step, params, jlstm.init_state(params), jax.numpy.ones((7, 3)))
      >>> hs.shape
      (7, 5)
    """
    check_step(params, state, x, CoupledParams, SHAPES, reset, reset_state)
    state = reset_before(state, reset, reset_state)
    z_i, z_g, z_o = jnp.split(pre_activations(params, state.h, x), 3, axis=-1)
    i = jax.nn.sigmoid(z_i)
    g = jnp.tanh(z_g)
    o = jax.nn.sigmoid(z_o)
    c = (1 - i) * state.c.astype(z_i.dtype) + i * g
    h = (o * jnp.tanh(c)).astype(compute_dtype(x, *params))
    return LSTMState(h, c), h


LAYER_TYPE = LayerType(CoupledParams, coupled_step, SHAPES, "igo")
