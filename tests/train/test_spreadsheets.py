"""Tables of .xlsx and .parquet files."""

import datetime
import subprocess
import sys
from decimal import Decimal

import numpy as np
import openpyxl
import pandas as pd
import pytest

from tests.support.tables import DAYS, NAN, read
from train.errors import InputError


def workbook(path, *sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return str(path)


def test_excel(tmp_path):
    """Rows and a column above and beside the table, dates of Excel, an empty second sheet."""
    days = [datetime.datetime(2024, 1, 31) + datetime.timedelta(days=k) for k in range(20)]
    rows = [[None, "Sales of all", None, None], [], [None, "Date", "a", "ok"]]
    rows += [[None, day, k / 4 if k != 3 else None, k % 2 == 0] for k, day in enumerate(days)]
    path = workbook(tmp_path / "a.xlsx", ("one", rows), ("two", []))
    found = read(path, skip=1)
    assert found.times == [str(day.date()) for day in days]
    assert (found.names, found.missing) == (["a", "ok"], {"": 1})
    expected = np.where(np.arange(20) == 3, NAN, np.arange(20) / 4)
    np.testing.assert_array_equal(found.values.T, [expected, np.arange(20) % 2 == 0])
    pd.DataFrame(
        {"when": pd.date_range("2024-01-01", periods=9, freq="h"), "a": range(9)}
    ).to_excel(tmp_path / "b.xlsx")
    hours = read(str(tmp_path / "b.xlsx"))
    assert (hours.names, hours.step, hours.times[8]) == (["a"], "1 hour", "2024-01-01 08:00:00")


@pytest.mark.parametrize("flags", [
    {}, {"decimal": "comma"}, {"decimal": "comma", "thousands": "point"}, {"thousands": "comma"},
    {"decimal": "comma", "thousands": "apostrophe"},
])  # fmt: skip
@pytest.mark.parametrize("suffix", [".xlsx", ".parquet"])
def test_numbers_of_a_workbook_are_numbers_whatever_the_flags(tmp_path, suffix, flags):
    """The numbers that openpyxl and pandas read; the flags apply to cells of text."""
    rng = np.random.default_rng(7)
    numbers = pd.DataFrame({
        "three": rng.integers(1_000, 999_999, 60) / 1000, "whole": rng.integers(-9_999, 9_999, 60),
        "large": rng.normal(size=60) * 1e9, "small": rng.normal(size=60) * 1e-9,
    })  # fmt: skip
    numbers["date"] = [f"2024-{k % 12 + 1:02}-{1 + k // 12:02}" for k in range(60)]
    numbers = numbers.sort_values("date")
    path = str(tmp_path / f"a{suffix}")
    write, check = (
        (numbers.to_excel, pd.read_excel) if suffix == ".xlsx" else
        (numbers.to_parquet, pd.read_parquet)
    )  # fmt: skip
    write(path, index=False)
    found = read(path, **flags)
    assert found.names == ["three", "whole", "large", "small"]
    np.testing.assert_array_equal(found.values, check(path)[found.names])


def test_text_beside_numbers_in_a_workbook(tmp_path):
    rows = [["date", "a"], *([day, 1.125 + k] for k, day in enumerate(DAYS))]
    rows[2][1], rows[3][1], rows[4][1], rows[5][1] = "1.125,5", " 7,25 ", "-999", -999
    path = workbook(tmp_path / "a.xlsx", ("one", rows))
    found = read(path, decimal="comma", thousands="point", missing=("-999",))
    expected = 1.125 + np.arange(20)
    expected[1:5] = [1125.5, 7.25, NAN, NAN]
    np.testing.assert_array_equal(found.values[:, 0], expected)
    with pytest.raises(InputError, match=r"row 3: '1\.125,5' in column 'a' has a comma"):
        read(path)


def test_excel_with_faults(tmp_path):
    rows = [["date", "a"], ["2024-01-01", 1], ["2024-01-02", "x"], ["2024-01-03", 3]]
    path = workbook(tmp_path / "a.xlsx", ("one", rows), ("two", [["a"], [1], [2]]))
    with pytest.raises(
        InputError, match=r"several sheets with cells, 'one', 'two': .* --data.sheet"
    ):
        read(path)
    assert read(path, sheet="two").names == ["a"]
    with pytest.raises(
        InputError, match=r"has no sheet 'three' with cells; it has \['one', 'two'\]"
    ):
        read(path, sheet="three")
    with pytest.raises(InputError, match="row 3: 'x' in column 'a' is not a number"):
        read(path, sheet="one")
    formula = workbook(tmp_path / "b.xlsx", ("one", [["a"], [1], ["=A2+1"]]))
    with pytest.raises(InputError, match="A3 is a formula without a result"):
        read(formula)
    with pytest.raises(InputError, match="holds no cells"):
        read(workbook(tmp_path / "c.xlsx", ("one", [])))
    (tmp_path / "d.xlsx").write_text("date,a\n")
    with pytest.raises(InputError, match=r"d\.xlsx is not a \.xlsx file"):
        read(str(tmp_path / "d.xlsx"))


def test_parquet(tmp_path):
    index = pd.date_range("2024-03-30", periods=60, freq="h", tz="Europe/Berlin")
    frame = pd.DataFrame({
        "a": pd.array([None if k == 5 else k for k in range(60)], "Int64"),
        "b": np.arange(60, dtype=np.float32) / 3,
        "c": [Decimal(k) / 4 for k in range(60)],
        "d": np.arange(60) % 2 == 0,
        "lists": [[1, 2]] * 60,
    }, index=index)  # fmt: skip
    path = str(tmp_path / "a.parquet")
    for name in (None, "when"):
        frame.rename_axis(name).to_parquet(path)
        found = read(path)
        assert (found.names, found.time, found.step) == (list("abcd"), name or "", "1 hour")
        assert found.left_out == {"lists": "holds text, such as '[1, 2]'"}
        expected = frame.drop(columns="lists").astype(float).to_numpy(na_value=NAN)
        np.testing.assert_array_equal(found.values, expected)
        assert [pd.Timestamp(time) for time in found.times] == index.tolist()
    fine = pd.date_range("2024-01-01", periods=9, freq="100ns")
    pd.DataFrame({"t": fine, "spent": pd.to_timedelta(range(9)), "a": range(9)}).to_parquet(path)
    with pytest.raises(InputError, match=r"row 1: '0\.0 s' in column 'spent' has more than a"):
        read(path)
    found = read(path, None, ("a",))
    assert (found.step, found.times[1]) == ("100 nanoseconds", "2024-01-01T00:00:00.000000100")
    pd.DataFrame({"a": range(9)}, index=pd.period_range("2020", periods=9, freq="M")).to_parquet(
        path
    )
    assert read(path).left_out == {"": "numbers the rows"}
    frame.reset_index(drop=True)[["a", "b"]].to_parquet(path)
    assert read(path).times is None
    with pytest.raises(InputError, match="has no column 'x'"):
        read(path, "x")


@pytest.mark.parametrize(("name", "package"), [("a.xlsx", "openpyxl"), ("a.parquet", "pyarrow")])
def test_a_package_that_is_not_there(write, monkeypatch, name, package):
    content = b"PK\x03\x04 xl/workbook.xml" if package == "openpyxl" else b"PAR1"
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"{name} needs {package}: python -m pip install"):
        read(write(content, name))


def test_tables_of_text_need_no_further_package():
    """Neither pandas nor what reads spreadsheets is imported."""
    code = (
        "import sys, train.readers.columns as c; c.read_columns(None, None, ()); "
        "print([name for name in ('pandas', 'openpyxl', 'pyarrow') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"
