"""The page of `train.inspect`: a sequence, and what the model computed from it, step by step.

`views` picks the sequence and runs the model, `activations` records its layers, `features` and
`scores` find the features that units follow, `encoding` compresses the numbers, and `html_page`
writes all of it into one file.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Feature(NamedTuple):
    """A property of a sequence that a unit may follow, with a value at every step."""

    name: str
    values: np.ndarray  # (time,) numbers, or True and False
    about: str = ""  # a short explanation
    memory: bool = True  # whether it depends on more than the input of this step


class Selection(NamedTuple):
    """The part of a split to show."""

    row: int  # index of the sequence in the split
    steps: int  # the most steps to show
    marker: str | None  # the feature "marker seen" is true after it


class SequenceView(NamedTuple):
    """A sequence: the inputs of the model, and the content of the page that is about them."""

    kind: str  # "text", "lines" or "roll"
    facts: str  # a description of the sequence
    inputs: np.ndarray  # tokens (time,), or numbers (time, features)
    features: list[Feature]
    content: dict[str, Any]  # of this kind of view; its arrays are encoded later


class LayerActivations(NamedTuple):
    """The values of one layer in one direction."""

    layer: int  # from 0
    direction: str  # "forward" or "backward"; "" in a layer of one direction
    layer_type: str  # the type of its weights
    values: dict[str, np.ndarray]  # (time, units), by letter: i, f, g, o, c and h, or some of them
