"""`python -m train.inspect RUN_DIR [--text TEXT | --data.path FILE] [--row N] [--out HTML]`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.config.command import OfRun, parse_of_run, run, with_table
from train.errors import InputError, RunError

if TYPE_CHECKING:
    from rich.console import Console

    from train.output.weights import Trained


MOST = 100_000_000  # values in a page, which is then of about 80 MB

PROG = "python -m train.inspect"
EXAMPLE = 'runs/char_lm --text "To be"'


@dataclass(frozen=True)
class Command(OfRun):
    """See what the model of a finished run did with a sequence, step by step, in a browser.

    Writes one HTML page that needs no other file and no network: the text or the series coloured by
    any unit, gate or cell, the predictions at each step, the units that follow brackets, quotes,
    columns and the like, a search for units that react to a span, and the cell, step by step.
    Without --text or --data.path it shows the test split of the run's data.
    """

    text: str | None = None
    """The text to look at; of a language model."""
    row: int = 0
    """Which sequence of the data, from 0; of a text, which stretch of --steps characters."""
    steps: int = 5000
    """The most steps to show."""
    marker: str | None = None
    """Rank units by whether they remember this too: a text, the name of a column of marks, or the
    name of a key. Columns that look like marks are found without it."""
    out: Path | None = None
    """The page to write; it replaces one that is there. RUN_DIR/inspect.html without it."""


def main(args: list[str]) -> None:
    """Write the page and say where it is."""
    command = parse_of_run(Command(), args, PROG, EXAMPLE)
    if command.steps < 1:
        raise InputError(f"--steps must be 1 or more, got {command.steps}")
    if command.text == "":
        raise InputError("--text must hold a character to show, got an empty text")
    if command.text is not None and command.data.path is not None:
        raise InputError("--text and --data.path name two things to show; give one of them")
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
    """The page, its steps, and the units of all layers.

    Raises:
      InputError: no finished run, a text with unknown characters, data that do not fit.
      RunError: a model whose values are not finite.
    """
    from train.output.weights import of_run
    from train.viewer import Selection, html_page, scores, views
    from train.viewer.activations import layer_activations
    from train.viewer.encoding import quantise

    with console.status("reading the weights and the data") as status:
        trained = of_run(command.run, command.best)
        trained = trained._replace(config=with_table(trained.config, command.data))
        source, split = _split(command, trained)
        selection = Selection(command.row, command.steps, command.marker)
        config, task, about, params = trained
        status.update("running the model")
        if task.view is None:
            view = views.inputs_view(task, config, about, split, selection)
        else:
            view = task.view(config, about, params, split, selection)
        activations = layer_activations(config, params, view.inputs)
        values = sum(a.size for one in activations for a in one.values.values())
        if values > MOST:
            raise InputError(
                f"{len(view.inputs):,} steps have {values:,} values of gates and cells, and a "
                f"page holds at most {MOST:,}; choose fewer --steps"
            )
        status.update("ranking the units")
        units = [{name: quantise(a) for name, a in one.values.items()} for one in activations]
        followed = scores.rank(units, view.features)
        status.update("writing the page")
        title = f"{task.title}: {command.run.resolve().name}"
        page = html_page.page(title, source, view, activations, units, followed)
    sizes = [one.values.get("c", one.values["h"]).shape[1] for one in activations]
    return page, len(view.inputs), sum(sizes)


def _split(command: Command, trained: Trained) -> tuple[str, Any]:
    """Where the sequence is from, in words, and the split that holds it."""
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

    data = test_data(command.run, task, "name what to show: --data.path FILE")
    return f"{Path(data.source).name}, test split", data.test


if __name__ == "__main__":
    run(main, "train.inspect", "interrupted")
