"""`python -m benchmarks.gpu`: jlstm on a GPU, checked and timed against its peers, under 8 minutes.

Every entrant runs in a process of its own. A case is compiled by all of them at once, then they
take turns, several rounds. What one of them cannot do is recorded, and the others go on. Results
are written after every measurement.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.gpu_checks import CHECKS
from benchmarks.gpu_entrants import ENTRANTS, Case, cases, implementations, missing
from benchmarks.gpu_report import failed, write_report
from benchmarks.machine import machine
from benchmarks.shapes import KINDS, TOY, Shape
from benchmarks.workers import Worker

ROOT = Path(__file__).parents[1]
PATIENCE = 60  # seconds that a job may take before its process is ended
STRIKES = 2  # processes that an entrant may lose before it is out
SMALL = Shape(8, 12, 64, 128)  # of the checks of what is timed
DEVICE_CALLS = 3  # under the profiler
CHECKS_SHARE = 0.35  # of all minutes, at most
AS_TIMED = {f"as timed: {kind}": kind for kind in KINDS}
ALL_CHECKS = [*AS_TIMED, *CHECKS]  # those first without which a time means nothing


class Team:
    """One process an entrant, started again where it has ended, but not for ever."""

    def __init__(self) -> None:
        """Start none yet."""
        self.running: dict[str, Worker] = {}
        self.strikes: Counter[tuple[str, str]] = Counter()

    def all(self, jobs: dict[tuple[str, str], dict], patience: float = PATIENCE) -> dict:
        """The answers to jobs that are done side by side, by entrant and a word of the caller's."""
        able = [key for key in jobs if self.strikes[key] < STRIKES]
        for key in able:
            self._worker(key).tell(**jobs[key])
        end = time.monotonic() + patience
        out = {key: {"error": f"out: {STRIKES} of its processes ended"} for key in jobs}
        for key in able:
            worker = self._worker(key)
            out[key] = worker.hear(max(0.01, end - time.monotonic()))
            if "the process ended" in out[key].get("error", ""):
                self.strikes[key] += 1
                worker.stop(1)
                self.running.pop(" ".join(key))
        return out

    def ask(self, name: str, **job: Any) -> dict:
        """The answer of one entrant."""
        return self.all({(name, ""): job})[name, ""]

    def _worker(self, key: tuple[str, str]) -> Worker:
        word = " ".join(key)
        if word not in self.running:
            # Several processes share the memory of one GPU: none may take it all.
            self.running[word] = Worker(
                key[0], module="benchmarks.gpu_worker", XLA_PYTHON_CLIENT_PREALLOCATE="false"
            )
        return self.running[word]

    def stop(self) -> None:
        """End all processes."""
        for worker in self.running.values():
            worker.process.kill()
        for worker in self.running.values():
            worker.stop()
        self.running.clear()


def check(
    team: Team, names: list[str], found: dict, save: Callable, end: float, options: Any
) -> None:
    """The calls that are timed, of everybody, and the implementations of jlstm, against float64."""
    everybody = [(n, d) for n in names for d in ENTRANTS[n].dtypes[: 1 if options.toy else None]]
    ours = [key for key in everybody if key[0] in implementations(names)]
    shape = TOY if options.toy else SMALL
    for name in options.checks:
        if time.monotonic() > end:
            answers = {key: {"left out": "no time"} for key in ours}
        elif name in CHECKS:
            job = {"what": "check", "name": name}
            answers = team.all({key: job | {"dtype": key[1]} for key in ours})
        else:
            job = {"what": "agrees", "shape": shape, "kind": AS_TIMED[name]}
            able = [key for key in everybody if AS_TIMED[name] in ENTRANTS[key[0]].kinds]
            answers = team.all({key: job | {"dtype": key[1]} for key in able})
        for key, answer in answers.items():
            found.setdefault(", ".join(key), {})[name] = answer
        save()
    team.stop()


def measure(
    team: Team, names: list[str], case: Case, found: dict, save: Callable, options: Any
) -> None:
    """Milliseconds of every round, forward and training; and why others have none."""
    able = [
        name
        for name in names
        if case.dtype in ENTRANTS[name].dtypes and case.kind in ENTRANTS[name].kinds
    ]
    job = {"what": "prepare", "shape": case.shape, "dtype": case.dtype, "kind": case.kind}
    answers = team.all({(name, ""): job for name in able})
    errors = {name: a["error"] for (name, _), a in answers.items() if "error" in a}
    found |= {"forward": {}, "train": {}, "device": {}, "errors": errors}

    def ask(name: str, **job: Any) -> dict:
        answer = team.ask(name, **job)
        if "error" in answer:
            errors[name] = answer["error"]
        return answer

    for _ in range(options.rounds):
        for call in ("forward", "train"):
            for name in [name for name in able if name not in errors]:
                answer = ask(name, what="time", call=call, seconds=options.seconds)
                if "ms" in answer:
                    found[call].setdefault(name, []).append(answer["ms"])
                    save()
    if case.kind != KINDS[0] or case.name not in ("FlashRNN", "toy"):
        return  # the two clocks are compared at one shape, as the profiler takes its time
    for call in ("forward", "train"):
        for name in [name for name in able if name not in errors]:
            answer = team.ask(name, what="device", call=call, count=DEVICE_CALLS)
            found["device"].setdefault(name, {})[call] = answer
            save()


def where(team: Team, name: str, toy: bool) -> dict:
    """The device, the versions, and what the chip reaches by itself."""
    chip = team.ask(name, what="chip")
    if "error" in chip:
        raise SystemExit(f"there is no device: {chip['error']}")
    if chip["device"] == "cpu" and not toy:
        raise SystemExit("there is no GPU here; --toy runs everything at a small size on a CPU")
    sizes = {"megabytes": 2, "size": 256} if toy else {"megabytes": 1024, "size": 8192}
    reached = team.ask(name, what="ceilings", **sizes)
    left_out = {}
    if "error" in reached:  # times are worth having without a limit beside them
        left_out["the limit"], reached = reached["error"], {}
    names = {d.metadata["Name"] or "" for d in metadata.distributions()}
    wanted = {"jax", "jaxlib", "torch", "flax", "dm-haiku", "numpy"}
    packages = sorted(n for n in names if n in wanted or n.startswith(("nvidia-", "jax-cuda")))
    found = machine(len(os.sched_getaffinity(0)), packages)
    left_out |= {n: f"{missing(n)} is not installed" for n in ENTRANTS if missing(n)}
    found |= chip | {"driver": _driver()}
    return {"machine": found, "ceilings": reached, "left out": left_out, "checks": {}, "times": []}


def _driver() -> str:
    """What NVIDIA's own tool says of the first GPU, if there is one."""
    if not shutil.which("nvidia-smi"):
        return ""
    query = "--query-gpu=name,driver_version,power.limit,clocks.max.sm"
    command = ["nvidia-smi", query, "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout.strip().partition("\n")[0]


def write(results: dict, path: Path) -> None:
    """Whole, or as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1) + "\n")
    part.replace(path)


def run(options: argparse.Namespace, names: list[str]) -> tuple[dict, Path]:
    """Check and time, until all is done or the minutes are over."""
    start = time.monotonic()
    end = start + 60 * options.minutes
    team = Team()
    try:
        results = where(team, names[0], options.toy)
    except SystemExit:
        team.stop()
        raise
    slug = re.sub(r"[^a-z0-9]+", "-", results["machine"]["device"].lower()).strip("-")
    folder = ROOT / "runs" if options.toy else ROOT / "benchmarks" / "results"
    out = options.out or folder / f"gpu-{slug}{'-toy' * options.toy}.json"

    def save() -> None:
        results["seconds"] = round(time.monotonic() - start)
        write(results, out)

    try:
        if options.checks:
            latest = start + 60 * options.minutes * CHECKS_SHARE
            check(team, names, results["checks"], save, latest, options)
            print(
                f"{results['seconds']} s: checked, failed: {failed(results) or 'none'}", flush=True
            )
        for case in [case for case in cases(options.toy) if options.only in case.label]:
            if time.monotonic() > end:
                results["left out"][case.label] = "no time"
                continue
            found: dict[str, Any] = case._asdict()
            results["times"].append(found)
            measure(team, names, case, found, save, options)
            best = {name: round(min(ms), 4) for name, ms in found["train"].items()}
            print(f"{results['seconds']} s: {case.label}", best, flush=True)
    finally:
        team.stop()
        save()
    return results, out


def main() -> None:
    """Run what is asked for, and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=7.0, help="no case is begun after them")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each entrant")
    parser.add_argument("--seconds", type=float, default=0.05, help="of one turn")
    parser.add_argument("--entrants", nargs="*", choices=ENTRANTS, default=list(ENTRANTS))
    parser.add_argument("--checks", nargs="*", choices=ALL_CHECKS, default=ALL_CHECKS)
    parser.add_argument("--only", default="", help="cases with this in their name: 'ragged'")
    parser.add_argument("--toy", action="store_true", help="small sizes, on any device, into runs/")
    parser.add_argument("--out", type=Path, help="results; else results/gpu-DEVICE.json")
    parser.add_argument("--render", type=Path, help="results to draw again, without a run")
    options = parser.parse_args()
    if options.render:
        write_report(options.render)
        return
    names = []
    for name in options.entrants:
        if missing(name):
            print(f"{name} is left out: {missing(name)} is not installed", flush=True)
        else:
            names.append(name)
    results, out = run(options, names)
    print(write_report(out), flush=True)
    if failed(results):
        raise SystemExit("some checks failed: " + ", ".join(failed(results)))


if __name__ == "__main__":
    main()
