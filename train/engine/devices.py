"""The devices of a run, each with a part of the rows: on CPU one device per core.

Small layers gain most: every device runs its own loop over time, without waiting for the others at
every step. Gradients are summed once, after the loop. The devices may belong to several processes,
each of which makes and places only its own rows.
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

AXIS = "rows"  # of the mesh: it divides the rows, and weights that are sharded


def use_every_core() -> None:
    """Give JAX one CPU device per core; call before JAX starts.

    `JAX_NUM_CPU_DEVICES` in the environment sets another number.
    """
    if jax.config.values["jax_num_cpu_devices"] < 1:  # not set by the user
        affinity = getattr(os, "sched_getaffinity", None)
        cores = len(affinity(0)) if affinity else os.cpu_count() or 1
        jax.config.update("jax_num_cpu_devices", cores)


@cache
def make_mesh(rows: int, *, local: bool = False) -> Mesh:
    """The mesh of as many devices as divide the rows evenly, made once.

    Args:
      rows: the size of a batch.
      local: use devices of this process only.
    """
    devices = jax.local_devices() if local else jax.devices()
    count = max(n for n in range(1, len(devices) + 1) if rows % n == 0)
    in_order = sorted(devices, key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(in_order[:count]), (AXIS,))


def local_rows(rows: int) -> slice:
    """The rows on the devices of this process."""
    mesh = make_mesh(rows)
    places = [
        k for k, device in enumerate(mesh.devices) if device.process_index == jax.process_index()
    ]
    share = rows // mesh.size
    return slice(places[0] * share, (places[-1] + 1) * share)


def place_rows(tree: Any, rows: int, axis: int = 0) -> Any:
    """Place the local rows, with those of the other processes, on the devices that share them."""
    sharding = NamedSharding(make_mesh(rows), P(*[None] * axis, AXIS))
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def place(local: np.ndarray) -> jax.Array:
        shape = (*local.shape[:axis], rows, *local.shape[axis + 1 :])
        return jax.make_array_from_process_local_data(sharding, local, shape)

    return jax.tree.map(place, tree)


def shared_axis(shape: Sequence[int], count: int) -> P:
    """The sharding of a weight matrix over `count` devices: along its longest divisible axis."""
    axes = [k for k, size in enumerate(shape) if size % count == 0]
    if len(shape) < 2 or not axes:
        return P()
    longest = max(axes, key=lambda k: shape[k])
    return P(*[None] * longest, AXIS)


def gather(array: jax.Array, spec: P) -> jax.Array:
    """Gather a sharded array inside `shard_map`; its gradient is reduced and scattered."""
    if AXIS not in spec:
        return array
    return jax.lax.all_gather(array, AXIS, axis=spec.index(AXIS), tiled=True)


def to_host(tree: Any) -> Any:
    """The unsharded arrays, in the host memory of every process."""
    if jax.process_count() > 1:  # gather them first
        shardings = jax.tree.map(lambda a: NamedSharding(a.sharding.mesh, P()), tree)
        tree = jax.jit(lambda arrays: arrays, out_shardings=shardings)(tree)
    return jax.device_get(tree)


@cache
def flops_limit(rows: int) -> float:
    """FLOP per second of all devices together in large float32 products.

    Measured on the devices of this process; the others are assumed to be the same.
    """
    devices = make_mesh(rows).size
    mesh, size = make_mesh(rows, local=True), 1024
    matrices = jax.device_put(jnp.ones((mesh.size, size, size)), NamedSharding(mesh, P(AXIS)))
    multiply = jax.jit(jax.shard_map(lambda a: a @ a, mesh=mesh, in_specs=P(AXIS),
                                     out_specs=P(AXIS)))  # fmt: skip
    multiply(matrices).block_until_ready()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        multiply(matrices).block_until_ready()
        times.append(time.perf_counter() - start)
    return devices * 2 * size**3 / min(times)
