"""`python -m train`: its flags, its errors in one line, and models that do not fit a task."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.support.runs import (
    ROOT,
    command,
    run_command,
    run_here,
)
from train.config.load import read_config
from train.config.settings import Model, Regularize
from train.errors import InputError


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
    for words in ("--print_config", "configs/co2.toml", "train.evaluate", "train.predict"):
        assert words in process.stdout
    process = run_command("configs/char_lm.toml", "--help")
    assert process.returncode == 0
    for flag in ("--out", "--seed", "--steps", "--checkpoint_every", "--data.path", "--model.cell"):
        assert flag in process.stdout


@pytest.mark.sampled
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


@pytest.mark.sampled
@pytest.mark.parametrize("screen", [{"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii"}])
def test_errors_have_their_words_on_any_screen(screen):
    command = [sys.executable, "-m", "train", "configs/char_lm.toml", "--model.hiden", "3"]
    environment = os.environ | screen
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert process.stderr.endswith("did you mean --model.hidden?\n")
