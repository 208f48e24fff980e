"""Sequences as people have them: in every form read as they are, or refused in one line."""

import os
import re

import numpy as np
import pytest

from tests.support.forms import ARRAYS, INPUTS, LABELS, LENGTHS, MUTATIONS, SAME, outcome, same
from train.errors import InputError
from train.readers.sequences import read_labelled, read_sequences

READ = {
    "inputs": SAME | {"?"},
    "labels": SAME | {"U", "S", "a row", "a column", "transposed"},
    "lengths": SAME | {"a row", "a column", "transposed"},
}


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("field", ARRAYS)
def test_each_array_in_each_form(tmp_path, field, mutation):
    """It is the same sequences, or a line that names the file and the array."""
    path = str(tmp_path / "a.npz")
    np.savez(path, **{**ARRAYS, field: MUTATIONS[mutation](ARRAYS[field])})
    found, message = outcome(read_labelled, path, None)
    cut = [row[:n] for row, n in zip(INPUTS, LENGTHS, strict=True)]
    if mutation in READ[field]:
        assert message is None
        same(found, cut, [str(label) for label in LABELS])
    elif (field, mutation) in {("labels", "?"), ("labels", "negative"), ("inputs", "negative"),
                               ("inputs", "halves"), ("inputs", "NaN")}:  # fmt: skip
        made = MUTATIONS[mutation](ARRAYS[field])
        inputs = made if field == "inputs" else INPUTS
        labels = LABELS if field == "inputs" else made
        if mutation == "negative" and field == "labels":
            labels = labels.astype(int)
        cut = [row[:n] for row, n in zip(inputs, LENGTHS, strict=True)]
        same(found, cut, [str(label) for label in labels])
    else:
        assert message is not None, found
        assert path in message
        assert field in message or (field, mutation) == ("inputs", "infinite")


@pytest.mark.parametrize("field", ARRAYS)
def test_an_array_is_missing(tmp_path, field):
    path = str(tmp_path / "a.npz")
    np.savez(path, **{name: array for name, array in ARRAYS.items() if name != field})
    found, message = outcome(read_labelled, path, None)
    if field == "lengths":
        same(found, list(INPUTS), [str(label) for label in LABELS])
    else:
        assert message == path + {
            "inputs": " has no array 'inputs'; it has labels, lengths",
            "labels": " holds no classes to learn",
        }[field]  # fmt: skip


def test_small_and_odd_shapes(tmp_path):
    path = str(tmp_path / "a.npz")

    def read(**arrays):
        np.savez(path, **arrays)
        return outcome(read_sequences, path)

    same(read(inputs=INPUTS[:1], labels=5)[0], [INPUTS[0]], ["5"])  # one sequence, a bare label
    same(read(inputs=INPUTS[..., 0])[0], list(INPUTS[..., :1]), [])  # two axes are one feature
    same(read(inputs=INPUTS, labels=[" a", "b", "c", "d", "e"])[0], list(INPUTS), list("abcde"))
    for shape in ((0, 4, 3), (5, 0, 3), (5, 4, 0)):
        message = read(inputs=np.zeros(shape))[1]
        assert message == f"{path}: inputs are (example, time, features) and none of them 0, " + (
            f"got {shape}"
        )
    assert "labels.argmax(1)" in read(inputs=INPUTS, labels=np.eye(5))[1]
    assert "lengths[1] is 5" in read(inputs=INPUTS, lengths=[4, 5, 4, 4, 4])[1]
    assert "lengths[0] is 0" in read(inputs=INPUTS, lengths=[0, 4, 4, 4, 4])[1]
    assert "lengths[0] is 2.5" in read(inputs=INPUTS, lengths=[2.5, 4, 4, 4, 4])[1]
    assert "labels[1] is 0.5" in read(inputs=INPUTS, labels=[1, 0.5, 1, 1, 1])[1]
    assert "bytes that are not UTF-8" in read(inputs=INPUTS, labels=np.array([b"\xff"] * 5))[1]


def test_missing_values_are_not_taken_for_padding(tmp_path):
    path, inputs = str(tmp_path / "a.npz"), INPUTS.copy()
    inputs[2, 1:, 0] = inputs[3, 2:] = np.nan
    np.savez(path, inputs=inputs)
    with pytest.raises(InputError, match=r"end of sequence 4; say by `lengths` \(example,\) where"):
        read_sequences(path)
    np.savez(path, inputs=inputs, lengths=[4, 4, 4, 2, 4])
    same(read_sequences(path), [*inputs[:3], inputs[3, :2], inputs[4]], [])
    np.savez(path, inputs=np.full((2, 3, 1), np.nan), lengths=[3, 3])
    with pytest.raises(InputError, match="sequence 1 has no value; leave it out"):
        read_sequences(path)


def test_the_recipes_of_the_messages_are_right(tmp_path):
    """The code in a message is run, and its file is read."""
    old, new = tmp_path / "old.npz", tmp_path / "new.npz"
    xs = [row[:n] for row, n in zip(INPUTS, LENGTHS, strict=True)]
    objects = np.empty(5, object)
    objects[:] = xs
    np.savez(old, inputs=objects, labels=LABELS)
    recipe = outcome(read_sequences, str(old))[1].partition("padded: ")[2]
    exec(recipe, {"np": np, "xs": xs, "labels": list(LABELS), "FILE": new})
    same(read_sequences(str(new)), xs, [str(label) for label in LABELS])

    flat = tmp_path / "Coffee_TRAIN.tsv"
    np.savetxt(flat, np.column_stack([LABELS, INPUTS[..., 0]]), delimiter="\t")
    recipe = re.search(r"table = .*?\)\; np.*?\)", outcome(read_sequences, str(flat))[1])[0]
    exec(recipe, {"np": np, "FILE": flat, "NEW": new})
    same(read_sequences(str(new)), list(INPUTS[..., :1]), [str(label) for label in LABELS])


@pytest.mark.parametrize("data", [
    b"", b"PK", b"PK\x03\x04" + b"\0" * 40, b"\x80\x04]\x94.",
    b"\x93NUMPY\x01\x00\x02\x00{}", b"{}",
])  # fmt: skip
def test_no_npz(tmp_path, data):
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    with pytest.raises(
        InputError, match=r"a.npz is not an .npz file of plain arrays: .+; np.savez"
    ):
        read_sequences(str(path))
    np.savez_compressed(path, **ARRAYS)
    whole = path.read_bytes()
    for cut in range(10, len(whole), 97):  # damaged at any place, or the same
        path.write_bytes(whole[:cut] + bytes([whole[cut] ^ 255]) + whole[cut + 1 :])
        found, message = outcome(read_sequences, str(path))
        assert message is not None or len(found.sequences) == 5
        path.write_bytes(whole[:cut])
        assert outcome(read_sequences, str(path))[1] is not None


def test_paths_that_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "class" / "a").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe.ts")
    for path, message in (
        (tmp_path / "empty", "is a folder without tables, such as .csv files"),
        (tmp_path / "class", "the folder a of a class is empty"),
        (tmp_path / "pipe.ts", "it is a pipe or a device; write its content to a file"),
        (tmp_path / "no.csv", "No such file or directory"),
        ("a\0.ts", "embedded null byte"),
        ("x" * 300 + ".ts", "File name too long"),
        *((f"a{suffix}", "must be a table, such as .csv, a folder of tables, a .ts or an")
          for suffix in (".arff", ".npy", ".ts.gz", ".NPZ.gz", ".mat", ".h5")),
    ):  # fmt: skip
        assert message in outcome(read_labelled, str(path), None)[1]
    with pytest.raises(InputError, match=r"data.test_path a.ts needs a data.path to learn from"):
        read_labelled(None, "a.ts")
