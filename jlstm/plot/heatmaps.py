"""`gates`: the gates, the cell and the output of a layer over time, one panel each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jlstm.plot.selection import select
from jlstm.plot.style import (
    COLORS,
    FONT,
    WIDE,
    Theme,
    color_bar,
    color_map,
    dress,
    find_theme,
    new_figure,
)
from jlstm.plot.ticks import label_steps, label_units

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from jlstm.types import Array, Float, LSTMTrace

# Each gate next to the value that it scales: the three products of the equations, one per row.
PANELS = {
    "f": ("forget gate f", "how much of the old cell is kept"),
    "c": ("cell c", "the memory"),
    "i": ("input gate i", "how much of the candidate is stored"),
    "g": ("candidate g", "what may be stored"),
    "o": ("output gate o", "how much of the cell is shown"),
    "h": ("hidden state h", "what is shown"),
}


def gates(
    trace: LSTMTrace,
    hs: Float[Array, "time *batch hidden"] | None = None,
    *,
    sequence: int | tuple[int, ...] | None = None,
    window: tuple[int, int] | None = None,
    units: Sequence[int] | None = None,
    labels: Sequence[Any] | None = None,
    theme: str | Theme = "light",
    width: float = 12.0,
) -> Figure:
    """Draw the gates, the candidate, the cell and the hidden state of a layer: time against units.

    Gates, in (0, 1), have one colour scale, values around 0 another, symmetric one: [-1, 1] for `g`
    and `h`, and for `c` the range of all but its largest 0.1%, which is clipped. Where there are
    more steps or units than pixels, a pixel is a mean.

    Args:
      trace: a trace of `lstm_trace`. For a stack choose a layer, and for a bidirectional layer a
        direction, such as `traces[1].forward`.
      hs: the layer's outputs, as `lstm_trace` returns them; None is `o * tanh(c)`, the outputs
        without a projection.
      sequence: the index of one sequence of the batch, a tuple for several batch axes; None is
        the first.
      window: `(start, stop)`, the steps to draw; None is all.
      units: the numbers of the units to draw, from the top down; None is all. See
        `order_by_memory`.
      labels: one per step, such as the characters of a string; drawn if they
        fit, up to about 80.
      theme: "light", "dark", or a `Theme`.
      width: the width of the figure in inches.

    Returns:
      The figure, which is not attached to a window: `figure.savefig("gates.png")`.

    Raises:
      ValueError: no steps, an index out of range, arrays that do not fit.
      TypeError: an argument that is not the trace of an LSTM, or of a wrong type.
      ModuleNotFoundError: matplotlib is not installed.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 8)
      >>> xs = jax.random.normal(jax.random.key(1), (20, 4, 3))
      >>> _, hs, trace = jlstm.lstm_trace(params, None, xs)
      >>> figure = jlstm.plot.gates(trace, hs, sequence=2, labels="the cat sat on a mat")
      >>> figure.axes[0].get_title(loc="left")
      'forget gate f: how much of the old cell is kept'
    """
    theme = find_theme(theme)
    chosen = select(trace, hs, sequence, window, units, labels)
    figure = new_figure(width, width * 0.62, theme)
    grid = figure.subplots(3, 2)
    for axes, (name, title) in zip(grid.flat, PANELS.items(), strict=True):
        values = getattr(chosen, name)
        dress(axes, theme, title=": ".join(title if width >= WIDE else title[:1]), y="unit")
        limit = _limit(name, values)
        image = _image(axes, name, values, chosen.first, limit, theme)
        extend = "both" if (np.abs(values) > limit * 1.001).any() else "neither"
        scale = "value" if name in "gch" else "share"
        color_bar(figure, image, axes, scale, theme, extend=extend)
        axes.spines["left"].set(color=COLORS[name], linewidth=3)
    if chosen.note:
        figure.suptitle(chosen.note, color=theme.quiet, fontsize=9, x=0.01, ha="left", family=FONT)
    for axes in grid[:-1].flat:
        axes.set_xticks([])
    for axes in grid[-1]:
        axes.set_xlabel("time")
    figure.draw_without_rendering()  # compute the layout, from which the room for labels follows
    for axes, name in zip(grid.flat, PANELS, strict=True):
        projected = name == "h" and chosen.h.shape != chosen.c.shape
        numbers = np.arange(chosen.h.shape[1]) if projected else chosen.units
        label_units(axes, numbers, units)
    for axes in grid[-1]:
        label_steps(axes, chosen.first, chosen.stop, chosen.labels, theme)
    return figure


def _image(
    axes: Axes, name: str, values: np.ndarray, first: int, limit: float, theme: Theme
) -> AxesImage:
    """Draw time to the right and units downward, in the colours of the gate or value."""
    steps, units = values.shape
    image = axes.imshow(
        values.T,
        cmap=color_map(theme, diverging=name in "gch"),
        vmin=-limit if name in "gch" else 0.0,
        vmax=limit,
        aspect="auto",
        interpolation="auto",
        interpolation_stage="data",
        extent=(first - 0.5, first + steps - 0.5, units - 0.5, -0.5),
    )
    if steps <= 60 and units <= 32:  # lines between the cells of the image
        axes.hlines(np.arange(units - 1) + 0.5, *axes.get_xlim(), theme.page, linewidth=0.6)
        axes.vlines(first + np.arange(steps - 1) + 0.5, *axes.get_ylim(), theme.page, linewidth=0.6)
    return image


def _limit(name: str, values: np.ndarray) -> float:
    """The limit of the colour scale: 1, or for the cell its largest values."""
    if name != "c":
        return 1.0
    finite = np.abs(values[np.isfinite(values)])
    return (float(np.quantile(finite, 0.999)) if finite.size else 0.0) or 1.0
