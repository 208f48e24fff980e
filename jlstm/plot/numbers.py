"""The values on the wires of a cell: numbers for one unit, strips of colour for several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jlstm.plot.style import Theme, color_map, text_on
from jlstm.plot.wiring import (
    AT,
    BODY,
    BUS,
    CELL,
    GATES,
    INPUT,
    OUT,
    PAGE,
    STORE,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from matplotlib.patches import Patch
    from matplotlib.text import Text

    from jlstm.plot.step_values import StepValues


class Place(NamedTuple):
    """The position of a value on its wire, the side of its name, and its scale."""

    x: float
    y: float
    name: str
    side: str  # "above", "right" or "left"
    scale: str  # "gate", in (0, 1); "value", in (-1, 1); "cell"; "none"


PLACES = {
    "c_old": Place(BODY[0] / 2, CELL, "$c_{t{-}1}$", "above", "cell"),
    "f": Place(AT["f"], STORE, "$f$", "right", "gate"),
    "kept": Place((AT["f"] + AT["g"]) / 2, CELL, r"$f\,c_{t{-}1}$", "above", "cell"),
    "i": Place(AT["i"], STORE - 0.7, "$i$", "right", "gate"),
    "g": Place(AT["g"], STORE - 0.89, "$g$", "right", "value"),
    "stored": Place(AT["g"], STORE + 0.59, r"$i\,g$", "right", "value"),
    "c": Place((AT["g"] + OUT) / 2, CELL, "$c_t$", "above", "cell"),
    "squashed": Place(OUT, 5.16, r"$\tanh c_t$", "left", "value"),
    "o": Place((AT["o"] + OUT) / 2 + 0.07, GATES, "$o$", "above", "gate"),
    "h": Place((BODY[2] + PAGE[0]) / 2 - 0.1, BUS, "$h_t$", "above", "value"),
    "z_f": Place(AT["f"], BUS + 0.53, "$z_f$", "right", "none"),
    "z_i": Place(AT["i"], BUS + 0.53, "$z_i$", "right", "none"),
    "z_g": Place(AT["g"], BUS + 0.53, "$z_g$", "right", "none"),
    "z_o": Place(AT["o"], BUS + 0.53, "$z_o$", "right", "none"),
}
MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
PILL, STRIP, VECTOR = (1.18, 0.44), (1.18, 0.4), (2.0, 0.3)


class Numbers(NamedTuple):
    """The parts of the drawing that change from step to step."""

    units: np.ndarray
    theme: Theme
    limit: float  # of the colour scale of the cell
    pills: dict[str, tuple[Patch, Text]]  # for one unit
    strips: dict[str, AxesImage]  # for several, and for the vectors that all gates take
    equations: tuple[Text, ...]


def place_numbers(
    axes: Axes, theme: Theme, unit: float, values: StepValues, units: np.ndarray, limit: float
) -> Numbers:
    """Draw the values of a step; `fill` replaces them by those of another."""
    pills, strips = {}, {}
    for name, place in PLACES.items():
        if name.startswith("z_") and (values.z is None or len(units) > 1):
            continue
        if len(units) == 1:
            size = PILL
            pills[name] = _pill(axes, place, theme, unit)
        else:
            size = STRIP
            strips[name] = strip(axes, place.x, place.y, STRIP, place.scale, limit, theme, unit)
        dx, dy, ha = {
            "above": (0, size[1] / 2 + 0.25, "center"),
            "right": (size[0] / 2 + 0.09, 0, "left"),
            "left": (-size[0] / 2 - 0.09, 0, "right"),
        }[place.side]
        write(axes, place.x + dx, place.y + dy, place.name, 0.33, theme.text, unit, ha=ha)
    strips["h_old"] = strip(axes, BODY[0] / 2, BUS, VECTOR, "value", 1.0, theme, unit)
    if values.x is not None:
        size = float(np.abs(values.x).max(initial=0)) or 1.0
        x, y = INPUT[0], INPUT[1] - VECTOR[1] / 2
        strips["x"] = strip(axes, x, y, VECTOR, "cell", size, theme, unit)
    equations: tuple[Text, ...] = ()
    if len(units) == 1:
        equations = tuple(
            write(axes, 5.3, y, "", 0.29, theme.text, unit, ha="left") for y in (1.14, 0.5)
        )
    numbers = Numbers(units, theme, limit, pills, strips, equations)
    fill(numbers, values)
    return numbers


def fill(numbers: Numbers, values: StepValues) -> None:
    """Write the values of a step."""
    now = {name: getattr(values, name) for name in PLACES if not name.startswith("z_")}
    if values.z is not None:
        now |= {f"z_{gate}": z for gate, z in zip("ifgo", values.z, strict=True)}
    theme = numbers.theme
    for name, (patch, text) in numbers.pills.items():
        value = float(now[name][numbers.units[0]])
        color = _color(value, PLACES[name].scale, numbers.limit, theme)
        patch.set_facecolor(color)
        text.set(text=figures(value), color=text_on(color))
    for name, image in numbers.strips.items():
        row = getattr(values, name) if name in ("x", "h_old") else now[name][numbers.units]
        image.set_data(np.asarray(row)[None])
    if numbers.equations:
        n = {name: float(row[numbers.units[0]]) for name, row in now.items()}
        cell, hidden = numbers.equations
        cell.set_text(
            rf"$c_t = f\,c_{{t{{-}}1}} + i\,g$  =  {_times(n['f'], n['c_old'])} + "
            f"{_times(n['i'], n['g'])}  =  {figures(n['c'])}"
        )
        hidden.set_text(
            rf"$h_t = o\,\tanh c_t$  =  {_times(n['o'], n['squashed'])}  =  {figures(n['h'])}"
        )


def strip(
    axes: Axes, x: float, y: float, size: tuple[float, float], scale: str, limit: float,
    theme: Theme, unit: float,
) -> AxesImage:  # fmt: skip
    """Draw a row of colours, one per value, centred at `(x, y)`."""
    from matplotlib.patches import Rectangle

    width, height = size
    ends = {"gate": (0.0, 1.0), "value": (-1.0, 1.0), "cell": (-limit, limit)}[scale]
    image = axes.imshow(
        np.zeros((1, 1)), vmin=ends[0], vmax=ends[1], aspect="auto", interpolation="nearest",
        cmap=color_map(theme, diverging=scale != "gate"), zorder=5,
        extent=(x - width / 2, x + width / 2, y - height / 2, y + height / 2),
    )  # fmt: skip
    axes.add_patch(Rectangle((x - width / 2, y - height / 2), width, height, fill=False,
                             edgecolor=theme.quiet, linewidth=unit / 45, zorder=6))  # fmt: skip
    return image


def figures(value: float) -> str:
    """A number in at most seven characters."""
    size = abs(value)
    if size >= 9_999.5:
        text = f"{value:.1e}".replace("e+0", "e").replace("e+", "e")
    else:
        text = (
            f"{value:.{3 if size < 9.9995 else 2 if size < 99.995 else 1 if size < 999.95 else 0}f}"
        )
    return "0.000" if text == "-0.000" else text.replace("-", MINUS)


def _color(value: float, scale: str, limit: float, theme: Theme) -> Any:
    if scale == "none":
        return theme.page
    if scale == "gate":
        return color_map(theme, diverging=False)(value)
    return color_map(theme, diverging=True)(0.5 + value / (limit if scale == "cell" else 1.0) / 2)


def _pill(axes: Axes, place: Place, theme: Theme, unit: float) -> tuple[Patch, Text]:
    from matplotlib.patches import FancyBboxPatch

    width, height = PILL
    radius = height / 2
    patch = FancyBboxPatch(
        (place.x - width / 2 + radius, place.y), width - height, 0,
        boxstyle=f"round,pad={radius}", edgecolor=theme.quiet, linewidth=unit / 45, zorder=5,
    )  # fmt: skip
    axes.add_patch(patch)
    return patch, write(axes, place.x, place.y, "", 0.27, theme.text, unit)


def _times(a: float, b: float) -> str:
    second = figures(b)
    return f"{figures(a)} {TIMES} " + (f"({second})" if second.startswith(MINUS) else second)
