"""The devices of a run, each with a part of the rows: on CPU one device a core.

Small layers gain most: every device runs its own loop over time, without waiting for the others at
every step. The gradients meet once, after the loop.
"""

import os
import time
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P


def use_every_core() -> None:
    """Give JAX one CPU device a core; to be called before JAX starts.

    `JAX_NUM_CPU_DEVICES` in the environment says another number.
    """
    if jax.config.values["jax_num_cpu_devices"] < 1:  # nobody has chosen
        known = getattr(os, "sched_getaffinity", None)
        cores = len(known(0)) if known else os.cpu_count() or 1
        jax.config.update("jax_num_cpu_devices", cores)


def make_mesh(rows: int) -> Mesh:
    """As many devices as share the rows evenly."""
    count = max(n for n in range(1, jax.device_count() + 1) if rows % n == 0)
    return jax.make_mesh((count,), ("rows",), (AxisType.Auto,), devices=jax.devices()[:count])


def place(tree: Any, mesh: Mesh, spec: P) -> Any:
    """The arrays on the devices of the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, spec))


def on_one_device(tree: Any) -> Any:
    """The arrays on the first device, whole: files are the same for any number of devices."""
    return jax.device_put(tree, jax.devices()[0])


@cache
def flops_limit(rows: int) -> float:
    """What the devices reach together in large products of float32, a second: measured."""
    mesh, size = make_mesh(rows), 1024
    matrices = place(jnp.ones((mesh.size, size, size)), mesh, P("rows"))
    multiply = jax.jit(jax.shard_map(lambda a: a @ a, mesh=mesh, in_specs=P("rows"),
                                     out_specs=P("rows")))  # fmt: skip
    multiply(matrices).block_until_ready()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        multiply(matrices).block_until_ready()
        times.append(time.perf_counter() - start)
    return mesh.size * 2 * size**3 / min(times)
