"""The devices of a run: how many there are, and that they compute what one does."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from tests.support.problems import assert_close, tolerance
from tests.support.runs import ROOT, TINY, command, run_here, tiny, write_text_file
from tests.support.small import make
from train.config.settings import Model, Regularize
from train.engine import checkpoint
from train.engine.devices import AXIS, flops_limit, make_mesh, shared_axis
from train.engine.state import init_train_state, shapes
from train.engine.step import batch_loss, loss_and_gradient, train_step
from train.tasks import Batch, Shape
from train.tasks.char_lm import TASK, batch_at


@pytest.mark.parametrize(("rows", "devices"), [(1, 1), (4, 4), (5, 1), (6, 3), (8, 4), (32, 4)])
def test_the_rows_are_shared_evenly(rows, devices):
    assert make_mesh(rows).size == devices


@pytest.mark.sampled
@pytest.mark.parametrize(("chosen", "devices"), [(None, len(os.sched_getaffinity(0))), ("3", 3)])
def test_every_core_is_a_device_unless_somebody_chose(chosen, devices):
    environment = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
    environment |= {"JAX_PLATFORMS": "cpu"}
    environment |= {"JAX_NUM_CPU_DEVICES": chosen} if chosen else {}
    code = "from train.engine.devices import use_every_core; use_every_core()\nimport jax\n"
    result = subprocess.run(
        [sys.executable, "-c", code + "print(jax.device_count())"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) == devices


@pytest.mark.full
@pytest.mark.parametrize("rows", [4, *(pytest.param(n, marks=pytest.mark.slow) for n in (5, 6))])
def test_several_devices_give_the_gradient_of_one(rows):
    rng = np.random.default_rng(rows)
    config = replace(
        TINY, data=replace(TINY.data, rows=rows), regularize=Regularize(activation=1.0)
    )
    state = init_train_state(config, TASK, Shape(7, 0, 7))
    memory = jax.tree.map(lambda s: jnp.asarray(rng.normal(size=s.shape), s.dtype), state.memory)
    state = state._replace(memory=memory)
    inputs, targets = (rng.integers(0, 7, (rows, 9)) for _ in range(2))
    lengths = np.array([9, 2, 5, 0, 7, 9][:rows], np.int32)
    batch = Batch(inputs, targets, lengths, np.full(rows, False))
    found = jax.jit(loss_and_gradient, static_argnums=(0, 1))(config, TASK, state, batch, 0)
    wanted = jax.value_and_grad(batch_loss, argnums=2, has_aux=True)(
        config, TASK, state.params, memory, batch, jax.random.key(0)
    )
    assert_close(found, wanted, tolerance(jnp.float32, "gradients"))


WIDE = replace(TINY, model=Model(embedding=8, hidden=(16, 16)), shard_weights=True)


@pytest.mark.full
def test_sharded_weights_give_the_gradient_of_whole_ones():
    rng = np.random.default_rng(0)
    inputs, targets = (rng.integers(0, 7, (4, 9)) for _ in range(2))
    batch = Batch(inputs, targets, np.array([9, 2, 5, 0], np.int32), np.full(4, True))
    gradient = jax.jit(loss_and_gradient, static_argnums=(0, 1))
    found, expected = (
        gradient(config, TASK, init_train_state(config, TASK, Shape(7, 0, 7)), batch, 0)
        for config in (WIDE, replace(WIDE, shard_weights=False))
    )
    assert_close(found, expected, tolerance(jnp.float32, "gradients"))
    parts = [leaf for leaf in jax.tree.leaves(found[1]) if leaf.ndim > 1]
    assert all(leaf.addressable_shards[0].data.size == leaf.size // 4 for leaf in parts[1:])
    assert parts[0].shape == (7, 8)  # the embedding: by its features, as 7 tokens cannot be shared
    assert parts[0].addressable_shards[0].data.shape == (7, 2)


def held(state):
    """Bytes of a state on the first device."""
    return sum(a.addressable_shards[0].data.nbytes for a in jax.tree.leaves(state))


@pytest.mark.slow
@pytest.mark.parametrize("trials", [1, 2])
def test_each_of_four_devices_holds_a_quarter(trials):
    config = replace(WIDE, model=Model(embedding=32, hidden=(64, 64)), trials=trials)
    config = replace(config, optimizer=replace(config.optimizer, average=0.9))
    whole = replace(config, shard_weights=False)
    shape = Shape(8, 0, 8)
    tokens = np.random.default_rng(0).integers(0, 8, 2000)
    batch = batch_at(tokens, config.data, 0, 0)
    batch = jax.tree.map(lambda a: a if trials == 1 else np.stack([a] * trials), batch)
    state, copied = (init_train_state(c, TASK, shape) for c in (config, whole))
    for _ in range(2):  # it stays so
        assert held(state._replace(memory=())) < 0.27 * held(copied._replace(memory=()))
        state, figures = train_step(config, TASK, state, batch)
        copied, expected = train_step(whole, TASK, copied, batch)
        np.testing.assert_allclose(figures.loss, expected.loss, rtol=1e-5)
    for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(copied.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(("shape", "count", "spec"), [
    ((6, 8), 4, P(None, AXIS)),
    ((16, 8), 4, P(AXIS)),
    ((6, 10), 4, P()),  # nothing can be shared evenly
    ((64,), 4, P()),  # small
    ((64, 64), 1, P(AXIS)),
])  # fmt: skip
def test_the_longest_axis_is_shared(shape, count, spec):
    assert shared_axis(shape, count) == spec


@pytest.mark.full
def test_a_checkpoint_is_read_on_other_devices(tmp_path):
    """Written by four that share the weights: read by three, by one, and by four that do not."""
    config = replace(WIDE, data=replace(TINY.data, rows=12))
    shape = Shape(7, 0, 7)
    state = init_train_state(config, TASK, shape)
    checkpoint.save(tmp_path, 1, state, {})
    found, _ = checkpoint.newest(tmp_path)
    for rows, shard in ((12, False), (12, True), (3, True), (1, False)):
        other = replace(config, data=replace(config.data, rows=rows), shard_weights=shard)
        like = shapes(other, TASK, shape)._replace(memory=shapes(config, TASK, shape).memory)
        loaded = checkpoint.load(found, like)
        for a, b, c in zip(*map(jax.tree.leaves, (loaded, state, like)), strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.sharding == c.sharding


@pytest.mark.slow
@pytest.mark.parametrize("name", ["char_lm", "classification", "forecasting", "piano_roll"])
def test_a_run_with_sharded_weights(name, tmp_path):
    config = make(name, tmp_path)
    whole, _ = run_here(config, tmp_path / "whole")
    found, shown = run_here(replace(config, shard_weights=True), tmp_path / "shared")
    assert "devices: 4" in shown
    assert found["test"] == pytest.approx(whole["test"], rel=1e-3)


def test_the_limit_is_measured():
    assert 1e9 < flops_limit(4) < 1e15


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_devices(tmp_path):
    config = tiny(write_text_file(tmp_path))
    whole, _ = run_here(config, tmp_path / "whole")
    out = tmp_path / "moved"
    run_here(tiny(write_text_file(tmp_path), steps=20), out)
    result = subprocess.run(
        command(config, out), cwd=ROOT, env=os.environ | {"JAX_NUM_CPU_DEVICES": "2"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "devices: 2" in result.stdout
    assert "resuming from checkpoint 20" in result.stdout
    assert int(json.loads((out / "result.json").read_text())["steps"]) == whole["steps"] == 40
