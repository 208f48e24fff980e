"""Files in the format of sktime and the UEA archive, as programs write them, and with faults."""

import numpy as np
import pytest

from tests.support.forms import outcome, same
from train.readers.sequences import read_labelled

TS = """@problemName Two
@timeStamps false
@missing true
@univariate false
@dimensions 2
@equalLength false
@classLabel true Up down
@data
1,2,3:4,?,6:Up
7,8:9,1e1:down
"""
SEQUENCES = [np.array([[1, 4], [2, np.nan], [3, 6]]), np.array([[7, 9], [8, 10.0]])]


@pytest.mark.parametrize("change", [
    lambda text: text,
    lambda text: "\ufeff" + text,
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text.replace("\n", "\r"),
    lambda text: text + "\n\n  \n",
    lambda text: text.rstrip(),
    lambda text: "# comment\n%\n" + text.replace("@data\n", "@data\n\n# another\n"),
    lambda text: text.replace("@data", "@DATA ").replace("@dimensions", "@DIMENSIONS"),
    lambda text: text.replace("@classLabel true", "@CLASSLABEL True"),
    lambda text: text.replace("?", "NaN").replace("@missing true\n", ""),
    lambda text: text.replace(":", " : ").replace(",", " , "),
    lambda text: text.replace("@classLabel true Up down", "@classLabel true up DOWN"),
    lambda text: text.replace(" Up down\n", "\n"),
    lambda text: "\n".join(line for line in text.split("\n") if line[:1] != "@" or "data" in line),
    lambda text: text.replace("@classLabel", "@seriesLength 3\n@classLabel"),
    lambda text: text.replace("@equalLength", "@seriesLength 3\n@equalLength"),
])  # fmt: skip
def test_ts_as_programs_write_it(tmp_path, change):
    path = tmp_path / "a.ts"
    path.write_bytes(change(TS).encode())
    same(read_labelled(str(path), None), SEQUENCES, ["Up", "down"])


@pytest.mark.parametrize(("old", "new", "message"), [
    (":down", "", "line 10: ends in '9,1e1', which is not a class of down, up; the class comes l"),
    (":down", ":dwon", "line 10: ends in 'dwon', which is not a class of down, up"),
    ("7,8:9,1e1:down", "down", "line 10: ends in 'down', which is not a class of down, up"),
    ("7,8:9,1e1", "7,8", "line 10: has 1 dimensions, the header says 2"),
    ("7,8:9,1e1", "7,8:9,1e1:3,4", "line 10: has 3 dimensions, the header says 2"),
    ("7,8:9,1e1", "7,8:9", "line 10: its dimensions have different lengths, 1 and 2; pad the sh"),
    ("7,8:9,1e1", "7,8:", "line 10: could not convert string to float: ''; a missing value is ?"),
    ("7,8:9,1e1", "7,8,:9,1e1,", "line 10: could not convert string to float: ''"),
    ("7,8", "7,1_0", "line 10: could not convert string to float: '1_0'"),
    ("7,8", "(0,7),(1,8)", "line 10: could not convert string to float: '(0'"),
    ("7,8", "7,1e999", "sequence 2 is not finite at step 2, feature 1; a missing value is NaN"),
    ("7,8:9,1e1", "?,?:?,?", "sequence 2 has no value"),
    ("1,2,3:4,?,6:Up", "1,2,3:4,?,6:?", "sequence 1 has no class"),
    ("@equalLength false", "@seriesLength 2", "line 9: has 3 steps, the header says @ser"),
    ("@dimensions 2", "@dimensions two", "line 5: @dimensions must be a whole number, got 'two'"),
    ("@timeStamps false", "@TIMESTAMPS True", "line 2: the file has time stamps, which are not r"),
    ("@classLabel true Up down", "@targetLabel true", "line 7: the file has numbers to regress on"),
    ("@classLabel true", "@classLabel false", "line 9: has 3 dimensions, the header says 2"),
    ("@data\n", "", "a.ts is not a .ts file: it has no line @data before line 8"),
    (TS[TS.index("@data") :], "", "a.ts is not a .ts file: it has no line @data"),
    (TS[TS.index("1,2,3") :], "", "a.ts holds no sequence"),
    (TS, "@data\n1,2:3,4\n", "line 2: ends in '3,4', which is not a class; the class comes last"),
    (TS, "@data\n1,2\n", "line 2: ends in '1,2', which is not a class; the class comes last"),
    (TS, "", "a.ts is not a .ts file: it has no line @data"),
    ("Two", "\0", "a.ts is not UTF-8 text: byte 13 is 0x00"),
])  # fmt: skip
def test_ts_that_is_refused(tmp_path, old, new, message):
    path = tmp_path / "a.ts"
    path.write_text(TS.replace(old, new))
    found = outcome(read_labelled, str(path), None)[1]
    assert found is not None
    assert str(path) in found
    assert message in found
