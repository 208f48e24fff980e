"""Every gate and cell at every step: what the LSTM did with a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jlstm.cells.layer_types import LAYER_TYPES, init_state
from jlstm.checks.calls import check_sequence
from jlstm.equations import lstm_equations, pre_activations
from jlstm.layer import (
    add_residual,
    as_layers,
    join_directions,
    named_errors,
    per_layer,
    split_directions,
)
from jlstm.sequence import scan_cell
from jlstm.types import BiLSTMTrace, LSTMTrace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jlstm.types import Array, Bool, Float, Int, LSTMParams, LSTMState, ProjectedParams, PyTree


def lstm_trace(
    params: LSTMParams | ProjectedParams,
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


def stack_trace(
    layers: Sequence[PyTree],
    states: Sequence[PyTree] | None,
    xs: Float[Array, "time *batch input"],
    *,
    lengths: Int[Array, "*batch"] | None = None,
    resets: Bool[Array, "time *batch"] | None = None,
    reset_states: Sequence[PyTree] | None = None,
    residual: bool = False,
) -> tuple[tuple[PyTree, ...], Float[Array, "time *batch output"], tuple[PyTree, ...]]:
    """`stack_scan`, with the gates and the cell of every layer at every step beside its results.

    Args: those of `stack_scan` that are here; all layers are of the LSTM, projected or not.

    Returns:
      `(states, hs, traces)`: one trace a layer, an `LSTMTrace` or, of a bidirectional layer,
      `BiLSTMTrace(forward, backward)`.

    Raises:
      TypeError: a layer of another type. ValueError, TypeError: as `stack_scan`.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 4))
      >>> states, hs, traces = jlstm.stack_trace(layers, None, jax.numpy.ones((7, 3)))
      >>> [trace.f.shape for trace in traces]
      [(7, 8), (7, 4)]
    """
    layers = as_layers(layers)
    states = per_layer("states", states, layers)
    reset_states = per_layer("reset_states", reset_states, layers)
    ends, traces = [], []
    for k, layer in enumerate(layers):
        with named_errors(f"layers[{k}]"):
            results = [
                lstm_trace(
                    params, state, xs, lengths=lengths, resets=resets, reset_state=reset_state,
                    reverse=reverse,
                )
                for params, state, reset_state, _, reverse in split_directions(
                    layer, states[k], reset_states[k]
                )
            ]  # fmt: skip
            state, hs, trace = join_directions(layer, results)
        ends.append(state)
        traces.append(trace if isinstance(trace, LSTMTrace) else BiLSTMTrace(*trace))
        xs = add_residual(hs, xs, k) if residual else hs
    return tuple(ends), xs, tuple(traces)


def _traced_step(
    params: LSTMParams | ProjectedParams, state: LSTMState, x: Float[Array, "*batch input"]
) -> tuple[LSTMState, tuple[Array, LSTMTrace]]:
    # The equations are written twice here and computed once: the compiler merges equal products.
    gates, c, _ = lstm_equations(pre_activations(params, state.h, x), state.c)
    state, h = LAYER_TYPES[type(params)].step(params, state, x)
    return state, (h, LSTMTrace(*gates, c))
