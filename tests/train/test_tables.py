"""Tables of people: what is read from each kind of file, and the complaint about each fault."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.support.tables import DAYS, NAN, read, table
from train.config.tasks import Table
from train.errors import InputError
from train.readers.columns import digits, read_columns, times_after
from train.readers.numbers import read_numbers

CSV = """ Date ;Temp (\u00b0C);"Load, MW";site
2024-01-01 00:00;1.5;100;a
2024-01-01 01:00;NA;101;a
2024-01-01 02:00;2.5;;a
2024-01-01 05:00;3.0;103;b

2024-01-01 06:00;3.5;104;b
"""


def test_csv_with_gaps_and_odd_names(write):
    found = read(write(CSV))
    assert found.names == ["Temp (\u00b0C)", "Load, MW"]
    assert found.left_out == {"site": "holds text, such as 'a'"}
    assert (found.missing, found.gaps, found.step) == ({"NA": 1, "": 1}, 2, "1 hour")
    expected = [[1.5, 100], [NAN, 101], [2.5, NAN], [NAN, NAN], [NAN, NAN], [3, 103], [3.5, 104]]
    np.testing.assert_array_equal(found.values, expected)
    assert found.times == [f"2024-01-01 0{hour}:00" for hour in range(7)]
    one = read(write(CSV), "Date", ("Load, MW",))
    np.testing.assert_array_equal(one.values, np.array(expected)[:, 1:])


def test_csv_of_numbers_alone(write):
    found = read(write("a,b\n1,2\n3,4\n"))
    assert (found.names, found.times) == (["a", "b"], None)
    timed = read(write("a,b\n1,2\n3,4\n5,9\n11,7\n"), "a")
    np.testing.assert_array_equal(timed.values[:, 0], [2, 4, 9, NAN, NAN, 7])
    assert timed.times == ["1", "3", "5", "7", "9", "11"]
    old = read(write("a,b\r1,2\r3,4\r"))
    np.testing.assert_array_equal(old.values, [[1, 2], [3, 4]])
    single = read(write("a\n1\n2\n"))
    np.testing.assert_array_equal(single.values, [[1], [2]])


def test_months_are_even_steps(write):
    rows = [f"2023-{month:02}-01,{month}" for month in range(1, 13) if month != 5]
    found = read(write("day,x\n" + "\n".join(rows)))
    np.testing.assert_array_equal(found.values[:, 0], [1, 2, 3, 4, NAN, *range(6, 13)])
    assert found.times[4] == "2023-05-01"


def test_carbon_dioxide():
    found = read(None)
    assert found.names == ["co2"]
    assert found.values.shape == (2284, 1)  # weeks from 1958 to 2001
    assert np.isnan(found.values).sum() == 59
    assert found.times[0] == "19580329"
    assert found.step == "7 days"


def test_columns_of_npz(tmp_path):
    def npz(values):
        np.savez(tmp_path / "a.npz", values=values)
        return str(tmp_path / "a.npz")

    found = read(npz(np.arange(6.0).reshape(3, 2)))
    assert found.names == ["column 1", "column 2"]
    assert read(npz(np.arange(6.0).reshape(3, 2)), None, ("column 2",)).values.tolist() == [
        [1], [3], [5],
    ]  # fmt: skip
    assert read(npz([1, 2])).values.shape == (2, 1)
    with pytest.raises(InputError, match=r"values\[1, 0\] is inf"):
        read(npz([1, np.inf]))
    with pytest.raises(InputError, match=r"a.npz has no times; leave out --data.time"):
        read(npz([1, 2]), "date")


def test_a_frame_of_pandas_as_it_writes_itself(tmp_path):
    """Frames with an index, with dates as index, and written twice."""
    frame = pd.DataFrame({"a": np.arange(20) % 3, "b": np.arange(20) / 4})
    dated = frame.assign(date=pd.date_range("2024-01-31", periods=20, freq="ME"))
    path = tmp_path / "a.csv"
    for make in (
        lambda: dated.to_csv(path),
        lambda: dated.set_index("date").to_csv(path),
        lambda: dated.set_index("date").rename_axis(None).to_csv(path),
        lambda: dated.reset_index().to_csv(path),
        lambda: (dated.to_csv(path), pd.read_csv(path).to_csv(path)),
        lambda: dated.to_csv(path, sep="\t", encoding="utf-16"),
        lambda: dated.to_csv(path, sep=";", encoding="utf-8-sig", lineterminator="\r\n"),
        lambda: dated.to_csv(path, sep="|", quoting=1),
    ):
        make()
        found = read(str(path))
        assert sorted(found.names) == ["a", "b"]
        np.testing.assert_array_equal(found.values, frame.to_numpy())
        assert found.step == "1 month, on the last day"
        assert set(found.left_out.values()) <= {"numbers the rows"}


@pytest.mark.parametrize(("text", "names", "time", "left_out"), [
    (table("date,a,", lambda k: k * k, lambda k: ""), ["a"], "date", {"": "is empty"}),
    (table("date,a", lambda k: f"{k},"), ["a"], "date", {}),
    (table("date,a,", lambda k: k), ["a"], "date", {}),
    (table(",a,,", lambda k: k, lambda k: "", lambda k: ""), ["a"], "",
     {"Unnamed: 2": "is empty", "Unnamed: 3": "is empty"}),
    (table(",a", lambda k: k * k), ["a"], "", {}),
    (table("date,id,a", lambda k: k + 1, lambda k: k * k), ["a"], "date",
     {"id": "numbers the rows"}),
    (table("date,id,a", lambda k: 7, lambda k: k), ["id", "a"], "date", {}),
    (table("date,a,b", lambda k: k, lambda k: "NA"), ["a"], "date", {"b": "is empty"}),
    (",date,a\n" + "".join(f"{k * k},{day},{k}\n" for k, day in enumerate(DAYS)), ["a"], "date",
     {"": "numbers the rows"}),
    (table("date,sunrise,a", lambda k: f"0{7 - k % 2}:{k + 10}", lambda k: k), ["a"], "date",
     {"sunrise": "holds text, such as '07:10'"}),
    (",a\nMazda,1\nFiat,2\n", ["a"], None, {"": "holds text, such as 'Mazda'"}),
    (table("date,a,ok", lambda k: k, lambda k: k % 2 > 0), ["a", "ok"], "date", {}),
    (table("date,a,note", lambda k: k, lambda k: "estimated" if k == 3 else ""), ["a"], "date",
     {"note": "holds text, such as 'estimated'"}),
    (table("date,until,a", lambda k: f"2024-02-{k + 1:02}", lambda k: k), ["a"], "date",
     {"until": "holds times, too; 'date' is the one that counts"}),
    (table("date,a") .replace("\n", ",5\n").replace("a,5", "a") + "  \n\t\n,\n", ["a"], "date", {}),
    ("sep=;\n" + table("date;a", lambda k: k).replace(",", ";"), ["a"], "date", {}),
    (table("date a b", lambda k: k, lambda k: k).replace(",", "   "), ["a", "b"], "date", {}),
    ("# made by, A\n\n# 2024\n" + table("date,a", lambda k: k), ["a"], "date", {}),
    ("# made by, A\n# date,a\n" + table("x").partition("\n")[2].replace("\n", ",1\n"), ["a"],
     "date", {}),
    (table("date,a", lambda k: f'"{k}.5"'), ["a"], "date", {}),
    ('"#n",date,a\n' + "".join(f"1.5,{day},2\n# out\n" for day in DAYS), ["#n", "a"], "date", {}),
    ("#n;date;a\n" + "".join(f"1.5;{day};2.5\n" for day in DAYS), ["#n", "a"], "date", {}),
    (table('date,"a ""b"", c"', lambda k: k), ['a "b", c'], "date", {}),
    (table('date,"a\nb"', lambda k: k), ["a\nb"], "date", {}),
    (table("date,a", lambda k: f"{k}e-2"), ["a"], "date", {}),
    ("YEAR,MO,DY,a\n" + "".join(f"2024,{1 + k // 31},{1 + k % 31},{k}\n" for k in range(31)), ["a"],
     "YEAR MO DY", {}),
    ("Year,Month,a\n" + "".join(f"{2020 + k // 12},{1 + k % 12},{k}\n" for k in range(40)), ["a"],
     "Year Month", {}),
    ("Year,Month,a\n" + "".join(f"2020,{m},1\n" for m in ("Jan", "Feb", "Mar")), ["a"],
     "Year Month", {}),
    (table("date,travel time,T (degC)", lambda k: 1200 + k % 3, lambda k: 20 - k % 4),
     ["travel time", "T (degC)"], "date", {}),
    ("travel time,a\n1200,5\n1300,6\n1250,7\n", ["travel time", "a"], None, {}),
    ("YearMonth,a\n" + "".join(f"{202001 + k},{k}\n" for k in range(12)), ["a"], "YearMonth", {}),
    ("Year,Date,a\n" + "".join(f"2024,{day},1\n" for day in DAYS), ["a"], "Date",
     {"Year": "holds times, too; 'Date' is the one that counts"}),
    ("Year,a\n1949,5\n1950,6\n1951,7\n", ["a"], "Year", {}),
    ("t,a\n0.1,5\n0.2,6\n0.3,7\n", ["a"], "t", {}),
    ("timestamp,a\n1704067200,5\n1704070800,6\n1704074400,7\n", ["a"], "timestamp", {}),
])  # fmt: skip
def test_what_is_read_and_what_is_left_out(write, text, names, time, left_out):
    found = read(write(text))
    assert (found.names, found.time, found.left_out) == (names, time, left_out)
    assert found.gaps == 0


def test_date_and_clock_in_two_columns(write):
    lines = [f"2024-01-0{1 + k // 24},{k % 24:02}:00,{k}" for k in range(48)]
    path = write("Date,Time,a\n" + "\n".join(lines))
    for time in (None, "Date Time"):
        found = read(path, time)
        assert (found.time, found.names, found.step) == ("Date Time", ["a"], "1 hour")
        assert found.times[25] == "2024-01-02 01:00"
    with pytest.raises(InputError, match="some rows have the same time"):
        read(path, "Date")
    again = read(write("Date,Time,a\n" + "\n".join(lines)), None, ("a",))
    assert again.left_out == {}


def test_dates_and_hours(write):
    """Some hours are missing, and the hour is not beside the date."""
    lines = [f"{k},2011-01-0{1 + k // 24},1,{k % 24},{k}" for k in range(72) if k != 30]
    found = read(write("instant,dteday,season,hr,cnt\n" + "\n".join(lines)))
    assert (found.time, found.step, found.gaps) == ("dteday hr", "1 hour", 1)
    assert found.names == ["instant", "season", "cnt"]
    assert found.times[30] == "2011-01-02 06:00"
    path = write("Date,Hour,a\n" + "".join(f"2011-01-01,{k},{k}\n" for k in range(1, 25)))
    with pytest.raises(InputError, match="join a date and an hour to one column"):
        read(path)


def test_times_of_one_day_make_no_date(write):
    path = write("Time,a\n" + "".join(f"{hour:02}:00,{hour}\n" for hour in range(20)))
    with pytest.raises(InputError, match="line 2: '00:00' in column 'Time' is not a date"):
        read(path)


def test_dates_of_a_named_column_are_kept_as_they_are(write):
    for cells, step in (
        ([f"{1949 + k // 12}-{k % 12 + 1:02}" for k in range(36)], "1 month, on day 1"),
        ([f"01/{day[8:]}/2024" for day in DAYS], "1 day"),
        ([f"{1950 + k}" for k in range(30)], "12 months, on day 1"),
        (["2024-Q1", "2024-Q2", "2024-Q3"], "3 months, on day 1"),
    ):
        found = read(write("Period,a\n" + "".join(f"{cell},1\n" for cell in cells)))
        assert (found.times, found.step, found.names) == (cells, step, ["a"])


def test_day_or_month_first(write):
    path = write("Date,a\n01/02/2024,1\n02/02/2024,2\n03/02/2024,3\n")
    with pytest.raises(
        InputError, match=r"column 'Date' .* may be dmy or mdy .* --data.date_order"
    ):
        read(path)
    assert read(path, date_order="dmy").step == "1 day"
    assert read(path, date_order="mdy").step == "1 month, on day 2"
    assert read(write("Date,a\n12/31/2024,1\n01/01/2025,2\n")).date_order == "mdy"


@pytest.mark.parametrize(("flags", "cells", "expected"), [
    ({}, ["1", "-2.5", "+.5", "3.", "1e3", "2E-2", "\u22127"], [1, -2.5, 0.5, 3, 1000, 0.02, -7]),
    ({}, ["\u0661\u0662", "\uff11\uff12.5"], [12, 12.5]),
    ({}, ["", "NA", "n/a", "#N/A", "NULL", "-", ".", "NaN", "..", "<NA>", "None"], [NAN] * 11),
    ({"missing": ("-999", "x", "1,5")}, ["-999", "-999.0", "-9.99e2", "X", "1,5", "5"],
     [NAN] * 5 + [5]),
    ({"decimal": "comma"}, ["1,5", "-0,25", "7", ",5", "1,5e3"], [1.5, -0.25, 7, 0.5, 1500]),
    ({"thousands": "comma"}, ["1,234", "1,234,567.5", "-12,345", "999", "12,34,567"],
     [1234, 1234567.5, -12345, 999, 1234567]),
    ({"thousands": "point", "decimal": "comma"}, ["1.234", "1.234,5", "12"], [1234, 1234.5, 12]),
    ({"thousands": "space"}, ["1 234", "1\u00a0234\u00a0567", "12\u202f345"],
     [1234, 1234567, 12345]),
    ({"thousands": "apostrophe"}, ["1'234.5", "1\u2019234"], [1234.5, 1234]),
    ({}, ["true", "FALSE", "", "True"], [1, 0, NAN, 1]),
])  # fmt: skip
def test_numbers(flags, cells, expected):
    found = read_numbers(cells, replace(Table(), **flags))
    assert found.bad == []
    np.testing.assert_array_equal(found.values, expected)
    assert found.missing.total() == np.isnan(expected).sum()


@pytest.mark.parametrize(("flags", "cell"), [
    *(({}, cell) for cell in (
        "1_200", "1,5", "1 234", "12%", "$5", "0x1F", "1d5", "1,234.5", "inf", "-Infinity", "1e999",
        "\u221e", "(5)", "true", "1.5.2", "--5", "1e", "e5", "1 2", "5 %", "1\u066b5", "1-2",
        "12:30", "1.000.000", "\u0661_\u0662", "5\u00b2", "NaN(1)", "+-5",
    )),
    *(({"decimal": "comma"}, cell) for cell in ("1.5", "1.234,5", "1,2,3")),
    *(({"thousands": "comma"}, cell) for cell in (
        "1,5", "12,345,6", "1234,567", "1,2345", "1.5,000",
    )),
    ({"thousands": "space"}, "1 5"), ({"missing": ("-99",)}, "-99x"),
])  # fmt: skip
def test_what_is_no_number(flags, cell):
    """It is never read as another number."""
    found = read_numbers([cell, "3"], replace(Table(), **flags))
    assert found.bad == [0]


def test_numbers_that_programs_write():
    """Every float comes back as it was."""
    numbers = np.random.default_rng(0).normal(size=300) * 10.0 ** np.arange(-150, 150)
    found = read_numbers([repr(float(number)) for number in numbers], Table())
    np.testing.assert_array_equal(found.values, numbers)
    german = [repr(float(number)).replace(".", ",") for number in numbers]
    np.testing.assert_array_equal(read_numbers(german, Table(decimal="comma")).values, numbers)
    grouped = [f"{number:,.3f}" for number in numbers[150:170]]
    np.testing.assert_array_equal(
        read_numbers(grouped, Table(thousands="comma")).values,
        [float(f"{number:.3f}") for number in numbers[150:170]],
    )


@pytest.mark.parametrize(("content", "options", "message"), [
    ("", {}, "must hold a header and rows of numbers"),
    ("\n\n", {}, "must hold a header and rows of numbers"),
    ("date,a\n", {}, "must hold a header and rows of numbers"),
    ("1,2\n3,4\n", {}, "has no header: its first line holds only numbers"),
    ("2024-01-01,2\n2024-01-02,4\n", {}, "has no header"),
    ("1,5;NA\n1,6;3\n", {}, "has no header"),
    ("a,a\n1,2\n", {}, "has two columns 'a'; give one another name"),
    ("a,b\n1,2\n3\n4,5\n", {}, r"line 3: has 1 cells, the header \(line 1\) has 2; --data.skip"),
    ("a,b\n1,2\n3,4\nSource: us\n", {}, "line 4: .* delete the lines below the table"),
    ("a\n1,2\n3,4\n", {}, "line 2: has 2 cells, .* has 1; name the first column, too"),
    ("Data from us\n\nUpdated 2024,x,y\n\na,b\n1,2\n3,4\n", {}, "--data.skip skips lines"),
    ("a,b\n1,2\n3,x\n4,5\n", {},
     "line 3: 'x' in column 'b' is not a number; .* --data.missing 'x'; .*--data.columns"),
    ('a,b\n1,2\n"3",4\n5,"x\ny"\n6,z\n7,8\n8,9\n9,9\n', {}, r"line 4: 'x\\ny' in column 'b' is no"),
    ("a\nx\ny\n", {}, "has no column of numbers: column 'a' holds text, such as 'x'"),
    ("a,b\n1,2\n3,inf\n", {}, "line 3: 'inf' in column 'b' is not finite; .* --data.missing"),
    ("a,b\n1,2\n3,1e999\n", {}, "line 3: '1e999' in column 'b' is not finite"),
    ("time,x\n2024-01-01,1\n,2\n2024-01-03,3\n", {}, "line 3: '' in column 'time' is not a date"),
    ("when,x\n2024-01-01,1\nn/a,2\n2024-01-03,3\n", {}, "line 3: 'n/a' in .* is not a date"),
    ("when,x\n2024-01-01,1\n01.13.2024,2\n2024-01-03,3\n", {}, "line 3: '01.13.2024' .* a date"),
    ("a;b\n0,5;1\n1,5;2\n", {},
     "line 2: '0,5' in column 'a' has a comma: --data.decimal comma if .*--data.thousands comma"),
    ("a;b\n1 200;1\n1 500;2\n", {}, "unless digits are grouped: --data.thousands space"),
    ("a;b\n1.200,5;1\n1.500,7;2\n", {}, "a' has a comma and a point: --data.decimal comma "
     "--data.thousands point$"),
    ('a,b\n"1,200.5",1\n"1,500.7",2\n', {}, "has a comma and a point: --data.thousands comma$"),
    ("a;b\n100.25;1\n200.5;2\n", {"decimal": "comma"}, "has a point, and data.decimal is comma: "),
    ("date;a\nMär 2012;1\nApr 2012;2\nMai 2012;3\nJun 2012;4\nJul 2012;4\n", {},
     "months and weekdays are known by their English names alone"),
    ("a;b\n1. Januar 2012;1\n1. Februar 2012;2\n", {"time": "a"}, "by their English names alone"),
    ("a;b\n1.200,5;1\n1.500,7;2\n", {"decimal": "comma"}, "grouped: --data.thousands point"),
    ("a,b\n5,1\nND,2\nND,3\nND,4\n", {}, "line 3: 'ND' in column 'a' is not a number; .*missing"),
    ('a,b\n"1,5",1\n"1,7",2\n', {"thousands": "comma"}, "'1,5' in column 'a' is not a number; if"),
    ("a,b\n5%,1\n6%,2\n", {}, "'5%' in column 'a' has more than a number; .* --data.columns"),
    ("a,b\n$5,1\n$6,2\n", {}, "'\\$5' in column 'a' has more than a number"),
    ("a,b\n5 km,1\n6 km,2\n", {}, "'5 km' in column 'a' has more than a number"),
    ("a,b\n1_200,1\n1_300,2\n", {}, "'1_200' in column 'a' is not a number"),
    ("a,b\n1,2\n", {"thousands": "point"}, "thousands and data.decimal are both point; they must"),
    ("a,b\nx," + "y" * 200_000 + "\n", {}, "line 2: field larger than field limit"),
    ('a,b\n1,2\n3,"4\n5,6\n', {}, "line 3: a quote is not closed"),
    ("a,b\n1,2\n", {"names": ("a", "a")}, "must name each column once"),
    ("Start time,x\n32/01/2024 14:00,1\n", {}, "line 2: '32/01/2024 14:00' in .* is not a date"),
    ("a,b\n1,2\n", {"names": ("c",)}, r"has no column 'c' of numbers; it has \['a', 'b'\]"),
    ("a,b\n1,x\n2,y\n", {"names": ("b",)}, "line 2: 'x' in column 'b' is not a number; if it "
     "is a missing value: --data.missing 'x'$"),
    ("a,b\n1,2%\n2,3%\n", {"names": ("b",)}, "has more than a number; write only numbers$"),
    ("Umsatz,b\n1,2\n", {"names": ("umsaz",)}, "; did you mean 'Umsatz'[?]$"),
    ("Umsatz,b\n1,2\n", {"time": "Umsaz"}, "; did you mean 'Umsatz'[?]$"),
    ("a,b\n1,2\n", {"time": "c"}, r"has no column 'c'; it has \['a', 'b'\]"),
    ("a,b\n2,2\n1,2\n3,4\n", {"time": "a"}, "times must rise, and '1' comes after '2': sort the"),
    ("a,b\n1,2\n1,2\n", {"time": "a"}, "'1' comes after '1', and some rows have the same time"),
    ("a,b\n1,2\nsoon,2\n", {"time": "a"}, "column 'a': the time 'soon' is neither a number nor a"),
    ("a,b\n1,2\n2,2\n3,2\n99,2\n", {"time": "a"}, "4 rows would leave 95 gaps at steps of 1"),
    ("date,id,x\n" + "".join(f"2024-01-0{d},{i},1\n" for i in "ab" for d in (1, 2, 3)), {},
     "column 'date': .* pivot a long table"),
    ("country,1960,1961,1962\nA,1,2,3\n", {}, "times such as '1960' in its header: a wide"),
    ("Year,Jan,Feb,Mar,Apr\n2000,1,2,3,4\n", {}, "times such as 'Jan' in its header: a wide"),
    ("time,a\n2024-01-01 23:00,1\n2024-01-01 24:00,2\n", {}, "write 24:00 as 00:00 of the next"),
    ("when,a\n2024-01-01 01:00 CET,1\n2024-01-01 02:00 CET,2\n", {}, "write the offset, such as"),
    ("MTU,a\n01.01.2024 00:00 - 01.01.2024 01:00,1\n", {}, "line 2: '01.01.2024 00:00 - .* is no"),
    ("time [s],a\n1,2\n2,3\n4,5\n9,6\n33,6\n", {}, "not at equal steps; .*--data.time 'time .s.'"),
    ("Date,a\n1871.01,5\n1871.02,6\n1871.03,6\n1871.1,7\n1871.11,7\n1872.01,9\n", {},
     "the numbers of column 'Date' are no dates and not at equal steps; .*--data.time 'Date'"),
    (",,a\n1,2,3\n", {}, "columns 1 and 2 have no name"),
    (",a\n1.5,2\n1.7,3\n", {}, "a column of numbers has no name; .*--data.columns"),
    ("Title,\ndate,a\n2024-01-01,2\n", {}, "column 2 has no name, but 'a' in line 2; --data.skip"),
    ("date,a\n,kW\n" + "".join(f"{day},2\n" for day in DAYS), {},
     "line 2: '' in .* not a date .*give the row its time, or del"),
    ("a,b\n1,2\n", {"encoding": "utf-99"}, "data.encoding: 'utf-99' is unknown; an example is"),
    ("caf\u00e9,b\n1,2\n".encode("latin-1"), {}, "not UTF-8 text: byte 3 is 0xe9; .*data.encoding"),
    ("a,b\n1,2\n".encode("utf-16-le"), {}, "not text, or not in utf-8: .*encoding utf-16-le"),
    (b"\x1f\x8b broken", {}, "is a broken gzip file"),
    (b"\xd0\xcf\x11\xe0", {}, "in the old Excel format, or encrypted; save it as .xlsx or .csv"),
    (b"PK\x03\x04", {}, "an archive; unpack it"),
    ("<!DOCTYPE html><html>", {}, "a web page, not the table that it shows"),
    ('[{"a": 1}]', {}, "is JSON; save it as .csv"),
    (b"PAR1nothing", {}, "is not a readable .parquet file"),
    (b"PK\x03\x04 xl/workbook.xml", {}, "is not a readable .xlsx file"),
])  # fmt: skip
def test_tables_that_cannot_be_used(write, content, options, message):
    with pytest.raises(InputError, match=message) as caught:
        read(write(content), **options)
    assert "\n" not in str(caught.value)


def panel(name="id", step="time", ids="abc", start=0, by=1, tidy=True):
    """A long table with a step column that begins again with each series."""
    rows = [(key, start + by * k) for key in ids for k in range(12)]
    rows = rows if tidy else sorted(rows, key=lambda row: row[1])
    lines = [f"{key},{k},{np.sin(k):.3f},{np.cos(3 * k):.3f}" for key, k in rows]
    return "\n".join([f"{name},{step},temp,load", *lines]) + "\n"


@pytest.mark.parametrize("names", [(), ("temp", "load")])
@pytest.mark.parametrize("sort", [
    {}, {"step": "t"}, {"step": "counter"}, {"step": "counter", "start": 1}, {"tidy": False},
    {"ids": "123"}, {"ids": "123", "step": "cycle", "name": "unit"}, {"by": 0.25},
    {"name": "machine", "ids": ["m 1", "m 2"]}, {"name": "motor_nr", "ids": "12", "step": "Zeit"},
    {"name": "Maschine", "ids": "12"},
])  # fmt: skip
def test_steps_that_begin_again_are_of_a_long_table(write, sort, names):
    name, step = sort.get("name", "id"), sort.get("step", "time")
    message = f"column '{step}' goes from .* rises only within each '{name}': pivot a long table"
    with pytest.raises(InputError, match=message):
        read(write(panel(**sort)), names=names)


def test_numbers_that_repeat_make_no_long_table(write):
    """Hours of days, months of years and counts since an event, beside text that repeats."""
    hours = [f"{'ab'[k // 5 % 2]},{k % 24},{k % 7},{k // 24 % 12 + 1},{k}.5" for k in range(900)]
    found = read(write("\n".join(["weather,hour,weekday,month,a", *hours])))
    assert found.names == ["hour", "weekday", "month", "a"]
    single = read(write(panel(ids="a")))
    assert (single.names, single.time) == (["temp", "load"], "time")
    days = [f"{k // 24 + 1},{k % 24},{k}.5" for k in range(240)]
    assert read(write("\n".join(["day,hour,a", *days]))).names == ["day", "hour", "a"]


def test_digits():
    """Seven of them, as float32 has, and no exponent."""
    numbers = [1.5, NAN, 12345678.9, -1e-5, 1e9, 0.1 + 0.2, 0]
    expected = ["1.5", "", "12345680", "-0.00001", "1000000000", "0.3", "0"]
    assert list(digits(np.array(numbers))) == expected


@pytest.mark.parametrize(("header", "rows", "after"), [
    ("year,month,v", [f"2024,{k + 1},{k}" for k in range(12)], ["2025-01", "2025-02"]),
    ("year,month,day,v", [f"2024,1,{k + 1},{k}" for k in range(31)], ["2024-02-01", "2024-02-02"]),
])  # fmt: skip
def test_parts_of_one_year_or_month(header, rows, after, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    found = read_columns(str(path), None, ())
    assert found.names == ["v"]
    assert times_after(found.times, 2) == after


def test_dates_that_an_order_does_not_fit(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("date,v\n" + "".join(f"01/{k:02}/2024,{k}\n" for k in range(1, 21)))
    for time in (None, "date"):
        with pytest.raises(InputError, match=r"'01/20/2024'.* not in the order of --data.date_ord"):
            read_columns(str(path), time, (), Table(date_order="dmy"))


def test_times_beyond_the_last_year():
    with pytest.raises(InputError, match="'9999-12-31' lie beyond the year 9999"):
        times_after(["9999-12-29", "9999-12-30", "9999-12-31"], 2)
