"""Help on any screen: no line too wide, no character that it lacks, nothing left out."""

import os
import re
import subprocess
import sys

import pytest

from tests.support.runs import ROOT
from train.config import screen

PROGRAMS = [
    ("train",),
    ("train", "configs/char_lm.toml"),
    ("train.evaluate",),
    ("train.inspect",),
    ("train.predict",),
    ("train.sample",),
    ("train.scaling", "configs/co2.toml"),
]
BOXES = re.compile("[─│╭╮╰╯]")


def help_of(program, **environment):
    """The lines of `python -m PROGRAM --help` where these variables are set."""
    dropped = {"COLUMNS", "LC_ALL", "NO_COLOR", "PYTHONIOENCODING", "PYTHONUTF8", "TERM"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    process = subprocess.run(
        [sys.executable, "-m", *program, "--help"], cwd=ROOT, env=kept | environment,
        capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    assert process.stderr == b""
    return process.stdout.decode("ascii" if "PYTHONIOENCODING" in environment else "utf-8")


def words(text):
    """The words of a text, independent of line breaks."""
    return re.sub(r"[^\w-]", "", BOXES.sub("", text)).replace("--", "-").replace("-", "")


@pytest.mark.sampled
@pytest.mark.parametrize("program", PROGRAMS, ids=" ".join)
def test_help_on_a_narrow_plain_screen(program):
    text = help_of(program, COLUMNS="60", TERM="dumb", LC_ALL="C", PYTHONIOENCODING="ascii")
    assert max(map(len, text.splitlines())) <= 60
    assert "example:\n  python -m train" in text
    assert "\\u" not in text  # no character was replaced
    assert "\x1b" not in text
    if "RUN_DIR" in text or len(program) > 1:
        assert "--help" in text


@pytest.mark.sampled
@pytest.mark.parametrize("columns", ["40", "80", "120", None])
def test_width(columns):
    size = {} if columns is None else {"COLUMNS": columns}
    text = help_of(("train.predict",), PYTHONIOENCODING="utf-8", TERM="dumb", **size)
    assert max(map(len, text.splitlines())) <= int(columns or 80)
    assert not BOXES.search(text)


def test_boxes_where_they_can_be_drawn():
    text = help_of(("train.predict",), COLUMNS="60", TERM="xterm", PYTHONUTF8="1")
    assert {len(line) for line in text.splitlines() if BOXES.match(line)} == {60}
    assert "\x1b" not in text  # a pipe has no colours


def test_nothing_is_cut():
    """The words of a narrow screen are those of a wide one."""
    narrow, wide = (help_of(("train",), COLUMNS=size, TERM="dumb") for size in ("45", "300"))
    assert words(narrow) == words(wide)


def test_types_of_flags_without_none():
    """None cannot be given on the command line; boxes keep their width without it."""
    assert screen.without_none("│ --out {None}|PATH   │") == "│ --out PATH          │"
    assert screen.without_none("│ --by {None,a,b}   │") == "│ --by {a,b}        │"
    assert screen.without_none("usage: x [--out {None}|PATH] [-h]") == "usage: x [--out PATH] [-h]"
    text = help_of(("train", "configs/co2.toml"), COLUMNS="80", TERM="xterm", PYTHONUTF8="1")
    assert "{None" not in text
    assert "--out PATH" in text
    assert {len(line) for line in text.splitlines() if BOXES.match(line)} == {80}


def test_a_broken_command_can_be_copied():
    text = help_of(("train.predict",), COLUMNS="50", TERM="dumb")
    example = text.partition("example:\n")[2].replace("\\\n", "")
    assert example.split() == (
        "python -m train.predict runs/japanese_vowels --data.path new.ts --out new.csv".split()
    )
