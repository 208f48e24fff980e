"""A function over time as a JAX primitive, `over_time`: batching, JVP, transpose, platforms.

It lowers to the JAX functions that it holds, and adds three rules to theirs:

- `vmap` over data becomes one more batch axis of the same call, beside time and not before it;
- where the function is linear in its operands, its transpose is a function of our own;
- each platform is given the form of the function that is fastest there, when it is lowered.

Everything else is left to plain JAX, so that derivatives of any order follow.
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

from jlstm.recurrence.lowerings import BatchAxis, Lowerings

if TYPE_CHECKING:
    from jlstm.types import Array, PyTree


class _Trees(NamedTuple):
    """The structures of a call's residuals, operands and results."""

    residuals: Any
    operands: Any  # None: a function of the residuals alone
    results: Any


class _Mapped(NamedTuple):
    """A `vmap` that cannot join the batch: weights are mapped, or each example wants its own."""

    residual_dims: tuple[int | None, ...]
    operand_dims: tuple[int, ...]
    result_dims: tuple[int, ...]
    sequential: bool


def over_time(
    function: Lowerings,
    residuals: tuple[PyTree, ...],
    residual_axes: tuple[PyTree, ...],
    result_axes: PyTree,
    operands: PyTree = None,
    operand_axes: PyTree = None,
    transpose: Lowerings | None = None,
) -> PyTree:
    """`function(*residuals)`, or `function(*residuals, operands)`, linear in the operands.

    Args:
      function: the function.
      residuals: its arguments, a tuple of pytrees.
      residual_axes: the `BatchAxis` of each array of the residuals, or a prefix of their tree.
      result_axes: the same for the results, and the whole of their tree.
      operands: one pytree, in which the function is linear; None is no such argument.
      operand_axes: the same as `residual_axes`, for the operands.
      transpose: `transpose(*residuals, cotangents)`, from cotangents of the results to those of
        the operands, each in the tree of what it belongs to.

    Returns:
      The results.
    """
    linear = operands is not None
    trees = _Trees(
        jax.tree.structure(residuals),
        jax.tree.structure(operands) if linear else None,
        jax.tree.structure(result_axes),
    )
    axes = (
        _flatten_axes(residual_axes, residuals),
        _flatten_axes(operand_axes, operands) if linear else (),
        tuple(jax.tree.leaves(result_axes)),
    )
    leaves = jax.tree.leaves((residuals, operands))
    results = over_time_p.bind(
        *leaves, function=function, transpose=transpose, trees=trees, axes=axes, mapped=()
    )
    return trees.results.unflatten(results)


def _flatten_axes(prefix: PyTree, tree: PyTree) -> tuple[BatchAxis, ...]:
    return tuple(jax.tree.leaves(jax.tree.broadcast(prefix, tree)))


over_time_p = Primitive("over_time")
over_time_p.multiple_results = True


def _call(
    *args: Any, function: Lowerings, trees: _Trees, mapped: tuple, form: str = "reference", **_: Any
) -> Sequence[Array]:
    """The function on leaves, in one of its forms."""
    if form == "native" and not (function.native and all(level.sequential for level in mapped)):
        form = "cpu"  # a call for each example, where XLA's loops take all of them at once
    run_trees = getattr(function, form) or function.default
    count = trees.residuals.num_leaves

    def run(*leaves: Array) -> tuple[Array, ...]:
        arguments = trees.residuals.unflatten(leaves[:count])
        if trees.operands is not None:
            arguments = (*arguments, trees.operands.unflatten(leaves[count:]))
        return tuple(trees.results.flatten_up_to(run_trees(*arguments)))

    for level in mapped:
        run = _map(run, level)
    return run(*args)


def _map(function: Callable, level: _Mapped) -> Callable:
    """The function of one example, mapped over all of them."""
    dims = (*level.residual_dims, *level.operand_dims)
    at_once = jax.vmap(function, dims, level.result_dims)
    if not level.sequential:
        return at_once

    def one_by_one(*args: Array) -> Sequence[Array]:
        def run(examples: list[Array]) -> Sequence[Array]:
            rest = iter(examples)
            return function(
                *(a if dim is None else next(rest) for a, dim in zip(args, dims, strict=True))
            )

        # Every dimension that is mapped is the first.
        return lax.map(run, [a for a, dim in zip(args, dims, strict=True) if dim is not None])

    # On CPU batched products of small matrices take twice as long as one after the other.
    return lambda *args: lax.platform_dependent(*args, cpu=one_by_one, default=at_once)


def _run_here(*args: Any, **params: Any) -> Sequence[Array]:
    """Evaluation outside `jit`, in the form of the default backend."""
    on_one = all(len(a.sharding.device_set) == 1 for a in args if isinstance(a, jax.Array))
    cpu, gpu = "native" if on_one else "cpu", "default" if _is_rocm() else "cuda"
    forms = {"cpu": cpu, "gpu": gpu}
    return _call(*args, form=forms.get(jax.default_backend(), "default"), **params)


def _is_rocm() -> bool:
    return "rocm" in jax.devices()[0].client.platform_version


def _abstract(*avals: Any, **params: Any) -> list:
    return jax.make_jaxpr(lambda *args: _call(*args, **params))(*avals).out_avals


def _batch(args: Sequence, dims: Sequence, *, axes: tuple, mapped: tuple, **params: Any) -> tuple:
    """The rule of `vmap`.

    An example of a recurrence over a batch is a recurrence over a larger batch. So where only data
    are mapped, the new axis joins the batch of each array, where its `BatchAxis` says, and the call
    stays one loop with the same products, over more rows.

    A weight has no batch axis to join. Where one is mapped, or a result is one (the gradient of the
    weights, per example), the call is bound anew with this `vmap` recorded in `mapped`, and becomes
    `jax.vmap` of the function when it is lowered; on CPU, a loop over the sets of weights.
    """
    residual_axes, operand_axes, result_axes = axes
    array_axes = (*residual_axes, *operand_axes)
    size = next(a.shape[dim] for a, dim in zip(args, dims, strict=True) if dim is not None)
    count = len(residual_axes)
    weights = [
        axis is BatchAxis.NONE and dim is not None
        for dim, axis in zip(dims, array_axes, strict=True)
    ]
    sharding = _sharding_of(args, dims)

    def place(a: Array, dim: int | None, position: int) -> Array:
        if dim is None:
            a, dim = lax.broadcast(a, (size,), out_sharding=sharding and sharding(a)), 0
        return jnp.moveaxis(a, dim, position)

    def join(a: Array, dim: int | None, axis: BatchAxis) -> Array:
        if axis is BatchAxis.NONE:
            return a
        if axis is BatchAxis.OPAQUE:  # mapped where something made copies, all of them the same
            return a if dim is None else jnp.take(a, 0, dim)
        return place(a, dim, axis.position)

    if not (any(weights) or mapped or BatchAxis.NONE in result_axes):
        joined = [join(a, dim, axis) for a, dim, axis in zip(args, dims, array_axes, strict=True)]
        result_dims = [None if axis is BatchAxis.OPAQUE else axis.position for axis in result_axes]
        return over_time_p.bind(*joined, axes=axes, mapped=mapped, **params), result_dims

    sequential = any(weights[:count]) and sharding is None

    def dimension(axis: BatchAxis) -> int:
        return 1 if axis is BatchAxis.AFTER_TIME and not sequential else 0

    # Operands are all mapped, so that each has a cotangent of its own.
    level = _Mapped(
        tuple(
            None if dim is None else dimension(axis)
            for dim, axis in zip(dims[:count], residual_axes, strict=True)
        ),
        tuple(map(dimension, operand_axes)),
        tuple(map(dimension, result_axes)),
        sequential,
    )
    wanted = (*level.residual_dims, *level.operand_dims)
    placed = [
        a if to is None else place(a, dim, to)
        for a, dim, to in zip(args, dims, wanted, strict=True)
    ]
    results = over_time_p.bind(*placed, axes=axes, mapped=(*mapped, level), **params)
    return results, level.result_dims


def _sharding_of(args: Sequence, dims: Sequence) -> Callable[[Array], NamedSharding] | None:
    """The sharding of an array with the mapped axis in front, if an Explicit mesh shards it."""
    for a, dim in zip(args, dims, strict=True):
        sharding = None if dim is None else getattr(jax.typeof(a), "sharding", None)
        if sharding is not None and sharding.spec[dim] is not None:
            name, mesh = sharding.spec[dim], sharding.mesh
            return lambda a: NamedSharding(mesh, PartitionSpec(name, *jax.typeof(a).sharding.spec))
    return None


def _jvp(primals: Sequence, tangents: Sequence, **params: Any) -> tuple:
    """The derivative of `y = f(r, u)`, with `f` linear in the operands `u`.

        dy = (df/dr)(r, u) dr + f(r, du)

    The second term is the same primitive, of other operands. The first is JAX's own derivative of
    `reference`, so that derivatives of any order follow; it is formed only where a residual moves,
    as none does in the first derivative of a recurrence.
    """
    count = len(params["axes"][0])
    residuals, operands = primals[:count], primals[count:]
    moving = [k for k in range(count) if not isinstance(tangents[k], ad.Zero)]
    results = result_tangents = None
    if moving:

        def of_moving(*values: Array) -> Sequence[Array]:
            moved = list(residuals)
            for k, value in zip(moving, values, strict=True):
                moved[k] = value
            return _call(*moved, *operands, **params)

        values, directions = zip(*((primals[k], tangents[k]) for k in moving), strict=True)
        results, result_tangents = jax.jvp(of_moving, values, directions)
    if operands:
        results = over_time_p.bind(*primals, **params)
        if not all(isinstance(t, ad.Zero) for t in tangents[count:]):
            directions = map(ad.instantiate_zeros, tangents[count:])
            linear = over_time_p.bind(*residuals, *directions, **params)
            result_tangents = (
                linear if result_tangents is None else list(map(jnp.add, result_tangents, linear))
            )
    return results, result_tangents


def _transpose(
    cotangents: Sequence, *args: Any, function: Lowerings, transpose: Lowerings, trees: _Trees,
    axes: tuple, mapped: tuple,
) -> list:  # fmt: skip
    """The transpose of `y = f(r, u)` in `u`: the same primitive, of `f` transposed.

    Function and transpose change places, and so do operands and results, with their trees, axes and
    mapped dimensions. So the transpose has these very rules: its own transpose is the function, and
    `vmap` joins the batch of its arrays too.
    """
    residual_axes, operand_axes, result_axes = axes
    count = len(residual_axes)
    results = over_time_p.bind(
        *args[:count],
        *map(ad.instantiate_zeros, cotangents),
        function=transpose,
        transpose=function,
        trees=_Trees(trees.residuals, trees.results, trees.operands),
        axes=(residual_axes, result_axes, operand_axes),
        mapped=tuple(
            level._replace(operand_dims=level.result_dims, result_dims=level.operand_dims)
            for level in mapped
        ),
    )
    wanted = [
        result if ad.is_undefined_primal(arg) else None
        for arg, result in zip(args[count:], results, strict=True)
    ]
    return [None] * count + wanted


def lower(form: str) -> Callable:
    """The rule that lowers `over_time` to one of its forms."""
    return mlir.lower_fun(partial(_call, form=form), multiple_results=True)


def lower_for_cpu(ctx: mlir.LoweringRuleContext, *args: Any, **params: Any) -> Any:
    """The native form where XLA runs it as it is.

    XLA would gather the operands of a foreign call that are sharded, and nothing can be exported
    that calls one.
    """
    module = ctx.module_context
    axes: Any = module.axis_context
    if hasattr(axes, "manual_axes"):  # inside shard_map
        sizes = axes.mesh.shape.items()
        whole = all(size == 1 for name, size in sizes if name not in axes.manual_axes)
    else:
        whole = axes.num_devices == 1
    native = whole and not module.lowering_parameters.for_export
    return lower("native" if native else "cpu")(ctx, *args, **params)


over_time_p.def_impl(_run_here)
over_time_p.def_abstract_eval(_abstract)
mlir.register_lowering(over_time_p, lower_for_cpu, platform="cpu")
mlir.register_lowering(over_time_p, lower("cuda"), platform="cuda")
mlir.register_lowering(over_time_p, lower("default"))
batching.primitive_batchers[over_time_p] = _batch
ad.primitive_jvps[over_time_p] = _jvp
ad.primitive_transposes[over_time_p] = _transpose
