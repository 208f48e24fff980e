"""Failures of a run: its folder, its disk, its loss, a closed pipe."""

import re
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.support.runs import (
    ROOT,
    command,
    newest,
    run_here,
    tiny,
    write_text_file,
)
from train.config.settings import Optimizer
from train.engine import checkpoint
from train.errors import InputError, RunError
from train.output.folder import open_folder

pytestmark = pytest.mark.full

SLOW = pytest.mark.slow


def test_a_folder_without_a_run_is_refused(finished, tmp_path):
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
def test_a_state_with_a_loss_that_is_not_finite_is_not_saved(tmp_path, steps):
    """The loss of the step itself is finite; the weights that it leaves are useless."""
    rate = Optimizer(learning_rate=1e38, final_learning_rate=1e38, warmup=0)
    config = tiny(write_text_file(tmp_path), optimizer=rate, checkpoint_every=1, steps=steps)
    with pytest.raises(RunError, match=r"the loss is (nan|inf) at step 2; there is no checkpoint"):
        run_here(config, tmp_path / "run")
    assert not list((tmp_path / "run" / "checkpoints").iterdir())
    assert not (tmp_path / "run" / "result.json").exists()


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
def test_a_closed_pipe(finished):
    """`head` closes the pipe, which holds 64 KiB, before all is written."""
    args = [sys.executable, "-m", "train.sample", str(finished[1]), "--length", "200000"]
    process = subprocess.Popen(args, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 128 + signal.SIGPIPE
