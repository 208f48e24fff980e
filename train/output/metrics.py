"""`metrics.jsonl`: one JSON object per line, each with its `step`; and the same for TensorBoard."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from train.engine.processes import is_first
from train.output.files import write_text

NAME = "metrics.jsonl"


def append(out: Path, step: int, **values: Any) -> None:
    """Append a line."""
    with open(out / NAME, "a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step, **values}) + "\n")


@contextlib.contextmanager
def recorder(out: Path, step: int, tensorboard: bool) -> Iterator[Callable[..., None]]:
    """Yield a function like `append` for a folder, which also writes for TensorBoard on request.

    Only the first of several processes writes. TensorBoard drops values after `step`.
    """
    if not is_first():
        yield lambda step, **values: None
        return
    if not tensorboard:
        yield lambda step, **values: append(out, step, **values)
        return
    import tensorboardX

    with tensorboardX.SummaryWriter(str(out / "tensorboard"), purge_step=step + 1) as board:

        def record(step: int, **values: Any) -> None:
            append(out, step, **values)
            for name, value in values.items():
                if isinstance(value, str):
                    board.add_text(name, value, step)
                else:
                    board.add_scalar(name.replace("_", "/", 1), value, step)

        yield record


def read(out: Path, last_step: int) -> list[dict[str, Any]]:
    """The complete lines of steps up to `last_step`, without a line that a kill cut short."""
    path = out / NAME
    lines = []
    for text in path.read_bytes().splitlines() if path.exists() else []:
        try:
            line = json.loads(text)
            if line["step"] <= last_step:
                lines.append(line)
        except (ValueError, KeyError, TypeError):
            continue
    return lines


def rewind(out: Path, last_step: int) -> None:
    """Drop the lines after the checkpoint from which a run resumes."""
    lines = read(out, last_step)
    write_text(out / NAME, "".join(json.dumps(line) + "\n" for line in lines))
