"""Tasks: each module has the data, the loss, the figures and the pictures of one task.

`docs/tasks.md` describes how to add one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import grain
    from jaxtyping import Array
    from matplotlib.figure import Figure

    from train.viewer import SequenceView

Sums = dict[str, tuple[Any, Any]]  # by name, a sum and its divisor

ALL_ROWS = slice(None)  # of a batch; each process makes a slice of its own


class Batch(NamedTuple):
    """The arrays of one step, batch first; `targets` holds arrays of the task."""

    inputs: Any  # (batch, time) tokens, or (batch, time, features)
    targets: Any
    lengths: Any  # (batch,) valid steps; rows that only fill the batch have 0
    first: Any  # (batch,) whether the row does not continue that of the previous batch
    resets: Any = None  # (batch, time) true where another sequence begins within a row


class Shape(NamedTuple):
    """Sizes of the model's inputs and outputs."""

    tokens: int  # size of the vocabulary, or 0 if the inputs are numbers
    features: int  # size of an input, or 0 if the inputs are tokens
    outputs: int


class Data(NamedTuple):
    """The splits of a data set."""

    train: Any
    validation: Any
    test: Any
    shape: Shape
    about: dict[str, Any]  # what a trained model needs beside its weights; must fit into JSON
    facts: dict[str, Any]  # sizes and baselines for `result.json`
    source: str
    sha256: str


Run = Callable[[Iterable[Batch]], Iterator[tuple[Batch, Any]]]  # batches with their outputs


class Task(NamedTuple):
    """The functions and names of a task.

    `measure` returns sums over a batch, so that the figures of a split do not depend on how it is
    divided into batches.
    """

    title: str  # of the report and of the page of `train.inspect`
    load: Callable[[Any], Data]
    read: Callable[[Any, dict[str, Any], str], Any]  # another file, as a split
    batches: Callable[[Any, Data, slice], grain.MapDataset]  # a slice of the rows of each step
    in_order: Callable[..., Iterator[Batch]]  # a split once, in batches
    loss: Callable[[Array, Batch], tuple[Array, Array]]  # a sum of nats, and its divisor
    measure: Callable[[Array, Batch], Sums]  # the figures of outputs
    table: Callable[[Any, dict[str, Any], Any, Run], Iterator[list]]  # rows of predictions.csv
    draw: Callable[[Figure, Any, Data, Run], None]  # the picture of the test split
    headline: str  # the figure by which the best weights are chosen
    baseline: str  # the fact to compare the headline with
    unit: str  # of the training loss
    scale: float = 1.0  # from nats to that unit
    best: Callable[[float, float], float] = min  # the better of two headlines
    per_step: bool = True  # one output per step, or one per sequence
    memory: bool = False  # whether a row continues that of the previous batch
    picture: str = "The test split."  # a description of the picture, for readers who cannot see it
    sample: Callable[[Any, Data, Any, int], str] | None = None  # text that the model generates
    view: Callable[..., SequenceView] | None = None  # for `train.inspect`; None shows the inputs


def find_task(name: str) -> Task:
    """The task of that name: the `TASK` of the module `train.tasks.NAME`."""
    return importlib.import_module(f"train.tasks.{name}").TASK
