"""A trained model on a split: its outputs, and the task's figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.sharding import NamedSharding

from train.config.settings import Config
from train.engine.devices import gather, local_rows, make_mesh, place_rows
from train.engine.state import weight_specs
from train.engine.step import ROWS, run_batch
from train.model import Params, init_memory
from train.tasks import Batch, Task

if TYPE_CHECKING:
    from jaxtyping import Array, PyTree


def evaluate(config: Config, task: Task, params: Params, split: Any) -> dict[str, float]:
    """The figures of a split, with each item counted once; all devices of a run share the work."""
    rows = config.data.rows
    mesh, specs = make_mesh(rows), weight_specs(config, params)
    params = jax.device_put(params, jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs))
    batches = (place_rows(b, rows) for b in task.in_order(config, split, rows, local_rows(rows)))
    measure = jax.jit(task.measure)
    sums: dict[str, np.ndarray] = {}
    for batch, outputs in _run_in_order(config, task, False, params, batches):
        for name, pair in measure(outputs, batch).items():
            sums[name] = sums.get(name, np.zeros(2)) + np.array(pair, np.float64)
    return {
        name: float(total / count) if count else float("nan")
        for name, (total, count) in sums.items()
    }


def run(
    config: Config, task: Task, params: Params, batches: Iterable[Batch]
) -> Iterator[tuple[Batch, Array]]:
    """Batches with their outputs, in order, without dropout.

    On the devices of this process only, with unsharded weights.
    """
    return _run_in_order(replace(config, shard_weights=False), task, True, params, batches)


def _run_in_order(
    config: Config, task: Task, local: bool, params: Params, batches: Iterable[Batch]
) -> Iterator[tuple[Batch, Array]]:
    """Run batches in order, carrying the memory from each to the next."""
    memory: PyTree = None
    for batch in batches:
        if memory is None:
            rows = len(batch.lengths)
            like = jax.eval_shape(lambda p, n=rows: init_memory(config.model, p, n), params)
            memory = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), like) if task.memory else ()
        memory, outputs = _outputs(config, task, local, params, memory, batch)
        yield batch, outputs


@partial(jax.jit, static_argnums=(0, 1, 2))
def _outputs(
    config: Config, task: Task, local: bool, params: Params, memory: PyTree, batch: Batch
) -> tuple[PyTree, Array]:
    specs = weight_specs(config, params)

    def on_device(params: Params, memory: PyTree, batch: Batch) -> tuple[PyTree, Array]:
        params = jax.tree.map(gather, params, specs)
        return run_batch(config, task, params, memory, batch)[:2]

    return jax.shard_map(
        on_device,
        mesh=make_mesh(len(batch.lengths), local=local),
        in_specs=(specs, ROWS, ROWS),
        out_specs=(ROWS, ROWS),
    )(params, memory, batch)
