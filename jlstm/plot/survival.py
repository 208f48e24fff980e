"""`memory`: the share of an earlier cell that each later step retains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jlstm.analysis.memory import kept_in_steps
from jlstm.plot.selection import select
from jlstm.plot.style import (
    COLORS,
    FONT,
    Theme,
    color_bar,
    color_map,
    dress,
    find_theme,
    key,
    new_figure,
)
from jlstm.plot.ticks import label_steps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from jlstm.types import Array, Bool, Int, LSTMTrace

MOST = 256  # the most earlier steps
TINY = 1e-9  # smaller shares are set to 0: denormal products are slow on many processors


def memory(
    trace: LSTMTrace,
    *,
    lengths: Int[Array, "*batch"] | None = None,
    resets: Bool[Array, "time *batch"] | None = None,
    reverse: bool = False,
    sequence: int | tuple[int, ...] | None = None,
    window: tuple[int, int] | None = None,
    units: Sequence[int] | None = None,
    labels: Sequence[Any] | None = None,
    theme: str | Theme = "light",
    width: float = 12.0,
) -> Figure:
    """Draw the share of an earlier cell that later steps retain: products of forget gates.

    The left panel has every pair of steps: the share of the cell after the step of the row that the
    step of the column retains, as the mean over units. The right panel has this share against the
    lag between the two, as the mean over earlier steps: a thin line per unit, the median, and a
    band of the middle 80%. See `jlstm.memory_kept`.

    For more than 256 steps, 256 evenly spaced steps are the earlier ones.

    Args:
      trace: a trace of `lstm_trace`, or of one layer and direction of `stack_trace`.
      lengths: those of the traced call.
      resets: those of the traced call, which a trace does not include.
      reverse: True for the trace of a layer that runs from the last step to the first.
      sequence: the index of one sequence of the batch, a tuple for several batch axes; None is
        the first.
      window: `(start, stop)`, the steps to draw; None is all.
      units: the numbers of the units; None is all.
      labels: one per step, such as the characters of a string; drawn if they fit.
      theme: "light", "dark", or a `Theme`.
      width: the width of the figure in inches.

    Returns:
      The figure, which is not attached to a window.

    Raises:
      ValueError: no steps, an index out of range, resets of other axes. TypeError: an argument that
      is not the trace of an LSTM, or of a wrong type. ModuleNotFoundError: matplotlib is not
      installed.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 8, forget_bias=2.0)
      >>> _, _, trace = jlstm.lstm_trace(params, None, jax.numpy.zeros((30, 3)))
      >>> figure = jlstm.plot.memory(trace)
      >>> figure.axes[1].get_title(loc="left")  # 0.881^5 is 0.53, 0.881^6 is 0.47
      'Half or less is left after 6 steps (median unit)'
    """
    theme = find_theme(theme)
    trace = trace._replace(f=kept_in_steps(trace, lengths, resets, reverse))
    chosen = select(trace, None, sequence, window, units, labels)
    f = (chosen.f[::-1] if reverse else chosen.f).astype(np.float32)
    starts = np.unique(np.linspace(0, len(f) - 1, min(len(f), MOST)).round().astype(int))
    pairs, by_lag = survival(f, starts)
    figure = new_figure(width, width * 0.42, theme)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
    _draw_pairs(figure, left, pairs[::-1, ::-1] if reverse else pairs, chosen.first, theme)
    _draw_lags(right, by_lag, theme)
    if chosen.note:
        figure.suptitle(chosen.note, color=theme.quiet, fontsize=9, x=0.01, ha="left", family=FONT)
    figure.draw_without_rendering()  # compute the layout, from which the room for labels follows
    for along, name in (("x", "later step"), ("y", "earlier step")):
        label_steps(left, chosen.first, chosen.stop, chosen.labels, theme, along=along)
        axis = left.xaxis if along == "x" else left.yaxis
        axis.set_label_text(name + (", read backward" if reverse else ""))
    return figure


def survival(f: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of products of `f` over the steps after each start.

    Args:
      f: the share that each step retains, `(time, units)`.
      starts: the earlier steps.

    Returns:
      `(pairs, by_lag)`: over the units, `(starts, time)`, NaN before a start; and over the starts,
      `(time, units)`, by lag.
    """
    time, units = f.shape
    pairs = np.full((len(starts), time), np.nan)
    by_lag, count = np.zeros_like(f), np.zeros(time)
    kept = np.zeros((len(starts), units), f.dtype)
    begun = 0
    for t in range(time):
        kept[:begun] *= f[t]
        if begun < len(starts) and starts[begun] == t:
            kept[begun] = 1
            begun += 1
        pairs[:begun, t] = kept[:begun].mean(axis=1)
        by_lag[t - starts[:begun]] += kept[:begun]
        count[t - starts[:begun]] += 1
        if t % 16 == 0:
            kept[kept < TINY] = 0
    return pairs, by_lag / count[:, None]


def _draw_pairs(figure: Figure, axes: Axes, pairs: np.ndarray, first: int, theme: Theme) -> None:
    end = first + pairs.shape[1] - 0.5
    colors = color_map(theme, diverging=False).with_extremes(bad=theme.panel)
    image = axes.imshow(
        np.ma.masked_invalid(pairs), cmap=colors, vmin=0, vmax=1, aspect="auto",
        interpolation="nearest", extent=(first - 0.5, end, end, first - 0.5),
    )  # fmt: skip
    dress(
        axes, theme, title="How much of an earlier cell is left", x="later step", y="earlier step"
    )
    color_bar(figure, image, axes, "share left, mean of units", theme)


def _draw_lags(axes: Axes, by_lag: np.ndarray, theme: Theme) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.ticker import StrMethodFormatter

    time, units = by_lag.shape
    lags = np.unique(np.geomspace(1, max(time - 1, 1), 200).round().astype(int))
    lags = lags[lags < time]
    shares = by_lag[lags]
    low, median, high = np.quantile(by_lag, (0.1, 0.5, 0.9), axis=1)
    half = np.flatnonzero(median <= 0.5)
    title = (
        f"Half or less is left after {half[0]:,} steps" if len(half) else "More than half is left"
    )
    dress(axes, theme, title=f"{title} (median unit)", x="lag (steps)", y="share left")
    axes.set(xscale="log", xlim=(1, max(time - 1, 2)), ylim=(0, 1.02))
    paths = [np.column_stack((lags, shares[:, unit])) for unit in range(units)]
    lines = LineCollection(paths, colors=COLORS["c"], linewidths=0.8, label="each unit",
                           alpha=float(np.clip(5 / units**0.5, 0.15, 0.9)))  # fmt: skip
    axes.add_collection(lines)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.fill_between(lags, low[lags], high[lags], color=COLORS["c"], alpha=0.25, linewidth=0,
                      label="middle 80% of units", zorder=3)  # fmt: skip
    axes.plot(lags, median[lags], color=theme.text, linewidth=2, label="median unit", zorder=4)
    axes.axhline(0.5, color=theme.quiet, linewidth=0.8, linestyle=(0, (4, 4)), zorder=2)
    key(axes, theme)
