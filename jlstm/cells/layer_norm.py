"""The LSTM with layer normalisation of its pre-activations and of its cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

from jlstm.checks.calls import check_step
from jlstm.equations import expand_to_batch, product
from jlstm.initializers import Initializer, glorot_uniform, init_layer, lstm_bias, orthogonal
from jlstm.masks import reset_before
from jlstm.types import LayerType, LSTMState, Shapes, compute_dtype

if TYPE_CHECKING:
    from jax.typing import DTypeLike

    from jlstm.types import Array, Bool, Float, PRNGKeyArray

EPSILON = 1e-5  # added to the variance


class LayerNormParams(NamedTuple):
    """Weights of a layer: those of the LSTM, a scale per product, scale and bias for `c`."""

    weight_ih: Float[Array, "input gates"]
    weight_hh: Float[Array, "hidden gates"]
    bias: Float[Array, "gates"]
    scale_ih: Float[Array, "gates"]
    scale_hh: Float[Array, "gates"]
    scale_c: Float[Array, "hidden"]
    bias_c: Float[Array, "hidden"]


SHAPES: Shapes = {
    "weight_hh": ("hidden", "4*hidden"),
    "weight_ih": ("input", "4*hidden"),
    "bias": ("4*hidden",),
    "scale_ih": ("4*hidden",),
    "scale_hh": ("4*hidden",),
    "scale_c": ("hidden",),
    "bias_c": ("hidden",),
}


def init_layer_norm(
    key: PRNGKeyArray,
    input_size: int,
    hidden_size: int,
    *,
    forget_bias: float = 1.0,
    weight_init: Initializer = glorot_uniform,
    recurrent_init: Initializer = orthogonal,
    bias_init: Initializer | None = None,
    dtype: DTypeLike = jnp.float32,
) -> LayerNormParams:
    """Draw the weights of a layer; scales start at 1, the bias of `c` at 0.

    Args: as in `jlstm.init_params`.

    Raises:
      ValueError, TypeError: as in `jlstm.init_params`.

    Example:
      >>> import jax
      >>> from jlstm.variants import init_layer_norm
      >>> init_layer_norm(jax.random.key(0), 3, 2).scale_c.tolist()
      [1.0, 1.0]
    """
    return init_layer(
        LAYER_TYPE, key, input_size, hidden_size, weight_init=weight_init,
        recurrent_init=recurrent_init, bias_init=lstm_bias(forget_bias, bias_init), dtype=dtype,
        scale_ih=jnp.ones, scale_hh=jnp.ones, scale_c=jnp.ones, bias_c=jnp.zeros,
    )  # fmt: skip


def layer_norm_step(
    params: LayerNormParams,
    state: LSTMState,
    x: Float[Array, "*batch input"],
    *,
    reset: Bool[Array, "*batch"] | None = None,
    reset_state: LSTMState | None = None,
) -> tuple[LSTMState, Float[Array, "*batch hidden"]]:
    """One time step.

        z  = s_x * norm(x W_x) + s_h * norm(h W_h) + b     over the four gates together
        i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o)
        g  = tanh(z_g)
        c' = f * c + i * g
        h' = o * tanh(s_c * norm(c') + b_c)

        norm(a) = (a - mean(a)) / sqrt(var(a) + 1e-5)      over the features

    Ba, Kiros and Hinton (2016), equations 20 to 22; the biases of the two normalisations are
    included in `b`.

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
      >>> from jlstm.variants import init_layer_norm, layer_norm_step
      >>> params = init_layer_norm(jax.random.key(0), 3, 5)
      >>> state, hs = jlstm.scan_cell(
      ...     layer_norm_step, params, jlstm.init_state(params), jax.numpy.ones((7, 3)))
      >>> hs.shape
      (7, 5)
    """
    check_step(params, state, x, LayerNormParams, SHAPES, reset, reset_state)
    state = reset_before(state, reset, reset_state)
    dtype = compute_dtype(x, *params)
    x, h = jnp.asarray(x), jnp.asarray(state.h)
    z = _norm(product(x, params.weight_ih, dtype), params.scale_ih)
    z = z + _norm(product(h, params.weight_hh, dtype), params.scale_hh)
    z = z + expand_to_batch(params.bias, z, z.dtype)
    z_i, z_f, z_g, z_o = jnp.split(z, 4, axis=-1)
    i = jax.nn.sigmoid(z_i)
    f = jax.nn.sigmoid(z_f)
    g = jnp.tanh(z_g)
    o = jax.nn.sigmoid(z_o)
    c = f * state.c.astype(z.dtype) + i * g
    shown = _norm(c, params.scale_c) + expand_to_batch(params.bias_c, c, c.dtype)
    h = (o * jnp.tanh(shown)).astype(dtype)
    return LSTMState(h, c), h


def _norm(a: Array, scale: Array) -> Array:
    centred = a - a.mean(-1, keepdims=True)
    variance = (centred * centred).mean(-1, keepdims=True)
    return expand_to_batch(scale, a, a.dtype) * centred * jax.lax.rsqrt(variance + EPSILON)


LAYER_TYPE = LayerType(LayerNormParams, layer_norm_step, SHAPES, "ifgo")
