"""What `train.inspect` draws: a sequence, what the model did with it, and the page that shows both.

`subjects` picks the sequence, `traced` runs the model, `features` and `scores` find what units
follow, `packed` makes the numbers small and `written` puts all of it into one file.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Feature(NamedTuple):
    """Something about a sequence that a unit may follow, step by step."""

    name: str
    values: np.ndarray  # (time,) numbers, or True and False
    about: str = ""  # what exactly it is
    memory: bool = True  # whether it needs more than what is read at this step


class Subject(NamedTuple):
    """A sequence: what the model reads, and what the page shows of it."""

    kind: str  # "text", "lines" or "roll"
    facts: str  # what it is, in words
    inputs: np.ndarray  # tokens (time,), or numbers (time, features)
    features: list[Feature]
    shown: dict[str, Any]  # of this kind; arrays in it are packed later


class Block(NamedTuple):
    """What one layer did in one direction."""

    layer: int  # from 0
    direction: str  # "forward", "backward", or "" where there is one alone
    kind: str  # of its weights
    values: dict[str, np.ndarray]  # (time, units), by letter: i, f, g, o, c and h, or some of them
