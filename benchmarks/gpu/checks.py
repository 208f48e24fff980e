"""Checks of jlstm's implementations against float64: every call, every transformation.

The reference is the textbook LSTM of `tests/support/reference.py`, in NumPy, from the same rounded
numbers. It has values and gradients; second derivatives are differences of its gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jlstm
from tests.support.problems import Problem, make_problem, vjp
from tests.support.reference import lstm, lstm_vjp

CALLS = {
    "plain": {"lengths": False, "resets": False},
    "lengths": {"lengths": True, "resets": False},
    "resets": {"lengths": False, "resets": True},
    "lengths and resets": {"lengths": True, "resets": True},
    "lengths, reversed": {"lengths": True, "resets": False, "reverse": True},
    "lengths and resets, reversed": {"lengths": True, "resets": True, "reverse": True},
}
SIZES = (12, (8,), (64, 128))  # time, batch, (input, hidden), supported by every kernel
STEP = 1e-4  # of finite differences, in float64

# The tolerance of values and derivatives, in units of the dtype's rounding. On a
# CPU the largest seen were 8 and 16 in float32, 0.6 and 10 in bfloat16. A GPU has other functions
# for exp and tanh, and a product in TensorFloat-32 would be off by 10,000. In float16 the gradient
# of a mean is in the range of subnormal numbers.
ROUNDINGS = {"float32": (64, 320), "bfloat16": (4, 16), "float16": (4, 64)}


def check(name: str, implementation: str | None, dtype: str) -> dict:
    """`{"difference", "tolerance"}` relative to the largest value, or `{"refused"}`: a reason."""
    scan = partial(jlstm.lstm_scan, implementation=implementation)
    try:
        # Exact float32 products: TensorFloat-32 has 10 bits of 23.
        with jax.default_matmul_precision("highest"):
            actual, wanted, allowed = CHECKS[name](scan, dtype)
        return {"difference": largest_error(actual, wanted), "tolerance": allowed}
    except ValueError as problem:
        if not str(problem).startswith("implementation="):
            raise
        return {"refused": str(problem)}


def largest_error(actual: Any, wanted: Any, least: float = 1.0) -> float:
    """The largest error of all arrays, relative to the largest value of each, or to `least`."""
    errors = [0.0]
    for got, right in zip(jax.tree.leaves(actual), jax.tree.leaves(wanted), strict=True):
        got, right = np.asarray(got, np.float64), np.asarray(right, np.float64)
        if got.shape != right.shape:
            raise TypeError(f"a result has shape {got.shape}, it should have {right.shape}")
        errors.append(np.abs(got - right).max() / max(least, np.abs(right).max()))
    return float(np.max(errors))  # NaN stays NaN


def tolerance(dtype: str, kind: str = "values") -> float:
    """The error that rounding may cause, relative to the largest value."""
    return ROUNDINGS[dtype][kind != "values"] * float(jnp.finfo(dtype).eps) / 2


def _values(call: str, scan: Callable, dtype: str) -> tuple[Any, Any, float]:
    problem = _rounded(call, dtype)
    wanted = lstm(*problem[:3], **problem.options)[:2]
    return problem.call(scan, dtype), wanted, tolerance(dtype)


def _gradients(call: str, scan: Callable, dtype: str) -> tuple[Any, Any, float]:
    problem = _rounded(call, dtype)
    wanted = lstm_vjp(*problem[:3], problem.cotangents, **problem.options)
    actual = vjp(scan, problem, dtype)
    names = ["params", "state", "xs"]
    names += [] if problem.options.get("reset_state") is None else ["reset_state"]
    actual, wanted = ([gradients[name] for name in names] for gradients in (actual, wanted))
    return actual, wanted, tolerance(dtype, "gradients")


def _rounded(call: str, dtype: str, padding: float = np.nan) -> Problem:
    """A problem with numbers that the dtype represents; padding is NaN, which must not spread."""
    problem = make_problem(51, *SIZES, **CALLS[call])

    def rounded(a: Any) -> Any:
        floats = np.issubdtype(np.asarray(a).dtype, np.floating)
        return np.asarray(jnp.asarray(a, dtype), np.float64) if floats else a

    problem = jax.tree.map(rounded, problem)
    lengths = problem.options.get("lengths")
    if lengths is None:
        return problem
    valid = np.arange(SIZES[0])[:, None] < lengths
    return problem._replace(xs=np.where(valid[..., None], problem.xs, padding))


def _transformed(name: str, scan: Callable, dtype: str) -> tuple[Any, Any, float]:
    """The sum of `hs**2`, with lengths, under a transformation."""
    problem = _rounded("lengths", dtype, padding=0)
    params, state, xs, options = problem.arrays(dtype)
    by_jax, by_numpy = TRANSFORMATIONS[name]

    def loss(params: Any, xs: Any) -> Any:
        return (scan(params, state, xs, **options)[1].astype(jnp.float32) ** 2).sum()

    def value(params: Any, xs: Any) -> Any:
        return (lstm(params, problem.state, xs, **problem.options)[1] ** 2).sum()

    def gradient(params: Any, xs: Any) -> tuple:
        (h, c), hs, _ = lstm(params, problem.state, xs, **problem.options)
        cotangents = ((0 * h, 0 * c), 2 * hs)
        actual = lstm_vjp(params, problem.state, xs, cotangents, **problem.options)
        return tuple(actual["params"]), actual["xs"]

    actual = jax.jit(partial(by_jax, loss))(params, xs)
    wanted = by_numpy(value, gradient, problem.params, problem.xs)
    return actual, wanted, tolerance(dtype, "gradients")


def _both(tree: Any) -> tuple:
    """Two problems to map over: this one, and half of it."""
    return tree, jax.tree.map(lambda a: a / 2, tree)


def _stacked(trees: Any) -> Any:
    trees = list(trees)
    stack = jnp.stack if isinstance(jax.tree.leaves(trees)[0], jax.Array) else np.stack
    return jax.tree.map(lambda *a: stack(a), *trees)


def _inner(a: Any, b: Any) -> Any:
    return sum((x * y).sum() for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def _difference(function: Callable, at: Any, direction: Any) -> Any:
    """The derivative of a function of NumPy arrays in a direction."""
    size = STEP / np.sqrt(_inner(direction, direction))

    def moved(sign: int) -> Any:
        return function(jax.tree.map(lambda a, d: a + sign * size * d, at, direction))

    return jax.tree.map(lambda up, down: (up - down) / (2 * size), moved(1), moved(-1))


def _squared_gradient(loss: Callable, params: Any, xs: Any) -> Any:
    gradient = jax.grad(loss)(params, xs)
    return _inner(gradient, gradient)


def _in_a_scan(loss: Callable, params: Any, xs: Any) -> Any:
    def body(total: Any, scale: Any) -> tuple:
        return total + loss(params, scale * xs), jax.grad(loss)(params, scale * xs)

    return jax.lax.scan(body, jnp.float32(0), jnp.array([1, 0.5], xs.dtype))


def _in_a_while(loss: Callable, params: Any, xs: Any) -> Any:
    def body(carry: tuple) -> tuple:
        k, _ = carry
        return k + 1, jax.grad(loss)(params, xs)

    return jax.lax.while_loop(lambda carry: carry[0] < 2, body, (0, params))[1]


def _in_a_cond(loss: Callable, params: Any, xs: Any) -> Any:
    return jax.lax.cond(xs[0, 0, 0] < 100, jax.grad(loss), lambda params, _: params, params, xs)


def _on_a_mesh(loss: Callable, params: Any, xs: Any) -> Any:
    """`shard_map` over a mesh of one device, weights replicated."""
    mesh, spec = jax.make_mesh((1,), ("model",)), jax.P()
    return jax.shard_map(jax.grad(loss), mesh=mesh, in_specs=spec, out_specs=spec)(params, xs)


# Each in JAX, from the loss, and in NumPy, from its value and its gradient.
TRANSFORMATIONS: dict[str, tuple[Callable, Callable]] = {
    "vmap over data": (
        lambda loss, p, xs: jax.vmap(loss, (None, 0))(p, _stacked(_both(xs))),
        lambda value, _, p, xs: np.stack([value(p, x) for x in _both(xs)]),
    ),
    "vmap over weights": (
        lambda loss, p, xs: jax.vmap(loss, (0, None))(_stacked(_both(p)), xs),
        lambda value, _, p, xs: np.stack([value(q, xs) for q in _both(p)]),
    ),
    "vmap over both": (
        lambda loss, p, xs: jax.vmap(loss)(_stacked(_both(p)), _stacked(_both(xs))),
        lambda value, _, p, xs: np.stack([*map(value, _both(p), _both(xs))]),
    ),
    "grad of vmap over data": (
        lambda loss, p, xs: jax.grad(
            lambda p: jax.vmap(loss, (None, 0))(p, _stacked(_both(xs))).sum()
        )(p),
        lambda _, grad, p, xs: jax.tree.map(np.add, *[grad(p, x)[0] for x in _both(xs)]),
    ),
    "vmap of grad over data": (
        lambda loss, p, xs: jax.vmap(jax.grad(loss), (None, 0))(p, _stacked(_both(xs))),
        lambda _, grad, p, xs: _stacked(grad(p, x)[0] for x in _both(xs)),
    ),
    "vmap of grad over weights": (
        lambda loss, p, xs: jax.vmap(jax.grad(loss), (0, None))(_stacked(_both(p)), xs),
        lambda _, grad, p, xs: _stacked(grad(q, xs)[0] for q in _both(p)),
    ),
    "jvp": (
        lambda loss, p, xs: jax.jvp(loss, (p, xs), (p, xs))[1],
        lambda _, grad, p, xs: _inner(grad(p, xs), (p, xs)),
    ),
    "linearize": (
        lambda loss, p, xs: jax.linearize(loss, p, xs)[1](p, xs),
        lambda _, grad, p, xs: _inner(grad(p, xs), (p, xs)),
    ),
    "jacfwd": (
        lambda loss, p, xs: jax.jacfwd(lambda b: loss(p._replace(bias=b), xs))(p.bias),
        lambda _, grad, p, xs: grad(p, xs)[0][2],
    ),
    "jacrev": (
        lambda loss, p, xs: jax.jacrev(
            lambda b: jax.vmap(lambda x: loss(p._replace(bias=b), x))(_stacked(_both(xs)))
        )(p.bias),
        lambda _, grad, p, xs: np.stack([grad(p, x)[0][2] for x in _both(xs)]),
    ),
    "hessian": (  # by the scale of the inputs
        lambda loss, p, xs: jax.hessian(lambda s: loss(p, s.astype(xs.dtype) * xs))(jnp.float32(1)),
        lambda _, grad, p, xs: (
            _inner(_difference(lambda x: grad(p, x)[1], xs, xs), xs)
        ),
    ),
    "hessian times vector": (
        lambda loss, p, xs: jax.jvp(jax.grad(loss, (0, 1)), (p, xs), (p, xs))[1],
        lambda _, grad, p, xs: _difference(lambda at: grad(*at), (p, xs), (p, xs)),
    ),
    "grad of grad": (
        lambda loss, p, xs: jax.grad(partial(_squared_gradient, loss))(p, xs),
        lambda _, grad, p, xs: jax.tree.map(
            lambda a: 2 * a, _difference(lambda q: grad(q, xs)[0], p, grad(p, xs)[0])
        ),
    ),
    "checkpoint": (
        lambda loss, p, xs: jax.grad(jax.checkpoint(loss), (0, 1))(p, xs),
        lambda _, grad, p, xs: grad(p, xs),
    ),
    "inside a scan": (
        _in_a_scan,
        lambda value, grad, p, xs: (
            sum(value(p, x) for x in _both(xs)), _stacked(grad(p, x)[0] for x in _both(xs))
        ),
    ),
    "inside a while loop": (_in_a_while, lambda _, grad, p, xs: grad(p, xs)[0]),
    "inside a cond": (_in_a_cond, lambda _, grad, p, xs: grad(p, xs)[0]),
    "shard_map": (_on_a_mesh, lambda _, grad, p, xs: grad(p, xs)[0]),
}  # fmt: skip

CHECKS: dict[str, Callable[[Callable, str], tuple[Any, Any, float]]] = {
    **{f"{call}: values": partial(_values, call) for call in CALLS},
    **{f"{call}: gradients": partial(_gradients, call) for call in CALLS},
    **{name: partial(_transformed, name) for name in TRANSFORMATIONS},
}
