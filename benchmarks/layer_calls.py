"""The timed calls of a JAX layer, compiled for one CPU device or for one per core."""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

SETS = 8  # sets of weights under vmap


def make_calls(module, problem) -> dict:
    """Calls without arguments that return arrays: "forward", "train", and those of `vmap`.

    "data_*" maps the unbatched call over the batch, "weights_*" the call over sets of weights.
    """
    functions, (params, xs) = layer_functions(module, problem)
    apply = functions["forward"]
    if jax.device_count() > 1:
        spec = P("data") if getattr(module, "BATCH_MAJOR", False) else P(None, "data")
        functions, params, xs = _over_devices(functions, params, xs, spec)
    calls = {name: _Compiled(function, params, xs) for name, function in functions.items()}
    if module.__name__.endswith(".jlstm") and jax.device_count() == 1:

        def over_data(params, xs):
            return jax.vmap(apply, (None, 1), 1)(params, xs)

        sets = jax.tree.map(lambda p: jnp.stack([p] * SETS), params)
        for name, function in functions.items():
            calls[f"weights_{name}"] = _Compiled(jax.vmap(function, (0, None)), sets, xs)
        calls["data_forward"] = _Compiled(over_data, params, xs)
        calls["data_train"] = _Compiled(_training(over_data), params, xs)
    return calls


def layer_functions(module, problem, **options) -> tuple[dict, tuple]:
    """The functions "forward" and "train", and their arguments."""
    params, apply = module.layer(problem, **options)
    return {"forward": apply, "train": _training(apply)}, (params, _inputs(module, problem))


def compile_seconds(module, problem) -> float:
    """Seconds to trace and compile the training step."""
    params, apply = module.layer(problem)
    xs = _inputs(module, problem)
    start = time.perf_counter()
    jax.jit(_training(apply)).lower(params, xs).compile()
    return time.perf_counter() - start


def temporary_floats(module, problem, *options) -> float:
    """Temporary memory of the training step, in units of `batch * time * hidden` floats."""
    params, apply = module.layer(problem, *options)
    xs = _inputs(module, problem)
    compiled = jax.jit(_training(apply)).lower(params, xs).compile()
    time, batch, _ = problem.xs.shape
    floats = compiled.memory_analysis().temp_size_in_bytes / 4
    return floats / (batch * time * problem.weight_hh.shape[0])


def _inputs(module, problem):
    batch_major = getattr(module, "BATCH_MAJOR", False)
    return jnp.asarray(problem.xs.swapaxes(0, 1) if batch_major else problem.xs)


def _training(apply):
    """The gradients of `mean(hs**2)` with respect to weights and inputs."""

    def loss(params, xs):
        hs = apply(params, xs)
        return jnp.mean(hs.astype(jnp.promote_types(hs.dtype, jnp.float32)) ** 2)

    return jax.grad(loss, (0, 1))


def _over_devices(functions, params, xs, spec):
    """The same function over all devices: each takes a part of the batch, gradients are summed."""
    mesh = jax.make_mesh((jax.device_count(),), ("data",))

    def train(params, xs):
        d_params, d_xs = functions["train"](params, xs)
        return jax.lax.pmean(d_params, "data"), d_xs / jax.device_count()

    # Without check_vma JAX sums no gradients; with it some would be summed at every step.
    specs = {"mesh": mesh, "in_specs": (P(), spec), "check_vma": False}
    return (
        {
            "forward": jax.shard_map(functions["forward"], **specs, out_specs=spec),
            "train": jax.shard_map(train, **specs, out_specs=(P(), spec)),
        },
        jax.device_put(params, NamedSharding(mesh, P())),
        jax.device_put(xs, NamedSharding(mesh, spec)),
    )


class _Compiled:
    """A function that is compiled at its first call."""

    def __init__(self, function, *args):
        self.function, self.args, self.compiled = jax.jit(function), args, None

    def __call__(self):
        if self.compiled is None:
            self.compiled = self.function.lower(*self.args).compile()
        return jax.block_until_ready(self.compiled(*self.args))
