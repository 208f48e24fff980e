"""The tasks beside text: their batches, figures, tables and pictures, and whole runs of each."""

import io
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.support.runs import ROOT
from tests.support.small import make
from train.config.tasks import CONFIGS
from train.engine import measure, step
from train.model import apply, init_model
from train.tasks import Task, find_task

NAMES = ("classification", "forecasting", "piano_roll")


@pytest.mark.sampled
def test_a_process_makes_its_rows_alone(loaded):
    """The rows of two processes, one after the other, are those of one."""
    config, task, data, _ = loaded
    half = config.data.rows // 2
    for k in (0, 5):
        whole = task.batches(config, data)[k]
        parts = [
            task.batches(config, data, part)[k] for part in (slice(0, half), slice(half, None))
        ]
        jax.tree.map(
            lambda a, *b: np.testing.assert_array_equal(a, np.concatenate(b)), whole, *parts
        )
    for whole, *parts in zip(
        task.in_order(config, data.test, 4),
        task.in_order(config, data.test, 4, slice(0, 1)),
        task.in_order(config, data.test, 4, slice(1, None)),
        strict=True,
    ):
        jax.tree.map(
            lambda a, *b: np.testing.assert_array_equal(a, np.concatenate(b)), whole, *parts
        )


@pytest.fixture(scope="module", params=NAMES)
def loaded(request, tmp_path_factory):
    """`(config, task, data, params)` with weights that were drawn."""
    config = make(request.param, tmp_path_factory.mktemp(request.param))
    task = find_task(config.task)
    data = task.load(config)
    params = init_model(jax.random.key(0), config.model, data.shape)
    noise = np.random.default_rng(1)
    params = jax.tree.map(
        lambda p: p + 0.1 * jnp.asarray(noise.normal(size=p.shape), p.dtype), params
    )
    return config, task, data, params


def test_every_task_is_known():
    assert {find_task(name) for name in CONFIGS} == {find_task(name) for name in CONFIGS}
    for name in CONFIGS:
        assert isinstance(find_task(name), Task)
        assert (ROOT / "train" / "tasks" / f"{name}.py").exists()


@pytest.mark.sampled
def test_the_batch_of_a_step_is_a_function_of_the_step(loaded):
    config, task, data, _ = loaded
    first, again = task.batches(config, data), task.batches(config, data)
    for k in (7, 0, 31):
        jax.tree.map(np.testing.assert_array_equal, first[k], again[k])
    assert (first[0].inputs.shape != first[1].inputs.shape) or (
        first[0].inputs != first[1].inputs
    ).any()
    batch = first[3]
    assert batch.inputs.dtype == np.float32
    assert len(batch.inputs) == config.data.rows
    assert batch.first.all()


@pytest.mark.full
def test_padding_and_the_rows_that_fill_up_change_no_figure(loaded):
    """A split in batches of 1, of the config's rows, and all at once."""
    config, task, data, params = loaded
    count = sum(int((b.lengths > 0).sum()) for b in task.in_order(config, data.test, 3))
    figures = [
        measure.evaluate(
            replace(config, data=replace(config.data, rows=rows)), task, params, data.test
        )
        for rows in (1, config.data.rows, count + 1)
    ]
    for other in figures[1:]:
        assert other == pytest.approx(figures[0], rel=1e-5)
    assert task.headline in figures[0]
    assert task.baseline in data.facts


@pytest.mark.full
def test_the_loss_is_the_mean_over_all_items(loaded):
    """The loss of a batch equals that of its sequences one by one, weighted by items."""
    config, task, data, params = loaded
    batch = task.batches(config, data)[0]
    whole, _ = step.batch_loss(config, task, params, (), batch, None)
    total = count = 0.0
    for row, n in enumerate(batch.lengths):
        one = jax.tree.map(lambda a, r=row: a[r : r + 1], batch)
        cut = one._replace(inputs=one.inputs[:, :n])
        if task.per_step:
            cut = cut._replace(targets=one.targets[:, :n])
        _, outputs, _ = apply(config, params, None, cut.inputs, per_step=task.per_step)
        part, items = task.loss(outputs, cut)
        total, count = total + float(part), count + float(items)
    assert float(whole) == pytest.approx(total / count, rel=1e-5)


def test_a_figure_is_drawn(loaded):
    config, task, data, params = loaded
    figure = Figure(figsize=(9, 6))
    task.draw(figure, config, data, partial(measure.run, config, task, params))
    image = io.BytesIO()
    figure.savefig(image, format="png")
    assert len(image.getvalue()) > 5_000


def test_splits_share_nothing(loaded):
    config, _, data, _ = loaded
    if config.task == "forecasting":
        train, valid, test = data[:3]
        horizon = config.data.horizon
        last = [split.starts[-1] + split.context + horizon for split in (train, valid)]
        first = [split.starts[0] + split.context for split in (valid, test)]
        assert all(a <= b for a, b in zip(last, first, strict=True))
        return
    rows = [
        a.tobytes() for split in data[:3]
        for a in (split.sequences if config.task == "classification" else split)
    ]  # fmt: skip
    assert config.task == "piano_roll" or len(set(rows)) == len(rows)
