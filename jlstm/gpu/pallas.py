"""`implementation="pallas"`: the two loops over time as persistent kernels on Hopper GPUs.

They are lowerings, for CUDA, of the primitive that the plain loops are: every transformation and
every rule is shared. What the kernels do not take is refused, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from jlstm.backward import Back, Masks, Moved, Whole, scan_back
from jlstm.derivative import Inputs, cotangents
from jlstm.equations import project
from jlstm.fused import ROWS_ELSEWHERE, Loop, Loops, forward_hoisted
from jlstm.gpu.rows import batched, codes_of, in_rows, next_entered, of_batch
from jlstm.gpu.tiling import COLUMNS, Tiling, tile
from jlstm.scan import select
from jlstm.types import LSTMGates, LSTMParams, LSTMState, compute_dtype

if TYPE_CHECKING:
    from typing import Never

    from jaxtyping import Array

    from jlstm.types import ProjectedParams

NAME = "pallas"
START = f"implementation={NAME!r}"
OLDEST_JAX = (0, 11, 2)
MULTIPROCESSORS = 132  # of an H100 or H200, where none is at hand to be asked


def check_call(params: LSTMParams | ProjectedParams, xs: Array) -> None:
    """The call is one that the kernels can do; what `vmap` adds to it is seen when it is lowered.

    Raises:
      ValueError: it is not, and why.
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
    from jlstm.gpu import backward_kernel, forward_kernel

    training = partial(forward_kernel.scratch, masked=True, save=("before", "gates"))
    for scratch in (training, backward_kernel.scratch):
        _tile(xs.shape[1:-1], hidden, scratch)


def kernel_loops() -> Loops:
    """The loops of `jlstm.fused`, with kernels for them on CUDA and nothing elsewhere."""
    back = partial(cotangents, rows=ROWS_ELSEWHERE, loop=loop_back)
    return Loops(Loop(_elsewhere, _elsewhere, forward), Loop(_elsewhere, _elsewhere, back))


def _elsewhere(*_: Any, **__: Any) -> Never:
    raise ValueError(f"{START} runs on CUDA alone, and this is lowered for something else")


class Machine(NamedTuple):
    """What the kernels run on: how their blocks wait for each other, and what interprets them."""

    synchronization: Any
    interpret: Any = None


def machine() -> Machine:
    """A GPU."""
    from jlstm.gpu.synchronization import ACROSS_GRID

    return Machine(ACROSS_GRID)


def forward(
    inputs: Inputs, masks: Masks, reverse: bool, save: tuple[str, ...]
) -> tuple[LSTMState, tuple]:
    """`jlstm.fused.forward` as a kernel."""
    from jlstm.gpu import forward_kernel as kernel

    params, state, reset_state, xs = inputs
    batch, hidden = xs.shape[1:-1], params.weight_hh.shape[0]
    if 0 in batch:
        return forward_hoisted(inputs, masks, reverse, save)  # there is nothing to compute
    masked = masks != Masks(None, None)
    tiling = _tile(batch, hidden, partial(kernel.scratch, masked=masked, save=save))
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
    run = partial(kernel.run, tiling=tiling, reverse=reverse, save=save, **machine()._asdict())
    found = _one_after_another(run)(operands)
    sides = found.before_h[:-1], found.before_h[1:]
    before_h, after_h = reversed(sides) if reverse else sides
    last_h = found.before_h[0 if reverse else -1]
    saved = {"before": LSTMState(before_h, found.before_c), "gates": found.gates}
    outs = (after_h if found.hs is None else found.hs, *(saved[name] for name in save))
    return of_batch(LSTMState(last_h, found.c), batch, 0), of_batch(outs, batch, 1)


def loop_back(
    back: Back,
    whole: Whole,
    start: Array,
    size: int,
    fresh: LSTMGates | None,
    moved: Moved,
    reverse: bool,
) -> tuple[Moved, tuple[Array, Array | None]]:
    """`jlstm.backward.scan_back` as a kernel."""
    from jlstm.gpu import backward_kernel as kernel

    some = jax.tree.map(lambda a: lax.dynamic_slice_in_dim(a, start, size), whole)
    time, *batch, hidden = some.before_c.shape
    if 0 in batch:
        return scan_back(back, whole, start, size, fresh, moved, reverse)  # nothing, as above
    masked = some.masks != Masks(None, None)
    tiling = _tile(batch, hidden, kernel.scratch)
    gates = fresh if some.gates is None else some.gates
    operands = kernel.Operands(
        back.to_h.T.astype(jnp.bfloat16),
        jax.tree.map(partial(batched, tiling=tiling), gates),
        batched(some.before_c, tiling),
        batched(some.d_hs, tiling),
        in_rows(moved.d_state, tiling),
        codes_of(some.masks.valid, some.masks.entered, tiling, (time, *batch)) if masked else None,
    )
    run = partial(kernel.run, tiling=tiling, reverse=reverse, **machine()._asdict())
    found = _one_after_another(run)(operands)
    d_state = LSTMState(*of_batch(found.d_state, batch, 0))
    d_reset_state = moved.d_reset_state
    if d_reset_state is not None:
        here = LSTMState(*of_batch(found.d_reset_state, batch, 0))
        d_reset_state = jax.tree.map(jnp.add, d_reset_state, here)
    d_zs = of_batch(found.d_zs.astype(back.to_h.dtype), batch, 1)
    return Moved(d_state, d_reset_state), (d_zs, None)


def _tile(batch: Sequence[int], hidden: int, scratch: Callable[[Tiling], Any]) -> Tiling:
    try:
        return tile(max(1, math.prod(batch)), hidden, _multiprocessors(), scratch)
    except ValueError as problem:
        raise ValueError(f"{START} {problem}") from None


def _multiprocessors() -> int:
    """Of the GPU that the program is for."""
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


def _one_after_another(run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A kernel that `vmap` over weights runs once for each set: one alone fills the GPU."""
    each = custom_vmap(run)

    @each.def_vmap
    def rule(size: int, mapped: tuple, operands: Any) -> tuple[Any, Any]:
        leaves, structure = jax.tree.flatten(operands)
        is_mapped = jax.tree.leaves(mapped[0] if isinstance(mapped, list) else mapped)

        def one(some: list[Array]) -> Any:
            rest = iter(some)
            return run(
                structure.unflatten(
                    next(rest) if m else a for m, a in zip(is_mapped, leaves, strict=True)
                )
            )

        found = lax.map(one, [a for m, a in zip(is_mapped, leaves, strict=True) if m])
        return found, jax.tree.map(lambda _: True, found)

    return each
