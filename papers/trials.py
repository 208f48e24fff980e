"""Trials that train together under one `vmap` until all have solved their task."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from papers.row import Log

if TYPE_CHECKING:
    from jaxtyping import PRNGKeyArray, PyTree

LOG_EVERY = 20.0  # seconds between two log lines
RECENT = 2000  # the most recent sequences, for the criterion of 1997


class Criterion(NamedTuple):
    """A criterion for a solved task, over the most recent sequences."""

    tolerance: float  # an answer is wrong if the error of an output is larger
    wrong: int  # the most wrong answers allowed
    error: float  # the mean absolute error must be below this


def until_solved(
    learners: PyTree,
    learn: Callable[[PyTree, PRNGKeyArray], PyTree],
    key: PRNGKeyArray,
    *,
    every: int,
    budget: int,
    log: Log,
    evaluate: Callable[[PyTree, PRNGKeyArray, int], PyTree] | None = None,
    unit: str = "sequences",
) -> Any:
    """Train until all trials have solved their task, or have seen `budget` sequences.

    Args:
      learners: the trials, with an array `solved`.
      learn: trains each trial on `every` more sequences.
      key: the key of all random numbers.
      every: sequences per call of `learn`.
      budget: the most sequences per trial.
      log: logs a line of progress.
      evaluate: evaluates the learners after each call; some criteria are part of `learn`.
      unit: the name of a sequence in the log.
    """
    began = logged = time.monotonic()
    done = 0
    while done < budget and not np.asarray(learners.solved).all():
        key, training, test = jax.random.split(key, 3)
        learners = learn(learners, training)
        done += every
        if evaluate is not None:
            learners = evaluate(learners, test, done)
        if time.monotonic() > logged + LOG_EVERY:
            logged = time.monotonic()
            solved = np.asarray(learners.solved)
            log(f"{done:,} {unit}, {solved.sum()} of {len(solved)} solved, {logged - began:.0f} s")
    return learners
