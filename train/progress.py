"""What a person sees of a run: a bar on a terminal, plain lines elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

LINE_EVERY = 10.0  # seconds between two plain lines

Report = Callable[[int, float, float], None]


@contextlib.contextmanager
def show_progress(console: Console, step: int, steps: int) -> Iterator[Report]:
    """Gives a function `(step, bits per character, characters a second)` that shows them."""
    if not console.is_terminal:
        yield _plain_lines(console, steps)
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

        def report(step: int, bits: float, rate: float) -> None:
            bar.update(task, completed=step, figures=_figures(bits, rate))

        yield report


def say(console: Console, message: str) -> None:
    """A line of its own, as it is: brackets in it are no markup."""
    console.print(Text(message), soft_wrap=True)


def _plain_lines(console: Console, steps: int) -> Report:
    shown = time.monotonic()

    def report(step: int, bits: float, rate: float) -> None:
        nonlocal shown
        if step == steps or time.monotonic() - shown >= LINE_EVERY:
            shown = time.monotonic()
            say(console, f"step {step}/{steps}  {_figures(bits, rate)}")

    return report


def _figures(bits: float, rate: float) -> str:
    return f"{bits:.3f} bits/char  {rate:,.0f} chars/s"
