"""Rows measured in parallel, each in its own process; each writes a file when it is done."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from papers.row import Row
from train.output.files import write_text

ONE_CORE = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def measure_all(
    rows: Iterable[Row], folder: Path, jobs: int, *, quick: bool = False
) -> Iterator[tuple[str, str | BaseException]]:
    """Measure rows, `jobs` in parallel; yield each name with its line, or its error.

    Args:
      rows: the rows to measure.
      folder: the folder for `NAME.json` of each measured row.
      jobs: the number of processes, each on one core.
      quick: use the trials and the budget of the quick set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["JAX_NUM_CPU_DEVICES"] = "1"  # for training runs that a row starts
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), max_tasks_per_child=1)
    with pool:
        waiting = {pool.submit(measure, row.name, folder, quick): row for row in rows}
        try:
            for done in as_completed(waiting):
                yield waiting[done].name, done.exception() or done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def measure(name: str, folder: Path, quick: bool) -> str:
    """Measure the row of that name, and write the result."""
    from papers.experiments import ROWS

    row = ROWS[name]
    flags = os.environ.get("XLA_FLAGS", "")  # JAX reads them at its first computation
    os.environ["XLA_FLAGS"] = f"{flags} {ONE_CORE} {row.flags}".strip()
    trials, budget = row.quick if quick and row.quick else (row.trials, row.budget)
    print(f"{name}: starting {trials} trials", flush=True)
    measured = row.measure(trials, budget, lambda line: print(f"{name}: {line}", flush=True))
    result = {
        "name": name, "line": measured.line, "trials": trials, "budget": budget,
        "core_seconds": round(sum(os.times()[:4])),  # of this process and its children
        "machine": machine(1, ["jax", "numpy", "optax"]),
        "figures": measured.figures,
    }  # fmt: skip
    write_text(folder / f"{name}.json", json.dumps(result, indent=1) + "\n")
    return measured.line


def results(folder: Path) -> dict[str, dict[str, Any]]:
    """The results, by the name of the row."""
    files = sorted(folder.glob("[!.]*.json"))
    contents = (json.loads(path.read_text(encoding="utf-8")) for path in files)
    return {content["name"]: content for content in contents}
