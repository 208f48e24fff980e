"""`gradient_flow`: the norm of the gradient of a later `h` against the lag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from jlstm.analysis.gradients import log_gradient_norms
from jlstm.cells.layer_types import check_layer, output_size
from jlstm.plot.style import WIDE, Theme, dress, find_theme, key, line_colors, new_figure
from jlstm.plot.ticks import whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from jlstm.analysis.gradients import GradientNorms
    from jlstm.types import Array, Bool, Float, Int, PyTree

# Smaller norms are below the rounding of float32 next to those of near steps.
FLOOR = 1e-16
TITLES = {
    "h": r"$\partial h_T\,/\,\partial h_t$: by an earlier hidden state",
    "c": r"$\partial h_T\,/\,\partial c_t$: by an earlier cell",
}
HELD = {"h": " (its cell held)", "c": " (its hidden state held)"}


def gradient_flow(
    params: PyTree | Mapping[str, PyTree],
    xs: Float[Array, "time *batch input"],
    *,
    state: PyTree | Mapping[str, PyTree] | None = None,
    lengths: Int[Array, "*batch"] | None = None,
    resets: Bool[Array, "time *batch"] | None = None,
    last: int | None = None,
    theme: str | Theme = "light",
    width: float = 12.0,
) -> Figure:
    """Plot the norm of the gradient of the last `h` with respect to the state at each earlier lag.

    The left panel is with respect to `h`, with the cell fixed; the right panel with respect to the
    cell, with `h` fixed, for layers with a cell. Norms are those of `jlstm.gradient_norms`, divided
    by the square root of the number of units of that state: the factor by which a small random
    change of the state grows until it reaches the last `h`. Layers of different sizes are thus
    comparable, and `h` starts at 1. A line is the median over the batch, a band its middle 80%.
    Values below 1e-16 are not drawn.

    Args:
      params: a layer's weights, of the LSTM or of any of `jlstm.variants`; or several layers by
        the names for the picture.
      xs: the inputs, `(time, *batch, input)`.
      state: the state before the first step, or several by name; None is zeros.
      lengths: the number of valid steps of each sequence, as in `jlstm.gradient_norms`. Lags are
        counted from the last valid step.
      resets: as in `jlstm.gradient_norms`.
      last: the later step; None is the last of `xs`.
      theme: "light", "dark", or a `Theme`.
      width: the width of the figure in inches.

    Returns:
      The figure, which is not attached to a window.

    Raises:
      ValueError, TypeError: as in `jlstm.gradient_norms`; no layer.
      ModuleNotFoundError: matplotlib is not installed.

    Example:
      >>> import jax, jlstm
      >>> layers = {
      ...     "simple RNN": jlstm.variants.init_rnn(jax.random.key(0), 3, 16),
      ...     "LSTM": jlstm.init_params(jax.random.key(0), 3, 16),
      ... }
      >>> xs = jax.random.normal(jax.random.key(1), (50, 8, 3))
      >>> figure = jlstm.plot.gradient_flow(layers, xs)
      >>> [line.get_label() for line in figure.axes[0].lines]
      ['simple RNN', 'LSTM']
    """
    theme = find_theme(theme)
    several = isinstance(params, Mapping)
    layers = dict(params) if several else {"": params}
    if not layers:
        raise ValueError("params must hold 1 layer or more, got none")
    states = dict(state) if several and isinstance(state, Mapping) else dict.fromkeys(layers, state)
    norms = {
        name: log_gradient_norms(
            layer, states.get(name), xs, lengths=lengths, resets=resets, last=last
        )
        for name, layer in layers.items()
    }
    curves = {name: _curves(layers[name], logs, lengths) for name, logs in norms.items()}
    with_cell = any("c" in curve for curve in curves.values())
    figure = new_figure(width, width * 0.42, theme)
    panels = figure.subplots(1, 1 + with_cell, sharex=True, sharey=True, squeeze=False)[0]
    for axes, by in zip(panels, "hc", strict=False):
        dress(axes, theme, title=TITLES[by] + (HELD[by] if with_cell and width >= WIDE else ""),
              x="lag $T - t$ (steps)")  # fmt: skip
        _draw(axes, {name: c[by] for name, c in curves.items() if by in c}, list(curves), theme)
    panels[0].set_ylabel("norm of the gradient / $\\sqrt{\\mathrm{units}}$")
    if several:
        key(panels[0], theme, loc="lower left")
    return figure


def _curves(
    params: PyTree, norms: GradientNorms, lengths: Int[Array, "*batch"] | None
) -> dict[str, np.ndarray]:
    """The 10%, 50% and 90% quantiles over the batch at each lag, `(3, lags)`, by `h` and by `c`."""
    time = len(norms.h)
    ends = np.minimum(time if lengths is None else np.ravel(lengths), time)
    source = ends - 1 - np.arange(np.max(ends, initial=0))[:, None]  # NaN before a sequence begins
    units = {"h": output_size(params), "c": check_layer(params)["hidden"]}
    curves = {}
    for by, logs in norms._asdict().items():
        if logs is not None:
            values = np.exp(np.asarray(logs, np.float64)) / units[by] ** 0.5
            values = values.reshape(time, -1)
            values = np.take_along_axis(values, np.maximum(source, 0), axis=0)
            values = np.where(source < 0, np.nan, values)
            curves[by] = np.nanquantile(values, (0.1, 0.5, 0.9), axis=1)
    return curves


def _draw(axes: Axes, curves: dict[str, np.ndarray], names: list[str], theme: Theme) -> None:
    colors, dashes = line_colors(theme), ("-", (0, (5, 2)), (0, (1.5, 1.5)))
    for name, (low, median, high) in curves.items():
        number = names.index(name)
        color = colors[number % len(colors)]
        style = dashes[number // len(colors) % len(dashes)]
        lags = np.arange(len(median))[median > 0]  # that of the cell is 0 at lag 0
        low, median, high = low[lags], median[lags], high[lags]
        axes.fill_between(lags, low, high, color=color, alpha=0.2, linewidth=0)
        axes.plot(lags, median, color=color, linewidth=2, linestyle=style, label=name)
    drawn = np.concatenate([np.ravel(curve) for curve in curves.values()])
    drawn = drawn[drawn > FLOOR]
    if drawn.size:
        low, high = axes.get_ylim() if axes.get_yscale() == "log" else (np.inf, 0.0)
        axes.set_yscale("log")
        axes.set_ylim(min(low, drawn.min() / 2), max(high, drawn.max() * 2))
    axes.set_xlim(0, max(1, *(curve.shape[1] - 1 for curve in curves.values())))
    whole_numbers(axes.xaxis)
