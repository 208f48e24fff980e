"""Files of people as arrays: .ts, .npz, .csv and .mat, with a clear complaint about each fault."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from train.errors import InputError


class Sequences(NamedTuple):
    """Sequences with a class each."""

    sequences: list[np.ndarray]  # (time, features), float64
    labels: list[str]  # empty where a file has no classes
    test: Sequences | None
    source: str
    sha256: str


class Columns(NamedTuple):
    """Columns of numbers over time; NaN is a missing value."""

    values: np.ndarray  # (time, columns), float64
    names: list[str]
    times: list[str] | None  # one a row, as they are written; "" in a gap
    left_out: list[str]  # columns that hold no numbers
    source: str
    sha256: str


def read_bytes(key: str, path: str) -> bytes:
    """The content of a file that the setting `key` names."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {key} {path}: {error.strerror}") from None
    except ValueError as error:  # a path with a character of code 0
        raise InputError(f"cannot read {key} {path!r}: {error}") from None


def read_labelled(path: str | None, test_path: str | None) -> Sequences:
    """Sequences of a .ts or .npz file, and of a second one; without any, JapaneseVowels."""
    source = path
    if path is None:
        folder = _inside("sktime", "datasets/data/JapaneseVowels", "classification")
        path, test_path = (str(folder / f"JapaneseVowels_{part}.ts") for part in ("TRAIN", "TEST"))
        source = "JapaneseVowels"
    found = _read_sequences("data.path", path)
    if not found.labels:
        raise InputError(f"{path} holds no classes to learn")
    if test_path is None:
        return found
    test = _read_sequences("data.test_path", test_path)
    if not test.labels:
        raise InputError(f"{test_path} holds no classes to test on")
    features, wanted = test.sequences[0].shape[1], found.sequences[0].shape[1]
    if features != wanted:
        raise InputError(f"{test_path} has {features} features, {path} has {wanted}")
    both = hashlib.sha256((found.sha256 + test.sha256).encode()).hexdigest()
    return found._replace(test=test, source=source or path, sha256=both)


def read_sequences(path: str) -> Sequences:
    """Sequences of a .ts or .npz file, with classes or without."""
    return _read_sequences("data.path", path)


def _read_sequences(key: str, path: str) -> Sequences:
    data = read_bytes(key, path)
    digest = hashlib.sha256(data).hexdigest()
    suffix = Path(path).suffix.lower()
    if suffix == ".npz":
        sequences, labels = _from_npz(path, data)
    elif suffix == ".ts":
        sequences, labels = _from_ts(path, data)
    else:
        raise InputError(f"{key} {path} must end in .ts or .npz")
    if not sequences:
        raise InputError(f"{path} holds no sequence")
    for k, sequence in enumerate(sequences):
        if not np.isfinite(sequence).all():
            raise InputError(
                f"{path}: sequence {k + 1} holds a value that is missing or not finite"
            )
        if sequence.shape[1] != sequences[0].shape[1]:
            raise InputError(
                f"{path}: sequence {k + 1} has {sequence.shape[1]} features, the first has "
                f"{sequences[0].shape[1]}"
            )
    return Sequences(sequences, labels, None, path, digest)


def _from_ts(path: str, data: bytes) -> tuple[list[np.ndarray], list[str]]:
    """The format of sktime and of the UEA archive: features are split by `:`, the class is last."""
    sequences: list[np.ndarray] = []
    labels: list[str] = []
    begun, labelled = False, True
    for number, line in enumerate(_text(path, data).splitlines(), 1):
        line = line.strip()
        if not line or line.startswith(("#", "%")):
            continue
        if not begun:
            words = line.lower().split()
            if words[0] == "@timestamps" and words[1:2] == ["true"]:
                raise InputError(f"{path} has time stamps, which are not read here")
            if words[0] == "@classlabel":
                labelled = words[1:2] == ["true"]
            if words[0] == "@targetlabel":
                raise InputError(f"{path} has numbers to regress on, not classes")
            begun = words[0] == "@data"
            continue
        *features, label = line.split(":") if labelled else [*line.split(":"), ""]
        try:
            rows = [
                [float("nan" if v.strip() == "?" else v) for v in f.split(",")] for f in features
            ]
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
        if not rows or len({len(row) for row in rows}) > 1:
            raise InputError(f"{path}, line {number}: its features have different lengths")
        sequences.append(np.array(rows).T)
        labels.append(label.strip())
    if not begun:
        raise InputError(f"{path} is no .ts file: it has no line @data")
    return sequences, labels if labelled else []


def _from_npz(path: str, data: bytes) -> tuple[list[np.ndarray], list[str]]:
    """`inputs` (example, time, features), `labels` and, if they differ, `lengths` (example,)."""
    arrays = _npz(path, data)
    inputs = _array(path, arrays, "inputs", (2, 3)).astype(np.float64)
    inputs = inputs[..., None] if inputs.ndim == 2 else inputs
    count, time = inputs.shape[:2]
    lengths = np.asarray(arrays.get("lengths", np.full(count, time)))
    if lengths.shape != (count,) or lengths.min(initial=1) < 1 or lengths.max(initial=0) > time:
        raise InputError(f"{path}: lengths must be {count} numbers from 1 to {time}")
    labels = arrays.get("labels")
    if labels is not None and labels.shape != (count,):
        raise InputError(f"{path}: labels must be {count} classes, got an array {labels.shape}")
    sequences = [row[:n] for row, n in zip(inputs, lengths, strict=True)]
    return sequences, [] if labels is None else [str(label) for label in labels]


def read_columns(path: str | None, time: str | None, names: tuple[str, ...]) -> Columns:
    """Columns of a .csv or .npz file; without one, carbon dioxide at Mauna Loa.

    Args:
      path: of the file.
      time: the column of times; None finds it, if there is one, as the first without numbers.
      names: the columns to read; all that hold numbers where it is empty.
    """
    source = path
    if path is None:
        path = str(_inside("statsmodels", "datasets/co2/co2.csv", "forecasting"))
        source = "carbon dioxide at Mauna Loa"
    data = read_bytes("data.path", path)
    digest = hashlib.sha256(data).hexdigest()
    if Path(path).suffix.lower() == ".npz":
        values = _array(path, _npz(path, data), "values", (1, 2)).astype(np.float64)
        values = values[:, None] if values.ndim == 1 else values
        columns = [f"column {k + 1}" for k in range(values.shape[1])]
        table = Columns(values, columns, None, [], source or path, digest)
    else:
        table = _from_csv(path, data, time)._replace(source=source or path, sha256=digest)
    if names:
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
    text = _text(path, data)
    try:
        dialect = csv.Sniffer().sniff(text[:4096], delimiters=",;\t")
    except csv.Error:
        dialect = csv.excel  # a single column
    rows = [(n, row) for n, row in enumerate(csv.reader(io.StringIO(text), dialect), 1) if any(row)]
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
    if time is None:
        time = next((name for name, column in cells.items() if _is_time(name, column)), None)
    elif time not in cells:
        raise InputError(f"{path} has no column {time!r}; it has {header}")
    names, values, left_out = [], [], []
    for name, column in cells.items():
        if name == time:
            continue
        numbers = [_number(cell) for cell in column]
        bad = next((k for k, value in enumerate(numbers) if value is None), None)
        if bad is None:
            names.append(name)
            values.append(numbers)
        elif numbers.count(None) < len(numbers) / 2:  # numbers, and one that is none
            raise InputError(
                f"{path}, line {rows[1 + bad][0]}: {column[bad]!r} in column {name!r} is no number"
            )
        else:
            left_out.append(name)
    if not names:
        raise InputError(f"{path} has no column of numbers")
    times = None if time is None else cells[time]
    found = Columns(np.array(values).T, names, times, left_out, path, "")
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


def read_rolls(path: str | None) -> tuple[dict[str, list[np.ndarray]], str]:
    """Piano rolls `(time, 88)` by split, and the file's SHA-256.

    A .mat file of Boulanger-Lewandowski et al. (2012), with `traindata`, `validdata` and
    `testdata`; or an .npz file of arrays called `train_...`, `valid_...` and `test_...`.
    """
    if path is None:
        raise InputError("name a file of piano rolls: --data.path JSB_Chorales.mat")
    data = read_bytes("data.path", path)
    if Path(path).suffix.lower() == ".npz":
        arrays = _npz(path, data)
        pieces = {
            part: [arrays[name] for name in sorted(arrays) if name.startswith(part)]
            for part in ("train", "valid", "test")
        }
    else:
        pieces = _from_mat(path, data)
    for part, rolls in pieces.items():
        for k, roll in enumerate(rolls):
            if roll.ndim != 2 or roll.shape[1] != 88 or not np.isin(roll, (0, 1)).all():
                raise InputError(
                    f"{path}: piece {k + 1} of {part} must be (time, 88) of 0 and 1, got an array "
                    f"{roll.shape}"
                )
            if len(roll) < 2:
                raise InputError(f"{path}: piece {k + 1} of {part} has {len(roll)} steps, 2 needed")
    found = {part: [r.astype(np.float32) for r in rolls] for part, rolls in pieces.items()}
    return found, hashlib.sha256(data).hexdigest()


def _from_mat(path: str, data: bytes) -> dict[str, list[np.ndarray]]:
    try:
        from scipy.io import loadmat
    except ModuleNotFoundError:
        raise InputError(f"{path} needs scipy: install the extra `data`") from None
    try:
        arrays = loadmat(io.BytesIO(data))
    except Exception as error:  # scipy raises what it meets
        raise InputError(f"{path} is no .mat file: {error}") from None
    missing = [n for n in ("traindata", "validdata", "testdata") if n not in arrays]
    if missing:
        raise InputError(f"{path} has no {missing[0]}; it has {_names(arrays)}")
    return {part: list(arrays[f"{part}data"][0]) for part in ("train", "valid", "test")}


def _npz(path: str, data: bytes) -> dict[str, np.ndarray]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return dict(file)
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no .npz file of plain arrays: {error}") from None


def _array(
    path: str, arrays: dict[str, np.ndarray], name: str, axes: tuple[int, ...]
) -> np.ndarray:
    if name not in arrays:
        raise InputError(f"{path} has no array {name!r}; it has {_names(arrays)}")
    array = arrays[name]
    if array.ndim not in axes or array.dtype.kind not in "fiub":
        raise InputError(
            f"{path}: {name} must be numbers with {' or '.join(map(str, axes))} axes, got "
            f"{array.dtype} {array.shape}"
        )
    return array


def _names(arrays: Any) -> str:
    return ", ".join(sorted(name for name in arrays if not name.startswith("__"))) or "none"


def _text(path: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text: byte {error.start} is {data[error.start]:#04x}"
        ) from None


def _inside(package: str, place: str, task: str) -> Path:
    """A file that a package holds, found without importing it."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise InputError(
            f"the data of this config comes with the package {package}: install the extra `data`, "
            f"or name a file of your own for {task}: --data.path FILE"
        )
    return Path(found.origin).parent / place


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
    return [when.date().isoformat() if plain else when.isoformat() for when in found]


def digits(values: np.ndarray) -> Iterator[str]:
    """Numbers as text for a CSV file; a missing one is empty."""
    return ("" if np.isnan(value) else f"{value:.6g}" for value in values)
