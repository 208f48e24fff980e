"""The derivative of the recurrence: how its results move, and the transpose of that.

Both are linear, and each is the other's transpose. The second is backpropagation through time: one
loop for the cotangents of the pre-activations, then the gradients as products over many steps.
"""

from __future__ import annotations

import math
from functools import reduce
from operator import mul
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jlstm.backward import Back, Masks, Moved, Whole, scan_back
from jlstm.equations import (
    along,
    lstm_equations,
    lstm_tangents,
    output,
    pre_activations,
    product,
)
from jlstm.scan import select, zeros_of
from jlstm.types import LSTMGates, LSTMParams, LSTMState, ProjectedParams, cell_dtype, compute_dtype

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Array, Float, PyTree


class Inputs(NamedTuple):
    """What the recurrence is differentiated by; in a tangent, None is zero."""

    params: LSTMParams | ProjectedParams
    state: LSTMState
    reset_state: LSTMState | None
    xs: Float[Array, "time *batch input"]


class Known(NamedTuple):
    """What the forward pass hands on: the state before each step, and the gates in it.

    Without gates they are computed again, many steps by one product.
    """

    params: LSTMParams | ProjectedParams
    xs: Float[Array, "time *batch input"]
    masks: Masks
    before: LSTMState
    gates: LSTMGates | None


def tangents(known: Known, moving: Inputs, reverse: bool) -> tuple[LSTMState, Array]:
    """How `(state, hs)` move when the inputs do."""
    params, xs, masks, before, gates = known
    d_params, d_state, d_reset_state, d_xs = moving
    dtype = compute_dtype(xs, *params)
    gates = _gates(known.params, xs, before) if gates is None else gates
    parts = []
    if d_xs is not None:
        parts.append(product(d_xs, params.weight_ih, dtype))
    if d_params.weight_ih is not None:
        parts.append(product(xs, d_params.weight_ih, dtype))
    if d_params.weight_hh is not None:
        parts.append(product(before.h, d_params.weight_hh, dtype))
    if d_params.bias is not None:
        d_bias = d_params.bias.astype(cell_dtype(dtype))
        parts.append(jnp.broadcast_to(d_bias, (*xs.shape[:-1], *d_bias.shape)))
    d_zs = reduce(jnp.add, parts) if parts else None
    d_projections = None  # what the projection's own movement adds to h
    if isinstance(d_params, ProjectedParams) and d_params.weight_hr is not None:
        d_projections = product(_unprojected(gates, before.c), d_params.weight_hr, dtype)

    def one_step(d_state: LSTMState, inputs: tuple) -> tuple[LSTMState, Array]:
        d_z, d_projection, c, gates, (valid, entered) = inputs
        if entered is not None:
            d_state = select(entered, d_reset_state, d_state)
        through_h = product(d_state.h, params.weight_hh, dtype)
        d_z = through_h if d_z is None else d_z + through_h
        d_c, d_m = lstm_tangents(gates, c, d_z, d_state.c)
        d_h = output(params, d_m, dtype)
        if d_projection is not None:
            d_h = d_h + d_projection.astype(dtype)
        if valid is None:
            return LSTMState(d_h, d_c), d_h
        blank = jnp.zeros_like(d_h)
        return select(valid, LSTMState(d_h, d_c), d_state), select(valid, d_h, blank)

    inputs = (d_zs, d_projections, before.c, gates, masks)
    return lax.scan(one_step, d_state, inputs, reverse=reverse)


def cotangents(
    known: Known,
    results: tuple[Array, Array, Array],
    reverse: bool,
    wanted: Inputs,
    rows: int | None = None,
    loop: Callable[..., tuple[Moved, tuple]] | None = None,
) -> Inputs:
    """The transpose: from cotangents of `(h, c, hs)` to those of the inputs that are wanted.

    `rows` go into one product for the weights; None is as many as suit a CPU. `loop` is what runs
    over the steps of such a product; None is `scan_back`.
    """
    loop = scan_back if loop is None else loop
    params, xs = known.params, known.xs
    d_h, d_c, d_hs = results
    wide = cell_dtype(compute_dtype(xs, *params))
    weights = jax.tree.map(lambda p: p.astype(wide), params)
    back_to_x = weights.weight_ih.T
    projected = isinstance(weights, ProjectedParams)
    back = Back(weights.weight_hh.T, weights.weight_hr.T if projected else None)
    whole = Whole(known.before.c, d_hs, known.gates, known.masks)
    time = xs.shape[0]
    size = _steps_at_once(xs, params.weight_hh.shape[1] // 4, rows)

    def some_steps(carry: tuple, inputs: tuple) -> tuple[tuple, Array | None]:
        moved, d_params = carry
        start, xs, before, gates = inputs
        fresh = None
        if known.gates is None:
            gates = fresh = _gates(params, xs, before)
        moved, (d_zs, d_hs) = loop(back, whole, start, size, fresh, moved, reverse)
        ms = _unprojected(gates, before.c) if projected else None
        here = _weight_cotangents(weights, (xs, before.h, ms), (d_zs, d_hs))
        d_params = jax.tree.map(jnp.add, d_params, _only(wanted.params, here))
        return (moved, d_params), jnp.matmul(d_zs, back_to_x) if wanted.xs else None

    d_state = LSTMState(d_h.astype(wide), d_c)
    moved = Moved(d_state, jax.tree.map(zeros_of, d_state) if wanted.reset_state else None)
    d_params = jax.tree.map(zeros_of, _only(wanted.params, weights))
    blocks = (xs, known.before, known.gates if projected else None)
    blocks = jax.tree.map(lambda a: a.reshape(time // size, size, *a.shape[1:]), blocks)
    blocks = (size * jnp.arange(time // size), *blocks)
    (moved, d_params), d_xs = lax.scan(some_steps, (moved, d_params), blocks, reverse=not reverse)

    def narrow(d_state: LSTMState) -> LSTMState:
        return LSTMState(d_state.h.astype(d_h.dtype), d_state.c)

    d_params = jax.tree.map(lambda d, p: d.astype(p.dtype), d_params, _only(wanted.params, params))
    d_xs = jax.tree.map(lambda d: d.reshape(xs.shape).astype(xs.dtype), d_xs)
    d_reset_state = moved.d_reset_state and narrow(moved.d_reset_state)
    return Inputs(d_params, narrow(moved.d_state), d_reset_state, d_xs)


def _gates(params: LSTMParams | ProjectedParams, xs: Array, before: LSTMState) -> LSTMGates:
    """The gates of all steps at once, from the states before them."""
    return lstm_equations(pre_activations(params, before.h, xs), before.c)[0]


def _unprojected(gates: LSTMGates, c: Array) -> Array:
    """`o * tanh(c')`, which a projected layer keeps to itself."""
    i, f, g, o = gates
    return o * jnp.tanh(f * c + i * g)


def _weight_cotangents(
    weights: LSTMParams | ProjectedParams, values: PyTree, back: PyTree
) -> LSTMParams | ProjectedParams:
    """One product each: what the weights were multiplied by, and what came back."""
    xs, hs, ms = jax.tree.map(lambda a: _rows(a).astype(weights.bias.dtype), values)

    def through(weights: LSTMParams | ProjectedParams) -> tuple[Array, Array | None]:
        z = jnp.matmul(xs, weights.weight_ih) + jnp.matmul(hs, weights.weight_hh)
        z = z + along(weights.bias, z, z.dtype)
        projected = isinstance(weights, ProjectedParams)
        return z, jnp.matmul(ms, weights.weight_hr) if projected else None

    return jax.linear_transpose(through, weights)(jax.tree.map(_rows, back))[0]


def _only(wanted: PyTree, params: PyTree) -> PyTree:
    """The arrays that are wanted, None for the others."""
    return type(params)._make(p if w else None for w, p in zip(wanted, params, strict=True))


def _steps_at_once(xs: Float[Array, "time *batch input"], hidden: int, rows: int | None) -> int:
    """How many steps to one product for each weight: a divisor of the time.

    On CPU about `4*hidden` rows, as many as the gates have columns: few enough for the cache, many
    enough to hide that the products are added up. All steps, where only small parts divide the
    time.
    """
    time, *batch = xs.shape[:-1]
    if not all(isinstance(size, int) for size in (time, *batch, hidden)):
        return time
    rows = max(256, 4 * hidden) if rows is None else rows
    most = max(1, rows // max(1, math.prod(batch)))
    size = next(size for size in range(min(most, time), 0, -1) if time % size == 0)
    return size if 2 * size >= min(most, time) else time


def _rows(a: Float[Array, "time *batch features"]) -> Float[Array, "rows features"]:
    """Time and batch as one axis, for which products are faster, unless a sharding forbids it."""
    sharding = getattr(jax.typeof(a), "sharding", None)
    if sharding is not None and any(axis is not None for axis in sharding.spec[:-1]):
        return a
    return a.reshape(reduce(mul, a.shape[:-1]), a.shape[-1])
