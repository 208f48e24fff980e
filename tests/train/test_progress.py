"""What a person sees while a run is under way."""

import io

from rich.console import Console

from train import progress


def test_plain_lines_without_a_terminal(monkeypatch):
    clock = iter([0.0, 1.0, 11.0, 11.0, 12.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    screen = io.StringIO()
    with progress.show_progress(Console(file=screen, width=100), 0, 30) as report:
        report(10, 3.25, 12345.6)
        report(20, 2.5, 12345.6)
        report(30, 2.25, 23456.7)
    assert screen.getvalue().splitlines() == [
        "step 20/30  2.500 bits/char  12,346 chars/s",
        "step 30/30  2.250 bits/char  23,457 chars/s",
    ]


def test_a_bar_on_a_terminal():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, color_system=None)
    with progress.show_progress(console, 10, 30) as report:
        report(30, 2.25, 23456.7)
    last = [line for line in screen.getvalue().splitlines() if "training" in line][-1]
    assert "30/30" in last
    assert "2.250 bits/char  23,457 chars/s" in last
    assert "\u2501" in last  # the bar


def test_brackets_are_no_markup():
    screen = io.StringIO()
    progress.say(Console(file=screen, width=20), "[bold] a long line that is not to be wrapped [/]")
    assert screen.getvalue() == "[bold] a long line that is not to be wrapped [/]\n"
