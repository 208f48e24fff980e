"""A block of a persistent kernel: its part of the layer, and the copies of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jlstm.recurrence.pallas.barrier import AXES
from jlstm.recurrence.pallas.tiling import COLUMNS, ROWS, Tiling

if TYPE_CHECKING:
    from jlstm.types import Array, Float

NARROW, WIDE = jnp.bfloat16, jnp.float32  # of products' operands, and of all else
LAYOUT = plgpu.Layout.WGMMA  # how `(row, unit)` lies in registers

LOAD: Any = plgpu.load  # typed as of every jax that it is checked with


class Block(NamedTuple):
    """The part of the layer that a block computes: the sequences of a group, and its units."""

    tiling: Tiling
    group: Array
    block: Array

    @property
    def rows(self) -> Any:
        """The block's sequences, in the batch."""
        return pl.ds(self.group * self.tiling.rows, self.tiling.rows)

    @property
    def held(self) -> Any:
        """The block's sequences, in the 64 rows of a tile."""
        return pl.ds(0, self.tiling.rows)

    @property
    def units(self) -> Any:
        """The block's units, in the layer."""
        return self.of_gate(0)

    def of_gate(self, gate: int) -> Any:
        """The block's units, in one of the four gates."""
        start = gate * self.tiling.hidden + self.block * self.tiling.units
        return pl.ds(start, self.tiling.units)


def this_block(tiling: Tiling) -> Block:
    """The block that is running."""
    return Block(tiling, *map(lax.axis_index, AXES))


def for_product(shape: tuple[int, ...]) -> Any:
    """Shared memory in bfloat16 that the tensor cores read."""
    layout = (plgpu.TilingTransform((8, COLUMNS)), plgpu.SwizzleTransform(2 * COLUMNS))
    return plgpu.SMEM(shape, NARROW, transforms=layout)


def tile_of(tiling: Tiling, dtype: Any, *leading: int) -> Any:
    """Shared memory for an array `(row, unit)` of a block, or for several."""
    return plgpu.SMEM((*leading, ROWS, tiling.units), dtype)


def load(tile: Any) -> Float[Array, "row unit"]:
    """Load a tile into registers."""
    return LOAD(tile, layout=LAYOUT, optimized=False)


def load_codes(block: Block, codes: Any) -> Array:
    """Load codes `(group, row)`, one per row, broadcast over the block's units."""
    code = LOAD(codes.at[block.group], layout=LAYOUT.reduce(1), optimized=False)
    return lax.broadcast_in_dim(code, (ROWS, block.tiling.units), (0,))


def write(
    block: Block, values: Sequence[Array], tiles: Sequence[Any], places: Sequence[Any]
) -> None:
    """Copy asynchronously from registers through shared memory to global memory."""
    for value, tile in zip(values, tiles, strict=True):
        tile[...] = value.astype(tile.dtype)
    plgpu.commit_smem()
    for tile, place in zip(tiles, places, strict=True):
        plgpu.copy_smem_to_gmem(tile.at[block.held], place)
