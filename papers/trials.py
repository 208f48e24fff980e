"""Trials that are trained together, under one `vmap`, until all have solved their task."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from papers.row import Say

if TYPE_CHECKING:
    from jaxtyping import PRNGKeyArray, PyTree

TELL = 20.0  # seconds between two lines
RECENT = 2000  # sequences that the criterion of 1997 looks back at


class Criterion(NamedTuple):
    """When a trial has solved the task, by its most recent sequences."""

    tolerance: float  # an answer is wrong where an output is further off
    wrong: int  # at most so many of them may be
    error: float  # and the mean absolute error is below this


def until_solved(
    learners: PyTree,
    learn: Callable[[PyTree, PRNGKeyArray], PyTree],
    key: PRNGKeyArray,
    *,
    every: int,
    budget: int,
    say: Say,
    look: Callable[[PyTree, PRNGKeyArray, int], PyTree] | None = None,
    unit: str = "sequences",
) -> Any:
    """Learn until all trials have solved their task, or seen `budget`.

    Args:
      learners: what is trained, with an array `solved` of each trial.
      learn: shows each trial `every` more.
      key: of all that is drawn.
      every: how many are shown at once.
      budget: how many are shown at most.
      say: told of the progress.
      look: tests the learners after each time; some criteria are part of `learn`.
      unit: what is counted.
    """
    began = told = time.monotonic()
    done = 0
    while done < budget and not np.asarray(learners.solved).all():
        key, now, test = jax.random.split(key, 3)
        learners = learn(learners, now)
        done += every
        if look is not None:
            learners = look(learners, test, done)
        if time.monotonic() > told + TELL:
            told = time.monotonic()
            solved = np.asarray(learners.solved)
            say(f"{done:,} {unit}, {solved.sum()} of {len(solved)} solved, {told - began:.0f} s")
    return learners
