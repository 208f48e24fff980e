"""The task of one's own in docs/tasks.md: every command runs it, registered in the one place."""

import csv
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.support.pages import content_of
from tests.support.runs import ROOT
from train.config.tasks import CONFIGS
from train.tasks import find_task
from train.viewer import Selection, views

pytestmark = pytest.mark.full  # whole runs

COMMANDS = """
import sys
from importlib import import_module

for line in sys.stdin.read().splitlines():
    module, *flags = line.split()
    print("command", module)
    import_module(module).main(flags)
"""


def blocks():
    """The code blocks of the section: settings, registry, module, config, by their language."""
    page = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    section = page.partition("## A task of your own")[2]
    return re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the program with the task added as the page describes, and its data."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("train", "configs"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    (_, settings), (_, registry), (_, module), (_, config) = blocks()
    path = folder / "train" / "config" / "tasks.py"
    source, found = re.subn(
        r"^CONFIGS = .*\n", lambda match: settings + "\n\n" + registry,
        path.read_text(encoding="utf-8"), flags=re.MULTILINE,
    )  # fmt: skip
    assert found == 1
    path.write_text(source, encoding="utf-8")
    (folder / "train" / "tasks" / "adding.py").write_text(module, encoding="utf-8")
    (folder / "configs" / "adding.toml").write_text(config, encoding="utf-8")
    rng = np.random.default_rng(0)
    inputs = np.zeros((200, 10, 2))
    inputs[..., 0] = rng.uniform(size=(200, 10))
    for example in inputs:
        example[rng.choice(10, 2, replace=False), 1] = 1
    np.savez(folder / "adding.npz", inputs=inputs, sums=inputs.prod(2).sum(1))
    return folder


@pytest.fixture(scope="module")
def shown(folder):
    """The output of each command, by its module."""
    lines = [
        "train.__main__ configs/adding.toml --data.path adding.npz --steps 300 --model.hidden 16 "
        "--out run",
        "train.evaluate run",
        "train.predict run --data.path adding.npz --out predictions.csv",
        "train.inspect run --row 3",
    ]
    process = subprocess.run(
        [sys.executable, "-c", COMMANDS], cwd=folder, input="\n".join(lines), text=True,
        capture_output=True, check=False, timeout=240,
        env={"PATH": "", "PYTHONPATH": f"{folder}:{ROOT}"},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return dict(re.findall(r"command (\S+)\n(.*?)(?=command |\Z)", process.stdout, re.DOTALL))


def test_the_registry_of_the_page_is_that_of_the_program():
    _, registry = blocks()[1]
    names = ", ".join(config.__name__ for config in CONFIGS.values())
    assert f"in ({names}, Adding)" in registry


def test_it_trains(folder, shown):
    result = json.loads((folder / "run" / "result.json").read_text())
    assert result["test"]["mse"] < 0.8 * result["mean_mse"]
    report = (folder / "run" / "report.html").read_text(encoding="utf-8")
    assert "<h1>Adding problem: adding.npz</h1>" in report
    assert "Mean mse" in report
    assert json.loads(shown["train.evaluate"])["mse"] == pytest.approx(result["test"]["mse"])


def test_it_predicts(folder, shown):
    rows = list(csv.reader((folder / "predictions.csv").read_text().splitlines()))
    assert rows[0] == ["sequence", "sum"]
    with np.load(folder / "adding.npz") as data:
        sums = data["sums"]
    found = np.array([float(row[1]) for row in rows[1:]])
    assert ((found - sums) ** 2).mean() < 0.8 * sums.var()
    assert "200 rows are in predictions.csv" in shown["train.predict"]


def test_the_page_shows_its_inputs(folder, shown):
    """A task without a view: the page has the inputs as lines, and no predictions."""
    content = content_of((folder / "run" / "inspect.html").read_text(encoding="utf-8"))
    assert content["title"] == "Adding problem: run"
    assert content["facts"] == "row 3 of 20 sequences, 10 steps"
    assert content["columns"] == ["input 1", "input 2"]
    with np.load(folder / "adding.npz") as data:
        np.testing.assert_allclose(content["values"], data["inputs"][183].T, rtol=1e-6)
    assert not {"predictions", "forecasts", "outcome"} & set(content)
    names = {feature["name"] for feature in content["followed"]}
    assert "input 1" in names
    assert "10 steps of 16 units are in run/inspect.html" in shown["train.inspect"]


def test_a_row_that_is_not_there(tmp_path):
    from tests.support.small import make

    config = make("piano_roll", tmp_path)
    task = find_task("piano_roll")
    data = task.load(config)
    view = views.inputs_view(task, config, {}, data.test, Selection(1, 3, None))
    np.testing.assert_array_equal(view.inputs, data.test[1][:3])
    assert view.facts == f"row 1 of 4 sequences, the first 3 of {len(data.test[1]) - 1} steps"
    message = "--row must be from 0 to 3, of 4 sequences; got 4"
    with pytest.raises(views.InputError, match=message):
        views.inputs_view(task, config, {}, data.test, Selection(4, 4, None))
