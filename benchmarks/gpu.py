"""`python -m benchmarks.gpu`: jlstm on a GPU, checked and timed against its peers, under 8 minutes.

Every entrant runs in a process of its own. A case is compiled by all of them at once, then they
take turns, several rounds, and the best time of each counts. Results are written after each case.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from benchmarks.gpu_report import write_report
from benchmarks.gpu_worker import ENTRANTS
from benchmarks.machine import machine
from benchmarks.shapes import GPU_SHAPES, KINDS, TOY, Shape
from benchmarks.workers import Worker

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("jax", "jaxlib", "torch", "flax", "dm-haiku", "numpy")
PATIENCE = 60  # seconds that a job may take before its process is ended


class Case(NamedTuple):
    """What is timed."""

    name: str
    shape: Shape
    dtype: str
    kind: str


class Workers:
    """One process an entrant, started again where it has ended."""

    def __init__(self):
        """Start none yet."""
        self.running: dict[str, Worker] = {}

    def of(self, name: str, key: str = "") -> Worker:
        """The worker of that entrant; one a key."""
        found = self.running.get(name + key)
        if found is None or found.process.poll() is not None:
            # Several processes share the memory of one GPU: none may take it all.
            found = self.running[name + key] = Worker(
                name, module="benchmarks.gpu_worker", XLA_PYTHON_CLIENT_PREALLOCATE="false"
            )
        return found

    def stop(self) -> None:
        """End all processes."""
        for worker in self.running.values():
            worker.stop()
        self.running.clear()


def cases(toy: bool) -> list[Case]:
    """From the most wanted to the least: a run that ends early has the first ones."""
    dtypes = ("bfloat16", "float32", "float16")
    if toy:
        return [Case("toy", TOY, dtype, kind) for kind in KINDS for dtype in dtypes[:2]]
    main = [Case(KINDS[0], GPU_SHAPES["FlashRNN"], dtype, KINDS[0]) for dtype in dtypes]
    kinds = [Case(k, GPU_SHAPES["FlashRNN"], d, k) for k in KINDS[1:] for d in dtypes[:2]]
    rest = [name for name in GPU_SHAPES if name != "FlashRNN"]
    shapes = [Case(name, GPU_SHAPES[name], d, KINDS[0]) for name in rest for d in dtypes[:2]]
    return [case._replace(name=f"FlashRNN, {case.name}") for case in main + kinds] + shapes


def check(workers: Workers, names: list[str]) -> dict:
    """Every implementation of jlstm against float64; the default under every transformation."""
    jobs = [
        (name, dtype)
        for name in names
        if ENTRANTS[name].module == "jlstm" and not ENTRANTS[name].graphs
        for dtype in ENTRANTS[name].dtypes
    ]
    for name, dtype in jobs:
        job = {"what": "check", "dtype": dtype, "matrix": True}
        workers.of(name, dtype).tell(**job)
    found = {f"{name}, {d}": workers.of(name, d).hear(4 * PATIENCE) for name, d in jobs}
    workers.stop()
    return found


def measure(
    workers: Workers, names: list[str], case: Case, rounds: int, seconds: float
) -> dict[str, dict]:
    """The best time of each in milliseconds, forward and training; and why others have none."""
    job = {"shape": case.shape, "dtype": case.dtype, "kind": case.kind}
    errors: dict[str, str] = {}
    for name in names:
        workers.of(name).tell(what="prepare", **job)
    for name in names:
        answer = workers.of(name).hear(PATIENCE)
        if "error" in answer:
            errors[name] = answer["error"]
    found: dict[str, dict] = {"forward": {}, "train": {}, "errors": errors}
    for _ in range(rounds):
        for what in ("forward", "train"):
            for name in [name for name in names if name not in errors]:
                worker = workers.of(name)
                worker.tell(what=what, seconds=seconds)
                answer = worker.hear(PATIENCE)
                if "ms" in answer:
                    best = min(answer["ms"], found[what].get(name, float("inf")))
                    found[what][name] = best
                else:
                    errors[name] = answer["error"]
    return found


def where(workers: Workers, name: str, toy: bool) -> dict:
    """The device, the versions, and what the chip reaches by itself."""
    worker = workers.of(name)
    worker.tell(what="ceilings", megabytes=2 if toy else 1024)
    ceilings = worker.hear(PATIENCE)
    if "error" in ceilings:
        raise SystemExit(f"the device cannot be measured: {ceilings['error']}")
    packages = [name for name in PACKAGES if _version(name)]
    found = machine(len(os.sched_getaffinity(0)), packages) | {"device": ceilings.pop("device")}
    return {"machine": found, "ceilings": ceilings}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def save(results: dict, path: Path) -> None:
    """Whole, or as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1) + "\n")
    part.replace(path)


def main() -> None:
    """Check, time, and write what there is after every case."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=7.0, help="no case is begun after them")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each entrant")
    parser.add_argument("--seconds", type=float, default=0.1, help="of one turn")
    parser.add_argument("--entrants", nargs="*", choices=ENTRANTS, default=list(ENTRANTS))
    parser.add_argument("--no-checks", action="store_true", help="times alone")
    parser.add_argument("--toy", action="store_true", help="small sizes, on any device")
    parser.add_argument("--out", type=Path, help="results; else results/gpu-DEVICE.json")
    parser.add_argument("--render", type=Path, help="results to draw again, without a run")
    options = parser.parse_args()
    if options.render:
        return write_report(options.render)
    end = time.monotonic() + 60 * options.minutes
    workers = Workers()
    results = where(workers, options.entrants[0], options.toy)
    device = results["machine"]["device"]
    if device == "cpu" and not options.toy:
        workers.stop()
        raise SystemExit("there is no GPU here; --toy runs everything at a small size on a CPU")
    slug = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    out = options.out or RESULTS / f"gpu-{slug}.json"
    try:
        if not options.no_checks:
            results["checks"] = check(workers, options.entrants)
            save(results, out)
        results["times"] = []
        for case in cases(options.toy):
            if time.monotonic() > end:
                results["left out"] = [*results.get("left out", []), list(case)]
                continue
            found = measure(workers, options.entrants, case, options.rounds, options.seconds)
            results["times"].append(case._asdict() | {"shape": list(case.shape)} | found)
            save(results, out)
            print(case.name, case.dtype, json.dumps(found["train"]), flush=True)
    finally:
        workers.stop()
        save(results, out)
    write_report(out)
    return None


if __name__ == "__main__":
    main()
