"""What is timed of a JAX layer: compiled calls, on one CPU device or on one a core."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P


def make_calls(module, problem) -> dict:
    """`{"forward", "train"}` of `module.layer`: calls without arguments that return arrays."""
    params, apply = module.layer(problem)
    batch_major = getattr(module, "BATCH_MAJOR", False)
    xs = jnp.asarray(problem.xs.swapaxes(0, 1) if batch_major else problem.xs)

    def train(params, xs):
        return jax.grad(lambda params, xs: jnp.mean(apply(params, xs) ** 2), (0, 1))(params, xs)

    functions = {"forward": apply, "train": train}
    if jax.device_count() > 1:
        spec = P("data") if batch_major else P(None, "data")
        functions, params, xs = _over_devices(functions, params, xs, spec)
    return {name: _compiled(function, params, xs) for name, function in functions.items()}


def _over_devices(functions, params, xs, spec):
    """The same over all devices: each has a part of the batch, and gradients are summed after."""
    mesh = jax.make_mesh((jax.device_count(),), ("data",))

    def train(params, xs):
        d_params, d_xs = functions["train"](params, xs)
        return jax.lax.pmean(d_params, "data"), d_xs / jax.device_count()

    # Without the check JAX sums no gradient by itself: some would be summed at every step.
    specs = {"mesh": mesh, "in_specs": (P(), spec), "check_vma": False}
    return (
        {
            "forward": jax.shard_map(functions["forward"], **specs, out_specs=spec),
            "train": jax.shard_map(train, **specs, out_specs=(P(), spec)),
        },
        jax.device_put(params, NamedSharding(mesh, P())),
        jax.device_put(xs, NamedSharding(mesh, spec)),
    )


def _compiled(function, *args):
    lowered = jax.jit(function).lower(*args)
    compiled = lowered.compile()

    def call():
        return jax.block_until_ready(compiled(*args))

    call.compiled = compiled
    return call
