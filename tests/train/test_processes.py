"""Several processes: what they compute, how they end, and what they complain about."""

import json
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest

from tests.support.runs import end, lines_of, newest, run_here, start, tiny, write_text_file
from tests.support.small import make
from train.config.settings import Distributed
from train.engine.processes import detected_cluster, join, on_first_process
from train.errors import InputError
from train.output.folder import open_folder
from train.output.weights import load_weights

SLOW = pytest.mark.slow


def losses(out):
    return [v for line in lines_of(out) for k, v in line.items() if k.startswith("train_")]


def figures(out):
    return json.loads((out / "result.json").read_text())["test"]


def wait_for(happened):
    deadline = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@SLOW
@pytest.mark.parametrize(("task", "changes"), [
    ("char_lm", {}),
    ("char_lm", {"trials": 2, "shard_weights": True}),
    ("classification", {"shard_weights": True}),
    ("forecasting", {}),
    ("piano_roll", {"steps": 40}),
])  # fmt: skip
def test_two_processes_compute_what_one_does(task, changes, tmp_path):
    config = replace(make(task, tmp_path), **changes)
    one, two = tmp_path / "one", tmp_path / "two"
    for status, _, error in end(start(config, one, 1, 2), one):
        assert status == 0, error
    first, second = end(start(config, two, 2, 1), two)
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert "devices: 2 (CPU) of 2 processes" in first[1]
    assert "step" not in second[1]  # the first one speaks for both
    assert len(losses(one)) > 5
    np.testing.assert_allclose(losses(two), losses(one), rtol=1e-5)
    assert figures(two) == pytest.approx(figures(one), rel=1e-4)


@SLOW
@pytest.mark.parametrize("asked", [0, 1])
def test_sigterm_to_one_ends_both_after_the_same_step(asked, tmp_path):
    config = tiny(write_text_file(tmp_path), steps=30_000, checkpoint_every=30_000)
    out, step = tmp_path / "run", 0
    for _ in range(2):
        processes, before = start(config, out, 2), step
        wait_for(lambda: (out / "metrics.jsonl").exists() and lines_of(out)[-1:])
        wait_for(lambda before=before: lines_of(out)[-1]["step"] > before + 10)
        began = time.monotonic()
        processes[asked].send_signal(signal.SIGTERM)
        (status, shown, error), (_, _, other) = end(processes, out, 60)
        assert time.monotonic() - began < 20
        assert status == 128 + signal.SIGTERM
        assert newest(out) > step
        assert ("resuming from checkpoint" in shown) == (step > 0)
        step = newest(out)
        for text in (error, other):
            assert f"train: step {step} is saved; repeat the command to resume" in text


@SLOW
def test_a_process_that_is_lost_ends_the_other(tmp_path):
    config = tiny(write_text_file(tmp_path), steps=3000)
    out = tmp_path / "run"
    processes = start(config, out, 2)
    wait_for(lambda: newest(out) >= 20)
    processes[1].kill()
    (status, _, error), _ = end(processes, out, 60)
    assert status in (1, -signal.SIGABRT)  # JAX aborts one that waits for a checkpoint's parts
    assert ("train: " in error) == (status == 1)
    assert "Traceback" not in error
    before = newest(out)
    assert before >= 20
    (one,) = start(config, out)  # alone it goes on, with the same rows on one device
    wait_for(lambda: newest(out) > before)
    one.send_signal(signal.SIGTERM)
    assert f"resuming from checkpoint {before}" in end([one], out)[0][1]


@SLOW
def test_a_checkpoint_of_two_processes_goes_on_in_one(tmp_path):
    """Each with two devices that share the weights; then four devices that each have all."""
    config = tiny(write_text_file(tmp_path))
    whole, out = tmp_path / "whole", tmp_path / "moved"
    run_here(config, whole)
    processes = start(replace(config, shard_weights=True), out, 2, 2)
    wait_for(lambda: newest(out) >= 10)
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()
    _, shown = run_here(config, out)
    assert "resuming from checkpoint" in shown
    found, expected = (load_weights(p / "params.safetensors").params for p in (out, whole))
    for a, b in zip(found.layers[0], expected.layers[0], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@SLOW
def test_slurm_tells_the_processes_of_each_other(tmp_path):
    config = tiny(write_text_file(tmp_path), steps=8)
    out = tmp_path / "run"
    first, second = end(start(config, out, 2, slurm=True), out)
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert "devices: 2 (CPU) of 2 processes" in first[1]


@SLOW
@pytest.mark.parametrize(("changes", "message"), [
    ({"seed": 3}, "holds a run with another config: seed (0 before, 3 now)"),
    ({"rows": 5}, "data.rows = 5 cannot be divided evenly among the 2 devices of 2 processes"),
])  # fmt: skip
def test_both_complain(changes, message, tmp_path):
    config = tiny(write_text_file(tmp_path), steps=4)
    out = tmp_path / "run"
    run_here(config, out)
    if "rows" in changes:
        changes = {"data": replace(config.data, **changes)}
    for status, _, error in end(start(replace(config, **changes), out, 2), out):
        assert status == 2
        assert message in error


@SLOW
def test_a_folder_in_use_is_refused_by_both(tmp_path):
    config = tiny(write_text_file(tmp_path), steps=4)
    out = tmp_path / "run"
    with open_folder(out, config):
        for status, _, error in end(start(config, out, 2), out):
            assert status == 2
            assert "is in use by another process" in error


@pytest.mark.parametrize(("flags", "message"), [
    ({"coordinator": "a:1"}, "--distributed.process is required with --distributed.coordinator"),
    ({"process": 0, "processes": 2}, "--distributed.coordinator is required with"),
    ({"coordinator": "a:1", "process": 2, "processes": 2}, "must be below .* 2, got 2"),
    ({"coordinator": "a", "process": 1, "processes": 2}, "must be HOST:PORT, got 'a'"),
    ({"coordinator": "localhost:1", "process": 1, "processes": 2, "timeout": 1},
     "the first process cannot be reached at --distributed.coordinator localhost:1 in 1 s"),
])  # fmt: skip
def test_flags_that_do_not_fit(flags, message):
    with pytest.raises(InputError, match=message):
        join(Distributed(**flags))


def test_one_process_needs_nothing(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("SLURM", "KUBERNETES")):
            monkeypatch.delenv(name)
    assert not detected_cluster()
    join(Distributed())
    assert on_first_process(lambda: 3) == 3


@pytest.mark.parametrize(("environment", "found"), [
    ({"SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "0"}, True),
    ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}, False),
    ({"SLURM_NTASKS": "2"}, False),  # `salloc`, without `srun`
])  # fmt: skip
def test_slurm_is_seen(environment, found, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[1-2]")
    assert detected_cluster() == found
