"""The drawing of a cell without values: its wires, gates and operations.

Lengths are in units of a page of 16 by 9; one unit is `width / 16` inches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jlstm.plot.style import COLORS, FONT, Theme, text_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

PAGE = (16.0, 9.0)
CELL, BUS, GATES, STORE, SHOW = 7.15, 2.6, 4.05, 5.75, 6.12  # heights
AT = {"f": 4.3, "i": 6.2, "g": 8.1, "o": 10.0}  # x of the gates
OUT = 12.5  # x of the output
BODY = (2.75, 1.85, 13.6, 7.95)  # left, bottom, right, top
INPUT = (3.3, 1.5)  # start of the wire of x
START, END = 0.25, 15.75  # of the wires from the step before and to the step after
RADIUS = 0.29  # of an operation
BOX = (1.3, 0.84)  # a gate
HEAD, BEND = 0.2, 0.3  # of arrows, and of corners


class Wire(NamedTuple):
    """A line through points, with round corners."""

    points: Sequence[tuple[float, float]]
    color: str  # the name of a gate or a state, or "quiet"
    arrow: bool = True
    width: float = 2.4


WIRES = (
    Wire([(START, BUS), (AT["o"], BUS), (AT["o"], GATES - BOX[1] / 2)], "quiet"),
    Wire([INPUT, (INPUT[0], BUS), (AT["f"] - 0.4, BUS)], "quiet", arrow=False),
    *(Wire([(x, BUS), (x, GATES - BOX[1] / 2)], "quiet") for x in list(AT.values())[:3]),
    Wire([(START, CELL), (AT["f"] - RADIUS, CELL)], "c", width=4),
    Wire([(AT["f"] + RADIUS, CELL), (AT["g"] - RADIUS, CELL)], "c", width=4),
    Wire([(AT["g"] + RADIUS, CELL), (END, CELL)], "c", width=4),
    Wire([(AT["f"], GATES + BOX[1] / 2), (AT["f"], CELL - RADIUS)], "f"),
    Wire([(AT["i"], GATES + BOX[1] / 2), (AT["i"], STORE), (AT["g"] - RADIUS, STORE)], "i"),
    Wire([(AT["g"], GATES + BOX[1] / 2), (AT["g"], STORE - RADIUS)], "g"),
    Wire([(AT["g"], STORE + RADIUS), (AT["g"], CELL - RADIUS)], "quiet"),
    Wire([(AT["o"] + BOX[0] / 2, GATES), (OUT - RADIUS, GATES)], "o"),
    Wire([(OUT, CELL), (OUT, SHOW + 0.29)], "c"),
    Wire([(OUT, SHOW - 0.29), (OUT, GATES + RADIUS)], "quiet"),
    Wire([(OUT, GATES - RADIUS), (OUT, BUS), (END, BUS)], "h", width=4),
)
SIGMA = "\N{GREEK SMALL LETTER SIGMA}"
NAMES = {"f": "forget", "i": "input", "g": "candidate", "o": "output"}
TIMES, PLUS = ((0.11, 0.11), (0.11, -0.11)), ((0.15, 0.0), (0.0, 0.15))  # half of each stroke
OPERATIONS = (
    (AT["f"], CELL, TIMES),
    (AT["g"], CELL, PLUS),
    (AT["g"], STORE, TIMES),
    (OUT, GATES, TIMES),
)
JUNCTIONS = (
    (AT["f"], BUS, "quiet"),
    (AT["i"], BUS, "quiet"),
    (AT["g"], BUS, "quiet"),
    (OUT, CELL, "c"),
)


def draw_wiring(axes: Axes, theme: Theme, unit: float) -> None:
    """Draw the cell without values; `unit` is the number of points per unit of length."""
    from matplotlib.patches import Circle, FancyBboxPatch

    axes.set(xlim=(0, PAGE[0]), ylim=(0, PAGE[1]), aspect="equal")
    axes.set_axis_off()
    thin = unit / 45

    def box(x: float, y: float, size: tuple[float, float], round: float, **style: Any) -> None:
        corner = (x - size[0] / 2 + round, y - size[1] / 2 + round)
        inner = (size[0] - 2 * round, size[1] - 2 * round)
        shape = f"round,pad={round}"
        axes.add_patch(FancyBboxPatch(corner, *inner, boxstyle=shape, **style))

    left, bottom, right, top = BODY
    box((left + right) / 2, (bottom + top) / 2, (right - left, top - bottom), 0.3,
        facecolor=theme.panel, edgecolor=theme.edge, linewidth=thin, zorder=0)  # fmt: skip
    for wire in WIRES:
        _draw_wire(axes, wire, theme.quiet if wire.color == "quiet" else COLORS[wire.color], unit)
    for x, y, color in JUNCTIONS:
        color = theme.quiet if color == "quiet" else COLORS[color]
        axes.add_patch(Circle((x, y), 0.09, facecolor=color, edgecolor="none", zorder=3))
    for gate, x in AT.items():
        box(x, GATES, BOX, 0.12, facecolor=COLORS[gate], edgecolor="none", zorder=4)
        ink = text_on(COLORS[gate])
        function = "tanh" if gate == "g" else SIGMA
        write(axes, x, GATES + 0.14, function, 0.36, ink, unit, zorder=5)
        write(axes, x, GATES - 0.22, NAMES[gate], 0.22, ink, unit, zorder=5)
    for x, y, sign in OPERATIONS:
        axes.add_patch(Circle((x, y), RADIUS, facecolor=theme.page, edgecolor=theme.text,
                              linewidth=1.6 * thin, zorder=4))  # fmt: skip
        for dx, dy in sign:
            axes.plot((x - dx, x + dx), (y - dy, y + dy), color=theme.text, linewidth=2 * thin,
                      solid_capstyle="round", zorder=5)  # fmt: skip
    box(OUT, SHOW, (1.0, 0.58), 0.28, facecolor=theme.page, edgecolor=theme.text,
        linewidth=1.6 * thin, zorder=4)  # fmt: skip
    write(axes, OUT, SHOW, "tanh", 0.28, theme.text, unit, zorder=5)


def write(
    axes: Axes, x: float, y: float, text: str, size: float, color: str, unit: float, **more: Any
) -> Text:
    """Write text with a font size of `size` units."""
    options: dict[str, Any] = {
        "ha": "center", "va": "center_baseline", "family": FONT, "math_fontfamily": "stix",
        "zorder": 6,
    }  # fmt: skip
    options |= more
    return axes.text(x, y, text, fontsize=size * unit, color=color, **options)


def _draw_wire(axes: Axes, wire: Wire, color: str, unit: float) -> None:
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    points = [np.array(point) for point in wire.points]
    tip = points[-1]
    ahead = (tip - points[-2]) / np.linalg.norm(tip - points[-2])
    if wire.arrow:
        base, aside = tip - HEAD * ahead, (0.055 + 0.024 * wire.width) * ahead[::-1] * (1, -1)
        corners = np.array([tip, base + aside, base - aside])
        axes.add_patch(Polygon(corners, facecolor=color, edgecolor="none", zorder=2))
        points[-1] = tip - 0.75 * HEAD * ahead  # no gap before the arrow
    vertices, codes = [points[0]], [Path.MOVETO]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        vertices += [_toward(corner, before), corner, _toward(corner, after)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    path = Path(np.array([*vertices, points[-1]]), [*codes, Path.LINETO])
    axes.add_patch(PathPatch(path, fill=False, edgecolor=color, linewidth=wire.width * unit / 54,
                             capstyle="butt", zorder=2))  # fmt: skip


def _toward(corner: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The point where the bend at a corner begins, toward `other`."""
    away = other - corner
    return corner + away * min(BEND / np.linalg.norm(away), 0.5)
