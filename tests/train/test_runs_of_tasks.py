"""Runs of every task but language models, from training to predictions."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.runs import ROOT, command, run_command, run_here
from tests.support.small import make
from train.config.settings import Model
from train.config.tasks import Forecasting, Table
from train.errors import InputError
from train.evaluate import main as evaluate_main
from train.tasks import Data, find_task

RNG = np.random.default_rng(0)


NAMES = ("classification", "forecasting", "piano_roll")


QUICK_RUNS = [
    pytest.param(name, marks=[] if name == "classification" else pytest.mark.slow) for name in NAMES
]

pytestmark = pytest.mark.full  # runs of every task


@pytest.fixture(scope="module", params=QUICK_RUNS)
def finished(request, tmp_path_factory):
    """A finished run: its config, its folder, its result."""
    folder = tmp_path_factory.mktemp(request.param)
    config = make(request.param, folder)
    result, _ = run_here(config, folder / "run")
    return config, folder / "run", result


def test_a_run_is_better_than_its_baseline(finished):
    config, out, result = finished
    task = find_task(config.task)
    found, baseline = result["test"][task.headline], result[task.baseline]
    assert task.best(found, baseline) == found != baseline
    assert json.loads((out / "result.json").read_text()) == result
    page = (out / "report.html").read_text()
    assert f"{found:.4g}" in page


def test_resuming_is_bit_for_bit(finished, tmp_path):
    config, whole, _ = finished
    out = tmp_path / "run"
    run_here(config, out)
    for path in (out / "params.safetensors", out / "result.json"):
        path.unlink()
    for step_of in (config.steps, config.steps - 10):
        shutil.rmtree(out / "checkpoints" / str(step_of))
    _, shown = run_here(config, out)
    assert f"resuming from checkpoint {config.steps - 20}" in shown
    for name in ("params.safetensors", "best.safetensors"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_evaluate_and_predict(finished, tmp_path):
    config, out, result = finished
    process = run_command(str(out), module="train.evaluate")
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout) == pytest.approx(result["test"], rel=1e-5)
    target = tmp_path / "predictions.csv"
    process = run_command(
        str(out), "--data.path", config.data.path, "--out", str(target), module="train.predict"
    )
    assert process.returncode == 0, process.stderr
    head, *rows = csv.reader(target.read_text().splitlines())
    assert f"{len(rows)} rows are in {target}" in process.stdout
    assert all(len(row) == len(head) for row in rows)
    if config.task == "classification":
        right = np.mean([row[1] == row[2] for row in rows])
        assert right > 0.6
        assert all(abs(sum(map(float, row[3:])) - 1) < 1e-3 for row in rows)


@pytest.mark.parametrize("finished", ["classification"], indirect=True)
def test_changed_data_are_not_measured_in_silence(finished, tmp_path):
    config, out, _ = finished
    path = Path(config.data.path)
    before = path.read_bytes()
    try:
        np.savez(path, inputs=RNG.normal(size=(60, 9, 3)), labels=["early", "late"] * 30)
        with pytest.raises(InputError, match="no longer holds the data of the run in"):
            evaluate_main([str(out)])
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize(("module", "flags", "message"), [
    ("train.predict", [], "name the data to predict for: --data.path FILE"),
    ("train.predict", ["--data.path", "no.csv"], "cannot read data.path no.csv: No such"),
    ("train.evaluate", ["--data.path", "no.csv"], "cannot read data.path no.csv: No such"),
])  # fmt: skip
@pytest.mark.parametrize("finished", ["classification"], indirect=True)
def test_commands_that_cannot_be_carried_out(finished, module, flags, message):
    process = run_command(str(finished[1]), *flags, module=module)
    assert process.returncode == 2
    assert process.stderr == f"{module}: {process.stderr.partition(': ')[2]}"
    assert message in process.stderr
    assert process.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_strangers_table(tmp_path):
    """20,000 rows, odd names, a gap: trained, measured and predicted in three commands."""
    path = tmp_path / "Messwerte 2020.csv"
    rows = 20_000
    time = np.arange(rows)
    wave = np.sin(time / 12) + 0.1 * np.random.default_rng(0).normal(size=rows)
    stamps = np.datetime64("2020-01-01T00:00") + time * np.timedelta64(15, "m")
    lines = ["Zeit [UTC], Temp. (\u00b0C) ,Wind/Speed"]
    lines += [
        f"{stamps[t]},{wave[t]:.3f},{abs(wave[t]) * 7:.2f}" for t in time if not 9000 <= t < 9040
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    out, config = tmp_path / "run", Forecasting(steps=120, **{"model": Model(hidden=(32,))})
    train = [*command(config, out), "--data.path", str(path), "--data.context", "48"]
    process = subprocess.run(train, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    result = json.loads((out / "result.json").read_text())
    assert result["columns"] == ["Temp. (\u00b0C)", "Wind/Speed"]
    assert result["missing"] == 80
    assert result["test"]["mae"] < 0.6 * result["persistence_mae"]
    target = tmp_path / "next.csv"
    predict = [sys.executable, "-m", "train.predict", str(out), "--data.path", str(path), "--out",
               str(target)]  # fmt: skip
    subprocess.run(predict, cwd=ROOT, check=True, capture_output=True)
    rows = list(csv.reader(target.read_text().splitlines()))
    assert rows[0] == ["step", "Zeit [UTC]", "Temp. (\u00b0C)", "Wind/Speed"]
    assert rows[1][1] == "2020-07-27T08:00"
    assert len(rows) == 13
    assert isinstance(
        find_task("forecasting").load(replace(config, data=Table(path=str(path)))), Data
    )
