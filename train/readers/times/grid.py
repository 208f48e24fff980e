"""Equal time steps: the place of each row on them, and the time of every place."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from train.readers.times.dates import (
    DAY,
    SECOND,
    Format,
    Times,
    about_names,
    is_date,
    read_dates,
    write_dates,
)
from train.readers.times.frequency import Even, even_ticks, even_times, reversed_times, ticks_of

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,2})?", re.ASCII)
# Integers in these ranges may count time: from, to, nanoseconds per unit, the day of 0.
COUNTS = (
    (10**8, 10**10, SECOND, "1970-01-01"), (10**11, 10**13, 10**6, "1970-01-01"),
    (10**14, 10**16, 1000, "1970-01-01"), (10**17, 10**19, 1, "1970-01-01"),
    (15_000, 75_000, DAY, "1899-12-30"),
)  # fmt: skip


class Grid(NamedTuple):
    """Equal time steps."""

    places: np.ndarray  # of the rows, from 0; decreasing if the newest row comes first
    write: Callable[[np.ndarray], list[str]]  # the times of places, in the format of the table
    step: str  # in words
    order: str = ""  # of day, month and year, if cells such as 01/02/2024 are ambiguous


def grid_of(
    cells: list[str], order: str | None = None, dates: tuple[Times, Format] | None = None
) -> Grid:
    """The steps of times that are all dates of one format, or all numbers.

    Args:
      cells: one a row.
      order: of day, month and year in dates such as 01/02/2024.
      dates: the cells as `read_dates` reads them, where this is done.

    Raises:
      ValueError: they are not, or neither increase nor decrease, or are ambiguous.
    """
    parsed = dates or read_dates(cells, order)
    if parsed is None:
        return _of_numbers(cells)
    times, style = parsed
    falls = _falls(ticks_of(times)[0], cells)
    even = even_times(reversed_times(times) if falls else times)
    return Grid(
        even.places[::-1] if falls else even.places,
        lambda places: write_dates(even.at(places), style), even.step, style.order,
    )  # fmt: skip


def _of_numbers(cells: list[str]) -> Grid:
    odd = next((cell for cell in cells if not NUMBER.fullmatch(cell)), None)
    if odd is not None:
        raise ValueError(_odd_one(cells))
    exact = [_exact(cell) for cell in cells]
    decimals = [max(0, -int(number.as_tuple().exponent)) for number in exact]
    most = max(decimals)
    whole = [int(number.scaleb(most)) for number in exact]
    if max(map(abs, whole)) >= 2**62:
        raise ValueError(f"the times {cells[0]!r} to {cells[-1]!r} have too many digits")
    ticks = np.array(whole, np.int64)
    falls = _falls(ticks, cells)
    ticks = ticks[::-1] if falls else ticks
    unit = 10**most
    first, last = ticks[0] / unit, ticks[-1] / unit
    counted = [(size, day) for low, high, size, day in COUNTS if low <= first <= last < high]
    if counted and not (ticks % unit).any():
        even = _counted(ticks // unit, *counted[0])
        places, write, step = even.places, _counts_writer(even, *counted[0], most), even.step
    else:
        places, at, size = even_ticks(ticks)
        usual = (size or np.median(np.diff(ticks))) / unit if len(ticks) > 1 else 0
        step = f"{'' if size else 'about '}{usual:.10g}"
        write = _writer(at, most, len(set(decimals)) == 1)
    return Grid(places[::-1] if falls else places, write, step)


def _exact(cell: str) -> Decimal:
    """The number without rounding errors, such as 0.30000000000000004."""
    exact = Decimal(cell)
    noisy = len(exact.as_tuple().digits) > 15 and int(exact.as_tuple().exponent) < -10
    return Decimal(f"{exact:.12g}") if noisy else exact


def _odd_one(cells: list[str]) -> str:
    """The error about cells that are not all dates or all numbers."""
    first = cells[0]
    for cell in cells:
        if not NUMBER.fullmatch(cell) and not is_date(cell):
            why = "is neither a number nor a date such as 2024-01-31 14:00"
            return f"the time {cell!r} {why}{about_names(cell)}"
    other = next((cell for cell in cells if not alike(first, cell)), None)
    if other is None:
        return f"the times, such as {cells[-1]!r}, are not in the order of --data.date_order"
    return f"the times {first!r} and {other!r} are written differently"


def alike(one: str, other: str) -> bool:
    """Return whether two cells are numbers, or dates in one format."""
    try:
        both = all(map(NUMBER.fullmatch, (one, other)))
        return both or read_dates([one, other]) is not None
    except ValueError:  # one or both are ambiguous
        return True


def _writer(at: Callable, decimals: int, fixed: bool) -> Callable[[np.ndarray], list[str]]:
    def write(places: np.ndarray) -> list[str]:
        texts = [f"{Decimal(int(tick)).scaleb(-decimals):f}" for tick in at(np.asarray(places))]
        return texts if fixed or not decimals else [text.rstrip("0").rstrip(".") for text in texts]

    return write


def _counted(numbers: np.ndarray, unit: int, origin: str) -> Even:
    """The steps of Unix seconds or spreadsheet days, in which months are uneven."""
    per_day = DAY // unit
    days = np.datetime64(origin) + numbers // per_day
    return even_times(Times(days, numbers % per_day * unit, None))


def _counts_writer(even: Even, unit: int, origin: str, decimals: int) -> Callable:
    def write(places: np.ndarray) -> list[str]:
        times = even.at(places)
        days = (times.days - np.datetime64(origin)).astype(np.int64)
        numbers = days * (DAY // unit) + times.clock // unit
        return [f"{number}{'.' * (decimals > 0)}{'0' * decimals}" for number in numbers]

    return write


def _falls(ticks: np.ndarray, cells: list[str]) -> bool:
    """Return whether the newest row comes first; ValueError if rows are unordered."""
    apart = np.diff(ticks)
    falls = len(apart) > 0 and bool((apart < 0).all())
    if falls or (apart > 0).all():
        return falls
    k = int(np.argmax(apart <= 0))
    order = f"times must rise, and {cells[k + 1]!r} comes after {cells[k]!r}"
    if len(np.unique(ticks)) == len(ticks):
        raise ValueError(f"{order}: sort the rows by time")
    raise ValueError(
        f"{order}, and some rows have the same time: pivot a long table, of several series below "
        "each other, to a column for each; join a date and an hour to one column, as 2024-01-31 "
        "14:00; add offsets from UTC where clocks go back"
    )
