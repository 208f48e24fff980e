"""Piano rolls as people have them: in every form read as they are, or refused in one line."""

import pickle

import numpy as np
import pytest
from scipy import io, sparse

from tests.support.forms import outcome
from train.config.tasks import PianoRoll, Rolls
from train.errors import InputError
from train.readers.rolls import read_rolls
from train.tasks.piano_roll import load, read

RNG = np.random.default_rng(0)
PARTS = ("train", "valid", "test")


def roll(steps):
    return (RNG.random((steps, 88)) < 0.1).astype(float)


PIECES = {"train": [roll(5), roll(7), roll(88)], "valid": [roll(4)], "test": [roll(6), roll(3)]}


def cells(pieces, shape=(1, -1)):
    made = np.empty(len(pieces), object)
    for k, piece in enumerate(pieces):
        made[k] = piece
    return made.reshape(shape)


def mat(path, pieces=PIECES, shape=(1, -1), **others):
    arrays = {f"{part}data": cells(some, shape) for part, some in pieces.items()}
    io.savemat(path, arrays | others)
    return str(path)


def each(change, pieces=PIECES):
    return {part: [change(piece) for piece in some] for part, some in pieces.items()}


def same(found, pieces):
    assert {part: len(some) for part, some in found.items()} == {
        part: len(some) for part, some in pieces.items()
    }
    for part, some in pieces.items():
        for a, b in zip(found[part], some, strict=True):
            assert a.dtype == np.float32
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "i2", "u4", "i8", "f4", "f8"])
@pytest.mark.parametrize("form", [np.array, np.transpose, sparse.csc_matrix, np.asfortranarray])
@pytest.mark.parametrize("shape", [(1, -1), (-1, 1)])
def test_mat_in_many_forms(tmp_path, dtype, form, shape):
    """Cells in a row or a column, time first or last, of any type: one piece has 88 steps."""
    path = mat(tmp_path / "a.mat", each(lambda piece: form(piece.astype(dtype))), shape)
    same(read_rolls(path)[0], PIECES)


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
def test_a_stack_of_equally_long_pieces_and_a_single_one(tmp_path, suffix):
    pieces = {"train": [roll(5) for _ in range(4)], "valid": [roll(4)], "test": [roll(88)]}
    save = (lambda p, **a: io.savemat(p, a)) if suffix == ".mat" else np.savez
    path = str(tmp_path / f"a{suffix}")
    arrays = {"traindata": np.stack(pieces["train"]), "validdata": pieces["valid"][0]}
    save(path, **arrays, testdata=pieces["test"][0])
    same(read_rolls(path)[0], pieces)
    for odd in (np.stack(pieces["train"], axis=2), np.stack(pieces["train"]).transpose(0, 2, 1)):
        save(path, **{**arrays, "traindata": odd}, testdata=pieces["test"][0])
        message = outcome(read_rolls, path)[1]
        assert f"traindata is an array {odd.shape}; several pieces in one array must be" in message


def test_npz_of_one_array_a_piece(tmp_path):
    pieces = {**PIECES, "test": [roll(k + 2) for k in range(12)]}
    path = tmp_path / "a.npz"
    arrays = {f"{part}_{k}": r.T > 0 for part in PARTS for k, r in enumerate(pieces[part])}
    np.savez(path, **arrays)
    same(read_rolls(str(path))[0], pieces)  # test_2 before test_10
    for name, message in (
        ("music", "a.npz has an array 'music', and names must begin with train, valid, test"),
        ("Train_9", "a.npz has an array 'Train_9', and names must begin"),
    ):
        np.savez(path, **arrays, **{name: roll(4)})
        assert message in outcome(read_rolls, str(path))[1]
    np.savez(path, train=cells(PIECES["train"]), valid=roll(3), test=roll(3))
    message = outcome(read_rolls, str(path))[1]
    recipe = message.partition("under a name of its own: ")[2].partition(", and likewise")[0]
    exec(recipe, {"np": np, "FILE": path, "pieces": PIECES["train"]})
    same(read_rolls(str(path), ("train",))[0], {"train": PIECES["train"]})


@pytest.mark.parametrize(("bad", "message"), [
    (80 * roll(4), "of 0 and 1, got 80.0 (testdata{2}); where a number above 0 is a key"),
    (roll(4) - 1, "of 0 and 1, got -1.0"),
    (np.where(np.arange(88) == 5, np.nan, roll(4)), "of 0 and 1, got nan"),
    (np.where(np.arange(88) == 5, np.inf, roll(4)), "of 0 and 1, got inf"),
    (roll(4)[:, :80], "must be (time, 88) of 0 and 1, got an array (4, 80) of float64"),
    (roll(4) + 1j, "got an array (4, 88) of complex128"),
    (sparse.csc_matrix(roll(4) + 1j), "got an array (4, 88) of complex128"),
    (roll(4).astype(str), "(testdata{2})"),
    ("nothing", "(testdata{2})"),
    (cells([roll(4)]), "got an array (1, 1) of another cell or a struct (testdata{2})"),
    ({"roll": roll(4)}, "got an array (1, 1) of another cell or a struct (testdata{2})"),
    (np.zeros((0, 0)), "got an array (0, 0) of float64"),
    (np.zeros((0, 88)), "piece 2 of test has 0 steps, 2 needed"),
    (roll(1), "piece 2 of test has 1 steps, 2 needed"),
    (roll(4)[0], "piece 2 of test has 1 steps, 2 needed"),
    (roll(4)[None], "got an array (1, 4, 88)"),
    (5.0, "got an array (1, 1) of float64"),
    (roll(4).T, "piece 1 of train is (time, 88), and piece 2 of test is (88, time); s"),
])  # fmt: skip
def test_a_piece_that_is_no_roll(tmp_path, bad, message):
    path = mat(tmp_path / "a.mat", {**PIECES, "test": [roll(6), bad]})
    found = outcome(read_rolls, path)[1]
    assert found is not None
    assert path in found
    assert message in found


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("empty", [
    np.empty((0, 0), object), np.empty((1, 0), object), np.empty((0, 1), object), np.zeros((0, 0)),
])  # fmt: skip
def test_a_split_without_pieces(tmp_path, part, empty):
    path = mat(tmp_path / "a.mat", **{f"{part}data": empty})
    assert outcome(read_rolls, path)[1] == f"{path}: the {part} split has no piece"
    others = tuple(other for other in PARTS if other != part)
    same(read_rolls(path, others)[0], {other: PIECES[other] for other in others})


@pytest.mark.parametrize("other", [
    5.0, "text", {"roll": roll(4)}, np.array([(1.0,)], [("a", float)]), roll(4)[:, :7],
    np.zeros((2, 3, 4, 88)), 1j * roll(4), sparse.csc_matrix(roll(4)[:, :9]),
])  # fmt: skip
@pytest.mark.parametrize("part", PARTS)
def test_a_split_of_something_else(tmp_path, part, other):
    path = mat(tmp_path / "a.mat", **{f"{part}data": other})
    message = outcome(read_rolls, path)[1]
    assert message is not None
    assert path in message
    assert f"piece 1 of {part}" in message or f"{part}data" in message


def test_files_that_are_no_rolls(tmp_path):
    path = tmp_path / "a.mat"
    for name in ("traindata", "validdata", "testdata"):
        arrays = {f"{part}data": cells(PIECES[part]) for part in PARTS}
        arrays["music"] = arrays.pop(name)
        io.savemat(path, arrays)
        assert f"a.mat has no {name}; it has music, " in outcome(read_rolls, str(path))[1]
    whole = path.read_bytes()
    for data in (b"", b"no", whole[:50], whole[:200], whole[: len(whole) // 2], b"\0" * 500):
        path.write_bytes(data)
        assert "a.mat is not a .mat file: " in outcome(read_rolls, str(path))[1]
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n" * 90)
    message = outcome(read_rolls, str(path))[1]
    assert (
        "is a .mat file of version 7.3, which is HDF5; save it in MATLAB by save(FILE, " in message
    )
    assert "name a file of piano rolls" in outcome(read_rolls, None)[1]
    for name, message in (
        ("no.mat", "cannot read data.path no.mat: No such file"),
        ("a.json", "data.path a.json must end in .mat or .npz"),
        (str(tmp_path), "must end in .mat or .npz"),
    ):
        assert message in outcome(read_rolls, name)[1]


@pytest.mark.parametrize("tuples", [True, False])
def test_the_recipe_for_a_pickle(tmp_path, monkeypatch, tuples):
    """It makes an .npz file of the notes that the pickles of the same chorales hold."""
    monkeypatch.chdir(tmp_path)
    notes = each(lambda piece: [
        (tuple if tuples else list)((np.flatnonzero(row) + 21).tolist()) for row in piece
    ])  # fmt: skip
    with open("JSB Chorales.pickle", "wb") as file:
        pickle.dump(notes, file, protocol=2)
    message = outcome(read_rolls, "JSB Chorales.pickle")[1]
    recipe = message.partition("of its notes: ")[2]
    exec(recipe, {})
    same(read_rolls("rolls.npz")[0], PIECES)


def test_only_the_test_split_is_needed_for_predictions(tmp_path):
    io.savemat(tmp_path / "a.mat", {"testdata": cells(PIECES["test"])})
    config = PianoRoll(data=Rolls(path=str(tmp_path / "a.mat")))
    same({"test": read(config, {}, config.data.path)}, {"test": PIECES["test"]})
    with pytest.raises(InputError, match="has no traindata; it has testdata"):
        load(config)
