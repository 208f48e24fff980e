"""Forecasts from every step of a window, as if it ended there."""

from __future__ import annotations

from typing import Any

import numpy as np

from train.model import Params
from train.viewer.activations import outputs_of


def of_window(
    config: Any, params: Params, seen: np.ndarray, horizon: int, longest: int
) -> tuple[np.ndarray, np.ndarray]:
    """The model's inputs for a window, and the forecasts from its steps.

    The inputs depend on the window's last value, so each earlier end is run separately.

    Args:
      config: the config of the run.
      params: the trained weights.
      seen: `(time, columns)`, normalised, NaN where a value is missing.
      horizon: the number of steps to forecast.
      longest: the most steps of a window that is run again up to each of its steps; a longer
        window has a forecast from its end only.

    Returns:
      The inputs of the whole window, `(time, 2*columns)`, and the forecasts `(ends, horizon,
      columns)` from each of its last `ends` steps, normalised.
    """
    time, columns = seen.shape
    ends = np.arange(time) if time <= longest else np.array([time - 1])
    known = ~np.isnan(seen)
    latest = np.maximum.accumulate(np.where(known, np.arange(time)[:, None], -1))
    last = np.where(latest >= 0, np.take_along_axis(seen, np.maximum(latest, 0), 0), 0)[ends]
    changes = np.where(known[None], seen[None] - last[:, None], 0)
    missing = np.broadcast_to(~known, changes.shape)
    rows = np.concatenate([changes, missing], axis=-1).astype(np.float32)
    outputs = outputs_of(config, params, rows, ends + 1, per_step=False)
    return rows[-1], outputs.reshape(len(ends), horizon, columns) + last[:, None]


def errors(forecasts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mean absolute error of each forecast over the known values; NaN if there are none.

    Args:
      forecasts: `(ends, horizon, columns)`; the last one covers the last `horizon` steps.
      values: `(time, columns)`.
    """
    ends, horizon, _ = forecasts.shape
    starts = len(values) - horizon - ends + 1 + np.arange(ends)
    differences = np.abs(forecasts - values[starts[:, None] + np.arange(horizon)])
    known = ~np.isnan(differences)
    total = np.where(known, differences, 0).sum((1, 2))
    return np.where(known.any((1, 2)), total / np.maximum(known.sum((1, 2)), 1), np.nan)
