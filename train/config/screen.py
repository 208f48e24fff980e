"""Help in the width and style of the terminal: boxed or plain, in colour or not."""

import io
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence

import tyro


class Screen(io.StringIO):
    """A buffer for the text that tyro prints, with the properties of the real stdout."""

    def __init__(self, asked: bool):
        """Record whether help was requested; errors are boxed on any screen."""
        super().__init__()
        self.asked = asked

    @property
    def encoding(self) -> str:  # pyrefly: ignore[bad-override]
        """The encoding of stdout for help; UTF-8 for errors."""
        if not self.asked:
            return "utf-8"
        return sys.__stdout__.encoding if sys.__stdout__ else "ascii"

    def isatty(self) -> bool:
        """Return whether stdout is a terminal."""
        return bool(sys.__stdout__ and sys.__stdout__.isatty())


def asks_help(args: Sequence[str]) -> bool:
    """Return whether the flags request help."""
    return any(arg in ("-h", "--help") for arg in args)


def set_style(args: Sequence[str]) -> None:
    """Disable the boxes of help on a dumb terminal, and colours with NO_COLOR.

    Errors keep their box, from which `train.config.command` takes the line to show.
    """
    boxes = not asks_help(args) or os.environ.get("TERM") != "dumb"
    tyro._experimental_options["utf8_boxes"] = boxes
    tyro._experimental_options["ansi_codes"] = not os.environ.get("NO_COLOR")


def without_none(text: str) -> str:
    """Remove None, which a flag cannot be set to, from the types that help shows for flags."""
    return "\n".join(map(_without_none, text.split("\n")))


def _without_none(line: str) -> str:
    def shorten(match: re.Match[str]) -> str:
        kept = ("{" if match[1] == "{None," else "") + match[2]
        return kept.ljust(len(match[0])) if "│" in line else kept  # lines of a box keep their width

    return re.sub(r"(\{None\}\||\{None,)([^\s\]]+)", shorten, line)


def fit(text: str) -> str:
    """Wrap the lines of a text to the width of the terminal.

    The second column of a line is put under the first, and a wrapped command can be copied.
    """
    width = max(40, shutil.get_terminal_size().columns)
    return "\n".join(broken for line in text.splitlines() for broken in _broken(line, width))


def _broken(line: str, width: int) -> list[str]:
    line = line.rstrip()
    if len(re.sub(r"\x1b\[[0-9;]*m", "", line)) <= width:  # without its colours
        return [line]
    text = line.lstrip()
    indent = line[: len(line) - len(text)]
    deeper = indent + "    "
    first, *rest = re.split(" {3,}", text)
    command = first.startswith("python ")
    lines = textwrap.wrap(
        first, width - 2 * command, initial_indent=indent,
        subsequent_indent=deeper if indent else "", break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    if command:
        lines = [f"{part} \\" for part in lines[:-1]] + lines[-1:]
    for column in rest:
        lines += textwrap.wrap(column, width, initial_indent=deeper, subsequent_indent=deeper)
    return lines
