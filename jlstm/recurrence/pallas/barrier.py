"""Barriers: the blocks of a persistent kernel wait for each other once per step.

The barrier is a semaphore in global memory, which every block raises by one per step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

if TYPE_CHECKING:
    from jlstm.types import Array

AXES = ("group", "block")


class Barrier(NamedTuple):
    """The two calls of a block, made as often by every block of its group."""

    arrive: Callable[[], None]  # what this block wrote can be read
    wait: Callable[[int | Array], None]  # until all blocks have arrived, so many times in all


class Synchronization(NamedTuple):
    """A kind of barrier on a grid of `(groups, blocks)`; groups do not wait for each other."""

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


ACROSS_GRID = Synchronization(lambda grid: {"grid": grid, "grid_names": AXES}, (), _on_semaphore)
