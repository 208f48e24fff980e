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

from tests.problems import assert_close, tolerance
from tests.train.runs import ROOT, TINY, command, run_here, tiny, write_text_file
from train.devices import flops_limit, make_mesh
from train.settings import Regularize
from train.state import init_train_state
from train.step import batch_loss, loss_and_gradient
from train.tasks import Batch, Shape
from train.tasks.char_lm import TASK


@pytest.mark.parametrize(("rows", "devices"), [(1, 1), (4, 4), (5, 1), (6, 3), (8, 4), (32, 4)])
def test_the_rows_are_shared_evenly(rows, devices):
    assert make_mesh(rows).size == devices


@pytest.mark.parametrize(("chosen", "devices"), [(None, len(os.sched_getaffinity(0))), ("3", 3)])
def test_every_core_is_a_device_unless_somebody_chose(chosen, devices):
    environment = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
    environment |= {"JAX_PLATFORMS": "cpu"}
    environment |= {"JAX_NUM_CPU_DEVICES": chosen} if chosen else {}
    code = "from train.devices import use_every_core; use_every_core()\nimport jax\n"
    result = subprocess.run(
        [sys.executable, "-c", code + "print(jax.device_count())"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) == devices


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
    assert "going on from checkpoint 20" in result.stdout
    assert int(json.loads((out / "result.json").read_text())["steps"]) == whole["steps"] == 40
