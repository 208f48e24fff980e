"""An array in many forms of saving, and the possible outcomes of a reader for each."""

import numpy as np

from train.errors import InputError

RNG = np.random.default_rng(0)
INPUTS = RNG.integers(0, 2, (5, 4, 3)).astype(float)  # 0 and 1 are the same numbers in any type
LABELS = np.array([1, 0, 1, 1, 0])
LENGTHS = np.array([4, 2, 3, 4, 1])
ARRAYS = {"inputs": INPUTS, "labels": LABELS, "lengths": LENGTHS}


def _objects(array):
    made = np.empty(len(array), object)
    for k, row in enumerate(array):
        made[k] = row
    return made


def _record(array):
    made = np.zeros(array.shape, [("value", float)])
    made["value"] = array
    return made


MUTATIONS = {
    "as it is": lambda a: a,
    **{
        dtype: lambda a, dtype=dtype: a.astype(dtype)
        for dtype in ("f2", "f4", "f8", ">f8", "g", "i1", ">i4", "i8", "u1", "u8", "?")
    },
    **{dtype: lambda a, dtype=dtype: a.astype(dtype) for dtype in ("c8", "U", "S")},
    "dates": lambda a: a.astype("i8").astype("M8[D]"),
    "durations": lambda a: a.astype("i8").astype("m8[s]"),
    "records": _record,
    "objects": _objects,
    "Fortran order": np.asfortranarray,
    "a row": lambda a: a[None],
    "a column": lambda a: a[..., None],
    "transposed": lambda a: a.T,
    "empty": lambda a: a[:0],
    "no element": lambda a: np.zeros((0, 0)),
    "one element": lambda a: a.ravel()[:1],
    "no axis": lambda a: a.ravel()[0],
    "flat": lambda a: np.append(a.ravel(), a.ravel()),
    "one less": lambda a: a[:-1],
    "one more": lambda a: np.concatenate([a, a[:1]]),
    "NaN": lambda a: np.where(np.arange(a.size).reshape(a.shape) == 1, np.nan, a),
    "infinite": lambda a: np.where(np.arange(a.size).reshape(a.shape) == 1, np.inf, a),
    "negative": lambda a: -1.0 - a,
    "halves": lambda a: a + 0.5,
}
SAME = {"as it is", "f2", "f4", "f8", ">f8", "g", "i1", ">i4", "i8", "u1", "u8", "Fortran order"}


def same(found, sequences, labels):
    """Assert that the reader found these sequences and classes."""
    assert len(found.sequences) == len(sequences)
    for a, b in zip(found.sequences, sequences, strict=True):
        np.testing.assert_array_equal(a, b)
    assert found.labels == labels


def outcome(read, *args):
    """A reader's result, or its error in one line; no other exception is allowed."""
    try:
        return read(*args), None
    except InputError as error:
        message = str(error)
        assert "\n" not in message
        return None, message
