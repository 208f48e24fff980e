"""SIGKILL at random moments: a run ends with the weights of the run that was left alone."""

import random
import time
from dataclasses import replace

import pytest

from tests.support.runs import end, newest, start
from tests.support.small import make

KILLS = {"char_lm": 20, "classification": 7, "forecasting": 7, "piano_roll": 7}
PLACES = {"one device": (1, 1), "two devices": (1, 2), "two processes": (2, 1)}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("task", KILLS)
def test_kills_lose_nothing(task, place, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    config = make(task, tmp_path)
    config = replace(config, steps=600, checkpoint_every=7)
    config = replace(config, log=replace(config.log, validate_every=100))
    left_alone, out = tmp_path / "left_alone", tmp_path / "killed"
    end(start(config, left_alone, *PLACES[place]), left_alone)
    random.seed(place)
    for _ in range(KILLS[task]):
        processes = start(config, out, *PLACES[place])
        before, deadline = newest(out), time.monotonic() + 120
        while newest(out) == before:  # it makes progress first
            assert all(process.poll() is None for process in processes)
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.3 * random.random())
        reached = newest(out)
        assert reached < config.steps
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
        assert newest(out) >= reached
    for status, _, error in end(start(config, out, *PLACES[place]), out):
        assert status == 0, error
    for name in ("params", "best"):
        weights = (out / f"{name}.safetensors").read_bytes()
        assert weights == (left_alone / f"{name}.safetensors").read_bytes()
