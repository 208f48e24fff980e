"""The LSTM with a projected `h` (LSTMP): fewer outputs than cells."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jlstm.checks.calls import check_step
from jlstm.checks.params import SHAPES, check_sizes
from jlstm.equations import lstm_equations, output, pre_activations
from jlstm.initializers import Initializer, glorot_uniform, init_layer, lstm_bias, orthogonal
from jlstm.masks import reset_before
from jlstm.types import LayerType, LSTMState, ProjectedParams, compute_dtype

if TYPE_CHECKING:
    from jax.typing import DTypeLike

    from jlstm.types import Array, Bool, Float, PRNGKeyArray


def init_projected(
    key: PRNGKeyArray,
    input_size: int,
    hidden_size: int,
    *,
    projection_size: int,
    forget_bias: float = 1.0,
    weight_init: Initializer = glorot_uniform,
    recurrent_init: Initializer = orthogonal,
    bias_init: Initializer | None = None,
    dtype: DTypeLike = jnp.float32,
) -> ProjectedParams:
    """Draw the weights of a layer of `hidden_size` cells and `projection_size` outputs.

    Args: as in `jlstm.init_params`, and

      projection_size: units of `h`, from 1 to `hidden_size`. `weight_init` draws the projection.

    Raises:
      ValueError, TypeError: as in `jlstm.init_params`; a projection larger than the layer.

    Example:
      >>> import jax
      >>> from jlstm.variants import init_projected
      >>> params = init_projected(jax.random.key(0), 3, 8, projection_size=2)
      >>> params.weight_hh.shape, params.weight_hr.shape
      ((2, 32), (8, 2))
    """
    sizes = {"input_size": input_size, "hidden_size": hidden_size}
    check_sizes(dtype, **sizes, projection_size=projection_size)
    if projection_size > hidden_size:
        raise ValueError(
            f"projection_size must be at most hidden_size={hidden_size}, got {projection_size}"
        )
    bias_init = lstm_bias(forget_bias, bias_init)
    key, key_hr = jax.random.split(key)
    return init_layer(
        LAYER_TYPE, key, input_size, hidden_size, output_size=projection_size,
        weight_init=weight_init, recurrent_init=recurrent_init, bias_init=bias_init, dtype=dtype,
        weight_hr=partial(weight_init, key_hr),
    )  # fmt: skip


def projected_step(
    params: ProjectedParams,
    state: LSTMState,
    x: Float[Array, "*batch input"],
    *,
    reset: Bool[Array, "*batch"] | None = None,
    reset_state: LSTMState | None = None,
) -> tuple[LSTMState, Float[Array, "*batch output"]]:
    """One time step.

        i  = sigmoid(x W_xi + h W_hi + b_i)
        f  = sigmoid(x W_xf + h W_hf + b_f)
        g  = tanh   (x W_xg + h W_hg + b_g)
        o  = sigmoid(x W_xo + h W_ho + b_o)
        c' = f * c + i * g
        h' = (o * tanh(c')) W_hr

    Sak, Senior and Beaufays (2014), section 2, with the recurrent projection only and without
    peepholes, as `torch.nn.LSTM` with `proj_size`. `jlstm.lstm_scan` takes these weights too, with
    its fast derivative.

    Args:
      params: the layer's weights.
      state: `h`, `(*batch, output)`, and `c`, `(*batch, hidden)`.
      x: the input, `(*batch, input)`.
      reset: as in `jlstm.lstm_step`.
      reset_state: as in `jlstm.lstm_step`.

    Returns:
      The state after the step, and its `h` as the output; dtypes as in `jlstm.lstm_step`.

    Raises:
      ValueError: sizes or batch axes that differ. TypeError: a wrong type or dtype.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.variants.init_projected(jax.random.key(0), 3, 8, projection_size=2)
      >>> state = jlstm.init_state(params)
      >>> state, h = jlstm.variants.projected_step(params, state, jax.numpy.ones(3))
      >>> h.shape, state.c.shape
      ((2,), (8,))
    """
    check_step(params, state, x, ProjectedParams, SHAPES[ProjectedParams], reset, reset_state)
    state = reset_before(state, reset, reset_state)
    z = pre_activations(params, state.h, x)
    _, c, m = lstm_equations(z, state.c)
    h = output(params, m, compute_dtype(x, *params))
    return LSTMState(h, c), h


LAYER_TYPE = LayerType(ProjectedParams, projected_step, SHAPES[ProjectedParams], "ifgo")
