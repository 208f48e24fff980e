"""Axes of steps and of units: numbers, or the characters of a text if they fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jlstm.plot.style import FIXED, Theme, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The room in inches for a label along its axis: a character, and a number.
CHARACTER, NUMBER = 0.062, 0.085


def label_steps(
    axes: Axes,
    start: int,
    stop: int,
    labels: list[str] | None,
    theme: Theme,
    *,
    along: str = "x",
) -> None:
    """Label the steps from `start` to `stop - 1`: with `labels` if they fit, else with numbers.

    The layout of the figure must be computed before.
    """
    axis = axes.xaxis if along == "x" else axes.yaxis
    whole_numbers(axis)
    if labels is None or _inches(axes, along) < CHARACTER * len(labels):
        axis.set_label_text("time (steps)")
        return
    upright = along == "y" or max(map(len, labels)) < 2
    axis.set_ticks(np.arange(start, stop), [visible(label) for label in labels])
    axis.set_tick_params(length=0, labelsize=_size(axes, along, len(labels)), pad=4)
    for tick in axis.get_ticklabels():
        tick.set(family=FIXED, color=theme.text, rotation=0 if upright else 90, parse_math=False)
    axis.set_label_text(f"time (steps {start:,} to {stop - 1:,})")


def label_units(axes: Axes, numbers: np.ndarray, given: Sequence[int] | None) -> None:
    """Label the axis of the units: with their numbers if they fit, else with their count."""
    count = len(numbers)
    if _inches(axes, "y") >= NUMBER * count:
        axes.set_yticks(np.arange(count), [str(number) for number in numbers])
        axes.tick_params(axis="y", length=0, labelsize=_size(axes, "y", count) - 0.5)
        axes.set_ylabel("unit")
    elif given is None:
        whole_numbers(axes.yaxis, 5)
        axes.set_ylabel("unit")
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"{count:,} units, as ordered")


def whole_numbers(axis: Any, most: int = 9) -> None:
    """Set ticks at integers only."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(most, integer=True, steps=(1, 2, 5, 10)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _inches(axes: Axes, along: str) -> float:
    """The length of an axis."""
    ends = axes.transAxes.transform([(0, 0), (1, 1)]) / axes.figure.dpi
    return float(np.ptp(ends[:, 0 if along == "x" else 1]))


def _size(axes: Axes, along: str, count: int) -> float:
    return float(
        np.clip(_inches(axes, along) / count * 72 * (1.25 if along == "x" else 0.9), 5.5, 9)
    )
