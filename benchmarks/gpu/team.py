"""The processes of `benchmarks.gpu`: one per entrant, restarted when one ends."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from benchmarks.workers import Worker

PATIENCE = 60  # seconds of a job before its process is ended
GRACE = 5
STRIKES = 2  # failed processes before an entrant is out; one if it timed out


class Team:
    """One process per entrant, restarted a limited number of times."""

    def __init__(self, patience: float = PATIENCE) -> None:
        """Start no process yet."""
        self.patience = patience
        self.running: dict[str, Worker] = {}
        self.strikes: Counter[tuple[str, str]] = Counter()

    def all(self, jobs: dict[tuple[str, str], dict], patience: float | None = None) -> dict:
        """The answers to concurrent jobs, by entrant and a label of the caller."""
        patience = self.patience if patience is None else patience
        able = [key for key in jobs if self.strikes[key] < STRIKES]
        for key in able:
            self._worker(key).tell(**jobs[key])
        end = time.monotonic() + patience
        out = {key: {"error": "out: its processes ended"} for key in jobs}
        for key in able:
            worker = self._worker(key)
            # A few seconds at least: one late process must not end those that have answered.
            out[key] = worker.hear(max(GRACE, end - time.monotonic()))
            if "the process ended" in out[key].get("error", ""):
                late = time.monotonic() >= end  # the next process would take as long
                self.strikes[key] += STRIKES if late else 1
                out[key]["error"] += f" (it took over {patience:g} s)" if late else ""
                worker.stop(1)
                self.running.pop(" ".join(key))
        return out

    def ask(self, name: str, **job: Any) -> dict:
        """The answer of one entrant."""
        return self.all({(name, ""): job})[name, ""]

    def _worker(self, key: tuple[str, str]) -> Worker:
        word = " ".join(key)
        if word not in self.running:
            # Several processes share the memory of one GPU: none may take all of it.
            self.running[word] = Worker(
                key[0], module="benchmarks.gpu.worker", XLA_PYTHON_CLIENT_PREALLOCATE="false"
            )
        return self.running[word]

    def stop(self) -> None:
        """End all processes."""
        for worker in self.running.values():
            worker.process.kill()
        for worker in self.running.values():
            worker.stop()
        self.running.clear()
