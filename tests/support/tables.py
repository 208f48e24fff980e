"""Tables of text, and their columns as the reader returns them."""

from dataclasses import replace

import numpy as np

from train.config.tasks import Table
from train.readers.columns import read_columns

NAN = np.nan
DAYS = [f"2024-01-{day:02}" for day in range(1, 21)]


def read(path, time=None, names=(), **flags):
    """The columns of a table, read with these flags."""
    return read_columns(path, time, names, replace(Table(), **flags))


def table(head, *columns, rows=20):
    """Text of a table: a column of days, then columns of `cell(k)`."""
    lines = [",".join([DAYS[k], *(str(cell(k)) for cell in columns)]) for k in range(rows)]
    return "\n".join([head, *lines]) + "\n"
