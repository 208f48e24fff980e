"""A function over time as a JAX primitive, so that `vmap` and transposition may know more of it.

It lowers to the plain JAX function that it holds. What it adds:

- `vmap` over data becomes one more batch axis of the same call, beside time and not before it;
- where the function is linear in its operands, its transpose is a function of our own;
- each platform is given the form of the function that is fastest there, when it is lowered.

All rules refer to plain JAX for the rest, so that derivatives of any order follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import NamedSharding, PartitionSpec

if TYPE_CHECKING:
    from jaxtyping import Array

# Where a new batch axis joins an array: first, after time, or nowhere, because it is a weight, or
# something of the whole batch that only its own function can read.
FIRST, AFTER_TIME, WEIGHT, WHOLE = 0, 1, -1, -2

time_p = Primitive("over_time")
time_p.multiple_results = True


class Forms(NamedTuple):
    """One function: `plain` has the types and the derivatives, the others are what is run."""

    plain: Callable[..., Sequence[Array]]
    cpu: Callable[..., Sequence[Array]]
    elsewhere: Callable[..., Sequence[Array]]  # on GPU and TPU


def everywhere(function: Callable[..., Sequence[Array]]) -> Forms:
    """A function of one form."""
    return Forms(function, function, function)


def over_time(
    function: Forms,
    residuals: Sequence[Array],
    residual_axes: Sequence[int],
    out_axes: Sequence[int],
    operands: Sequence[Array] = (),
    operand_axes: Sequence[int] = (),
    transpose: Forms | None = None,
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


class Lift(NamedTuple):
    """A `vmap` that cannot join the batch: weights are mapped, or each example wants its own."""

    residual_dims: tuple[int | None, ...]
    operand_dims: tuple[int, ...]
    out_dims: tuple[int, ...]
    in_turn: bool


def _call(
    *args: Any, function: Forms, lifts: tuple, form: str = "plain", **_: Any
) -> Sequence[Array]:
    run = getattr(function, form)
    for lift in lifts:
        run = _lifted(run, lift)
    return tuple(run(*args))


def _call_now(*args: Any, **params: Any) -> Sequence[Array]:
    """Without `jit`: where the arrays are."""
    return _call(*args, form="cpu" if jax.default_backend() == "cpu" else "elsewhere", **params)


def _lifted(function: Callable, lift: Lift) -> Callable:
    dims = (*lift.residual_dims, *lift.operand_dims)
    at_once = jax.vmap(function, dims, lift.out_dims)
    if not lift.in_turn:
        return at_once

    def in_turn(*args: Array) -> Sequence[Array]:
        mapped = [a for a, dim in zip(args, dims, strict=True) if dim is not None]

        def one(some: list[Array]) -> Sequence[Array]:
            rest = iter(some)
            return function(
                *(a if dim is None else next(rest) for a, dim in zip(args, dims, strict=True))
            )

        return lax.map(one, mapped)  # every dim is 0

    # On CPU batched products of small matrices take twice as long as one after the other.
    return lambda *args: lax.platform_dependent(*args, cpu=in_turn, default=at_once)


def _abstract(*avals: Any, **params: Any) -> list:
    return jax.make_jaxpr(lambda *args: _call(*args, **params))(*avals).out_avals


def _batch(args: Sequence, dims: Sequence, *, axes: tuple, lifts: tuple, **params: Any) -> tuple:
    residual_axes, operand_axes, out_axes = axes
    in_axes = (*residual_axes, *operand_axes)
    size = next(a.shape[dim] for a, dim in zip(args, dims, strict=True) if dim is not None)
    count = len(residual_axes)
    mapped = [dim is not None and axis == WEIGHT for dim, axis in zip(dims, in_axes, strict=True)]
    weights_mapped = any(mapped[:count])

    sharding = _sharding_of(args, dims)

    def place(a: Array, dim: int | None, axis: int) -> Array:
        if axis == WEIGHT:
            return a
        if axis == WHOLE:  # mapped where something made copies of it, all of them the same
            return a if dim is None else jnp.take(a, 0, dim)
        if dim is None:
            a, dim = lax.broadcast(a, (size,), out_sharding=sharding and sharding(a)), 0
        return jnp.moveaxis(a, dim, axis)

    if not (any(mapped) or lifts or WEIGHT in out_axes):
        placed = [place(a, dim, axis) for a, dim, axis in zip(args, dims, in_axes, strict=True)]
        out_dims = [None if axis == WHOLE else axis for axis in out_axes]
        return time_p.bind(*placed, axes=axes, lifts=lifts, **params), out_dims

    in_turn = weights_mapped and sharding is None

    def front(axis: int) -> int:
        return 0 if in_turn or axis == WEIGHT else axis

    # Operands are all mapped, so that each has a cotangent of its own.
    lift = Lift(
        tuple(
            None if dim is None else front(axis)
            for dim, axis in zip(dims[:count], residual_axes, strict=True)
        ),
        tuple(map(front, operand_axes)),
        tuple(map(front, out_axes)),
        in_turn,
    )
    placed = [
        a if to is None else place(a, dim, to)
        for a, dim, to in zip(args, dims, lift.residual_dims + lift.operand_dims, strict=True)
    ]
    return time_p.bind(*placed, axes=axes, lifts=(*lifts, lift), **params), lift.out_dims


def _sharding_of(args: Sequence, dims: Sequence) -> Callable[[Array], NamedSharding] | None:
    """What an array gets with the mapped axis in front, where an Explicit mesh shards that axis."""
    for a, dim in zip(args, dims, strict=True):
        found = None if dim is None else getattr(jax.typeof(a), "sharding", None)
        if found is not None and found.spec[dim] is not None:
            name, mesh = found.spec[dim], found.mesh
            return lambda a: NamedSharding(mesh, PartitionSpec(name, *jax.typeof(a).sharding.spec))
    return None


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
    cotangents: Sequence, *args: Any, function: Forms, transpose: Forms, axes: tuple,
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
        lifts=tuple(
            lift._replace(operand_dims=lift.out_dims, out_dims=lift.operand_dims) for lift in lifts
        ),
    )
    wanted = [
        result if ad.is_undefined_primal(arg) else None
        for arg, result in zip(args[count:], results, strict=True)
    ]
    return [None] * count + wanted


on_cpu = mlir.lower_fun(partial(_call, form="cpu"), multiple_results=True)
elsewhere = mlir.lower_fun(partial(_call, form="elsewhere"), multiple_results=True)

time_p.def_impl(_call_now)
time_p.def_abstract_eval(_abstract)
mlir.register_lowering(time_p, on_cpu, platform="cpu")
mlir.register_lowering(time_p, elsewhere)
batching.primitive_batchers[time_p] = _batch
ad.primitive_jvps[time_p] = _jvp
ad.primitive_transposes[time_p] = _transpose
