"""The devices of a run: how many there are, and that they compute what one does."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from tests.problems import assert_close, tolerance
from tests.train.runs import ROOT, command, run_here, tiny, write_text_file
from train.config import Model
from train.data import Batch
from train.devices import make_mesh
from train.model import init_model
from train.step import chunk_loss, loss_and_gradient


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


@pytest.mark.parametrize("rows", [4, 5, 6])
def test_several_devices_give_the_gradient_of_one(rows):
    rng = np.random.default_rng(rows)
    params = init_model(jax.random.key(0), Model(embedding=3, hidden=5), 7)
    memory = jax.tree.map(
        lambda s: jnp.asarray(rng.normal(size=s.shape), s.dtype),
        jlstm.init_state(params.lstm, (rows,)),
    )
    inputs, targets = (jnp.asarray(rng.integers(0, 7, (9, rows))) for _ in range(2))
    batch = Batch(inputs, targets, jnp.asarray(False))
    found = jax.jit(loss_and_gradient)(params, memory, batch)
    wanted = jax.value_and_grad(chunk_loss, has_aux=True)(params, memory, batch)
    assert_close(found, wanted, tolerance(jnp.float32, "gradients"))


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
