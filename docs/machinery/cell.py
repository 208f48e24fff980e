"""The diagram of the cell in docs/lstm-step-by-step.md: with symbols, and built up part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text

from jlstm.plot.numbers import PLACES
from jlstm.plot.wiring import BODY, BUS, INPUT, PAGE, draw_wiring, write
from machinery.pictures import new_figure

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

    from jlstm.plot import Theme

PARTS = "figcoh"  # in the order of the page
FAINT = 0.13  # opacity of the parts to come
TITLE, EQUATIONS = 8.4, 1.5  # heights above which a text is the title, below which an equation
MIDDLE = ((BODY[0] + BODY[2]) / 2, (BODY[1] + BODY[3]) / 2)  # of the body of the cell
# A part is where its numbers, wires and names lie: left, bottom, right, top, in units of the page
# (`jlstm.plot.wiring`). The first area counts; what is in none leads to all gates.
AREAS = (
    ("h", (12.2, 3.0, 12.8, 7.05)),
    ("h", (12.2, 1.6, 16.0, 6.8)),
    ("h", (11.0, 4.9, 12.2, 6.0)),
    ("h", (5.0, 0.2, 5.6, 0.8)),  # its equation below the cell
    ("c", (0.0, 6.8, 16.0, 8.2)),
    ("c", (5.0, 0.8, 5.6, 1.5)),
    ("i", (7.5, 5.6, 7.82, 5.9)),  # the tip of its wire
    ("c", (7.7, 5.47, 9.8, 6.8)),
    ("f", (3.6, 2.5, 5.5, 6.8)),
    ("i", (5.5, 2.5, 7.5, 6.8)),
    ("g", (7.5, 2.5, 9.4, 5.47)),
    ("o", (9.4, 2.5, 12.2, 4.9)),
)


def draw_symbols(theme: Theme, width: float = 7.8) -> Figure:
    """Draw the cell with the names of its values, its inputs and its outputs."""
    low, high = 0.8, 8.15
    figure = new_figure(theme, width, width * (high - low) / PAGE[0])
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    unit = width * 72 / PAGE[0]
    draw_wiring(axes, theme, unit)
    axes.set_ylim(low, high)
    sides = {"above": (0, 0.34, "center"), "right": (0.2, 0, "left"), "left": (-0.2, 0, "right")}
    for place in PLACES.values():
        dx, dy, ha = sides[place.side]
        write(axes, place.x + dx, place.y + dy, place.name, 0.36, theme.text, unit, ha=ha)
    write(axes, PLACES["c_old"].x, BUS + 0.34, "$h_{t{-}1}$", 0.36, theme.text, unit)
    write(axes, INPUT[0] - 0.2, INPUT[1] + 0.1, "$x_t$", 0.36, theme.text, unit, ha="right")
    for x, y, text in (
        (PLACES["c_old"].x, PLACES["c_old"].y - 0.4, "memory"),
        (PLACES["c_old"].x, BUS - 0.4, "previous output"),
        (INPUT[0], INPUT[1] - 0.35, "input"),
        (PLACES["h"].x, BUS - 0.4, "output"),
        (PLACES["h"].x, PLACES["c"].y - 0.4, "new memory"),
    ):
        write(axes, x, y, text, 0.28, theme.quiet, unit)
    return figure


def light_up(figure: Figure, parts: str, title: str) -> Figure:
    """Fade the parts of a figure of `jlstm.plot.step` that are still to come; hide their numbers.

    Args:
      figure: a figure of `jlstm.plot.step`, which is changed.
      parts: letters of `PARTS`, those explained so far.
      title: the new title.
    """
    (axes,) = figure.axes
    numbers = [(place.x, place.y) for place in PLACES.values()]
    for artist in [*axes.patches, *axes.lines, *axes.texts, *axes.images]:
        x, y = center = _center(artist)
        if y > TITLE:
            artist.set_text(title if x < 1 else "")
        elif part_at(x, y) not in (None, *parts) and not np.allclose(center, MIDDLE):
            artist.set_alpha(FAINT)
            if isinstance(artist, (FancyBboxPatch, Text)):
                number = np.isclose(numbers, center).all(1).any()
                artist.set_visible(y > EQUATIONS and not number)
    return figure


def part_at(x: float, y: float) -> str | None:
    """The part of the cell at a position on the page."""
    for part, (left, bottom, right, top) in AREAS:
        if left <= x <= right and bottom <= y <= top:
            return part
    return None


def _center(artist: Artist) -> tuple[float, float]:
    """The center of an artist; for a text, its anchor."""
    if isinstance(artist, Text):
        return artist.get_position()
    if hasattr(artist, "get_extent"):
        left, right, bottom, top = artist.get_extent()
        return (left + right) / 2, (bottom + top) / 2
    if hasattr(artist, "get_patch_transform"):
        path = artist.get_path().transformed(artist.get_patch_transform())
    else:
        path = artist.get_path()
    low, high = np.min(path.vertices, 0), np.max(path.vertices, 0)
    return tuple((low + high) / 2)
