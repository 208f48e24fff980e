"""`python -m train.inspect RUN_DIR [--text TEXT | --data.path FILE] [--row N] [--out HTML]`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.config.command import RunOptions, parse_run_options, run, with_table_format
from train.errors import InputError, RunError

if TYPE_CHECKING:
    from rich.console import Console

    from train.output.weights import Trained


MOST = 100_000_000  # values in a page of about 80 MB

PROG = "python -m train.inspect"
EXAMPLE = 'runs/char_lm --text "To be"'


@dataclass(frozen=True)
class Command(RunOptions):
    """Write a page that shows the model of a finished run on a sequence, step by step.

    The page is one HTML file that needs no network: the text or the series coloured by any unit,
    gate or cell, the predictions at each step, the units that follow brackets, quotes, columns and
    other features, a search for units that react to a span, and the cell, step by step. Without
    --text or --data.path it shows the test split of the run's data.
    """

    text: str | None = None
    """The text to show; for a language model."""
    row: int = 0
    """The index of the sequence, from 0; in a text, of the passage of --steps characters."""
    steps: int = 5000
    """The most steps to show."""
    marker: str | None = None
    """Also rank units by whether they remember this: a text, a column of marks, or a key.
    Columns that look like marks are detected."""
    out: Path | None = None
    """The page to write or replace; by default RUN_DIR/inspect.html."""


def main(args: list[str]) -> None:
    """Write the page and print its path."""
    command = parse_run_options(Command(), args, PROG, EXAMPLE)
    if command.steps < 1:
        raise InputError(f"--steps must be 1 or more, got {command.steps}")
    if command.text == "":
        raise InputError("--text must have at least one character, got an empty text")
    if command.text is not None and command.data.path is not None:
        raise InputError("--text and --data.path exclude each other")
    from rich.console import Console  # after the checks, as JAX, which takes seconds to start

    from train.output.files import write_text

    out = command.out or command.run / "inspect.html"
    page, steps, units = inspect(command, Console(stderr=True))
    try:
        write_text(out, page)
    except OSError as error:
        raise RunError(f"cannot write {out}: {error.strerror or error}") from None
    size = len(page.encode()) / 1e6
    print(f"{steps:,} steps of {units:,} units are in {out} ({size:.1f} MB); open it in a browser")


def inspect(command: Command, console: Console) -> tuple[str, int, int]:
    """The page, its number of steps, and the number of units of all layers.

    Raises:
      InputError: no finished run, a text with unknown characters, data that do not fit.
      RunError: a model whose values are not finite.
    """
    from train.output.weights import load_run
    from train.viewer import Selection, html_page, scores, views
    from train.viewer.activations import layer_activations
    from train.viewer.encoding import quantise

    with console.status("reading weights and data") as status:
        trained = load_run(command.run, command.best)
        trained = trained._replace(config=with_table_format(trained.config, command.data))
        source, split = _split(command, trained)
        selection = Selection(command.row, command.steps, command.marker)
        config, task, about, params = trained
        status.update("running the model")
        if task.view is None:
            view = views.inputs_view(task, config, about, split, selection)
        else:
            view = task.view(config, about, params, split, selection)
        activations = layer_activations(config, params, view.inputs)
        values = sum(a.size for layer in activations for a in layer.values.values())
        if values > MOST:
            raise InputError(
                f"{len(view.inputs):,} steps have {values:,} values of gates and cells, and a "
                f"page holds at most {MOST:,}; choose fewer --steps"
            )
        status.update("ranking the units")
        units = [{name: quantise(a) for name, a in layer.values.items()} for layer in activations]
        followed = scores.rank(units, view.features)
        status.update("writing the page")
        title = f"{task.title}: {command.run.resolve().name}"
        page = html_page.page(title, source, view, activations, units, followed)
    sizes = [layer.values.get("c", layer.values["h"]).shape[1] for layer in activations]
    return page, len(view.inputs), sum(sizes)


def _split(command: Command, trained: Trained) -> tuple[str, Any]:
    """The source of the sequence, in words, and the split that holds it."""
    from train.tasks import char_lm

    config, task, about, _ = trained
    if command.text is not None:
        if task is not char_lm.TASK:
            raise InputError(
                f"--text is for language models, and {command.run} holds a run of {config.task}; "
                "name a file: --data.path FILE"
            )
        return "a text", char_lm.known("--text holds", command.text, about["vocabulary"])
    if command.data.path is not None:
        return Path(command.data.path).name, task.read(config, about, command.data.path)
    from train.output.folder import test_data

    data = test_data(command.run, task, "name the data to show: --data.path FILE")
    return f"{Path(data.source).name}, test split", data.test


if __name__ == "__main__":
    run(main, "train.inspect", "interrupted")
