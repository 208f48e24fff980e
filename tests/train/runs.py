"""A run that takes seconds, for the tests of the training program."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from train.config import to_toml
from train.loop import train
from train.settings import CharLM, Config, Log, Model, Optimizer, Samples, Text

ROOT = Path(__file__).parents[2]

TINY = CharLM(
    steps=40,
    checkpoint_every=10,
    data=Text(rows=4, chunk=16),
    model=Model(embedding=8, hidden=(16,)),
    optimizer=Optimizer(learning_rate=0.02, warmup=5),
    log=Log(every=4, validate_every=20),
    sample=Samples(every=20, length=20),
)


def write_text_file(folder: Path, characters=20_000) -> Path:
    """A text with structure: lines of counting, and letters outside ASCII."""
    line = "one tiger, zwei Bären, trois élans, 四 🐢\n"
    path = folder / "text.txt"
    path.write_text((line * (characters // len(line) + 1))[:characters], encoding="utf-8")
    return path


def tiny(path: Path, **changes) -> CharLM:
    """The tiny config on that text."""
    from dataclasses import replace

    return replace(TINY, data=replace(TINY.data, path=str(path)), **changes)


def run_here(config: Config, out: Path):
    """`(result, what was shown)` of a run in this process."""
    shown = io.StringIO()
    result = train(config, out, Console(file=shown, width=200))
    return result, shown.getvalue()


def command(config: Config, out: Path, *flags: str) -> list[str]:
    """The command line of that run; its config file lies beside the folder."""
    path = out.with_suffix(".toml")
    path.write_text(to_toml(config))
    return [sys.executable, "-m", "train", str(path), "--out", str(out), *flags]


def run_command(*args: str, **options):
    """The finished process of `python -m train ARGS`, or of another module of it."""
    module = options.pop("module", "train")
    return subprocess.run(
        [sys.executable, "-m", module, *args], cwd=ROOT, capture_output=True, text=True,
        timeout=120, check=False, env=os.environ | {"COLUMNS": "80"}, **options,
    )  # fmt: skip


def lines_of(out: Path):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
