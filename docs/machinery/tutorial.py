"""Pictures and worked sums of docs/lstm-step-by-step.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from jlstm import lstm_trace
from machinery.pictures import (
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    RED,
    SKY,
    dress,
    legend,
    new_figure,
    text_on,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from jlstm import LSTMParams, LSTMState
    from jlstm.plot import Theme

COLORS = {"i": GREEN, "f": RED, "g": ORANGE, "o": SKY, "c": PINK, "h": BLUE}  # as jlstm.plot
WIDTH = 7.8  # inches of a picture
TIMES, SIGMA = "\N{MULTIPLICATION SIGN}", "\N{GREEK SMALL LETTER SIGMA}"
SIGNS = {" ": "\N{MIDDLE DOT}", "\n": "\N{RETURN SYMBOL}"}


def worked_sums(
    params: LSTMParams, gate: str, rows: Sequence[tuple[int, LSTMState, Any]], names: Sequence[str]
) -> str:
    """Work out a gate's sum for a cell with one unit: a table with a row per `(step, state, x)`.

    The gate itself is taken from `lstm_trace`, so that a wrong sum would show.
    """
    k = "ifgo".index(gate)
    squash = "tanh" if gate == "g" else SIGMA
    head = ["step", *names, "h before", "bias", f"sum z{gate}", f"{gate} = {squash}(z{gate})"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for step, state, x in rows:
        _, _, trace = lstm_trace(params, state, x[None])
        value = float(getattr(trace, gate)[0, 0])
        weights = [*params.weight_ih[:, k], params.weight_hh[0, k]]
        inputs = [*x, state.h[0]]
        total = float(np.dot(inputs, weights)) + float(params.bias[k])
        products = [f"{_two(v)} {TIMES} {_two(w)}" for v, w in zip(inputs, weights, strict=True)]
        lines.append([f"{step}", *products, _two(params.bias[k]), _two(total), f"**{value:.3f}**"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw_record(theme: Theme, xs: Any, ys: Any, shown: Any = None) -> Figure:
    """Draw the number sequence: the signal, the steps that store and show it, and the answers."""
    figure = new_figure(theme, WIDTH, 3.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1, 1])
    draw_inputs(above, theme, xs)
    dress(below, theme, title="target output", x="step", y="output")
    steps = np.arange(len(xs))
    below.bar(steps, ys, width=0.7, color=theme.edge, label="target")
    if shown is not None:
        below.plot(steps, shown, "o", color=COLORS["h"], markersize=5, label="the trained cell")
    below.set(ylim=(-1.1, 1.1), xticks=steps[::2])
    legend(below, theme, loc="upper right", ncols=2, bbox_to_anchor=(1, 1.3))
    return figure


def draw_inputs(axes: Axes, theme: Theme, xs: Any) -> None:
    """Draw the signal as points, on bands at the steps that store and those that show."""
    dress(axes, theme, title="inputs", y="signal")
    steps = np.arange(len(xs))
    axes.plot(steps, xs[:, 0], "o", color=theme.text, markersize=4)
    axes.vlines(steps, 0, xs[:, 0], color=theme.text, linewidth=1)
    axes.axhline(0, color=theme.edge, linewidth=0.8)
    mark_events(axes, xs)
    axes.set(ylim=(-1.1, 1.1), xlim=(-0.6, len(xs) - 0.4))
    legend(axes, theme, loc="upper right", ncols=2, bbox_to_anchor=(1, 1.35))


def mark_events(axes: Axes, xs: Any) -> None:
    """Draw bands at the steps that store and at those that show."""
    for column, color, name in ((1, PINK, "store"), (2, SKY, "show")):
        for k, t in enumerate(np.flatnonzero(xs[:, column])):
            label = name if k == 0 else None
            axes.axvspan(
                t - 0.5, t + 0.5, color=color, alpha=0.35, linewidth=0, zorder=0, label=label
            )


def draw_gate(
    theme: Theme, name: str, title: str, xs: Any, values: Any, text: str, lit: Any, unit: str
) -> Figure:
    """Draw a gate over the number sequence, and the same gate of a unit of the reader over text."""
    signed = name in "gch"
    figure = new_figure(theme, WIDTH, 4.4)
    inputs, gate, words = figure.subplots(3, 1, height_ratios=[1, 1.1, 1])
    draw_inputs(inputs, theme, xs)
    inputs.tick_params(labelbottom=False)
    dress(gate, theme, title=f"{title} {name}: the cell with one unit", x="step", y=name)
    gate.bar(np.arange(len(xs)), values, width=0.85, color=COLORS[name])
    mark_events(gate, xs)
    limit = max(1.0, np.abs(values).max()) if name != "c" else 1.2 * np.abs(values).max()
    gate.set(xlim=(-0.6, len(xs) - 0.4), ylim=(-limit, limit) if signed else (0, 1.02))
    gate.set_xticks(range(0, len(xs), 2))
    draw_text(words, theme, text, lit, signed)
    words.set_title(f"{title} {name}: {unit}", loc="left", color=theme.text, fontsize=10)
    return figure


def draw_text(
    axes: Axes, theme: Theme, text: str, values: Any, signed: bool, row: int = 60
) -> None:
    """Draw characters on the colours of their values, from 0 to 1 or around 0."""
    colors, scale = text_colors(theme, signed), 1.0
    if signed:
        scale = float(np.abs(values).max())
        values = (np.asarray(values) / scale + 1) / 2
    rows = -(-len(text) // row)
    shown = np.full(rows * row, np.nan)
    shown[: len(text)] = values
    axes.imshow(shown.reshape(rows, row), cmap=colors, vmin=0, vmax=1, aspect="auto",
                extent=(0, row, rows, 0))  # fmt: skip
    axes.hlines(range(1, rows), 0, row, theme.page, linewidth=2)
    for k, (character, value) in enumerate(zip(text, values, strict=True)):
        axes.text(k % row + 0.5, k // row + 0.52, SIGNS.get(character, character), fontsize=8.5,
                  family="DejaVu Sans Mono", color=text_on(colors(float(value))), ha="center",
                  va="center", in_layout=False)  # fmt: skip
    axes.set_axis_off()
    image = axes.figure.colorbar(
        _scale(colors, -scale if signed else 0, scale), ax=axes, pad=0.01, aspect=8, fraction=0.03
    )
    image.ax.tick_params(color=theme.edge, labelcolor=theme.text, labelsize=8)
    image.outline.set(edgecolor=theme.edge)


def text_colors(theme: Theme, signed: bool) -> Any:
    """The colour map of gates, or of values around 0."""
    from matplotlib import colormaps

    if not signed:
        return colormaps["viridis"]
    return LinearSegmentedColormap.from_list("around 0", theme.diverging)


def draw_curves(
    theme: Theme, panels: Mapping[str, Mapping[str, tuple]], x: str, y: str, log_x: bool = False
) -> Figure:
    """Draw a panel per title with a line per name: `(xs, ys, color)`."""
    figure = new_figure(theme, WIDTH, 2.9)
    grid = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    for axes, (title, lines) in zip(grid, panels.items(), strict=True):
        dress(axes, theme, title=title, x=x)
        for name, (steps, values, color) in lines.items():
            axes.plot(steps, values, color=color, label=name, linewidth=2)
        if log_x:
            axes.set_xscale("log")
        legend(axes, theme)
    grid[0].set(ylim=(0, None), ylabel=y)
    return figure


def half_lives(forget: Any) -> np.ndarray:
    """Steps after which half of each unit's cell is left, from the forget gates over a text."""
    rate = -np.log(np.asarray(forget, np.float64)).mean(0)
    return np.log(2) / np.maximum(rate, 1e-9)


def draw_half_lives(theme: Theme, before: np.ndarray, after: np.ndarray) -> Figure:
    """Draw the half-lives of all units, in order, before training and after."""
    figure = new_figure(theme, WIDTH, 3.2)
    axes = figure.subplots()
    dress(axes, theme, x="units, sorted by half-life", y="half of the cell is left after")
    for values, color, label in ((before, theme.quiet, "at step 0"), (after, RED, "trained")):
        axes.semilogy(np.sort(values), ".", color=color, label=label, markersize=6)
    ticks = [t for t in (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000) if t < after.max()]
    axes.set_yticks(ticks, [f"{t:g} characters" if t != 1 else "1 character" for t in ticks])
    axes.minorticks_off()
    axes.grid(axis="y", color=theme.panel)
    legend(axes, theme)
    return figure


def draw_units(theme: Theme, text: str, units: Mapping[str, Any], row: int = 60) -> Figure:
    """Draw the text once per unit, coloured by the unit's values."""
    rows = -(-len(text) // row)
    figure = new_figure(theme, WIDTH, (0.35 + 0.24 * rows) * len(units))
    for axes, (title, values) in zip(
        np.atleast_1d(figure.subplots(len(units), 1)), units.items(), strict=True
    ):
        draw_text(axes, theme, text, values, signed=True, row=row)
        axes.set_title(title, loc="left", color=theme.text, fontsize=10)
    return figure


def draw_openings(theme: Theme, gates: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Draw mean gates at each class of character: one panel per unit, one bar per class."""
    figure = new_figure(theme, WIDTH, 2.6)
    grid = np.atleast_1d(figure.subplots(1, len(gates), sharey=True))
    for axes, (title, kinds) in zip(grid, gates.items(), strict=True):
        dress(axes, theme, title=title)
        places = np.arange(len(kinds))
        for k, gate in enumerate("fi"):
            heights = [kinds[kind][k] for kind in kinds]
            axes.bar(places + 0.4 * k - 0.2, heights, 0.38, color=COLORS[gate], label=gate)
        axes.set_xticks(places, kinds, rotation=30, ha="right")
    grid[0].set(ylim=(0, 1), ylabel="mean of the gate")
    legend(grid[-1], theme, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def passage(text: str, length: int) -> int:
    """Find a line start from which a piece of text has lines and quotes in it."""
    starts = [0, *(k + 1 for k, character in enumerate(text) if character == "\n")]
    for start in starts:
        piece = text[start : start + length]
        if piece.count('"') >= 4 and piece.count("\n") >= 2 and "\n\n" not in piece:
            return start
    return 0


def correlations(values: Any, signal: Any) -> np.ndarray:
    """Pearson's correlation of each unit with a signal over the text."""
    values, signal = np.asarray(values, np.float64), np.asarray(signal, np.float64)
    values = (values - values.mean(0)) / (values.std(0) + 1e-9)
    return values.T @ ((signal - signal.mean()) / signal.std()) / len(signal)


def _two(number: Any) -> str:
    """Format with two digits after the point, without a minus before zero."""
    text = f"{float(number):.2f}".replace("-0.00", "0.00")
    return f"({text})" if text.startswith("-") else text


def _scale(colors: Any, low: float, high: float) -> Any:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(low, high), colors)
