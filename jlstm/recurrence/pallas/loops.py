"""`implementation="pallas"`: the two loops over time as persistent kernels on Hopper GPUs.

They are lowerings, for CUDA, of the primitive that the loops in JAX are: every transformation and
every rule is shared. What the kernels do not support is refused, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import sequential_vmap

from jlstm.equations import project
from jlstm.masks import Masks, select
from jlstm.recurrence.fused import ROWS_ON_ACCELERATORS, Loops, forward_hoisted, fused_scan
from jlstm.recurrence.fused import forward as reference
from jlstm.recurrence.gradient import (
    BackwardCarry,
    PerStep,
    TransposedWeights,
    backward_loop,
    cotangents,
)
from jlstm.recurrence.lowerings import Lowerings
from jlstm.recurrence.pallas.layout import batched, codes_of, in_rows, next_entered, of_batch
from jlstm.recurrence.pallas.tiling import COLUMNS, Tiling, tile
from jlstm.types import LSTMGates, LSTMParams, LSTMState, compute_dtype

if TYPE_CHECKING:
    from typing import Never

    from jlstm.recurrence.call import Inputs
    from jlstm.types import Array, Float, ProjectedParams, PyTree

NAME = "pallas"
START = f"implementation={NAME!r}"
OLDEST_JAX = (0, 11, 2)
MULTIPROCESSORS = 132  # of an H100 or H200, where none is at hand to be asked


def pallas_scan(
    inputs: Inputs, masks: Masks, reverse: bool, keep: str
) -> tuple[LSTMState, Float[Array, "time *batch hidden"]]:
    """`fused_scan`, with persistent kernels for Hopper GPUs as its loops."""
    check_call(inputs.params, inputs.xs)
    return fused_scan(inputs, masks, reverse, keep, kernel_loops())


def check_call(params: LSTMParams | ProjectedParams, xs: Array) -> None:
    """Raise ValueError unless the kernels support the call.

    What `vmap` adds to the call is checked when it is lowered.
    """
    if jax.__version_info__ < OLDEST_JAX:
        oldest = ".".join(map(str, OLDEST_JAX))
        raise ValueError(f"{START} needs jax {oldest} or newer, this is {jax.__version__}")
    if not isinstance(params, LSTMParams):
        raise ValueError(f"{START} takes LSTMParams, got {type(params).__name__}: use another")
    dtype = compute_dtype(xs, *params)
    if dtype != jnp.bfloat16:
        raise ValueError(f"{START} computes in bfloat16, xs and params give {dtype}")
    if not all(isinstance(size, int) for size in (*xs.shape, *params.weight_hh.shape)):
        raise ValueError(f"{START} needs sizes that are known while tracing, got xs of {xs.shape}")
    hidden = params.weight_hh.shape[0]
    if hidden % COLUMNS:
        raise ValueError(f"{START} takes a multiple of {COLUMNS} hidden units, got {hidden}")
    from jlstm.recurrence.pallas import backward_sm90, forward_sm90

    training = partial(forward_sm90.scratch, masked=True, keep="gates")
    for scratch in (training, backward_sm90.scratch):
        _tile(xs.shape[1:-1], hidden, scratch)


def kernel_loops() -> Loops:
    """The loops of `fused_scan`, with kernels for them on CUDA and an error elsewhere."""
    back = partial(cotangents, rows=ROWS_ON_ACCELERATORS, loop=loop_back)
    return Loops(
        Lowerings(reference, cpu=_elsewhere, default=_elsewhere, cuda=forward),
        Lowerings(cotangents, cpu=_elsewhere, default=_elsewhere, cuda=back),
    )


def _elsewhere(*_: Any, **__: Any) -> Never:
    raise ValueError(
        f"{START} is available on CUDA only; this program is being lowered for another platform"
    )


def kernel_options() -> dict[str, Any]:
    """The options of both kernels that depend on the machine: their barrier."""
    from jlstm.recurrence.pallas.barrier import ACROSS_GRID

    return {"synchronization": ACROSS_GRID}


def forward(inputs: Inputs, masks: Masks, reverse: bool, keep: str | None) -> PyTree:
    """`jlstm.recurrence.fused.forward` as a kernel."""
    from jlstm.recurrence.pallas import forward_sm90 as kernel

    params, state, reset_state, xs = inputs
    batch, hidden = xs.shape[1:-1], params.weight_hh.shape[0]
    if 0 in batch:
        return forward_hoisted(inputs, masks, reverse, keep)  # there is nothing to compute
    masked = masks != Masks()
    tiling = _tile(batch, hidden, partial(kernel.scratch, masked=masked, keep=keep))
    entering, reset = None, state
    if masks.entered is not None and reset_state is not None:
        first, entering = next_entered(masks.entered, reverse)
        state, reset = select(first, reset_state, state), reset_state
    operands = kernel.Operands(
        params.weight_hh.astype(jnp.bfloat16),
        project(params, batched(xs, tiling)),
        in_rows(state, tiling),
        codes_of(masks.valid, entering, tiling, xs.shape[:-1]) if masked else None,
        in_rows(reset, tiling) if masked else None,
    )
    run = partial(kernel.run, tiling=tiling, reverse=reverse, keep=keep, **kernel_options())
    results = sequential_vmap(run)(operands)  # under vmap over weights: one set fills the GPU
    sides = results.before_h[:-1], results.before_h[1:]
    before_h, after_h = reversed(sides) if reverse else sides
    last = LSTMState(results.before_h[0 if reverse else -1], results.c)
    hs = after_h if results.hs is None else results.hs
    before = LSTMState(before_h, results.before_c) if keep else None
    gates = LSTMGates(*results.gates) if keep == "gates" else None
    return of_batch(last, batch, 0), *of_batch((hs, before, gates), batch, 1)


def loop_back(
    transposed: TransposedWeights,
    per_step: PerStep,
    start: Array,
    size: int,
    recomputed: LSTMGates | None,
    carry: BackwardCarry,
    reverse: bool,
) -> tuple[BackwardCarry, tuple[Array, Array | None]]:
    """`jlstm.recurrence.gradient.backward_loop` as a kernel."""
    from jlstm.recurrence.pallas import backward_sm90 as kernel

    steps = jax.tree.map(lambda a: lax.dynamic_slice_in_dim(a, start, size), per_step)
    time, *batch, hidden = steps.before_c.shape
    if 0 in batch:  # nothing, as above
        return backward_loop(transposed, per_step, start, size, recomputed, carry, reverse)
    masks = steps.masks
    masked = masks != Masks()
    tiling = _tile(batch, hidden, kernel.scratch)
    gates = recomputed if steps.gates is None else steps.gates
    operands = kernel.Operands(
        transposed.hh.T.astype(jnp.bfloat16),
        jax.tree.map(partial(batched, tiling=tiling), gates),
        batched(steps.before_c, tiling),
        batched(steps.d_hs, tiling),
        in_rows(carry.d_state, tiling),
        codes_of(masks.valid, masks.entered, tiling, (time, *batch)) if masked else None,
    )
    run = partial(kernel.run, tiling=tiling, reverse=reverse, **kernel_options())
    results = sequential_vmap(run)(operands)
    d_state = LSTMState(*of_batch(results.d_state, batch, 0))
    d_reset_state = carry.d_reset_state
    if d_reset_state is not None:
        d_entering = LSTMState(*of_batch(results.d_reset_state, batch, 0))
        d_reset_state = jax.tree.map(jnp.add, d_reset_state, d_entering)
    d_zs = of_batch(results.d_zs.astype(transposed.hh.dtype), batch, 1)
    return BackwardCarry(d_state, d_reset_state), (d_zs, None)


def _tile(batch: Sequence[int], hidden: int, scratch: Callable[[Tiling], Any]) -> Tiling:
    try:
        return tile(max(1, math.prod(batch)), hidden, _multiprocessors(), scratch)
    except ValueError as problem:
        raise ValueError(f"{START} {problem}") from None


def _multiprocessors() -> int:
    """The multiprocessors of the GPU that the program is for."""
    device = getattr(jax.sharding.get_abstract_mesh(), "abstract_device", None)
    if device is not None and device.num_cores is not None:
        return device.num_cores
    try:
        device = jax.local_devices(backend="cuda")[0]
    except RuntimeError:  # lowered on a machine without one
        return MULTIPROCESSORS
    if not device.compute_capability.startswith("9."):
        raise ValueError(
            f"is for Hopper GPUs, compute capability 9.0; this is a {device.device_kind} "
            f"of {device.compute_capability}"
        )
    return device.core_count
