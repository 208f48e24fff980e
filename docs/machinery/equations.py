"""Draws equations as SVG outlines with matplotlib: identical in every browser, in the text colour.

They need no script and no font of another site; screen readers get the formula.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath, text_to_path

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SIZE = 10.0  # of the drawing, whose unit in the page is a tenth of the letters'
FONT = FontProperties(size=SIZE, math_fontfamily="stix")
SIGNS = {
    Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z",
}  # fmt: skip


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer, and select it."""
    from docutils.nodes import SkipNode

    def inline(translator: Any, node: Any) -> None:
        translator.body.append(to_svg(node.astext()))
        raise SkipNode

    def block(translator: Any, node: Any) -> None:
        translator.body.append(f'<div class="equation">{to_svg(node.astext())}</div>')
        raise SkipNode

    app.add_html_math_renderer("drawn", (inline, None), (block, None))
    app.config.html_math_renderer = "drawn"
    return {"parallel_read_safe": True}


def to_svg(formula: str) -> str:
    """Draw a TeX formula, as far as matplotlib supports it, on the baseline of its text."""
    text = f"${' '.join(formula.split())}$"
    letters = TextPath((0, 0), text, prop=FONT)
    width, height, depth = text_to_path.get_text_width_height_descent(text, FONT, ismath=True)
    height, depth = height + 1, depth + 0.5  # room for what leans out
    label = html.escape(formula.strip())
    return (
        f'<svg class="formula" role="img" aria-label="{label}" '
        f'viewBox="0 {depth - height:.2f} {width:.2f} {height:.2f}" '
        f'style="width: {width / SIZE:.3f}em; height: {height / SIZE:.3f}em; '
        f'vertical-align: {-depth / SIZE:.3f}em"><path d="{_outline(letters)}"/></svg>'
    )


def _outline(letters: Path) -> str:
    """The outlines of the letters as an SVG path, whose y axis points down."""
    parts, pending = [], []
    for (x, y), code in zip(letters.vertices, letters.codes, strict=True):
        if code == Path.CLOSEPOLY:
            parts.append("Z")
            continue
        pending.append(f"{x:.2f} {-y:.2f}")
        if len(pending) == {Path.CURVE3: 2, Path.CURVE4: 3}.get(code, 1):
            parts.append(SIGNS[code] + " ".join(pending))
            pending = []
    return "".join(parts)
