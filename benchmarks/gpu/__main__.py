"""`python -m benchmarks.gpu`: jlstm on a GPU, checked and timed against its peers, under 8 minutes.

`--part` runs a part: "first" (two minutes), "pallas", "rest", each worth its results by itself.
Every entrant runs in a process of its own. A case is compiled by all of them at once, then they
take turns, several rounds. What one of them cannot do is recorded, and the others go on. Results
are written after every measurement.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.gpu.checks import CHECKS
from benchmarks.gpu.entrants import ENTRANTS, Case, cases, implementations, missing
from benchmarks.gpu.parts import ALL_CHECKS, AS_TIMED, EVERYTHING, PARTS
from benchmarks.gpu.report import failed, write_report
from benchmarks.gpu.team import Team
from benchmarks.machine import driver, machine
from benchmarks.shapes import KINDS, TOY

ROOT = Path(__file__).parents[2]
DEVICE_CALLS = 3  # under the profiler


def check(
    team: Team, names: list[str], checks: dict, save: Callable, end: float, options: Any
) -> None:
    """Check the timed calls of every entrant and the implementations of jlstm against float64."""
    everybody = [(n, d) for n in names for d in ENTRANTS[n].dtypes[: 1 if options.toy else None]]
    ours = [key for key in everybody if key[0] in implementations(names)]
    for name in options.checks:
        if time.monotonic() > end:
            answers = {key: {"left out": "no time"} for key in ours}
        elif name in CHECKS:
            job = {"what": "check", "name": name}
            answers = team.all({key: job | {"dtype": key[1]} for key in ours})
        else:
            shape, kind = AS_TIMED[name]
            job = {"what": "agrees", "shape": TOY if options.toy else shape, "kind": kind}
            able = [key for key in everybody if kind in ENTRANTS[key[0]].kinds]
            answers = team.all({key: job | {"dtype": key[1]} for key in able})
        for key, answer in answers.items():
            checks.setdefault(", ".join(key), {})[name] = answer
        save()
    team.stop()


def measure(
    team: Team, names: list[str], case: Case, times: dict, save: Callable, options: Any
) -> None:
    """The times of every round in milliseconds, forward and training, or the reason for none."""
    able = [
        name
        for name in names
        if case.dtype in ENTRANTS[name].dtypes and case.kind in ENTRANTS[name].kinds
    ]
    job = {"what": "prepare", "shape": case.shape, "dtype": case.dtype, "kind": case.kind}
    answers = team.all({(name, ""): job for name in able})
    errors = {name: a["error"] for (name, _), a in answers.items() if "error" in a}
    times |= {"forward": {}, "train": {}, "device": {}, "errors": errors}

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
                    times[call].setdefault(name, []).append(answer["ms"])
                    save()
    if case.kind != KINDS[0] or case.name not in ("FlashRNN", "toy"):
        return  # the clocks are compared at one shape, as the profiler is slow
    for call in ("forward", "train"):
        for name in [name for name in able if name not in errors]:
            answer = team.ask(name, what="device", call=call, count=DEVICE_CALLS)
            times["device"].setdefault(name, {})[call] = answer
            save()


def where(team: Team, name: str, toy: bool) -> dict:
    """The device, the versions, and the ceilings of the chip."""
    chip = team.ask(name, what="chip")
    if "error" in chip:
        raise SystemExit(f"there is no device: {chip['error']}")
    if chip["device"] == "cpu" and not toy:
        raise SystemExit("there is no GPU here; --toy runs everything at a small size on a CPU")
    sizes = {"megabytes": 2, "size": 256} if toy else {"megabytes": 1024, "size": 8192}
    reached = team.ask(name, what="ceilings", **sizes)
    left_out = {}
    if "error" in reached:  # times are useful without a limit as well
        left_out["the limit"], reached = reached["error"], {}
    names = {d.metadata["Name"] or "" for d in metadata.distributions()}
    wanted = {"jax", "jaxlib", "torch", "flax", "dm-haiku", "numpy"}
    packages = sorted(n for n in names if n in wanted or n.startswith(("nvidia-", "jax-cuda")))
    described = machine(len(os.sched_getaffinity(0)), packages)
    left_out |= {n: f"{missing(n)} is not installed" for n in ENTRANTS if missing(n)}
    described |= chip | {"driver": driver()}
    return {
        "machine": described,
        "ceilings": reached,
        "left out": left_out,
        "checks": {},
        "times": [],
    }


def write(results: dict, path: Path) -> None:
    """Write the results atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def run(options: argparse.Namespace, names: list[str]) -> tuple[dict, Path]:
    """Check and time until all is done or the minutes are over."""
    start = time.monotonic()
    end = start + 60 * options.minutes
    team = Team(options.patience)
    try:
        results = where(team, names[0], options.toy)
    except SystemExit:
        team.stop()
        raise
    slug = re.sub(r"[^a-z0-9]+", "-", results["machine"]["device"].lower()).strip("-")
    folder = ROOT / "runs" if options.toy else ROOT / "benchmarks" / "results"
    out = options.out or folder / f"gpu-{slug}{'-toy' * options.toy}.json"
    wanted = [case for case in cases(options.toy) if any(o in case.label for o in options.only)]
    if (options.more or options.part) and out.exists():
        earlier = json.loads(out.read_text(encoding="utf-8"))
        again = set() if options.more else {case.label for case in wanted}
        results["checks"] = earlier["checks"]
        results["times"] = [
            case for case in earlier["times"] if case.get("complete") and _label(case) not in again
        ]
    done = {_label(times) for times in results["times"]}

    def save() -> None:
        results["seconds"] = round(time.monotonic() - start)
        write(results, out)

    try:
        if options.checks:
            latest = start + 60 * options.minutes * options.checks_share
            check(team, names, results["checks"], save, latest, options)
            print(
                f"{results['seconds']} s: checked, failed: {failed(results) or 'none'}", flush=True
            )
        for case in [case for case in wanted if case.label not in done]:
            if time.monotonic() > end:
                results["left out"][case.label] = "no time"
                continue
            times: dict[str, Any] = case._asdict()
            results["times"].append(times)
            measure(team, names, case, times, save, options)
            times["complete"] = True
            best = {name: round(min(ms), 4) for name, ms in times["train"].items()}
            print(f"{results['seconds']} s: {case.label}", best, flush=True)
    finally:
        team.stop()
        save()
    return results, out


def _label(times: dict) -> str:
    return Case(*(times[name] for name in Case._fields)).label


def main() -> None:
    """Run the requested parts and write the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument(
        "--part", choices=PARTS, help="a part, which sets the defaults of the other flags"
    )
    parser.add_argument("--minutes", type=float, help="no case starts after this time (default: 7)")
    parser.add_argument(
        "--patience", type=float, help="the most seconds for one answer (default: 60)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each entrant")
    parser.add_argument("--seconds", type=float, default=0.05, help="duration of a round")
    parser.add_argument("--entrants", nargs="+", choices=ENTRANTS)
    parser.add_argument("--checks", nargs="*", choices=ALL_CHECKS)
    parser.add_argument(
        "--only", nargs="+", help="cases whose name contains one of these, such as 'ragged'"
    )
    parser.add_argument(
        "--more", action="store_const", const=True, help="time the cases that earlier results lack"
    )
    parser.add_argument("--toy", action="store_true", help="small sizes, on any device, into runs/")
    parser.add_argument("--out", type=Path, help="results (default: results/gpu-DEVICE.json)")
    parser.add_argument("--render", type=Path, help="results to draw again without a run")
    options = parser.parse_args()
    if options.render:
        write_report(options.render)
        return
    for name, value in PARTS.get(options.part, EVERYTHING)._asdict().items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)
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
