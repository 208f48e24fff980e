"""`python -m train.evaluate RUN_DIR [--data.path FILE]`."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from train.command import parse, run


@dataclass(frozen=True)
class File:
    """What is measured."""

    path: str | None = None
    """A file in the format of the run's data; without one, the test split of the run's own data."""


@dataclass(frozen=True)
class Command:
    """Measure the model of a finished run."""

    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN_DIR")]] = tyro.MISSING
    """The run's folder, such as runs/char_lm."""
    data: File = field(default_factory=File)
    best: bool = False
    """Whether to use the weights that were best by validation, instead of the last ones."""


def main(args: list[str]) -> None:
    """Print the figures as JSON."""
    command = parse(Command(), args, "python -m train.evaluate")
    from train.config import read_config
    from train.step import evaluate
    from train.weights import of_run

    config, task, about, params = of_run(command.run, command.best)
    if command.data.path is None:
        config = read_config(command.run / "config.toml")
        split = task.load(config).test
    else:
        split = task.read(config, about, command.data.path)
    print(json.dumps(evaluate(config, task, params, split), indent=2))


if __name__ == "__main__":
    run(main, "train.evaluate", "interrupted")
