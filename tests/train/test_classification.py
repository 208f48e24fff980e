"""The task of classification: figures, files without classes, refusals."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.small import make
from train.config.tasks import Classification, Series
from train.engine import measure
from train.errors import InputError
from train.model import init_model
from train.tasks import find_task

RNG = np.random.default_rng(0)


@pytest.mark.full
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
