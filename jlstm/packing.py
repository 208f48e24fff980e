"""Packed batches: several sequences in one row, with a reset where each starts."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jax import lax

if TYPE_CHECKING:
    from jlstm.types import Array, Bool, Int, Shaped


class Packing(NamedTuple):
    """Row, start and length of each sequence, and the `resets` and `lengths` of the rows."""

    row: Int[np.ndarray, "sequences"]
    start: Int[np.ndarray, "sequences"]
    length: Int[np.ndarray, "sequences"]
    resets: Bool[np.ndarray, "time rows"]
    lengths: Int[np.ndarray, "rows"]


def plan_packing(lengths: Sequence[int], time: int | None = None) -> Packing:
    """Plan the packing of sequences into few rows, by best-fit decreasing.

    The longest sequence comes first, each in the row where it leaves the least room. This needs at
    most 11/9 of the fewest rows possible plus 4 (Johnson 1973). The plan is made of NumPy arrays.

    Args:
      lengths: the number of steps of each sequence, 0 or more.
      time: the number of steps of a row; None is the length of the longest sequence.

    Returns:
      A `Packing`; its `resets` and `lengths` are arguments of `lstm_scan` over the packed rows.
      Without the resets, a sequence would continue from the state of the sequence before it.

    Raises:
      ValueError: no sequence, a negative length, a sequence longer than a row.
      TypeError: lengths that are not integers.

    Example:
      >>> import jlstm
      >>> packing = jlstm.plan_packing([3, 5, 2])
      >>> packing.row.tolist(), packing.start.tolist(), packing.lengths.tolist()
      ([1, 0, 1], [0, 0, 3], [5, 5])
    """
    if any(np.ndim(length) for length in lengths):
        raise TypeError("lengths must be integers, the steps of each sequence, got arrays")
    sizes = np.asarray(lengths)
    if np.issubdtype(sizes.dtype, np.integer):
        sizes = sizes.astype(np.int64)  # sums of them fit
    if sizes.ndim != 1 or sizes.size == 0:
        raise ValueError(f"lengths must hold 1 length or more, got shape {sizes.shape}")
    if not np.issubdtype(sizes.dtype, np.integer):
        raise TypeError(f"lengths must be integers, got {sizes.dtype}")
    longest = int(sizes.max())
    time = longest if time is None else time
    if isinstance(time, bool) or not isinstance(time, int | np.integer):
        raise TypeError(f"time must be an integer, got {time!r}")
    if sizes.min() < 0 or longest > time:
        bad = int(sizes.min()) if sizes.min() < 0 else longest
        raise ValueError(f"lengths must lie in [0, {time}], the steps of a row; got {bad}")
    row, start = np.zeros_like(sizes), np.zeros_like(sizes)
    rows: list[tuple[int, int]] = []  # free steps and number of each row, the fullest first
    for k in np.argsort(-sizes, kind="stable"):
        size = int(sizes[k])
        best = bisect_left(rows, (size, -1))
        free, r = rows.pop(best) if best < len(rows) else (time, len(rows))
        row[k], start[k] = r, time - free
        insort(rows, (free - size, r))
    resets = np.zeros((time, len(rows)), bool)
    nonempty = sizes > 0
    resets[start[nonempty], row[nonempty]] = True
    filled = np.zeros(len(rows), sizes.dtype)
    np.add.at(filled, row, sizes)
    return Packing(row, start, sizes, resets, filled)


def pack(
    packing: Packing, sequences: Sequence[Shaped[np.ndarray, "length ..."]]
) -> Shaped[np.ndarray, "time rows ..."]:
    """Pack sequences into rows; the rest of each row is zeros.

    Inputs, targets and weights of one batch are packed with the same plan.

    Args:
      packing: the plan, from `plan_packing`.
      sequences: one array per sequence, `(length, ...)`, in the order of the plan.

    Returns:
      A NumPy array `(time, rows, ...)`.

    Raises:
      ValueError: another number of sequences, another length, features that differ.

    Example:
      >>> import jax, jlstm, numpy as np
      >>> sequences = [np.ones((3, 2)), np.ones((5, 2)), np.ones((2, 2))]
      >>> packing = jlstm.plan_packing([len(s) for s in sequences])
      >>> params = jlstm.init_params(jax.random.key(0), 2, 4)
      >>> _, hs = jlstm.lstm_scan(
      ...     params, None, jlstm.pack(packing, sequences),
      ...     resets=packing.resets, lengths=packing.lengths)
      >>> [h.shape for h in jlstm.unpack(packing, hs)]
      [(3, 4), (5, 4), (2, 4)]
    """
    _check_packing(packing)
    if len(sequences) != len(packing.row):
        raise ValueError(f"got {len(sequences)} sequences, the packing holds {len(packing.row)}")
    sequences = [np.asarray(sequence) for sequence in sequences]
    for k, sequence in enumerate(sequences):
        if not sequence.ndim:
            raise ValueError(f"sequences[{k}] must lead with the time axis, got a scalar")
        if len(sequence) != packing.length[k]:
            raise ValueError(
                f"sequences[{k}] has {len(sequence)} steps, the packing has {packing.length[k]}"
            )
        if sequence.shape[1:] != sequences[0].shape[1:]:
            raise ValueError(
                f"sequences[{k}] has steps of shape {sequence.shape[1:]}, "
                f"sequences[0] of {sequences[0].shape[1:]}"
            )
    dtype = np.result_type(*sequences)
    packed = np.zeros((*packing.resets.shape, *sequences[0].shape[1:]), dtype)
    for sequence, row, start in zip(sequences, packing.row, packing.start, strict=True):
        packed[start : start + len(sequence), row] = sequence
    return packed


def unpack(
    packing: Packing, ys: Shaped[Array, "time rows ..."]
) -> list[Shaped[Array, "length ..."]]:
    """Unpack outputs over packed rows: one array per sequence, in the order of the plan.

    Args:
      packing: the plan, not traced by `jax.jit`, as it determines the shapes.
      ys: outputs over the packed rows, `(time, rows, ...)`, of NumPy or JAX.

    Returns:
      One array per sequence, `(length, ...)`.

    Raises:
      ValueError: another time or number of rows.
    """
    _check_packing(packing)
    if np.shape(ys)[:2] != packing.resets.shape:
        raise ValueError(
            f"ys has (time, rows) {np.shape(ys)[:2]}, the packing has {packing.resets.shape}"
        )

    def take(row: int, start: int, length: int) -> Any:
        if isinstance(ys, np.ndarray):
            return ys[start : start + length, row]
        # Compiled once per length, for any row and start.
        return lax.dynamic_slice_in_dim(
            lax.dynamic_index_in_dim(ys, row, axis=1, keepdims=False), start, length
        )

    return [
        take(*place)
        for place in zip(packing.row, packing.start, packing.length.tolist(), strict=True)
    ]


def _check_packing(packing: Any) -> None:
    if not isinstance(packing, Packing):
        raise TypeError(
            f"packing must be a Packing, from plan_packing; got {type(packing).__name__}"
        )
