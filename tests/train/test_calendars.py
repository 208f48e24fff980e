"""Times after the last one, against the calendars of pandas."""

import numpy as np
import pandas as pd
import pytest

from train.errors import InputError
from train.readers.columns import times_after
from train.readers.times.dates import read_dates, write_dates
from train.readers.times.grid import grid_of

DAYS = """
D 2D 3D 7D 10D B 2B W-SUN W-MON W-THU 2W-FRI 4W-TUE MS ME 2MS 2ME BMS BME SMS SME QS QE QS-FEB
QE-NOV BQS BQE 6MS 6ME YS YE YS-APR YE-JUN BYS BYE 5YS WOM-1MON WOM-2TUE WOM-3FRI LWOM-FRI
""".split()
CLOCKS = "h 2h 3h 6h 12h 15min 10min min 90min 36h s 30s 100ms 7us".split()
FORMATS = [
    "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S.%f", "%d.%m.%Y",
    "%m/%d/%Y", "%d/%m/%y", "%Y/%m/%d", "%Y%m%d", "%d %b %Y", "%d-%B-%Y", "%b %d, %Y",
    "%a, %d %b %Y", "%Y%m%dT%H%M%S", "%m/%d/%Y %I:%M %p", "%Y-%j", "%G-W%V-%u",
]  # fmt: skip
SHORT = {"%d.%m.%Y": "dmy", "%m/%d/%Y": "mdy", "%d/%m/%y": "dmy", "%m/%d/%Y %I:%M %p": "mdy"}


def dates(freq, start, count, form):
    """The dates of pandas, written by it."""
    return pd.date_range(start, periods=count, freq=freq).strftime(form).tolist()


def after(cells, count, order=None):
    """The times after these, where day and month may be told."""
    grid = grid_of(cells, order)
    return grid.write(grid.places.max() + 1 + np.arange(count))


@pytest.mark.sampled
@pytest.mark.parametrize("freq", DAYS)
def test_days_of_every_calendar_and_format(freq):
    rng = np.random.default_rng(len(freq))
    for count in (24, 40):
        for form in map(str, rng.permutation(FORMATS)[:8]):
            written = dates(freq, "2019-01-30", count + 20, form)
            if "%y" in form and pd.date_range("2019-01-30", periods=60, freq=freq)[-1].year > 2068:
                continue  # two digits are of 1969 to 2068
            assert after(written[:count], 20, SHORT.get(form)) == written[count:], (form, count)


@pytest.mark.parametrize("freq", CLOCKS)
@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%fZ"])
def test_times_of_every_clock(freq, form):
    written = dates(freq, "2023-12-30 21:00", 60, form)
    assert times_after(written[:40], 20) == written[40:]


@pytest.mark.parametrize("freq", [*DAYS, *CLOCKS])
def test_rows_that_are_missing_leave_gaps(freq):
    """A fifth of the rows is missing: the places are those of the whole calendar."""
    rng = np.random.default_rng(len(freq))
    written = dates(freq, "2019-01-30", 100, "%Y-%m-%d %H:%M:%S.%f")
    kept = np.concatenate([[0, 1], np.flatnonzero(rng.random(78) > 0.2) + 2])
    grid = grid_of([written[k] for k in kept])
    np.testing.assert_array_equal(grid.places, kept)
    gaps = np.setdiff1d(np.arange(kept[-1]), kept)
    assert grid.write(gaps) == [written[k] for k in gaps]
    assert grid.write(np.arange(kept[-1] + 1, 100)) == written[kept[-1] + 1 :]


@pytest.mark.parametrize(("freq", "form"), [
    ("M", "%Y-%m"), ("M", "%Y/%m"), ("M", "%m/%Y"), ("M", "%b %Y"), ("M", "%B %Y"), ("M", "%b-%y"),
    ("M", "%YM%m"), ("M", "%Y%m"), ("M", "%Y %b"), ("Q", "%F-Q%q"), ("Q", "%FQ%q"), ("Q", "Q%q %F"),
    ("Q", "%q" "Q%f"), ("Y", "%Y"), ("Y", "FY%Y"), ("Y", "%Y.0"), ("2Q", "%FQ%q"), ("3M", "%Y-%m"),
])  # fmt: skip
def test_periods(freq, form):
    periods = pd.period_range("1998-01", periods=50, freq=freq)
    written = [period.strftime(form) for period in periods]
    for count in (2, 13, 30):
        if not (form == "%Y%m" and count == 2):
            assert times_after(written[:count], 20) == written[count : count + 20]


def test_half_years_school_years_and_weeks():
    halves = [f"{year}-H{half}" for year in range(2000, 2020) for half in (1, 2)]
    assert times_after(halves[:7], 20) == halves[7:27]
    schools = [f"{year}/{(year + 1) % 100:02}" for year in range(1990, 2020)]
    assert times_after(schools[:7], 20) == schools[7:27]
    long = [f"{year}-{year + 1}" for year in range(1990, 2020)]
    assert times_after(long[:7], 20) == long[7:27]
    weeks = [
        day.strftime("%G-W%V") for day in pd.date_range("2015-12-28", periods=80, freq="W-MON")
    ]
    assert times_after(weeks[:40], 40) == weeks[40:]


@pytest.mark.parametrize("day", [15, 28, 29, 30, 31])
def test_the_same_day_of_every_month(day):
    """The 30th of February is its last day; DateOffset of pandas counts from the first date."""
    first = pd.Timestamp(2019, 1, day)
    written = [str((first + pd.DateOffset(months=k)).date()) for k in range(60)]
    assert times_after(written[:30], 30) == written[30:]


def test_leap_days():
    """The 29th of February, every year clipped to the 28th, or where it is there alone."""
    first = pd.Timestamp(2016, 2, 29)
    written = [str((first + pd.DateOffset(years=k)).date()) for k in range(30)]
    assert times_after(written[:6], 24) == written[6:]
    assert times_after(["2012-02-29", "2016-02-29", "2020-02-29"], 2) == [
        "2024-02-29",
        "2028-02-29",
    ]
    days = dates("D", "2023-01-01", 800, "%Y-%m-%d")
    assert times_after(days[:400], 400) == days[400:]


def test_several_days_of_a_month():
    ten = [f"{year}-{month:02}-{day:02}" for year in (2023, 2024) for month in range(1, 13)
           for day in (1, 11, 21)]  # fmt: skip
    assert times_after(ten[:40], 30) == ten[40:70]


def test_business_days_without_holidays():
    """NumPy's count of business days, with gaps for holidays; no Saturday is forecast."""
    holidays = ["2023-01-02", "2023-04-07", "2023-05-29", "2023-07-04", "2023-12-25"]
    days = pd.bdate_range("2023-01-03", "2023-12-29")
    kept = [day for day in days if str(day.date()) not in holidays]
    grid = grid_of([str(day.date()) for day in kept])
    assert grid.places[-1] + 1 - len(kept) == 4
    assert grid.step == "1 business day"
    expected = pd.bdate_range("2024-01-01", periods=5)
    assert after([str(day.date()) for day in kept], 5) == [str(day.date()) for day in expected]


def test_other_weeks():
    """Sunday to Thursday, and three days a week."""
    for mask in ("Sun Mon Tue Wed Thu", "Mon Wed Fri"):
        rule = pd.offsets.CustomBusinessDay(weekmask=mask)
        written = [str(day.date()) for day in pd.date_range("2023-01-01", periods=60, freq=rule)]
        assert times_after(written[:30], 30) == written[30:]


def test_opening_hours():
    """Half hours of an exchange: the next one after the last is on the next business day."""
    days = pd.bdate_range("2024-01-03", periods=30)
    written = [f"{day.date()} {hour:02}:{minute:02}" for day in days
               for hour in range(9, 16) for minute in (0, 30)]  # fmt: skip
    assert times_after(written[: 14 * 12 + 5], 40) == written[14 * 12 + 5 :][:40]


def test_offsets_stay():
    tokyo = [f"2024-06-01T{hour:02}:00:00+09:00" for hour in range(24)]
    assert times_after(tokyo[:22], 2) == tokyo[22:]
    assert times_after(tokyo, 1) == ["2024-06-02T00:00:00+09:00"]
    for text in ("Z", "+0530", "-03", " UTC", "-11:30"):
        cells = [f"2024-06-01 {hour:02}:00{text}" for hour in range(24)]
        assert times_after(cells[:20], 4) == cells[20:]


@pytest.mark.sampled
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Adelaide"])
@pytest.mark.parametrize("freq", ["h", "15min", "D", "W-SUN", "MS"])
def test_clocks_that_change(zone, freq):
    """Offsets of summer and winter, as the zone has them, also in forecasts."""
    days = freq in ("D", "W-SUN", "MS")
    start = "2022-01-01" if days else "2024-10-01" if "Aust" in zone else "2024-03-01"
    index = pd.date_range(start, periods=1000 if days else 6000, freq=freq, tz=zone)
    written = [time.isoformat() for time in index]
    count = 600 if freq == "D" else 60 if freq == "MS" else 5000 if not days else 200
    assert times_after(written[:count], 300) == written[count : count + 300]
    assert len({text[-6:] for text in written}) == 2


def test_clocks_that_change_as_in_no_zone():
    """The last offset stays."""
    cells = ["2024-01-01T00:00+01:17", "2024-01-01T01:00+01:17", "2024-01-01T03:00+02:17"]
    assert times_after(cells, 2) == ["2024-01-01T04:00+02:17", "2024-01-01T05:00+02:17"]


def test_numbers():
    assert times_after(["1.5", "2"], 2) == ["2.5", "3"]
    assert times_after(["0.1", "0.2", "0.3"], 2) == ["0.4", "0.5"]
    assert times_after(["1.50", "2.00"], 1) == ["2.50"]
    assert times_after([str(0.1 * k) for k in range(9)], 2) == ["0.9", "1"]
    assert times_after(["1", "2", "4"], 1) == ["5"]
    assert times_after(["-2", "-1"], 2) == ["0", "1"]
    assert times_after(["1704067200.123456", "1704067200.223456"], 1) == ["1704067200.323456"]
    assert times_after(["1704067200.25", "1704067200.50"], 1) == ["1704067200.75"]


@pytest.mark.parametrize("freq", ["h", "D", "MS", "ME", "B", "YS"])
def test_seconds_of_unix_and_days_of_spreadsheets(freq):
    """Months are uneven in both."""
    index = pd.date_range("2019-01-01", periods=40, freq=freq)
    for size, end in ((1, ""), (1000, ""), (10**6, ""), (10**9, ""), (1, ".0")):
        counts = [f"{int(time.timestamp()) * size}{end}" for time in index]
        assert times_after(counts[:25], 15) == counts[25:]
    if freq != "h":
        serial = [str((time - pd.Timestamp("1899-12-30")).days) for time in index]
        assert times_after(serial[:25], 15) == serial[25:]


def test_uneven_times_go_on_by_the_usual_step():
    cells = ["2024-01-01 00:00:01", "2024-01-01 00:05:00", "2024-01-01 00:10:02",
             "2024-01-01 00:15:01", "2024-01-01 00:25:00", "2024-01-01 00:30:00"]  # fmt: skip
    grid = grid_of(cells)
    np.testing.assert_array_equal(grid.places, [0, 1, 2, 3, 5, 6])
    assert grid.step == "about 5 minutes; the times are uneven"
    assert after(cells, 2) == ["2024-01-01 00:35:00", "2024-01-01 00:40:00"]


def test_the_newest_row_may_come_first():
    written = dates("ME", "2019-01-30", 30, "%Y-%m-%d")
    grid = grid_of(written[19::-1])
    np.testing.assert_array_equal(grid.places, np.arange(20)[::-1])
    assert after(written[19::-1], 10) == written[20:]


@pytest.mark.parametrize(("cells", "message"), [
    (["01/02/2024", "02/02/2024"], "may be dmy or mdy .* --data.date_order says which"),
    (["24.01.31", "24.02.28"], "may be dmy or ymd"),
    (["2024-01-01T00:00", "2024-01-01T01:00+01:00"], "an offset from UTC and times without"),
    (["2024-01-02", "2024-01-01", "2024-01-03"], "'2024-01-01' comes after '2024-01-02': sort the"),
    (["2024-01-01", "2024-01-01", "2024-01-02"], "pivot a long table, .*; join a date and an hour"),
    (["2024-01-01 01:00", "2024-01-01 02:00", "2024-01-01 01:00"], "where clocks go back"),
    (["2024-01-01", "soon"], "the time 'soon' is neither a number nor a date"),
    (["1", "2", "2024-01-01"], "the times '1' and '2024-01-01' are written differently"),
    (["2024-01-01", "31.01.2024"], "'2024-01-01' and '31.01.2024' are written differently"),
    (["2024-02-30"], "'2024-02-30' is neither a number nor a date"),
    (["2024-01-01"], "one row does not determine the time step"),
    (["5"], "one row does not"),
    (["1", "1e30"], "'1' to '1e30' have too many digits"),
])  # fmt: skip
def test_times_that_cannot_go_on(cells, message):
    with pytest.raises(InputError, match=message):
        times_after(cells, 1)


def test_the_order_of_day_and_month_by_one_cell_or_the_flag():
    assert times_after(["12/01/2024", "13/01/2024"], 1) == ["14/01/2024"]
    assert times_after(["01/12/2024", "01/13/2024"], 1) == ["01/14/2024"]
    assert after(["01/02/2024", "02/02/2024"], 1, "dmy") == ["03/02/2024"]
    assert after(["01/02/2024", "02/02/2024"], 1, "mdy") == ["03/02/2024"]
    assert after(["1/30/2024", "1/31/2024"], 1) == ["2/1/2024"]
    assert after(["9/30/2024", "10/1/2024"], 1, "mdy") == ["10/2/2024"]


@pytest.mark.parametrize("cell", [
    "2024-01-31", "2024-01-31 14:00", "2024-01-31T14:00:00Z", "31.01.2024", "01/31/2024",
    "1/31/2024 2:05 PM", "1/31/2024, 2:05\u202fPM", "Jan'24", "Jan 2024",
    "JANUARY 2024", "Jan-24", "1949-01", "20240131", "202401",
    "1949", "2024-Q1", "2024Q1", "Q3 2024", "3Q24", "2024H2", "2024-W05", "2024-W05-3", "2023/24",
    "2023-2024", "2024-06-01T05:00:00.123-0330",
    "31 Jan 2024", "Jan 31, 2024", "31-JAN-24", "31JAN2024",
    "Wed, 31 Jan 2024", "Wednesday, January 31, 2024", "2024M01", "01/2024", "2024-031",
    "20240131T1400Z", "2024013114", "2024-01-31 14:00:00.123456789", "2024-02-29 00:00+05:45",
    "12/31/2024 12:00 am", "1776-07-04",
])  # fmt: skip
def test_what_is_read_is_written_alike(cell):
    found = read_dates([cell])
    assert found is not None
    assert write_dates(*found) == [cell]


@pytest.mark.parametrize("cell", [
    "2024-13-01", "2024-02-30", "2024-01-01 24:00", "2024-Q5", "2024-W54", "31 Foo 2024", "12:30",
    "Thu, 31 Jan 2024", "May 24", "2024-366x", "2023-366", "1.5", "12", "2024-01-01 13:00 PM",
    "2024/26", "", "2024-01-01T00:00+25:00", "\u0662\u0660\u0662\u0664-01-01",
])  # fmt: skip
def test_what_is_no_date(cell):
    assert read_dates([cell]) is None
