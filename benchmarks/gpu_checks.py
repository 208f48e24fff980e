"""jlstm's implementations against float64, where the benchmark runs: values, gradients, the rest.

Each figure is the largest error relative to the largest value, beside what rounding may make of it
(`tests.problems.tolerance`). What an implementation refuses is its reason.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jlstm
from tests.problems import Problem, make_problem, tolerance, vjp
from tests.reference import lstm, lstm_vjp

CALLS = {
    "plain": {"lengths": False, "resets": False},
    "lengths": {"lengths": True, "resets": False},
    "resets": {"lengths": False, "resets": True},
    "all": {"lengths": True, "resets": True},
    "all, reversed": {"lengths": True, "resets": True, "reverse": True},
    "lengths, reversed": {"lengths": True, "resets": False, "reverse": True},
}
SIZES = (12, (8,), (16, 64))  # time, batch, (input, hidden): every kernel has a form for them


def checks(implementation: str | None, dtype: str, matrix: bool) -> dict:
    """Every kind of call, and with `matrix` every transformation, by name."""
    found: dict[str, Any] = {}
    scan = partial(jlstm.lstm_scan, implementation=implementation)
    # The products of float32 as they are written: TensorFloat-32 has 10 bits of 23.
    with jax.default_matmul_precision("highest"):
        for name, options in CALLS.items():
            problem = make_problem(51, *SIZES, **options)
            found |= _attempt(f"{name}: values", partial(_values, scan, problem, dtype))
            found |= _attempt(f"{name}: gradients", partial(_gradients, scan, problem, dtype))
        if matrix:
            problem = make_problem(52, *SIZES, **CALLS["lengths"])
            for name, transform in TRANSFORMATIONS.items():
                found |= _attempt(name, partial(_transformed, transform, scan, problem, dtype))
    return found


def failed(found: dict) -> list[str]:
    """The checks whose error is larger than rounding may make it."""
    return [name for name, f in found.items() if "error" in f and not f["error"] <= f["tolerance"]]


def _attempt(name: str, check: Any) -> dict:
    try:
        error, allowed = check()
        return {name: {"error": error, "tolerance": allowed}}
    except ValueError as problem:
        if not str(problem).startswith("implementation="):
            raise
        return {name: {"refused": str(problem)}}


def _values(scan: Any, problem: Problem, dtype: str) -> tuple[float, float]:
    wanted = lstm(*problem[:3], **problem.options)[:2]
    return _error(problem.call(scan, dtype), wanted), tolerance(dtype)


def _gradients(scan: Any, problem: Problem, dtype: str) -> tuple[float, float]:
    found = vjp(scan, problem, dtype)
    wanted = lstm_vjp(*problem[:3], problem.cotangents, **problem.options)
    if problem.options.get("reset_state") is None:
        wanted["reset_state"] = None
    names = ("params", "state", "xs", "reset_state")
    both = [[gradients[name] for name in names] for gradients in (found, wanted)]
    return _error(*both), tolerance(dtype, "gradients")


def _transformed(transform: Any, scan: Any, problem: Problem, dtype: str) -> tuple[float, float]:
    """Against the plain scan in float32, from the same rounded arrays."""
    params, state, xs, options = problem.arrays(dtype)

    def results(scan: Any, params: Any, xs: Any) -> Any:
        def loss(params: Any, xs: Any) -> Any:
            return (scan(params, state, xs, **options)[1].astype(jnp.float32) ** 2).sum()

        return jax.jit(partial(transform, loss))(params, xs)

    exact = jax.tree.map(lambda a: a.astype(jnp.float32), (params, xs))
    wanted = results(partial(jlstm.lstm_scan, implementation="scan"), *exact)
    return _error(results(scan, params, xs), wanted), tolerance(dtype, "gradients")


def _double(tree: Any) -> Any:
    return jax.tree.map(lambda a: jnp.stack([a, a / 2]), tree)


TRANSFORMATIONS = {
    "vmap over data": lambda loss, p, xs: jax.vmap(loss, (None, 0))(p, _double(xs)),
    "vmap over weights": lambda loss, p, xs: jax.vmap(loss, (0, None))(_double(p), xs),
    "vmap over both": lambda loss, p, xs: jax.vmap(loss)(_double(p), _double(xs)),
    "grad of vmap": lambda loss, p, xs: jax.grad(
        lambda p: jax.vmap(loss, (None, 0))(p, _double(xs)).sum()
    )(p),
    "vmap of grad": lambda loss, p, xs: jax.vmap(jax.grad(loss), (None, 0))(p, _double(xs)),
    "jvp": lambda loss, p, xs: jax.jvp(loss, (p, xs), (p, xs))[1],
    "hessian times vector": lambda loss, p, xs: jax.jvp(jax.grad(loss), (p, xs), (p, xs))[1],
    "grad of grad": lambda loss, p, xs: jax.grad(
        lambda p: sum((g**2).sum() for g in jax.tree.leaves(jax.grad(loss)(p, xs)))
    )(p),
    "checkpoint": lambda loss, p, xs: jax.grad(jax.checkpoint(loss))(p, xs),
    "inside a scan": lambda loss, p, xs: jax.lax.scan(
        lambda total, scale: (total + loss(p, scale * xs), jax.grad(loss)(p, xs)),
        jnp.float32(0),
        jnp.ones(2, xs.dtype),
    ),
}


def _error(found: Any, wanted: Any) -> float:
    """The largest, over all arrays, relative to the largest value of each, or to 1."""
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True)
    errors = []
    for got, right in pairs:
        got, right = np.asarray(got, np.float64), np.asarray(right, np.float64)
        errors.append(np.abs(got - right).max() / max(1.0, np.abs(right).max()))
    return float(np.max(errors))  # NaN stays NaN
