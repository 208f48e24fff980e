"""Whole runs: what they write, how they go on, and what stops them."""

import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import safetensors.numpy

from tests.support.browser import open_browser
from tests.support.runs import (
    ROOT,
    command,
    lines_of,
    newest,
    run_command,
    run_here,
    tiny,
    write_text_file,
)
from train.config.load import read_config
from train.config.settings import Model, Optimizer, Regularize
from train.engine import checkpoint, loop
from train.engine.measure import evaluate
from train.errors import InputError, RunError, Terminated
from train.output.folder import open_folder
from train.output.weights import load_weights
from train.sample import Command, sample
from train.tasks import char_lm

SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run: its config, its folder, its result and what it showed."""
    folder = tmp_path_factory.mktemp("finished")
    config = tiny(write_text_file(folder))
    out = folder / "run"
    result, shown = run_here(config, out)
    return config, out, result, shown


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


def test_the_same_config_gives_the_same_bits(finished, tmp_path):
    config, out, _, _ = finished
    run_here(config, tmp_path / "again")
    again = (tmp_path / "again" / "params.safetensors").read_bytes()
    assert again == (out / "params.safetensors").read_bytes()
    run_here(replace(config, seed=1), tmp_path / "other")
    assert (tmp_path / "other" / "params.safetensors").read_bytes() != again


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


@pytest.mark.parametrize("step", [4, 18, *(pytest.param(k, marks=SLOW) for k in (10, 34, 40))])
def test_going_on_is_bit_for_bit(finished, tmp_path, monkeypatch, step):
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
def test_more_steps_go_on(finished, tmp_path):
    config, _, _, _ = finished
    out = tmp_path / "run"
    run_here(config, out)
    result, shown = run_here(replace(config, steps=50), out)
    assert "resuming from checkpoint 40" in shown
    assert result is not None
    assert result["steps"] == 50
    assert lines_of(out)[-1]["step"] == 50
    assert read_config(out / "config.toml").steps == 50


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


def test_a_changed_text_is_refused(finished, tmp_path):
    config, _, _, _ = finished
    path = write_text_file(tmp_path)
    config = tiny(path, steps=10)
    out = tmp_path / "run"
    run_here(config, out)
    path.write_text(path.read_text(encoding="utf-8")[:-1] + "!", encoding="utf-8")
    with pytest.raises(InputError, match=r"does not hold the data that the run in .* started with"):
        run_here(replace(config, steps=20), out)


def test_a_folder_that_is_no_run_is_refused(finished, tmp_path):
    config = finished[0]
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="exists and holds no run; choose another"):
        run_here(config, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_place_that_cannot_be_written_is_refused(finished, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write to --out .*: Not a directory"):
        run_here(finished[0], tmp_path / "file" / "run")


def test_a_folder_in_use_is_refused(finished):
    """A second process on the same folder; in one process a second descriptor is as good."""
    config, out, _, _ = finished
    with open_folder(out, config), pytest.raises(InputError, match="is in use by another process"):
        run_here(config, out)
    result, _ = run_here(config, out)
    assert result is None


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    rate = Optimizer(learning_rate=1e30, final_learning_rate=1e30, warmup=25)
    config = tiny(write_text_file(tmp_path), optimizer=rate, checkpoint_every=1)
    out = tmp_path / "run"
    with pytest.raises(
        RunError, match=r"the loss is (nan|inf) at step \d+; checkpoint \d+ is not affected"
    ) as caught:
        run_here(config, out)
    step = int(str(caught.value).split("at step ")[1].split(";")[0])
    found, complaints = checkpoint.newest(out / "checkpoints")
    assert found is not None
    assert not complaints
    assert found.step == step - 2  # one step later the loss ahead was already lost
    assert not (out / "result.json").exists()


@pytest.mark.parametrize("steps", [1, 2])
def test_a_state_that_cannot_go_on_is_not_kept(tmp_path, steps):
    """The loss of the step itself is finite; the weights that it leaves are useless."""
    rate = Optimizer(learning_rate=1e38, final_learning_rate=1e38, warmup=0)
    config = tiny(write_text_file(tmp_path), optimizer=rate, checkpoint_every=1, steps=steps)
    with pytest.raises(RunError, match=r"the loss is (nan|inf) at step 2; there is no checkpoint"):
        run_here(config, tmp_path / "run")
    assert not list((tmp_path / "run" / "checkpoints").iterdir())
    assert not (tmp_path / "run" / "result.json").exists()


def test_lines_of_metrics_that_are_no_metrics_are_dropped(finished, tmp_path):
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


FULL_DISK = """
import resource, sys
from train.__main__ import main
from train.config.command import run
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
run(main, "train", "interrupted")
"""


@SLOW
@pytest.mark.parametrize(("validate_every", "message"), [
    (40, r"cannot write checkpoint 20 to .*; earlier checkpoints are not affected"),
    (20, r"cannot write .*/best.safetensors: File too large; checkpoints are not affected"),
])  # fmt: skip
def test_a_disk_that_fills(finished, tmp_path, validate_every, message):
    """A limit on file sizes gives the errors of a full disk: here, once weights are written."""
    config, _, _, _ = finished
    out = tmp_path / "run"
    run_here(replace(config, steps=10), out)
    assert newest(out) == 10
    args = command(config, out)
    process = subprocess.run(
        [args[0], "-c", FULL_DISK, "4096", *args[3:], "--log.validate_every", str(validate_every)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert process.returncode == 1, process.stderr
    assert re.fullmatch(rf"train: {message}\n", process.stderr)
    assert [p.name for p in (out / "checkpoints").iterdir()] == ["10"]
    _, shown = run_here(config, out)
    assert "resuming from checkpoint 10" in shown


@pytest.mark.slow
def test_a_reader_that_has_enough(finished):
    """As `head`: it closes the pipe, which holds 64 KiB, before all is written."""
    args = [sys.executable, "-m", "train.sample", str(finished[1]), "--length", "200000"]
    process = subprocess.Popen(args, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 128 + signal.SIGPIPE


def test_sampling(finished):
    out = finished[1]
    written = sample(Command(out, prompt="one t", length=50, temperature=0.5))
    assert written.startswith("one t")
    assert len(written) == 55
    assert sample(Command(out, prompt="one t", length=50, temperature=0.5)) == written
    assert sample(Command(out, prompt="one t", length=50, temperature=0.5, seed=1)) != written


@pytest.mark.parametrize(("change", "message"), [
    ({"prompt": "QX"}, "--prompt holds 'QX', which the run's text does not"),
    ({"prompt": ""}, "--prompt must have at least one character"),
    ({"seed": -1}, r"--seed must be 0 or more and below 2\*\*32, got -1"),
    ({"length": 0}, "--length must be 1 or more, got 0"),
    ({"temperature": -1.0}, "--temperature must be 0 or more, got -1.0"),
    ({"temperature": math.nan}, "--temperature must be 0 or more, got nan"),
])  # fmt: skip
def test_sampling_complaints(finished, change, message):
    with pytest.raises(InputError, match=message):
        sample(replace(Command(finished[1]), **change))


def test_sampling_without_a_finished_run(tmp_path):
    with pytest.raises(InputError, match=r"holds no finished run: there is no params.safetensors"):
        sample(Command(tmp_path))


@pytest.mark.parametrize("about", [
    None, "[]", "{", "5", '{"kind": "train"}', '{"kind": "train", "config": {}, "shape": []}',
    '{"kind": "other", "config": {"task": "char_lm"}, "shape": [2, 0, 2], "about": {}}',
    '{"kind": "train", "config": {"task": "char_lm"}, "shape": [2, 0], "about": {}}',
])  # fmt: skip
def test_sampling_from_a_foreign_file(tmp_path, about):
    metadata = None if about is None else {"jlstm": about}
    data = safetensors.numpy.save({"a": np.zeros(3)}, metadata)
    for content in (data, data[:20], b""):
        (tmp_path / "params.safetensors").write_bytes(content)
        with pytest.raises(InputError, match="holds no trained model") as caught:
            sample(Command(tmp_path))
        assert "\n" not in str(caught.value)


def test_sampling_from_weights_of_another_shape(finished, tmp_path):
    whole = (finished[1] / "params.safetensors").read_bytes()
    with safetensors.safe_open(finished[1] / "params.safetensors", framework="np") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    rows = len(tensors["embedding"])
    tensors["embedding"] = tensors["embedding"][:-1]
    assert whole == (finished[1] / "params.safetensors").read_bytes()
    (tmp_path / "params.safetensors").write_bytes(safetensors.numpy.save(tensors, metadata))
    message = rf"embedding should be \({rows}, 8\), found \({rows - 1}, 8\)"
    with pytest.raises(InputError, match=message):
        sample(Command(tmp_path))


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
    assert "has finished" in shown
    (out / "result.json").unlink()
    again, _ = run_here(config, out)  # killed before the report: no step is taken
    assert again is not None
    assert (again["steps"], again["test"]) == (16, result["test"])


def test_sigterm_saves_and_ends(finished, tmp_path):
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


def test_a_call_to_end_in_this_process_costs_no_bit(finished, tmp_path, monkeypatch):
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


@pytest.mark.slow
def test_tensorboard(finished, tmp_path):
    config = replace(finished[0], log=replace(finished[0].log, tensorboard=True), steps=20)
    out = tmp_path / "run"
    run_here(config, out)
    (events,) = (out / "tensorboard").iterdir()
    data = events.read_bytes()
    for name in (b"train/bits_per_char", b"validation/bits_per_char", b"learning/rate", b"sample"):
        assert name in data


@pytest.mark.parametrize(("model", "message"), [
    (Model(bidirectional=True), "model.bidirectional would reveal the next step to char_lm"),
    (Model(cell="projected"), "model.projection requires .* the reverse: got None with"),
    (Model(projection=3), "model.projection requires .* the reverse: got 3 with 'lstm'"),
    (Model(tie_weights=True), "model.tie_weights needs model.embedding = 64 to equal .* 256"),
    (Model(cell="gru", implementation="fused"), "'fused' supports the LSTM only, got 'gru'"),
])  # fmt: skip
def test_models_that_do_not_fit_the_task(finished, tmp_path, model, message):
    with pytest.raises(InputError, match=message):
        run_here(replace(finished[0], model=model), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("model", "rates", "message"), [
    (Model(cell="gru"), Regularize(zoneout_c=0.1), "zoneout_c = 0.1 needs a cell with c; 'gru'"),
    (Model(implementation="fused"), Regularize(zoneout_h=0.1), "does not support zoneout: got"),
])  # fmt: skip
def test_zoneout_that_does_not_fit_the_model(finished, tmp_path, model, rates, message):
    with pytest.raises(InputError, match=message):
        run_here(replace(finished[0], model=model, regularize=rates), tmp_path / "run")


def test_the_command_prints_a_config(finished, tmp_path):
    config = finished[0]
    args = command(config, tmp_path / "run", "--print_config", "--steps", "7")
    process = subprocess.run(args, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert "# not set: model.projection, model.implementation" in process.stdout
    (tmp_path / "printed.toml").write_text(process.stdout)
    assert read_config(tmp_path / "printed.toml") == replace(config, steps=7)
    assert not (tmp_path / "run").exists()


def test_the_command_lists_its_configs():
    process = run_command()
    assert process.returncode == 0
    assert "configs/char_lm.toml" in process.stdout
    assert "A character language model" in process.stdout


def test_the_command_explains_its_flags():
    process = run_command("--help")
    assert process.returncode == 0
    for words in ("--print-config", "configs/co2.toml", "train.evaluate", "train.predict"):
        assert words in process.stdout
    process = run_command("configs/char_lm.toml", "--help")
    assert process.returncode == 0
    for flag in ("--out", "--seed", "--steps", "--checkpoint_every", "--data.path", "--model.cell"):
        assert flag in process.stdout


@pytest.mark.parametrize(("flags", "message"), [
    (["nowhere.toml"], "cannot read the config nowhere.toml: No such file or directory"),
    (["configs/char_lm.toml", "--foo", "3"], "Unrecognized options: --foo"),
    (["configs/char_lm.toml", "--model.hiden", "3"], "did you mean --model.hidden?"),
    (["configs/char_lm.toml", "--model.hidden", "8,4"],
     "with spaces between them: --model.hidden 8 4"),
    (["configs/co2.toml", "--data.delimiter", ";"],
     "invalid choice ';' for --data.delimiter, which is one of comma, pipe, semicolon, space, tab; "
     "did you mean semicolon?"),
    (["configs/co2.toml", "--data.path", "configs"], "Is a directory; name a file"),
    (["configs/char_lm.toml", "--steps"], "Missing value for argument '--steps'"),
    (["configs/char_lm.toml", "--steps", "many"], "Error parsing --steps: invalid literal"),
    (["configs/char_lm.toml", "--steps", "0"], "command line: steps: should be greater than or"),
    (["configs/char_lm.toml", "--data.path", "nowhere"], "cannot read data.path nowhere"),
    (["--steps", "3"], "name a config before --steps"),
    (["--print-config", "a.toml"], "as in: python -m train a.toml --print-config"),
    (["co2"], "there is no config co2; one is configs/co2.toml"),
])  # fmt: skip
def test_bad_commands_get_one_line_and_status_2(flags, message, tmp_path):
    process = run_command(*flags, "--out", str(tmp_path / "run"))
    assert process.returncode == 2
    assert process.stderr.startswith("train: ")
    assert message in process.stderr
    assert process.stderr.count("\n") == 1
    assert not process.stdout
    assert not (tmp_path / "run").exists()


def test_the_command_from_end_to_end(finished, tmp_path):
    """Flags before the config's values, the file's before the defaults; then text from the run."""
    config, _, _, _ = finished
    out = tmp_path / "run"
    args = command(config, out, "--steps", "12", "--sample.length", "5")
    process = subprocess.run(args, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert not process.stderr
    assert "bits_per_char" in process.stdout
    kept = read_config(out / "config.toml")
    assert (kept.steps, kept.sample.length, kept.model.hidden) == (12, 5, (16,))
    process = run_command(str(out), "--prompt", "one", "--length", "9", module="train.sample")
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("one")
    assert len(process.stdout) == 3 + 9 + 1


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


@pytest.mark.parametrize("screen", [{"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii"}])
def test_errors_have_their_words_on_any_screen(screen):
    command = [sys.executable, "-m", "train", "configs/char_lm.toml", "--model.hiden", "3"]
    environment = os.environ | screen
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert process.stderr.endswith("did you mean --model.hidden?\n")
