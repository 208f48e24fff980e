"""The tasks beside text: their batches, figures, tables and pictures, and whole runs of each."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

import jlstm
from tests.support.runs import ROOT, command, run_command, run_here
from tests.support.small import make
from train.config.load import check_config, to_values
from train.config.settings import Model
from train.config.tasks import CONFIGS, Classification, Forecasting, PianoRoll, Rolls, Series, Table
from train.engine import measure, step
from train.errors import InputError
from train.evaluate import main as evaluate_main
from train.model import apply, init_model
from train.tasks import Data, Task, find_task
from train.tasks import forecasting as forecasts
from train.tasks.normalize import mean_and_deviation

RNG = np.random.default_rng(0)
NAMES = ("classification", "forecasting", "piano_roll")


def test_packed_pieces_are_read_as_if_alone(tmp_path):
    """Rows of several pieces: the loss of all is that of the pieces one by one."""
    alone = make("piano_roll", tmp_path)
    task = find_task("piano_roll")
    data = task.load(alone)
    bins = int(jlstm.plan_packing([len(roll) - 1 for roll in data.train], 64).row.max()) + 1
    assert 1 < bins < len(data.train)
    packed = replace(alone, data=replace(alone.data, packed=64, rows=1))
    params = init_model(jax.random.key(0), packed.model, data.shape)
    batches = task.batches(packed, data)
    total = steps = pieces = 0
    for k in range(bins):  # an epoch
        batch = batches[k]
        assert batch.inputs.shape == (1, 64, 88)
        pieces += batch.resets.sum()
        loss, _ = step.batch_loss(packed, task, params, (), batch, None)
        total, steps = total + float(loss) * batch.lengths.sum(), steps + batch.lengths.sum()
    found = measure.evaluate(alone, task, params, data.train)
    assert pieces == len(data.train)
    assert steps == sum(len(roll) - 1 for roll in data.train)
    assert total / steps == pytest.approx(found["nll_per_step"], rel=1e-5)
    again = task.batches(packed, data)[5]
    jax.tree.map(np.testing.assert_array_equal, again, batches[5])


def test_rows_too_short_for_a_piece_are_refused(tmp_path):
    config = make("piano_roll", tmp_path)
    config = replace(config, data=replace(config.data, packed=10))
    task = find_task("piano_roll")
    with pytest.raises(InputError, match=r"data.packed = 10 steps are too few for a piece of \d\d"):
        task.batches(config, task.load(config))


def test_a_process_makes_its_rows_alone(loaded):
    """The rows of two processes, one after the other, are those of one."""
    config, task, data, _ = loaded
    half = config.data.rows // 2
    for k in (0, 5):
        whole = task.batches(config, data)[k]
        parts = [
            task.batches(config, data, part)[k] for part in (slice(0, half), slice(half, None))
        ]
        jax.tree.map(
            lambda a, *b: np.testing.assert_array_equal(a, np.concatenate(b)), whole, *parts
        )
    for whole, *parts in zip(
        task.in_order(config, data.test, 4),
        task.in_order(config, data.test, 4, slice(0, 1)),
        task.in_order(config, data.test, 4, slice(1, None)),
        strict=True,
    ):
        jax.tree.map(
            lambda a, *b: np.testing.assert_array_equal(a, np.concatenate(b)), whole, *parts
        )


@pytest.fixture(scope="module", params=NAMES)
def loaded(request, tmp_path_factory):
    """`(config, task, data, params)` with weights that were drawn."""
    config = make(request.param, tmp_path_factory.mktemp(request.param))
    task = find_task(config.task)
    data = task.load(config)
    params = init_model(jax.random.key(0), config.model, data.shape)
    noise = np.random.default_rng(1)
    params = jax.tree.map(
        lambda p: p + 0.1 * jnp.asarray(noise.normal(size=p.shape), p.dtype), params
    )
    return config, task, data, params


def test_every_task_is_known():
    assert {find_task(name) for name in CONFIGS} == {find_task(name) for name in CONFIGS}
    for name in CONFIGS:
        assert isinstance(find_task(name), Task)
        assert (ROOT / "train" / "tasks" / f"{name}.py").exists()


def test_the_batch_of_a_step_is_a_function_of_the_step(loaded):
    config, task, data, _ = loaded
    first, again = task.batches(config, data), task.batches(config, data)
    for k in (7, 0, 31):
        jax.tree.map(np.testing.assert_array_equal, first[k], again[k])
    assert (first[0].inputs.shape != first[1].inputs.shape) or (
        first[0].inputs != first[1].inputs
    ).any()
    batch = first[3]
    assert batch.inputs.dtype == np.float32
    assert len(batch.inputs) == config.data.rows
    assert batch.first.all()


def test_padding_and_the_rows_that_fill_up_change_no_figure(loaded):
    """A split in batches of 1, of the config's rows, and all at once."""
    config, task, data, params = loaded
    count = sum(int((b.lengths > 0).sum()) for b in task.in_order(config, data.test, 3))
    figures = [
        measure.evaluate(
            replace(config, data=replace(config.data, rows=rows)), task, params, data.test
        )
        for rows in (1, config.data.rows, count + 1)
    ]
    for other in figures[1:]:
        assert other == pytest.approx(figures[0], rel=1e-5)
    assert task.headline in figures[0]
    assert task.baseline in data.facts


def test_the_loss_is_the_mean_over_all_items(loaded):
    """The loss of a batch equals that of its sequences one by one, weighted by items."""
    config, task, data, params = loaded
    batch = task.batches(config, data)[0]
    whole, _ = step.batch_loss(config, task, params, (), batch, None)
    total = count = 0.0
    for row, n in enumerate(batch.lengths):
        one = jax.tree.map(lambda a, r=row: a[r : r + 1], batch)
        cut = one._replace(inputs=one.inputs[:, :n])
        if task.per_step:
            cut = cut._replace(targets=one.targets[:, :n])
        _, outputs, _ = apply(config, params, None, cut.inputs, per_step=task.per_step)
        part, items = task.loss(outputs, cut)
        total, count = total + float(part), count + float(items)
    assert float(whole) == pytest.approx(total / count, rel=1e-5)


def test_a_figure_is_drawn(loaded):
    config, task, data, params = loaded
    figure = Figure(figsize=(9, 6))
    task.draw(figure, config, data, partial(measure.run, config, task, params))
    image = io.BytesIO()
    figure.savefig(image, format="png")
    assert len(image.getvalue()) > 5_000


def test_splits_share_nothing(loaded):
    config, _, data, _ = loaded
    if config.task == "forecasting":
        train, valid, test = data[:3]
        horizon = config.data.horizon
        last = [split.starts[-1] + split.context + horizon for split in (train, valid)]
        first = [split.starts[0] + split.context for split in (valid, test)]
        assert all(a <= b for a, b in zip(last, first, strict=True))
        return
    rows = [
        a.tobytes() for split in data[:3]
        for a in (split.sequences if config.task == "classification" else split)
    ]  # fmt: skip
    assert config.task == "piano_roll" or len(set(rows)) == len(rows)


# Classification.


def test_accuracy_and_cross_entropy(tmp_path):
    config = make("classification", tmp_path)
    task = find_task(config.task)
    data = task.load(config)
    assert data.about["classes"] == ["early", "late"]
    params = init_model(jax.random.key(0), config.model, data.shape)
    params = params._replace(
        output_weight=0 * params.output_weight, output_bias=jnp.array([1.0, 0.0])
    )
    found = measure.evaluate(config, task, params, data.test)
    early = (data.test.labels == 0).mean()
    p = np.e / (1 + np.e)
    assert found["accuracy"] == pytest.approx(early)
    expected = -(early * np.log(p) + (1 - early) * np.log(1 - p))
    assert found["cross_entropy"] == pytest.approx(expected, rel=1e-5)
    counts = np.bincount(data.train.labels)
    assert data.facts["majority_accuracy"] == (data.test.labels == counts.argmax()).mean()
    joined = np.concatenate(data.train.sequences)
    np.testing.assert_allclose(joined.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(joined.std(0), 1, atol=1e-5)


def test_a_file_to_predict_for_may_have_no_classes(tmp_path):
    config = make("classification", tmp_path)
    task = find_task(config.task)
    data = task.load(config)
    params = init_model(jax.random.key(0), config.model, data.shape)
    np.savez(tmp_path / "new.npz", inputs=RNG.normal(size=(3, 7, 3)))
    split = task.read(config, data.about, str(tmp_path / "new.npz"))
    head, *rows = task.table(config, data.about, split, partial(measure.run, config, task, params))
    assert head == ["sequence", "class", "predicted", "p(early)", "p(late)"]
    assert [row[1] for row in rows] == [""] * 3
    assert all(float(row[3]) + float(row[4]) == pytest.approx(1, abs=2e-4) for row in rows)
    np.savez(tmp_path / "new.npz", inputs=RNG.normal(size=(3, 7, 2)))
    with pytest.raises(InputError, match="has 2 features, the run's data 3"):
        task.read(config, data.about, str(tmp_path / "new.npz"))


@pytest.mark.parametrize(("labels", "message"), [
    (["a"] * 9 + ["b"], "no sequence of class b is left to train on|too few"),
    (["a"] * 30, "has only one class, a"),
    (["a", "b"], "has too few sequences"),
])  # fmt: skip
def test_classes_that_cannot_be_learned(tmp_path, labels, message):
    path = tmp_path / "few.npz"
    np.savez(path, inputs=RNG.normal(size=(len(labels), 4, 1)), labels=labels)
    for seed in range(20):
        config = Classification(seed=seed, data=Series(path=str(path), test=0.4))
        try:
            find_task("classification").load(config)
        except InputError as error:
            assert any(part in str(error) for part in message.split("|"))  # noqa: PT017
            return
    pytest.fail("nothing was refused")


# Forecasting.


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


# Piano rolls.


def test_a_model_that_knows_nothing_pays_88_bits(tmp_path):
    config = make("piano_roll", tmp_path)
    task = find_task("piano_roll")
    data = task.load(config)
    params = jax.tree.map(jnp.zeros_like, init_model(jax.random.key(0), config.model, data.shape))
    found = measure.evaluate(config, task, params, data.test)
    assert found["nll_per_step"] == pytest.approx(88 * np.log(2), rel=1e-6)
    chance = (np.concatenate(data.train).sum(0) + 1) / (len(np.concatenate(data.train)) + 2)
    params = params._replace(output_bias=jnp.log(chance) - jnp.log1p(-chance))
    found = measure.evaluate(config, task, params, data.test)
    expected = data.facts["frequencies_nll_per_step"]
    assert found["nll_per_step"] == pytest.approx(expected, rel=1e-5)


def test_the_chorales():
    path = Path(os.environ.get("JLSTM_DATA", "")) / "JSB_Chorales.mat"
    if not path.exists():
        pytest.skip("JLSTM_DATA names no folder with JSB_Chorales.mat")
    data = find_task("piano_roll").load(PianoRoll(data=Rolls(path=str(path))))
    assert [len(split) for split in data[:3]] == [229, 76, 77]


# Whole runs.


QUICK_RUNS = [
    pytest.param(name, marks=[] if name == "classification" else pytest.mark.slow) for name in NAMES
]


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


def test_going_on_is_bit_for_bit(finished, tmp_path):
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
