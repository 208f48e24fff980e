"""Several seeds at once: a leading axis of state and batches, which `jax.vmap` takes off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from train.config.settings import Config
from train.engine.devices import own_rows
from train.tasks import Batch, Data, Task
from train.tasks.batches import every_step

if TYPE_CHECKING:
    import grain
    from jaxtyping import PyTree


def configs_of(config: Any) -> list[Any]:
    """The config of each trial alone: they differ in the seed."""
    seeds = [(config.seed + k) % 2**32 for k in range(config.trials)]
    return [replace(config, seed=seed, trials=1) for seed in seeds]


def together(config: Config, trees: Sequence[PyTree]) -> PyTree:
    """One tree of the trials' trees; of a single trial its own."""
    return trees[0] if config.trials == 1 else jax.tree.map(lambda *a: jnp.stack(a), *trees)


def apart(config: Config, tree: PyTree) -> list[PyTree]:
    """The tree of each trial."""
    if config.trials == 1:
        return [tree]
    return [jax.tree.map(lambda a, k=k: a[k], tree) for k in range(config.trials)]


def each(config: Config, function: Callable) -> Callable:
    """A function of one trial's trees as one of all."""
    return function if config.trials == 1 else jax.vmap(function)


def batches(config: Config, task: Task, data: Data) -> grain.MapDataset:
    """The rows that this process makes of the batch of every step: each trial draws its own."""
    own = own_rows(config.data.rows)
    drawn = [task.batches(one, data, own) for one in configs_of(config)]
    return (
        drawn[0]
        if len(drawn) == 1
        else every_step(lambda step: _side_by_side([d[step] for d in drawn]))
    )


def _side_by_side(found: Sequence[Any]) -> Batch:
    """Batches of one number of steps of time: the longest one's."""

    def stack(*arrays: np.ndarray) -> np.ndarray:
        shape = np.max([a.shape for a in arrays], axis=0)
        return np.stack(
            [np.pad(a, [(0, n - m) for n, m in zip(shape, a.shape, strict=True)]) for a in arrays]
        )

    return jax.tree.map(stack, *found)


def mean_and_spread(
    figures: Sequence[dict[str, float]],
) -> tuple[dict[str, float], dict[str, float]]:
    """Of each figure over the trials: the mean, and the standard deviation between them."""
    mean = {name: float(np.mean([f[name] for f in figures])) for name in figures[0]}
    if len(figures) == 1:
        return mean, {}
    return mean, {name: float(np.std([f[name] for f in figures], ddof=1)) for name in figures[0]}


def file_name(kind: str, k: int) -> str:
    """Of the weights of a trial: `params.safetensors`, `params.1.safetensors`, ..."""
    return f"{kind}.safetensors" if k == 0 else f"{kind}.{k}.safetensors"
