"""`train.evaluate` and `train.predict` on tables that are written unlike that of the run."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.support.runs import run_here
from tests.support.small import make, untrained
from train.config.settings import Model
from train.config.tasks import Classification, Forecasting, Series, Table
from train.errors import InputError
from train.evaluate import main as evaluate
from train.predict import main as predict

GERMAN = [
    "--data.decimal", "comma", "--data.missing", "-999", "--data.encoding", "latin-1",
    "--data.skip", "1", "--data.date_order", "dmy", "--data.delimiter", "semicolon",
]  # fmt: skip


def in_german(frame, times):
    """Text with commas for decimals, days first, a sentinel and a title."""
    frame = frame.assign(**{times: pd.to_datetime(frame[times]).dt.strftime("%d.%m.%Y %H:%M")})
    text = frame.to_csv(sep=";", decimal=",", na_rep="-999", index=False)
    return ("Temperatur in °C\n" + text).encode("latin-1")


def in_excel(frame):
    file = io.BytesIO()
    with pd.ExcelWriter(file) as book:
        pd.DataFrame({"note": ["by hand"]}).to_excel(book, sheet_name="about", index=False)
        frame.to_excel(book, sheet_name="values", index=False)
    return file.getvalue()


@pytest.fixture(scope="module")
def forecasts(tmp_path_factory):
    """A run on a table with points, and the table."""
    folder = tmp_path_factory.mktemp("forecasts")
    config = make("forecasting", folder)
    return untrained(config, folder / "run"), pd.read_csv(config.data.path)


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """A run on a long table with points, and the table."""
    folder = tmp_path_factory.mktemp("classes")
    rng = np.random.default_rng(0)
    days = pd.date_range("2024-01-28", periods=6)
    frame = pd.concat([
        pd.DataFrame({"id": f"s{k}", "when": days, "x": rng.normal(size=6), "label": "ab"[k % 2]})
        for k in range(12)
    ])  # fmt: skip
    frame.loc[frame["when"] == days[1], "x"] = float("nan")
    frame.to_csv(folder / "a.csv", index=False)
    data = Series(path=str(folder / "a.csv"), time="when", rows=4)
    config = Classification(data=data, model=Model(hidden=(8,)))
    return untrained(config, folder / "run"), frame


def shown(main, capsys, *args):
    main([str(arg) for arg in args])
    return capsys.readouterr().out


@pytest.mark.full
@pytest.mark.parametrize("run", ["forecasts", "classes"])
def test_flags_say_how_another_table_is_written(run, tmp_path, capsys, request):
    """Figures and predictions are those of the same table as the run's was written."""
    folder, frame = request.getfixturevalue(run)
    same, german, excel = (tmp_path / name for name in ("a.csv", "b.csv", "c.xlsx"))
    frame.to_csv(same, index=False)
    german.write_bytes(in_german(frame, "when"))
    excel.write_bytes(in_excel(frame))
    figures = json.loads(shown(evaluate, capsys, folder, "--data.path", same))
    said = list(csv.reader(shown(predict, capsys, folder, "--data.path", same).splitlines()))
    for path, flags in (german, GERMAN), (excel, ["--data.sheet", "values"]):
        with pytest.raises(InputError, match=path.name):
            predict([str(folder), "--data.path", str(path)])
        found = json.loads(shown(evaluate, capsys, *flags, folder, "--data.path", path))
        assert found == pytest.approx(figures, rel=1e-5)
        rows = list(csv.reader(
            shown(predict, capsys, folder, "--data.path", path, *flags).splitlines()
        ))  # fmt: skip
        assert [len(row) for row in rows] == [len(row) for row in said]
        for row, expected in zip(rows[1:], said[1:], strict=True):
            numbers = [float(cell) for cell in row[2:] if cell[:1].isdigit()]
            assert numbers == pytest.approx(
                [float(cell) for cell in expected[2:] if cell[:1].isdigit()], rel=1e-4
            )


def test_flags_of_a_table_without_a_table(forecasts):
    folder, _ = forecasts
    with pytest.raises(InputError, match=r"--data.sheet needs a table: --data.path FILE"):
        evaluate([str(folder), "--data.sheet", "x"])
    with pytest.raises(InputError, match=r"data.skip: should be greater than or equal to 0"):
        evaluate([str(folder), "--data.path", "x.csv", "--data.skip", "-1"])


def test_a_run_of_another_task_has_no_such_flags(tmp_path):
    folder = untrained(make("piano_roll", tmp_path), tmp_path / "run")
    with pytest.raises(InputError, match=r"--data.sheet"):
        evaluate([str(folder), "--data.path", "x.npz", "--data.sheet", "x"])


@pytest.mark.full
def test_a_run_says_which_columns_it_leaves_out(tmp_path):
    path = tmp_path / "a.csv"
    names = ["x", *(f"n{k}" for k in range(7)), "empty"]
    rows = [[f"{k % 9}.5", *["text"] * 7, ""] for k in range(60)]
    path.write_text("\n".join(",".join(row) for row in [names, *rows]))
    data = Table(path=str(path), context=4, horizon=2, rows=4)
    config = Forecasting(data=data, model=Model(hidden=(4,)), steps=2)
    shown = run_here(config, tmp_path / "run")[1]
    line = "left out: 'n0', 'n1', 'n2', 'n3', 'n4', 2 more: holds text, such as 'text'; 'empty': is"
    assert line in shown
    assert shown.count("holds text") == 1
    config = replace(config, data=replace(data, path=str(tmp_path / "b.csv")))
    (tmp_path / "b.csv").write_text("x\n" + "\n".join(f"{k % 9}.5" for k in range(60)))
    assert "left out" not in run_here(config, tmp_path / "run2")[1]


def test_the_table_is_not_overwritten(forecasts, tmp_path):
    run, frame = forecasts
    table = tmp_path / "own.csv"
    frame.to_csv(table, index=False)
    before = table.read_bytes()
    for out in (table, tmp_path / "." / "own.csv"):
        with pytest.raises(InputError, match=r"--out is --data.path, .*: the file would be lost"):
            predict([str(run), "--data.path", str(table), "--out", str(out)])
    assert table.read_bytes() == before
