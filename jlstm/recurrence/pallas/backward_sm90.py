"""The loop of backpropagation through time as one kernel for Hopper GPUs.

It gives the cotangents of the pre-activations, `d_zs`; the gradients of weights and inputs are
products over many steps, made of them afterwards. A block keeps in shared memory, over all steps,
the rows of `weight_hh` that are its units (bfloat16), and in registers, in float32, the cotangents
of its units' `h` and `c`. A step of a block:

1. computes `d_z` of its units from gates, cell and the cotangent of `h`, which were copied during
   the step before, writes it to global memory in bfloat16, and arrives;
2. waits until all blocks of its group have;
3. multiplies the whole `d_z` of the step, `rows * 4 * hidden` numbers, with its weights. They pass
   in chunks through a ring in shared memory, and what comes out is `d_h` of its units.

What crosses the grid is `d_z`, four times what crosses it forward. At batch 16 and 768 hidden units
there are 96 blocks of 8 units, and a step is 75 MFLOP. The tensor cores, busy with 64 rows for
these 16, take 2 microseconds, which is how long it takes a block to read 393 kB of `d_z` and 49 kB
of weights from shared memory; meanwhile 9.4 MB of `d_z` come from the second level cache (1.7
microseconds at 5.5 TB/s) and 0.3 MB from memory (0.1). With one write, one arrival and one read
across the grid, about 1.5 microseconds, that is 3.5 to 4.5 in all, an estimate that was not
measured.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jlstm.equations import gate_cotangents
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
from jlstm.recurrence.pallas.tiling import ROWS, SHARED_MEMORY, Tiling, shared_memory
from jlstm.types import LSTMGates, LSTMState

if TYPE_CHECKING:
    from jlstm.recurrence.pallas.barrier import Synchronization
    from jlstm.types import Array, Float, Int

VALID, ENTERED = 1, 2  # bits of a code: the step counts; before it the state was replaced
CHUNK = 128  # columns of d_z that are copied, waited for and multiplied at once


class Operands(NamedTuple):
    """Operands of the kernel. A `row` axis holds the sequences of a group, padded to 64."""

    weight_hh: Float[Array, "hidden gates"]  # bfloat16
    gates: LSTMGates  # (time, batch, hidden)
    before_c: Float[Array, "time batch hidden"]
    d_hs: Float[Array, "time batch hidden"]  # bfloat16
    d_state: LSTMState  # (group, row, hidden), of the state after the last step
    codes: Int[Array, "time group row"] | None  # None: all steps count, nothing was replaced


class Results(NamedTuple):
    """Results of the kernel: types, references or arrays."""

    d_zs: Any  # (time, batch, gates), bfloat16
    d_state: Any  # h and c, (batch, hidden), of the state before the first step
    d_reset_state: Any  # the same, or None


class Scratch(NamedTuple):
    """Scratch of a block: shared memory, and barriers for the copies into it."""

    weight: Any  # (unit, gates)
    ring: Any  # (slot, row, column), chunks of d_z
    known: Any  # (even and odd steps, gates and c, row, unit)
    d_h: Any  # (even and odd steps, row, unit)
    d_zs: list[Any]  # tiles to be written
    d_states: list[Any]
    weight_is_there: Any
    chunk_is_there: Any
    step_is_there: Any
    synchronization: tuple[Any, ...]


class Carry(NamedTuple):
    """The values that a block holds in registers."""

    d_state: LSTMState
    d_reset_state: LSTMState | None


def run(
    operands: Operands,
    tiling: Tiling,
    reverse: bool,
    synchronization: Synchronization,
    interpret: Any = None,
) -> Results:
    """The kernel. `reverse` is the direction of the forward loop."""
    time, batch, hidden = operands.before_c.shape
    masked = operands.codes is not None
    state = [jax.ShapeDtypeStruct((batch, hidden), WIDE)] * 2
    d_zs = jax.ShapeDtypeStruct((time, batch, 4 * hidden), NARROW)
    kernel = plgpu.kernel(
        partial(_body, tiling=tiling, reverse=reverse, start=synchronization.start),
        out_type=Results(d_zs, state, state if masked else None),
        scratch_types={"scratch": scratch(tiling, synchronization.scratch)},
        interpret=interpret,
        **synchronization.mesh((tiling.groups, tiling.blocks)),
    )
    return Results(*kernel(operands))


def scratch(tiling: Tiling, synchronization: tuple[Any, ...] = ()) -> Scratch:
    """The scratch of a block of the kernel: its weights, and as long a ring as fits."""
    chunks = 4 * tiling.hidden // CHUNK
    shortest = _scratch(tiling, 2, synchronization)
    room = SHARED_MEMORY - shared_memory(shortest)
    slots = max(2, min(chunks, 2 + room // (2 * ROWS * CHUNK)))
    return _scratch(tiling, slots, synchronization)


def _scratch(tiling: Tiling, slots: int, synchronization: tuple[Any, ...]) -> Scratch:
    return Scratch(
        weight=for_product((tiling.units, 4 * tiling.hidden)),
        ring=for_product((slots, ROWS, CHUNK)),
        known=tile_of(tiling, WIDE, 2, 5),
        d_h=tile_of(tiling, NARROW, 2),
        d_zs=[tile_of(tiling, NARROW)] * 4,
        d_states=[tile_of(tiling, WIDE)] * 2,
        weight_is_there=plgpu.Barrier(),
        chunk_is_there=plgpu.Barrier(num_barriers=slots),
        step_is_there=plgpu.Barrier(num_arrivals=6, num_barriers=2),
        synchronization=synchronization,
    )


def _body(
    operands: Any, *outputs: Any, scratch: Scratch, tiling: Tiling, reverse: bool, start: Any
) -> None:
    results = Results(*outputs)
    time = operands.before_c.shape[0]
    block = this_block(tiling)
    barrier = start((tiling.groups, tiling.blocks), *scratch.synchronization)

    def at(s: Any) -> Any:  # the s-th step of this loop, in time
        return s if reverse else time - 1 - s

    def step(s: Array, carry: Carry) -> Carry:
        t, slot = at(s), lax.rem(s, 2)
        code = None if operands.codes is None else load_codes(block, operands.codes.at[t])
        plgpu.barrier_wait(scratch.step_is_there.at[slot])
        *gates, c = (load(scratch.known.at[slot, k]) for k in range(5))
        d_h = carry.d_state.h + load(scratch.d_h.at[slot]).astype(WIDE)
        d_zs, d_c = gate_cotangents(LSTMGates(*gates), c, d_h, carry.d_state.c)
        if code is not None:
            valid = (code & VALID) != 0
            d_zs = [jnp.where(valid, d_z, 0) for d_z in d_zs]
        d_z = results.d_zs.at[t, block.rows]
        places = [d_z.at[:, block.of_gate(gate)] for gate in range(4)]
        write(block, d_zs, scratch.d_zs, places)
        plgpu.wait_smem_to_gmem(0)
        barrier.arrive()

        @pl.when(s + 1 < time)
        def _() -> None:
            _copy_step(operands, at(s + 1), lax.rem(s + 1, 2), block, scratch)

        barrier.wait(s + 1)
        d_state = LSTMState(_through_weight(d_z, block, scratch), d_c)
        return Carry(d_state, None) if code is None else _masked(code, d_state, carry)

    plgpu.copy_gmem_to_smem(
        operands.weight_hh.at[block.units], scratch.weight, scratch.weight_is_there
    )
    _copy_step(operands, at(0), 0, block, scratch)
    d_state = LSTMState(*(load(a.at[block.group, :, block.units]) for a in operands.d_state))
    none = None if operands.codes is None else LSTMState(*map(jnp.zeros_like, d_state))
    plgpu.barrier_wait(scratch.weight_is_there)
    carry = lax.fori_loop(0, time, step, Carry(d_state, none))
    for values, places in zip(carry, results[1:], strict=True):
        if values is not None:
            places = [place.at[block.rows, block.units] for place in places]
            write(block, values, scratch.d_states, places)
            plgpu.wait_smem_to_gmem(0)


def _copy_step(operands: Any, t: Any, slot: Any, block: Block, scratch: Scratch) -> None:
    """The residuals of step t."""
    arrays = (*operands.gates, operands.before_c, operands.d_hs)
    tiles = [*(scratch.known.at[slot, k] for k in range(5)), scratch.d_h.at[slot]]
    for array, tile in zip(arrays, tiles, strict=True):
        plgpu.copy_gmem_to_smem(
            array.at[t, block.rows, block.units],
            tile.at[block.held],
            scratch.step_is_there.at[slot],
        )


def _through_weight(d_z: Any, block: Block, scratch: Scratch) -> Array:
    """`d_z weight_hh^T` for the units of this block, as chunks arrive."""
    chunks, slots = 4 * block.tiling.hidden // CHUNK, scratch.ring.shape[0]

    def copy(k: int) -> None:
        plgpu.copy_gmem_to_smem(
            d_z.at[:, pl.ds(k * CHUNK, CHUNK)],
            scratch.ring.at[k % slots, block.held],
            scratch.chunk_is_there.at[k % slots],
        )

    def product(d_h: Any) -> Array:
        for k in range(chunks):
            plgpu.barrier_wait(scratch.chunk_is_there.at[k % slots])
            weight = scratch.weight.at[:, pl.ds(k * CHUNK, CHUNK)]
            plgpu.wgmma(d_h, scratch.ring.at[k % slots], weight.T)
            if 0 < k and k - 1 + slots < chunks:
                plgpu.wgmma_wait(1)  # the product before this one has left its slot
                copy(k - 1 + slots)
        return d_h[...]

    for k in range(min(slots, chunks)):
        copy(k)
    return pl.run_scoped(product, plgpu.ACC((ROWS, block.tiling.units), WIDE))


def _masked(code: Array, new: LSTMState, carry: Carry) -> Carry:
    """Cotangents after a masked step: unchanged at padding, moved to `reset_state` at a reset."""
    valid, entered = (code & VALID) != 0, (code & ENTERED) != 0
    d_state = jax.tree.map(partial(jnp.where, valid), new, carry.d_state)
    d_reset_state = jax.tree.map(
        lambda total, a: total + jnp.where(entered, a, 0), carry.d_reset_state, d_state
    )
    return Carry(jax.tree.map(lambda a: jnp.where(entered, 0, a), d_state), d_reset_state)
