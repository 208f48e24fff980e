"""`python -m benchmarks.scaling`: the training program on one device, several, and two processes.

Whole runs of `python -m train` take turns; the time of a step is that of the fastest window of ten
steps of all rounds. Beside it stands what `train.scaling` estimates for the devices as measured.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.report import markdown_table, write_between

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "scaling.json"
PAGE = ROOT / "docs" / "scaling.md"
MODELS = {
    "1 layer of 64, 32 rows of 128": ["--model.hidden", "64"],
    "1 layer of 256, 32 rows of 128": [],
    "2 layers of 512, 32 rows of 64": ["--model.hidden", "512", "512", "--data.chunk", "64"],
}
LAYOUTS = {  # processes, devices of each, weights sharded
    "1 device": (1, 1, False),
    "2 devices": (1, 2, False),
    "2 devices, sharded": (1, 2, True),
    "2 processes": (2, 1, False),
}


def milliseconds(model: list[str], layout: tuple[int, int, bool], steps: int) -> float:
    """Milliseconds of a step in the fastest window of a run."""
    processes, devices, sharded = layout
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
        out = Path(folder) / "run"
        args = [
            sys.executable, "-m", "train", "configs/char_lm.toml", *model, "--out", str(out),
            "--steps", str(steps), "--log.validate_every", str(steps), "--sample.every", str(steps),
            "--checkpoint_every", str(steps), *(["--shard_weights"] if sharded else []),
        ]  # fmt: skip
        free.close()
        running = [
            subprocess.Popen(
                [*args, *(_told(port, processes, k) if processes > 1 else [])], cwd=ROOT,
                env=os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)},
                stdout=subprocess.DEVNULL,
            )
            for k in range(processes)
        ]  # fmt: skip
        if any(process.wait() for process in running):
            raise SystemExit(f"a run failed: {' '.join(args)}")
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        return 1000 / max(line.get("steps_per_second", 0) for line in lines)


def _told(port: int, processes: int, k: int) -> list[str]:
    return [
        "--distributed.coordinator", f"localhost:{port}", "--distributed.processes",
        str(processes), "--distributed.process", str(k),
    ]  # fmt: skip


def estimates(model: list[str]) -> dict[str, float]:
    """The estimates of `train.scaling` for a step on one device and on two, in milliseconds."""
    process = subprocess.run(
        [sys.executable, "-m", "train.scaling", "configs/char_lm.toml", *model, "--accelerator",
         "here", "--devices", "1", "2"],
        cwd=ROOT, env=os.environ | {"JAX_NUM_CPU_DEVICES": "2"}, check=True, capture_output=True,
        text=True,
    )  # fmt: skip
    rows = [line.split("|") for line in process.stdout.splitlines() if line.startswith("| ")][2:]
    return {f"{row[1].strip()} device{'s' * (k > 0)}": float(row[6]) for k, row in enumerate(rows)}


def page_table(results: dict) -> str:
    """Milliseconds of a step, above the estimate for that number of devices."""
    lines = [["model", *LAYOUTS, "estimate, 1 device", "estimate, 2 devices"]]
    for name, model in results["models"].items():
        alone = model["measured"]["1 device"]
        lines.append([
            name,
            *(f"{model['measured'][k]:.1f} ({alone / model['measured'][k]:.2f})" for k in LAYOUTS),
            *(f"{ms:.1f}" for ms in model["estimates"].values()),
        ])  # fmt: skip
    where = results["machine"]
    heading = f"{where['cores']} cores of {where['cpu']}, {where['date']}"
    return f"{heading}, ms a step (times as fast as one device):\n\n{markdown_table(lines)}"


def main() -> None:
    """Run everything, write the results and the page's table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each layout")
    parser.add_argument("--steps", type=int, default=60, help="steps of a run")
    options = parser.parse_args()
    models: dict[str, dict] = {}
    for name, model in MODELS.items():
        best: dict[str, float] = {}
        for _ in range(options.rounds):
            for layout, how in LAYOUTS.items():
                ms = milliseconds(model, how, options.steps)
                best[layout] = min(ms, best.get(layout, ms))
        models[name] = {"measured": best, "estimates": estimates(model)}
        print(name, json.dumps(models[name]), flush=True)
    results = {"machine": machine(len(os.sched_getaffinity(0)), ("jax",)), "models": models}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_between(PAGE, page_table(results))


if __name__ == "__main__":
    main()
