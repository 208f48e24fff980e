"""The task of forecasting: windows, baselines, other tables, refusals."""

import csv
import io
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.support.small import make
from train.config.load import check_config, to_values
from train.config.settings import Model
from train.config.tasks import Classification, Forecasting, Series, Table
from train.engine import measure
from train.errors import InputError
from train.model import init_model
from train.tasks import find_task
from train.tasks import forecasting as forecasts
from train.tasks.normalize import mean_and_deviation


def test_windows_and_persistence(tmp_path):
    config = make("forecasting", tmp_path)
    data = forecasts.load(config)
    assert data.about["columns"] == ["wave (m)", "load kW"]
    assert data.facts["left_out"] == {"who": "holds text, such as 'x'"}
    assert (data.facts["gaps"], data.facts["step_of_time"]) == (5, "1 hour")
    assert data.facts["missing_spellings"] == {"": 11}
    table = data.test.values * np.array(data.about["spread"]) + data.about["mean"]
    assert np.isnan(table[150:155]).all()  # the gap
    errors = []
    for batch in forecasts.in_order(config, data.test, 7):
        for row, n in enumerate(batch.lengths):
            if n:
                errors += np.abs(batch.targets.values[row][batch.targets.known[row]]).tolist()
    assert data.facts["persistence_mae"] == pytest.approx(np.mean(errors), rel=1e-6)
    by_hand = []
    for start in data.test.starts:
        seen = data.test.values[start : start + 24]
        after = data.test.values[start + 24 : start + 30]
        last = [column[~np.isnan(column)][-1] for column in seen.T]
        by_hand += np.abs(after - last)[~np.isnan(after)].tolist()
    assert data.facts["persistence_mae"] == pytest.approx(np.mean(by_hand), rel=1e-5)


def test_forecasts_of_nothing_are_persistence(tmp_path):
    config = make("forecasting", tmp_path)
    task = find_task("forecasting")
    data = task.load(config)
    params = jax.tree.map(jnp.zeros_like, init_model(jax.random.key(0), config.model, data.shape))
    found = measure.evaluate(config, task, params, data.test)
    assert found["mae"] == pytest.approx(data.facts["persistence_mae"], rel=1e-5)
    split = task.read(config, data.about, config.data.path)
    head, *rows = task.table(config, data.about, split, partial(measure.run, config, task, params))
    assert head == ["step", "when", "wave (m)", "load kW"]
    assert len(rows) == 6
    assert rows[0][1] == "2024-01-17T16:00"
    with open(config.data.path, encoding="utf-8") as file:
        last = list(csv.reader(file))[-1]
    for row in rows:
        assert float(row[2]) == pytest.approx(float(last[1]), rel=1e-4)
        assert float(row[3]) == pytest.approx(float(last[2]), rel=1e-4)


@pytest.mark.parametrize(("change", "message"), [
    ({"context": 300}, "is too short: of 400 steps, 280 are to train on"),
    ({"context": 300, "horizon": 90}, "need 390, 90 and 90; these would fit: --data.context 110 "
     "--data.horizon 60$"),
    ({"horizon": 70}, "60 for the test; --data.context 24 and --data.horizon 70 need 94, 70 and "
     "70; these would fit: --data.context 24 --data.horizon 60$"),
])  # fmt: skip
def test_tables_that_are_too_short(tmp_path, change, message):
    config = make("forecasting", tmp_path)
    with pytest.raises(InputError, match=message):
        forecasts.load(replace(config, data=replace(config.data, **change)))


@pytest.mark.parametrize(("cell", "message"), [
    (lambda k: k if k > 90 else "", "column 'b' has no value in the training part"),
    (lambda k: 1e300 if k == 50 else k, "the numbers of column 'b' are too large"),
])  # fmt: skip
def test_columns_that_cannot_be_learned_from(tmp_path, cell, message):
    path = tmp_path / "odd.csv"
    path.write_text("a,b\n" + "\n".join(f"{k},{cell(k)}" for k in range(100)))
    data = Table(path=str(path), context=8, horizon=2)
    with pytest.raises(InputError, match=message):
        forecasts.load(Forecasting(data=data))


@pytest.mark.parametrize("name", ["classification", "forecasting"])
def test_a_constant_feature_is_not_divided_by_what_rounding_leaves(tmp_path, name):
    """Numbers that differ in their last bit are a constant: a mean of 0.1 may be off by as much."""
    constant = np.where(np.arange(999) % 2, 0.1, np.nextafter(0.1, 1))
    assert 0 < constant.std() < 1e-16
    found, deviation = mean_and_deviation("a", constant[:, None], ["x"])
    assert (found[0], deviation[0]) == (pytest.approx(0.1), 1.0)
    other = np.random.default_rng(0).normal(size=999)
    path = str(tmp_path / "a.npz")
    if name == "forecasting":
        np.savez(path, values=np.stack([constant, other], 1))
        config = Forecasting(data=Table(path=path, context=8, horizon=2))
    else:
        inputs = np.stack([constant, other], 1).reshape(111, 9, 2)
        np.savez(path, inputs=inputs, labels=np.arange(111) % 2)
        config = Classification(data=Series(path=path))
    spread = find_task(name).load(config).about["spread"]
    assert spread[0] == 1.0
    assert 0.5 < spread[1] < 2


def test_another_table_needs_the_times_that_were_learned_from(tmp_path):
    config = make("forecasting", tmp_path)
    data = forecasts.load(config)
    lines = Path(config.data.path).read_text(encoding="utf-8").splitlines()
    path = tmp_path / "other.csv"
    path.write_text(
        "\n".join([lines[0], *lines[1:100], "n/a," + lines[100].partition(",")[2], *lines[101:]])
    )
    with pytest.raises(InputError, match="the time 'n/a' is neither a number nor a date"):
        forecasts.read(config, data.about, str(path))
    path.write_text("\n".join(line.partition(",")[2] for line in lines))
    with pytest.raises(InputError, match="has no column 'when'"):
        forecasts.read(config, data.about, str(path))


def in_german(path, first, rows):
    """A monthly table of a spreadsheet in German: commas for decimals, days first, a sentinel."""
    lines = ["Datum;Preis $;Menge $;Ort"]
    for k in range(rows):
        year, month = divmod(first + k, 12)
        price = "-999" if k % 9 == 5 else f"{np.sin(k):.3f}".replace(".", ",")
        lines.append(f"28.{month + 1:02}.{year};{price};1.234,{k % 10};hier")
    path.write_text("\n".join(lines), encoding="latin-1")
    return str(path)


def test_another_table_is_read_as_that_of_the_run(tmp_path):
    """Other tables use the flags of the run, and its order of day and month if ambiguous."""
    path = in_german(tmp_path / "a.csv", 2000 * 12, 200)
    data = Table(
        path=path, context=12, horizon=3, rows=8, decimal="comma", thousands="point",
        missing=("-999",), encoding="latin-1",
    )  # fmt: skip
    config = Forecasting(data=data, model=Model(hidden=(8,)))
    task = find_task("forecasting")
    loaded = task.load(config)
    assert loaded.about["date_order"] == "dmy"
    assert loaded.facts["missing_spellings"] == {"-999": 22}
    assert loaded.facts["step_of_time"] == "1 month, on day 28"
    assert loaded.facts["left_out"] == {"Ort": "holds text, such as 'hier'"}
    params = init_model(jax.random.key(0), config.model, loaded.shape)
    apply_to = partial(measure.run, config, task, params)
    other = Path(in_german(tmp_path / "b.csv", 2020 * 12, 13))
    other.write_bytes(other.read_bytes().replace(b"\n28.", b"\n02."))
    saved = json.loads(json.dumps(loaded.about))
    split = task.read(config, saved, str(other))
    head, *rows = task.table(config, saved, split, apply_to)
    assert head == ["step", "Datum", "Preis $", "Menge $"]
    assert [row[1] for row in rows] == ["02.02.2021", "02.03.2021", "02.04.2021"]
    figure = Figure()
    task.draw(figure, config, loaded, apply_to)
    figure.savefig(io.BytesIO(), format="png")
    labels = [text.get_text() for text in figure.axes[-1].get_xticklabels()]
    assert set(filter(None, labels)) < set(loaded.test.times)


def test_runs_of_before_are_read(tmp_path):
    """Their configs lack the flags, and what they kept of the table lacks the order of dates."""
    config = make("forecasting", tmp_path)
    about = forecasts.load(config).about
    del about["date_order"]
    values = to_values(config)
    values["data"] = {key: values["data"][key] for key in ("path", "context", "horizon", "rows")}
    old = check_config(values, "old")
    split = forecasts.read(old, about, config.data.path)
    assert split.times[-1] == "2024-01-17T15:00"
