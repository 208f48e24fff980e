"""Columns of numbers over time, from tables and .npz files."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from train.config.tasks import Table
from train.errors import InputError
from train.readers.files import array_of, arrays_of, inside_package, read_bytes
from train.readers.headers import check_header, meant, refuse_times_in_header
from train.readers.long_tables import refuse_long_table
from train.readers.numbers import complaint, looks_like_a_number, numbers_the_rows, read_numbers
from train.readers.tables import Rows, read_rows
from train.readers.times.column import TimeColumn, find_time
from train.readers.times.grid import grid_of


class Columns(NamedTuple):
    """Columns of numbers over time; NaN is a missing value."""

    values: np.ndarray  # (time, columns), float64
    names: list[str]
    time: str | None  # the column of times
    times: list[str] | None  # one per row, in the format of the table, also in gaps
    left_out: dict[str, str]  # columns that are left out, with the reason
    source: str
    sha256: str
    missing: dict[str, int] = {}  # noqa: RUF012  # occurrences of each spelling of a missing value
    gaps: int = 0  # inserted rows
    step: str | None = None  # the time step, in words
    date_order: str | None = None  # of dates such as 01/31/2024


def read_columns(
    path: str | None, time: str | None, names: tuple[str, ...], how: Table | None = None
) -> Columns:
    """Read columns of a table or an .npz file; without one, carbon dioxide at Mauna Loa.

    Args:
      path: the file.
      time: the column of times; None detects it, if there is one.
      names: the columns to read; if empty, all columns of numbers.
      how: the settings of the table's format: `delimiter`, `missing` and the like.

    Raises:
      InputError: the file cannot be read, or a cell of these columns is not a number.
    """
    how = how or Table()
    if len(set(names)) < len(names):
        raise InputError(f"data.columns must name each column once, got {list(names)}")
    source = path
    if path is None:
        path = str(inside_package("statsmodels", "datasets/co2/co2.csv", "forecasting"))
        source = "carbon dioxide at Mauna Loa"
    data = read_bytes("data.path", path)
    read = _from_npz if Path(path).suffix.lower() == ".npz" else _from_table
    table = read(path, data, time, names, how)
    return table._replace(source=source or path, sha256=hashlib.sha256(data).hexdigest())


def times_after(times: list[str], count: int, order: str | None = None) -> list[str]:
    """The next times after the last one, in the same calendar and format; "" is a gap.

    Args:
      times: the times of the rows.
      count: the number of times after them.
      order: the order of day, month and year in dates such as 01/02/2024: dmy, mdy or ymd.

    Raises:
      InputError: the times do not increase, or have several formats.
    """
    try:
        grid = grid_of([cell for cell in times if cell], order)
        return grid.write(grid.places.max() + 1 + np.arange(count))
    except ValueError as error:
        raise InputError(str(error)) from None
    except (AttributeError, OverflowError):  # dates that NumPy can represent and Python cannot
        raise InputError(f"the times after {times[-1]!r} lie beyond the year 9999") from None


def digits(values: np.ndarray) -> Iterator[str]:
    """Format numbers for a CSV file; a missing one is empty."""
    for value in values:
        written = np.format_float_positional(value, 7, fractional=False, trim="-")
        yield "" if np.isnan(value) else written


def _from_npz(
    path: str, data: bytes, time: str | None, names: tuple[str, ...], how: Table
) -> Columns:
    values = array_of(path, arrays_of(path, data), "values", (1, 2)).astype(np.float64)
    values = values[:, None] if values.ndim == 1 else values
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        raise InputError(f"{path}: values[{row}, {column}] is {values[row, column]}")
    if time is not None:
        raise InputError(f"{path} has no times; leave out --data.time")
    known = [f"column {k + 1}" for k in range(values.shape[1])]
    _check_names(path, names, known)
    chosen = list(names) or known
    values = values[:, [known.index(name) for name in chosen]]
    return Columns(values, chosen, None, None, {}, "", "")


def _from_table(
    path: str, data: bytes, time: str | None, names: tuple[str, ...], how: Table
) -> Columns:
    rows = read_rows(path, data, how)
    if not names:
        refuse_times_in_header(path, rows)
    check_header(path, rows)
    cells = dict(zip(rows.header, map(list, zip(*rows.rows, strict=True)), strict=True))
    free = {name: column for name, column in cells.items() if name not in names or name == time}
    time_column = find_time(path, rows, free, time, how.date_order)
    if not time_column.cells:
        refuse_long_table(path, rows, cells)
    for name in time_column.parts:
        cells.pop(name)
    table = _numbers(path, rows, cells, names, how)
    table.left_out.update(time_column.left_out)
    return on_a_grid(path, table, time_column, how.date_order)


def _numbers(
    path: str, rows: Rows, cells: dict[str, list[str]], names: tuple[str, ...], how: Table
) -> Columns:
    """The columns of these names, or all columns of numbers."""
    _check_names(path, names, list(cells))
    values, left_out, missing = {}, {}, Counter()
    for name in names or cells:
        numbers = read_numbers(cells[name], how)
        present = len(cells[name]) - numbers.missing.total()
        reason = (
            None if names else _reason_to_leave_out(path, name, cells[name], numbers.bad, present)
        )
        if reason is not None:
            left_out[name] = reason
        elif numbers.bad:
            row = numbers.bad[0]
            cell = cells[name][row]
            place = f"{path}, {rows.where(row)}: {cell[:40]!r} in column {name!r}"
            raise InputError(f"{place} {complaint(cell, how, name in names)}")
        else:
            values[name] = numbers.values
            missing.update(numbers.missing)
    if not values:
        reasons = "; ".join(
            f"column {name!r} {reason}" for name, reason in list(left_out.items())[:3]
        )
        raise InputError(f"{path} has no column of numbers{': ' * bool(reasons)}{reasons}")
    if names:
        left_out = dict.fromkeys((name for name in cells if name not in names), "is not chosen")
    array = np.array(list(values.values())).T
    return Columns(array, list(values), None, None, left_out, "", "", dict(missing))


def _reason_to_leave_out(
    path: str, name: str, cells: list[str], bad: list[int], present: int
) -> str | None:
    """The reason to leave out a column that was not named; None for a column of numbers."""
    if not present:
        return "is empty"
    if not bad and numbers_the_rows(name, cells):
        return "numbers the rows"
    if not bad and not name:
        raise InputError(
            f"{path}: a column of numbers has no name; name it, or choose others: --data.columns"
        )
    numbers = present - len(bad) + sum(looks_like_a_number(cells[row]) for row in bad)
    return None if 5 * numbers >= present else f"holds text, such as {cells[bad[0]][:40]!r}"


def _check_names(path: str, names: tuple[str, ...], known: list[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"{path} has no column {unknown[0]!r} of numbers; it has {known}"
            + meant(unknown[0], known)
        )


def on_a_grid(path: str, table: Columns, time: TimeColumn, order: str | None) -> Columns:
    """Place the rows at equal time steps, with NaN in missing rows."""
    if not time.cells:
        return table
    try:
        grid = grid_of(time.cells, order, time.dates)
        count = int(grid.places.max()) + 1
        if count > 10 * len(time.cells):
            raise ValueError(
                f"{len(time.cells)} rows would leave {count - len(time.cells)} gaps at steps of "
                f"{grid.step}"
            )
        empty = np.setdiff1d(np.arange(count), grid.places)
        written = np.empty(count, object)
        written[grid.places] = time.cells
        if len(empty):
            written[empty] = grid.write(empty)
    except ValueError as error:
        raise InputError(f"{path}: column {time.name!r}: {error}") from None
    values = np.full((count, table.values.shape[1]), np.nan)
    values[grid.places] = table.values
    return table._replace(
        values=values, times=written.tolist(), time=time.name, gaps=len(empty), step=grid.step,
        date_order=grid.order or None,
    )  # fmt: skip
