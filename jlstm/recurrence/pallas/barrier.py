"""How the blocks of a persistent kernel wait for each other once a step.

On a GPU a semaphore in global memory, which every block raises by one a step. The interpreter of
Pallas has none, and runs the blocks of a cluster at once: there it is a cluster as large as the
grid, which no GPU has, and its barrier.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

if TYPE_CHECKING:
    from jlstm.shapes import Array

AXES = ("group", "block")


class Barrier(NamedTuple):
    """What a block of a group does, as often as every other block of that group."""

    arrive: Callable[[], None]  # what this block wrote can be read
    wait: Callable[[int | Array], None]  # until all blocks have arrived, so many times in all


class Synchronization(NamedTuple):
    """One way of waiting, on a grid of `(groups, blocks)`; groups do not wait for each other."""

    mesh: Callable[[tuple[int, int]], dict[str, Any]]  # arguments of `plgpu.kernel`
    scratch: tuple[Any, ...]  # that each block needs for it
    start: Callable[..., Barrier]  # once in a kernel, with its grid and the scratch


def _on_semaphore(grid: tuple[int, int]) -> Barrier:
    groups, blocks = grid
    semaphore = pl.get_global(plgpu.SemaphoreType.REGULAR((groups,)))  # zero at each launch
    semaphore = semaphore.at[lax.axis_index("group")]

    def wait(times: int | Array) -> None:
        plgpu.semaphore_wait(semaphore, times * blocks, decrement=False, memory_scope="gpu")

    return Barrier(lambda: plgpu.semaphore_signal(semaphore, memory_scope="gpu"), wait)


def _on_cluster(_: tuple[int, int], barrier: Any) -> Barrier:
    return Barrier(lambda: plgpu.barrier_arrive(barrier), lambda times: plgpu.barrier_wait(barrier))


ACROSS_GRID = Synchronization(lambda grid: {"grid": grid, "grid_names": AXES}, (), _on_semaphore)
ACROSS_CLUSTER = Synchronization(
    lambda grid: {"cluster": grid, "cluster_names": AXES},
    (plgpu.ClusterBarrier(collective_axes=("block",)),),
    _on_cluster,
)
