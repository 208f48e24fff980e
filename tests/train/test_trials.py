"""Several seeds at once: each is what it is alone, and a run goes on as any other."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest

from tests.support.runs import run_here, tiny, write_text_file
from tests.support.small import make
from train.engine import measure, step, trials
from train.engine import state as states
from train.output.weights import load_weights
from train.tasks import find_task


@pytest.mark.full
@pytest.mark.parametrize(
    "name", ["char_lm", pytest.param("classification", marks=pytest.mark.slow)]
)
def test_each_trial_is_the_run_of_its_seed(name, tmp_path):
    if name == "char_lm":
        config = tiny(write_text_file(tmp_path), seed=5, trials=2)
    else:
        config = replace(make(name, tmp_path), seed=5, trials=3)
    config = replace(config, regularize=replace(config.regularize, outputs=0.3))
    task = find_task(name)
    data = task.load(config)

    def after(config, count=2):
        state = states.init_train_state(config, task, data.shape)
        batches = trials.batches(config, task, data)
        for k in range(count):
            state, metrics = step.train_step(config, task, state, batches[k])
        return state, metrics

    state, metrics = after(config)
    assert states.step_of(state) == 2
    found = trials.unstack(config, (state.params, metrics))
    for one, pair in zip(trials.trial_configs(config), found, strict=True):
        alone = replace(one, trials=1)
        expected, figures = after(alone)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5),
            pair, (expected.params, figures),
        )  # fmt: skip
    assert len({float(m.loss) for _, m in found}) == config.trials


@pytest.mark.slow
def test_a_run_of_trials(tmp_path):
    config = tiny(write_text_file(tmp_path), trials=2, steps=20)
    out = tmp_path / "run"
    result, _ = run_here(config, out)
    assert result is not None
    both = [each["bits_per_char"] for each in result["trials"]]
    assert result["test"]["bits_per_char"] == pytest.approx(np.mean(both))
    assert result["spread"]["bits_per_char"] == pytest.approx(np.std(both, ddof=1))
    task = find_task("char_lm")
    data = task.load(config)
    for k, expected in enumerate(both):
        model = load_weights(out / trials.file_name("params", k))
        assert model.config.seed == k
        found = measure.evaluate(model.config, task, model.params, data.test)
        assert found["bits_per_char"] == pytest.approx(expected, rel=1e-5)
    other = tmp_path / "other"
    run_here(replace(config, steps=10), other)
    result, shown = run_here(config, other)
    assert "resuming from checkpoint 10" in shown
    assert "means over 2 trials" in (other / "report.html").read_text()
    assert len(json.loads((other / "result.json").read_text())["trials"]) == 2
