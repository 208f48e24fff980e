"""The derivative of the recurrence: its tangents, and their transpose, its cotangents.

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

from jlstm.equations import (
    expand_to_batch,
    lstm_cotangents,
    lstm_equations,
    lstm_tangents,
    output,
    pre_activations,
    product,
)
from jlstm.masks import Masks, select
from jlstm.recurrence.call import Inputs
from jlstm.recurrence.carry import zeros_of
from jlstm.types import LSTMGates, LSTMParams, LSTMState, ProjectedParams, cell_dtype, compute_dtype

if TYPE_CHECKING:
    from collections.abc import Callable

    from jlstm.types import Array, Float, PyTree


class Residuals(NamedTuple):
    """Residuals of the forward pass: the state before each step and, unless recomputed, its gates.

    Gates that are None are computed again, those of many steps by one product.
    """

    params: LSTMParams | ProjectedParams
    xs: Float[Array, "time *batch input"]
    masks: Masks
    before: LSTMState
    gates: LSTMGates | None


class PerStep(NamedTuple):
    """Arrays of all steps that the backward loop indexes; `gates` is None if recomputed."""

    before_c: Float[Array, "time *batch hidden"]
    d_hs: Float[Array, "time *batch output"]
    gates: LSTMGates | None
    masks: Masks


class TransposedWeights(NamedTuple):
    """The recurrent weights, transposed once per call; `hr` is None without a projection."""

    hh: Float[Array, "gates output"]
    hr: Float[Array, "output hidden"] | None


class BackwardCarry(NamedTuple):
    """Carry of the backward loop: the state's cotangent, and the running sum for `reset_state`."""

    d_state: LSTMState
    d_reset_state: LSTMState | None


def tangents(residuals: Residuals, moving: Inputs, reverse: bool) -> tuple[LSTMState, Array]:
    """The tangents of `(state, hs)`, from those of the inputs."""
    params, xs, masks, before, gates = residuals
    d_params, d_state, d_reset_state, d_xs = moving
    dtype = compute_dtype(xs, *params)
    gates = _recompute_gates(params, xs, before) if gates is None else gates
    terms = []
    if d_xs is not None:
        terms.append(product(d_xs, params.weight_ih, dtype))
    if d_params.weight_ih is not None:
        terms.append(product(xs, d_params.weight_ih, dtype))
    if d_params.weight_hh is not None:
        terms.append(product(before.h, d_params.weight_hh, dtype))
    if d_params.bias is not None:
        d_bias = d_params.bias.astype(cell_dtype(dtype))
        terms.append(jnp.broadcast_to(d_bias, (*xs.shape[:-1], *d_bias.shape)))
    d_zs = reduce(jnp.add, terms) if terms else None
    d_projections = None  # the term of h that the projection's own tangent adds
    if isinstance(d_params, ProjectedParams) and d_params.weight_hr is not None:
        d_projections = product(_unprojected(gates, before.c), d_params.weight_hr, dtype)

    def one_step(d_state: LSTMState, step_inputs: tuple) -> tuple[LSTMState, Array]:
        d_z, d_projection, c, gates, (valid, entered) = step_inputs
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

    steps = (d_zs, d_projections, before.c, gates, masks)
    return lax.scan(one_step, d_state, steps, reverse=reverse)


def cotangents(
    residuals: Residuals,
    results: tuple[LSTMState, Array],
    reverse: bool,
    wanted: Inputs,
    rows: int | None = None,
    loop: Callable[..., tuple[BackwardCarry, tuple]] | None = None,
) -> Inputs:
    """The transpose of `tangents`: from cotangents of `(state, hs)` to those of the inputs.

    Args:
      residuals: those of the forward pass.
      results: the cotangents of `(state, hs)`.
      reverse: the direction of the forward loop.
      wanted: true for each input whose cotangent is wanted, None for the others.
      rows: rows of one product for the gradient of the weights; None is as many as suit a CPU.
      loop: the loop over the steps of such a product; None is `backward_loop`.
    """
    loop = backward_loop if loop is None else loop
    params, xs, masks, before, gates = residuals
    d_state, d_hs = results
    wide = cell_dtype(compute_dtype(xs, *params))
    weights = jax.tree.map(lambda p: p.astype(wide), params)
    weight_ih_transposed = weights.weight_ih.T
    projected = isinstance(weights, ProjectedParams)
    transposed = TransposedWeights(weights.weight_hh.T, weights.weight_hr.T if projected else None)
    per_step = PerStep(before.c, d_hs, gates, masks)
    time = xs.shape[0]
    size = _steps_per_product(xs, params.weight_hh.shape[1] // 4, rows)

    def run_block(carry: tuple, block: tuple) -> tuple[tuple, Array | None]:
        carry, d_params = carry
        start, xs, before, gates = block
        recomputed = None
        if residuals.gates is None:
            gates = recomputed = _recompute_gates(params, xs, before)
        carry, (d_zs, d_hs) = loop(transposed, per_step, start, size, recomputed, carry, reverse)
        ms = _unprojected(gates, before.c) if projected else None
        d_block = _weight_cotangents(weights, (xs, before.h, ms), (d_zs, d_hs))
        d_params = jax.tree.map(jnp.add, d_params, _select_fields(wanted.params, d_block))
        return (carry, d_params), jnp.matmul(d_zs, weight_ih_transposed) if wanted.xs else None

    d_wide = LSTMState(d_state.h.astype(wide), d_state.c)
    carry = BackwardCarry(d_wide, jax.tree.map(zeros_of, d_wide) if wanted.reset_state else None)
    d_params = jax.tree.map(zeros_of, _select_fields(wanted.params, weights))
    blocks = (xs, before, gates if projected else None)
    blocks = jax.tree.map(lambda a: a.reshape(time // size, size, *a.shape[1:]), blocks)
    blocks = (size * jnp.arange(time // size), *blocks)
    (carry, d_params), d_xs = lax.scan(run_block, (carry, d_params), blocks, reverse=not reverse)

    def narrow(d_wide: LSTMState) -> LSTMState:
        return LSTMState(d_wide.h.astype(d_state.h.dtype), d_wide.c)

    like = _select_fields(wanted.params, params)
    d_params = jax.tree.map(lambda d, p: d.astype(p.dtype), d_params, like)
    d_xs = jax.tree.map(lambda d: d.reshape(xs.shape).astype(xs.dtype), d_xs)
    d_reset_state = carry.d_reset_state and narrow(carry.d_reset_state)
    return Inputs(d_params, narrow(carry.d_state), d_reset_state, d_xs)


def backward_loop(
    transposed: TransposedWeights,
    per_step: PerStep,
    start: Array,
    size: int,
    recomputed: LSTMGates | None,
    carry: BackwardCarry,
    reverse: bool,
) -> tuple[BackwardCarry, tuple[Array, Array | None]]:
    """Backpropagate through `size` steps from `start`.

    Returns:
      `(carry, (d_zs, d_hs))`: the cotangents of the pre-activations and, where `h` is projected,
      those of `h`.
    """
    wide = transposed.hh.dtype
    projected = transposed.hr is not None

    def one_step(carry: BackwardCarry, step_inputs: tuple) -> tuple[BackwardCarry, tuple]:
        d_state, d_reset_state = carry
        t, recomputed = step_inputs
        # Indexed here and not by the block, which would be copied first.
        c, d_h, gates, (valid, entered) = jax.tree.map(
            lambda a: lax.dynamic_index_in_dim(a, t, keepdims=False), per_step
        )
        gates = recomputed if gates is None else gates
        d_h = d_state.h + d_h.astype(wide)
        d_m = d_h if transposed.hr is None else jnp.matmul(d_h, transposed.hr)
        d_z, d_c = lstm_cotangents(gates, c, d_m, d_state.c)
        if valid is not None:
            d_z, d_h = select(valid, (d_z, d_h), (jnp.zeros_like(d_z), jnp.zeros_like(d_h)))
        new = LSTMState(jnp.matmul(d_z, transposed.hh), d_c)
        if valid is not None:
            new = select(valid, new, d_state)
        if entered is not None:
            zeros = jax.tree.map(jnp.zeros_like, new)
            entering = select(entered, new, zeros)
            d_reset_state = jax.tree.map(jnp.add, d_reset_state, entering)
            new = select(entered, zeros, new)
        return BackwardCarry(new, d_reset_state), (d_z, d_h if projected else None)

    steps = (start + jnp.arange(size), recomputed)
    return lax.scan(one_step, carry, steps, reverse=not reverse)


def _recompute_gates(
    params: LSTMParams | ProjectedParams, xs: Array, before: LSTMState
) -> LSTMGates:
    """The gates of all steps at once, from the states before them."""
    return lstm_equations(pre_activations(params, before.h, xs), before.c)[0]


def _unprojected(gates: LSTMGates, c: Array) -> Array:
    """`m = o * tanh(c')`, which a projected layer projects to `h`."""
    i, f, g, o = gates
    return o * jnp.tanh(f * c + i * g)


def _weight_cotangents(
    weights: LSTMParams | ProjectedParams, operands: PyTree, d_results: PyTree
) -> LSTMParams | ProjectedParams:
    """The cotangents of the weights, one product each of `(xs, hs, ms)` and `(d_zs, d_hs)`."""
    xs, hs, ms = jax.tree.map(lambda a: _rows(a).astype(weights.bias.dtype), operands)

    def through(weights: LSTMParams | ProjectedParams) -> tuple[Array, Array | None]:
        z = jnp.matmul(xs, weights.weight_ih) + jnp.matmul(hs, weights.weight_hh)
        z = z + expand_to_batch(weights.bias, z, z.dtype)
        projected = isinstance(weights, ProjectedParams)
        return z, jnp.matmul(ms, weights.weight_hr) if projected else None

    return jax.linear_transpose(through, weights)(jax.tree.map(_rows, d_results))[0]


def _select_fields(wanted: PyTree, params: PyTree) -> PyTree:
    """The wanted arrays, None for the others."""
    return type(params)._make(p if w else None for w, p in zip(wanted, params, strict=True))


def _steps_per_product(xs: Float[Array, "time *batch input"], hidden: int, rows: int | None) -> int:
    """Steps in one product for the gradient of the weights: a divisor of the time.

    On CPU about `4*hidden` rows, as many as the gates have columns: few enough for the cache, many
    enough to hide the cost of adding the products up. All steps, where only small numbers divide
    the time.
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
