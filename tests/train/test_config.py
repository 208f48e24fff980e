"""Configs: defaults, files, complaints, and what makes two of them the same run."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from tests.support.runs import ROOT, TINY
from train.config.load import differences, read_config, to_toml
from train.config.settings import Log
from train.config.tasks import CONFIGS, Classification, Forecasting, Text
from train.errors import InputError


def test_a_resolved_config_reads_back_the_same(tmp_path):
    config = replace(TINY, data=replace(TINY.data, path='a "b" \\ ü.txt'), seed=7)
    path = tmp_path / "config.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    assert read_config(path) == config


@pytest.mark.parametrize("kind", [Classification, Forecasting])
def test_how_a_table_is_written_is_said_alike(tmp_path, kind):
    """Keys that stood in no config before have defaults, so that older runs go on."""
    data = kind().data
    written = replace(
        data, missing=("-999", "x"), decimal="comma", thousands="point", date_order="dmy",
        delimiter="semicolon", encoding="latin-1", skip=3, sheet="Daten",
    )  # fmt: skip
    path = tmp_path / "config.toml"
    path.write_text(to_toml(kind(data=written)), encoding="utf-8")
    assert read_config(path) == kind(data=written)
    path.write_text(f'task = "{kind.task}"\n[data]\nrows = {data.rows}\n')
    assert read_config(path) == kind()
    keys = [field.name for field in fields(data)]
    assert keys[:4] == ["path", "time", "columns", "missing"]


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda p: p.name)
def test_shipped_configs(path):
    config = read_config(path)
    assert config != CONFIGS[config.task]()  # it holds something
    assert path.read_text().startswith("# ")  # the line that `python -m train` lists


@pytest.mark.parametrize(("toml", "message"), [
    ("stepz = 3", "unknown key stepz"),
    ("[data]\nrowz = 3", "unknown key data.rowz"),
    ("steps = 0", "steps: should be greater than or equal to 1, got 0"),
    ("steps = 2.5", "steps: should be a valid integer, got 2.5"),
    ('steps = "3"', "steps: should be a valid integer, got '3'"),
    ("steps = true", "steps: should be a valid integer, got True"),
    ("[data]\nrows = 1000000000000", "data.rows: should be less than or equal to 65536, got 1000"),
    ("[model]\nhidden = [2000000]", "model.hidden.0: should be less than or equal to 1048576"),
    ("seed = -1", "seed: should be greater than or equal to 0, got -1"),
    ("[optimizer]\nlearning_rate = 0", "learning_rate: should be greater than 0, got 0"),
    ("[optimizer]\nlearning_rate = nan", "optimizer.learning_rate: should be"),
    ("[optimizer]\nlearning_rate = inf", "optimizer.learning_rate: should be a finite number"),
    ("[data]\ntest = 0.6", "data.test: should be less than 0.5, got 0.6"),
    ("[data]\npath = 3", "data.path: should be a valid string, got 3"),
    ("data = 3", "data: should be an object, got 3"),
    ("steps = ", "is not TOML"),
    ("a = 1979-05-27", "unknown key a"),
    ('task = "classification"\n[data]\nsheets = "a"', "unknown key data.sheets"),
    ('task = "classification"\n[data]\nskip = -1', "data.skip: should be greater than or equal to"),
    ('task = "forecasting"\n[data]\ndecimal = "dot"', "data.decimal: should be 'point' or 'comma'"),
    ("[model]\nhidden = 3", "model.hidden: should be a valid array, got 3"),
    ("[model]\nhidden = []", "model.hidden: Tuple should have at least 1 item after validation"),
    ("[model]\nhidden = [-3]", "hidden.0: should be greater than or equal to 1, got -3$"),
    ('[model]\ncell = "transformer"', "model.cell: should be 'lstm', 'projected', 'peephole'"),
    ("[regularize]\nlayers = 1.0", "regularize.layers: should be less than 1, got 1.0"),
    ('task = ["char_lm"]', r"task must be one of char_lm.* got \['char_lm'\]"),
    ('task = "chess"', "task must be one of char_lm, classification, forecasting, piano_roll; got"),
])  # fmt: skip
def test_complaints(tmp_path, toml, message):
    path = tmp_path / "bad.toml"
    path.write_text(toml if toml.startswith("task") else f'task = "char_lm"\n{toml}')
    with pytest.raises(InputError, match=message) as caught:
        read_config(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_complaints_in_one_line(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text('task = "char_lm"\nstepz = 1\nseed = -1\n')
    with pytest.raises(InputError, match=r"seed: should be.*; unknown key stepz"):
        read_config(path)


def test_a_missing_config():
    with pytest.raises(InputError, match=r"cannot read the config nowhere.toml: No such file"):
        read_config(Path("nowhere.toml"))


@pytest.mark.parametrize(("change", "found"), [
    ({"checkpoint_every": 3}, []),
    ({"log": Log(every=3)}, []),
    ({"steps": 41}, []),
    ({"steps": 39}, ["steps (40 before, 39 now)"]),
    ({"seed": 5}, ["seed (0 before, 5 now)"]),
    ({"optimizer": replace(TINY.optimizer, clip=2.0)}, ["optimizer.clip (1.0 before, 2.0 now)"]),
    ({"data": Text(rows=4, chunk=16, path="x")}, []),
    ({"data": Text(rows=5, chunk=16)}, ["data.rows (4 before, 5 now)"]),
])  # fmt: skip
def test_what_makes_another_run(change, found):
    assert differences(TINY, replace(TINY, **change)) == found


def test_another_task_is_another_run():
    assert differences(TINY, Forecasting()) == ["task (char_lm before, forecasting now)"]


def test_a_config_without_a_task(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("steps = 3")
    with pytest.raises(InputError, match=r"task must be one of char_lm.*got None"):
        read_config(path)
