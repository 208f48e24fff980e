"""The recurrence as one kernel for Hopper GPUs: the loop over time runs inside.

A block keeps in shared memory, over all steps, its columns of `weight_hh` (bfloat16, transposed),
and in registers, in float32, the cell of its units. A step of a block:

1. waits until all blocks of its group have written their part of `h` before this step;
2. copies the whole of that `h`, `rows * hidden` numbers, from global into shared memory;
3. multiplies it with its weights on the tensor cores and adds the projected inputs, which were
   copied during the step before;
4. computes gates, cell and `h` of its units, writes this part of `h` to global memory, arrives;
5. writes what is to be saved, while the others arrive.

What crosses the grid is `h` alone. At batch 16 and 768 hidden units, 96 blocks of 8 units: a step is
75 MFLOP, which the tensor cores, busy with 64 rows for these 16, need 0.45 microseconds for, as
long as it takes to read `h` and weights from shared memory; it reads 2.4 MB of `h` from the second
level cache (0.4 microseconds at 5.5 TB/s) and 0.2 MB of inputs from memory, and writes 25 kB, or
0.3 MB with all that training saves (0.1). One write, one arrival and one read across the grid wait
for each other, about 1.5 microseconds: 2.5 in all, an estimate that was not measured.
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
from jlstm.gpu.tiling import COLUMNS, ROWS, Tiling, chunk
from jlstm.types import LSTMGates, LSTMState

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Array, Float, Int

    from jlstm.gpu.synchronization import Synchronization

NARROW, WIDE = jnp.bfloat16, jnp.float32
VALID, ENTERING = 1, 2  # bits of a step's code: it counts; the state is replaced after it


class Operands(NamedTuple):
    """What the kernel reads. Sequences of a group stand in 64 rows where there is a `row` axis."""

    weight_hh: Float[Array, "hidden gates"]  # bfloat16
    zs: Float[Array, "time batch gates"]  # projected inputs
    state: LSTMState  # (group, row, hidden), before the first step
    codes: Int[Array, "time group row"] | None  # None: all steps count, nothing is replaced
    reset_state: LSTMState | None


class Results(NamedTuple):
    """What it writes, in `before_h` one step more than there are: the last state."""

    before_h: Float[Array, "steps batch hidden"]
    c: Float[Array, "batch hidden"]  # after the last step
    hs: Float[Array, "time batch hidden"] | None  # None: `before_h` has them
    before_c: Float[Array, "time batch hidden"] | None
    gates: LSTMGates | None


class Scratch(NamedTuple):
    """What a block holds: shared memory, and barriers for the copies into it."""

    weight: Any  # (gates of its units, hidden)
    h: Any  # (chunk, row, column)
    zs: Any  # (even and odd steps, gate, row, unit)
    narrow: list[Any]  # (row, unit), to be written: h before the next step, h
    wide: list[Any]  # c, and the gates
    arrived_weight: Any
    arrived: Any  # each chunk of h
    arrived_zs: Any
    synchronization: tuple[Any, ...]


def run(
    operands: Operands,
    tiling: Tiling,
    reverse: bool,
    save: tuple[str, ...],
    synchronization: Synchronization,
    interpret: Any = None,
) -> Results:
    """The kernel. `save` may hold "before" and "gates", as of `jlstm.fused.forward`."""
    time = operands.zs.shape[0]
    masked = operands.codes is not None
    a_step = (tiling.batch, tiling.hidden)
    every_step = jax.ShapeDtypeStruct((time, *a_step), WIDE)
    results = Results(
        jax.ShapeDtypeStruct((time + 1, *a_step), NARROW),
        jax.ShapeDtypeStruct(a_step, WIDE),
        jax.ShapeDtypeStruct((time, *a_step), NARROW) if masked else None,
        every_step if "before" in save else None,
        LSTMGates(*[every_step] * 4) if "gates" in save else None,
    )
    kernel = plgpu.kernel(
        partial(_body, tiling=tiling, reverse=reverse, start=synchronization.start),
        out_type=results,
        scratch_types={"scratch": _scratch(tiling, masked, save, synchronization.scratch)},
        interpret=interpret,
        **synchronization.mesh((tiling.groups, tiling.blocks)),
    )
    return Results(*kernel(operands._replace(weight_hh=operands.weight_hh.T)))


def _scratch(tiling: Tiling, masked: bool, save: tuple[str, ...], synchronization: tuple) -> Scratch:
    units, columns = tiling.units, chunk(tiling.hidden)
    chunks = tiling.hidden // columns
    return Scratch(
        weight=for_product((4 * units, tiling.hidden)),
        h=for_product((chunks, ROWS, columns)),
        zs=plgpu.SMEM((2, 4, ROWS, units), WIDE),
        narrow=[plgpu.SMEM((ROWS, units), NARROW)] * (1 + masked),
        wide=[plgpu.SMEM((ROWS, units), WIDE)] * (5 if "gates" in save else 1),
        arrived_weight=plgpu.Barrier(num_arrivals=4),
        arrived=plgpu.Barrier(num_barriers=chunks),
        arrived_zs=plgpu.Barrier(num_arrivals=4, num_barriers=2),
        synchronization=synchronization,
    )


def for_product(shape: tuple[int, ...]) -> Any:
    """Shared memory in bfloat16 that the tensor cores read."""
    layout = (plgpu.TilingTransform((8, COLUMNS)), plgpu.SwizzleTransform(2 * COLUMNS))
    return plgpu.SMEM(shape, NARROW, transforms=layout)


def _body(operands, *results, scratch, tiling, reverse, start):
    results = Results(*results)
    time = operands.zs.shape[0]
    group, block = lax.axis_index("group"), lax.axis_index("block")
    rows = pl.ds(group * tiling.rows, tiling.rows)
    units = pl.ds(block * tiling.units, tiling.units)
    held = pl.ds(0, tiling.rows)
    grid = (tiling.groups, tiling.blocks)
    barrier = start(grid, *scratch.synchronization)

    def at(s):
        return time - 1 - s if reverse else s

    def before(s):
        return at(s) + 1 if reverse else s

    def fetch(s, slot):
        for gate in range(4):
            columns = pl.ds(gate * tiling.hidden + block * tiling.units, tiling.units)
            plgpu.copy_gmem_to_smem(
                operands.zs.at[at(s), rows, columns],
                scratch.zs.at[slot, gate, held],
                scratch.arrived_zs.at[slot],
            )

    def write(tiles, places):
        plgpu.commit_smem()
        for tile, place in zip(tiles, places, strict=True):
            plgpu.copy_smem_to_gmem(tile.at[held], place.at[rows, units])

    def load_state(state):
        return [
            plgpu.load(a.at[group, :, units], layout=plgpu.Layout.WGMMA, optimized=False)
            for a in state
        ]

    for gate in range(4):
        plgpu.copy_gmem_to_smem(
            operands.weight_hh.at[pl.ds(gate * tiling.hidden + block * tiling.units, tiling.units)],
            scratch.weight.at[pl.ds(gate * tiling.units, tiling.units)],
            scratch.arrived_weight,
        )
    h, c = load_state(operands.state)
    reset_state = operands.reset_state and load_state(operands.reset_state)
    scratch.narrow[0][...] = h.astype(NARROW)
    write(scratch.narrow[:1], [results.before_h.at[before(0)]])
    plgpu.wait_smem_to_gmem(0)
    barrier.arrive()
    fetch(0, 0)
    plgpu.barrier_wait(scratch.arrived_weight)

    def step(s, carry):
        h, c = carry
        slot = lax.rem(s, 2)
        if operands.codes is not None:
            code = plgpu.load(
                operands.codes.at[at(s), group],
                layout=plgpu.Layout.WGMMA.reduce(1),
                optimized=False,
            )
            code = lax.broadcast_in_dim(code, (ROWS, tiling.units), (0,))
        barrier.wait(s + 1)
        columns = scratch.h.shape[-1]
        for k in range(scratch.h.shape[0]):
            plgpu.copy_gmem_to_smem(
                results.before_h.at[before(s), rows, pl.ds(k * columns, columns)],
                scratch.h.at[k, held],
                scratch.arrived.at[k],
            )

        @pl.when(s + 1 < time)
        def _():
            fetch(s + 1, 1 - slot)

        def product(acc):
            for k in range(scratch.h.shape[0]):
                plgpu.barrier_wait(scratch.arrived.at[k])
                weight = scratch.weight.at[:, pl.ds(k * columns, columns)]
                plgpu.wgmma(acc, scratch.h.at[k], weight.T)
            return acc[...]

        z = pl.run_scoped(product, plgpu.ACC((ROWS, 4 * tiling.units), WIDE))
        plgpu.barrier_wait(scratch.arrived_zs.at[slot])
        zs = LSTMGates(*[
            z[:, gate * tiling.units : (gate + 1) * tiling.units]
            + plgpu.load(scratch.zs.at[slot, gate], layout=plgpu.Layout.WGMMA, optimized=False)
            for gate in range(4)
        ])
        gates, c_new, h_new = gate_equations(zs, c)
        shown = h_new
        if operands.codes is not None:
            valid, entering = (code & VALID) != 0, (code & ENTERING) != 0
            shown = jnp.where(valid, h_new, 0)
            h_new, c_new = jnp.where(valid, h_new, h), jnp.where(valid, c_new, c)
            h_new, c_new = (jnp.where(entering, r, a) for r, a in zip(reset_state, (h_new, c_new)))
        scratch.narrow[0][...] = h_new.astype(NARROW)
        write(scratch.narrow[:1], [results.before_h.at[before(s + 1)]])
        plgpu.wait_smem_to_gmem(0)
        barrier.arrive()
        tiles, places = [], []
        if results.hs is not None:
            scratch.narrow[1][...] = shown.astype(NARROW)
            tiles.append(scratch.narrow[1])
            places.append(results.hs.at[at(s)])
        if results.before_c is not None:
            scratch.wide[0][...] = c
            tiles.append(scratch.wide[0])
            places.append(results.before_c.at[at(s)])
        if results.gates is not None:
            for tile, gate, place in zip(scratch.wide[1:], gates, results.gates):
                tile[...] = gate
                tiles.append(tile)
                places.append(place.at[at(s)])
        write(tiles, places)
        return h_new, c_new

    h, c = lax.fori_loop(0, time, step, (h, c))
    plgpu.wait_smem_to_gmem(0)
    scratch.wide[0][...] = c
    write(scratch.wide[:1], [results.c])
    plgpu.wait_smem_to_gmem(0)
