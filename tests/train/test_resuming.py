"""Stopped runs: resumed to the bit, from intact checkpoints, with the same config and data."""

import re
import shutil
import signal
import subprocess
import time
from dataclasses import replace

import pytest

from tests.support.runs import (
    ROOT,
    command,
    lines_of,
    newest,
    run_here,
    tiny,
    write_text_file,
)
from train.config.load import read_config
from train.engine import loop
from train.errors import InputError, Terminated

SLOW = pytest.mark.slow


class Killed(BaseException):
    """Stands for a kill inside this process."""


def stopped_at(monkeypatch, step):
    """Make the run end right after the metrics of that step."""
    append = loop.metrics.append

    def stop(out, at, **values):
        append(out, at, **values)
        if at >= step:
            raise Killed

    monkeypatch.setattr(loop.metrics, "append", stop)


@pytest.mark.sampled
@pytest.mark.parametrize("step", [4, 18, *(pytest.param(k, marks=SLOW) for k in (10, 34, 40))])
def test_resuming_is_bit_for_bit(finished, tmp_path, monkeypatch, step):
    config, whole, _, _ = finished
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        stopped_at(patch, step)
        with pytest.raises(Killed):
            run_here(config, out)
    with (out / "metrics.jsonl").open("a") as file:
        file.write('{"step": 38, "tr')  # cut short
    _, shown = run_here(config, out)
    last = (step - 1) // 10 * 10
    assert ("resuming from checkpoint" in shown) == (last > 0)
    assert f"resuming from checkpoint {last}" in shown or last == 0
    weights = (out / "params.safetensors").read_bytes()
    assert weights == (whole / "params.safetensors").read_bytes()

    speeds = {"steps_per_second", "inputs_per_second", "share_of_limit"}

    def figures(folder):
        return [{k: v for k, v in x.items() if k not in speeds} for x in lines_of(folder)]

    assert figures(out) == figures(whole)
    assert (out / "samples.txt").read_text() == (whole / "samples.txt").read_text()


@pytest.mark.slow
def test_more_steps_resume_a_finished_run(finished, tmp_path):
    config, _, _, _ = finished
    out = tmp_path / "run"
    run_here(config, out)
    result, shown = run_here(replace(config, steps=50), out)
    assert "resuming from checkpoint 40" in shown
    assert result is not None
    assert result["steps"] == 50
    assert lines_of(out)[-1]["step"] == 50
    assert read_config(out / "config.toml").steps == 50


@pytest.mark.full
def test_a_damaged_newest_checkpoint_is_reported_and_the_one_before_used(finished, tmp_path):
    config = finished[0]
    out = tmp_path / "run"
    run_here(replace(config, steps=30), out)
    data = max((out / "checkpoints" / "30").rglob("*"), key=lambda p: p.stat().st_size)
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    _, shown = run_here(replace(config, steps=30), out)
    assert "checkpoint 30 is damaged" in shown
    assert "resuming from checkpoint 20" in shown
    assert (out / "result.json").exists()


def test_a_changed_config_is_refused(finished):
    config, out, _, _ = finished
    before = (out / "config.toml").read_bytes()
    with pytest.raises(InputError, match=r"holds a run with another config: seed \(0 before, 3"):
        run_here(replace(config, seed=3), out)
    assert (out / "config.toml").read_bytes() == before


@pytest.mark.full
def test_a_changed_text_is_refused(finished, tmp_path):
    config, _, _, _ = finished
    path = write_text_file(tmp_path)
    config = tiny(path, steps=10)
    out = tmp_path / "run"
    run_here(config, out)
    path.write_text(path.read_text(encoding="utf-8")[:-1] + "!", encoding="utf-8")
    with pytest.raises(InputError, match=r"does not hold the data that the run in .* started with"):
        run_here(replace(config, steps=20), out)


@pytest.mark.full
def test_invalid_lines_of_metrics_are_dropped(finished, tmp_path):
    config, whole, _, _ = finished
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    good = (out / "metrics.jsonl").read_bytes()
    (out / "metrics.jsonl").write_bytes(b'5\n{"a": 1}\n\xff\n[]\nnull\n' + good)
    (out / "result.json").unlink()
    run_here(config, out)
    assert (out / "metrics.jsonl").read_bytes() == good


def test_a_refused_text_changes_nothing(finished, tmp_path):
    config = tiny(write_text_file(tmp_path), steps=10)
    out = tmp_path / "run"
    run_here(config, out)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    other = tmp_path / "other.txt"
    other.write_text("something else " * 1000)
    with pytest.raises(InputError, match="does not hold the data that the run"):
        run_here(replace(config, steps=20, data=replace(config.data, path=str(other))), out)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


@pytest.mark.full
def test_sigterm_saves_a_checkpoint_and_exits(finished, tmp_path):
    config = replace(finished[0], steps=100_000, checkpoint_every=100_000)
    out = tmp_path / "run"
    process = subprocess.Popen(
        command(config, out), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (out / "metrics.jsonl").exists() or len(lines_of(out)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    start = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert time.monotonic() - start < 20
    assert process.returncode == 128 + signal.SIGTERM
    assert re.fullmatch(r"train: step \d+ is saved; repeat the command to resume\n", error)
    assert newest(out) == int(error.split()[2])


@pytest.mark.full
def test_sigterm_in_this_process_costs_no_bit(finished, tmp_path, monkeypatch):
    config, whole, _, _ = finished
    out = tmp_path / "run"
    append = loop.metrics.append

    def ask(out, at, **values):
        append(out, at, **values)
        if at == 12:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(loop.metrics, "append", ask)
        with pytest.raises(Terminated, match="step 13 is saved"):
            run_here(config, out)
    _, shown = run_here(config, out)
    assert "resuming from checkpoint 13" in shown
    weights = (out / "params.safetensors").read_bytes()
    assert weights == (whole / "params.safetensors").read_bytes()
