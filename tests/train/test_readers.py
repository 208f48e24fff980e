"""Files of people: what is read, and the complaint about each fault."""

import numpy as np
import pytest

from train.errors import InputError
from train.readers import files
from train.readers.columns import digits, read_columns, times_after
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
    ("a.txt", "", "data.path .*a.txt must end in .ts or .npz"),
    ("a.ts", "1,2:up", "a.ts is no .ts file: it has no line @data"),
    ("a.ts", TS.replace("7,8", "7,x"), "a.ts, line 8: could not convert string to float: 'x'"),
    ("a.ts", TS.replace("7,8", "7"), "a.ts, line 8: its features have different lengths"),
    ("a.ts", TS.replace("7,8:9,10", "7,8"), "a.ts: sequence 2 has 1 features, the first has 2"),
    ("a.ts", TS.replace("7,8", "7,?"), "a.ts: sequence 2 holds a value that is missing or not fin"),
    ("a.ts", TS.replace("@timeStamps false", "@timeStamps true"), "a.ts has time stamps"),
    ("a.ts", TS.replace("@classLabel true up down", "@targetlabel true"), "numbers to regress on"),
    ("a.ts", TS.partition("1,2,3")[0], "a.ts holds no sequence"),
    ("a.ts", TS.replace("true up down", "false").replace(":up", "").replace(":down", ""),
     "a.ts holds no classes to learn"),
    ("a.ts", b"\xff", "a.ts is not UTF-8 text: byte 0 is 0xff"),
    ("a.npz", b"PK", "a.npz is no .npz file of plain arrays"),
    ("a.npz", {"x": [1]}, "a.npz has no array 'inputs'; it has x"),
    ("a.npz", {"inputs": ["a"]}, "a.npz: inputs must be numbers with 2 or 3 axes, got <U1"),
    ("a.npz", {"inputs": [[1.0]], "labels": [[1]]}, "labels must be 1 classes, got an array"),
    ("a.npz", {"inputs": [[1.0]], "labels": [1], "lengths": [2]},
     "lengths must be 1 numbers from 1"),
    ("a.npz", {"inputs": np.array([[{}]], object)}, "a.npz is no .npz file of plain arrays"),
])  # fmt: skip
def test_sequences_that_cannot_be_used(write, name, content, message):
    with pytest.raises(InputError, match=message):
        read_labelled(write(name, content), None)


def test_test_files_that_do_not_fit(write):
    other = TS.replace("1,2,3:4,5,6", "1,2,3").replace("7,8:9,10", "7,8")
    with pytest.raises(InputError, match=r"other.ts has 1 features, .*two.ts has 2"):
        read_labelled(write("two.ts", TS), write("other.ts", other))
    with pytest.raises(InputError, match=r"cannot read data.test_path nowhere.ts: No such file"):
        read_labelled(write("two.ts", TS), "nowhere.ts")


CSV = """ Date ;Temp (\u00b0C);"Load, MW";site
2024-01-01 00:00;1.5;100;a
2024-01-01 01:00;NA;101;a
2024-01-01 02:00;2.5;;a
2024-01-01 05:00;3.0;103;b

2024-01-01 06:00;3.5;104;b
"""


def test_csv_with_gaps_and_odd_names(write):
    found = read_columns(write("a.csv", CSV), None, ())
    assert found.names == ["Temp (\u00b0C)", "Load, MW"]
    assert found.left_out == ["site"]
    nan = np.nan
    expected = [[1.5, 100], [nan, 101], [2.5, nan], [nan, nan], [nan, nan], [3, 103], [3.5, 104]]
    np.testing.assert_array_equal(found.values, expected)
    assert found.times[2:6] == ["2024-01-01 02:00", "", "", "2024-01-01 05:00"]
    one = read_columns(write("a.csv", CSV), "Date", ("Load, MW",))
    np.testing.assert_array_equal(one.values, np.array(expected)[:, 1:])


def test_csv_of_numbers_alone(write):
    found = read_columns(write("a.csv", "a,b\n1,2\n3,4\n"), None, ())
    assert (found.names, found.times) == (["a", "b"], None)
    timed = read_columns(write("a.csv", "a,b\n1,2\n3,4\n5,9\n11,7\n"), "a", ())
    np.testing.assert_array_equal(timed.values[:, 0], [2, 4, 9, np.nan, np.nan, 7])
    old = read_columns(write("a.csv", "a,b\r1,2\r3,4\r"), None, ())
    np.testing.assert_array_equal(old.values, [[1, 2], [3, 4]])
    single = read_columns(write("a.csv", "a\n1\n2\n"), None, ())
    np.testing.assert_array_equal(single.values, [[1], [2]])


def test_months_are_even_steps(write):
    rows = [f"2023-{month:02}-01,{month}" for month in range(1, 13) if month != 5]
    found = read_columns(write("a.csv", "day,x\n" + "\n".join(rows)), None, ())
    np.testing.assert_array_equal(found.values[:, 0], [1, 2, 3, 4, np.nan, *range(6, 13)])


def test_carbon_dioxide():
    found = read_columns(None, None, ())
    assert found.names == ["co2"]
    assert found.values.shape == (2284, 1)  # weeks from 1958 to 2001
    assert np.isnan(found.values).sum() == 59
    assert found.times[0] == "19580329"


def test_columns_of_npz(write):
    found = read_columns(write("a.npz", {"values": np.arange(6.0).reshape(3, 2)}), None, ())
    assert found.names == ["column 1", "column 2"]
    assert read_columns(write("a.npz", {"values": [1, 2]}), None, ()).values.shape == (2, 1)
    with pytest.raises(InputError, match=r"values\[1, 0\] is inf"):
        read_columns(write("a.npz", {"values": [1, np.inf]}), None, ())


@pytest.mark.parametrize(("content", "options", "message"), [
    ("", {}, "must hold a header and rows of numbers"),
    ("1,2\n3,4\n", {}, "has no header: its first line holds numbers alone"),
    ("a,a\n1,2\n", {}, "has two columns 'a'"),
    ("a,b\n1,2\n3\n", {}, "line 3: has 1 cells, the header has 2"),
    ("a,b\n1,2\n3,x\n4,5\n", {}, "line 3: 'x' in column 'b' is no number"),
    ("a\nx\ny\n", {}, "has no column of numbers; line 2: 'x' in column 'a' is no number"),
    ("a,b\n1,2\n3,inf\n", {}, "line 3: 'inf' in column 'b' is not finite"),
    ("time,x\n2024-01-01,1\n,2\n2024-01-03,3\n", {}, "line 3: '' in column 'time' is no date"),
    ("when,x\n2024-01-01,1\nn/a,2\n2024-01-03,3\n", {}, "line 3: 'n/a' in .* is no date"),
    ("a;b\n0,5;1\n1,5;2\n", {}, "line 2: '0,5' in column 'a' has a comma; write numbers as 1234.5"),
    ("a,b\nx," + "y" * 200_000 + "\n", {}, "line 2: field larger than field limit"),
    ("a,b\n1,2\n", {"names": ("a", "a")}, "must name each column once"),
    ("Start time,x\n31/01/2024 14:00,1\n", {}, "line 2: '31/01/2024 14:00' in .* is no date"),
    ("a,b\n1,2\n", {"names": ("c",)}, r"has no column 'c' of numbers; it has \['a', 'b'\]"),
    ("a,b\n1,2\n", {"time": "c"}, r"has no column 'c'; it has \['a', 'b'\]"),
    ("a,b\n2,2\n1,2\n", {"time": "a"}, "times must rise, and '1' comes after '2'"),
    ("a,b\n1,2\n1,2\n", {"time": "a"}, "times must rise, and '1' comes after '1'"),
    ("a,b\n1,2\nsoon,2\n", {"time": "a"}, "the time 'soon' is no number and no date of ISO 8601"),
    ("a,b\n1,2\n2,2\n3,2\n99,2\n", {"time": "a"}, "4 rows would leave 95 gaps"),
])  # fmt: skip
def test_tables_that_cannot_be_used(write, content, options, message):
    arguments = {"time": None, "names": ()} | options
    with pytest.raises(InputError, match=message):
        read_columns(write("a.csv", content), **arguments)


def test_times_after_the_end():
    assert times_after(["2024-02-28", "2024-02-29"], 2) == ["2024-03-01", "2024-03-02"]
    hours = times_after(["2024-01-01 22:00", "", "2024-01-01 23:00"], 2)
    assert hours == ["2024-01-02 00:00:00", "2024-01-02 01:00:00"]
    assert times_after(["2024-01-01T22:00", "2024-01-01T23:00"], 1) == ["2024-01-02T00:00:00"]
    assert times_after(["1.5", "2"], 2) == ["2.5", "3"]
    assert times_after(["19580329", "19580405"], 1) == ["1958-04-12"]
    assert list(digits(np.array([1.5, np.nan]))) == ["1.5", ""]


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
    with pytest.raises(InputError, match=r"a.mat is no .mat file"):
        read_rolls(write("a.mat", "nothing"))


def test_data_of_a_package_that_is_not_there(monkeypatch):
    monkeypatch.setattr(files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"with the package sktime: pip install '.\[data\]'"):
        read_labelled(None, None)
    with pytest.raises(
        InputError, match=r"comes with the package statsmodels: .* forecasting: --dat"
    ):
        read_columns(None, None, ())
