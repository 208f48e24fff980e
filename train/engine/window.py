"""The metrics of the steps between two log lines, fetched while later steps run."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from train.engine import checkpoint
from train.engine.state import learning_rate
from train.engine.step import Metrics
from train.errors import RunError
from train.tasks import Batch, Data, Task


class Run(NamedTuple):
    """Everything that stays the same during a run."""

    config: Any  # a `Config`
    task: Task
    data: Data
    out: Path
    console: Console
    record: Callable[..., None]  # records metrics of a step
    flops: float  # per input of a training step
    flops_limit: float  # per second, of all devices, measured


class Window:
    """The steps between two log lines; the metrics of each are fetched while the next runs."""

    def __init__(self, run: Run, step: int, start: float):
        """Start after a step."""
        self.run, self.first, self.start = run, step, start
        self.pending: Metrics | None = None
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.items = 0
        self.seconds = 0.0

    def add(self, taken: Metrics, batch: Batch) -> None:
        """Add a step that has started, and wait for the one before it."""
        self._fetch()
        self.pending = taken
        leading = 2 + (self.run.config.trials > 1)
        self.items += int(np.prod(batch.inputs.shape[:leading]))

    def _fetch(self) -> None:
        if self.pending is not None:
            # Mean over trials: one non-finite trial makes it non-finite.
            self.losses.append(float(np.mean(self.pending.loss)))
            self.norms.append(float(np.mean(self.pending.gradient_norm)))
            self.pending = None
            check_finite(np.array(self.losses), self.first, self.run.out)

    def close(self) -> dict[str, float]:
        """Wait for the last step, and return the metrics of the window."""
        self._fetch()
        self.seconds = time.monotonic() - self.start
        config, unit = self.run.config, self.run.task.unit
        step = self.first + len(self.losses)
        rate = self.items / self.seconds
        schedule = learning_rate(config.optimizer, config.steps)
        return {
            f"train_{unit}": float(np.mean(self.losses)) * self.run.task.scale,
            "gradient_norm": float(np.mean(self.norms)),
            "learning_rate": float(np.asarray(schedule(step - 1))),
            "steps_per_second": round(len(self.losses) / self.seconds, 3),
            "inputs_per_second": round(rate),
            "share_of_limit": float(f"{self.run.flops * rate / self.run.flops_limit:.3g}"),
        }


def check_finite(losses: np.ndarray, step: int, out: Path) -> None:
    """Stop at the first loss after `step` that is not finite; its step is not saved."""
    bad = np.flatnonzero(~np.isfinite(losses))
    if bad.size:
        saved = checkpoint.steps(out / "checkpoints")
        kept = f"checkpoint {saved[0]} is not affected" if saved else "there is no checkpoint yet"
        raise RunError(
            f"the loss is {losses[bad[0]]} at step {step + bad[0] + 1}; {kept}; "
            "a smaller optimizer.learning_rate may help"
        )
