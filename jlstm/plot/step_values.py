"""The values on the wires of a cell at one step, from its weights or from a trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jlstm.cells.lstm import lstm_step
from jlstm.checks.calls import check_step
from jlstm.checks.params import SHAPES
from jlstm.equations import lstm_equations, pre_activations
from jlstm.types import LSTMParams

if TYPE_CHECKING:
    from jlstm.plot.selection import Selection
    from jlstm.types import Array, Float, LSTMState


class StepValues(NamedTuple):
    """The values of one sequence at one step: `x` over the features, the others over the units."""

    x: np.ndarray | None
    h_old: np.ndarray
    c_old: np.ndarray
    z: np.ndarray | None  # the pre-activations `(4, units)`, in the order of the weights
    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray
    c: np.ndarray
    h: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """The part of the old cell that the forget gate keeps."""
        return self.f * self.c_old

    @property
    def stored(self) -> np.ndarray:
        """The part of the candidate that the input gate stores."""
        return self.i * self.g

    @property
    def squashed(self) -> np.ndarray:
        """The input of the output gate: `tanh` of the cell."""
        return np.tanh(self.c)


def of_trace(
    chosen: Selection, start: int, state: LSTMState | None, at: tuple[int, ...]
) -> list[StepValues]:
    """The values of every step of a sequence from `start` on, from the state before `start`.

    None is the state after the step before, or zeros before the first step.

    Raises:
      ValueError: a step that does not follow from the one before it: after a reset, in a layer that
        runs backward, or from another state.
    """
    if state is not None:
        h, c = (np.asarray(a, np.float64)[at] for a in state)
    elif start:
        h, c = chosen.h[start - 1], chosen.c[start - 1]
    else:
        h = c = np.zeros_like(chosen.c[0])
    steps = []
    for t in range(start, len(chosen.c)):
        i, f, g, o, new_c, new_h = (getattr(chosen, name)[t] for name in "ifgoch")
        values = StepValues(None, h, c, None, i, f, g, o, new_c, new_h)
        if (np.abs(values.kept + values.stored - new_c) > 1e-3 * (1 + np.abs(new_c))).any():
            raise ValueError(
                f"the cell at step {t} does not follow from the one before it (a reset, a layer "
                "that runs backward, another initial state): choose a window in which each does, "
                "and pass the state before it"
            )
        steps.append(values)
        h, c = new_h, new_c
    return steps


def of_step(
    params: LSTMParams, state: LSTMState, x: Float[Array, "*batch input"], at: tuple[int, ...]
) -> StepValues:
    """The values of one sequence at a step, with the arguments checked."""
    check_step(params, state, x, LSTMParams, SHAPES[LSTMParams])
    z = pre_activations(params, state.h, x)
    (i, f, g, o), _, _ = lstm_equations(z, state.c)
    new, _ = lstm_step(params, state, x)

    def pick(values: Array) -> np.ndarray:
        return np.asarray(values, np.float64)[at]

    return StepValues(
        pick(x), pick(state.h), pick(state.c), pick(z).reshape(4, -1),
        pick(i), pick(f), pick(g), pick(o), pick(new.c), pick(new.h),
    )  # fmt: skip
