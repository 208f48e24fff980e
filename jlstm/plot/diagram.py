"""`step`: one cell as a diagram, with the values of one time step on its wires."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jlstm.checks.calls import check_step
from jlstm.checks.params import SHAPES
from jlstm.plot.numbers import MINUS, VECTOR, Numbers, figures, place_numbers, strip
from jlstm.plot.selection import choose_sequence, choose_units, describe_sequence
from jlstm.plot.step_values import StepValues, of_step
from jlstm.plot.style import FIXED, Theme, find_theme, new_figure, visible
from jlstm.plot.wiring import AT, BODY, BUS, INPUT, PAGE, draw_wiring, write
from jlstm.types import LSTMParams

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    from jlstm.types import Array, Float, LSTMState

LONGEST = 18  # the most characters of a label


def step(
    params: LSTMParams,
    state: LSTMState,
    x: Float[Array, "*batch input"],
    *,
    units: int | Sequence[int] = 0,
    sequence: int | tuple[int, ...] | None = None,
    label: Any = None,
    theme: str | Theme = "light",
    width: float = 12.0,
) -> Figure:
    """Draw one time step of a cell as a diagram, with its values on the wires.

    Filled boxes have weights and take all of `x` and `h`; circles and the other operations on the
    wires are elementwise. For one unit each wire has its value, with the two equations in these
    values below the cell; for several units it has a strip of colours, one per unit, with the
    colour scales below. `x` and the old `h`, which all gates take, are strips of all their values.

    Args:
      params: the weights of an LSTM layer.
      state: the state before the step, `h` and `c`, each `(*batch, hidden)`.
      x: the input, `(*batch, input)`.
      units: the number of a unit, or those of several from left to right; up to about 16 can be
        told apart.
      sequence: the index of one sequence of the batch, a tuple for several batch axes; None is
        the first.
      label: the meaning of `x`, such as a character.
      theme: "light", "dark", or a `Theme`.
      width: the width of the figure in inches; its height is 9 / 16 of the width, and text scales
        with it.

    Returns:
      The figure, which is not attached to a window: `figure.savefig("step.svg")`.

    Raises:
      ValueError: sizes or batch axes that differ, an index out of range. TypeError: weights
      of another layer type, or an argument of a wrong type. ModuleNotFoundError: matplotlib is not
      installed.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5)
      >>> state = jlstm.LSTMState(h=jax.numpy.full(5, 0.5), c=jax.numpy.full(5, 0.8))
      >>> figure = jlstm.plot.step(params, state, jax.numpy.ones(3), units=2, theme="dark")
      >>> new, _ = jlstm.lstm_step(params, state, jax.numpy.ones(3))
      >>> f"{new.c[2]:.3f}" in [text.get_text() for text in figure.axes[0].texts]
      True
    """
    theme = find_theme(theme)
    check_step(params, state, x, LSTMParams, SHAPES[LSTMParams])
    batch = tuple(np.shape(x)[:-1])
    at = choose_sequence(sequence, batch)
    values = of_step(params, state, x, at)
    chosen = choose_units([units] if np.ndim(units) == 0 else units, len(values.c))
    figure = new_figure(width, width * PAGE[1] / PAGE[0], theme)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    limit = cell_limit([values.c_old[chosen], values.c[chosen]])
    draw_cell(axes, theme, width, values, chosen, limit)
    unit = width * 72 / PAGE[0]
    write(axes, 15.7, 8.5, describe_sequence(at, batch), 0.26, theme.quiet, unit, ha="right")
    key = "" if label is None else visible(label)
    if label is None and np.shape(x)[-1] <= 2:
        key = "  ".join(figures(float(number)) for number in np.asarray(x)[at])
    write_label(axes, key, theme, unit, 0.44)
    return figure


def cell_limit(cells: Any) -> float:
    """The limit of the colour scale of the cell: 1, or its largest value."""
    return max(1.0, float(np.abs(np.asarray(cells)).max()))


def draw_cell(
    axes: Axes, theme: Theme, width: float, values: StepValues, units: np.ndarray, limit: float
) -> Numbers:
    """Draw the diagram on axes of that width in inches; `fill` replaces its values."""
    unit = width * 72 / PAGE[0]
    draw_wiring(axes, theme, unit)
    numbers = place_numbers(axes, theme, unit, values, units, limit)
    write(axes, 0.3, 8.5, _title(units, len(values.c)), 0.34, theme.text, unit, ha="left")
    left, bus = BODY[0] / 2, BUS
    write(axes, left, bus + 0.42, "$h_{t{-}1}$", 0.33, theme.text, unit)
    write(axes, left, bus - 0.36, _count(len(values.h), "unit"), 0.22, theme.quiet, unit)
    x, y = INPUT
    if values.x is None:
        write(axes, x - 0.15, y + 0.1, "$x_t$", 0.33, theme.text, unit, ha="right")
    else:
        x -= VECTOR[0] / 2
        write(axes, x - 0.15, y - 0.15, "$x_t$", 0.33, theme.text, unit, ha="right")
        size = figures(float(np.abs(values.x).max()))
        about = f"{_count(len(values.x), 'feature')} within ±{size}"
        write(axes, INPUT[0], INPUT[1] - 0.51, about, 0.22, theme.quiet, unit)
        sum_of = r"$z = x_t W_x + h_{t{-}1} W_h + b$"
        write(axes, (AT["i"] + AT["g"]) / 2, (BUS + BODY[1]) / 2, sum_of, 0.28, theme.quiet, unit)
    if len(units) > 1:
        _scales(axes, theme, unit, limit)
    axes.set_aspect("equal")
    return numbers


def write_label(axes: Axes, label: str, theme: Theme, unit: float, y: float) -> Text:
    """Write the meaning of `x` as a label at height `y`."""
    key = {"boxstyle": "round,pad=0.25", "facecolor": theme.panel, "edgecolor": theme.edge}
    label = label if len(label) <= LONGEST else label[: LONGEST - 1] + "…"
    size = 0.4 if len(label) < 8 else 0.26
    text = write(axes, INPUT[0], y, label, size, theme.text, unit, family=FIXED, bbox=key,
                 parse_math=False)  # fmt: skip
    text.set_visible(bool(label))
    return text


def _title(units: np.ndarray, hidden: int) -> str:
    if len(units) == 1:
        return f"One step of unit {units[0]}, one of {hidden}"
    if (np.diff(units) == 1).all():
        return f"One step of units {units[0]} to {units[-1]}, of {hidden} in all"
    named = ", ".join(map(str, units[:12])) + (", …" if len(units) > 12 else "")
    return f"One step of units {named}, of {hidden} in all"


def _count(number: int, of: str) -> str:
    return f"{number:,} {of}{'' if number == 1 else 's'}"


def _scales(axes: Axes, theme: Theme, unit: float, limit: float) -> None:
    """Draw the colour scales of the strips."""
    for x, scale, name, end in (
        (6.6, "gate", "gates $f, i, o$", 1.0),
        (9.9, "value", r"$g,\ i\,g,\ \tanh c_t,\ h_t$", 1.0),
        (13.2, "cell", r"cell $c$", limit),
    ):
        image = strip(axes, x, 0.8, (2.0, 0.26), scale, limit, theme, unit)
        image.set_data(np.linspace(0 if scale == "gate" else -end, end, 256)[None])
        write(axes, x, 1.2, name, 0.28, theme.text, unit)
        low = "0" if scale == "gate" else f"{MINUS}{end:.3g}"
        write(axes, x - 1.0, 0.4, low, 0.24, theme.quiet, unit)
        write(axes, x + 1.0, 0.4, f"{end:.3g}", 0.24, theme.quiet, unit)
