"""The devices of a run, each with a part of the rows: on CPU one device a core.

Small layers gain most: every device runs its own loop over time, without waiting for the others at
every step. The gradients meet once, after the loop. The devices may be those of several processes,
each of which makes and places its own rows alone.
"""

import os
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

AXIS = "rows"  # of the mesh: each device has a part of the rows, and of weights that are sharded


def use_every_core() -> None:
    """Give JAX one CPU device a core; to be called before JAX starts.

    `JAX_NUM_CPU_DEVICES` in the environment says another number.
    """
    if jax.config.values["jax_num_cpu_devices"] < 1:  # nobody has chosen
        known = getattr(os, "sched_getaffinity", None)
        cores = len(known(0)) if known else os.cpu_count() or 1
        jax.config.update("jax_num_cpu_devices", cores)


def make_mesh(rows: int, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """As many devices, of those of all processes or of these, as share the rows evenly."""
    found = jax.devices() if devices is None else devices
    count = max(n for n in range(1, len(found) + 1) if rows % n == 0)
    in_order = sorted(found, key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(in_order[:count]), (AXIS,))


def own_rows(rows: int) -> slice:
    """The rows that lie on this process's devices."""
    mesh = make_mesh(rows)
    own = [
        k for k, device in enumerate(mesh.devices) if device.process_index == jax.process_index()
    ]
    share = rows // mesh.size
    return slice(own[0] * share, (own[-1] + 1) * share)


def place_rows(tree: Any, rows: int, axis: int = 0) -> Any:
    """The rows that this process made, with those of the others, on the devices that share them."""
    sharding = NamedSharding(make_mesh(rows), P(*[None] * axis, AXIS))
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def place(own: np.ndarray) -> jax.Array:
        shape = (*own.shape[:axis], rows, *own.shape[axis + 1 :])
        return jax.make_array_from_process_local_data(sharding, own, shape)

    return jax.tree.map(place, tree)


def shared_axis(shape: Sequence[int], count: int) -> P:
    """How so many devices share a matrix of weights: the longest axis that they share evenly."""
    axes = [k for k, size in enumerate(shape) if size % count == 0]
    if len(shape) < 2 or not axes:
        return P()
    longest = max(axes, key=lambda k: shape[k])
    return P(*[None] * longest, AXIS)


def gather(array: jax.Array, spec: P) -> jax.Array:
    """The whole of a sharded array, inside `shard_map`; its gradient is added up and sharded."""
    if AXIS not in spec:
        return array
    return jax.lax.all_gather(array, AXIS, axis=spec.index(AXIS), tiled=True)


def whole(tree: Any) -> Any:
    """The arrays, whole, in the memory of every process."""
    if jax.process_count() > 1:  # they meet first
        shardings = jax.tree.map(lambda a: NamedSharding(a.sharding.mesh, P()), tree)
        tree = jax.jit(lambda arrays: arrays, out_shardings=shardings)(tree)
    return jax.device_get(tree)


@cache
def flops_limit(rows: int) -> float:
    """What the devices reach together in large products of float32, a second.

    Measured on those of this process; the others are taken to be the same.
    """
    everywhere = make_mesh(rows).size
    mesh, size = make_mesh(rows, jax.local_devices()), 1024
    matrices = jax.device_put(jnp.ones((mesh.size, size, size)), NamedSharding(mesh, P(AXIS)))
    multiply = jax.jit(jax.shard_map(lambda a: a @ a, mesh=mesh, in_specs=P(AXIS),
                                     out_specs=P(AXIS)))  # fmt: skip
    multiply(matrices).block_until_ready()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        multiply(matrices).block_until_ready()
        times.append(time.perf_counter() - start)
    return everywhere * 2 * size**3 / min(times)
