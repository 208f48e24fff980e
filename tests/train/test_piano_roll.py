"""The task of piano rolls: packed pieces, and baselines."""

import os
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from tests.support.small import make
from train.config.tasks import PianoRoll, Rolls
from train.engine import measure, step
from train.errors import InputError
from train.model import init_model
from train.tasks import find_task


@pytest.mark.full
def test_packed_pieces_are_read_as_if_alone(tmp_path):
    """Rows of several pieces: the loss of all is that of the pieces one by one."""
    alone = make("piano_roll", tmp_path)
    task = find_task("piano_roll")
    data = task.load(alone)
    bins = int(jlstm.plan_packing([len(roll) - 1 for roll in data.train], 64).row.max()) + 1
    assert 1 < bins < len(data.train)
    packed = replace(alone, data=replace(alone.data, packed=64, rows=1))
    params = init_model(jax.random.key(0), packed.model, data.shape)
    batches = task.batches(packed, data)
    total = steps = pieces = 0
    for k in range(bins):  # an epoch
        batch = batches[k]
        assert batch.inputs.shape == (1, 64, 88)
        pieces += batch.resets.sum()
        loss, _ = step.batch_loss(packed, task, params, (), batch, None)
        total, steps = total + float(loss) * batch.lengths.sum(), steps + batch.lengths.sum()
    found = measure.evaluate(alone, task, params, data.train)
    assert pieces == len(data.train)
    assert steps == sum(len(roll) - 1 for roll in data.train)
    assert total / steps == pytest.approx(found["nll_per_step"], rel=1e-5)
    again = task.batches(packed, data)[5]
    jax.tree.map(np.testing.assert_array_equal, again, batches[5])


def test_rows_too_short_for_a_piece_are_refused(tmp_path):
    config = make("piano_roll", tmp_path)
    config = replace(config, data=replace(config.data, packed=10))
    task = find_task("piano_roll")
    with pytest.raises(InputError, match=r"data.packed = 10 steps are too few for a piece of \d\d"):
        task.batches(config, task.load(config))


def test_a_model_that_knows_nothing_pays_88_bits(tmp_path):
    config = make("piano_roll", tmp_path)
    task = find_task("piano_roll")
    data = task.load(config)
    params = jax.tree.map(jnp.zeros_like, init_model(jax.random.key(0), config.model, data.shape))
    found = measure.evaluate(config, task, params, data.test)
    assert found["nll_per_step"] == pytest.approx(88 * np.log(2), rel=1e-6)
    chance = (np.concatenate(data.train).sum(0) + 1) / (len(np.concatenate(data.train)) + 2)
    params = params._replace(output_bias=jnp.log(chance) - jnp.log1p(-chance))
    found = measure.evaluate(config, task, params, data.test)
    expected = data.facts["frequencies_nll_per_step"]
    assert found["nll_per_step"] == pytest.approx(expected, rel=1e-5)


def test_the_chorales():
    path = Path(os.environ.get("JLSTM_DATA", "")) / "JSB_Chorales.mat"
    if not path.exists():
        pytest.skip("JLSTM_DATA names no folder with JSB_Chorales.mat")
    data = find_task("piano_roll").load(PianoRoll(data=Rolls(path=str(path))))
    assert [len(split) for split in data[:3]] == [229, 76, 77]
