"""Sequences in CSV files: one long file with a column of ids, or a folder with a file for each."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from train.errors import InputError
from train.readers.cells import MISSING, NUMBER, Cells, numbers_of, read_cells
from train.readers.files import natural, read_bytes
from train.settings import Series

SPLITS = {"train", "training", "test", "testing", "valid", "validation", "val"}


class Read(NamedTuple):
    """Sequences as the files have them."""

    sequences: list[np.ndarray]  # (time, features), NaN where a value is missing
    labels: list[str]  # empty where there are no classes; "" is a class that is not known
    names: list[str]  # ids, or files
    columns: list[str]  # the features


def from_long(path: str, data: bytes, how: Series) -> Read:
    """Sequences of one CSV file: a row is a step, the column `how.id` says of which sequence."""
    cells = read_cells(path, data)
    if how.id not in cells.header:
        raise InputError(
            f"{path} has no column {how.id!r} that says which sequence a row belongs to; it has "
            f"{cells.header}; name another: --data.id COLUMN"
        )
    columns = _features(path, cells, how, {how.id, how.label})
    values = numbers_of(path, cells, columns)
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(cells.column(how.id)):
        if name.lower() in MISSING:
            raise InputError(f"{path}, line {cells.lines[row]}: column {how.id!r} is empty")
        rows.setdefault(name, []).append(row)
    if len(rows) == len(cells.rows) > 1:
        raise InputError(
            f"{path} has one row for each {how.id!r}, and a row is a step; for a table with a "
            "sequence in each row, table = pandas.read_csv(FILE); np.savez(NEW, "
            "inputs=table[STEPS], labels=table[LABEL].astype(str).to_numpy(str)), with the names "
            "of its columns"
        )
    for of_one in rows.values():
        _check_times(path, cells, how, of_one)
    labels = _labels(path, cells, how, rows) if how.label in cells.header else []
    return Read([values[of_one] for of_one in rows.values()], labels, list(rows), columns)


def from_folder(path: str, files: dict[str, bytes], how: Series) -> Read:
    """Sequences of a folder's CSV files, by `files_of_folder`: a file is a sequence.

    The class of each is the sub-folder where it lies, or stands in `labels.csv`, which has a column
    `file` and a column `how.label`.
    """
    files = dict(files)
    listed = files.pop("labels.csv", None)
    sequences, columns, first = [], list(how.columns), ""
    for name, data in files.items():
        where = f"{path}/{name}"
        cells = read_cells(where, data)
        taken = sorted({how.id, how.label} & set(cells.header))
        if taken and not how.columns:
            raise InputError(
                f"{where} has a column {taken[0]!r}, as one long file would; a folder has a file a "
                "sequence, and --data.columns names the columns to read"
            )
        here = _features(where, cells, how, set())
        columns, first = columns or here, first or name
        if set(here) != set(columns):
            raise InputError(f"{where} has columns {here}, {first} has {columns}")
        _check_times(where, cells, how, list(range(len(cells.rows))))
        sequences.append(numbers_of(where, cells, columns))
    inside = [name.rpartition("/")[0] for name in files]
    labels = inside if any(inside) else []
    if listed is not None:
        labels = _listed(f"{path}/labels.csv", read_cells(f"{path}/labels.csv", listed), how, files)
    return Read(sequences, labels, list(files), columns)


def files_of_folder(key: str, path: str) -> dict[str, bytes]:
    """The files of a folder, all in it or all in its sub-folders, by their place in it."""
    root = Path(path)
    try:
        below = [one for one in root.iterdir() if not one.name.startswith(".")]
        folders = [one for one in below if one.is_dir()]
        found = [one for one in below if not one.is_dir()]
        inside = {
            folder.name: [one for one in folder.iterdir() if not one.name.startswith(".")]
            for folder in folders
        }
    except OSError as error:
        raise InputError(f"cannot read {key} {path}: {error.strerror}") from None
    splits = sorted(name for name in inside if name.lower() in SPLITS)
    if splits:
        raise InputError(
            f"{key} {path} holds a folder {splits[0]}, which is a split and no class: name the "
            "splits by --data.path and --data.test_path"
        )
    empty = [name for name, files in inside.items() if not files]
    if empty:
        raise InputError(f"{key} {path}: the folder {empty[0]} of a class is empty")
    sequences = [one for one in found if one.name != "labels.csv"]
    if sequences and folders:
        raise InputError(
            f"{key} {path} holds both files ({sequences[0].name}) and folders ({folders[0].name}); "
            "put each file into the folder of its class"
        )
    if folders and found:
        raise InputError(f"{key} {path} holds both folders of classes and labels.csv; delete one")
    found += [one for files in inside.values() for one in files]
    odd = sorted(str(one) for one in found if one.suffix.lower() != ".csv" or one.is_dir())
    if odd:
        raise InputError(
            f"{odd[0]} is no .csv file; {path} must hold a .csv file for each sequence"
        )
    if not [one for one in found if one.name != "labels.csv" or one.parent != root]:
        raise InputError(f"{key} {path} is a folder without .csv files")
    found.sort(key=lambda one: natural(one.relative_to(root).as_posix()))
    return {one.relative_to(root).as_posix(): read_bytes(key, str(one)) for one in found}


def _features(path: str, cells: Cells, how: Series, not_one: set[str]) -> list[str]:
    """The columns to read: those that are named, or all that say nothing else."""
    named = [*how.columns, *([how.time] if how.time else [])]
    unknown = [name for name in named if name not in cells.header]
    if unknown:
        raise InputError(f"{path} has no column {unknown[0]!r}; it has {cells.header}")
    columns = list(how.columns) or [
        name for name in cells.header if name not in not_one and name != how.time
    ]
    if not columns:
        raise InputError(f"{path} has no column of numbers; it has {cells.header}")
    return columns


def _check_times(path: str, cells: Cells, how: Series, rows: list[int]) -> None:
    """The times of a sequence rise: rows in another order would be another sequence."""
    if how.time is None:
        return
    column = cells.column(how.time)
    times = [_time(path, how.time, cells.lines[row], column[row]) for row in rows]
    for before, after, last, row in zip(times, times[1:], rows, rows[1:], strict=False):
        if not before < after:
            raise InputError(
                f"{path}, line {cells.lines[row]}: times of a sequence must rise, and "
                f"{column[row]!r} comes after {column[last]!r}; sort the rows"
            )


def _time(path: str, name: str, line: int, cell: str) -> float:
    """A number, or the seconds of a date."""
    if NUMBER.fullmatch(cell):
        return float(cell)
    try:
        time = datetime.fromisoformat(cell)
    except ValueError:
        raise InputError(
            f"{path}, line {line}: {cell!r} in column {name!r} is no number and no date of ISO "
            "8601, such as 2024-01-31 14:00"
        ) from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _labels(path: str, cells: Cells, how: Series, rows: dict[str, list[int]]) -> list[str]:
    """The class of each sequence, which is the same in all its rows."""
    column, labels = cells.column(how.label), []
    for name, of_one in rows.items():
        found = list(dict.fromkeys(column[row] for row in of_one))
        if len(found) > 1:
            raise InputError(
                f"{path}: sequence {name!r} has classes {found[0]!r} and {found[1]!r} in column "
                f"{how.label!r}; a sequence has one class, and each its own id"
            )
        labels.append("" if found[0] == "?" else found[0])
    return labels if any(labels) else []


def _listed(path: str, cells: Cells, how: Series, files: dict[str, bytes]) -> list[str]:
    """The classes that labels.csv gives to files, one for each."""
    for name in ("file", how.label):
        if name not in cells.header:
            raise InputError(f"{path} has no column {name!r}; it has {cells.header}")
    names = cells.column("file")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise InputError(f"{path} has {name} {times} times")
    classes = dict(zip(names, cells.column(how.label), strict=True))
    for name in files:
        if name not in classes:
            raise InputError(f"{path} has no class for {name}")
    gone = [name for name in names if name not in files]
    if gone:
        raise InputError(f"{path} has a class for {gone[0]}, which is not there")
    return [classes[name] for name in files]
