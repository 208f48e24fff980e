"""Checkpoints: exact, whole, and checked."""

import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train.engine import checkpoint

STATE = {
    "weights": jnp.linspace(-1, 1, 5000).reshape(50, 100),
    "step": jnp.int32(3),
    "half": jnp.ones((3, 4), jnp.bfloat16),
    "nested": (jnp.zeros(()), jnp.array([1e-42, -0.0, jnp.inf])),  # a subnormal, signs, infinity
}


def like(state):
    return jax.tree.map(jnp.zeros_like, state)


def bits(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "checkpoints"
    for step in (10, 20):
        state = STATE | {"step": jnp.int32(step)}
        checkpoint.save(folder, step, state, {"seconds": 1.5 * step})
    return folder


def restore(folder):
    found, complaints = checkpoint.newest(folder)
    return found, complaints, checkpoint.load(found, like(STATE))


def test_round_trip_bit_for_bit(folder):
    found, complaints, state = restore(folder)
    assert not complaints
    assert (found.step, found.notes) == (20, {"seconds": 30.0})
    assert bits(state) == bits(STATE | {"step": jnp.int32(20)})


def test_nothing_to_restore(tmp_path):
    assert checkpoint.newest(tmp_path) == (None, [])
    assert checkpoint.newest(tmp_path / "missing") == (None, [])


def test_old_ones_are_removed(folder):
    for step in (30, 40, 50):
        checkpoint.save(folder, step, STATE, {})
    assert sorted(p.name for p in folder.iterdir()) == ["30", "40", "50"]


def damage(path, how):
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        os.truncate(path, path.stat().st_size // 2)
    elif how == "empty":
        os.truncate(path, 0)
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)


@pytest.mark.sampled
@pytest.mark.parametrize("how", ["missing", "truncated", "empty", "flipped"])
def test_any_damage_to_any_file_is_noticed(folder, how):
    whole = folder.with_name("whole")
    shutil.copytree(folder, whole)
    files = [p for p in (folder / "20").rglob("*") if p.is_file() and p.stat().st_size]
    names = sorted(p.relative_to(folder) for p in files)
    assert len(names) > 3
    for name in names:
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)
        damage(folder / name, how)
        found, complaints, state = restore(folder)
        assert found.step == 10
        assert bits(state) == bits(STATE | {"step": jnp.int32(10)})
        (complaint,) = complaints
        assert complaint.startswith("checkpoint 20 is damaged (")
        assert name.name in complaint
        assert (folder / "20.damaged").is_dir()
        checkpoint.save(folder, 20, STATE, {})  # the step can be written again
        assert restore(folder)[0].step == 20


@pytest.mark.parametrize("notes", ['{"notes": {}, "sha256": {}}', '{"notes": {}, "sha256": [1]}',
                                   "[]", "5", "{"])  # fmt: skip
def test_notes_that_are_no_notes(folder, notes):
    (folder / "20" / "notes.json").write_text(notes)
    found, complaints, _ = restore(folder)
    assert found.step == 10
    assert len(complaints) == 1


def test_all_damaged(folder):
    for path in folder.rglob("manifest.ocdbt"):
        path.write_bytes(b"")
    found, complaints = checkpoint.newest(folder)
    assert found is None
    assert len(complaints) == 2


def test_what_a_kill_left_is_removed(folder):
    unfinished = folder / f"{checkpoint.UNFINISHED}30"
    unfinished.mkdir()
    (unfinished / "data").write_bytes(b"half")
    assert restore(folder)[0].step == 20
    assert not unfinished.exists()


def test_a_failed_save_leaves_nothing(folder):
    with pytest.raises(TypeError):
        checkpoint.save(folder, 30, STATE, {"notes": object()})
    assert sorted(p.name for p in folder.iterdir()) == ["10", "20"]
