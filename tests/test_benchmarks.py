"""The benchmark's report, from the results that are committed."""

import json
from pathlib import Path

import pytest

from benchmarks import report, scaling
from benchmarks.shapes import SHAPES

RESULTS = report.README.parent / "benchmarks" / "results" / "cpu.json"


@pytest.fixture(scope="module")
def results():
    return json.loads(RESULTS.read_text())


def test_the_tables_are_those_of_the_results(results):
    short = "\n\n".join(report._short_tables(results))
    assert report.summary(results) in report.README.read_text()
    assert report.summary(results) in report.PERFORMANCE.read_text()
    assert short in RESULTS.with_suffix(".md").read_text()
    assert RESULTS.with_suffix(".png").stat().st_size > 10_000


def test_the_layer_types_are_in_the_docs(results):
    assert report._layer_types_table(results) in report.LAYERS.read_text()
    assert len(results["kinds"]) == 14


def test_the_modules_are_in_the_docs(results):
    assert report._modules_table(results) in report.COMING_FROM.read_text()
    assert set(results["modules"]) == set(SHAPES)


def test_every_shape_and_every_peer_was_measured(results):
    assert set(results["table"]) == set(SHAPES)
    for calls in results["table"].values():
        for times in calls.values():
            assert set(report.one_device(times)) == {"jlstm", *report.JAX_PEERS}
        assert "torch" in calls["train"]
        assert {"torch", "onnxruntime"} <= set(calls["forward"])


def test_what_was_measured_for_the_default_is_in_the_results(results):
    spans = []
    for call in ("train", "forward"):
        each = [row[call]["scan"] / row[call]["jlstm"] for row in results["table"].values()]
        spans.append(f"{min(each):.2f} to {max(each):.2f} times")
    page = (Path(__file__).parents[1] / "docs" / "performance.md").read_text(encoding="utf-8")
    claim = f"training {spans[0]} as fast, forward {spans[1]}"
    assert claim in " ".join(page.split())


def test_the_best_of_each_library():
    times = {"jlstm": 4.0, "jlstm:2": 2.0, "haiku": 5.0, "haiku:2": 6.0, "torch": 3.0,
             "products": 1.5, "products:2": 1.0, "scan": 1.0}  # fmt: skip
    assert report.one_device(times) == {"jlstm": 4.0, "haiku": 5.0}
    best = report.all_cores(times)
    assert best == {"jlstm": 2.0, "haiku": 5.0, "torch": 3.0}
    assert report.ratio(best) == 1.5
    assert report.limit(times) == 1.0


def test_the_scaling_of_training_is_in_the_docs():
    results = json.loads(scaling.RESULTS.read_text())
    assert scaling.page_table(results) in scaling.PAGE.read_text()
    assert set(results["models"]) == set(scaling.MODELS)
