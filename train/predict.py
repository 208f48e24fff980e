"""`python -m train.predict RUN_DIR --data.path FILE --out predictions.csv`."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from train.config.command import RunOptions, parse_run_options, run, same_file, with_table_format
from train.errors import InputError, RunError

PROG = "python -m train.predict"
EXAMPLE = "runs/japanese_vowels --data.path new.ts --out new.csv"


@dataclass(frozen=True)
class Command(RunOptions):
    """Predict with the model of a finished run: classes, the next steps of a table, keys."""

    out: Path | None = None
    """The CSV file to write or replace. Without one, the predictions are printed."""


def main(args: list[str]) -> None:
    """Write one row per prediction, below a header."""
    command = parse_run_options(Command(), args, PROG, EXAMPLE)
    if command.data.path is None:
        raise InputError("name the data to predict for: --data.path FILE")
    if command.out is not None and same_file(command.out, command.data.path):
        raise InputError(f"--out is --data.path, {command.out}: the file would be lost")
    from train.engine.measure import run as run_model
    from train.output.files import write_bytes
    from train.output.weights import load_run

    config, task, about, params = load_run(command.run, command.best)
    config = with_table_format(config, command.data)
    split = task.read(config, about, command.data.path)
    rows = task.table(
        config, about, split, lambda batches: run_model(config, task, params, batches)
    )
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
