"""Sequences of a .ts file: the format of sktime, aeon and the UEA archive."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from train.errors import InputError
from train.readers.files import text_of


class Header(NamedTuple):
    """The header: the lines before @data. None is not given."""

    labelled: bool = True
    classes: frozenset[str] = frozenset()  # in lower case
    dimensions: int | None = None
    steps: int | None = None
    equal: bool = True  # whether all sequences have the same number of steps


def from_ts(path: str, data: bytes) -> tuple[list[np.ndarray], list[str]]:
    """Read sequences `(time, features)` and their classes, if the file has any.

    A line is a sequence: dimensions are separated by `:`, steps by commas, and the class is last. A
    value `?` or NaN is missing.
    """
    sequences: list[np.ndarray] = []
    labels: list[str] = []
    header, begun = Header(), False
    for number, line in enumerate(text_of(path, data).splitlines(), 1):
        where, line = f"{path}, line {number}", line.strip()
        if not line or line.startswith(("#", "%")):
            continue
        if begun:
            sequence, label = _sequence(where, line, header)
            sequences.append(sequence)
            labels.append(label)
        elif not line.startswith("@"):
            raise InputError(f"{path} is not a .ts file: it has no line @data before line {number}")
        else:
            begun = line.lower() == "@data"
            header = _with_line(where, line, header)
    if not begun:
        raise InputError(f"{path} is not a .ts file: it has no line @data")
    return sequences, labels if header.labelled else []


def _with_line(where: str, line: str, header: Header) -> Header:
    """The header with the content of one more line."""
    name, *words = line.split()
    name, first = name.lower(), words[0].lower() if words else ""
    if name == "@timestamps" and first == "true":
        raise InputError(
            f"{where}: the file has time stamps, which are not read; write only the values, with "
            "@timeStamps false"
        )
    if name == "@targetlabel" and first == "true":
        raise InputError(f"{where}: the file has numbers to regress on, not classes")
    if name == "@classlabel":
        classes = frozenset(word.lower() for word in words[1:])
        return header._replace(labelled=first == "true", classes=classes)
    if name == "@univariate" and first == "true":
        return header._replace(dimensions=1)
    if name == "@equallength" and first == "false":
        return header._replace(equal=False)
    if name in ("@dimensions", "@dimension", "@serieslength"):
        if not first.isdecimal():
            raise InputError(f"{where}: {name} must be a whole number, got {first!r}")
        number = int(first)
        if name == "@serieslength":
            return header._replace(steps=number)
        return header._replace(dimensions=number)
    return header


def _sequence(where: str, line: str, header: Header) -> tuple[np.ndarray, str]:
    """The sequence `(time, dimensions)` of a line, and its class, "" without one."""
    dimensions, label = line.split(":"), ""
    if header.labelled:
        label = dimensions.pop().strip()
        known = label.lower() in {*header.classes, "?"} if header.classes else "," not in label
        if not dimensions or not known:
            raise InputError(
                f"{where}: ends in {label[:40]!r}, which is not a class"
                + (f" of {', '.join(sorted(header.classes))}" if header.classes else "")
                + "; the class comes last, after a colon, unless the header says @classLabel false"
            )
    if header.dimensions not in (None, len(dimensions)):
        raise InputError(
            f"{where}: has {len(dimensions)} dimensions, the header says {header.dimensions}"
        )
    try:
        rows = [[_value(cell.strip()) for cell in text.split(",")] for text in dimensions]
    except ValueError as error:
        raise InputError(f"{where}: {error}; a missing value is ?") from None
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise InputError(
            f"{where}: its dimensions have different lengths, {lengths[0]} and {lengths[-1]}; "
            "pad the shorter ones with ?"
        )
    if header.equal and header.steps not in (None, lengths[0]):
        raise InputError(
            f"{where}: has {lengths[0]} steps, the header says @seriesLength {header.steps}"
        )
    return np.array(rows).T, "" if label == "?" else label


def _value(cell: str) -> float:
    if "_" in cell:  # Python takes 1_000 for a number
        raise ValueError(f"could not convert string to float: {cell!r}")
    return float("nan") if cell == "?" else float(cell)
