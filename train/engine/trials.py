"""Trials: several seeds trained at once, on a leading axis of state and batches, by `jax.vmap`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from train.config.settings import Config
from train.engine.devices import local_rows
from train.tasks import Batch, Data, Task
from train.tasks.batches import every_step

if TYPE_CHECKING:
    import grain
    from jaxtyping import PyTree


def trial_configs(config: Any) -> list[Any]:
    """The config of each trial on its own: they differ in the seed."""
    seeds = [(config.seed + k) % 2**32 for k in range(config.trials)]
    return [replace(config, seed=seed, trials=1) for seed in seeds]


def stack(config: Config, trees: Sequence[PyTree]) -> PyTree:
    """Stack the trees of the trials; a single trial has no leading axis."""
    return trees[0] if config.trials == 1 else jax.tree.map(lambda *a: jnp.stack(a), *trees)


def unstack(config: Config, tree: PyTree) -> list[PyTree]:
    """The tree of each trial, as a list."""
    if config.trials == 1:
        return [tree]
    return [jax.tree.map(lambda a, k=k: a[k], tree) for k in range(config.trials)]


def over_trials(config: Config, function: Callable) -> Callable:
    """Map a function of one trial over all trials."""
    return function if config.trials == 1 else jax.vmap(function)


def batches(config: Config, task: Task, data: Data) -> grain.MapDataset:
    """The local rows of each step's batch; every trial draws its own."""
    rows = local_rows(config.data.rows)
    datasets = [task.batches(trial, data, rows) for trial in trial_configs(config)]
    return (
        datasets[0]
        if len(datasets) == 1
        else every_step(lambda step: _stack_batches([one[step] for one in datasets]))
    )


def _stack_batches(batches: Sequence[Any]) -> Batch:
    """Stack batches, padded to the longest."""

    def pad_and_stack(*arrays: np.ndarray) -> np.ndarray:
        shape = np.max([a.shape for a in arrays], axis=0)
        return np.stack(
            [np.pad(a, [(0, n - m) for n, m in zip(shape, a.shape, strict=True)]) for a in arrays]
        )

    return jax.tree.map(pad_and_stack, *batches)


def mean_and_std(
    figures: Sequence[dict[str, float]],
) -> tuple[dict[str, float], dict[str, float]]:
    """The mean and the standard deviation of each figure over the trials."""
    mean = {name: float(np.mean([f[name] for f in figures])) for name in figures[0]}
    if len(figures) == 1:
        return mean, {}
    return mean, {name: float(np.std([f[name] for f in figures], ddof=1)) for name in figures[0]}


def file_name(name: str, k: int) -> str:
    """The file of a trial's weights: `params.safetensors`, `params.1.safetensors`, ..."""
    return f"{name}.safetensors" if k == 0 else f"{name}.{k}.safetensors"
