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
    """The text, and how it is read."""

    __pydantic_config__ = STRICT

    path: str | None = None
    """A UTF-8 text file. Without one: the Python language reference that ships inside Python."""
    rows: Rows = 32
    """Places in the text that are read side by side: the batch."""
    chunk: Count = 128
    """Characters read, and steps the gradient flows back, in one training step."""
    validation: Fraction = 0.05
    """Share of the text, before the test split, that validation uses."""
    test: Fraction = 0.05
    """Share of the text, at its end, that the final figure is measured on."""


@dataclass(frozen=True)
class Samples:
    """Text that the model writes on the way."""

    __pydantic_config__ = STRICT

    every: Count = 200
    """Steps between two samples."""
    length: Count = 300
    """Characters of a sample."""
    temperature: NotNegative = 0.8
    """0 takes the likeliest character, 1 samples the model as it is."""


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
class Written:
    """How a table is written, as far as it does not say so itself."""

    missing: tuple[str, ...] = ()
    """Further spellings of a missing value, such as -999; empty cells, NA, NULL, - are known."""
    decimal: Literal["point", "comma"] = "point"
    """What splits off the decimals of a number."""
    thousands: Literal["comma", "point", "space", "apostrophe"] | None = None
    """What groups the digits of large numbers."""
    date_order: Literal["dmy", "mdy", "ymd"] | None = None
    """Day, month and year of dates such as 01/02/2024; needed where the cells leave it open."""
    delimiter: Literal["comma", "semicolon", "tab", "pipe", "space"] | None = None
    """What stands between the cells of a text file; found by itself where all lines agree."""
    encoding: str = "utf-8"
    """Of a text file, such as latin-1; UTF-16 is found by itself."""
    skip: Whole = 0
    """Lines or rows above the header; empty ones and comments (#) are passed over anyway."""
    sheet: str | None = None
    """The sheet of an .xlsx file that has several."""


@dataclass(frozen=True)
class Series(Written, Columns):
    """Sequences of vectors with a class each."""

    path: str | None = None
    """A table of all sequences (.csv or other text, .xlsx, .parquet), a folder with a table for
    each in the sub-folder of its class, or a .ts or .npz file. Without one: JapaneseVowels, which
    the package sktime holds."""
    time: str | None = None
    """A column of times in tables: they must rise, and are not read as a feature."""
    columns: tuple[str, ...] = ()
    """The columns of tables to read as features; without any, all the others."""
    test_path: str | None = None
    """A file or folder with the test split; without one it is drawn from the first."""
    id: str = "id"
    """The column of a table that says which sequence a row belongs to."""
    label: str = "label"
    """The column of a table that has the class of the sequence."""
    rows: Rows = 32
    """Sequences side by side: the batch."""
    bucket: Bucket = 8
    """Batches that are drawn at once and sorted by length, so that little is padded; 1 is none."""
    validation: Fraction = 0.15
    """Share of the training sequences that validation uses, drawn by the seed."""
    test: Fraction = 0.2
    """Share of the sequences that the final figure is measured on, where there is no test file."""


@dataclass(frozen=True)
class Table(Written, Columns):
    """Columns of numbers over time."""

    path: str | None = None
    """A table with a header (.csv or other text, .xlsx, .parquet), or an .npz file with `values`.
    Without one: weekly carbon dioxide at Mauna Loa, which the package statsmodels holds."""
    time: str | None = None
    """The column of times; found by itself where its cells are dates."""
    columns: tuple[str, ...] = ()
    """The columns to read and to forecast; without any, all that hold numbers."""
    context: Count = 96
    """Steps that the model sees."""
    horizon: Count = 12
    """Steps that it forecasts."""
    rows: Rows = 64
    """Windows side by side: the batch."""
    validation: Fraction = 0.15
    """Share of the steps, before the test split, that validation forecasts."""
    test: Fraction = 0.15
    """Share of the steps, at the end, that the final figure is measured on."""


@dataclass(frozen=True)
class Rolls:
    """Pieces of music as piano rolls: which of 88 keys sound at each step."""

    __pydantic_config__ = STRICT

    path: str | None = None
    """A .mat file with `traindata`, `validdata` and `testdata`, or an .npz file of rolls."""
    rows: Rows = 16
    """Pieces side by side: the batch."""
    bucket: Bucket = 8
    """Batches that are drawn at once and sorted by length, so that little is padded; 1 is none."""
    packed: Size | None = None
    """Steps of a row that holds several pieces, its memory emptied where each begins: all batches
    are of one shape, and almost nothing is padded. Without it a row is a piece."""


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
