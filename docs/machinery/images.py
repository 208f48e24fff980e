"""Sets the width and height of pictures in a text, so that a page does not move as it loads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docutils import nodes
from PIL import Image

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Measure pictures after a page is read, when their files are known."""

    def measure(app: Sphinx, doctree: nodes.document) -> None:
        for node in doctree.findall(nodes.image):
            path = app.srcdir / node["uri"]
            if "width" not in node and path.is_file():
                with Image.open(path) as image:
                    node["width"], node["height"] = map(str, image.size)

    app.connect("doctree-read", measure)
    return {"parallel_read_safe": True}
