"""Checks of the header of a table, and names for unnamed columns."""

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
        raise InputError(f"{path} has no header: its first line holds only numbers")
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
                "--data.skip skips lines above the header"
            )
    for k in unnamed[len(full) == 0 :]:
        if k not in full:
            header[k] = f"Unnamed: {k}"


def refuse_times_in_header(path: str, rows: Rows) -> None:
    """Refuse a wide table, with its time steps in the header."""
    named = [name for name in rows.header if name]
    dates = [name for name in named if is_date(name)]
    months = [name for name in named if month_number(name) != name]
    for found, least in ((dates, max(3, len(named) / 2)), (months, 4)):
        if len(found) >= least:
            raise InputError(
                f"{path} has times such as {found[0]!r} in its header: a wide table must be "
                "transposed, to a row per time step and a column per series (melt in pandas)"
            )


def meant(name: str, known: list[str]) -> str:
    """The end of an error about an unknown name: the known name that is similar."""
    by_lower = {name.lower(): name for name in known}
    matches = difflib.get_close_matches(name.lower(), by_lower, 1)
    return f"; did you mean {by_lower[matches[0]]!r}?" if matches else ""
