"""The header of a table: what is refused in it, and columns without a name."""

from __future__ import annotations

import difflib

from train.errors import InputError
from train.readers.numbers import holds_a_value
from train.readers.tables import Rows
from train.readers.times.dates import is_date, month_number


def check_header(path: str, rows: Rows) -> None:
    """Refuse a header of numbers, or with a name twice; tell unnamed columns apart."""
    header = rows.header
    named = [name for name in header if name]
    repeated = [name for k, name in enumerate(header) if name and name in header[:k]]
    if all(map(holds_a_value, named)):
        raise InputError(f"{path} has no header: its first line holds numbers alone")
    if repeated:
        raise InputError(f"{path} has two columns {repeated[0]!r}; give one another name")
    unnamed = [k for k, name in enumerate(header) if not name]
    full = [k for k in unnamed if any(row[k] for row in rows.rows)]
    if len(full) > 1:
        raise InputError(f"{path}: columns {full[0] + 1} and {full[1] + 1} have no name; name them")
    for k in full:
        if k > 0 and not holds_a_value(rows.rows[0][k]):
            raise InputError(
                f"{path}: column {k + 1} has no name, but {rows.rows[0][k]!r} in {rows.where(0)}; "
                "--data.skip passes over lines above the header"
            )
    for k in unnamed[len(full) == 0 :]:
        if k not in full:
            header[k] = f"Unnamed: {k}"


def refuse_times_in_header(path: str, rows: Rows) -> None:
    """A wide table has its steps of time side by side."""
    named = [name for name in rows.header if name]
    dates = [name for name in named if is_date(name)]
    months = [name for name in named if month_number(name) != name]
    for found, least in ((dates, max(3, len(named) / 2)), (months, 4)):
        if len(found) >= least:
            raise InputError(
                f"{path} has times such as {found[0]!r} in its header: a wide table must be "
                "turned, to a row for each step of time and a column for each series (melt in "
                "pandas)"
            )


def meant(name: str, known: list[str]) -> str:
    """The end of a complaint about a name that is not `known`: the one that is much like it."""
    by_letters = {one.lower(): one for one in known}
    found = difflib.get_close_matches(name.lower(), by_letters, 1)
    return f"; was {by_letters[found[0]]!r} meant?" if found else ""
