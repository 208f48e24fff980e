"""`implementation="native"`: the two loops over time as compiled kernels on CPU.

They are lowerings, for CPU, of the primitive that the loops in JAX are: every transformation and
every rule is shared. Weights are packed once a call, the gates stay in registers, and the rows of
the batch are divided among the threads of XLA's own pool, each for all steps.
"""

from __future__ import annotations

import enum
import math
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jlstm.masks import Masks
from jlstm.recurrence import fused
from jlstm.recurrence.call import Inputs
from jlstm.recurrence.fused import JAX_LOOPS, Loops, fused_scan
from jlstm.recurrence.gradient import Residuals
from jlstm.recurrence.gradient import cotangents as jax_cotangents
from jlstm.recurrence.native.library import status
from jlstm.types import LSTMGates, LSTMParams, LSTMState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Never

    from jlstm.types import Array, Float, PyTree

NAME = "native"
START = f"implementation={NAME!r}"
MOST_ROWS = 2**31 - 1


class Flags(enum.IntFlag):
    """The arguments and results that a call of the kernels has."""

    NONE = 0
    REVERSE = 1
    VALID = 2
    ENTERED = 4
    KEEP_STATES = 8
    KEEP_GATES = 16
    WANT_WEIGHTS = 32
    WANT_INPUTS = 64
    WANT_RESET_STATE = 128


def native_scan(
    inputs: Inputs, masks: Masks, reverse: bool, keep: str
) -> tuple[LSTMState, Float[Array, "time *batch hidden"]]:
    """`fused_scan`, with compiled kernels as its loops, and an error where they do not apply."""
    params, state, reset_state, xs = inputs
    reason = None if status().instruction_set else status().reason
    reason = reason or unsupported(params, xs, state, reset_state)
    if reason:
        raise ValueError(f"{START} is not available: {reason}")
    return fused_scan(inputs, masks, reverse, keep, ONLY_NATIVE)


def fastest_scan(
    inputs: Inputs, masks: Masks, reverse: bool, keep: str
) -> tuple[LSTMState, Float[Array, "time *batch hidden"]]:
    """`fused_scan`, with compiled kernels as its loops where they apply."""
    return fused_scan(inputs, masks, reverse, keep, NATIVE_LOOPS)


def unsupported(params: Any, xs: Array, *others: PyTree) -> str | None:
    """The reason why the kernels do not take a call of these arrays, or None if they do."""
    if not isinstance(params, LSTMParams):
        return f"the kernels take LSTMParams, got {type(params).__name__}"
    dtypes = {str(a.dtype) for a in jax.tree.leaves((params, xs, others))}
    if dtypes != {"float32"}:
        return f"the kernels compute in float32, got {', '.join(sorted(dtypes))}"
    if not all(isinstance(size, int) for size in (*xs.shape, *params.weight_hh.shape)):
        return f"the kernels need sizes that are known while tracing, got xs of {xs.shape}"
    if math.prod(xs.shape[:-1]) > MOST_ROWS:
        return f"the kernels take at most {MOST_ROWS} rows, got xs of {xs.shape}"
    return None


def forward(inputs: Inputs, masks: Masks, reverse: bool, keep: str | None) -> PyTree:
    """`jlstm.recurrence.fused.forward` by the kernels; by XLA what they do not take."""
    params, state, reset_state, xs = inputs
    time, *batch, _ = xs.shape
    if not _takes(params, xs, state, reset_state):
        return fused.forward(inputs, masks, reverse, keep)
    masks, flags = _rows_of_masks(masks, xs.shape[:-1])
    flags |= Flags.REVERSE * reverse
    flags |= Flags.KEEP_STATES * bool(keep) | Flags.KEEP_GATES * (keep == "gates")
    arguments = (
        *_weights_and_inputs(params, xs),
        *jax.tree.leaves(masks),
        *_rows(state, len(batch)),
        *(() if masks.entered is None else _rows(reset_state, len(batch))),
    )
    rows, hidden = math.prod(batch), params.weight_hh.shape[0]
    kept = 2 * bool(keep) + 4 * (keep == "gates")
    results = _call(
        "jlstm_forward",
        [(rows, hidden)] * 2 + [(time, rows, hidden)] * (1 + kept),
        flags,
        arguments,
    )
    last = LSTMState(*(a.reshape(*batch, hidden) for a in results[:2]))
    hs, *kept = (a.reshape(time, *batch, hidden) for a in results[2:])
    before = LSTMState(*kept[:2]) if keep else None
    return last, hs, before, LSTMGates(*kept[2:]) if keep == "gates" else None


def cotangents(
    residuals: Residuals, results: tuple[LSTMState, Array], reverse: bool, wanted: Inputs
) -> Inputs:
    """`jlstm.recurrence.gradient.cotangents` by the kernels; by XLA what they do not take."""
    params, xs, masks, before, gates = residuals
    d_state, d_hs = results
    time, *batch, size = xs.shape
    if not isinstance(params, LSTMParams) or not _takes(params, xs, before, gates, results):
        return jax_cotangents(residuals, results, reverse, wanted)
    masks, flags = _rows_of_masks(masks, xs.shape[:-1])
    want_weights = any(wanted.params)
    flags |= Flags.REVERSE * reverse | Flags.KEEP_GATES * (gates is not None)
    flags |= Flags.WANT_WEIGHTS * want_weights | Flags.WANT_INPUTS * bool(wanted.xs)
    flags |= Flags.WANT_RESET_STATE * bool(wanted.reset_state)
    arguments = (
        *_weights_and_inputs(params, xs),
        *jax.tree.leaves(masks),
        *_rows_of_steps((before, gates), len(batch)),
        *_rows(d_state, len(batch)),
        *_rows_of_steps(d_hs, len(batch)),
    )
    rows, hidden = math.prod(batch), params.weight_hh.shape[0]
    shapes = [(rows, hidden)] * (4 if wanted.reset_state else 2)
    shapes += [p.shape for p in params] * want_weights + [(time, rows, size)] * bool(wanted.xs)
    found = iter(_call("jlstm_backward", shapes, flags, arguments))

    def next_state() -> LSTMState:
        return LSTMState(*(next(found).reshape(*batch, hidden) for _ in range(2)))

    d_state = next_state()
    d_reset_state = next_state() if wanted.reset_state else None
    d_params = [next(found) for _ in params] if want_weights else [None] * 3
    d_params = [d if w else None for w, d in zip(wanted.params, d_params, strict=True)]
    d_xs = next(found).reshape(xs.shape) if wanted.xs else None
    return Inputs(LSTMParams._make(d_params), d_state, d_reset_state, d_xs)


def _takes(params: Any, xs: Array, *others: PyTree) -> bool:
    """True if the kernels take a call of these arrays, and something is left to compute."""
    return (
        status().instruction_set is not None
        and unsupported(params, xs, *others) is None
        and 0 not in (*xs.shape[:-1], *params.weight_hh.shape)
    )


def _rows_of_masks(masks: Masks, shape: Sequence[int]) -> tuple[Masks, Flags]:
    """Masks for each row of the batch, and the flags of those that there are."""

    def of_rows(mask: Array | None) -> Array | None:
        if mask is None:
            return None
        mask = mask.reshape(*mask.shape, *[1] * (len(shape) - mask.ndim))
        return jnp.broadcast_to(mask, shape).reshape(shape[0], -1)

    valid, entered = (of_rows(mask) for mask in masks)
    flags = [Flags.VALID] * (valid is not None) + [Flags.ENTERED] * (entered is not None)
    return Masks(valid, entered), reduce(or_, flags, Flags.NONE)


def _weights_and_inputs(params: LSTMParams, xs: Array) -> list[Array]:
    (xs,) = _rows_of_steps(xs, xs.ndim - 2)
    return [xs, params.weight_hh, params.weight_ih, params.bias]


def _rows(tree: PyTree, batch_axes: int) -> list[Array]:
    """The arrays with one batch axis."""
    return [a.reshape(math.prod(a.shape[:batch_axes]), -1) for a in jax.tree.leaves(tree)]


def _rows_of_steps(tree: PyTree, batch_axes: int) -> list[Array]:
    """The arrays of all steps with one batch axis."""
    return [
        a.reshape(a.shape[0], math.prod(a.shape[1 : 1 + batch_axes]), a.shape[-1])
        for a in jax.tree.leaves(tree)
    ]


def _call(
    target: str, shapes: Sequence[tuple[int, ...]], flags: Flags, arguments: Sequence[Array]
) -> Sequence[Array]:
    types = [jax.ShapeDtypeStruct(shape, jnp.float32, **_axes_of(arguments[0])) for shape in shapes]
    call = jax.ffi.ffi_call(target, types, vmap_method="sequential")
    return call(*arguments, flags=np.int64(flags))


def _axes_of(a: Array) -> dict[str, Any]:
    """The mesh axes of a `shard_map` that `a` varies along, as all arguments of a call do."""
    type_of = jax.typeof(a)
    axes = getattr(type_of, "manual_axis_type", None)
    if not getattr(axes, "varying", None):
        return {}
    replicated = NamedSharding(type_of.sharding.mesh, PartitionSpec())
    return {"manual_axis_type": axes, "sharding": replicated}


def _elsewhere(*_: Any, **__: Any) -> Never:
    raise ValueError(
        f"{START} is available in programs for one CPU device and inside shard_map, which are not "
        "exported; this program is being lowered for something else"
    )


NATIVE_LOOPS = Loops(
    JAX_LOOPS.forward._replace(native=forward), JAX_LOOPS.cotangents._replace(native=cotangents)
)
ONLY_NATIVE = Loops(
    NATIVE_LOOPS.forward._replace(cpu=_elsewhere, default=_elsewhere),
    NATIVE_LOOPS.cotangents._replace(cpu=_elsewhere, default=_elsewhere),
)
