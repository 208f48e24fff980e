"""Every gate and cell at every step: what the LSTM did with a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jlstm.cell import init_state, lstm_step
from jlstm.checks import check_sequence
from jlstm.equations import lstm_equations, pre_activations
from jlstm.sequence import scan_cell
from jlstm.types import LSTMTrace

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int

    from jlstm.types import LSTMParams, LSTMState


def lstm_trace(
    params: LSTMParams,
    state: LSTMState | None,
    xs: Float[Array, "time *batch input"],
    *,
    lengths: Int[Array, "*batch"] | None = None,
    resets: Bool[Array, "time *batch"] | None = None,
    reset_state: LSTMState | None = None,
    reverse: bool = False,
) -> tuple[LSTMState, Float[Array, "time *batch hidden"], LSTMTrace]:
    """`lstm_scan`, with the gates and the cell of every step beside its results.

    Args: those of `lstm_scan`.

    Returns:
      `(state, hs, LSTMTrace(i, f, g, o, c))`; each array of the trace is `(time, *batch, hidden)`
      in the dtype of the cell, and 0 at padded steps. The state at every step is `hs` and
      `trace.c`.

    Raises:
      ValueError, TypeError: as `lstm_scan`.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5, forget_bias=2.0)
      >>> state, hs, trace = jlstm.lstm_trace(params, None, jax.numpy.zeros((7, 3)))
      >>> trace.f.shape, round(float(trace.f[0, 0]), 4)  # sigmoid(2)
      ((7, 5), 0.8808)
    """
    check_sequence(params, state, xs, lengths, resets, reset_state)
    if state is None:
        state = init_state(params, np.shape(xs)[1:-1])
    state, (hs, trace) = scan_cell(
        _traced_step,
        params,
        state,
        xs,
        lengths=lengths,
        resets=resets,
        reset_state=reset_state,
        reverse=reverse,
    )
    return state, hs, trace


def _traced_step(
    params: LSTMParams, state: LSTMState, x: Float[Array, "*batch input"]
) -> tuple[LSTMState, tuple[Array, LSTMTrace]]:
    # The equations are written twice here and computed once: the compiler merges equal products.
    gates, c, _ = lstm_equations(pre_activations(params, state.h, x), state.c)
    state, h = lstm_step(params, state, x)
    return state, (h, LSTMTrace(*gates, c))
