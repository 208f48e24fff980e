"""Redirects links to files outside of docs/ that the site includes as pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sphinx.addnodes import pending_xref

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

PAGES = {
    "README": "index",
    "CHANGELOG": "changelog",
    "CONTRIBUTING": "contributing",
    "benchmarks/results/cpu": "benchmarks",
}


def setup(app: Sphinx) -> dict[str, Any]:
    """Redirect links after a page is read, before they are resolved."""
    root = app.srcdir.parent
    pages = {str(root / file): page for file, page in PAGES.items()}

    def resolve(app: Sphinx, doctree: nodes.document) -> None:
        for link in doctree.findall(pending_xref):
            link["reftarget"] = pages.get(link["reftarget"], link["reftarget"])

    app.connect("doctree-read", resolve)
    return {"parallel_read_safe": True}
