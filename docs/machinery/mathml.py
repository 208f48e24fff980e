"""Equations as MathML, which browsers draw themselves: pages need no script from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """A renderer beside those of Sphinx, and the one that is used."""

    def inline(translator: Any, node: nodes.math) -> None:
        translator.body.append(tex2mathml(node.astext(), as_block=False))
        raise nodes.SkipNode

    def block(translator: Any, node: nodes.math_block) -> None:
        equation = tex2mathml(node.astext(), as_block=True)
        translator.body.append(f'<div class="equation">{equation}</div>')
        raise nodes.SkipNode

    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True}
