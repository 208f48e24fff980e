"""The tasks: each a file of its own with the data, the loss, the figures and the picture.

`docs/tasks.md` says how to add one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import grain
    from jaxtyping import Array
    from matplotlib.figure import Figure

Sums = dict[str, tuple[Any, Any]]  # by name, a sum and what it is to be divided by


class Batch(NamedTuple):
    """What the model reads at once, batch first; a task's own arrays in `targets`."""

    inputs: Any  # (batch, time) tokens, or (batch, time, features)
    targets: Any
    lengths: Any  # (batch,) valid steps; rows that fill a batch up have 0
    first: Any  # (batch,) whether the memory of the batch before is of another sequence
    resets: Any = None  # (batch, time) where another sequence begins in a row that holds several


EVERY = slice(None)  # rows of a batch; a process makes its own


class Shape(NamedTuple):
    """What the model is between."""

    tokens: int  # different tokens, or 0 where inputs are numbers
    features: int  # of one input, or 0 where inputs are tokens
    outputs: int


class Data(NamedTuple):
    """Data that was read and cut."""

    train: Any
    validation: Any
    test: Any
    shape: Shape
    about: dict[str, Any]  # what is needed to use the weights; it fits into JSON
    facts: dict[str, Any]  # sizes and baselines for `result.json`
    source: str
    sha256: str


Run = Callable[[Iterable[Batch]], Iterator[tuple[Batch, Any]]]  # the outputs of batches in order


class Task(NamedTuple):
    """How one kind of problem is read, measured and drawn.

    `measure` gives sums over the batch, so that figures of a split are exact however it is cut into
    batches.
    """

    load: Callable[[Any], Data]
    read: Callable[[Any, dict[str, Any], str], Any]  # another file as a split
    batches: Callable[[Any, Data, slice], grain.MapDataset]  # some rows of every step's batch
    in_order: Callable[..., Iterator[Batch]]  # a split once, in batches of rows, or some of these
    loss: Callable[[Array, Batch], tuple[Array, Array]]  # of outputs: a sum, and of how many
    measure: Callable[[Array, Batch], Sums]  # of outputs
    table: Callable[[Any, dict[str, Any], Any, Run], Iterator[list]]  # of predictions.csv
    draw: Callable[[Figure, Any, Data, Run], None]  # the picture of the test split
    headline: str  # of the figures, that by which the best weights are chosen
    baseline: str  # of the facts, what the headline is held against
    unit: str  # of the training loss
    scale: float = 1.0  # from nats to that unit
    best: Callable[[float, float], float] = min  # of two headlines, the better
    per_step: bool = True  # whether there is an output at every step, or one a sequence
    memory: bool = False  # whether a row goes on where the batch before ended
    sample: Callable[[Any, Data, Any, int], str] | None = None  # what the model writes on the way


TASKS = ("char_lm", "classification", "forecasting", "piano_roll")


def find_task(name: str) -> Task:
    """The task of that name."""
    return importlib.import_module(f"train.tasks.{name}").TASK
