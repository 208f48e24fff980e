"""How rows are measured whose answer is due at the end of a sequence."""

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
from papers.row import Measured, Say, solved_line, spread
from papers.trials import Criterion, until_solved

if TYPE_CHECKING:
    from jaxtyping import PRNGKeyArray

TEST = 2560  # fresh sequences, as in the paper
EVERY = 1000  # sequences between two looks at the trials
NEVER = Criterion(tolerance=0.0, wrong=-1, error=0.0)  # of the recent ones: a test decides


class ByTest(NamedTuple):
    """Solved by `number` fresh sequences: at most `wrong` are, and `mean` is above their error."""

    number: int
    mean: float
    wrong: int = 0


@dataclass(frozen=True)
class Task:
    """What is to be answered, and when it is."""

    draw: Callable[[PRNGKeyArray], Sequences]
    wrong: float  # an answer further off than this is wrong
    criterion: Criterion | ByTest
    test: Callable[[PRNGKeyArray], Sequences] | None = None  # other sequences to be tested on

    @property
    def recent(self) -> Criterion:
        """What the recent sequences must be like."""
        return self.criterion if isinstance(self.criterion, Criterion) else NEVER


@dataclass(frozen=True)
class Blocks:
    """The net of 1997 and how it learns."""

    layout: Layout
    rate: float
    scale: float = 0.1
    input_bias: tuple[float, ...] = ()
    output_bias: tuple[float, ...] = ()

    def draw(self, key: PRNGKeyArray) -> nets.blocks.Net:
        """A net that has learned nothing."""
        return init_net(
            key, self.layout, self.scale, input_bias=self.input_bias, output_bias=self.output_bias
        )


def of_blocks(task: Task, blocks: Blocks, trials: int, budget: int, say: Say) -> Measured:
    """Train nets of 1997 on one sequence after the other."""
    first, key = jax.random.split(jax.random.key(0))
    drawn = jax.vmap(blocks.draw)(jax.random.split(first, trials))
    learn = partial(nets.final_answer.learn, blocks.layout, task.draw, task.recent, blocks.rate)
    ways = Ways(learn, partial(nets.final_answer.examine, blocks.layout), 1, count(blocks.layout))
    return _measure(task, ways, jax.vmap(nets.final_answer.init_learner)(drawn), key, budget, say)


def of_layer(task: Task, layer: Layer, trials: int, budget: int, say: Say) -> Measured:
    """Train a layer of this library with Adam."""
    first, key = jax.random.split(jax.random.key(0))
    drawn = jax.vmap(partial(init_model, layer))(jax.random.split(first, trials))
    learners = jax.vmap(partial(layers.final_answer.init_learner, layer))(drawn)
    learn = partial(layers.final_answer.learn, layer, task.draw, task.recent)
    ways = Ways(learn, layers.final_answer.examine, layer.batch, layers.model.count(drawn))
    return _measure(task, ways, learners, key, budget, say)


class Ways(NamedTuple):
    """How one kind of net learns and is examined."""

    learn: Callable[[Any, PRNGKeyArray, int], Any]
    examine: Callable[..., Any]
    batch: int
    weights: int


def _measure(
    task: Task, ways: Ways, learners: Any, key: PRNGKeyArray, budget: int, say: Say
) -> Measured:
    """Learn until all have solved the task or seen `budget` sequences; then test."""
    steps, first_right = max(1, EVERY // ways.batch), {}
    drawn = task.test or task.draw

    def look(learners: Any, key: PRNGKeyArray, done: int) -> Any:
        if not isinstance(task.criterion, ByTest):
            return learners
        errors = np.asarray(ways.examine(drawn, learners.net, key, task.criterion.number))
        right = (errors > task.wrong).sum(1) <= task.criterion.wrong
        for trial in np.flatnonzero(right):
            first_right.setdefault(int(trial), done)
        solved = right & (errors.mean(1) < task.criterion.mean)
        return learners._replace(solved=learners.solved | solved)

    learners = until_solved(
        learners, lambda learners, key: ways.learn(learners, key, steps), key,
        every=steps * ways.batch, budget=budget, say=say, look=look,
    )  # fmt: skip
    errors = np.asarray(ways.examine(drawn, learners.net, jax.random.key(1), TEST))
    solved, seen = (np.asarray(a).tolist() for a in (learners.solved, learners.seen))
    wrong = (errors > task.wrong).sum(1).tolist()
    line = solved_line(solved, seen)
    if isinstance(task.criterion, ByTest) and first_right:
        few = f"at most {task.criterion.wrong}" if task.criterion.wrong else "none"
        line += f"; first {few} wrong of {task.criterion.number} after "
        line += spread(list(first_right.values()))
    line += f"; {spread(wrong)} of {TEST} wrong"
    figures = {
        "weights": ways.weights, "solved": solved, "sequences": seen, "wrong": wrong,
        "tested": TEST, "mean_error": errors.mean(1).round(6).tolist(),
        "first_right": first_right,
    }  # fmt: skip
    return Measured(line, figures)
