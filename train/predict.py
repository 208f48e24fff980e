"""`python -m train.predict RUN_DIR --data.path FILE --out predictions.csv`."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from train.command import parse, run
from train.errors import InputError, RunError


@dataclass(frozen=True)
class File:
    """What predictions are made for."""

    path: str | None = None
    """A file in the format of the run's data."""


@dataclass(frozen=True)
class Command:
    """Predict with the model of a finished run: classes, the steps after a table's end, keys."""

    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN_DIR")]] = tyro.MISSING
    """The run's folder, such as runs/japanese_vowels."""
    data: File = field(default_factory=File)
    out: Path | None = None
    """The CSV file to write; it replaces one that is there. Without one, the screen."""
    best: bool = False
    """Whether to use the weights that were best by validation, instead of the last ones."""


def main(args: list[str]) -> None:
    """Write a row a prediction, under a header."""
    command = parse(Command(), args, "python -m train.predict")
    if command.data.path is None:
        raise InputError("name what to predict for: --data.path FILE")
    from jlstm.interop.files import write_bytes
    from train import step
    from train.weights import of_run

    config, task, about, params = of_run(command.run, command.best)
    split = task.read(config, about, command.data.path)
    rows = task.table(config, about, split, lambda some: step.run(config, task, params, some))
    text = io.StringIO()
    count = 0
    for row in rows:
        csv.writer(text, lineterminator="\n").writerow(row)
        count += 1
    if command.out is None:
        print(text.getvalue(), end="")
        return
    try:
        write_bytes(command.out, text.getvalue().encode())
    except OSError as error:
        raise RunError(f"cannot write {command.out}: {error.strerror or error}") from None
    print(f"{count - 1} rows are in {command.out}")


if __name__ == "__main__":
    run(main, "train.predict", "interrupted")
