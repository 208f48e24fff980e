"""The timed problems: shapes, and the weights and inputs for every implementation."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Shape(NamedTuple):
    """Sizes of one layer over one batch of sequences."""

    batch: int
    time: int
    input: int
    hidden: int

    @property
    def forward_flops(self) -> int:
        """The FLOPs of the matrix products; training takes three times as many."""
        return 8 * self.batch * self.time * self.hidden * (self.input + self.hidden)


SHAPES = {
    "A": Shape(16, 512, 64, 128),  # a small language model
    "B": Shape(32, 128, 256, 256),
    "C": Shape(1, 512, 128, 128),  # a single sequence
    "D": Shape(64, 64, 512, 512),  # dominated by matrix products
    "E": Shape(128, 100, 32, 64),  # dominated by gates
    "F": Shape(256, 32, 16, 32),
}


GPU_SHAPES = {
    "FlashRNN": Shape(16, 1024, 768, 768),  # a figure of Poeppel et al. 2024
    "512, batch 16": Shape(16, 25, 512, 512),  # from DeepBench
    "512, batch 32": Shape(32, 25, 512, 512),
    "512, batch 64": Shape(64, 25, 512, 512),
    "512, batch 128": Shape(128, 25, 512, 512),
    "1536": Shape(32, 50, 1536, 1536),
    "256": Shape(64, 150, 256, 256),
    **SHAPES,
}
TOY = Shape(2, 6, 8, 16)

# Problems: one layer, a second one, the other direction, sequences of different lengths.
KINDS = ("one layer", "two layers", "both directions", "ragged")


class Weights(NamedTuple):
    """The weights of one layer in one direction, in the layout of jlstm (gates i, f, g, o)."""

    weight_ih: np.ndarray  # (input, 4*hidden)
    weight_hh: np.ndarray  # (hidden, 4*hidden)
    bias: np.ndarray  # (4*hidden,)


class Problem(NamedTuple):
    """Weights of one layer, a time-major input, and perhaps a second layer or lengths."""

    weight_ih: np.ndarray
    weight_hh: np.ndarray
    bias: np.ndarray
    xs: np.ndarray  # (time, batch, input)
    other: Weights | None = None  # the second layer, or the other direction
    lengths: np.ndarray | None = None  # (batch,)
    kind: str = "one layer"


def make_problem(
    shape: Shape, seed: int = 0, dtype: Any = np.float32, kind: str = "one layer"
) -> Problem:
    """Draw a problem with weights of a typical scale, equal to rounding in every dtype."""
    rng = np.random.default_rng(seed)

    def normal(*sizes: int, scale: float) -> np.ndarray:
        return (rng.normal(size=sizes) * scale).astype(np.float32).astype(dtype)

    def weights(inputs: int) -> Weights:
        gates = 4 * shape.hidden
        return Weights(
            weight_ih=normal(inputs, gates, scale=inputs**-0.5),
            weight_hh=normal(shape.hidden, gates, scale=shape.hidden**-0.5),
            bias=normal(gates, scale=0.5),
        )

    first = weights(shape.input)
    xs = normal(shape.time, shape.batch, shape.input, scale=1.0)
    inputs = {"two layers": shape.hidden, "both directions": shape.input}.get(kind)
    return Problem(
        *first,
        xs=xs,
        other=None if inputs is None else weights(inputs),
        # Half of all steps are valid, and one sequence has full length, as in a typical batch.
        lengths=np.linspace(1, shape.time, shape.batch).astype(np.int32)
        if kind == "ragged"
        else None,
        kind=kind,
    )
