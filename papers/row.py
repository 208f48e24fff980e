"""A row of the tables: the published figure, and the function that measures ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# Compiles a loop over a net of a hundred weights to one function, without calls in every step.
SMALL_LOOPS = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=10000000"

Log = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """The result of a row: a line for the table, and figures by name."""

    line: str
    figures: dict[str, Any] = field(default_factory=dict)


Measure = Callable[[int, int, Log], Measured]


@dataclass(frozen=True)
class Row:
    """An experiment with its published figure.

    `measure(trials, budget, log)` trains `trials` nets on at most `budget` sequences each, logs
    its progress, and returns the result.
    """

    name: str
    section: str
    setting: str
    published: str
    measure: Measure
    trials: int
    budget: int
    quick: tuple[int, int] | None = None  # trials and budget in the quick set, or None
    deviations: str = ""  # from the paper
    flags: str = ""  # for XLA, in the row's process
    note: str = ""  # where ours falls short: what was tried


def mean_and_std(values: Sequence[float]) -> str:
    """Format the mean and the standard deviation over trials."""
    if not values:
        return "none"
    mean, deviation = np.mean(values), np.std(values, ddof=1) if len(values) > 1 else 0.0
    form = "{:,.0f}" if mean >= 100 else "{:.3g}"
    return f"{form.format(mean)} ± {form.format(deviation)}"


def solved_line(solved: list[bool], sequences: list[int]) -> str:
    """The number of trials that solved the task, and of their sequences until then."""
    counts = [n for n, done in zip(sequences, solved, strict=True) if done]
    line = f"{sum(solved)} of {len(solved)} solved"
    return f"{line}, {mean_and_std(counts)} sequences" if counts else line
