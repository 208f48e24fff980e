"""Converts this project's docstrings to reStructuredText for Sphinx.

Text in backticks is code, with a link if it is a public name. Lines indented after an empty line
are literal blocks. `Raises` may have several error types per line, and text before a colon in
`Returns` is not a type.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from machinery.names import MODULES, all_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

SECTION = re.compile(r"(Args|Returns|Raises|Example|Yields):$")
ERROR = re.compile(r"\b((?:[A-Z]\w*Error)(?:, [A-Z]\w*Error)*): ")
CODE = re.compile(r"`([^`]+)`")


def setup(app: Sphinx) -> dict[str, Any]:
    """Convert docstrings before napoleon parses their sections."""
    names = all_names()

    def convert(
        app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
    ) -> None:
        module = max((m for m in MODULES if f"{name}.".startswith(f"{m}.")), key=len)
        lines[:] = to_rest(lines, module, names - {name})

    app.connect("autodoc-process-docstring", convert, priority=100)
    return {"parallel_read_safe": True}


def to_rest(lines: list[str], module: str, names: set[str]) -> list[str]:
    """Convert the lines of a docstring to reStructuredText.

    Args:
      lines: the docstring, without its indentation.
      module: the public module of the object.
      names: public names with their modules, which become links.
    """
    converted: list[str] = []
    section, literal, errors = None, False, []
    for line in [*lines, ""]:
        indented = line.startswith(" ")
        if not indented:
            converted += _split_errors(errors, module, names)
            errors = []
        if line and not indented:
            section, literal = SECTION.match(line), False
            line = ":returns:" if line == "Returns:" else line
        if section and section[1] == "Raises" and indented:
            errors.append(line.strip())
        elif literal or (section and (section[1] == "Example" or not indented)):
            converted.append(line)
        elif line and indented and not section and converted and not converted[-1]:
            literal = True
            converted += ["::", "", line]
        else:
            converted.append(_inline(line, module, names))
    return converted


def _split_errors(errors: list[str], module: str, names: set[str]) -> Iterator[str]:
    """One line per type of error."""
    _, *parts = ERROR.split(" ".join(errors))
    for kinds, text in zip(parts[::2], parts[1::2], strict=True):
        yield f"  {kinds}: {_inline(text.strip(), module, names)}"


def _inline(line: str, module: str, names: set[str]) -> str:
    """Escape all markup but code in backticks."""
    parts = CODE.split(line)
    parts[::2] = [re.sub(r"([*|\\]|_\b)", r"\\\1", text) for text in parts[::2]]
    parts[1::2] = [_code(text, module, names) for text in parts[1::2]]
    return "".join(parts)


def _code(text: str, module: str, names: set[str]) -> str:
    for target in (text, f"{module}.{text}", f"jlstm.{text}"):
        if target in names and not target.startswith("jlstm.interop.export."):
            return f":py:obj:`{text} <{target}>`"
    return f"``{text}``"
