"""`python docs/machinery/check.py PATH ...`: the faults of built pages, one per line.

For a file, or for all files in a folder: broken links and anchors, unrendered markup, pictures
without alternative text or size, headings that skip a level, and requests to other sites. With
Chromium each page is opened as well, see `browse.js`: pictures and formulas that are not drawn,
content cut off in a narrow window, text too faint to read, errors.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

sys.path[:0] = [str(path) for path in Path(__file__).resolve().parents[1:3]]

from machinery import browse, markup  # noqa: E402

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
        """Record the anchors, links, pictures and headings of a tag."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "article":
            self.in_article = True
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in ("script", "img") and "src" in values:
            self.files.append(values["src"])
        if tag == "link" and values.get("rel") in ("stylesheet", "icon", "preload"):
            self.files.append(values["href"])
        if tag == "img":
            self.pictures.append(values)
        if tag in HEADINGS and self.in_article:
            self.levels.append(int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        """Leave the article."""
        if tag == "article":
            self.in_article = False


def paths_of(place: Path) -> list[Path]:
    """The page itself, or the pages under a folder, without the theme's templates."""
    if place.is_file():
        return [place]
    return sorted(path for path in place.rglob("*.html") if "_static" not in path.parts)


def faults(place: Path) -> list[str]:
    """List the faults in the source of a page, or of the pages under a folder."""
    texts = {path.resolve(): path.read_text(encoding="utf-8") for path in paths_of(place)}
    pages = {path: Page(text) for path, text in texts.items()}
    return [
        f"{_name(path, place)}: {fault}"
        for path, page in pages.items()
        for fault in (
            *_lost_links(path, page, pages), *_lost_files(path, page), *_unreadable(page),
            *markup.unrendered(texts[path]),
        )
    ]  # fmt: skip


def seen_faults(browser: Any, place: Path) -> list[str]:
    """List the faults of the same pages in a browser."""
    return [
        f"{_name(path, place)}: {fault}"
        for path in paths_of(place)
        for fault in browse.faults(browser, path)
    ]


def _name(path: Path, place: Path) -> str:
    return path.name if place.is_file() else str(path.resolve().relative_to(place.resolve()))


def _lost_links(path: Path, page: Page, pages: dict[Path, Page]) -> list[str]:
    lines = []
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.exists():
            lines.append(f"no file for the link {link}")
        elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
            lines.append(f"no anchor for the link {link}")
    return lines


def _lost_files(path: Path, page: Page) -> list[str]:
    lines = []
    for file in page.files:
        parts = urlsplit(file)
        if parts.netloc:
            lines.append(f"fetched from elsewhere: {file}")
        elif not parts.scheme and not (path.parent / unquote(parts.path)).exists():
            lines.append(f"no file {file}")
    return lines


def _unreadable(page: Page) -> list[str]:
    lines = [
        f"no words for the picture {picture.get('src', '')[:60]}"
        for picture in page.pictures
        if not picture.get("alt", "").strip()
    ] + [
        f"no width and height of the picture {picture.get('src', '')[:60]}"
        for picture in page.pictures
        if not (picture.get("width", "").isdigit() and picture.get("height", "").isdigit())
    ]
    for before, level in zip(page.levels, page.levels[1:], strict=False):
        if level > before + 1:
            lines.append(f"a heading of level {level} after one of level {before}")
    if page.levels.count(1) > 1:
        lines.append(f"{page.levels.count(1)} headings of level 1")
    return lines


def main(places: list[str]) -> int:
    """Print the faults of these files and folders; return 1 if there are any."""
    from tests.support.browser import find_chromium, open_browser

    lines = [fault for place in places for fault in faults(Path(place))]
    if find_chromium():
        with open_browser() as browser:
            lines += [fault for place in places for fault in seen_faults(browser, Path(place))]
    else:
        print("there is no Chromium, so no page was opened; `make browser` installs it")
    print("\n".join(lines) or "the pages have no fault that this check knows")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
