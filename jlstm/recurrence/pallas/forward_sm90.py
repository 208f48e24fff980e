"""The recurrence as one kernel for Hopper GPUs: the loop over time runs inside.

A block keeps in shared memory, over all steps, its columns of `weight_hh` (bfloat16, transposed),
and in registers, in float32, the cell of its units. A step of a block:

1. waits until all blocks of its group have written their part of `h` before this step;
2. copies the whole of that `h`, `rows * hidden` numbers, from global into shared memory;
3. multiplies it with its weights on the tensor cores and adds the projected inputs, which were
   copied during the step before;
4. computes gates, cell and `h` of its units, writes this part of `h` to global memory, arrives;
5. writes what is to be saved, while the others arrive.

What crosses the grid is `h` alone. At batch 16 and 768 hidden units there are 96 blocks of 8 units,
and a step is 75 MFLOP. The tensor cores, busy with 64 rows for these 16, take 0.65 microseconds,
which is how long it takes a block to read 98 kB of `h` and 49 kB of weights from shared memory. 2.4
MB of `h` come from the second level cache (0.4 microseconds at 5.5 TB/s), 0.2 MB of inputs from
memory, and 25 kB go there, or 0.3 MB with all that training saves (0.1). One write, one arrival and
one read across the grid wait for each other, about 1.5 microseconds: 2.5 to 3 in all, an estimate
that was not measured.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jlstm.equations import gate_equations
from jlstm.recurrence.pallas.block import (
    NARROW,
    WIDE,
    Block,
    for_product,
    load,
    load_codes,
    this_block,
    tile_of,
    write,
)
from jlstm.recurrence.pallas.tiling import ROWS, Tiling
from jlstm.types import LSTMGates, LSTMState

if TYPE_CHECKING:
    from jlstm.recurrence.pallas.barrier import Synchronization
    from jlstm.types import Array, Float, Int

VALID, ENTERING = 1, 2  # bits of a code: the step counts; after it the state is replaced


class Operands(NamedTuple):
    """Operands of the kernel. A `row` axis holds the sequences of a group, padded to 64."""

    weight_hh: Float[Array, "hidden gates"]  # bfloat16
    zs: Float[Array, "time batch gates"]  # the projected inputs
    state: LSTMState  # (group, row, hidden), before the first step
    codes: Int[Array, "time group row"] | None  # None: all steps count, nothing is replaced
    reset_state: LSTMState | None


class Results(NamedTuple):
    """Results of the kernel: types, references or arrays."""

    before_h: Any  # (time + 1, batch, hidden), bfloat16; one more than there are, the last state
    c: Any  # (batch, hidden), after the last step
    hs: Any  # (time, batch, hidden), bfloat16; None: they are in `before_h`
    before_c: Any  # (time, batch, hidden), or None
    gates: Any  # four of them, or None


class Scratch(NamedTuple):
    """Scratch of a block: shared memory, and barriers for the copies into it."""

    weight: Any  # (gates of its units, hidden)
    h: Any  # (chunk, row, column)
    zs: Any  # (even and odd steps, gate, row, unit)
    narrow: list[Any]  # tiles to be written: h before the next step, h
    wide: list[Any]  # c, and the gates
    weight_is_there: Any
    h_is_there: Any
    zs_are_there: Any
    synchronization: tuple[Any, ...]


def run(
    operands: Operands,
    tiling: Tiling,
    reverse: bool,
    keep: str | None,
    synchronization: Synchronization,
    interpret: Any = None,
) -> Results:
    """The kernel, with `keep` as in `jlstm.recurrence.fused.forward`."""
    time = operands.zs.shape[0]
    masked = operands.codes is not None
    one_step = (tiling.batch, tiling.hidden)
    all_steps = jax.ShapeDtypeStruct((time, *one_step), WIDE)
    results = Results(
        before_h=jax.ShapeDtypeStruct((time + 1, *one_step), NARROW),
        c=jax.ShapeDtypeStruct(one_step, WIDE),
        hs=jax.ShapeDtypeStruct((time, *one_step), NARROW) if masked else None,
        before_c=all_steps if keep else None,
        gates=[all_steps] * 4 if keep == "gates" else None,
    )
    kernel = plgpu.kernel(
        partial(_body, tiling=tiling, reverse=reverse, start=synchronization.start),
        out_type=results,
        scratch_types={"scratch": scratch(tiling, masked, keep, synchronization.scratch)},
        interpret=interpret,
        **synchronization.mesh((tiling.groups, tiling.blocks)),
    )
    return Results(*kernel(operands._replace(weight_hh=operands.weight_hh.T)))


def scratch(
    tiling: Tiling, masked: bool, keep: str | None, synchronization: tuple[Any, ...] = ()
) -> Scratch:
    """The scratch of a block of the kernel."""
    columns = _columns(tiling.hidden)
    chunks = tiling.hidden // columns
    return Scratch(
        weight=for_product((4 * tiling.units, tiling.hidden)),
        h=for_product((chunks, ROWS, columns)),
        zs=tile_of(tiling, WIDE, 2, 4),
        narrow=[tile_of(tiling, NARROW)] * (2 if masked else 1),
        wide=[tile_of(tiling, WIDE)] * (5 if keep == "gates" else 1),
        weight_is_there=plgpu.Barrier(num_arrivals=4),
        h_is_there=plgpu.Barrier(num_barriers=chunks),
        zs_are_there=plgpu.Barrier(num_arrivals=4, num_barriers=2),
        synchronization=synchronization,
    )


def _columns(hidden: int) -> int:
    """Columns of `h` that are copied, waited for and multiplied at once."""
    return next(columns for columns in (256, 192, 128, 64) if hidden % columns == 0)


def _body(
    operands: Any, *outputs: Any, scratch: Scratch, tiling: Tiling, reverse: bool, start: Any
) -> None:
    results = Results(*outputs)
    time = operands.zs.shape[0]
    block = this_block(tiling)
    barrier = start((tiling.groups, tiling.blocks), *scratch.synchronization)

    def at(s: Any) -> Any:  # the s-th step, in time
        return time - 1 - s if reverse else s

    def before_h(s: Any) -> Any:
        return results.before_h.at[at(s) + 1 if reverse else s, block.rows]

    def publish_h(s: Any, h: Array) -> None:
        """Write the block's part of `h` before step s, which all blocks wait for."""
        write(block, [h], scratch.narrow[:1], [before_h(s).at[:, block.units]])
        plgpu.wait_smem_to_gmem(0)
        barrier.arrive()

    def step(s: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        h, c = carry
        code = None if operands.codes is None else load_codes(block, operands.codes.at[at(s)])
        barrier.wait(s + 1)
        _copy_h(before_h(s), block, scratch)

        @pl.when(s + 1 < time)
        def _() -> None:
            _copy_zs(operands.zs.at[at(s + 1)], lax.rem(s + 1, 2), block, scratch)

        zs = _pre_activations(lax.rem(s, 2), tiling, scratch)
        gates, next_c, shown = gate_equations(zs, c)
        next_h = shown
        if code is not None:
            shown, next_h, next_c = _masked(code, (h, c), (next_h, next_c), reset_state)
        publish_h(s + 1, next_h)
        write(block, *_saved(at(s), block, shown, c, gates, scratch, results))
        return next_h, next_c

    _copy_weight(operands.weight_hh, block, scratch)
    _copy_zs(operands.zs.at[at(0)], 0, block, scratch)
    h, c = (load(a.at[block.group, :, block.units]) for a in operands.state)
    reset_state = operands.reset_state and tuple(
        load(a.at[block.group, :, block.units]) for a in operands.reset_state
    )
    publish_h(0, h)
    plgpu.barrier_wait(scratch.weight_is_there)
    h, c = lax.fori_loop(0, time, step, (h, c))
    barrier.wait(time + 1)  # as often as all have arrived
    plgpu.wait_smem_to_gmem(0)
    write(block, [c], scratch.wide[:1], [results.c.at[block.rows, block.units]])
    plgpu.wait_smem_to_gmem(0)


def _copy_weight(weight: Any, block: Block, scratch: Scratch) -> None:
    units = block.tiling.units
    for gate in range(4):
        plgpu.copy_gmem_to_smem(
            weight.at[block.of_gate(gate)],
            scratch.weight.at[pl.ds(gate * units, units)],
            scratch.weight_is_there,
        )


def _copy_zs(zs: Any, slot: Any, block: Block, scratch: Scratch) -> None:
    for gate in range(4):
        plgpu.copy_gmem_to_smem(
            zs.at[block.rows, block.of_gate(gate)],
            scratch.zs.at[slot, gate, block.held],
            scratch.zs_are_there.at[slot],
        )


def _copy_h(h: Any, block: Block, scratch: Scratch) -> None:
    chunks, _, columns = scratch.h.shape
    for k in range(chunks):
        plgpu.copy_gmem_to_smem(
            h.at[:, pl.ds(k * columns, columns)],
            scratch.h.at[k, block.held],
            scratch.h_is_there.at[k],
        )


def _pre_activations(slot: Any, tiling: Tiling, scratch: Scratch) -> LSTMGates:
    chunks, _, columns = scratch.h.shape

    def product(z: Any) -> Array:
        for k in range(chunks):
            plgpu.barrier_wait(scratch.h_is_there.at[k])
            weight = scratch.weight.at[:, pl.ds(k * columns, columns)]
            plgpu.wgmma(z, scratch.h.at[k], weight.T)
        return z[...]

    z = pl.run_scoped(product, plgpu.ACC((ROWS, 4 * tiling.units), WIDE))
    plgpu.barrier_wait(scratch.zs_are_there.at[slot])
    units = tiling.units
    parts = (z[:, gate * units : (gate + 1) * units] for gate in range(4))
    return LSTMGates(*(a + load(scratch.zs.at[slot, gate]) for gate, a in enumerate(parts)))


def _masked(code: Array, old: tuple, new: tuple, reset_state: Any) -> tuple[Array, Array, Array]:
    """The output of the step, and the state before the next step."""
    valid, entering = (code & VALID) != 0, (code & ENTERING) != 0
    shown = jnp.where(valid, new[0], 0)
    kept = (jnp.where(valid, a, b) for a, b in zip(new, old, strict=True))
    h, c = (jnp.where(entering, r, a) for r, a in zip(reset_state, kept, strict=True))
    return shown, h, c


def _saved(
    t: Any, block: Block, h: Array, c: Array, gates: LSTMGates, scratch: Scratch, results: Results
) -> tuple[list, list, list]:
    """Values to save, the tiles that they pass through, and their places."""
    values, tiles, places = [], [], []
    if results.hs is not None:
        values, tiles, places = [h], scratch.narrow[1:], [results.hs]
    if results.before_c is not None:
        values, tiles, places = [*values, c], [*tiles, scratch.wide[0]], [*places, results.before_c]
    if results.gates is not None:
        values, tiles = [*values, *gates], [*tiles, *scratch.wide[1:]]
        places = [*places, *results.gates]
    return values, tiles, [place.at[t, block.rows, block.units] for place in places]
