"""The column of times in a table, found or joined from several columns."""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

from train.errors import InputError
from train.readers.headers import meant
from train.readers.numbers import MISSING
from train.readers.tables import Rows
from train.readers.times.dates import (
    Format,
    Times,
    about_names,
    is_date,
    month_number,
    read_dates,
)
from train.readers.times.grid import NUMBER, alike, grid_of

# Words in the name of a column whose numbers, such as 20240131 or 1949, are dates; after some more
# words they are, if they rise or fall.
DATE_WORDS = {
    "date", "datetime", "timestamp", "month", "quarter", "year", "yr", "datum", "jahr", "monat",
    "fecha", "ano", "a\u00f1o", "mes", "annee", "ann\u00e9e", "dato", "jaar", "yyyymmdd", "yyyymm",
}  # fmt: skip
MAYBE_WORDS = DATE_WORDS | {
    "week", "period", "zeit", "data", "ds", "dt", "t", "epoch", "unix",
}  # fmt: skip
CLOCK = re.compile(r"\d?\d:\d\d(:\d\d([.,]\d{1,9})?)?( ?[AaPp][Mm])?( ?(Z|UTC|[-+]\d\d:?\d\d))?")
PARTS = {
    "year": ("year", "yr", "yyyy", "y", "jahr"),
    "month": ("month", "mo", "mon", "mm", "m", "monat"),
    "day": ("day", "dy", "dd", "d", "dom", "tag"),
    "hour": ("hour", "hr", "hh", "h", "stunde"),
    "minute": ("minute", "min", "mn", "mi"),
}  # fmt: skip
HOURS = {text for hour in range(24) for text in (str(hour), f"{hour:02}")}


class TimeColumn(NamedTuple):
    """The times of a table."""

    name: str
    cells: list[str]  # one per row; empty if the table has no times
    parts: list[str]  # the columns that are joined
    dates: tuple[Times, Format] | None = None  # the parsed cells, if they are parsed already
    left_out: dict[str, str] = {}  # noqa: RUF012  # further columns of times


def find_time(
    path: str, rows: Rows, cells: dict[str, list[str]], name: str | None, order: str | None
) -> TimeColumn:
    """The time of a table: the named column, or the first of `cells` that holds dates.

    Raises:
      InputError: there is no such column, or one of dates has a cell that is none.
    """
    if name in cells:
        return TimeColumn(name or "", cells[name], [name or ""])
    parts = _year_and_month(cells)
    joined = [*_date_and_clock(cells, order), *parts]
    if name is not None:
        made = [column for column in joined if column.name == name]
        if not made:
            raise InputError(
                f"{path} has no column {name!r}; it has {rows.header}{meant(name, rows.header)}"
            )
        return made[0]
    found = []
    for key, column in cells.items():
        if parts and key in parts[0].parts:  # only a month, which increases in a table of one year
            continue
        dates = _dates_of(path, key, column, order)
        if dates is not None or _counts_time(key, column):
            found.append(TimeColumn(key, column, [key], dates))
    if not found and not joined:
        _refuse_odd_times(path, rows, cells, order)
        return TimeColumn("", [], [])
    # Days repeat if a column of times belongs to them; days with a time of sunrise do not.
    both = [*found, *parts, *joined]
    first = next((one for one in both if len(set(one.cells)) == len(one.cells)), both[0])
    others = [one.name for one in found if one.name not in first.parts]
    why = f"holds times, too; {first.name!r} is the one that counts"
    return first._replace(parts=[*first.parts, *others], left_out=dict.fromkeys(others, why))


def _dates_of(
    path: str, name: str, column: list[str], order: str | None
) -> tuple[Times, Format] | None:
    """The dates of a column; numbers, such as 1949, need the name of a time."""
    if NUMBER.fullmatch(column[0]):
        named = words_of(name) & DATE_WORDS and len(column[0]) > 3
        return read_dates(column) if named else None
    try:
        return read_dates(column, order)
    except ValueError as error:
        raise InputError(f"{path}: column {name!r} {error}") from None


def _counts_time(name: str, column: list[str]) -> bool:
    """Return whether a column named as a time has numbers at equal steps."""
    if not name:
        named = len(column[0]) > 3 and read_dates(column) is not None
    else:
        named = may_be_time(name)
    if not named or not all(map(NUMBER.fullmatch, column)):
        return False
    try:
        grid = grid_of(column)
    except ValueError:
        return False
    return "about" not in grid.step and 2 * len(column) >= max(grid.places) and len(column) > 1


def _date_and_clock(cells: dict[str, list[str]], order: str | None) -> list[TimeColumn]:
    """Join a column of days with a neighbouring one of times of day, or with one of hours."""
    names = list(cells)
    days = [k for k, name in enumerate(names) if _starts_with_a_day(cells[name])]
    pairs = []
    for k, name in enumerate(names):
        if all(map(CLOCK.fullmatch, cells[name])):
            pairs += [(names[day], name, cells[name]) for day in (k - 1, k + 1) if day in days]
        elif name.lower() in PARTS["hour"] and set(cells[name]) <= HOURS:
            clock = [f"{cell.zfill(2)}:00" for cell in cells[name]]
            pairs += [(names[day], name, clock) for day in days]
    found = []
    for first, second, clock in pairs:
        both = [f"{a} {b}" for a, b in zip(cells[first], clock, strict=True)]
        try:
            fits = read_dates(both, order) is not None
        except ValueError:
            fits = True  # the error is raised when the column is read
        if fits:
            found.append(TimeColumn(f"{first} {second}".strip(), both, [first, second]))
    return found


def _starts_with_a_day(column: list[str]) -> bool:
    return ":" not in column[0] and is_date(column[0]) and not CLOCK.fullmatch(column[0])


def _year_and_month(cells: dict[str, list[str]]) -> list[TimeColumn]:
    """Join columns of the year, the month and so on to one of dates."""
    parts: list[str] = []
    for known in PARTS.values():
        match = next((name for name in cells if name.lower() in known), None)
        if match is None:
            break
        parts.append(match)
    if len(parts) < 2:
        return []
    dates = []
    for row in zip(*(cells[name] for name in parts), strict=True):
        numbers = [month_number(cell) for cell in row]
        if not all(number.isdecimal() for number in numbers) or len(numbers[0]) != 4:
            return []
        year, *rest = numbers
        text = "-".join([year, *(number.zfill(2) for number in rest[:2])])
        clock = [number.zfill(2) for number in rest[2:]]
        dates.append(text if not clock else f"{text} {clock[0]}:{(clock[1:] or ['00'])[0]}")
    try:
        fits = read_dates(dates) is not None
    except ValueError:
        fits = False
    return [TimeColumn(" ".join(parts), dates, parts)] if fits else []


def _refuse_odd_times(
    path: str, rows: Rows, cells: dict[str, list[str]], order: str | None
) -> None:
    """Refuse a column of dates with a cell that is not a date, instead of leaving it out."""
    for name, column in cells.items():
        named = may_be_time(name)
        present = [cell for cell in column if cell.lower() not in MISSING]
        texts = [cell for cell in present if not NUMBER.fullmatch(cell)]
        dates = sum(is_date(cell) or is_date(cell[:10]) for cell in texts)
        if dates > len(column) / 2 or (named and len(texts) > len(column) / 2):
            bad = next((k for k, cell in enumerate(column) if not is_date(cell)), None)
            if bad is None:
                unlike = (k for k in range(len(column)) if not alike(column[0], column[k]))
                bad = next(unlike, None)
            if bad is None:
                raise InputError(
                    f"{path}: the dates of column {name!r}, such as {column[-1]!r}, are not in the "
                    f"order of --data.date_order {order}"
                )
            raise InputError(
                f"{path}, {rows.where(bad)}: {column[bad][:40]!r} in column {name!r} is not a date "
                f"{_cure(column[bad])}; if the column is no time, choose the others: --data.columns"
            )
        rises = named and not texts and len(present) == len(column) > 2
        if rises and all(float(a) < float(b) for a, b in itertools.pairwise(column)):
            raise InputError(
                f"{path}: the numbers of column {name!r} are no dates and not at equal steps; if "
                f"it is the time anyway: --data.time {name!r}; if not, choose the others: "
                "--data.columns"
            )


def _cure(cell: str) -> str:
    if not cell:
        return "such as 2024-01-31 14:00; give the row its time, or delete it"
    if re.search(r"\b24:00", cell):
        return "of 00:00 to 23:59; write 24:00 as 00:00 of the next day"
    if re.search(r"\d ?[A-Z]{3,4}$", cell):
        return "that is known by its zone; write the offset, such as +01:00"
    if about_names(cell):
        return f"such as 2024-01-31 14:00{about_names(cell)}"
    return "such as 2024-01-31 14:00, or not written as those above it"


def may_be_time(name: str) -> bool:
    """Return whether a column of this name may hold times."""
    parts = ("date", "time", "year", "month", "day")  # as in YearMonth
    return bool(words_of(name) & MAYBE_WORDS) or any(part in name.lower() for part in parts)


def words_of(name: str) -> set[str]:
    """The words in the name of a column, in lower case."""
    return set(re.findall(r"[^\W\d_]+", name.lower()))
