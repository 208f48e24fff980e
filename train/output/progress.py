"""What a person sees of a run: a bar on a terminal, plain lines elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from train.output.words import BASELINES, value_text

LINE_EVERY = 10.0  # seconds between two plain lines
NAMED = 5  # columns, of those in a list
# Facts of the data that the report has, and a line at the start of a run has not.
LATER = {*BASELINES, "left_out", "missing_spellings", "steps_of_time", "train_windows",
         "test_windows"}  # fmt: skip

Report = Callable[[int, dict[str, float]], None]


@contextlib.contextmanager
def show_progress(console: Console, step: int, steps: int, unit: str) -> Iterator[Report]:
    """Gives a function `(step, figures)` that shows the loss in that unit, and the speed."""
    if not console.is_terminal:
        yield _plain_lines(console, steps, unit)
        return
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("training", total=steps, completed=step, figures="compiling ...")

        def report(step: int, figures: dict[str, float]) -> None:
            bar.update(task, completed=step, figures=_figures(figures, unit))

        yield report


def say(console: Console, message: str) -> None:
    """A line of its own, as it is: brackets in it are no markup."""
    console.print(Text(message), soft_wrap=True)


def in_short(facts: dict[str, Any]) -> str:
    """What a reader of the first line wants to know of the data; the report has all of it."""
    parts = []
    for name, value in facts.items():
        if name in LATER or not value:
            continue
        if isinstance(value, list) and len(value) > NAMED:
            value = f"{', '.join(value[:NAMED])} and {len(value) - NAMED} more"
        parts.append(f"{name.replace('_', ' ')} {value_text(value)}")
    return "; ".join(parts)


def left_out(reasons: dict[str, str]) -> str:
    """Columns and why they are left out, those with one reason together."""
    together: dict[str, list[str]] = {}
    for name, why in reasons.items():
        together.setdefault(why, []).append(repr(name))
    parts = []
    for why, names in together.items():
        more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
        parts.append(f"{', '.join([*names[:NAMED], *more])}: {why}")
    return "; ".join(parts)


def _plain_lines(console: Console, steps: int, unit: str) -> Report:
    shown = time.monotonic()
    say(console, "compiling the first step, which takes some seconds")

    def report(step: int, figures: dict[str, float]) -> None:
        nonlocal shown
        if step == steps or time.monotonic() - shown >= LINE_EVERY:
            shown = time.monotonic()
            say(console, f"step {step}/{steps}  {_figures(figures, unit)}")

    return report


def _figures(figures: dict[str, float], unit: str) -> str:
    loss, rate = figures[f"train_{unit}"], figures["inputs_per_second"]
    return f"{unit} {loss:.4g}  {rate:,.0f} inputs/s  {figures['share_of_limit']:.0%} of the limit"
