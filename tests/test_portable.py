"""Checks that `tests.support.portable` changes what it says: from inside, and once from outside."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import jlstm
import train
from tests.support.portable import ROOT

PORTABLE = "JLSTM_PORTABLE" in os.environ
inside = pytest.mark.skipif(not PORTABLE, reason="asked in a run of tests/support/portable.py")


@inside
def test_the_code_is_that_of_the_copy():
    assert " " in str(ROOT)
    assert not str(ROOT).isascii()
    for module in (jlstm, train):
        assert Path(module.__file__).is_relative_to(ROOT)


@inside
def test_the_copy_is_read_only():
    if os.environ["JLSTM_PORTABLE"] == "writable":
        pytest.skip("root may write to any folder, and may not mount one here")
    with pytest.raises(OSError, match=r"Read-only|Permission"):
        (ROOT / "new").touch()


@inside
def test_the_process_is_set_otherwise():
    assert time.strftime("%z") == "+1245"
    assert os.environ["PYTHONHASHSEED"] == "4321"
    if "OPENBLAS_CORETYPE" in os.environ:
        assert "--xla_cpu_max_isa=AVX" in os.environ["XLA_FLAGS"]


@pytest.mark.full
@pytest.mark.skipif(PORTABLE, reason="this is such a run")
def test_another_machine_is_tried():
    name = Path(__file__).relative_to(ROOT)
    command = [sys.executable, "-m", "tests.support.portable", "-q", "-p", "no:xdist", str(name)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
