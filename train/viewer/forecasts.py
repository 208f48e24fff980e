"""Forecasts from every step of a window, as if it ended there."""

from __future__ import annotations

from typing import Any

import numpy as np

from train.model import Params
from train.viewer.traced import read


def of_window(
    config: Any, params: Params, seen: np.ndarray, horizon: int, longest: int
) -> tuple[np.ndarray, np.ndarray]:
    """What the model reads of a window, and what it forecasts.

    What is read depends on the window's last value, so each earlier end is a reading of its own.

    Args:
      config: of the run.
      params: its weights.
      seen: `(time, columns)`, normalised, NaN where a value is missing.
      horizon: steps that are forecast.
      longest: steps of the longest window that is read anew up to each of its steps; of a longer
        one, the end alone is forecast from.

    Returns:
      The inputs of the whole window, `(time, 2*columns)`, and the forecasts `(ends, horizon,
      columns)` from its last `ends` steps on, normalised.
    """
    time, columns = seen.shape
    ends = np.arange(time) if time <= longest else np.array([time - 1])
    known = ~np.isnan(seen)
    latest = np.maximum.accumulate(np.where(known, np.arange(time)[:, None], -1))
    last = np.where(latest >= 0, np.take_along_axis(seen, np.maximum(latest, 0), 0), 0)[ends]
    changes = np.where(known[None], seen[None] - last[:, None], 0)
    missing = np.broadcast_to(~known, changes.shape)
    rows = np.concatenate([changes, missing], axis=-1).astype(np.float32)
    outputs = read(config, params, rows, ends + 1, per_step=False)
    return rows[-1], outputs.reshape(len(ends), horizon, columns) + last[:, None]


def errors(found: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mean error of each forecast, over the steps after it that are known; NaN without any.

    Args:
      found: `(ends, horizon, columns)`, of which the last begins `horizon` steps before the end.
      values: `(time, columns)`.
    """
    ends, horizon, _ = found.shape
    starts = len(values) - horizon - ends + 1 + np.arange(ends)
    apart = np.abs(found - values[starts[:, None] + np.arange(horizon)])
    known = ~np.isnan(apart)
    total = np.where(known, apart, 0).sum((1, 2))
    return np.where(known.any((1, 2)), total / np.maximum(known.sum((1, 2)), 1), np.nan)
