"""Cells as numbers: missing values, decimals and thousands in common notations."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import NamedTuple

import numpy as np

from train.config.tasks import TableFormat
from train.readers.times.dates import is_date

MISSING = {
    "", "na", "n/a", "n.a.", "#n/a", "#na", "<na>", "nan", "-nan", "nat", "null", "none", "nil",
    "missing", "?", "-", "--", "---", "\u2013", "\u2014", ".", "..", "...", ":", "*",
}  # fmt: skip
PLAIN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
INDICES = {"", "index", "level_0", "id", "row", "rows", "rownames", "row_id", "rowid", "no", "nr"}
SPACES = r" \u00a0\u2009\u202f"
GROUPS = {"comma": ",", "point": r"\.", "space": f"[{SPACES}]", "apostrophe": "['\u2019]"}
INFINITE = re.compile(r"[-+]?inf(inity)?|[-+]?\u221e", re.IGNORECASE)
# A number with a currency, a percent sign, a unit, or digits in groups.
DRESSED = re.compile(
    rf"[-+\u2212(]?\s*(?:[$€£¥₹₩₽]|USD|EUR|GBP|CHF|JPY|R\$|kr)?\s*[-+\u2212]?[.,]?\d[\d.,'\u2019_{SPACES}]*"
    r"(?:\s*[%‰$€£¥₹₩₽KkMB]|\s[A-Za-z°\u00b5/²³%·]{1,8}|\s?(?:USD|EUR|GBP|CHF|JPY|°[CFK]?))?\)?"
)


class NumberCell(str):
    """A cell that is a number in its file, such as a workbook: the format settings do not apply."""

    __slots__ = ()


class Numbers(NamedTuple):
    """A column as numbers."""

    values: list[float]  # NaN if missing
    bad: list[int]  # rows of cells that are not finite numbers
    missing: Counter[str]  # occurrences of each spelling of a missing value


def read_numbers(cells: list[str], how: TableFormat) -> Numbers:
    """Convert cells to numbers by the settings `missing`, and for text `decimal` and `thousands`.

    A column of only `true` and `false` becomes 1 and 0.
    """
    usual = (how.missing, how.decimal, how.thousands) == ((), "point", None)
    quick = _plain(cells) if usual else []
    if quick:
        return Numbers(quick, [], Counter())
    kept = {text.strip().lower() for text in how.missing}
    sentinels = {float(text) for text in kept if PLAIN.fullmatch(text)}
    known = MISSING | kept
    truths = {"true": 1.0, "false": 0.0}
    logical = {cell.lower() for cell in cells} - known <= truths.keys()
    mark = GROUPS.get(how.thousands or "")
    group = (
        None
        if mark is None
        else re.compile(rf"[-+]?\d{{1,3}}({mark}\d{{2,3}})*{mark}\d{{3}}(?!\d)")
    )
    values, bad, missing = [], [], Counter()
    for row, cell in enumerate(cells):
        low = cell.lower()
        number = math.nan
        if low not in known:
            number = truths[low] if logical else _number(cell, how, group)
        if low in known or number in sentinels:
            missing[cell] += 1
            number = math.nan
        elif number is None or math.isinf(number):
            bad.append(row)
            number = math.nan
        values.append(number)
    return Numbers(values, bad, missing)


def _plain(cells: list[str]) -> list[float]:
    """The fast path for plain decimal numbers; empty if a cell is not one."""
    if not set("".join(cells)) <= set("0123456789.+-eE"):
        return []
    try:
        numbers = list(map(float, cells))
    except ValueError:
        return []
    return [] if any(map(math.isinf, numbers)) else numbers


def _number(cell: str, how: TableFormat, group: re.Pattern[str] | None) -> float | None:
    if isinstance(cell, NumberCell):
        return float(cell)
    text = cell.replace("\u2212", "-")
    start = group and group.match(text)
    if start:
        text = re.sub(GROUPS[how.thousands or ""], "", start[0]) + text[start.end() :]
    if how.decimal == "comma":
        text = text.replace(".", "?").replace(",", ".")
    return float(text) if PLAIN.fullmatch(text) else None


def numbers_the_rows(name: str, cells: list[str]) -> bool:
    """Return whether a column only numbers the rows, as the index of a data frame."""
    try:
        numbers = np.array(cells, float)
    except ValueError:
        return False
    if not name or name.lower().startswith("unnamed:"):
        return bool((numbers % 1 == 0).all()) and len(np.unique(numbers)) == len(numbers)
    counts = numbers[0] in (0, 1) and bool((np.diff(numbers) == 1).all())
    return counts and name.lower().strip(" #.") in INDICES


def looks_like_a_number(cell: str) -> bool:
    """Return whether a person would take the cell for a number, even if `read_numbers` does not."""
    return bool(DRESSED.fullmatch(cell) or INFINITE.fullmatch(cell) or PLAIN.fullmatch(cell))


def holds_a_value(cell: str) -> bool:
    """Return whether the cell is a number, a date or a missing value, and so not a name."""
    return looks_like_a_number(cell) or is_date(cell) or cell.lower() in MISSING


def complaint(cell: str, how: TableFormat, named: bool = False) -> str:
    """The reason why a cell is not a number, and the flag that may change this.

    Args:
      cell: the text.
      how: the settings of the table's format.
      named: whether its column was requested by name, and so should not be left out.
    """
    other = "point" if how.decimal == "comma" else "comma"
    if INFINITE.fullmatch(cell) or (PLAIN.fullmatch(cell) and how.decimal == "point"):
        return "is not finite; leave it empty if it is missing, or name it: --data.missing"
    if re.search(r"[$€£¥₹₩₽%‰()]|\d\s?[A-Za-z°]", cell):
        leave = "" if named else ", or leave the column out: --data.columns"
        return f"has more than a number; write only numbers{leave}"
    if how.decimal == "comma" and PLAIN.fullmatch(cell):
        if how.thousands is None and re.fullmatch(r"[-+]?\d{1,3}(\.\d{3})+", cell):
            return "is not a number, unless digits are grouped: --data.thousands point"
        return "has a point, and data.decimal is comma: --data.decimal point"
    if re.fullmatch(rf"[-+\u2212]?[\d.,'\u2019{SPACES}]*\d[\d.,]*", cell):
        marks = (other, "space", "apostrophe")
        sort = next((mark for mark in marks if re.search(GROUPS[mark], cell)), None)
        if how.decimal == "point" and how.thousands is None and {",", "."} <= set(cell):
            german = cell.rindex(",") > cell.rindex(".")
            flags = (
                "--data.decimal comma --data.thousands point"
                if german
                else "--data.thousands comma"
            )
            return f"has a comma and a point: {flags}"
        if sort == "comma" and how.thousands != sort:
            return (
                "has a comma: --data.decimal comma if it is the decimal separator, "
                "--data.thousands comma if it groups digits"
            )
        if sort is not None and how.thousands is None:
            return f"is not a number, unless digits are grouped: --data.thousands {sort}"
    leave = "" if named else "; to leave the column out: --data.columns"
    return f"is not a number; if it is a missing value: --data.missing {cell!r}{leave}"
