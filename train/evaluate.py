"""`python -m train.evaluate RUN_DIR [--data.path FILE]`."""

import json
import math
from dataclasses import dataclass

from train.config.command import RunOptions, parse_run_options, run, with_table_format
from train.errors import InputError

PROG = "python -m train.evaluate"
EXAMPLE = "runs/char_lm --data.path other.txt"


@dataclass(frozen=True)
class Command(RunOptions):
    """Evaluate the model of a finished run: on a file, or on the test split of the run's data."""


def main(args: list[str]) -> None:
    """Print the figures as JSON."""
    command = parse_run_options(Command(), args, PROG, EXAMPLE)
    from train.engine.measure import evaluate
    from train.output.folder import test_data
    from train.output.weights import load_run

    config, task, about, params = load_run(command.run, command.best)
    config = with_table_format(config, command.data)
    if command.data.path is None:
        data = test_data(command.run, task, "name the data to evaluate on: --data.path FILE")
        split = data.test
    else:
        split = task.read(config, about, command.data.path)
    figures = evaluate(config, task, params, split)
    if any(map(math.isnan, figures.values())):  # a mean of nothing
        raise InputError(
            f"{command.data.path} has no targets to evaluate the run by, such as classes"
        )
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    run(main, "train.evaluate", "interrupted")
