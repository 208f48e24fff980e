"""The part of a trace to draw: one sequence of the batch, a window of steps, and units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jlstm.checks.options import check_index, check_trace
from jlstm.checks.values import described

if TYPE_CHECKING:
    from jlstm.types import Array, Float, Int, LSTMTrace


class Selection(NamedTuple):
    """One sequence as NumPy arrays `(time, units)`, with its labels."""

    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray
    c: np.ndarray
    h: np.ndarray
    units: np.ndarray  # the numbers of the units in the layer
    first: int  # the number of the first step
    labels: list[str] | None  # one per step
    note: str  # the number of the sequence in a batch, or empty

    @property
    def stop(self) -> int:
        """The number of the last step plus 1."""
        return self.first + len(self.f)


def order_by_memory(trace: LSTMTrace) -> Int[np.ndarray, "hidden"]:
    """Order the units of a layer from the longest memory to the shortest.

    The order is that of the mean logarithm of the forget gate over all steps and sequences, whose
    `exp` is the factor by which the cell of a unit shrinks per step.

    Args:
      trace: a trace of `lstm_trace`, or of one layer and direction of `stack_trace`.

    Returns:
      The numbers of the units, for `units` of `gates`.

    Raises:
      TypeError: an argument that is not the trace of an LSTM.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 4)
      >>> bias = params.bias.at[4:8].set(jax.numpy.array([0.0, 3.0, -3.0, 1.0]))
      >>> trace = jlstm.lstm_trace(params._replace(bias=bias), None, jax.numpy.zeros((9, 3)))[2]
      >>> jlstm.plot.order_by_memory(trace).tolist()
      [1, 3, 0, 2]
    """
    check_trace(trace)
    f = np.maximum(np.asarray(trace.f, np.float64), 1e-30)  # padded steps are 0
    length = np.log(f).mean(axis=tuple(range(f.ndim - 1)))
    return np.argsort(-length, kind="stable")


def select(
    trace: LSTMTrace,
    hs: Float[Array, "time *batch hidden"] | None,
    sequence: int | tuple[int, ...] | None,
    window: tuple[int, int] | None,
    units: Sequence[int] | None,
    labels: Sequence[Any] | None,
) -> Selection:
    """Check the arguments and select that part of the trace.

    Raises:
      ValueError, TypeError: an index out of range, arrays that do not fit; no steps.
    """
    check_trace(trace)
    time, *batch, hidden = np.shape(trace.f)
    if time == 0:
        raise ValueError("trace has 0 steps: there is nothing to draw")
    outputs = np.asarray(trace.o * np.tanh(trace.c)) if hs is None else hs
    if np.shape(outputs)[:-1] != (time, *batch) or (
        units is not None and np.shape(outputs)[-1] != hidden
    ):
        raise ValueError(f"hs has shape {np.shape(outputs)}, trace has {(time, *batch, hidden)}")
    at = choose_sequence(sequence, tuple(batch))
    start, stop = choose_window(window, time)
    chosen = choose_units(units, hidden)
    labels = check_labels(labels, time)

    def part(values: Any) -> np.ndarray:
        values = np.asarray(values)[(slice(start, stop), *at)].astype(np.float64)
        return values if units is None else values[:, chosen]

    return Selection(
        *(part(values) for values in (*trace, outputs)),
        units=chosen,
        first=start,
        labels=None if labels is None else labels[start:stop],
        note=describe_sequence(at, tuple(batch)),
    )


def choose_sequence(sequence: Any, batch: tuple[int, ...]) -> tuple[int, ...]:
    """The index of a sequence along each batch axis; None is the first."""
    if sequence is None:
        if 0 in batch:
            raise ValueError(f"the batch axes {batch} hold no sequence")
        return (0,) * len(batch)
    index = sequence if isinstance(sequence, tuple) else (sequence,)
    if len(index) != len(batch):
        raise ValueError(
            f"sequence={sequence!r} names {len(index)} batch axes, there are {len(batch)}"
        )
    for k, size in zip(index, batch, strict=True):
        check_index("sequence", k, size, f"for batch axes {batch}")
    return index


def describe_sequence(at: tuple[int, ...], batch: tuple[int, ...]) -> str:
    """The number of the sequence, if there are several."""
    if np.prod(batch, dtype=int) <= 1:
        return ""
    place = ", ".join(map(str, at))
    place = place if len(at) == 1 else f"({place})"
    return f"sequence {place}, one of {np.prod(batch, dtype=int):,}"


def choose_units(units: Any, hidden: int) -> np.ndarray:
    """The numbers of units, in the given order; None is all."""
    if units is None:
        return np.arange(hidden)
    if np.ndim(units) != 1 or not len(units):
        raise TypeError(f"units must be a sequence of 1 unit or more, got {units!r:.80}")
    for unit in np.asarray(units).tolist():
        check_index("units", unit, hidden, "the units of the layer")
    return np.asarray(units)


def choose_window(window: Any, time: int) -> tuple[int, int]:
    """The first step of a window and the step after its last; None is all."""
    if window is None:
        return 0, time
    if not isinstance(window, tuple) or len(window) != 2:
        raise TypeError(f"window must be (start, stop), got {window!r:.80}")
    start, stop = window
    check_index("window[0]", start, time, "the steps of trace")
    check_index("window[1]", stop, time + 1, f"for {time} steps")
    if stop <= start:
        raise ValueError(f"window must hold 1 step or more, got {window}")
    return start, stop


def check_labels(labels: Any, time: int) -> list[str] | None:
    """One label per step, as text; the characters of a string."""
    if labels is None:
        return None
    if not hasattr(labels, "__len__"):
        raise TypeError(f"labels must be a sequence, one per step, got {described(labels)}")
    if len(labels) != time:
        raise ValueError(f"labels has {len(labels)} entries, there are {time} steps")
    return [str(label) for label in labels]
