"""The report: words for every name, dates and all columns in its pictures, no fault to see."""

import io
import re
from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest
from machinery import browse, check
from matplotlib.figure import Figure

from tests.support.browser import open_browser
from tests.support.runs import run_here
from tests.support.small import make
from train.config.tasks import CONFIGS, Classification, Series
from train.output import page as report_page
from train.output import pictures, words
from train.tasks import Data, Shape, classification, find_task

RNG = np.random.default_rng(0)


def visible(page):
    """The text of a page, without its config."""
    page = re.sub(r"<style>.*?</style>|<details>.*?</details>", "", page, flags=re.DOTALL)
    return re.sub(r"<[^>]+>", " ", page)


@pytest.fixture(scope="module", params=CONFIGS)
def page(request, tmp_path_factory):
    """The report of a run that took no step: the task's name, its result, the page."""
    folder = tmp_path_factory.mktemp(request.param)
    config = make(request.param, folder)
    task, data = find_task(config.task), None
    data = task.load(config)
    names = {task.headline: 0.25, task.unit: 0.5}
    result = {
        "test": names, "best": {"step": 20, "validation": 0.75, "test": names}, **data.facts,
        "steps": 30, "of_steps": 40, "parameters": 12345, "seconds": 61.5,
        "steps_per_second": 0.5, "data_sha256": data.sha256, "versions": {"jax": "1.2"},
        "device": "cpu", "devices": 1, "processes": 1,
    }  # fmt: skip
    images = pictures.in_both(lambda figure: figure.subplots().plot([1, 2]), 4, 3)
    shown = {"A picture": (images, 'words "and" more')}
    text = report_page.make_page(config, task, data, result, shown, [(20, "<b>&amp;")])
    return task, data, result, text, folder


@pytest.mark.sampled
def test_every_name_is_in_words(page):
    task, data, result, text, _ = page
    assert {*result["test"], task.headline, task.unit} <= set(words.FIGURES)
    assert task.baseline in words.BASELINES
    assert set(data.facts) - {task.baseline} <= set(words.FACTS)
    assert words.BASELINES[task.baseline] in text
    shown = visible(text).replace(data.source, "").replace(data.sha256, "")
    assert re.findall(r"\b\w+_\w+\b", shown) == []  # no internal name
    assert not re.search(r'[{}]|"\w+":', shown)  # no JSON


def test_the_page_has_no_fault(page):
    _, data, _, text, folder = page
    path = folder / "report.html"
    path.write_text(text, encoding="utf-8")
    assert [fault for fault in check.faults(path) if "HTML" not in fault] == []
    assert "&lt;b&gt;&amp;amp;" in text
    assert '<html lang="en">' in text
    assert text.count("<h1>") == 1
    assert text.count('scope="col"') == 4 + 3 * bool(data.about.get("columns"))
    assert "prefers-color-scheme: dark" in text


def test_one_column_has_its_error_in_its_own_units():
    class Data:
        about = {"columns": ["load [kW]"], "mean": [3.0], "spread": [8.0]}  # noqa: RUF012

    result = {"test": {"mae": 0.25}, "persistence_mae": 0.5}
    text = report_page._summary(find_task("forecasting"), Data, result)
    assert "<strong>Mean absolute error 0.25</strong> on the test split" in text
    assert "Here it is 2 in the units of load [kW]." in text
    assert "better than the baseline, 0.5, which is a forecast that repeats the last value" in text
    worse = report_page._summary(find_task("forecasting"), Data, {**result, "persistence_mae": 0.1})
    assert "no better than the baseline" in worse


def test_an_empty_cell_that_is_missing_has_a_name():
    data = Data(
        None,
        None,
        None,
        Shape(0, 0, 0),
        {},
        {"missing_spellings": {"": 4, "k.A.": 1}},
        "a.csv",
        "0",
    )
    rows = dict(report_page._about_data(data, {"data_sha256": "0"}))
    assert words.value_text(rows["Cells read as missing"]) == "empty: 4, k.A.: 1"


def test_a_name_without_words_loses_its_underscores():
    assert words.figure_name("word_error_rate") == "Word error rate"
    assert words.value_text([1234, 0.5, None, True]) == "1,234, 0.5, none, yes"
    assert words.value_text({"NA": 3}) == "NA: 3"


def drawn(columns, times, time="when", steps=40):
    measured = RNG.normal(size=(steps, columns))
    figure = Figure(figsize=(9, 6), layout="constrained")
    forecasts = [(start, RNG.normal(size=(5, columns))) for start in (20, 25, 30)]
    names = [f"column {k} of $5$ \N{CJK UNIFIED IDEOGRAPH-6E29}" for k in range(columns)]
    pictures.draw_forecasts(figure, "title", names, measured, forecasts, 10, times, time)
    if columns < 5:  # many take seconds
        figure.savefig(io.BytesIO())  # no glyph is missing, no label is mathematics
    panels = [axes for axes in figure.axes if axes.get_visible()]
    return measured, forecasts, figure, panels


def labels(panel):
    return [text.get_text() for text in panel.get_xticklabels()]


def test_dates_on_the_axis_of_forecasts():
    times = [f"2024-03-{k + 1:02}" if k % 3 else "" for k in range(40)]  # a gap has no time
    *_, (panel,) = drawn(1, times)
    ticks = panel.get_xticks().astype(int)
    assert labels(panel) == [times[k] for k in ticks]
    assert (ticks[0], ticks[-1], len(ticks)) == (10, 38, 6)
    assert panel.get_xlabel() == "when"


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("2024-03-07T00:00:00", "2024-03-07"),
        ("2024-03-07 06:30:00", "2024-03-07\n06:30"),
        ("20240307", "2024-03-07"),
        ("17.5", "17.5"),
    ],
)
def test_times_as_they_are_named(written, named):
    *_, (panel,) = drawn(1, [written] * 40)
    assert set(labels(panel)) == {named}


def test_steps_where_there_are_no_times():
    *_, (panel,) = drawn(1, None, "time step of the table")
    assert all(re.fullmatch(r"\d+", text) for text in labels(panel))
    assert panel.get_xlabel() == "time step of the table"


@pytest.mark.sampled
@pytest.mark.parametrize("columns", [1, 4, 5, 20, pictures.PANELS])
def test_every_column_is_drawn(columns):
    measured, forecasts, figure, panels = drawn(columns, None)
    assert len(panels) == columns
    for k, panel in enumerate(panels):
        seen, expected = panel.get_lines()
        np.testing.assert_array_equal(seen.get_ydata(), measured[10:, k])
        at, heights = expected.get_data()
        known = ~np.isnan(at)
        np.testing.assert_array_equal(at[known], range(20, 35))
        np.testing.assert_array_equal(
            heights[known], np.concatenate([f[:, k] for _, f in forecasts])
        )
        assert panel.get_title(loc="left") == f"column {k} of $5$ ·"
    assert figure.get_suptitle() == "title"


def test_of_more_columns_the_picture_says_which_it_shows():
    *_, figure, panels = drawn(pictures.PANELS + 3, None)
    assert len(panels) == pictures.PANELS
    assert "The first 24 of 27 columns; --data.columns chooses others" in figure.get_suptitle()


def test_names_of_classes_are_drawn_as_they_are():
    """No mathematics, a dot for what the font lacks, and long ones upright."""
    task = find_task("classification")
    classes = [
        "a $x_1$ sign",
        "b \N{CJK UNIFIED IDEOGRAPH-6E29}",
        *("c" * 9 + str(k) for k in range(6)),
    ]
    labels = np.arange(8)
    split = classification.Labelled([np.ones((2, 1), np.float32)] * 8, labels)
    config = Classification(data=Series(rows=8))
    data = Data(None, None, split, None, {"classes": classes}, {}, "", "")
    figure = Figure(figsize=(9, 6), layout="constrained")

    def run(batches):
        for batch in batches:
            yield batch, np.eye(8)[batch.targets]

    task.draw(figure, config, data, run)
    figure.savefig(io.BytesIO())
    names = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert names[:3] == ["a $x_1$ sign", "b ·", "ccccccccc0"]
    assert figure.axes[0].get_xticklabels()[0].get_rotation() == 90
    assert figure.axes[0].get_title() == "100.0% of the test split are correct"


def test_pictures_for_light_and_dark_pages():
    found = pictures.in_both(lambda figure: figure.subplots().plot([1, 2], color="C1"), 4, 3)
    for name, low, high in (("light", 0.95, 1.0), ("dark", 0.0, 0.15)):
        image = matplotlib.image.imread(io.BytesIO(found[name]))[..., :3]
        assert image.shape[:2] == (450, 600)
        assert low <= image[0, 0].mean() <= high
        assert image.std() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_reports_in_a_browser(name, tmp_path):
    config = replace(make(name, tmp_path), steps=10, trials=2)
    run_here(config, tmp_path / "run")
    with open_browser() as page:
        assert browse.faults(page, tmp_path / "run" / "report.html") == []
