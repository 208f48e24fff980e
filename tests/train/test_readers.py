"""Files of people: what is read, and the complaint about each fault."""

import numpy as np
import pytest

from train.errors import InputError
from train.readers import files
from train.readers.columns import read_columns
from train.readers.rolls import read_rolls
from train.readers.sequences import read_labelled, read_sequences


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        if isinstance(content, dict):
            np.savez(path, **content)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


TS = """# a comment
@problemName Two
@timeStamps false
@dimensions 2
@classLabel true up down
@data
1,2,3:4,5,6:up
7,8:9,10:down
"""


def test_ts(write):
    found = read_labelled(write("two.ts", TS), None)
    assert [s.tolist() for s in found.sequences] == [[[1, 4], [2, 5], [3, 6]], [[7, 9], [8, 10]]]
    assert found.labels == ["up", "down"]
    bare = TS.replace("true up down", "false").replace(":up", "").replace(":down", "")
    assert read_sequences(write("bare.ts", bare)).labels == []


def test_japanese_vowels():
    """Kudo et al. (1999): 270 and 370 utterances of 9 speakers, 12 numbers a step, 7-29 steps."""
    found = read_labelled(None, None)
    assert found.test is not None
    for part, count in ((found, 270), (found.test, 370)):
        assert len(part.sequences) == len(part.labels) == count
        assert {s.shape[1] for s in part.sequences} == {12}
        assert set(part.labels) == {str(k) for k in range(1, 10)}
    lengths = [len(s) for s in (*found.sequences, *found.test.sequences)]
    assert (min(lengths), max(lengths)) == (7, 29)


def test_npz(write):
    inputs = np.arange(24.0).reshape(3, 4, 2)
    path = write("a.npz", {"inputs": inputs, "labels": [1, 0, 1], "lengths": [4, 2, 3]})
    found = read_labelled(path, path)
    assert found.labels == ["1", "0", "1"]
    for sequence, row, n in zip(found.sequences, inputs, (4, 2, 3), strict=True):
        np.testing.assert_array_equal(sequence, row[:n])
    flat = read_sequences(write("b.npz", {"inputs": inputs[..., 0]}))
    assert flat.sequences[0].shape == (4, 1)


@pytest.mark.parametrize(("name", "content", "message"), [
    ("a.txt", "", "a.txt must hold a header and rows of numbers"),
    ("a.ts", "1,2:up", "a.ts is not a .ts file: it has no line @data"),
    ("a.ts", TS.replace("7,8", "7,x"), "a.ts, line 8: could not convert string to float: 'x'"),
    ("a.ts", TS.replace("7,8", "7"), "line 8: its dimensions have different lengths, 1 and 2"),
    ("a.ts", TS.replace("7,8:9,10", "7,8"), "a.ts, line 8: has 1 dimensions, the header says 2"),
    ("a.ts", TS.replace("7,8", "7,inf"), "a.ts: sequence 2 is not finite at step 2, feature 1"),
    ("a.ts", TS.replace("Stamps false", "Stamps true"), "a.ts, line 3: .* has time stamps"),
    ("a.ts", TS.replace("@classLabel true up down", "@targetlabel true"), "numbers to regress on"),
    ("a.ts", TS.partition("1,2,3")[0], "a.ts holds no sequence"),
    ("a.ts", TS.replace("true up down", "false").replace(":up", "").replace(":down", ""),
     "a.ts holds no classes to learn"),
    ("a.ts", b"\xff", "a.ts is not UTF-8 text: byte 0 is 0xff"),
    ("a.npz", b"PK", "a.npz is not an .npz file of plain arrays"),
    ("a.npz", {"x": [1]}, "a.npz has no array 'inputs'; it has x"),
    ("a.npz", {"inputs": ["a"]}, "a.npz: inputs must be numbers with 2 or 3 axes, got <U1"),
    ("a.npz", {"inputs": [[1.0]], "labels": [[1, 2]]}, "labels must be 1 classes, one for each"),
    ("a.npz", {"inputs": [[1.0]], "labels": [1], "lengths": [2]},
     r"lengths must be whole numbers from 1 to 1, .* lengths\[0\] is 2"),
    ("a.npz", {"inputs": np.array([[{}]], object)}, "inputs is an array of Python objects, "),
])  # fmt: skip
def test_sequences_that_cannot_be_used(write, name, content, message):
    with pytest.raises(InputError, match=message):
        read_labelled(write(name, content), None)


def test_test_files_that_do_not_fit(write):
    other = TS.replace("1,2,3:4,5,6", "1,2,3").replace("7,8:9,10", "7,8").replace("ons 2", "ons 1")
    with pytest.raises(InputError, match=r"other.ts has 1 features, .*two.ts has 2"):
        read_labelled(write("two.ts", TS), write("other.ts", other))
    with pytest.raises(InputError, match=r"cannot read data.test_path nowhere.ts: No such file"):
        read_labelled(write("two.ts", TS), "nowhere.ts")


def test_rolls(write):
    roll = np.zeros((4, 88))
    roll[1, 40] = 1
    rolls = {"train_a": roll, "train_b": roll[:3], "valid_a": roll, "test_a": roll}
    found, _ = read_rolls(write("a.npz", rolls))
    assert [len(r) for r in found["train"]] == [4, 3]
    for name, bad, message in (
        (
            "a",
            roll[:, :80],
            r"piece 2 of test must be \(time, 88\) of 0 and 1, got an array \(4, 80\)",
        ),
        ("b", 2 * roll, r"piece 2 of test must be \(time, 88\) of 0 and 1"),
        ("c", roll[:1], "piece 2 of test has 1 steps, 2 needed"),
    ):
        with pytest.raises(InputError, match=message):
            read_rolls(write(f"{name}.npz", {**rolls, "test_b": bad}))
    with pytest.raises(InputError, match="name a file of piano rolls"):
        read_rolls(None)
    with pytest.raises(InputError, match=r"a.mat is not a .mat file"):
        read_rolls(write("a.mat", "nothing"))


def test_data_of_a_package_that_is_not_there(monkeypatch):
    monkeypatch.setattr(files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"with the package sktime: pip install '.\[data\]'"):
        read_labelled(None, None)
    with pytest.raises(
        InputError, match=r"comes with the package statsmodels: .* forecasting: --dat"
    ):
        read_columns(None, None, ())
