"""Sequences with classes, from tables, folders of tables, .ts and .npz files."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from train.config.tasks import Series
from train.errors import InputError
from train.readers.files import array_of, arrays_of, inside_package, read_bytes
from train.readers.sequence_folders import files_of_folder, from_folder
from train.readers.sequence_tables import Read, from_long
from train.readers.ts import from_ts

PADDED = (
    "save sequences of different lengths padded: lengths = [len(x) for x in xs]; inputs = "
    "np.stack([np.pad(x, ((0, max(lengths) - len(x)), (0, 0))) for x in xs]); np.savez(FILE, "
    "inputs=inputs, lengths=lengths, labels=np.array(labels, str))"
)
RECIPES = {
    ".arff": "download the .ts of the same data from the UEA archive",
    ".npy": "np.savez(NEW, inputs=np.load(FILE), labels=...)",
    ".ts.gz": "unpack it by gunzip",
    ".npz.gz": "unpack it by gunzip",
    ".mat": "np.savez(NEW, inputs=..., labels=...) with arrays of scipy.io.loadmat(FILE)",
    ".h5": "np.savez(NEW, inputs=..., labels=...)",
}


class Sequences(NamedTuple):
    """Sequences, each with a class."""

    sequences: list[np.ndarray]  # (time, features), float64, NaN is a missing value
    labels: list[str]  # empty if the file has no classes; "" is an unknown class
    test: Sequences | None
    source: str
    sha256: str
    names: Sequence[str] = ()  # ids or files; empty if they are numbered
    columns: Sequence[str] = ()  # the features; empty if they have no names

    def places(self) -> list[str]:
        """The name of each sequence in errors."""
        numbers = range(1, len(self.sequences) + 1)
        return [f"{self.source}: sequence {name}" for name in self.names or numbers]


def read_labelled(path: str | None, test_path: str | None, how: Series | None = None) -> Sequences:
    """Read sequences of a file or folder, and of a second one; without any, JapaneseVowels.

    Args:
      path: the file or folder.
      test_path: another one with the test split, if there is one.
      how: the settings of columns and of the table's format.

    Raises:
      InputError: files that cannot be read, do not match, or lack classes.
    """
    how, source = how or Series(), path
    if path is None:
        if test_path is not None:
            raise InputError(f"data.test_path {test_path} needs a data.path to learn from")
        folder = inside_package("sktime", "datasets/data/JapaneseVowels", "classification")
        path, test_path = (str(folder / f"JapaneseVowels_{part}.ts") for part in ("TRAIN", "TEST"))
        source = "JapaneseVowels"
    train = _read_sequences("data.path", path, how)
    _check_classes(train, how, "to learn")
    if test_path is None:
        return train
    named = tuple(train.columns)
    test = _read_sequences("data.test_path", test_path, how, named)
    _check_classes(test, how, "to test on")
    features, wanted = test.sequences[0].shape[1], train.sequences[0].shape[1]
    if features != wanted:
        raise InputError(f"{test_path} has {features} features, {path} has {wanted}")
    both = hashlib.sha256((train.sha256 + test.sha256).encode()).hexdigest()
    return train._replace(test=test, source=source or path, sha256=both)


def read_sequences(
    path: str, how: Series | None = None, columns: tuple[str, ...] = ()
) -> Sequences:
    """Read sequences of a file or folder, with or without classes.

    Args:
      path: the file or folder.
      how: the settings of columns and of the table's format.
      columns: the features that tables must have, in this order; empty takes those of `how`.
    """
    return _read_sequences("data.path", path, how or Series(), columns)


def _read_sequences(key: str, path: str, how: Series, columns: tuple[str, ...] = ()) -> Sequences:
    how = dataclasses.replace(how, columns=columns or how.columns)
    if len(set(how.columns)) < len(how.columns):
        raise InputError(f"data.columns must name each column once, got {list(how.columns)}")
    if os.path.isdir(path):  # also False for an impossible path
        files = files_of_folder(key, path)
        digest = hashlib.sha256()
        for name, data in files.items():
            digest.update(f"{name}\0{hashlib.sha256(data).hexdigest()}\n".encode())
        read = from_folder(path, files, how)
    else:
        for suffix, recipe in RECIPES.items():
            if path.lower().endswith(suffix):
                raise InputError(
                    f"{key} {path} must be a table, such as .csv, a folder of tables, a .ts or an "
                    f".npz file; {recipe}"
                )
        data = read_bytes(key, path)
        digest = hashlib.sha256(data)
        suffix = Path(path).suffix.lower()
        if suffix in (".ts", ".npz"):
            read = Read(*(from_npz if suffix == ".npz" else from_ts)(path, data), [], [])
        else:
            read = from_long(path, data, how)
    _check(path, read)
    return Sequences(
        read.sequences, read.labels, None, path, digest.hexdigest(), read.names, read.columns
    )


def _check(path: str, read: Read) -> None:
    """Check that sequences are not empty, have the same features, and are finite."""
    if not read.sequences:
        raise InputError(f"{path} holds no sequence")
    features = read.sequences[0].shape[1]
    for k, sequence in enumerate(read.sequences):
        where = f"{path}: sequence {read.names[k] if read.names else k + 1}"
        if sequence.shape[1] != features:
            raise InputError(f"{where} has {sequence.shape[1]} features, the first has {features}")
        if np.isinf(sequence).any():
            step, feature = np.argwhere(np.isinf(sequence))[0] + 1
            raise InputError(
                f"{where} is not finite at step {step}, feature {feature}; a missing value is NaN"
            )
        if np.isnan(sequence).all():
            raise InputError(f"{where} has no value; leave it out")


def _check_classes(found: Sequences, how: Series, purpose: str) -> None:
    """Check that every sequence has a class."""
    if not found.labels:
        cure = f"; it needs a column {how.label!r}, or --data.label COLUMN" if found.columns else ""
        if os.path.isdir(found.source):
            cure = (
                "; put each file into a sub-folder that is called as its class, or list the files "
                f"in labels.csv, with the columns file and {how.label}"
            )
        raise InputError(f"{found.source} holds no classes {purpose}{cure}")
    if "" in found.labels:
        raise InputError(f"{found.places()[found.labels.index('')]} has no class")


def from_npz(path: str, data: bytes) -> tuple[list[np.ndarray], list[str]]:
    """`inputs` (example, time, features), `labels` and, if they differ, `lengths` (example,)."""
    arrays = arrays_of(path, data, PADDED)
    inputs = array_of(path, arrays, "inputs", (2, 3)).astype(np.float64)
    inputs = inputs[..., None] if inputs.ndim == 2 else inputs
    if 0 in inputs.shape:
        raise InputError(
            f"{path}: inputs are (example, time, features) and none of them 0, got {inputs.shape}"
        )
    lengths = _lengths(path, arrays.get("lengths"), inputs)
    labels = _labels(path, arrays.get("labels"), inputs)
    return [row[:n] for row, n in zip(inputs, lengths, strict=True)], labels


def _one_each(path: str, name: str, array: np.ndarray, inputs: np.ndarray, what: str) -> np.ndarray:
    """The array as `(example,)`; MATLAB saves it as a row or a column."""
    count = len(inputs)
    if array.size != count or sum(n != 1 for n in array.shape) > 1:
        one_hot = "; one-hot rows are labels.argmax(1)" if what == "classes" else ""
        raise InputError(
            f"{path}: {name} must be {count} {what}, one for each example of inputs {inputs.shape} "
            f"(example, time, features), got an array {array.shape}{one_hot}"
        )
    return array.reshape(-1)


def _lengths(path: str, lengths: np.ndarray | None, inputs: np.ndarray) -> np.ndarray:
    count, time = inputs.shape[:2]
    if lengths is None:
        ends = np.flatnonzero(np.isnan(inputs[:, -1]).all(1))
        if len(ends):
            raise InputError(
                f"{path}: all values are missing at the end of sequence {ends[0] + 1}; say by "
                "`lengths` (example,) where each ends, NaN before that is a missing value"
            )
        return np.full(count, time)
    lengths = _one_each(path, "lengths", lengths, inputs, "numbers")
    if lengths.dtype.kind not in "fiu":
        raise InputError(f"{path}: lengths must be whole numbers, got {lengths.dtype}")
    bad = ~((lengths >= 1) & (lengths <= time) & (lengths == np.floor(lengths)))
    if bad.any():
        k = bad.argmax()
        raise InputError(
            f"{path}: lengths must be whole numbers from 1 to {time}, the steps of inputs; "
            f"lengths[{k}] is {lengths[k]}"
        )
    return lengths.astype(np.int64)


def _labels(path: str, labels: np.ndarray | None, inputs: np.ndarray) -> list[str]:
    if labels is None:
        return []
    labels = _one_each(path, "labels", labels, inputs, "classes")
    kind = labels.dtype.kind
    if kind not in "fiubUS":
        raise InputError(f"{path}: labels must be text or whole numbers, got {labels.dtype}")
    if kind == "f":
        labels = labels.astype(np.float64)
        bad = ~((labels == np.floor(labels)) & (abs(labels) < 2**53))
        if bad.any():
            k = bad.argmax()
            raise InputError(
                f"{path}: labels must be text or whole numbers, labels[{k}] is {labels[k]}"
            )
        labels = labels.astype(np.int64)
    if kind == "S":
        try:
            return [label.decode().strip() for label in labels.tolist()]
        except UnicodeDecodeError:
            raise InputError(f"{path}: labels are bytes that are not UTF-8 text") from None
    return [str(label).strip() for label in labels]
