"""A function over time as a JAX primitive, so that `vmap` and transposition may know more of it.

It lowers to the plain JAX function that it holds. What it adds:

- `vmap` over data becomes one more batch axis of the same call, beside time and not before it;
- where the function is linear in its operands, its transpose is a function of our own.

All rules refer to plain JAX for the rest, so that derivatives of any order follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

if TYPE_CHECKING:
    from jaxtyping import Array

# Where a new batch axis joins an array: first, after time, or nowhere.
FIRST, AFTER_TIME, WEIGHT = 0, 1, -1

time_p = Primitive("over_time")
time_p.multiple_results = True


def over_time(
    function: Callable[..., Sequence[Array]],
    residuals: Sequence[Array],
    residual_axes: Sequence[int],
    out_axes: Sequence[int],
    operands: Sequence[Array] = (),
    operand_axes: Sequence[int] = (),
    transpose: Callable[..., Sequence[Array]] | None = None,
) -> list[Array]:
    """`function(*residuals, *operands)`, which is linear in the operands.

    The axes say where a new batch axis joins each array. `transpose(*residuals, *cotangents)`
    takes cotangents of the results and returns those of the operands.
    """
    return time_p.bind(
        *residuals,
        *operands,
        function=function,
        transpose=transpose,
        axes=(tuple(residual_axes), tuple(operand_axes), tuple(out_axes)),
        lifts=(),
    )


def _call(*args: Any, function: Callable, axes: tuple, lifts: tuple, **_: Any) -> Sequence[Array]:
    """The plain function, mapped once for each lift: a `vmap` that maps weights too."""
    _, operand_axes, out_axes = axes
    for residual_dims in lifts:
        in_axes = (*residual_dims, *map(_front, operand_axes))
        function = jax.vmap(function, in_axes, tuple(map(_front, out_axes)))
    return tuple(function(*args))


def _front(axis: int) -> int:
    return FIRST if axis == WEIGHT else axis


def _abstract(*avals: Any, **params: Any) -> list:
    return jax.make_jaxpr(lambda *args: _call(*args, **params))(*avals).out_avals


def _batch(args: Sequence, dims: Sequence, *, axes: tuple, lifts: tuple, **params: Any) -> tuple:
    residual_axes, operand_axes, out_axes = axes
    in_axes = (*residual_axes, *operand_axes)
    mapped = [dim is not None for dim in dims]
    size = next(a.shape[d] for a, d, m in zip(args, dims, mapped, strict=True) if m)

    def place(a: Array, dim: int, is_mapped: bool, axis: int) -> Array:
        if is_mapped:
            return jnp.moveaxis(a, dim, axis)
        shape = (*a.shape[:axis], size, *a.shape[axis:])
        return jnp.broadcast_to(jnp.expand_dims(a, axis), shape)

    weights_mapped = any(m for m, axis in zip(mapped, in_axes, strict=True) if axis == WEIGHT)
    if not weights_mapped and not lifts:
        args = [
            a if axis == WEIGHT else place(a, dim, m, axis)
            for a, dim, m, axis in zip(args, dims, mapped, in_axes, strict=True)
        ]
        outs = time_p.bind(*args, axes=axes, lifts=lifts, **params)
        return outs, [None if axis == WEIGHT else axis for axis in out_axes]

    count = len(residual_axes)
    args = [
        a if k < count and not m else place(a, dim, m, _front(axis))
        for k, (a, dim, m, axis) in enumerate(zip(args, dims, mapped, in_axes, strict=True))
    ]
    lift = tuple(
        _front(axis) if m else None for m, axis in zip(mapped, residual_axes, strict=False)
    )
    outs = time_p.bind(*args, axes=axes, lifts=(*lifts, lift), **params)
    return outs, list(map(_front, out_axes))


def _jvp(primals: Sequence, tangents: Sequence, **params: Any) -> tuple:
    count = len(params["axes"][0])
    residuals, operands = primals[:count], primals[count:]
    moving = [k for k in range(count) if not isinstance(tangents[k], ad.Zero)]
    outs = out_tangents = None
    if moving:
        # The residuals enter as they do in the plain function, whose derivative is JAX's.
        def of_moving(*values: Array) -> Sequence[Array]:
            now = list(residuals)
            for k, value in zip(moving, values, strict=True):
                now[k] = value
            return _call(*now, *operands, **params)

        values, directions = zip(*((primals[k], tangents[k]) for k in moving), strict=True)
        outs, out_tangents = jax.jvp(of_moving, values, directions)
    if operands:
        outs = time_p.bind(*primals, **params)
        if not all(isinstance(t, ad.Zero) for t in tangents[count:]):
            directions = map(ad.instantiate_zeros, tangents[count:])
            linear = time_p.bind(*residuals, *directions, **params)
            out_tangents = (
                linear if out_tangents is None else list(map(jnp.add, out_tangents, linear))
            )
    return outs, out_tangents


def _transpose(
    cotangents: Sequence, *args: Any, function: Callable, transpose: Callable, axes: tuple,
    lifts: tuple,
) -> list:  # fmt: skip
    residual_axes, operand_axes, out_axes = axes
    count = len(residual_axes)
    results = time_p.bind(
        *args[:count],
        *map(ad.instantiate_zeros, cotangents),
        function=transpose,
        transpose=function,
        axes=(residual_axes, out_axes, operand_axes),
        lifts=lifts,
    )
    wanted = [
        result if ad.is_undefined_primal(arg) else None
        for arg, result in zip(args[count:], results, strict=True)
    ]
    return [None] * count + wanted


time_p.def_impl(_call)
time_p.def_abstract_eval(_abstract)
mlir.register_lowering(time_p, mlir.lower_fun(_call, multiple_results=True))
batching.primitive_batchers[time_p] = _batch
ad.primitive_jvps[time_p] = _jvp
ad.primitive_transposes[time_p] = _transpose
