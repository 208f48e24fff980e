"""The processes of `benchmarks.gpu`: one an entrant, and what happens when one of them ends."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from benchmarks.workers import Worker

PATIENCE = 60  # seconds that a job may take before its process is ended
GRACE = 5
STRIKES = 2  # processes that an entrant may lose before it is out; one, where it was too late


class Team:
    """One process an entrant, started again where it has ended, but not for ever."""

    def __init__(self, patience: float = PATIENCE) -> None:
        """Start none yet."""
        self.patience = patience
        self.running: dict[str, Worker] = {}
        self.strikes: Counter[tuple[str, str]] = Counter()

    def all(self, jobs: dict[tuple[str, str], dict], patience: float | None = None) -> dict:
        """The answers to jobs that are done side by side, by entrant and a word of the caller's."""
        patience = self.patience if patience is None else patience
        able = [key for key in jobs if self.strikes[key] < STRIKES]
        for key in able:
            self._worker(key).tell(**jobs[key])
        end = time.monotonic() + patience
        out = {key: {"error": "out: its processes ended"} for key in jobs}
        for key in able:
            worker = self._worker(key)
            # Some seconds at least: who has answered must not end because another was late.
            out[key] = worker.hear(max(GRACE, end - time.monotonic()))
            if "the process ended" in out[key].get("error", ""):
                late = time.monotonic() >= end  # the next one would take as long
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
            # Several processes share the memory of one GPU: none may take it all.
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
