"""The config of each task, and the one registry of tasks: see docs/tasks.md."""

from dataclasses import dataclass, field
from typing import Literal

from train.config.settings import (
    STRICT,
    Bucket,
    Config,
    Count,
    Fraction,
    NotNegative,
    Rows,
    Size,
    Whole,
)


@dataclass(frozen=True)
class Text:
    """The text and its batches."""

    __pydantic_config__ = STRICT

    path: str | None = None
    """A UTF-8 text file. Without one: the language reference that ships with Python."""
    rows: Rows = 32
    """Batch size: the number of places in the text to read in parallel."""
    chunk: Count = 128
    """Characters per row and training step; gradients are truncated to these steps."""
    validation: Fraction = 0.05
    """Share of the text for validation, just before the test split."""
    test: Fraction = 0.05
    """Share of the text for the test split, at its end."""


@dataclass(frozen=True)
class Samples:
    """Text that the model generates during training."""

    __pydantic_config__ = STRICT

    every: Count = 200
    """Steps between two samples."""
    length: Count = 300
    """Characters per sample."""
    temperature: NotNegative = 0.8
    """0 takes the likeliest character, 1 samples from the model's distribution."""


@dataclass(frozen=True)
class Columns:
    """The columns of a file."""

    __pydantic_config__ = STRICT

    path: str | None = None
    """The file."""
    time: str | None = None
    """The column of times."""
    columns: tuple[str, ...] = ()
    """The columns to read."""


@dataclass(frozen=True)
class TableFormat:
    """The format of a table, where it cannot be detected."""

    missing: tuple[str, ...] = ()
    """More spellings of a missing value, such as -999; empty cells, NA, NULL and - are known."""
    decimal: Literal["point", "comma"] = "point"
    """The decimal separator."""
    thousands: Literal["comma", "point", "space", "apostrophe"] | None = None
    """The separator between groups of digits."""
    date_order: Literal["dmy", "mdy", "ymd"] | None = None
    """Order of day, month and year in dates such as 01/02/2024; required if ambiguous."""
    delimiter: Literal["comma", "semicolon", "tab", "pipe", "space"] | None = None
    """The separator between cells of a text file; detected if all lines agree."""
    encoding: str = "utf-8"
    """The encoding of a text file, such as latin-1; UTF-16 is detected."""
    skip: Whole = 0
    """Lines or rows to skip above the header; empty ones and comments (#) are always skipped."""
    sheet: str | None = None
    """The sheet of an .xlsx file with several sheets."""


@dataclass(frozen=True)
class Series(TableFormat, Columns):
    """Sequences of vectors, each with a class."""

    path: str | None = None
    """A table of all sequences (.csv or other text, .xlsx, .parquet), or a .ts or .npz file;
    or a folder with a table per sequence, in the sub-folder of its class.
    Without one: JapaneseVowels, from the package sktime."""
    time: str | None = None
    """A column of times in tables: they must increase, and are not a feature."""
    columns: tuple[str, ...] = ()
    """The columns of tables to use as features; by default, all other columns."""
    test_path: str | None = None
    """A file or folder with the test split; without one it is drawn from `path`."""
    id: str = "id"
    """The column of a table that identifies the sequence of a row."""
    label: str = "label"
    """The column of a table with the class of the sequence."""
    rows: Rows = 32
    """Batch size, in sequences."""
    bucket: Bucket = 8
    """Batches to draw at once and sort by length, to reduce padding; 1 for no sorting."""
    validation: Fraction = 0.15
    """Share of the training sequences for validation, drawn by the seed."""
    test: Fraction = 0.2
    """Share of the sequences for the test split, if there is no `test_path`."""


@dataclass(frozen=True)
class Table(TableFormat, Columns):
    """Columns of numbers over time."""

    path: str | None = None
    """A table with a header (.csv or other text, .xlsx, .parquet), or an .npz file with `values`.
    Without one: weekly carbon dioxide at Mauna Loa, from the package statsmodels."""
    time: str | None = None
    """The column of times; detected if its cells are dates."""
    columns: tuple[str, ...] = ()
    """The columns to read and to forecast; by default, all columns of numbers."""
    context: Count = 96
    """Steps that the model takes as input."""
    horizon: Count = 12
    """Steps to forecast."""
    rows: Rows = 64
    """Batch size, in windows."""
    validation: Fraction = 0.15
    """Share of the steps for validation, just before the test split."""
    test: Fraction = 0.15
    """Share of the steps for the test split, at the end."""


@dataclass(frozen=True)
class Rolls:
    """Pieces of music as piano rolls: the keys, of 88, that sound at each step."""

    __pydantic_config__ = STRICT

    path: str | None = None
    """A .mat file with `traindata`, `validdata` and `testdata`, or an .npz file of rolls."""
    rows: Rows = 16
    """Batch size, in rows."""
    bucket: Bucket = 8
    """Batches to draw at once and sort by length, to reduce padding; 1 for no sorting."""
    packed: Size | None = None
    """Steps per row of several pieces, with the memory reset at the start of each.
    All batches then have one shape, with almost no padding. Without it, each row is one piece."""


@dataclass(frozen=True)
class CharLM(Config):
    """Train a character language model on a text."""

    task: Literal["char_lm"] = "char_lm"
    """The next character of a text."""
    data: Text = field(default_factory=Text)
    sample: Samples = field(default_factory=Samples)


@dataclass(frozen=True)
class Classification(Config):
    """Train a classifier of sequences of different lengths."""

    task: Literal["classification"] = "classification"
    """The class of a sequence."""
    data: Series = field(default_factory=Series)


@dataclass(frozen=True)
class Forecasting(Config):
    """Train a forecaster on columns of numbers over time."""

    task: Literal["forecasting"] = "forecasting"
    """The next steps of columns of numbers."""
    data: Table = field(default_factory=Table)


@dataclass(frozen=True)
class PianoRoll(Config):
    """Train a model of polyphonic music on piano rolls."""

    task: Literal["piano_roll"] = "piano_roll"
    """The keys that sound at the next step."""
    data: Rolls = field(default_factory=Rolls)


CONFIGS = {kind.task: kind for kind in (CharLM, Classification, Forecasting, PianoRoll)}
