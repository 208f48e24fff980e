"""One row of the tables: what a paper says, and how it is measured here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# A loop over a net of a hundred weights is then one compiled function, not some calls a step.
SMALL_LOOPS = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=10000000"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """What a row found: a line for the table, and figures by name."""

    line: str
    figures: dict[str, Any] = field(default_factory=dict)


Measure = Callable[[int, int, Say], Measured]


@dataclass(frozen=True)
class Row:
    """An experiment with its published figure.

    `measure(trials, budget, say)` trains `trials` nets on at most `budget` sequences each, tells
    of its progress, and gives what it found.
    """

    name: str
    section: str
    setting: str
    published: str
    measure: Measure
    trials: int
    budget: int
    quick: tuple[int, int] | None = None  # trials and budget of the quick set; None: not in it
    deviations: str = ""  # from the paper
    flags: str = ""  # for XLA, in the row's process
    note: str = ""  # where ours falls short: what was tried


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation over trials, in thousands set off by commas where large."""
    if not values:
        return "none"
    mean, deviation = np.mean(values), np.std(values, ddof=1) if len(values) > 1 else 0.0
    form = "{:,.0f}" if mean >= 100 else "{:.3g}"
    return f"{form.format(mean)} ± {form.format(deviation)}"


def solved_line(solved: list[bool], sequences: list[int]) -> str:
    """How many trials solved the task, after how many sequences."""
    those = [n for n, right in zip(sequences, solved, strict=True) if right]
    line = f"{sum(solved)} of {len(solved)} solved"
    return f"{line}, {spread(those)} sequences" if those else line
