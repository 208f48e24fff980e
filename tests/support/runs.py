"""A run of a few seconds, for tests of the training program."""

import io
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from train.config.load import to_toml
from train.config.settings import Config, Log, Model, Optimizer
from train.config.tasks import CharLM, Samples, Text
from train.engine.loop import train

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
    """The tiny config on a text."""
    from dataclasses import replace

    return replace(TINY, data=replace(TINY.data, path=str(path)), **changes)


def run_here(config: Config, out: Path):
    """Run in this process; `(result, output)`."""
    shown = io.StringIO()
    result = train(config, out, Console(file=shown, width=200))
    return result, shown.getvalue()


def command(config: Config, out: Path, *flags: str) -> list[str]:
    """The command line of a run; its config file is next to the folder."""
    path = out.with_suffix(".toml")
    path.write_text(to_toml(config))
    return [sys.executable, "-m", "train", str(path), "--out", str(out), *flags]


def run_command(*args: str, **options):
    """The finished process of `python -m train ARGS`, or of another module."""
    module = options.pop("module", "train")
    return subprocess.run(
        [sys.executable, "-m", module, *args], cwd=ROOT, capture_output=True, text=True,
        timeout=120, check=False, env=os.environ | {"COLUMNS": "80"}, **options,
    )  # fmt: skip


def newest(out: Path) -> int:
    """The step of the newest checkpoint, 0 without one."""
    folder = out / "checkpoints"
    return max((int(p.name) for p in folder.glob("*") if p.name.isdigit()), default=0)


def start(
    config: Config, out: Path, processes: int = 1, devices: int = 1, slurm: bool = False
) -> list[subprocess.Popen]:
    """Start a run in several processes with several devices each; their output goes to files.

    The processes find each other by flags, or by the variables of SLURM.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    started = []
    for k in range(processes):
        environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)}
        flags = {"coordinator": f"localhost:{port}", "processes": str(processes), "process": str(k)}
        distributed = [text for name in flags for text in (f"--distributed.{name}", flags[name])]
        if slurm:
            environment |= {
                "SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "localhost", "SLURM_LOCALID": str(k),
                "SLURM_NTASKS": str(processes), "SLURM_PROCID": str(k),
                "JAX_COORDINATOR_PORT": port,
            }  # fmt: skip
        args = command(config, out, *(distributed if processes > 1 and not slurm else []))
        with (
            open(out.with_suffix(f".{k}.out"), "w", encoding="utf-8") as shown,
            open(out.with_suffix(f".{k}.err"), "w", encoding="utf-8") as errors,
        ):
            started.append(
                subprocess.Popen(args, cwd=ROOT, stdout=shown, stderr=errors, env=environment)
            )
    return started


def end(processes: list[subprocess.Popen], out: Path, timeout: float = 300) -> list[tuple]:
    """Wait for the processes of `start`; `(status, output, errors)` of each."""
    deadline = time.monotonic() + timeout
    try:
        statuses = [p.wait(max(1, deadline - time.monotonic())) for p in processes]
    finally:
        for process in processes:
            process.kill()
    read = [
        [out.with_suffix(f".{k}.{kind}").read_text() for kind in ("out", "err")]
        for k in range(len(processes))
    ]
    return [(status, *texts) for status, texts in zip(statuses, read, strict=True)]


def lines_of(out: Path):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
