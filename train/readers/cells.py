"""Cells of a CSV file: its header, its rows, and columns of numbers."""

from __future__ import annotations

import csv
import re
from typing import NamedTuple

import numpy as np

from train.errors import InputError
from train.readers.files import text_of

MISSING = {"", "?", "na", "n/a", "nan", "null", "none"}
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


class Cells(NamedTuple):
    """Cells as text, without blanks around them."""

    header: list[str]
    rows: list[list[str]]
    lines: list[int]  # where each row begins in the file

    def column(self, name: str) -> list[str]:
        """The cells below a name of the header."""
        place = self.header.index(name)
        return [row[place] for row in self.rows]


def read_cells(path: str, data: bytes) -> Cells:
    """The cells of a CSV file with a header, split by commas, semicolons or tabs.

    Raises:
      InputError: no text, no header, no row, rows of another width, a name that is there twice.
    """
    lines = re.split("\r\n|\r|\n", text_of(path, data))
    first = next((line for line in lines if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, strict=True)
    found, begins = [], 1
    try:
        for row in reader:
            found.append((begins, [cell.strip() for cell in row]))
            begins = reader.line_num + 1
    except csv.Error as error:
        reason = "a quote is not closed" if "unexpected end" in str(error) else error
        raise InputError(f"{path}, line {begins}: {reason}") from None
    found = [(number, row) for number, row in found if any(row)]
    if len(found) < 2:
        raise InputError(f"{path} must hold a header and rows of numbers")
    numbers, rows = zip(*found, strict=True)
    header = rows[0]
    if all(NUMBER.fullmatch(name) for name in header):
        raise InputError(f"{path} has no header: its first line holds numbers alone")
    for number, row in found[1:]:
        if len(row) != len(header):
            raise InputError(
                f"{path}, line {number}: has {len(row)} cells, the header has {len(header)}"
            )
    for k, name in enumerate(header):
        if not name or name in header[:k]:
            what = f"has two columns {name!r}" if name else f"does not name column {k + 1}"
            raise InputError(f"{path}, line {numbers[0]}: the header {what}")
    return Cells(header, list(rows[1:]), list(numbers[1:]))


def numbers_of(path: str, cells: Cells, names: list[str]) -> np.ndarray:
    """The columns of these names, `(rows, columns)` in float64; NaN is a missing value.

    Raises:
      InputError: a cell that is no number.
    """
    values = np.empty((len(cells.rows), len(names)))
    for k, name in enumerate(names):
        for row, cell in enumerate(cells.column(name)):
            if cell.lower() in MISSING:
                values[row, k] = np.nan
            elif NUMBER.fullmatch(cell):
                values[row, k] = float(cell)
            else:
                raise InputError(
                    f"{path}, line {cells.lines[row]}: {cell!r} in column {name!r} is no number; "
                    "write numbers as 1234.5, leave a missing one empty, or name the columns to "
                    "read: --data.columns"
                )
    return values
