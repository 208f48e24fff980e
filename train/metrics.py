"""`metrics.jsonl`: a JSON object a line, each with its `step`."""

import json
from pathlib import Path
from typing import Any

from train.files import write_text

NAME = "metrics.jsonl"


def append(out: Path, step: int, **values: Any) -> None:
    """Add a line."""
    with open(out / NAME, "a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step, **values}) + "\n")


def read(out: Path, last_step: int) -> list[dict[str, Any]]:
    """The whole lines of steps up to `last_step`; a line that a kill cut short is left out."""
    path = out / NAME
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if line["step"] <= last_step:
            lines.append(line)
    return lines


def rewind(out: Path, last_step: int) -> None:
    """Drop what a run wrote after the checkpoint that it now goes on from."""
    lines = read(out, last_step)
    write_text(out / NAME, "".join(json.dumps(line) + "\n" for line in lines))
