"""Regularisers of recurrent layers: functions on inputs, weights, steps and outputs.

Each takes its random key explicitly. A rate of 0 changes nothing and draws no number. What is kept
is divided by the share that is kept, so that expectations stay what they were.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.checks import SHAPES, check_key, check_lstm, check_step
from jlstm.equations import lstm_equations, output, pre_activations
from jlstm.layers import check_layer
from jlstm.recurrence.carry import cast_to_carry
from jlstm.types import LSTMState, compute_dtype
from jlstm.values import described

if TYPE_CHECKING:
    from jaxtyping import Array, Float, PRNGKeyArray, PyTree

    from jlstm.types import Step

__all__ = [
    "activation_penalty", "candidate_dropout", "dropout", "expected_zoneout", "hidden_dropout",
    "sequence_dropout", "temporal_penalty", "weight_drop", "zoneout",
]  # fmt: skip


def dropout(key: PRNGKeyArray, xs: Float[Array, "*axes"], rate: float) -> Float[Array, "*axes"]:
    """Every number dropped by itself (Srivastava et al. 2014).

    Args:
      key: a JAX random key.
      xs: any array.
      rate: the share that is dropped, in [0, 1).

    Raises:
      ValueError: a rate outside [0, 1). TypeError: a rate that is no number.

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
    """One mask for a whole sequence (Gal and Ghahramani 2016): a feature is there, or never.

    Args:
      key: a JAX random key.
      xs: a sequence, `(time, *batch, features)`; each sequence of the batch has its own mask.
      rate: the share of features that is dropped, in [0, 1).

    Raises:
      ValueError: a rate outside [0, 1). TypeError: a rate that is no number.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jlstm.regularize import sequence_dropout
      >>> xs = sequence_dropout(jax.random.key(0), jnp.ones((7, 2, 3)), 0.5)
      >>> bool((xs == xs[0]).all())
      True
    """
    return _drop(key, xs, rate, (1, *np.shape(xs)[1:]))


def hidden_dropout(step: Step, key: PRNGKeyArray, state: PyTree, rate: float) -> Step:
    """A step that sees `h` through one mask for the whole sequence (Gal and Ghahramani 2016).

    The mask is on what enters the recurrence, the same for all gates; what is shown, and the state,
    are whole. Keras calls it `recurrent_dropout`, and draws a mask for each gate.

    Args:
      step: a step whose state is an array `h`, or a NamedTuple with a field `h`.
      key: a JAX random key.
      state: a state of the batch; its `h` gives the mask its shape.
      rate: the share of units that is dropped, in [0, 1).

    Returns:
      The step, for `scan_cell`, or for `stack_scan(..., steps=...)`.

    Raises:
      ValueError: a rate outside [0, 1). TypeError: a rate that is no number.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5)
      >>> state = jlstm.init_state(params, (2,))
      >>> step = jlstm.regularize.hidden_dropout(jlstm.lstm_step, jax.random.key(1), state, 0.3)
      >>> state, hs = jlstm.scan_cell(step, params, state, jax.numpy.ones((7, 2, 3)))
    """
    rate = check_rate("rate", rate)
    if not rate:
        return step
    mask = _mask(key, rate, jnp.shape(_hidden(state)))

    return partial(_masked_step, step, rate, mask)


def candidate_dropout(rate: float) -> Step:
    """An LSTM step that drops what would be stored, and nothing that is (Semeniuta et al. 2016).

        c' = f * c + i * drop(g)

    Args:
      rate: the share of the candidates that is dropped at a step, in [0, 1).

    Returns:
      A step `(params, state, (x, key)) -> (state, h)` of the LSTM, projected or not: each step of
      time takes a key of its own.

    Raises:
      ValueError: a rate outside [0, 1). TypeError: a rate that is no number.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5)
      >>> xs, keys = jax.numpy.ones((7, 2, 3)), jax.random.split(jax.random.key(1), 7)
      >>> step = jlstm.regularize.candidate_dropout(0.3)
      >>> state, hs = jlstm.scan_cell(step, params, jlstm.init_state(params, (2,)), (xs, keys))
    """
    check_rate("rate", rate)

    return partial(_candidate_step, rate)


def zoneout(step: Step, rates: PyTree) -> Step:
    """A step after which some units are as they were before it (Krueger et al. 2017, eq. 5).

    Args:
      step: any step that shows its state's `h`, or its state where that is one array.
      rates: the share of units that stays, in [0, 1), in the structure of the state:
        `LSTMState(h=0.05, c=0.5)` is the paper's for text; or one number for all of it.

    Returns:
      A step `(params, state, (x, key)) -> (state, h)`: each step of time takes a key of its own.

    Raises:
      ValueError: a rate outside [0, 1). TypeError: a rate that is no number.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5)
      >>> xs, keys = jax.numpy.ones((7, 2, 3)), jax.random.split(jax.random.key(1), 7)
      >>> step = jlstm.regularize.zoneout(jlstm.lstm_step, jlstm.LSTMState(h=0.05, c=0.5))
      >>> state, hs = jlstm.scan_cell(step, params, jlstm.init_state(params, (2,)), (xs, keys))
    """
    rates = _checked(rates)

    if not any(jax.tree.leaves(rates)):
        return partial(_keyed_step, step)
    return partial(_zoned_step, step, rates)


def expected_zoneout(step: Step, rates: PyTree) -> Step:
    """The step for evaluation: each state moves by its share, as it does on average in training.

        h' = rate * h + (1 - rate) * new h, and likewise c

    Args:
      step: as in `zoneout`.
      rates: as in `zoneout`.

    Returns:
      A step `(params, state, x) -> (state, h)`.

    Raises:
      ValueError: a rate outside [0, 1). TypeError: a rate that is no number.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5)
      >>> step = jlstm.regularize.expected_zoneout(jlstm.lstm_step, jlstm.LSTMState(0.05, 0.5))
      >>> state, h = step(params, jlstm.init_state(params), jax.numpy.ones(3))
    """
    rates = _checked(rates)

    return partial(_expected_step, step, rates) if any(jax.tree.leaves(rates)) else step


def weight_drop(key: PRNGKeyArray, params: PyTree, rate: float) -> PyTree:
    """The weights with some recurrent ones dropped, for all steps alike (Merity et al. 2018).

    DropConnect on `weight_hh`: the recurrence itself, and its fast derivative, stay as they are.

    Args:
      key: a JAX random key.
      params: weights of one layer of any kind.
      rate: the share of the recurrent weights that is dropped, in [0, 1).

    Raises:
      ValueError: a rate outside [0, 1). TypeError: a rate that is no number, or no such weights.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5)
      >>> dropped = jlstm.regularize.weight_drop(jax.random.key(1), params, 0.5)
      >>> state, hs = jlstm.lstm_scan(dropped, None, jax.numpy.ones((7, 2, 3)))
    """
    check_layer(params)
    return params._replace(weight_hh=dropout(key, params.weight_hh, rate))


def activation_penalty(hs: Float[Array, "time *batch hidden"]) -> Float[Array, ""]:
    """The mean of `h**2`: activation regularisation (Merity et al. 2017, AR); weigh it, add it.

    Padded steps hold zeros and count as such.

    Example:
      >>> import jax.numpy as jnp
      >>> from jlstm.regularize import activation_penalty
      >>> float(activation_penalty(2 * jnp.ones((7, 2, 3))))
      4.0
    """
    return jnp.mean(jnp.square(hs))


def temporal_penalty(hs: Float[Array, "time *batch hidden"]) -> Float[Array, ""]:
    """The mean of `(h_t - h_{t-1})**2`: temporal activation regularisation (TAR, as above).

    The steps between a sequence and its padding count too; give it whole sequences where that
    matters. One step alone has none: 0.

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
    """The rate, a number in [0, 1) that is known while tracing."""
    if isinstance(rate, bool) or not isinstance(rate, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, known while tracing; got {type(rate).__name__}")
    if not 0 <= rate < 1:
        percent = f"; {rate} percent are {rate / 100}" if 1 < rate < 100 else ""
        raise ValueError(f"{name} must lie in [0, 1), got {rate}{percent}")
    return float(rate)


def _masked_step(
    step: Step, rate: float, mask: Array, params: PyTree, state: PyTree, x: PyTree
) -> tuple[PyTree, PyTree]:
    h = _hidden(state)
    if h.shape != mask.shape:
        raise ValueError(
            f"state has h of shape {h.shape}, the mask was drawn for {mask.shape}; "
            "they must be equal, nothing broadcasts"
        )
    return step(params, _with_hidden(state, jnp.where(mask, h / (1 - rate), 0)), x)


def _candidate_step(
    rate: float, params: PyTree, state: LSTMState, inputs: tuple
) -> tuple[LSTMState, Array]:
    x, key = _with_key(inputs)
    check_lstm(params)
    check_step(params, state, x, type(params), SHAPES[type(params)])
    z = pre_activations(params, state.h, x)
    i, f, g, o = lstm_equations(z, state.c)[0]
    c = f * state.c.astype(z.dtype) + i * dropout(key, g, rate)
    h = output(params, o * jnp.tanh(c), compute_dtype(x, *params))
    return LSTMState(h, c), h


def _zoned_step(
    step: Step, rates: PyTree, params: PyTree, state: PyTree, inputs: tuple
) -> tuple[PyTree, Array]:
    x, key = _with_key(inputs)
    new, _ = step(params, state, x)
    structure = jax.tree.structure(new)
    keys = structure.unflatten(jax.random.split(key, structure.num_leaves))

    def one(rate: float, new: Array, old: Array, key: PRNGKeyArray) -> Array:
        if not rate:
            return new
        # Both are given the sharding of what they are mixed with.
        stays = cast_to_carry(_mask(key, 1 - rate, new.shape), new) != 0
        return jnp.where(stays, cast_to_carry(old, new), new)

    new = jax.tree.map(one, _rates_of(new, rates), new, state, keys)
    return new, _hidden(new)


def _keyed_step(step: Step, params: PyTree, state: PyTree, inputs: tuple) -> tuple[PyTree, Array]:
    return step(params, state, _with_key(inputs)[0])


def _expected_step(
    step: Step, rates: PyTree, params: PyTree, state: PyTree, x: PyTree
) -> tuple[PyTree, Array]:
    new, _ = step(params, state, x)

    def one(rate: float, new: Array, old: Array) -> Array:
        return rate * old.astype(new.dtype) + (1 - rate) * new if rate else new

    new = jax.tree.map(one, _rates_of(new, rates), new, state)
    return new, _hidden(new)


def _with_key(inputs: Any) -> tuple:
    if not isinstance(inputs, tuple) or len(inputs) != 2:
        raise TypeError(
            f"x must be (x, key), with a key for each step of time, got {described(inputs)}: give "
            "scan_cell (xs, keys), or stack_scan extras=(keys, ...)"
        )
    check_key(inputs[1])
    return inputs


def _checked(rates: PyTree) -> PyTree:
    if not jax.tree.leaves(rates):
        raise TypeError(
            f"rates must be a number, or one for each array of the state; got {rates!r}"
        )
    return jax.tree.map(lambda rate: check_rate("rates", rate), rates)


def _rates_of(state: PyTree, rates: PyTree) -> PyTree:
    """A rate for each array of the state."""
    if isinstance(rates, float):
        return jax.tree.map(lambda _: rates, state)
    wanted, given = jax.tree.structure(state), jax.tree.structure(rates)
    if given != wanted:
        raise ValueError(f"rates has the structure {given}, the state has {wanted}")
    return rates


def _drop(key: PRNGKeyArray, xs: Array, rate: float, shape: tuple[int, ...]) -> Array:
    rate = check_rate("rate", rate)
    if not hasattr(xs, "dtype"):
        raise TypeError(f"xs must be an array, got {described(xs)}")
    if not rate:
        return xs
    with jax.numpy_dtype_promotion("standard"):  # integers become floats here
        return jnp.where(_mask(key, rate, shape), xs / (1 - rate), 0)


def _mask(key: PRNGKeyArray, rate: float, shape: tuple[int, ...]) -> Array:
    check_key(key)
    return jax.random.bernoulli(key, 1 - rate, shape)


def _hidden(state: PyTree) -> Array:
    return state.h if hasattr(state, "h") else state


def _with_hidden(state: PyTree, h: Array) -> PyTree:
    return state._replace(h=h) if hasattr(state, "h") else h
