"""The pictures of a report, drawn for light and for dark pages."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jlstm.plot import DARK, LIGHT, Theme
from train.output.words import baseline_words, figure_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from train.tasks import Data, Task

DOTS = 150  # per inch
PANELS = 24  # columns of a table to draw
# Colours of lines: "C0" for data, "C1" for the model, "C2" for training.
LINES = {"light": ("#6b7280", "#c2410c", "#4f7fb8"), "dark": ("#a3b1bf", "#fb923c", "#7fb2e5")}
THEMES = {"light": (LIGHT, "Blues"), "dark": (DARK, "Blues_r")}


def in_both(draw: Callable[[Figure], None], width: float, height: float) -> dict[str, bytes]:
    """Draw a figure of `width` by `height` inches as PNG, for "light" and for "dark" pages.

    "C0" and the other colours of the cycle, and the default colour map, are those of the page.
    """
    images = {}
    for name in THEMES:
        with matplotlib.rc_context(_style(name)):
            figure = Figure(figsize=(width, height), layout="constrained")
            draw(figure)
            image = io.BytesIO()
            figure.savefig(image, format="png", dpi=DOTS)
        images[name] = image.getvalue()
    return images


def _style(name: str) -> dict[str, Any]:
    theme: Theme
    theme, colors = THEMES[name]
    return {
        "figure.facecolor": theme.page, "savefig.facecolor": theme.page,
        "axes.facecolor": theme.page, "axes.edgecolor": theme.edge,
        "axes.labelcolor": theme.text, "text.color": theme.text,
        "xtick.color": theme.edge, "xtick.labelcolor": theme.text,
        "ytick.color": theme.edge, "ytick.labelcolor": theme.text,
        "axes.prop_cycle": cycler(color=LINES[name]), "image.cmap": colors,
    }  # fmt: skip


def text_on(color: Any) -> str:
    """Black or white, whichever has the higher contrast to a colour (WCAG 2.2)."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(color)]
    luminance = np.dot((0.2126, 0.7152, 0.0722), linear)
    return "black" if luminance > 0.179 else "white"


def draw_curves(figure: Figure, lines: list[dict[str, Any]], task: Task, data: Data) -> None:
    """The training loss, and the headline on the validation split with its baseline."""
    same = task.headline == task.unit
    axes = [figure.subplots()] * 2 if same else list(figure.subplots(1, 2))
    for axis, name, label, color, marker in (
        (axes[0], f"train_{task.unit}", "training", "C2", ""),
        (axes[1], f"validation_{task.headline}", "validation", "C1", "."),
    ):
        points = [(line["step"], line[name]) for line in lines if name in line]
        if points:
            label = f"{label}, {points[-1][1]:.3g} at the end"
            axis.plot(*zip(*points, strict=True), label=label, color=color, marker=marker)
    value = data.facts[task.baseline]
    label = f"{baseline_words(task.baseline)}, {value:.3g}"
    axes[1].axhline(value, color="C0", linestyle=":", label=label)
    for axis, name in zip(axes, (task.unit, task.headline), strict=True):
        drawn = [np.asarray(line.get_ydata(), float) for line in axis.get_lines()]
        heights = [y for ys in drawn for y in ys[len(ys) // 10 :]]
        top = 1.2 * max(heights)  # without the high values of the first steps
        axis.set(xlabel="training step", ylabel=figure_name(name).lower(), ylim=(0, top))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(frameon=False)
        axis.spines[["top", "right"]].set_visible(False)


def draw_forecasts(
    figure: Figure,
    title: str,
    names: Sequence[str],
    measured: np.ndarray,
    forecasts: Sequence[tuple[int, np.ndarray]],
    first: int,
    times: list[str] | None,
    time: str,
) -> None:
    """Draw a panel for each of the first `PANELS` columns, with measured values and forecasts.

    Args:
      figure: the figure; its height is adapted to the panels.
      title: the part of the table.
      names: the names of the columns.
      measured: `(time, columns)`, NaN is a missing value.
      forecasts: the first step and the values `(horizon, columns)` of each.
      first: the first step to draw.
      times: the time of each step in the format of the table, "" in a gap; or None.
      time: the name of the axis.
    """
    names = names[:PANELS]
    columns = 1 if len(names) <= 4 else 2
    rows = -(-len(names) // columns)
    if columns > 1:
        figure.set_size_inches(figure.get_figwidth(), 0.9 + 1.5 * rows)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    steps = np.arange(first, len(measured))
    # One line of all forecasts, broken between them.
    at = np.concatenate(
        [[*range(start, start + len(values)), np.nan] for start, values in forecasts]
    )
    for k, (axes, name) in enumerate(zip(panels, names, strict=False)):
        heights = np.concatenate([[*values[:, k], np.nan] for _, values in forecasts])
        axes.plot(steps, measured[first:, k], color="C0", lw=1, label="measured")
        axes.plot(at, heights, color="C1", lw=1, label="forecast")
        axes.set_title(drawable(name), loc="left", fontsize=9, parse_math=False)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    for axes in panels[max(len(names) - columns, 0) : len(names)]:  # the lowest of each column
        axes.set_xlabel(drawable(time), parse_math=False)
        axes.tick_params(labelbottom=True)
        _name_times(axes, times, steps, 5 // columns + 1)
    more = measured.shape[1] - len(names)
    if more > 0:
        title += f"\nThe first {PANELS} of {PANELS + more} columns; --data.columns chooses others"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    lines, labels = panels[0].get_legend_handles_labels()
    figure.legend(lines, labels, frameon=False, ncols=2, loc="outside upper right")


def _name_times(axes: Axes, times: list[str] | None, steps: np.ndarray, most: int) -> None:
    """Set ticks at steps that have a time, with that time; without times keep step numbers."""
    if times is None or not any(times[t] for t in steps):
        return
    known = [t for t in steps if times[t]]
    chosen = [known[k] for k in np.unique(np.linspace(0, len(known) - 1, most).astype(int))]
    named = [re.sub(r"^(\d{4})(\d\d)(\d\d)$", r"\1-\2-\3", times[t]) for t in chosen]
    if all(re.search(r"[T ]00:00(:00)?$", times[t]) for t in known):
        named = [name[:10] for name in named]  # days need no hours
    days = re.compile(r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:00)?")
    named = [days.sub(r"\1\n\2", drawable(name)) for name in named]
    axes.set_xticks(chosen, named, parse_math=False)


def drawable(text: str) -> str:
    """A name from a user's file, with dots for characters that matplotlib's font lacks."""
    glyphs = _glyphs()
    return "".join(c if c.isprintable() and ord(c) in glyphs else "·" for c in text)


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())
