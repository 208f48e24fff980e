"""The progress display of a run."""

import io

from rich.console import Console

from train.output import progress

UNIT = "bits_per_char"


def figures(bits, rate):
    return {"train_bits_per_char": bits, "inputs_per_second": rate, "share_of_limit": 0.5}


def test_plain_lines_without_a_terminal(monkeypatch):
    clock = iter([0.0, 1.0, 11.0, 11.0, 12.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    screen = io.StringIO()
    with progress.show_progress(Console(file=screen, width=100), 0, 30, UNIT) as report:
        report(10, figures(3.25, 12345.6))
        report(20, figures(2.5, 12345.6))
        report(30, figures(2.25, 23456.7))
    assert screen.getvalue().splitlines() == [
        "compiling the first step, which takes a few seconds",
        "step 20/30  bits_per_char 2.5  12,346 inputs/s  50% of the limit",
        "step 30/30  bits_per_char 2.25  23,457 inputs/s  50% of the limit",
    ]


def test_a_bar_on_a_terminal():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, color_system=None)
    with progress.show_progress(console, 10, 30, UNIT) as report:
        report(30, figures(2.25, 23456.7))
    last = [line for line in screen.getvalue().splitlines() if "training" in line][-1]
    assert "30/30" in last
    assert "bits_per_char 2.25" in last
    assert "\u2501" in last  # the bar


def test_brackets_are_no_markup():
    screen = io.StringIO()
    progress.say(Console(file=screen, width=20), "[bold] a long line that is not to be wrapped [/]")
    assert screen.getvalue() == "[bold] a long line that is not to be wrapped [/]\n"


def test_the_facts_of_a_first_line_are_short():
    """No reprs of Python, nothing that is 0 or unknown."""
    facts = {
        "persistence_mae": 0.25, "columns": ["a", "b"], "rows": 1500, "gaps": 0, "time": None,
        "step_of_time": "1 month, on the last day", "missing": 5,
        "missing_spellings": {"": 4, "k.A.": 1}, "left_out": {"c": "is empty"},
    }  # fmt: skip
    assert progress.summary(facts) == (
        "columns a, b; rows 1,500; step of time 1 month, on the last day; missing 5"
    )
    many = progress.summary({"columns": [f"c{k}" for k in range(40)]})
    assert many == "columns c0, c1, c2, c3, c4 and 35 more"
