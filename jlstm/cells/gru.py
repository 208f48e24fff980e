"""The gated recurrent unit, with the reset gate after the recurrent product or before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

from jlstm.checks.calls import check_hidden, check_step
from jlstm.equations import expand_to_batch, product, project
from jlstm.initializers import Initializer, glorot_uniform, init_layer, orthogonal, zeros
from jlstm.masks import reset_before
from jlstm.types import LayerType, Shapes, cell_dtype, compute_dtype

if TYPE_CHECKING:
    from jax.typing import DTypeLike

    from jlstm.types import Array, Bool, Float, PRNGKeyArray


class GRUParams(NamedTuple):
    """Weights of a layer. Gates lie side by side on the last axis, in the order r, z, n.

    `bias_hn` is the candidate's second bias, inside the reset gate.
    """

    weight_ih: Float[Array, "input 3*hidden"]
    weight_hh: Float[Array, "hidden 3*hidden"]
    bias: Float[Array, "3*hidden"]
    bias_hn: Float[Array, "hidden"]


class ChoGRUParams(NamedTuple):
    """Weights of a GRU as in the paper. Gates lie side by side in the order r, z, n."""

    weight_ih: Float[Array, "input 3*hidden"]
    weight_hh: Float[Array, "hidden 3*hidden"]
    bias: Float[Array, "3*hidden"]


CHO_SHAPES: Shapes = {
    "weight_hh": ("hidden", "3*hidden"),
    "weight_ih": ("input", "3*hidden"),
    "bias": ("3*hidden",),
}
SHAPES: Shapes = {**CHO_SHAPES, "bias_hn": ("hidden",)}


def init_gru(
    key: PRNGKeyArray,
    input_size: int,
    hidden_size: int,
    *,
    weight_init: Initializer = glorot_uniform,
    recurrent_init: Initializer = orthogonal,
    dtype: DTypeLike = jnp.float32,
) -> GRUParams:
    """Draw the weights of a GRU layer; the biases start at 0.

    Args: as in `jlstm.init_params`.

    Raises:
      ValueError, TypeError: as in `jlstm.init_params`.

    Example:
      >>> import jax
      >>> from jlstm.variants import init_gru
      >>> init_gru(jax.random.key(0), 3, 5).weight_hh.shape
      (5, 15)
    """
    return init_layer(
        LAYER_TYPE, key, input_size, hidden_size, weight_init=weight_init,
        recurrent_init=recurrent_init, bias_init=zeros, dtype=dtype, bias_hn=jnp.zeros,
    )  # fmt: skip


def init_cho_gru(
    key: PRNGKeyArray,
    input_size: int,
    hidden_size: int,
    *,
    weight_init: Initializer = glorot_uniform,
    recurrent_init: Initializer = orthogonal,
    dtype: DTypeLike = jnp.float32,
) -> ChoGRUParams:
    """Draw the weights of a GRU layer as in the paper; the bias starts at 0.

    Args: as in `jlstm.init_params`.

    Raises:
      ValueError, TypeError: as in `jlstm.init_params`.

    Example:
      >>> import jax
      >>> from jlstm.variants import init_cho_gru
      >>> init_cho_gru(jax.random.key(0), 3, 5).weight_ih.shape
      (3, 15)
    """
    return init_layer(
        CHO_LAYER_TYPE, key, input_size, hidden_size, weight_init=weight_init,
        recurrent_init=recurrent_init, bias_init=zeros, dtype=dtype,
    )  # fmt: skip


def gru_step(
    params: GRUParams,
    h: Float[Array, "*batch hidden"],
    x: Float[Array, "*batch input"],
    *,
    reset: Bool[Array, "*batch"] | None = None,
    reset_state: Float[Array, "*batch hidden"] | None = None,
) -> tuple[Float[Array, "*batch hidden"], Float[Array, "*batch hidden"]]:
    """One time step, with the reset gate after the product.

        r  = sigmoid(x W_xr + h W_hr + b_r)           how much of the past enters the candidate
        z  = sigmoid(x W_xz + h W_hz + b_z)           how much of the past is kept
        n  = tanh   (x W_xn + b_n + r * (h W_hn + b_hn))
        h' = (1 - z) * n + z * h

    The form of cuDNN, `torch.nn.GRU` and Keras (`reset_after=True`), which needs a single product
    with `h`. The state is `h` itself.

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
      >>> from jlstm.variants import gru_step, init_gru
      >>> params = init_gru(jax.random.key(0), 3, 5)
      >>> h, hs = jlstm.scan_cell(
      ...     gru_step, params, jlstm.init_state(params), jax.numpy.ones((7, 3)))
      >>> hs.shape
      (7, 5)
    """
    check_step(params, h, x, GRUParams, SHAPES, reset, reset_state, check_hidden)
    h = reset_before(h, reset, reset_state)
    dtype = compute_dtype(x, *params)
    h = jnp.asarray(h).astype(dtype)
    x_r, x_z, x_n = jnp.split(project(params, x), 3, axis=-1)
    h_r, h_z, h_n = jnp.split(product(h, params.weight_hh, dtype), 3, axis=-1)
    r = jax.nn.sigmoid(x_r + h_r)
    z = jax.nn.sigmoid(x_z + h_z)
    n = jnp.tanh(x_n + r * (h_n + expand_to_batch(params.bias_hn, h_n, h_n.dtype)))
    h = ((1 - z) * n + z * h.astype(z.dtype)).astype(dtype)
    return h, h


def cho_gru_step(
    params: ChoGRUParams,
    h: Float[Array, "*batch hidden"],
    x: Float[Array, "*batch input"],
    *,
    reset: Bool[Array, "*batch"] | None = None,
    reset_state: Float[Array, "*batch hidden"] | None = None,
) -> tuple[Float[Array, "*batch hidden"], Float[Array, "*batch hidden"]]:
    """One time step, with the reset gate before the product.

        r  = sigmoid(x W_xr + h W_hr + b_r)
        z  = sigmoid(x W_xz + h W_hz + b_z)
        n  = tanh   (x W_xn + (r * h) W_hn + b_n)
        h' = (1 - z) * n + z * h

    Cho et al. (2014), equations 5 to 8, with biases; Keras with `reset_after=False`. The state is
    `h` itself.

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
      >>> from jlstm.variants import cho_gru_step, init_cho_gru
      >>> params = init_cho_gru(jax.random.key(0), 3, 5)
      >>> h, hs = jlstm.scan_cell(
      ...     cho_gru_step, params, jlstm.init_state(params), jax.numpy.ones((7, 3)))
      >>> hs.shape
      (7, 5)
    """
    check_step(params, h, x, ChoGRUParams, CHO_SHAPES, reset, reset_state, check_hidden)
    h = reset_before(h, reset, reset_state)
    dtype = compute_dtype(x, *params)
    h = jnp.asarray(h).astype(dtype)
    hidden = h.shape[-1]
    x_r, x_z, x_n = jnp.split(project(params, x), 3, axis=-1)
    to_gates, to_candidate = jnp.split(params.weight_hh, [2 * hidden], axis=-1)
    h_r, h_z = jnp.split(product(h, to_gates, dtype), 2, axis=-1)
    r = jax.nn.sigmoid(x_r + h_r)
    z = jax.nn.sigmoid(x_z + h_z)
    n = jnp.tanh(x_n + product(r * h.astype(cell_dtype(dtype)), to_candidate, dtype))
    h = ((1 - z) * n + z * h.astype(z.dtype)).astype(dtype)
    return h, h


LAYER_TYPE = LayerType(GRUParams, gru_step, SHAPES, "rzn", has_cell=False)
CHO_LAYER_TYPE = LayerType(ChoGRUParams, cho_gru_step, CHO_SHAPES, "rzn", has_cell=False)
