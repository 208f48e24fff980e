"""Regularisers of a step: each takes a step and returns one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jlstm.checks.calls import check_step
from jlstm.checks.options import check_key
from jlstm.checks.params import SHAPES, check_lstm
from jlstm.checks.values import described
from jlstm.equations import lstm_equations, output, pre_activations
from jlstm.recurrence.carry import cast_to_carry
from jlstm.regularize.arrays import check_rate, dropout, keep_mask
from jlstm.types import LSTMState, compute_dtype

if TYPE_CHECKING:
    from jlstm.types import Array, PRNGKeyArray, PyTree, Step


def hidden_dropout(step: Step, key: PRNGKeyArray, state: PyTree, rate: float) -> Step:
    """A step with dropout on its recurrent input `h` (Gal and Ghahramani 2016).

    One mask serves the whole sequence and all gates; outputs and states are not masked. Keras calls
    this `recurrent_dropout` and draws a mask per gate.

    Args:
      step: a step whose state is an array `h`, or a NamedTuple with a field `h`.
      key: a JAX random key.
      state: a state of the batch; the mask has the shape of its `h`.
      rate: the dropout rate, in [0, 1).

    Returns:
      The step, for `scan_cell`, or for `stack_scan(..., steps=...)`.

    Raises:
      ValueError: a rate outside [0, 1). TypeError: a rate that is not a number.

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
    mask = keep_mask(key, rate, jnp.shape(_hidden(state)))

    return partial(_masked_step, step, rate, mask)


def candidate_dropout(rate: float) -> Step:
    """An LSTM step with dropout on the candidate only (Semeniuta et al. 2016).

    Stored memory is never dropped:

        c' = f * c + i * drop(g)

    Args:
      rate: the dropout rate, in [0, 1).

    Returns:
      A step `(params, state, (x, key)) -> (state, h)` of the LSTM, projected or not: each time
      step takes its own key.

    Raises:
      ValueError: a rate outside [0, 1). TypeError: a rate that is not a number.

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
    """A step after which a random part of the units keep their state (Krueger et al. 2017, eq. 5).

    Args:
      step: any step that outputs the `h` of its state, or its state where that is one array.
      rates: the probability that a unit keeps its state, in [0, 1), in the structure of the state
        (the paper uses `LSTMState(h=0.05, c=0.5)` for text); or one number for all of the state.

    Returns:
      A step `(params, state, (x, key)) -> (state, h)`: each time step takes its own key.

    Raises:
      ValueError: a rate outside [0, 1). TypeError: a rate that is not a number.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5)
      >>> xs, keys = jax.numpy.ones((7, 2, 3)), jax.random.split(jax.random.key(1), 7)
      >>> step = jlstm.regularize.zoneout(jlstm.lstm_step, jlstm.LSTMState(h=0.05, c=0.5))
      >>> state, hs = jlstm.scan_cell(step, params, jlstm.init_state(params, (2,)), (xs, keys))
    """
    rates = _check_rates(rates)

    if not any(jax.tree.leaves(rates)):
        return partial(_keyed_step, step)
    return partial(_zoned_step, step, rates)


def expected_zoneout(step: Step, rates: PyTree) -> Step:
    """The step for evaluation under zoneout: each unit changes as it does on average in training.

        h' = rate * h + (1 - rate) * new h, and likewise c

    Args:
      step: as in `zoneout`.
      rates: as in `zoneout`.

    Returns:
      A step `(params, state, x) -> (state, h)`.

    Raises:
      ValueError: a rate outside [0, 1). TypeError: a rate that is not a number.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5)
      >>> step = jlstm.regularize.expected_zoneout(jlstm.lstm_step, jlstm.LSTMState(0.05, 0.5))
      >>> state, h = step(params, jlstm.init_state(params), jax.numpy.ones(3))
    """
    rates = _check_rates(rates)

    return partial(_expected_step, step, rates) if any(jax.tree.leaves(rates)) else step


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

    def mix(rate: float, new: Array, old: Array, key: PRNGKeyArray) -> Array:
        if not rate:
            return new
        # Mask and old state get the sharding of the new state.
        keep = cast_to_carry(keep_mask(key, 1 - rate, new.shape), new) != 0
        return jnp.where(keep, cast_to_carry(old, new), new)

    new = jax.tree.map(mix, _rates_of(new, rates), new, state, keys)
    return new, _hidden(new)


def _keyed_step(step: Step, params: PyTree, state: PyTree, inputs: tuple) -> tuple[PyTree, Array]:
    return step(params, state, _with_key(inputs)[0])


def _expected_step(
    step: Step, rates: PyTree, params: PyTree, state: PyTree, x: PyTree
) -> tuple[PyTree, Array]:
    new, _ = step(params, state, x)

    def mean(rate: float, new: Array, old: Array) -> Array:
        return rate * old.astype(new.dtype) + (1 - rate) * new if rate else new

    new = jax.tree.map(mean, _rates_of(new, rates), new, state)
    return new, _hidden(new)


def _with_key(inputs: Any) -> tuple:
    if not isinstance(inputs, tuple) or len(inputs) != 2:
        raise TypeError(
            f"x must be (x, key), with a key for each time step, got {described(inputs)}: give "
            "scan_cell (xs, keys), or stack_scan extras=(keys, ...)"
        )
    check_key(inputs[1])
    return inputs


def _check_rates(rates: PyTree) -> PyTree:
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


def _hidden(state: PyTree) -> Array:
    return state.h if hasattr(state, "h") else state


def _with_hidden(state: PyTree, h: Array) -> PyTree:
    return state._replace(h=h) if hasattr(state, "h") else h
