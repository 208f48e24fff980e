"""Normalisation of columns by their mean and standard deviation."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from train.errors import InputError


def mean_and_deviation(
    source: str, values: np.ndarray, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The mean and standard deviation of each column; the deviation of a constant column is 1.

    Args:
      source: the source of the values, for errors.
      values: (rows, columns) of the training part; NaN is a missing value.
      names: the names of the columns, for errors.

    Raises:
      InputError: a column without a value, or with numbers whose squares overflow.
    """
    values = values.astype(np.float64)
    for name, column in zip(names, values.T, strict=True):
        if np.isnan(column).all():
            raise InputError(f"{source}: {name} has no value in the training part")
    with np.errstate(over="ignore"):
        mean, deviation = np.nanmean(values, 0), np.nanstd(values, 0)
    for name, finite in zip(names, np.isfinite(deviation), strict=True):
        if not finite:
            raise InputError(f"{source}: the numbers of {name} are too large")
    constant = deviation <= 1e-14 * np.abs(mean)  # up to rounding
    return mean, np.where(constant, 1.0, deviation)


def known_values(inputs: np.ndarray, about: dict[str, Any]) -> np.ndarray:
    """The values of normalised inputs, NaN where a value is missing.

    The inverse of `train.tasks.classification.normalised`.
    """
    values = inputs[:, : about["features"]] * np.array(about["spread"]) + about["mean"]
    if about.get("missing"):
        values[inputs[:, about["features"] :] > 0] = np.nan
    return values
