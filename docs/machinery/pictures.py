"""Pictures on a page, drawn for light and for dark pages; a reader sees the one that fits."""

from __future__ import annotations

import base64
import html
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from jlstm.plot import DARK, LIGHT, Theme

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.display import HTML

# With the site's background colours, so that pictures have no frame.
THEMES = {
    "only-light": LIGHT._replace(page="#ffffff"),
    "only-dark": DARK._replace(page="#121212"),
}
DOTS = 160  # an inch
SHOWN = 92  # of the page's pixels an inch
BLUE, ORANGE, GREEN, RED, SKY, PINK = (  # Okabe and Ito (2008)
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7",
)  # fmt: skip


def show(draw: Callable[[Theme], Figure], alt: str) -> HTML:
    """Embed the picture that `draw(theme)` returns, for both themes.

    Args:
      draw: a function of a theme of `jlstm.plot`.
      alt: alternative text: what the picture shows.
    """
    images = []
    for name, theme in THEMES.items():
        figure = draw(theme)
        source = f"data:image/png;base64,{base64.b64encode(_png(figure)).decode()}"
        images.append(_image(source, name, alt, figure))
    return _framed(images)


def show_gif(write: Callable[[Theme, str], Figure], alt: str) -> HTML:
    """Embed the GIF that `write(theme, path)` writes, for both themes."""
    images = []
    with tempfile.TemporaryDirectory() as folder:
        for name, theme in THEMES.items():
            path = Path(folder, f"{name}.gif")
            figure = write(theme, path)
            source = f"data:image/gif;base64,{base64.b64encode(path.read_bytes()).decode()}"
            images.append(_image(source, name, alt, figure))
    return _framed(images)


def show_file(path: str, alt: str) -> HTML:
    """Embed a picture that a run wrote for light pages."""
    data = Path(path).read_bytes()
    source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    with Image.open(path) as image:
        width, height = (size * SHOWN // DOTS for size in image.size)
    size = f'width="{width}" height="{height}"'
    return _framed([f'<img alt="{html.escape(alt)}" {size} src="{source}">'])


def new_figure(theme: Theme, width: float, height: float) -> Figure:
    """An empty figure of `width` by `height` inches."""
    figure = Figure(figsize=(width, height), facecolor=theme.page, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def dress(axes, theme: Theme, *, title: str = "", x: str = "", y: str = "") -> None:
    """Give a panel the colours of the page."""
    axes.set_facecolor(theme.page)
    for name, spine in axes.spines.items():
        spine.set(color=theme.edge, linewidth=0.8, visible=name in ("left", "bottom"))
    axes.tick_params(which="both", color=theme.edge, labelcolor=theme.text, labelsize=9)
    axes.set_title(title, loc="left", color=theme.text, fontsize=10)
    axes.set_xlabel(x, color=theme.quiet, fontsize=9.5)
    axes.set_ylabel(y, color=theme.quiet, fontsize=9.5)


def text_on(color: Any) -> str:
    """Black or white, whichever is easier to read on that colour."""
    brightness = sum(w * v for w, v in zip((0.3, 0.6, 0.1), to_rgb(color), strict=True))
    return "black" if brightness > 0.5 else "white"


def legend(axes, theme: Theme, **more) -> None:
    """Add a legend without a frame."""
    drawn = axes.legend(frameon=False, fontsize=9, **more)
    for text in drawn.get_texts():
        text.set_color(theme.text)


def _png(figure: Figure) -> bytes:
    """Encode as PNG with 256 colours, which suffice and take a third of the bytes."""
    drawn, image = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS, facecolor=figure.get_facecolor())
    Image.open(drawn).convert("RGB").quantize(256).save(image, format="png", optimize=True)
    return image.getvalue()


def _framed(images: list[str]) -> HTML:
    """Put pictures into a box that scrolls, by the keyboard too."""
    from IPython.display import HTML  # of the kernel that runs the page

    return HTML(f'<div class="picture" tabindex="0">{"".join(images)}</div>')


def _image(source: str, name: str, alt: str, figure: Figure) -> str:
    """An `img` element with its size, so that the page does not move while it loads."""
    width, height = (round(SHOWN * inches) for inches in figure.get_size_inches())
    return (
        f'<img class="{name}" alt="{html.escape(alt)}" width="{width}" height="{height}" '
        f'src="{source}">'
    )
