"""Sequences in a folder: one table each, in the sub-folder of its class or next to a list."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from train.config.tasks import Series
from train.errors import InputError
from train.readers.files import natural, read_bytes
from train.readers.sequence_tables import (
    Read,
    check_times,
    features_of,
    read_features,
    read_sequence_table,
)
from train.readers.tables import Rows, read_rows

SPLITS = {"train", "training", "test", "testing", "valid", "validation", "val"}
TABLES = {".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".parquet"}


def from_folder(path: str, files: dict[str, bytes], how: Series) -> Read:
    """Read sequences of a folder's tables, by `files_of_folder`: each file is a sequence.

    Its class is the sub-folder, or is given in `labels.csv` (or another table of that name) with
    the columns `file` and `how.label`.
    """
    files = dict(files)
    lists = [name for name in files if _lists_classes(name)]
    listed = {name: files.pop(name) for name in lists}
    sequences, columns, first = [], list(how.columns), ""
    for name, data in files.items():
        where = f"{path}/{name}"
        table = read_sequence_table(where, data, how)
        taken = sorted({how.id, how.label} & set(table.header))
        if taken and not how.columns:
            raise InputError(
                f"{where} has a column {taken[0]!r}, as one long table would; a folder has a file "
                "a sequence, and --data.columns names the columns to read"
            )
        here = features_of(where, table, how, set())
        columns, first = columns or here, first or name
        if set(here) != set(columns):
            raise InputError(f"{where} has columns {here}, {first} has {columns}")
        check_times(where, table, how, [list(range(len(table.rows)))])
        sequences.append(read_features(where, table, columns, how))
    inside = [name.rpartition("/")[0] for name in files]
    labels = inside if any(inside) else []
    for name, data in listed.items():
        labels = _listed(f"{path}/{name}", read_rows(f"{path}/{name}", data, how), how, files)
    return Read(sequences, labels, list(files), columns)


def files_of_folder(key: str, path: str) -> dict[str, bytes]:
    """The files of a folder, all in it or all in its sub-folders, by relative path."""
    root = Path(path)
    try:
        entries = [entry for entry in root.iterdir() if not entry.name.startswith(".")]
        folders = [entry for entry in entries if entry.is_dir()]
        tables = [entry for entry in entries if not entry.is_dir()]
        inside = {
            folder.name: [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
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
    sequences = [entry for entry in tables if not _lists_classes(entry.name)]
    lists = [entry.name for entry in tables if _lists_classes(entry.name)]
    if sequences and folders:
        raise InputError(
            f"{key} {path} holds both files ({sequences[0].name}) and folders ({folders[0].name}); "
            "put each file into the folder of its class"
        )
    if folders and tables:
        raise InputError(f"{key} {path} holds both folders of classes and {lists[0]}; delete one")
    if len(lists) > 1:
        raise InputError(f"{key} {path} holds both {lists[0]} and {lists[1]}; delete one")
    tables += [entry for files in inside.values() for entry in files]
    odd = sorted(str(entry) for entry in tables if not _is_table(entry) or entry.is_dir())
    if odd:
        raise InputError(
            f"{odd[0]} is not a table; {path} must hold a table for each sequence: .csv, .tsv, "
            ".txt, also .gz, .xlsx or .parquet"
        )
    if len(tables) == len(lists):
        raise InputError(f"{key} {path} is a folder without tables, such as .csv files")
    tables.sort(key=lambda entry: natural(entry.relative_to(root).as_posix()))
    return {entry.relative_to(root).as_posix(): read_bytes(key, str(entry)) for entry in tables}


def _is_table(path: Path) -> bool:
    """Return whether a file has the suffix of a table."""
    return Path(path.name.lower().removesuffix(".gz")).suffix in TABLES


def _lists_classes(name: str) -> bool:
    """Return whether a file lists the classes of the others."""
    return name.lower().startswith("labels.") and _is_table(Path(name))


def _listed(path: str, table: Rows, how: Series, files: dict[str, bytes]) -> list[str]:
    """The class of each file, by labels.csv."""
    for name in ("file", how.label):
        if name not in table.header:
            raise InputError(f"{path} has no column {name!r}; it has {table.header}")
    names = table.column("file")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise InputError(f"{path} has {name} {times} times")
    classes = dict(zip(names, table.column(how.label), strict=True))
    for name in files:
        if name not in classes:
            raise InputError(f"{path} has no class for {name}")
    gone = [name for name in names if name not in files]
    if gone:
        raise InputError(f"{path} has a class for {gone[0]}, which is not there")
    return [classes[name] for name in files]
