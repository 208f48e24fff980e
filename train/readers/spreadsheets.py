"""Tables of spreadsheets (.xlsx, by openpyxl) and of .parquet files (by pyarrow), as text."""

from __future__ import annotations

import datetime
import io
import json
import warnings
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np

from train.errors import InputError
from train.readers.numbers import NumberCell


def cells_of_workbook(path: str, data: bytes, sheet: str | None) -> list[tuple[int, list[str]]]:
    """The cells of the named sheet, or of the only one with cells, with row numbers."""
    try:
        from openpyxl import load_workbook
    except ModuleNotFoundError:
        raise InputError(f"{path} needs openpyxl: python -m pip install openpyxl") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unknown styles
            book, formulas = (
                load_workbook(io.BytesIO(data), data_only=values) for values in (True, False)
            )
    except Exception as error:  # openpyxl raises many types
        raise InputError(f"{path} is not a readable .xlsx file: {error}") from None
    filled = {found.title: found for found in book.worksheets if any(_values(found))}
    if not filled:
        raise InputError(f"{path} holds no cells")
    if sheet is None and len(filled) > 1:
        names = ", ".join(map(repr, filled))
        raise InputError(f"{path} has several sheets with cells, {names}: choose by --data.sheet")
    if sheet is not None and sheet not in filled:
        raise InputError(f"{path} has no sheet {sheet!r} with cells; it has {list(filled)}")
    chosen = filled[sheet or next(iter(filled))]
    rows = [list(row) for row in chosen.iter_rows()]
    for row in rows:
        for cell in row:
            if cell.value is None and formulas[chosen.title][cell.coordinate].data_type == "f":
                raise InputError(
                    f"{path}: {cell.coordinate} is a formula without a result; open the file in a "
                    "spreadsheet program and save it, or save it as .csv"
                )
    used = [k for k in range(chosen.max_column) if any(row[k].value is not None for row in rows)]
    first, last = used[0], used[-1] + 1
    dates = {k: _are_days([row[k].value for row in rows]) for k in range(first, last)}
    return [
        (number, [_text(row[k].value, dates[k]) for k in range(first, last)])
        for number, row in enumerate(rows, 1)
    ]


def _values(sheet: Any) -> Iterator[Any]:
    for row in sheet.iter_rows(values_only=True):
        yield from (value for value in row if value is not None)


def cells_of_parquet(path: str, data: bytes) -> tuple[list[str], list[list[str]]]:
    """The header and rows of a .parquet file; the index of pandas, if saved, comes first."""
    try:
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise InputError(f"{path} needs pyarrow: python -m pip install pyarrow") from None
    import pyarrow

    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(data))
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path} is not a readable .parquet file: {reason}") from None
    kept = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
    index = [name for name in kept.get("index_columns", []) if isinstance(name, str)]
    names = table.column_names
    places = sorted(range(len(names)), key=lambda k: names[k] not in index)
    columns = []
    for place in places:
        try:
            values = _plain(table.column(place))
        except (ValueError, OverflowError) as error:  # a time that Python cannot represent
            raise InputError(f"{path}, column {names[place]!r}: {error}") from None
        days = _are_days(values)
        columns.append([_text(value, days) for value in values])
    header = ["" if names[k].startswith("__index_level_") else names[k] for k in places]
    rows = [list(row) for row in zip(*columns, strict=True)]
    if not rows:
        raise InputError(f"{path} must hold rows of numbers")
    return header, rows


def _plain(column: Any) -> list[Any]:
    """Python values; times with nanoseconds become text."""
    import pyarrow

    kind = column.type
    if not pyarrow.types.is_timestamp(kind) or kind.unit != "ns":
        return column.to_pylist()
    counts = column.cast(pyarrow.int64()).to_pylist()
    if any(count % 1000 for count in counts if count is not None):
        zone = "" if kind.tz is None else "Z"
        texts = (None if n is None else str(np.datetime64(n, "ns")) + zone for n in counts)
        return list(texts)
    return column.cast(pyarrow.timestamp("us", kind.tz)).to_pylist()


def _are_days(values: list[Any]) -> bool:
    """Return whether all times are midnights without an offset."""
    times = [value for value in values if isinstance(value, datetime.datetime)]
    return all(time.time() == datetime.time() and time.tzinfo is None for time in times)


def _text(value: Any, days: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if days else value.isoformat(" ")
    if isinstance(value, datetime.timedelta):
        return f"{value.total_seconds()} s"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | Decimal | np.number):
        return NumberCell(value)
    return str(value).strip()
