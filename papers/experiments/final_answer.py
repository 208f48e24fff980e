"""Rows with a target at the end of each sequence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from papers import layers, nets
from papers.layers.model import Layer, init_model
from papers.nets.blocks import Layout, count, init_net
from papers.problems import Sequences
from papers.row import Log, Measured, mean_and_std, solved_line
from papers.trials import Criterion, until_solved

if TYPE_CHECKING:
    from jaxtyping import PRNGKeyArray

TEST = 2560  # new sequences, as in the paper
EVERY = 1000  # sequences between two evaluations
NEVER = Criterion(tolerance=0.0, wrong=-1, error=0.0)  # never met: a test decides


class ByTest(NamedTuple):
    """Solved when at most `wrong` of `number` new sequences are, with an error below `mean`."""

    number: int
    mean: float
    wrong: int = 0


@dataclass(frozen=True)
class Task:
    """The sequences to learn, and the criterion for a solved task."""

    draw: Callable[[PRNGKeyArray], Sequences]
    wrong: float  # an answer with a larger error is wrong
    criterion: Criterion | ByTest
    test: Callable[[PRNGKeyArray], Sequences] | None = None  # other sequences for the test

    @property
    def recent(self) -> Criterion:
        """The criterion over the recent sequences."""
        return self.criterion if isinstance(self.criterion, Criterion) else NEVER


@dataclass(frozen=True)
class Blocks:
    """A net of 1997 and its learning rate."""

    layout: Layout
    rate: float
    scale: float = 0.1
    input_bias: tuple[float, ...] = ()
    output_bias: tuple[float, ...] = ()

    def draw(self, key: PRNGKeyArray) -> nets.blocks.Net:
        """Draw an untrained net."""
        return init_net(
            key, self.layout, self.scale, input_bias=self.input_bias, output_bias=self.output_bias
        )


def measure_blocks(task: Task, blocks: Blocks, trials: int, budget: int, log: Log) -> Measured:
    """Train nets of 1997, one sequence at a time."""
    first, key = jax.random.split(jax.random.key(0))
    drawn = jax.vmap(blocks.draw)(jax.random.split(first, trials))
    learn = partial(nets.final_answer.learn, blocks.layout, task.draw, task.recent, blocks.rate)
    method = Method(
        learn, partial(nets.final_answer.test_errors, blocks.layout), 1, count(blocks.layout)
    )
    return _measure(task, method, jax.vmap(nets.final_answer.init_learner)(drawn), key, budget, log)


def measure_layer(task: Task, layer: Layer, trials: int, budget: int, log: Log) -> Measured:
    """Train a layer of jlstm with Adam."""
    first, key = jax.random.split(jax.random.key(0))
    drawn = jax.vmap(partial(init_model, layer))(jax.random.split(first, trials))
    learners = jax.vmap(partial(layers.final_answer.init_learner, layer))(drawn)
    learn = partial(layers.final_answer.learn, layer, task.draw, task.recent)
    method = Method(learn, layers.final_answer.test_errors, layer.batch, layers.model.count(drawn))
    return _measure(task, method, learners, key, budget, log)


class Method(NamedTuple):
    """The training and test functions of one kind of net."""

    learn: Callable[[Any, PRNGKeyArray, int], Any]
    test_errors: Callable[..., Any]
    batch: int
    weights: int


def _measure(
    task: Task, method: Method, learners: Any, key: PRNGKeyArray, budget: int, log: Log
) -> Measured:
    """Train until all have solved the task or seen `budget` sequences; then test."""
    steps, first_right = max(1, EVERY // method.batch), {}
    drawn = task.test or task.draw

    def evaluate(learners: Any, key: PRNGKeyArray, done: int) -> Any:
        if not isinstance(task.criterion, ByTest):
            return learners
        errors = np.asarray(method.test_errors(drawn, learners.net, key, task.criterion.number))
        right = (errors > task.wrong).sum(1) <= task.criterion.wrong
        for trial in np.flatnonzero(right):
            first_right.setdefault(int(trial), done)
        solved = right & (errors.mean(1) < task.criterion.mean)
        return learners._replace(solved=learners.solved | solved)

    learners = until_solved(
        learners, lambda learners, key: method.learn(learners, key, steps), key,
        every=steps * method.batch, budget=budget, log=log, evaluate=evaluate,
    )  # fmt: skip
    errors = np.asarray(method.test_errors(drawn, learners.net, jax.random.key(1), TEST))
    solved, seen = (np.asarray(a).tolist() for a in (learners.solved, learners.seen))
    wrong = (errors > task.wrong).sum(1).tolist()
    line = solved_line(solved, seen)
    if isinstance(task.criterion, ByTest) and first_right:
        few = f"at most {task.criterion.wrong}" if task.criterion.wrong else "none"
        line += f"; first {few} wrong of {task.criterion.number} after "
        line += mean_and_std(list(first_right.values()))
    line += f"; {mean_and_std(wrong)} of {TEST} wrong"
    figures = {
        "weights": method.weights, "solved": solved, "sequences": seen, "wrong": wrong,
        "tested": TEST, "mean_error": errors.mean(1).round(6).tolist(),
        "first_right": first_right,
    }  # fmt: skip
    return Measured(line, figures)
