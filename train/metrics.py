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
    """The whole lines of steps up to `last_step`; what a kill cut short is left out."""
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
    """Drop what a run wrote after the checkpoint that it now goes on from."""
    lines = read(out, last_step)
    write_text(out / NAME, "".join(json.dumps(line) + "\n" for line in lines))
