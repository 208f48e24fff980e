"""The problems that are timed, and the weights and inputs that every implementation is given."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Shape(NamedTuple):
    """Sizes of one layer over one batch of sequences."""

    batch: int
    time: int
    input: int
    hidden: int

    @property
    def forward_flops(self) -> int:
        """Of the matrix products alone; training takes three times as many."""
        return 8 * self.batch * self.time * self.hidden * (self.input + self.hidden)


SHAPES = {
    "A": Shape(16, 512, 64, 128),  # a small language model
    "B": Shape(32, 128, 256, 256),
    "C": Shape(1, 512, 128, 128),  # one sequence alone
    "D": Shape(64, 64, 512, 512),  # the products are everything
    "E": Shape(128, 100, 32, 64),  # the gates are everything
    "F": Shape(256, 32, 16, 32),
}


class Problem(NamedTuple):
    """Weights of one layer in the layout of jlstm (gates i, f, g, o) and a time-major input."""

    weight_ih: np.ndarray  # (input, 4*hidden)
    weight_hh: np.ndarray  # (hidden, 4*hidden)
    bias: np.ndarray  # (4*hidden,)
    xs: np.ndarray  # (time, batch, input)


def make_problem(shape: Shape, seed: int = 0) -> Problem:
    """Random weights of a usual size, float32."""
    rng = np.random.default_rng(seed)

    def normal(*sizes: int, scale: float) -> np.ndarray:
        return (rng.normal(size=sizes) * scale).astype(np.float32)

    gates = 4 * shape.hidden
    return Problem(
        weight_ih=normal(shape.input, gates, scale=shape.input**-0.5),
        weight_hh=normal(shape.hidden, gates, scale=shape.hidden**-0.5),
        bias=normal(gates, scale=0.5),
        xs=normal(shape.time, shape.batch, shape.input, scale=1.0),
    )
