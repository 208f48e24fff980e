"""Style of the pictures: colours for light and dark pages, figures, axes and legible text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from jlstm.checks.extras import needs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FONT = "DejaVu Sans"  # part of matplotlib, as is the next
FIXED = "DejaVu Sans Mono"
WIDE = 10.0  # inches; wider figures have room for the second half of a title


class Theme(NamedTuple):
    """The colours of a page, colour-blind safe for data."""

    page: str
    panel: str  # background of the cell and of axes
    edge: str
    text: str
    quiet: str  # secondary text, and wires
    sequential: str  # the matplotlib name of the colour map for values in (0, 1)
    diverging: tuple[str, ...]  # colours from -1 to 1; that of 0 is close to the panel


LIGHT = Theme(
    "#ffffff", "#f4f6f8", "#b8c2cc", "#1f2933", "#52606d", "viridis",
    ("#084a91", "#3b8bc9", "#a3cbe8", "#f7f7f7", "#f7b78f", "#e2702c", "#9c2f04"),
)  # fmt: skip
DARK = Theme(
    "#11161c", "#1c242d", "#465463", "#edf2f7", "#a3b1bf", "viridis",
    ("#b5e3ff", "#5fb0ea", "#2b6ca8", "#1c242d", "#9a4a1c", "#e88b45", "#ffd9a8"),
)  # fmt: skip

# Okabe and Ito (2008), distinguishable under every common form of colour blindness.
COLORS = {
    "f": "#D55E00",
    "i": "#009E73",
    "g": "#E69F00",
    "o": "#56B4E9",
    "c": "#CC79A7",
    "h": "#0072B2",
}


def find_theme(theme: str | Theme) -> Theme:
    """The theme "light" or "dark", or a custom one.

    Raises:
      ValueError: another name. TypeError: neither a name nor a `Theme`.
    """
    if isinstance(theme, Theme):
        return theme
    if not isinstance(theme, str):
        raise TypeError(f'theme must be "light", "dark" or a Theme, got {theme!r:.80}')
    if theme not in ("light", "dark"):
        raise ValueError(f'theme must be "light", "dark" or a Theme, got {theme!r:.80}')
    return LIGHT if theme == "light" else DARK


def line_colors(theme: Theme) -> tuple[str, ...]:
    """Colours of lines other than gates: those of Okabe and Ito, and that of text."""
    return (*(COLORS[name] for name in "foicg"), theme.text, COLORS["h"])


def color_map(theme: Theme, *, diverging: bool) -> Any:
    """The colour map of gates, in (0, 1), or of values around 0."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    if not diverging:
        return colormaps[theme.sequential]
    return LinearSegmentedColormap.from_list("around 0", theme.diverging)


def new_figure(width: float, height: float, theme: Theme) -> Figure:
    """An empty figure in inches, without a window and without global state.

    Raises:
      ValueError: a width out of range. ModuleNotFoundError: matplotlib is not installed.
    """
    if not 4 <= width <= 100:
        raise ValueError(f"width must lie in [4, 100] inches, got {width}")
    with needs("jlstm.plot", "plot"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), facecolor=theme.page, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def dress(axes: Axes, theme: Theme, *, title: str = "", x: str = "", y: str = "") -> None:
    """Set the colours and fonts of a panel, independently of matplotlib's global settings."""
    size = font_scale(axes)
    axes.set_facecolor(theme.panel)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set(color=theme.edge, linewidth=0.8)
    axes.tick_params(which="both", color=theme.edge, labelcolor=theme.text, labelsize=8.5 * size,
                     labelfontfamily=FONT)  # fmt: skip
    axes.set_title(title, loc="left", color=theme.text, fontsize=10 * size, family=FONT)
    axes.set_xlabel(x, color=theme.quiet, fontsize=9 * size, family=FONT)
    axes.set_ylabel(y, color=theme.quiet, fontsize=9 * size, family=FONT)


def color_bar(figure: Figure, image: Any, axes: Any, label: str, theme: Theme, **more: Any) -> None:
    """Draw the colour bar of an image next to it."""
    size = font_scale(axes)
    bar = figure.colorbar(image, ax=axes, pad=0.01, **more)
    bar.set_label(label, color=theme.quiet, fontsize=8.5 * size, family=FONT)
    bar.ax.tick_params(color=theme.edge, labelcolor=theme.text, labelsize=8 * size,
                       labelfontfamily=FONT)  # fmt: skip
    bar.outline.set(edgecolor=theme.edge, linewidth=0.8)


def key(axes: Axes, theme: Theme, **more: Any) -> None:
    """Draw the legend of a panel, on an opaque background."""
    options: dict[str, Any] = {"loc": "best", "framealpha": 1.0, "borderpad": 0.5}
    options |= more
    axes.legend(facecolor=theme.panel, edgecolor=theme.edge, labelcolor=theme.text,
                prop={"family": FONT, "size": 8.5 * font_scale(axes)}, **options)  # fmt: skip


def font_scale(axes: Axes) -> float:
    """The scale of fonts, smaller in figures below 9 inches so that titles fit."""
    return min(1.0, float(axes.figure.bbox.width / axes.figure.dpi) / 9)


def luminance(color: Any) -> float:
    """Relative luminance, from 0 for black to 1 for white (WCAG 2.2)."""
    from matplotlib.colors import to_rgb

    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(color)]
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def text_on(color: Any) -> str:
    """Black or white, whichever has the higher contrast with `color`: 4.58:1 or more."""
    return "black" if luminance(color) > 0.179 else "white"


def visible(label: Any) -> str:
    """A label in printable characters: signs for white space, a dot for missing glyphs."""
    from matplotlib.font_manager import findfont, get_font

    glyphs = get_font(findfont(FIXED)).get_charmap()
    signs = {" ": "␣", "\n": "⏎", "\t": "⇥"}
    drawn = (signs.get(character, character) for character in str(label))
    return "".join(c if c.isprintable() and ord(c) in glyphs else "·" for c in drawn)
