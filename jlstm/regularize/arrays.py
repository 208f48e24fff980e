"""Regularisers on arrays: inputs, weights and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.cells.layer_types import check_layer
from jlstm.checks.options import check_key
from jlstm.checks.values import described

if TYPE_CHECKING:
    from jlstm.types import Array, Float, PRNGKeyArray, PyTree


def dropout(key: PRNGKeyArray, xs: Float[Array, "*axes"], rate: float) -> Float[Array, "*axes"]:
    """Elementwise dropout (Srivastava et al. 2014).

    Args:
      key: a JAX random key.
      xs: any array.
      rate: the dropout rate, in [0, 1).

    Raises:
      ValueError: a rate outside [0, 1). TypeError: a rate that is not a number.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jlstm.regularize import dropout
      >>> sorted(set(dropout(jax.random.key(0), jnp.ones(100), 0.5).tolist()))
      [0.0, 2.0]
    """
    return _drop(key, xs, rate, np.shape(xs))


def sequence_dropout(
    key: PRNGKeyArray, xs: Float[Array, "time *batch features"], rate: float
) -> Float[Array, "time *batch features"]:
    """Dropout with one mask per sequence, the same at every step (Gal and Ghahramani 2016).

    Args:
      key: a JAX random key.
      xs: a sequence, `(time, *batch, features)`; each sequence of the batch gets its own mask.
      rate: the dropout rate, in [0, 1).

    Raises:
      ValueError: a rate outside [0, 1). TypeError: a rate that is not a number.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jlstm.regularize import sequence_dropout
      >>> xs = sequence_dropout(jax.random.key(0), jnp.ones((7, 2, 3)), 0.5)
      >>> bool((xs == xs[0]).all())
      True
    """
    return _drop(key, xs, rate, (1, *np.shape(xs)[1:]))


def weight_drop(key: PRNGKeyArray, params: PyTree, rate: float) -> PyTree:
    """DropConnect on the recurrent weights, `weight_hh` (Merity et al. 2018).

    All steps use the same weights. The recurrence and its fast derivative are unchanged.

    Args:
      key: a JAX random key.
      params: the weights of one layer, of any layer type.
      rate: the dropout rate of the recurrent weights, in [0, 1).

    Raises:
      ValueError: a rate outside [0, 1).
      TypeError: a rate that is not a number, or weights of an unknown layer type.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5)
      >>> dropped = jlstm.regularize.weight_drop(jax.random.key(1), params, 0.5)
      >>> state, hs = jlstm.lstm_scan(dropped, None, jax.numpy.ones((7, 2, 3)))
    """
    check_layer(params)
    return params._replace(weight_hh=dropout(key, params.weight_hh, rate))


def activation_penalty(hs: Float[Array, "time *batch hidden"]) -> Float[Array, ""]:
    """The mean of `h**2`: activation regularisation (AR, Merity et al. 2017).

    Add it to the loss with a weight. Padded steps count as zeros.

    Example:
      >>> import jax.numpy as jnp
      >>> from jlstm.regularize import activation_penalty
      >>> float(activation_penalty(2 * jnp.ones((7, 2, 3))))
      4.0
    """
    return jnp.mean(jnp.square(hs))


def temporal_penalty(hs: Float[Array, "time *batch hidden"]) -> Float[Array, ""]:
    """The mean of `(h_t - h_{t-1})**2`: temporal activation regularisation (TAR).

    Merity et al. (2017). The change from a sequence to its padding counts too; where that matters,
    pass sequences without padding. The penalty of a single step is 0.

    Example:
      >>> import jax.numpy as jnp
      >>> from jlstm.regularize import temporal_penalty
      >>> float(temporal_penalty(jnp.arange(5.0)[:, None]))
      1.0
    """
    if hs.shape[0] < 2:
        return jnp.zeros((), hs.dtype)
    return jnp.mean(jnp.square(hs[1:] - hs[:-1]))


def check_rate(name: str, rate: Any) -> float:
    """Check that `rate` is a number in [0, 1) that is known while tracing; return it as a float."""
    if isinstance(rate, bool) or not isinstance(rate, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, known while tracing; got {type(rate).__name__}")
    if not 0 <= rate < 1:
        percent = f"; {rate} percent are {rate / 100}" if 1 < rate < 100 else ""
        raise ValueError(f"{name} must lie in [0, 1), got {rate}{percent}")
    return float(rate)


def _drop(key: PRNGKeyArray, xs: Array, rate: float, shape: tuple[int, ...]) -> Array:
    rate = check_rate("rate", rate)
    if not hasattr(xs, "dtype"):
        raise TypeError(f"xs must be an array, got {described(xs)}")
    if not rate:
        return xs
    with jax.numpy_dtype_promotion("standard"):  # integers become floats here
        return jnp.where(keep_mask(key, rate, shape), xs / (1 - rate), 0)


def keep_mask(key: PRNGKeyArray, rate: float, shape: tuple[int, ...]) -> Array:
    """Draw a mask that is true with probability `1 - rate`."""
    check_key(key)
    return jax.random.bernoulli(key, 1 - rate, shape)
