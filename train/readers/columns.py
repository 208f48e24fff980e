"""Columns of numbers over time, from .csv and .npz files."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from train.errors import InputError
from train.readers.files import array_of, arrays_of, inside_package, read_bytes, text_of


class Columns(NamedTuple):
    """Columns of numbers over time; NaN is a missing value."""

    values: np.ndarray  # (time, columns), float64
    names: list[str]
    time: str | None  # the column of times
    times: list[str] | None  # one a row, as they are written; "" in a gap
    left_out: list[str]  # columns that hold no numbers
    source: str
    sha256: str


def read_columns(path: str | None, time: str | None, names: tuple[str, ...]) -> Columns:
    """Columns of a .csv or .npz file; without one, carbon dioxide at Mauna Loa.

    Args:
      path: of the file.
      time: the column of times; None finds it, if there is one, as the first without numbers.
      names: the columns to read; all that hold numbers where it is empty.
    """
    source = path
    if path is None:
        path = str(inside_package("statsmodels", "datasets/co2/co2.csv", "forecasting"))
        source = "carbon dioxide at Mauna Loa"
    data = read_bytes("data.path", path)
    digest = hashlib.sha256(data).hexdigest()
    if Path(path).suffix.lower() == ".npz":
        values = array_of(path, arrays_of(path, data), "values", (1, 2)).astype(np.float64)
        values = values[:, None] if values.ndim == 1 else values
        if np.isinf(values).any():
            row, column = np.argwhere(np.isinf(values))[0]
            raise InputError(f"{path}: values[{row}, {column}] is {values[row, column]}")
        columns = [f"column {k + 1}" for k in range(values.shape[1])]
        table = Columns(values, columns, None, None, [], source or path, digest)
    else:
        table = _from_csv(path, data, time)._replace(source=source or path, sha256=digest)
    if names:
        if len(set(names)) < len(names):
            raise InputError(f"data.columns must name each column once, got {list(names)}")
        unknown = [name for name in names if name not in table.names]
        if unknown:
            raise InputError(
                f"{path} has no column {unknown[0]!r} of numbers; it has {table.names}"
            )
        table = table._replace(
            values=table.values[:, [table.names.index(name) for name in names]], names=list(names)
        )
    return table


def _from_csv(path: str, data: bytes, time: str | None) -> Columns:
    text = text_of(path, data)
    try:
        dialect = csv.Sniffer().sniff(text[:4096], delimiters=",;\t")
    except csv.Error:
        dialect = csv.excel  # a single column
    reader = csv.reader(io.StringIO(text, newline=None), dialect)  # any kind of line end
    try:
        rows = [(number, row) for number, row in enumerate(reader, 1) if any(row)]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from None
    if len(rows) < 2:
        raise InputError(f"{path} must hold a header and rows of numbers")
    header = [name.strip() for name in rows[0][1]]
    repeated = [name for k, name in enumerate(header) if name in header[:k]]
    if repeated:
        raise InputError(f"{path} has two columns {repeated[0]!r}")
    if all(_number(name) is not None for name in header):
        raise InputError(f"{path} has no header: its first line holds numbers alone")
    for number, row in rows[1:]:
        if len(row) != len(header):
            raise InputError(
                f"{path}, line {number}: has {len(row)} cells, the header has {len(header)}"
            )
    cells = {name: [row[k].strip() for _, row in rows[1:]] for k, name in enumerate(header)}
    lines = [number for number, _ in rows[1:]]
    if time is None:
        time = next((name for name, column in cells.items() if _is_time(name, column)), None)
    elif time not in cells:
        raise InputError(f"{path} has no column {time!r}; it has {header}")
    if time is None:
        _refuse_odd_times(path, lines, cells)
    names, values, left_out = [], [], {}
    for name, column in cells.items():
        if name == time:
            continue
        numbers = [_number(cell) for cell in column]
        bad = next((k for k, n in enumerate(numbers) if n is None or np.isinf(n)), None)
        if bad is None:
            names.append(name)
            values.append(numbers)
            continue
        wrong = f"line {lines[bad]}: {column[bad]!r} in column {name!r}"
        if numbers[bad] is not None:
            raise InputError(f"{path}, {wrong} is not finite; leave it empty where it is missing")
        if numbers.count(None) < len(numbers) / 2:  # numbers, and one that is none
            raise InputError(f"{path}, {wrong} is no number")
        if re.fullmatch(r"[-+]?[\d.]*,\d+", column[bad]):
            raise InputError(f"{path}, {wrong} has a comma; write numbers as 1234.5")
        left_out[name] = wrong
    if not names:
        why = [f"; {wrong} is no number" for wrong in left_out.values()]
        raise InputError(f"{path} has no column of numbers{''.join(why[:1])}")
    times = None if time is None else cells[time]
    found = Columns(np.array(values).T, names, time, times, list(left_out), path, "")
    return on_a_grid(path, found)


def on_a_grid(path: str, table: Columns) -> Columns:
    """The rows at equal steps of time, with rows of NaN where some are missing."""
    if table.times is None:
        return table
    stamps = _stamps(path, table.times)
    steps = np.diff(stamps)
    if len(steps) and steps.min() <= 0:
        k = int(np.argmax(steps <= 0))
        raise InputError(
            f"{path}: times must rise, and {table.times[k + 1]!r} comes after {table.times[k]!r}"
        )
    if not len(steps):
        return table
    step = float(np.median(steps))
    # A calendar is not even: months have 28 to 31 days.
    places = np.concatenate([[0], np.cumsum(np.maximum(1, np.rint(steps / step)))]).astype(int)
    if places[-1] >= 10 * len(stamps):
        raise InputError(
            f"{path}: at the usual step of time, {len(stamps)} rows would leave "
            f"{places[-1] + 1 - len(stamps)} gaps"
        )
    values = np.full((places[-1] + 1, table.values.shape[1]), np.nan)
    values[places] = table.values
    times = [""] * len(values)
    for place, cell in zip(places, table.times, strict=True):
        times[place] = cell
    return table._replace(values=values, times=times)


def _is_time(name: str, column: list[str]) -> bool:
    """A column of dates; of such as are numbers, like 20240131, if its name says so as well."""
    if any(_date(cell) is None for cell in column):
        return False
    named = any(word in name.lower() for word in ("date", "time", "day"))
    return named or all(_number(cell) is None for cell in column)


def _refuse_odd_times(path: str, lines: list[int], cells: dict[str, list[str]]) -> None:
    """A column of dates with a cell that is none is not left out in silence."""
    for name, column in cells.items():
        words = set(re.split("[^a-z]+", name.lower()))
        texts, half = [cell for cell in column if _number(cell) is None], len(column) / 2
        dates = sum(_date(cell) is not None for cell in texts)
        named = words & {"date", "datetime", "time", "timestamp"}
        if dates > half or (named and len(texts) > half):
            bad = next(k for k, cell in enumerate(column) if _date(cell) is None)
            raise InputError(
                f"{path}, line {lines[bad]}: {column[bad]!r} in column {name!r} is no date of ISO "
                "8601, such as 2024-01-31 14:00; if the column is no time, give it another name"
            )


def _stamps(path: str, cells: list[str]) -> np.ndarray:
    """Times as numbers: all dates, as seconds, or all numbers."""
    for read in (_date, _number):
        found = [read(cell) for cell in cells]
        if not any(value is None or not np.isfinite(value) for value in found):
            return np.array(found, float)
    bad = next(c for c in cells if _date(c) is None and not np.isfinite(_number(c) or np.nan))
    raise InputError(f"{path}: the time {bad!r} is no number and no date of ISO 8601")


def _date(cell: str) -> float | None:
    """Seconds of a date in ISO 8601; 20240131 is one, too."""
    try:
        found = datetime.fromisoformat(cell)
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or UTC).timestamp()


def _number(cell: str) -> float | None:
    """NaN where the cell is empty or says that it is; None where it holds something else."""
    if cell.lower() in ("", "na", "nan", "null", "none", "?", "-"):
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        return None


def times_after(times: list[str], count: int) -> list[str]:
    """So many times after the last one, at the usual step; they are numbers or ISO 8601."""
    written = [cell for cell in times if cell]
    stamps = _stamps("", written)
    step = float(np.median(np.diff(stamps))) if len(stamps) > 1 else 0.0
    after = [stamps[-1] + step * k for k in range(1, count + 1)]
    if any(_date(cell) is None for cell in written):
        return [f"{stamp:.10g}" for stamp in after]
    found = [datetime.fromtimestamp(stamp, UTC).replace(tzinfo=None) for stamp in after]
    days = step % 86400 == 0 and all(when.time() == found[0].time() for when in found)
    plain = days and not any(found[0].timetuple()[3:6])
    between = "T" if "T" in written[-1] else " "
    return [when.date().isoformat() if plain else when.isoformat(between) for when in found]


def digits(values: np.ndarray) -> Iterator[str]:
    """Numbers as text for a CSV file; a missing one is empty."""
    return ("" if np.isnan(value) else f"{value:.6g}" for value in values)
