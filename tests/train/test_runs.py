"""Whole runs: the files that they write, and their figures."""

import io
import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import safetensors.numpy

from tests.support.browser import open_browser
from tests.support.runs import (
    lines_of,
    run_here,
    tiny,
)
from train.config.load import read_config
from train.config.settings import Model, Optimizer
from train.engine.measure import evaluate
from train.output.weights import load_weights
from train.tasks import char_lm

SLOW = pytest.mark.slow


@pytest.mark.full
def test_the_output_folder(finished):
    config, out, result, shown = finished
    assert sorted(p.name for p in out.iterdir()) == [
        "best.safetensors", "checkpoints", "config.toml", "curves.png", "metrics.jsonl",
        "params.safetensors", "report.html", "result.json", "samples.txt", "test.png",
    ]  # fmt: skip
    assert read_config(out / "config.toml") == config
    assert json.loads((out / "result.json").read_text()) == result
    assert re.search(r"bits_per_char [\d.]+ on the test split \(unigram_bits_per_char", shown)
    assert "report.html is in" in shown


def test_result(finished):
    config, out, result, _ = finished
    data = char_lm.load(config)
    kept, task, about, params = load_weights(out / "params.safetensors")
    assert about == data.about
    assert task is char_lm.TASK
    assert kept.model == config.model
    bits = evaluate(config, task, params, data.test)
    assert result["test"] == bits
    assert bits["bits_per_char"] < result["unigram_bits_per_char"]
    sizes = safetensors.numpy.load_file(out / "params.safetensors")
    assert result["parameters"] == sum(a.size for a in sizes.values())
    v, e, h = len(about["vocabulary"]), 8, 16
    assert result["parameters"] == v * e + (e + h + 1) * 4 * h + (h + 1) * v
    assert result["steps"] == config.steps
    assert 0 < result["seconds"] < 120
    assert result["steps_per_second"] > 0
    best = load_weights(out / "best.safetensors").params
    assert result["best"]["test"] == evaluate(config, task, best, data.test)
    measured = {x["step"]: x for x in lines_of(out) if "validation_bits_per_char" in x}
    step = min(measured, key=lambda k: measured[k]["validation_bits_per_char"])
    assert result["best"]["step"] == step
    found = evaluate(config, task, best, data.validation)
    assert result["best"]["validation"] == found["bits_per_char"]
    assert measured[step]["validation_bits_per_char"] == found["bits_per_char"]


def test_metrics(finished):
    _, out, result, _ = finished
    lines = lines_of(out)
    trained = [line["step"] for line in lines if "train_bits_per_char" in line]
    # Every 4 steps, and where a checkpoint (10) or validation (20) is due.
    expected = sorted({*range(4, 41, 4), *range(10, 41, 10)})
    assert trained == expected
    assert [line["step"] for line in lines if "validation_bits_per_char" in line] == [20, 40]
    rates = {line["step"]: line["learning_rate"] for line in lines if "learning_rate" in line}
    assert rates[4] == pytest.approx(0.02 * 3 / 5)  # of the 4th step: warm-up counts from 0
    assert rates[40] < rates[20] < rates[8]
    assert all(0 < line["share_of_limit"] < 1 for line in lines if "share_of_limit" in line)
    first = next(line for line in lines if "train_bits_per_char" in line)
    size = result["vocabulary"]
    assert first["train_bits_per_char"] == pytest.approx(math.log2(size), abs=0.3)


@pytest.mark.full
def test_pictures_and_samples(finished):
    _, out, _, _ = finished
    for name in ("curves.png", "test.png"):
        image = matplotlib.image.imread(out / name)
        assert image.shape[0] > 400
        assert image.shape[1] > 800
        assert len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 50  # something is drawn
    samples = (out / "samples.txt").read_text()
    assert samples.count("===") == 4
    assert "=== step 40 ===" in samples


def test_the_report_is_one_file(finished):
    _, out, result, _ = finished
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "src=" in page
    assert set(re.findall(r'src(?:set)?="(.{10})', page)) == {"data:image"}
    assert "href" not in page
    assert f"{result['test']['bits_per_char']:.4g}" in page
    assert "<h3>After 40 steps</h3>" in page
    assert "checkpoint_every = 10" in page


def test_a_finished_run_says_so_and_changes_nothing(finished):
    config, out, _, _ = finished
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    result, shown = run_here(config, out)
    assert result is None
    assert "has already finished its 40 steps; pass a larger --steps to continue" in shown
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


@pytest.mark.full
def test_the_same_config_gives_the_same_bits(finished, tmp_path):
    config, out, _, _ = finished
    run_here(config, tmp_path / "again")
    again = (tmp_path / "again" / "params.safetensors").read_bytes()
    assert again == (out / "params.safetensors").read_bytes()
    run_here(replace(config, seed=1), tmp_path / "other")
    assert (tmp_path / "other" / "params.safetensors").read_bytes() != again


@pytest.mark.slow
def test_the_report_in_a_browser(finished):
    """Chromium draws the page: its parts are there, its picture is not blank, no complaints."""
    with open_browser() as page:
        page.open((finished[1] / "report.html").resolve().as_uri(), 1000, 1400)
        heads = page.evaluate("[...document.querySelectorAll('h2')].map(e => e.textContent)")
        assert heads[:3] == ["Results", "Training curves", "The test split"]
        image = matplotlib.image.imread(io.BytesIO(page.screenshot()))
        assert page.complaints() == []
    assert len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 100


@pytest.mark.slow
def test_early_stopping(finished, tmp_path):
    """A learning rate of almost 0: the second validation is no better, and ends the run."""
    rate = Optimizer(learning_rate=1e-30, final_learning_rate=0.0, warmup=0, weight_decay=0.0)
    config = replace(finished[0], optimizer=rate, stop_after=1)
    config = replace(config, log=replace(config.log, validate_every=8), steps=1000)
    out = tmp_path / "run"
    result, shown = run_here(config, out)
    assert result is not None
    assert (result["steps"], result["of_steps"], result["best"]["step"]) == (16, 1000, 8)
    assert "no better validation since step 8: stopping early" in shown
    again, shown = run_here(config, out)
    assert again is None
    assert "has already finished its 1000 steps" in shown
    (out / "result.json").unlink()
    again, _ = run_here(config, out)  # killed before the report: no step is taken
    assert again is not None
    assert (again["steps"], again["test"]) == (16, result["test"])


@pytest.mark.slow
def test_tensorboard(finished, tmp_path):
    config = replace(finished[0], log=replace(finished[0].log, tensorboard=True), steps=20)
    out = tmp_path / "run"
    run_here(config, out)
    (events,) = (out / "tensorboard").iterdir()
    data = events.read_bytes()
    for name in (b"train/bits_per_char", b"validation/bits_per_char", b"learning/rate", b"sample"):
        assert name in data


@SLOW
def test_on_tiny_shakespeare(tmp_path):
    path = Path(os.environ.get("JLSTM_DATA", "")) / "tinyshakespeare.txt"
    if not path.exists():
        pytest.skip("JLSTM_DATA names no folder with tinyshakespeare.txt")
    config = tiny(path, steps=200, model=Model(embedding=16, hidden=(64,)))
    config = replace(config, data=replace(config.data, rows=16, chunk=64))
    result, _ = run_here(config, tmp_path / "run")
    assert result is not None
    assert result["vocabulary"] == 65
    assert result["train_characters"] + 2 * result["test_characters"] == 1_115_394
    assert result["test"]["bits_per_char"] < result["unigram_bits_per_char"] - 1
