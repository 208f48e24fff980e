"""Processes that time implementations, and their answers."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading

from benchmarks.shapes import Shape


class Worker:
    """A process that answers jobs, one line of JSON each."""

    def __init__(self, *args: str, module: str = "benchmarks.worker", **environment: str):
        """Start the process."""
        self.said = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *args], env=os.environ | environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said, text=True,
        )  # fmt: skip

    def ask(self, **job) -> dict:
        """The answer to a job: numbers by name, or `{"error": ...}`."""
        self.tell(**job)
        return self.hear()

    def tell(self, **job) -> None:
        """Send a job without waiting."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, which `hear` reports
            print(json.dumps(job), file=self.process.stdin, flush=True)

    def hear(self, seconds: float | None = None) -> dict:
        """The answer to the oldest job; a process that does not answer in time is ended."""
        assert self.process.stdout is not None
        alarm = threading.Timer(
            threading.TIMEOUT_MAX if seconds is None else seconds, self.process.kill
        )
        alarm.start()
        line = self.process.stdout.readline()
        alarm.cancel()
        return json.loads(line) if line else {"error": f"the process ended: {self.last_words()}"}

    def last_words(self) -> str:
        """The end of the stderr of the process."""
        self.said.seek(0)
        lines = self.said.read().decode(errors="replace").strip().splitlines()
        return " / ".join(lines[-3:])[-600:]

    def stop(self, seconds: float = 20) -> None:
        """End the process, whose jobs are answered."""
        with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
            self.process.communicate(timeout=seconds)
        self.process.kill()
        self.process.communicate()
        self.said.close()


class Bench:
    """The workers, and their answers so far."""

    def __init__(self, rounds: int, seconds: float):
        """Store the duration of a measurement."""
        self.rounds, self.seconds = rounds, seconds
        self.workers: dict[str, Worker] = {}

    def best(self, names: list[str], shape: Shape, what: str) -> dict[str, float]:
        """The best time of each in milliseconds, without those that do not support the job."""
        times: dict[str, float] = {}
        for _ in range(self.rounds):
            for name in names:
                answer = self.worker(name).ask(shape=shape, what=what, seconds=self.seconds)
                if "ms" in answer:
                    times[name] = min(times.get(name, float("inf")), answer["ms"])
        print(f"  {what:16}", *(f"{n} {t:.2f}" for n, t in times.items()), sep="  ", flush=True)
        return times

    def worker(self, name: str) -> Worker:
        """The worker of that name: `haiku`, or `haiku:2` on two devices."""
        if name not in self.workers:
            module, _, devices = name.partition(":")
            self.workers[name] = Worker(module, devices or "1")
        return self.workers[name]

    def stop(self) -> None:
        """End all processes."""
        for worker in self.workers.values():
            worker.stop()
        self.workers.clear()
