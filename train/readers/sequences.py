"""Sequences with a class each, from .ts and .npz files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from train.errors import InputError
from train.readers.files import array_of, arrays_of, inside_package, read_bytes, text_of


class Sequences(NamedTuple):
    """Sequences with a class each."""

    sequences: list[np.ndarray]  # (time, features), float64
    labels: list[str]  # empty where a file has no classes
    test: Sequences | None
    source: str
    sha256: str


def read_labelled(path: str | None, test_path: str | None) -> Sequences:
    """Sequences of a .ts or .npz file, and of a second one; without any, JapaneseVowels."""
    source = path
    if path is None:
        folder = inside_package("sktime", "datasets/data/JapaneseVowels", "classification")
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
    for number, line in enumerate(text_of(path, data).splitlines(), 1):
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
    arrays = arrays_of(path, data)
    inputs = array_of(path, arrays, "inputs", (2, 3)).astype(np.float64)
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
