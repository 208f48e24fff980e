"""Finds unrendered markup: text of a page, outside code, that still looks like its source."""

import re
from html.parser import HTMLParser

VOID = {
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr",
}  # fmt: skip
INLINE = {
    "a", "abbr", "b", "cite", "em", "i", "mark", "q", "s", "small", "span", "strong", "sub", "sup",
    "time", "u", "wbr",
}  # fmt: skip
CODE = {"code", "pre", "kbd", "samp"}  # in a line of text each stands as one sign
SILENT = {"script", "style", "svg", "template", "textarea", "title"}
SIGN = "\N{MIDDLE DOT}"

UNRENDERED = {
    name: re.compile(pattern, re.MULTILINE)
    for name, pattern in {
        "a table": r"^\s*\|.*\|\s*$|\|\s*:?-{3,}:?\s*\|",
        "a formula": r"\$\$|\\[(\[]|\\begin\{|\$[^\s$][^$\n]*[\\^_{][^$\n]*\$|\$[A-Za-z]\$",
        "a link": r"\[[^\]\n]+\]\([^)\s]+\)|\[[^\]\n]+\]\[[^\]\n]+\]|<https?:[^>\s]+>|`_",
        "a code fence": r"^\s*(?:```|~~~|:::)",
        "code": r"`[^`\n]+`",
        "emphasis": r"\*\*[^\s*][^*\n]*\*\*|(?<![\w*])\*[^\s*,)][^*\n]*(?<=\S)\*(?![\w*])",
        "a directive or a role": (
            rf"\{{[a-z][\w:-]*\}}|(?<!\w):[a-z]+(?::[a-z]+)*:(?=[`{SIGN}])|^\s*\.\. [\w:-]+::"
        ),
        "a heading": r"^\s*#{1,6} \S",
        "HTML": r"</?[a-z][a-z0-9]*(?: [^<>]*)?/?>|&(?:[a-z]+|#\d+);",
    }.items()
}


class Texts(HTMLParser):
    """The lines of text of a page, outside code: one for each paragraph, cell or other block."""

    def __init__(self, page: str):
        super().__init__()
        self.open: list[tuple[str, bool]] = []  # tags, and whether text in them is left out
        self.texts: list[str] = [""]
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Leave out code, signatures of functions and invisible elements."""
        if tag in VOID:
            self.texts[-1] += "\n" if tag == "br" else ""
            return
        hidden = bool(self.open) and self.open[-1][1]
        classes = (dict(attrs).get("class") or "").split()
        if tag in CODE and not hidden:
            self.texts[-1] += SIGN
        if tag not in INLINE | CODE:
            self.texts.append("")
        self.open.append((tag, hidden or tag in CODE | SILENT or "sig" in classes))

    def handle_endtag(self, tag: str) -> None:
        """Close all tags inside this one too: the end of a `p` or `li` may be missing."""
        if tag not in [name for name, _ in self.open]:
            return
        while self.open.pop()[0] != tag:
            pass
        if tag not in INLINE | CODE:
            self.texts.append("")

    def handle_data(self, data: str) -> None:
        """Add text to the open block."""
        if not (self.open and self.open[-1][1]):
            self.texts[-1] += data


def unrendered(page: str) -> list[str]:
    """List the texts of an HTML page that look like markup, one line each."""
    faults = {
        f"{name} is not rendered: {_around(match)!r}": None
        for text in Texts(page).texts
        for name, pattern in UNRENDERED.items()
        if (match := pattern.search(text))
    }
    return list(faults)


def _around(match: re.Match) -> str:
    return " ".join(match.string[match.start() :].split())[:60]
