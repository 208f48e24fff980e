"""Missing values within sequences: the inputs of the model, and refusals."""

from functools import partial

import jax
import numpy as np
import pytest

from tests.support.forms import outcome
from tests.support.small import untrained
from train.config.settings import Model
from train.config.tasks import Classification, Series
from train.engine import measure
from train.evaluate import main as evaluate_main
from train.model import init_model
from train.tasks import find_task, normalize

RNG = np.random.default_rng(0)
TASK = find_task("classification")


def write(path, gaps=True, seed=0, **changes):
    """40 sequences of two features and two classes, some values missing."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(3, 2, (40, 6, 2))
    if gaps:
        inputs[rng.random(inputs.shape) < 0.2] = np.nan
    arrays = {"inputs": inputs, "labels": np.arange(40) % 2, "lengths": rng.integers(2, 7, 40)}
    np.savez(path, **{**arrays, **changes})
    return inputs


@pytest.fixture
def config(tmp_path):
    write(tmp_path / "a.npz")
    return Classification(
        data=Series(path=str(tmp_path / "a.npz"), rows=8), model=Model(hidden=(4,))
    )


def test_a_missing_value_is_0_and_is_marked(config):
    """Normalised by `nanmean` and `nanstd` of the training split only; no input is NaN."""
    data = TASK.load(config)
    inputs = np.load(config.data.path)["inputs"]
    lengths = np.load(config.data.path)["lengths"]
    given = [row[:n] for row, n in zip(inputs, lengths, strict=True)]
    assert data.shape.features == 4
    assert data.facts["missing"] == sum(np.isnan(one).sum() for one in given)
    found = []
    for sequence in data.train.sequences:
        values, missing = sequence[:, :2], sequence[:, 2:]
        back = normalize.known_values(sequence, data.about)
        assert set(np.unique(missing)) <= {0, 1}
        np.testing.assert_array_equal(np.isnan(back), missing == 1)
        assert (values[missing == 1] == 0).all()
        match = [one for one in given if one.shape == back.shape and
                 np.allclose(one, back, rtol=1e-5, atol=1e-5, equal_nan=True)]  # fmt: skip
        assert len(match) == 1
        found += match
    joined = np.concatenate(found)
    np.testing.assert_allclose(data.about["mean"], np.nanmean(joined, 0), rtol=1e-12)
    np.testing.assert_allclose(data.about["spread"], np.nanstd(joined, 0), rtol=1e-12)
    for batch in TASK.in_order(config, data.test, 8):
        assert np.isfinite(batch.inputs).all()


def test_without_missing_values_nothing_changes(config):
    inputs = write(config.data.path, gaps=False)
    data = TASK.load(config)
    assert data.shape.features == 2
    assert data.about["missing"] is False
    joined = np.concatenate(data.train.sequences)
    np.testing.assert_allclose(joined.mean(0), 0, atol=1e-5)
    back = normalize.known_values(data.train.sequences[0], data.about)
    assert any(np.allclose(back, row[: len(back)], rtol=1e-4, atol=1e-5) for row in inputs)


def test_predictions_know_what_is_missing(config, tmp_path):
    """A missing value and one that is the mean are two things; another file is read alike."""
    data = TASK.load(config)
    params = init_model(jax.random.key(0), config.model, data.shape)
    inputs = np.full((2, 3, 2), data.about["mean"])
    inputs[1, 1, 0] = np.nan
    np.savez(tmp_path / "new.npz", inputs=inputs)
    split = TASK.read(config, data.about, str(tmp_path / "new.npz"))
    assert split.sequences[0].shape == (3, 4)
    rows = list(TASK.table(config, data.about, split, partial(measure.run, config, TASK, params)))
    assert rows[1][3] != rows[2][3]
    same = TASK.read(config, data.about, config.data.path)
    whole = [s.tobytes() for s in same.sequences]
    assert all(s.tobytes() in whole for part in data[:3] for s in part.sequences)


@pytest.mark.parametrize(("changes", "message"), [
    ({"labels": ["0", "2"] * 20},
     "sequence 2 is of class 2, and the run knows 0, 1; for predictions the "
     "classes may be left out"),
    ({"inputs": np.full((40, 6, 2), 1e300)}, "sequence 1 holds a number that is too large"),
    ({"inputs": np.zeros((40, 6, 3))}, "has 3 features, the run's data 2"),
])  # fmt: skip
def test_another_file_that_does_not_fit(config, tmp_path, changes, message):
    data = TASK.load(config)
    write(tmp_path / "b.npz", **changes)
    path = str(tmp_path / "b.npz")
    assert outcome(TASK.read, config, data.about, path)[1] == (
        f"{path}{' ' if message.startswith('has') else ': '}{message}"
    )


def test_data_that_cannot_be_learned_from(config, tmp_path):
    def refused(**changes):
        inputs = write(config.data.path, gaps=False)
        write(config.data.path, **{"inputs": inputs, **changes})
        return outcome(TASK.load, config)[1]

    gone = RNG.normal(size=(40, 6, 2))
    gone[..., 1] = np.nan
    assert "a.npz: feature 2 has no value in the training part" in refused(inputs=gone)
    large = RNG.normal(size=(40, 6, 2)) * [1, 1e200]
    assert "a.npz: the numbers of feature 2 are too large" in refused(inputs=large)
    assert refused() is None
    write(tmp_path / "test.npz")
    data = Series(path=config.data.path, test_path=str(tmp_path / "test.npz"))
    message = outcome(TASK.load, Classification(data=data))[1]
    assert "test.npz: sequence " in message
    assert "has a missing value, and the run learned from data without any; fill it in" in message


def test_a_run_knows_columns_by_name_and_sequences_by_id(tmp_path):
    rows = [
        (f"s{k}", t, RNG.normal(), RNG.normal(), "ab"[k % 2]) for k in range(30) for t in range(4)
    ]

    def write_csv(name, header, order):
        path = tmp_path / name
        lines = [[row[k] for k in order] for row in rows]
        path.write_text("\n".join(",".join(map(str, row)) for row in [header, *lines]))
        return str(path)

    path = write_csv("a.csv", ["id", "t", "x", "y", "label"], range(5))
    config = Classification(data=Series(path=path, time="t"), model=Model(hidden=(4,)))
    data = TASK.load(config)
    assert data.about["columns"] == ["x", "y"]
    params = init_model(jax.random.key(0), config.model, data.shape)
    run = partial(measure.run, config, TASK, params)

    def predicted(path):
        return list(TASK.table(config, data.about, TASK.read(config, data.about, path), run))

    turned = predicted(write_csv("b.csv", ["label", "y", "id", "x", "t"], [4, 3, 0, 2, 1]))
    assert turned == predicted(path)
    assert [row[:2] for row in turned[1:]] == [[f"s{k}", "ab"[k % 2]] for k in range(30)]
    bare = predicted(write_csv("c.csv", ["t", "x", "y", "id"], [1, 2, 3, 0]))
    assert [row[1] for row in bare[1:]] == [""] * 30
    assert [row[2:] for row in bare] == [row[2:] for row in turned]
    without = write_csv("d.csv", ["t", "x", "id"], [1, 2, 0])
    assert outcome(TASK.read, config, data.about, without)[1] == (
        f"{without} has no column 'y'; it has ['t', 'x', 'id']"
    )


def test_a_file_without_classes_has_nothing_to_measure_by(config, tmp_path):
    run = untrained(config, tmp_path / "run")
    np.savez(tmp_path / "new.npz", inputs=RNG.normal(size=(3, 4, 2)))
    path = str(tmp_path / "new.npz")
    assert outcome(evaluate_main, [str(run), "--data.path", path])[1] == (
        f"{path} has no targets to evaluate the run by, such as classes"
    )


def test_an_error_names_a_sequence_by_its_place_in_the_file(config):
    inputs = RNG.normal(size=(40, 6, 2))
    refused = []
    for place in range(0, 40, 5):
        large = inputs.copy()
        large[place, 0, 1] = 1e60  # in the training split the spread is as large
        write(config.data.path, inputs=large)
        message = outcome(TASK.load, config)[1]
        if message is not None:
            refused.append(place)
            assert message == (
                f"{config.data.path}: sequence {place + 1} holds a number that is too large"
            )
    assert 0 < len(refused) < 8


def test_a_constant_stays_small(config):
    """Rounding errors in a constant are not used as its standard deviation."""
    inputs = RNG.normal(size=(40, 6, 2))
    inputs[..., 1] = 0.1
    write(config.data.path, inputs=inputs)
    data = TASK.load(config)
    assert data.about["spread"][1] == 1
    assert abs(data.train.sequences[0][:, 1]).max() < 1e-6
