"""Types of a loop over time: the carry's dtypes and mesh axes, weights of 16 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jlstm.checks.calls import check_step_result
from jlstm.checks.values import is_key
from jlstm.types import compute_dtype

if TYPE_CHECKING:
    from jlstm.types import Array, PyTree, Step


def carry_type(step: Step, params: PyTree, state: PyTree, xs: PyTree, *others: PyTree) -> PyTree:
    """Shapes, dtypes, shardings and varying mesh axes of the state inside the loop.

    They are those that the step returns, varying also along the mesh axes of the `others`, which
    are mixed with the state in the loop. A state that knows nothing of the mesh has to be given
    these axes to be the carry of a scan over sharded inputs.
    """

    def first(x: Array) -> Array:
        return jnp.zeros(x.shape[1:], x.dtype) if x.shape[0] == 0 else x[0]

    def one_step(state: PyTree, xs: PyTree, others: PyTree) -> PyTree:
        out = step(params, state, jax.tree.map(first, xs))
        check_step_result(out, state)
        keyless = [leaf for leaf in jax.tree.leaves(others) if not is_key(leaf)]
        # Each by itself: a counter beside a sharded state may stay the same on all devices.
        return jax.tree.map(lambda s: s if is_key(s) else unify_varying_axes(s, keyless), out[0])

    return jax.eval_shape(one_step, state, xs, others)


def cast_to_carry(state: Array, like: jax.ShapeDtypeStruct | Array) -> Array:
    """One array of a state in the dtype, sharding and varying mesh axes of the carry."""
    if is_key(state) or state.shape != like.shape:  # lax.scan reports the second
        return state
    return state.astype(like.dtype) + jnp.zeros_like(like)


def unify_varying_axes(tree: PyTree, *others: PyTree) -> PyTree:
    """The arrays, varying along every mesh axis of a `shard_map` that any of them varies along.

    The gradient of an array that did not vary is then summed over the mesh once, here, and not at
    every step of a loop.
    """
    zero = jnp.zeros(())  # varies, once added to, as what was added does
    for leaf in jax.tree.leaves((tree, others)):
        zero = zero + zeros_of(leaf).astype(zero.dtype).sum()
    return jax.tree.map(lambda leaf: leaf + zero.astype(leaf.dtype), tree)


def zeros_of(a: Array) -> Array:
    """Zeros of the type of `a`, with its sharding and its varying mesh axes."""
    return jnp.zeros_like(jax.eval_shape(lambda a: a, a))


def strengthen(params: PyTree, xs: PyTree) -> tuple[PyTree, PyTree]:
    """The arrays without weak types, which a derivative of our own would not know."""
    dtype = compute_dtype(*jax.tree.leaves((params, xs)))

    def strengthen_leaf(leaf: Array) -> Array:
        return leaf.astype(dtype) if getattr(jax.typeof(leaf), "weak_type", False) else leaf

    return jax.tree.map(strengthen_leaf, (params, xs))


def sum_gradients_in_float32(step: Step, params: PyTree) -> tuple[Step, PyTree]:
    """The same step of the same params, which are held in float32 where they are of 16 bits.

    JAX sums the gradient of what a loop closes over in the dtype that enters the loop. In 16 bits
    that sum stalls: over 1,000 steps of bfloat16 the gradient of the bias loses 40%. Widened
    outside the loop and rounded inside, where nothing is lost, the params are what they were.
    """

    def is_narrow(leaf: Any) -> bool:
        return getattr(leaf, "dtype", None) in (jnp.bfloat16, jnp.float16)

    def rounded_step(wide: PyTree, state: PyTree, x: PyTree) -> tuple[PyTree, PyTree]:
        exact = jax.tree.map(lambda w, p: w.astype(p.dtype) if is_narrow(p) else w, wide, params)
        return step(exact, state, x)

    wide = jax.tree.map(lambda p: p.astype(jnp.float32) if is_narrow(p) else p, params)
    return rounded_step, wide
