"""`python docs/machinery/check.py FOLDER`: what is wrong with built pages, a line each.

Links and anchors that lead nowhere, pictures without words, headings that skip a level, and what
would be fetched from another site.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")


class Page(HTMLParser):
    """The anchors, links, pictures and headings of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.anchors: set[str] = {""}
        self.links: list[str] = []
        self.files: list[str] = []
        self.pictures: list[dict[str, str]] = []
        self.levels: list[int] = []
        self.in_article = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag brings."""
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "article":
            self.in_article = True
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in ("script", "img") and "src" in found:
            self.files.append(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload"):
            self.files.append(found["href"])
        if tag == "img":
            self.pictures.append(found)
        if tag in HEADINGS and self.in_article:
            self.levels.append(int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        """The article has an end."""
        if tag == "article":
            self.in_article = False


def faults(folder: Path) -> list[str]:
    """What is wrong with the pages under a folder."""
    pages = {
        path.resolve(): Page(path.read_text(encoding="utf-8"))
        for path in folder.rglob("*.html")
        if "_static" not in path.parts  # templates of the theme
    }
    return [
        f"{path.relative_to(folder.resolve())}: {fault}"
        for path, page in sorted(pages.items())
        for fault in (
            *_lost_links(path, page, pages), *_lost_files(path, page), *_unreadable(page),
        )
    ]  # fmt: skip


def _lost_links(path: Path, page: Page, pages: dict[Path, Page]) -> list[str]:
    found = []
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.exists():
            found.append(f"no file for the link {link}")
        elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
            found.append(f"no anchor for the link {link}")
    return found


def _lost_files(path: Path, page: Page) -> list[str]:
    found = []
    for file in page.files:
        parts = urlsplit(file)
        if parts.netloc:
            found.append(f"fetched from elsewhere: {file}")
        elif not parts.scheme and not (path.parent / unquote(parts.path)).exists():
            found.append(f"no file {file}")
    return found


def _unreadable(page: Page) -> list[str]:
    found = [
        f"no words for the picture {picture.get('src', '')[:60]}"
        for picture in page.pictures
        if not picture.get("alt", "").strip()
    ]
    for before, level in zip(page.levels, page.levels[1:], strict=False):
        if level > before + 1:
            found.append(f"a heading of level {level} after one of level {before}")
    if page.levels.count(1) > 1:
        found.append(f"{page.levels.count(1)} headings of level 1")
    return found


if __name__ == "__main__":
    lines = faults(Path(sys.argv[1]))
    print("\n".join(lines) or "all links, anchors and pictures are there")
    sys.exit(bool(lines))
