"""Help on the screen that there is: as wide as it is, in boxes or plain, in colour or not."""

import io
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence

import tyro


class Screen(io.StringIO):
    """What is printed while help is made, which is told what the real screen can show."""

    def __init__(self, asked: bool):
        """Keep whether help was asked for; an error has its box on any screen."""
        super().__init__()
        self.asked = asked

    @property
    def encoding(self) -> str:  # pyrefly: ignore[bad-override]
        """That of the real one, for help."""
        if not self.asked:
            return "utf-8"
        return sys.__stdout__.encoding if sys.__stdout__ else "ascii"

    def isatty(self) -> bool:
        """Return whether the real one is a terminal."""
        return bool(sys.__stdout__ and sys.__stdout__.isatty())


def asks_help(args: Sequence[str]) -> bool:
    """Return whether these flags ask for help."""
    return any(arg in ("-h", "--help") for arg in args)


def set_style(args: Sequence[str]) -> None:
    """Set help to no boxes on a terminal that cannot draw them, and no colour with NO_COLOR.

    Errors keep their box, out of which `train.config.command` takes the line that is shown.
    """
    boxes = not asks_help(args) or os.environ.get("TERM") != "dumb"
    tyro._experimental_options["utf8_boxes"] = boxes
    tyro._experimental_options["ansi_codes"] = not os.environ.get("NO_COLOR")


def fit(text: str) -> str:
    """The text with its lines broken to the width of the terminal.

    The second column of a line goes under the first, and a command that is broken can be copied.
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
