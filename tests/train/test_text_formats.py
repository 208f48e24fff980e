"""Delimited text: lines above the header, delimiters, decimal commas, compression, encodings."""

import gzip

import numpy as np
import pytest

from tests.support.tables import read, table
from train.errors import InputError
from train.readers.columns import read_columns


def test_lines_above_the_header(write):
    text = '"World, Bank"\nUpdated,2024-07-01,x\n\n' + table("date,a", lambda k: k)
    assert read(write(text), skip=2).names == ["a"]
    with pytest.raises(InputError, match=r"line 5: 'x' in column 'a' is not a number"):
        read(write("p,q,r\n\n# c\n" + table("date,a", lambda k: k or "x")), skip=1)


def test_commas_for_decimals(write):
    text = table("date;a", lambda k: f"{k};5").replace(",", "|").replace(";", ",").replace("|", ";")
    found = read(write(text.replace("date,a", "date;a")), decimal="comma")
    np.testing.assert_array_equal(found.values[:, 0], np.arange(20) + 0.5)


MARKS = (("tab", "\t"), ("space", "  "), ("pipe", "|"), ("semicolon", ";"), ("comma", ","))


def test_delimiters_by_name(write):
    for name, mark in MARKS:
        for flags in ({}, {"delimiter": name}):
            found = read(
                write(table("date,a,b", lambda k: k, lambda k: 2 * k).replace(",", mark)), **flags
            )
            assert found.names == ["a", "b"]
            np.testing.assert_array_equal(found.values[:, 1], 2 * np.arange(20))


def test_a_delimiter_below_other_lines(write):
    text = "Quelle: wir\n" + table("date,a,b", lambda k: k, lambda k: k).replace(",", ";")
    with pytest.raises(
        InputError, match=r"line 2: has 3 cells, the header \(line 1\) has 1; --data.s"
    ):
        read(write(text))
    assert read(write(text), skip=1).names == ["a", "b"]


def test_gzip(write):
    packed = gzip.compress(table("date,a", lambda k: k).encode())
    for name in ("a.csv.gz", "a.csv"):
        np.testing.assert_array_equal(read(write(packed, name)).values[:, 0], np.arange(20))
    with pytest.raises(InputError, match=r"is not a gzip file; if it is plain text, remove \.gz"):
        read(write(table("date,a", lambda k: k), "a.csv.gz"))
    with pytest.raises(InputError, match="is a broken gzip file"):
        read(write(packed[:-10]))


def test_encodings(write):
    text = table("Datum;M\u00fcnchen", lambda k: k).replace(",", ";")
    for encoding, flags in (
        ("latin-1", {"encoding": "latin-1"}), ("utf-8-sig", {}), ("utf-16", {}), ("utf-8", {}),
        ("utf-16-be", {"encoding": "utf-16-be"}),
    ):  # fmt: skip
        assert read(write(text.encode(encoding)), **flags).names == ["M\u00fcnchen"]


def test_rows_that_begin_with_a_hash_are_rows(tmp_path):
    """A comment has other cells than the table; `#N/A` of Excel is a missing value."""
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,10\n# by hand\n#N/A,30\n4,40\n", encoding="utf-8")
    found = read_columns(str(path), None, ())
    np.testing.assert_array_equal(found.values, [[1, 10], [np.nan, 30], [4, 40]])
    path.write_text("a\n1\n# by hand\n#N/A\n4\n", encoding="utf-8")
    np.testing.assert_array_equal(read_columns(str(path), None, ()).values, [[1], [np.nan], [4]])
