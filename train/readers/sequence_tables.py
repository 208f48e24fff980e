"""Sequences in tables: their features, and all sequences in one long table with a column of ids."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from train.config.tasks import Series
from train.errors import InputError
from train.readers.headers import check_header, meant
from train.readers.numbers import (
    MISSING,
    PLAIN,
    complaint,
    looks_like_a_number,
    numbers_the_rows,
    read_numbers,
)
from train.readers.tables import Rows, read_rows
from train.readers.times.dates import about_names, is_date, read_dates
from train.readers.times.frequency import ticks_of

UCR = (
    "for a file of the UCR archive, download its .ts, or table = np.loadtxt(FILE); "
    "np.savez(NEW, inputs=table[:, 1:], labels=table[:, 0])"
)


class Read(NamedTuple):
    """Sequences as read from files."""

    sequences: list[np.ndarray]  # (time, features), NaN is a missing value
    labels: list[str]  # empty without classes; "" is an unknown class
    names: list[str]  # ids, or files
    columns: list[str]  # the features


def from_long(path: str, data: bytes, how: Series) -> Read:
    """Read sequences of one table: each row is a step, of the sequence in the column `how.id`."""
    table = read_sequence_table(path, data, how)
    if how.id not in table.header:
        raise InputError(
            f"{path} has no column {how.id!r} that says which sequence a row belongs to; it has "
            f"{table.header}; name another: --data.id COLUMN; a file of one sequence is read "
            "from a folder that holds it: --data.path FOLDER"
        )
    columns = features_of(path, table, how, {how.id, how.label})
    values = read_features(path, table, columns, how)
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(table.column(how.id)):
        if name.lower() in MISSING:
            raise InputError(
                f"{path}, {table.where(row)}: {name!r} in column {how.id!r} names no sequence"
            )
        rows.setdefault(name, []).append(row)
    if len(rows) == len(table.rows) > 1:
        raise InputError(
            f"{path} has one row for each {how.id!r}, and a row is a step; for a table with a "
            "sequence in each row, table = pandas.read_csv(FILE); np.savez(NEW, "
            "inputs=table[STEPS], labels=table[LABEL].astype(str).to_numpy(str)), with the names "
            "of its columns"
        )
    check_times(path, table, how, list(rows.values()))
    labels = _labels(path, table, how, rows) if how.label in table.header else []
    return Read([values[row_numbers] for row_numbers in rows.values()], labels, list(rows), columns)


def read_sequence_table(path: str, data: bytes, how: Series) -> Rows:
    """The cells of a table with named columns."""
    table = read_rows(path, data, how)
    if all(PLAIN.fullmatch(name) for name in table.header):
        raise InputError(f"{path} has no header: its first line holds only numbers; {UCR}")
    check_header(path, table)
    return table


def features_of(path: str, table: Rows, how: Series, not_one: set[str]) -> list[str]:
    """The feature columns: those that are named, or all that have no other role."""
    named = [*how.columns, *([how.time] if how.time else [])]
    unknown = [name for name in named if name not in table.header]
    if unknown:
        raise InputError(
            f"{path} has no column {unknown[0]!r}; it has {table.header}"
            + meant(unknown[0], table.header)
        )
    columns = list(how.columns)
    for name in table.header if not columns else []:
        nameless = not name or name.lower().startswith("unnamed:")
        cells = table.column(name) if nameless else []
        if nameless and (not any(cells) or numbers_the_rows(name, cells)):
            continue  # the index of a data frame, or a delimiter at the end of each line
        if not name:
            place = table.header.index(name) + 1
            raise InputError(
                f"{path}: column {place} has no name; name it, or the columns to read: "
                "--data.columns"
            )
        if name not in not_one and name != how.time:
            columns.append(name)
    if not columns:
        raise InputError(f"{path} has no column of numbers; it has {table.header}")
    return columns


def read_features(path: str, table: Rows, names: list[str], how: Series) -> np.ndarray:
    """Read the columns of these names, `(rows, columns)` in float64; NaN is a missing value."""
    values = np.empty((len(table.rows), len(names)))
    for k, name in enumerate(names):
        cells = table.column(name)
        numbers = read_numbers(cells, how)
        if numbers.bad:
            cell = cells[numbers.bad[0]]
            reason = complaint(cell, how, name in how.columns)
            unlabelled = how.id in table.header and how.label not in table.header
            text = name not in how.columns and not any(map(looks_like_a_number, set(cells)))
            if unlabelled and text:
                reason = (
                    f"is not a number; if the column, as there is no {how.label!r}, has the "
                    f"classes: --data.label {name!r}; to leave it out: --data.columns"
                )
            if how.time is None and is_date(cell):
                reason = f"is a date; if the column is the time: --data.time {name!r}"
            where = f"{path}, {table.where(numbers.bad[0])}"
            raise InputError(f"{where}: {cell[:40]!r} in column {name!r} {reason}")
        values[:, k] = numbers.values
    return values


def check_times(path: str, table: Rows, how: Series, sequences: list[list[int]]) -> None:
    """Check that the times of a sequence increase."""
    if how.time is None:
        return
    cells = table.column(how.time)
    times = _times(path, table, how, cells)
    for rows in sequences:
        for last, row in itertools.pairwise(rows):
            if not times[last] < times[row]:
                raise InputError(
                    f"{path}, {table.where(row)}: times of a sequence must rise, and "
                    f"{cells[row]!r} comes after {cells[last]!r}; sort the rows"
                )


def _times(path: str, table: Rows, how: Series, cells: list[str]) -> list:
    """Convert times to numbers in the same order."""
    if all(map(PLAIN.fullmatch, cells)):
        return list(map(Decimal, cells))  # exact, also for nanoseconds since 1970
    numbers = read_numbers(cells, how)
    if not numbers.bad and not numbers.missing:
        return numbers.values
    try:
        dates = read_dates(cells, how.date_order)
    except ValueError as error:
        raise InputError(f"{path}: column {how.time!r} {error}") from None
    if dates is None:
        texts = [row for row in range(len(cells)) if not is_date(cells[row])]
        bad = next((row for row in numbers.bad if row in texts), (texts or numbers.bad)[0])
        why = "is neither a number nor a date such as 2024-01-31 14:00"
        why += about_names(cells[bad])
        if not texts:
            why = "and those above it are written differently"
        raise InputError(
            f"{path}, {table.where(bad)}: {cells[bad][:40]!r} in column {how.time!r} {why}"
        )
    return ticks_of(dates[0])[0].tolist()


def _labels(path: str, table: Rows, how: Series, rows: dict[str, list[int]]) -> list[str]:
    """The class of each sequence, which must be the same in all its rows."""
    column, labels = table.column(how.label), []
    for name, row_numbers in rows.items():
        classes = list(dict.fromkeys(column[row] for row in row_numbers))
        if len(classes) > 1:
            raise InputError(
                f"{path}: sequence {name!r} has classes {classes[0]!r} and {classes[1]!r} in "
                f"column {how.label!r}; a sequence has one class, and each its own id"
            )
        labels.append("" if classes[0] == "?" else classes[0])
    return labels if any(labels) else []
