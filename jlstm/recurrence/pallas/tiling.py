"""Division of a layer among the multiprocessors of a Hopper GPU, and the memory it takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

ROWS = 64  # of one instruction of the tensor cores: sequences, those that are missing are idle
COLUMNS = 64  # of a row of 128 bytes in bfloat16, as the tensor cores read shared memory
SHARED_MEMORY = 227 * 1024  # bytes that a block may have, on compute capability 9.0
MARGIN = 4096


class Tiling(NamedTuple):
    """Sequences in groups that do not wait for each other; the units of a group over blocks.

    A block is all that a multiprocessor holds: its `units` of a layer, for the `rows` sequences of
    one group, over all steps.
    """

    hidden: int
    units: int
    groups: int
    rows: int

    @property
    def blocks(self) -> int:
        """The number of blocks per group."""
        return self.hidden // self.units

    @property
    def batch(self) -> int:
        """Sequences of all groups, padding included."""
        return self.groups * self.rows


def tile(batch: int, hidden: int, multiprocessors: int, scratch: Callable[[Tiling], Any]) -> Tiling:
    """The division with the fewest units per block, which has the shortest step.

    `scratch` says what a block of a division holds.

    Raises:
      ValueError: the layer does not fit, and why.
    """
    if hidden % COLUMNS:
        raise ValueError(f"takes a multiple of {COLUMNS} hidden units, got {hidden}")
    groups = -(-batch // ROWS)
    rows = -(-batch // (8 * groups)) * 8  # copies are of 8 rows
    tilings = [Tiling(hidden, units, groups, rows) for units in (8, 16, 32, 64)]
    resident = [t for t in tilings if t.groups * t.blocks <= multiprocessors]
    if not resident:
        raise ValueError(
            f"runs all blocks at once: {batch} sequences of {hidden} hidden units are "
            f"{tilings[-1].groups * tilings[-1].blocks} blocks at least, "
            f"the GPU has {multiprocessors} multiprocessors"
        )
    sizes = [shared_memory(scratch(t)) for t in resident]
    fitting = [t for t, size in zip(resident, sizes, strict=True) if size <= SHARED_MEMORY]
    if not fitting:
        raise ValueError(
            f"keeps weights and h in shared memory: {batch} sequences of {hidden} hidden units "
            f"take {min(sizes)} bytes a multiprocessor, it has {SHARED_MEMORY}"
        )
    return fitting[0]


def shared_memory(scratch: Any) -> int:
    """Bytes of a block: its arrays, and room for barriers, reductions and alignment."""
    arrays = [a for a in jax.tree.leaves(scratch) if hasattr(a, "shape") and hasattr(a, "dtype")]
    return MARGIN + sum(math.prod(a.shape) * jnp.dtype(a.dtype).itemsize for a in arrays)
