"""`python -m papers [ROW ...] [--quick] [--again] [--jobs N]`."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from papers.page import write_page
from papers.run import measure_all, results
from train.config.command import parse, run
from train.errors import InputError, RunError

HERE = Path(__file__).parent
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Command:
    """Reproduce the tables of the LSTM papers, row by row, and write docs/results.md.

    Rows that are already measured are skipped: repeat a stopped or killed command to resume it.
    """

    rows: tyro.conf.Positional[Annotated[tuple[str, ...], tyro.conf.arg(metavar="ROW")]] = ()
    """Rows to measure, by name; by default all."""
    quick: bool = False
    """Measure the quick set, with fewer rows, trials and sequences, into runs/papers-quick."""
    again: bool = False
    """Measure rows again that are already measured."""
    list: bool = False
    """List the rows with their results, and exit."""
    jobs: Annotated[int, tyro.conf.arg(metavar="N")] = CORES
    """Rows to measure in parallel, each in a process on one core."""


def main(args: list[str]) -> None:
    """Measure, and write the page."""
    command = parse(Command(), args, "python -m papers")
    if command.jobs < 1:
        raise InputError(f"--jobs must be 1 or more, got {command.jobs}")
    from papers.experiments import ROWS  # after the flags: JAX takes seconds to start

    unknown = [name for name in command.rows if name not in ROWS]
    if unknown:
        raise InputError(f"there is no row {unknown[0]}; the rows are {', '.join(ROWS)}")
    folder = Path("runs/papers-quick") if command.quick else HERE / "results"
    page = folder / "results.md" if command.quick else HERE.parent / "docs" / "results.md"
    chosen = [ROWS[name] for name in command.rows or ROWS]
    if command.quick:
        chosen = [row for row in chosen if row.quick]
    measured = results(folder)
    if command.list:
        for row in chosen:
            print(f"{row.name:24} {measured.get(row.name, {}).get('line', 'not measured')}")
        return
    missing = [row for row in chosen if command.again or row.name not in measured]
    print(f"{len(missing)} of {len(chosen)} rows to measure, into {folder}", flush=True)
    failed = []
    for name, line in measure_all(missing, folder, command.jobs, quick=command.quick):
        if isinstance(line, BaseException):
            failed.append(name)
        print(f"{name}: {'not measured: ' if name in failed else ''}{line}", flush=True)
        write_page(page, ROWS.values(), results(folder), quick=command.quick)
    write_page(page, ROWS.values(), results(folder), quick=command.quick)
    print(f"written: {page}")
    if failed:
        raise RunError(f"not measured: {', '.join(failed)}; see the errors above")


if __name__ == "__main__":
    run(main, "papers", "interrupted; repeat the command to measure the missing rows")
