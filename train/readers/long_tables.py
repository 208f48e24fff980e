"""Refusal of long tables, which have several series one below another."""

from __future__ import annotations

import numpy as np

from train.errors import InputError
from train.readers.numbers import MISSING, PLAIN, looks_like_a_number
from train.readers.tables import Rows
from train.readers.times.column import may_be_time, words_of

# Words in the name of a column that may identify the series of a row.
ID_WORDS = {
    "id", "ids", "key", "series", "group", "unit", "machine", "engine", "motor", "device", "sensor",
    "station", "site", "store", "item", "product", "subject", "patient", "user", "customer", "run",
    "episode", "trial",
}  # fmt: skip
# Parts of names of columns that repeat with the clock or the calendar.
PERIODS = ("hour", "hr", "min", "sec", "week", "season", "quarter", "stunde", "woche", "tag")


def refuse_long_table(path: str, rows: Rows, cells: dict[str, list[str]]) -> None:
    """Refuse steps that start again with each series, in a table without other times.

    They increase within each series, but not over all rows: numbers named as a time, and numbers of
    any name that count by 1.
    """
    series = {name: codes for name in cells if (codes := _series(name, cells[name])) is not None}
    steps = {name: numbers for name in cells if (numbers := _steps(cells[name])) is not None}
    for step, numbers in steps.items() if series else ():
        for name, codes in series.items():
            order = np.argsort(codes, kind="stable")
            apart = np.diff(numbers[order])[np.diff(codes[order]) == 0]
            counts = bool((apart == 1).all()) and _says_which(name, cells[name])
            if name != step and (counts or (may_be_time(step) and (apart > 0).all())):
                row = int(np.argmax(np.diff(numbers) <= 0)) + 1
                last, first = cells[step][row - 1 : row + 1]
                raise InputError(
                    f"{path}, {rows.where(row)}: column {step!r} goes from {last!r} to "
                    f"{first!r} and rises only within each {name!r}: pivot a long "
                    "table, of several series below each other, to a column for each; if the rows "
                    f"are one series, delete column {step!r}"
                )


def _series(name: str, column: list[str]) -> np.ndarray | None:
    """The index of each row's series, if the column may identify series; else None."""
    known = {cell: k for k, cell in enumerate(dict.fromkeys(column))}
    if not 2 <= len(known) <= len(column) / 2 or any(cell.lower() in MISSING for cell in known):
        return None
    if not _says_which(name, list(known)):
        whole = all(PLAIN.fullmatch(cell) and float(cell) % 1 == 0 for cell in known)
        if not whole or may_be_time(name) or any(part in name.lower() for part in PERIODS):
            return None
    return np.array([known[cell] for cell in column])


def _says_which(name: str, cells: list[str]) -> bool:
    """Return whether a column is text, or named as an id, and not a time."""
    if words_of(name) & ID_WORDS:
        return True
    return not may_be_time(name) and not any(map(looks_like_a_number, set(cells)))


def _steps(column: list[str]) -> np.ndarray | None:
    """The numbers of a column that do not increase over all rows; else None."""
    try:
        numbers = np.array(column, float)
    except ValueError:
        return None
    return numbers if (np.diff(numbers) <= 0).any() else None
