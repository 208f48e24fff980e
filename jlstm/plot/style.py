"""How the pictures look: colours for light and dark pages, figures, axes, and text that is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from jlstm.checks.extras import needs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FONT = "DejaVu Sans"  # comes with matplotlib, as does the next
FIXED = "DejaVu Sans Mono"
WIDE = 10.0  # inches from which there is room for the second half of a title


class Theme(NamedTuple):
    """The colours of a page; those of data tell values apart for colour-blind readers too."""

    page: str
    panel: str  # of the cell's body and of axes
    edge: str
    text: str
    quiet: str  # text beside the data, and wires
    sequential: str  # colour map of numbers in (0, 1), by its name in matplotlib
    diverging: tuple[str, ...]  # colours of numbers from -1 to 1, 0 being near that of the panel


LIGHT = Theme(
    "#ffffff", "#f4f6f8", "#b8c2cc", "#1f2933", "#52606d", "viridis",
    ("#084a91", "#3b8bc9", "#a3cbe8", "#f7f7f7", "#f7b78f", "#e2702c", "#9c2f04"),
)  # fmt: skip
DARK = Theme(
    "#11161c", "#1c242d", "#465463", "#edf2f7", "#a3b1bf", "viridis",
    ("#b5e3ff", "#5fb0ea", "#2b6ca8", "#1c242d", "#9a4a1c", "#e88b45", "#ffd9a8"),
)  # fmt: skip

# Okabe and Ito (2008): told apart under every common form of colour blindness.
COLORS = {
    "f": "#D55E00",
    "i": "#009E73",
    "g": "#E69F00",
    "o": "#56B4E9",
    "c": "#CC79A7",
    "h": "#0072B2",
}


def find_theme(theme: str | Theme) -> Theme:
    """The colours of "light" or "dark", or one's own.

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
    """Colours of lines that stand for no gate: Okabe and Ito's, and that of text."""
    return (*(COLORS[name] for name in "foicg"), theme.text, COLORS["h"])


def color_map(theme: Theme, *, diverging: bool) -> Any:
    """The colours of numbers: of gates in (0, 1), or of values around 0."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    if not diverging:
        return colormaps[theme.sequential]
    return LinearSegmentedColormap.from_list("around 0", theme.diverging)


def new_figure(width: float, height: float, theme: Theme) -> Figure:
    """An empty page of so many inches, of no window and no global state.

    Raises:
      ValueError: a width that no picture fits in. ModuleNotFoundError: matplotlib is not installed.
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
    """Colours and fonts of a panel, whatever matplotlib's global settings are."""
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
    """The scale of an image, beside it."""
    size = font_scale(axes)
    bar = figure.colorbar(image, ax=axes, pad=0.01, **more)
    bar.set_label(label, color=theme.quiet, fontsize=8.5 * size, family=FONT)
    bar.ax.tick_params(color=theme.edge, labelcolor=theme.text, labelsize=8 * size,
                       labelfontfamily=FONT)  # fmt: skip
    bar.outline.set(edgecolor=theme.edge, linewidth=0.8)


def key(axes: Axes, theme: Theme, **more: Any) -> None:
    """What the lines of a panel are, on its own ground so that it is read over them."""
    options: dict[str, Any] = {"loc": "best", "framealpha": 1.0, "borderpad": 0.5}
    options |= more
    axes.legend(facecolor=theme.panel, edgecolor=theme.edge, labelcolor=theme.text,
                prop={"family": FONT, "size": 8.5 * font_scale(axes)}, **options)  # fmt: skip


def font_scale(axes: Axes) -> float:
    """Letters are smaller in figures below 9 inches, so that titles fit."""
    return min(1.0, float(axes.figure.bbox.width / axes.figure.dpi) / 9)


def luminance(color: Any) -> float:
    """Relative luminance, from 0 for black to 1 for white (WCAG 2.2)."""
    from matplotlib.colors import to_rgb

    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(color)]
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def text_on(color: Any) -> str:
    """Black or white, whichever is read better on that colour: a contrast of 4.58:1 or more."""
    return "black" if luminance(color) > 0.179 else "white"


def visible(label: Any) -> str:
    """A label as it can be drawn: spaces and line ends as signs, what the font lacks as a dot."""
    from matplotlib.font_manager import findfont, get_font

    glyphs = get_font(findfont(FIXED)).get_charmap()
    signs = {" ": "␣", "\n": "⏎", "\t": "⇥"}
    drawn = (signs.get(character, character) for character in str(label))
    return "".join(c if c.isprintable() and ord(c) in glyphs else "·" for c in drawn)
