"""Pictures of docs/sequences.md: outputs of a batch, and which input reaches which output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.colors import LogNorm

from machinery.pictures import BLUE, GREEN, ORANGE, PINK, RED, SKY, dress, new_figure, text_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

    from jlstm import Packing
    from jlstm.plot import Theme


def draw_batch(theme: Theme, hs: np.ndarray, lengths: np.ndarray, reverse: bool = False) -> Figure:
    """Draw one unit's output in every sequence; a dot marks the step of the returned state."""
    time, batch = hs.shape
    figure = new_figure(theme, 7.6, 0.9 + 0.36 * batch)
    axes = figure.subplots()
    dress(axes, theme, x="step")
    padded = np.arange(time)[:, None] >= np.asarray(lengths)
    values = np.ma.masked_array(hs, padded).T
    limit = np.abs(values).max()
    image = axes.imshow(values, cmap=_diverging(theme), vmin=-limit, vmax=limit, aspect="auto")
    for t, b in np.argwhere(padded):
        axes.fill_between([t - 0.5, t + 0.5], b - 0.5, b + 0.5, hatch="////", facecolor="none",
                          edgecolor=theme.edge, linewidth=0)  # fmt: skip
    for b, length in enumerate(lengths):
        if length:
            last = 0 if reverse else length - 1
            axes.plot([last], [b], marker="o", color=theme.text, markersize=5)
    _grid(axes, time, batch, theme)
    axes.set_xticks(range(time))
    axes.set_yticks(range(batch), [f"length {n}" for n in lengths])
    _bar(figure, image, axes, "h of one unit", theme)
    return figure


def influence(call: Callable, xs: jax.Array) -> np.ndarray:
    """Norms of the derivatives of outputs by inputs, `(output step, input step)`."""
    jacobian = jax.jit(jax.jacfwd(call))(xs)
    return np.asarray(jnp.sqrt(jnp.square(jacobian).sum((1, 3))))


def draw_influence(theme: Theme, maps: dict[str, np.ndarray]) -> Figure:
    """Draw one panel per call; where the derivative is exactly 0 it stays empty."""
    columns = 3
    rows = -(-len(maps) // columns)
    figure = new_figure(theme, 7.8, 2.75 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    smallest = min(m[m > 0].min() for m in maps.values())
    norm = LogNorm(smallest, max(m.max() for m in maps.values()))
    image = None
    for axes, (title, values) in zip(grid.flat, maps.items(), strict=False):
        dress(axes, theme, title=title)
        axes.title.set_fontsize(9)
        shown = np.ma.masked_equal(values, 0)
        image = axes.imshow(shown, cmap="viridis", norm=norm, aspect="equal")
        _grid(axes, *values.shape, theme)
        axes.set_xticks(range(0, len(values), 4))
        axes.set_yticks(range(0, len(values), 4))
    for axes in grid[-1]:
        axes.set_xlabel("input at step", color=theme.quiet)
    for axes in grid[:, 0]:
        axes.set_ylabel("output at step", color=theme.quiet)
    _bar(figure, image, list(grid.flat), "norm of the derivative", theme)
    return figure


def draw_packing(theme: Theme, packing: Packing) -> Figure:
    """Draw the rows of a packed batch: the sequence of each step, and the resets."""
    time, rows = packing.resets.shape
    figure = new_figure(theme, 7.6, 0.8 + 0.36 * rows)
    axes = figure.subplots()
    dress(axes, theme, x="step", y="row")
    colors = (BLUE, ORANGE, GREEN, RED, SKY, PINK)
    for k, (row, start, length) in enumerate(zip(*packing[:3], strict=True)):
        color = colors[k % len(colors)]
        axes.barh(row, length, left=start, height=0.8, color=color, edgecolor=theme.page)
        axes.text(start + length / 2, row, f"{k}", color=text_on(color), ha="center", va="center")
        axes.plot([start + 0.15], [row - 0.25], marker="v", color=theme.text, markersize=5)
    axes.set(xlim=(0, time), ylim=(rows - 0.4, -0.6), yticks=range(rows), xticks=range(time + 1))
    return figure


def _diverging(theme: Theme):
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("around 0", theme.diverging)


def _grid(axes, columns: int, rows: int, theme: Theme) -> None:
    """Draw lines between the cells, in the colour of the page."""
    axes.hlines(np.arange(rows - 1) + 0.5, -0.5, columns - 0.5, theme.page, linewidth=0.8)
    axes.vlines(np.arange(columns - 1) + 0.5, -0.5, rows - 0.5, theme.page, linewidth=0.8)


def _bar(figure: Figure, image, axes, label: str, theme: Theme) -> None:
    bar = figure.colorbar(image, ax=axes, pad=0.015, shrink=0.9, aspect=30)
    bar.set_label(label, color=theme.quiet, fontsize=9)
    bar.ax.tick_params(color=theme.edge, labelcolor=theme.text, labelsize=8)
    bar.outline.set(edgecolor=theme.edge, linewidth=0.8)
