"""Progress display: a bar on a terminal, plain lines elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from train.output.words import BASELINES, value_text

LINE_EVERY = 10.0  # seconds between two plain lines
NAMED = 5  # columns to name in a list
# Facts of the data for the report only, not for the line at the start of a run.
REPORT_ONLY = {*BASELINES, "left_out", "missing_spellings", "steps_of_time", "train_windows",
         "test_windows"}  # fmt: skip

Report = Callable[[int, dict[str, float]], None]


@contextlib.contextmanager
def show_progress(console: Console, step: int, steps: int, unit: str) -> Iterator[Report]:
    """Yield a function `(step, figures)` that shows the loss in that unit, and the speed."""
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
    """Print a line as it is: brackets are not markup."""
    console.print(Text(message), soft_wrap=True)


def summary(facts: dict[str, Any]) -> str:
    """A summary of the data for the first line; the report has all facts."""
    parts = []
    for name, value in facts.items():
        if name in REPORT_ONLY or not value:
            continue
        if isinstance(value, list) and len(value) > NAMED:
            value = f"{', '.join(value[:NAMED])} and {len(value) - NAMED} more"
        parts.append(f"{name.replace('_', ' ')} {value_text(value)}")
    return "; ".join(parts)


def left_out(reasons: dict[str, str]) -> str:
    """The columns left out, grouped by reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(repr(name))
    parts = []
    for reason, names in by_reason.items():
        more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
        parts.append(f"{', '.join([*names[:NAMED], *more])}: {reason}")
    return "; ".join(parts)


def _plain_lines(console: Console, steps: int, unit: str) -> Report:
    shown = time.monotonic()
    say(console, "compiling the first step, which takes a few seconds")

    def report(step: int, figures: dict[str, float]) -> None:
        nonlocal shown
        if step == steps or time.monotonic() - shown >= LINE_EVERY:
            shown = time.monotonic()
            say(console, f"step {step}/{steps}  {_figures(figures, unit)}")

    return report


def _figures(figures: dict[str, float], unit: str) -> str:
    loss, rate = figures[f"train_{unit}"], figures["inputs_per_second"]
    return f"{unit} {loss:.4g}  {rate:,.0f} inputs/s  {figures['share_of_limit']:.0%} of the limit"
