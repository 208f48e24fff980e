"""Dates and times of day: parsed, and written again in the same format."""

from __future__ import annotations

import re
from datetime import date
from typing import NamedTuple

import numpy as np

SECOND = 10**9  # in nanoseconds
DAY = 86_400 * SECOND
EPOCH = date(1970, 1, 1).toordinal()
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

# Letters are those of `strptime`, and: q quarter, h half year, W week and u weekday of ISO 8601,
# n the year after Y, t the text before the time, z the offset from UTC.
_YEAR, _Y, _M, _D, _N = (
    r"(?P<Y>[12]\d{3})", r"(?:(?P<Y>\d{4})|(?P<y>\d\d))", r"(?P<m>\d\d?)", r"(?P<d>\d\d?)",
    r"(?P<b>[A-Za-z]{3,9})",
)  # fmt: skip
_S = r"(?P<s>[-/.])"
_ZONE = r"(?: ?(?P<z>Z|UTC|GMT|[-+]\d\d(?::?\d\d)?))?"
_CLOCK = (
    r"(?:(?P<t>T|,? +)(?P<H>\d\d?)(?::(?P<M>\d\d)(?::(?P<S>\d\d)(?:[.,](?P<f>\d{1,9}))?)?)?"
    rf"(?:[ \u00a0\u202f]?(?P<p>[AaPp][Mm]))?{_ZONE})?"
)
_PACKED = (
    r"(?:(?P<t>[T ]?)(?P<H>\d\d)(?::?(?P<M>\d\d)(?::?(?P<S>\d\d)(?:\.(?P<f>\d{1,9}))?)?)?"
    rf"{_ZONE})?"
)
_ORDERED = {
    "dmy": rf"{_D}{_S}{_M}(?P=s){_Y}", "mdy": rf"{_M}{_S}{_D}(?P=s){_Y}",
    "ymd": rf"(?P<y>\d\d){_S}{_M}(?P=s){_D}",
}  # fmt: skip
_DAYS = (
    rf"(?P<Y>\d{{4}}){_S}{_M}(?P=s){_D}",
    rf"(?:(?P<a>[A-Za-z]{{3,9}}),? )?{_D}[-/. ]{{0,2}}{_N}[-/., ]{{0,2}}{_Y}",
    rf"(?:(?P<a>[A-Za-z]{{3,9}}),? )?{_N}\.? {_D},? (?P<Y>\d{{4}})",
    rf"(?P<Y>\d{{4}})[-/. ]{_N}[-/. ]{_D}",
    r"(?P<Y>\d{4})-(?P<j>\d{3})",
    r"(?P<Y>\d{4})-?W(?P<W>\d\d)-?(?P<u>[1-7])",
)
_PERIODS = (
    r"(?P<Y>\d{4})[-/](?P<n>\d{4}|\d\d)",
    rf"(?P<Y>\d{{4}})[-/]{_M}",
    r"(?P<Y>\d{4})\.(?P<m>\d\d)", rf"(?P<Y>\d{{4}})[-: ]?[Mm]{_M}", rf"{_M}[-/.](?P<Y>\d{{4}})",
    rf"{_N}(?:[-/. ]{{1,2}}|, )(?P<Y>\d{{4}})", rf"{_N}[-/']{{1,2}}(?P<y>\d\d)",
    rf"(?P<Y>\d{{4}})[-/. ]?{_N}",
    r"(?P<Y>\d{4})[-/: ]?[Qq](?P<q>[1-4])", rf"[Qq](?P<q>[1-4])[-/:' ]?{_Y}",
    rf"(?P<q>[1-4])[Qq]{_Y}",
    r"(?P<Y>\d{4})[-/: ]?[HhSs](?P<h>[12])", rf"[HhSs](?P<h>[12])[-/:' ]?{_Y}",
    r"(?P<Y>\d{4})[- ]?W(?P<W>\d\d)",
    rf"(?:FY ?)?{_YEAR}(?:\.0)?",
    rf"{_YEAR}(?P<m>\d\d)",
)  # fmt: skip
FORMATS = [
    *((re.compile(day + _CLOCK, re.ASCII), "") for day in _DAYS),
    (re.compile(rf"{_YEAR}(?P<m>\d\d)(?P<d>\d\d)" + _PACKED, re.ASCII), ""),
    *((re.compile(day + _CLOCK, re.ASCII), order) for order, day in _ORDERED.items()),
    *((re.compile(period, re.ASCII), "") for period in _PERIODS),
]


Moment = tuple[int, int, int | None]  # the ordinal of its day, its clock and offset


class Times(NamedTuple):
    """Moments by the calendar and clock of a table."""

    days: np.ndarray  # (time,) datetime64[D]
    clock: np.ndarray  # (time,) int64, nanoseconds since midnight
    offsets: np.ndarray | None  # (time,) int64, seconds east of UTC; None if none is written


class Format(NamedTuple):
    """A format of dates: the fields of `example` are replaced."""

    pattern: re.Pattern[str]
    example: str
    unpadded: bool  # 1/31/2024 and 9:00, not 01/31/2024 and 09:00
    order: str  # of day, month and year, if another order was possible


def read_dates(cells: list[str], order: str | None = None) -> tuple[Times, Format] | None:
    """Parse dates that all have one format; None if they do not.

    Raises:
      ValueError: the order of day and month is ambiguous, and `order` is not given; or only some of
        the cells have an offset from UTC.
    """
    fits: dict[str, tuple[re.Pattern[str], list[Moment]]] = {}
    for pattern, of in FORMATS:
        if (order and of and of != order) or (fits and not of):
            continue
        rows = _fields(pattern, cells)
        if rows and rows not in [other for _, other in fits.values()]:
            fits[of] = (pattern, rows)
    if len(fits) > 1:
        raise ValueError(
            f"holds dates such as {cells[0]!r}, which may be {' or '.join(fits)} (day, month, "
            "year): --data.date_order says which"
        )
    for of, (pattern, rows) in fits.items():
        return _times(rows), Format(pattern, max(cells, key=len), _unpadded(pattern, cells), of)
    return None


def write_dates(times: Times, style: Format) -> list[str]:
    """Write dates in the format of others."""
    match = style.pattern.fullmatch(style.example)
    assert match is not None
    like = {field: text for field, text in match.groupdict().items() if text is not None}
    spans = sorted((*match.span(field), field) for field in like)
    written = []
    offsets = np.zeros(len(times.days), int) if times.offsets is None else times.offsets
    for day, clock, offset in zip(times.days.tolist(), times.clock, offsets, strict=True):
        texts = _texts(day, int(clock), int(offset), like, 1 if style.unpadded else 2)
        parts, end = [], 0
        for start, stop, field in spans:
            parts += [style.example[end:start], texts.get(field, like[field])]
            end = stop
        written.append("".join([*parts, style.example[end:]]))
    return written


def is_date(cell: str) -> bool:
    """Return whether the cell is a date in some format."""
    try:
        return read_dates([cell]) is not None
    except ValueError:  # an ambiguous date
        return True


def month_number(cell: str) -> str:
    """The number of a month that is given by name; other cells unchanged."""
    low = cell.lower()
    names = [k for k, name in enumerate(MONTHS, 1) if low in (name.lower(), name[:3].lower())]
    return str(names[0]) if names else cell.removesuffix(".0")


def about_names(cell: str) -> str:
    """The end of an error about a cell with the name of a month or weekday that is not English."""
    names = [name.lower() for name in (*MONTHS, *WEEKDAYS)]
    known = {*names, *(name[:3] for name in names), "sept"}
    words = re.findall(r"[^\W\d_]{3,}", cell)
    if not re.search(r"\d", cell) or all(word.lower() in known for word in words):
        return ""
    return "; months and weekdays are known by their English names alone"


def _fields(pattern: re.Pattern[str], cells: list[str]) -> list[Moment] | None:
    """The day, clock and offset of each cell; None if one has another format."""
    rows = []
    for cell in cells:
        match = pattern.fullmatch(cell)
        if match is None:
            return None
        try:
            fields = {key: text for key, text in match.groupdict().items() if text is not None}
            rows.append((_day(fields).toordinal(), _clock(fields), _offset(fields.get("z"))))
        except (ValueError, KeyError):
            return None
    bare = [cell for cell, (_, _, offset) in zip(cells, rows, strict=True) if offset is None]
    if 0 < len(bare) < len(rows):
        raise ValueError(
            f"holds times with an offset from UTC and times without, such as {bare[0]!r}; write it "
            "in every cell or in none"
        )
    return rows


def _times(rows: list[Moment]) -> Times:
    days, clock, offsets = zip(*rows, strict=True)
    return Times(
        (np.array(days) - EPOCH).astype("datetime64[D]"),
        np.array(clock, np.int64),
        None if offsets[0] is None else np.array(offsets, np.int64),
    )


def _day(fields: dict[str, str]) -> date:
    """The first day of a period; ValueError or KeyError if it does not exist."""
    year = int(fields["Y"]) if "Y" in fields else (int(fields["y"]) + 31) % 100 + 1969
    if "n" in fields and int(fields["n"]) != (year + 1) % 10 ** len(fields["n"]):
        raise ValueError("no year such as 2023/24")
    if "W" in fields:
        return date.fromisocalendar(year, int(fields["W"]), int(fields.get("u", 1)))
    if "j" in fields:
        day = date.fromordinal(date(year, 1, 1).toordinal() + int(fields["j"]) - 1)
        if day.year != year:
            raise ValueError("no such day of the year")
        return day
    month = int(fields.get("m", 1))
    if "b" in fields:
        month = _name(fields["b"], MONTHS) + 1
    if "q" in fields:
        month = 3 * int(fields["q"]) - 2
    if "h" in fields:
        month = 6 * int(fields["h"]) - 5
    day = date(year, month, int(fields.get("d", 1)))
    if "a" in fields and _name(fields["a"], WEEKDAYS) != day.weekday():
        raise ValueError("another weekday")
    return day


def _name(text: str, names: tuple[str, ...]) -> int:
    """The number of a month or weekday, by its name or the first letters of the name."""
    low = "sep" if text.lower() == "sept" else text.lower()
    found = [k for k, name in enumerate(names) if low in (name.lower(), name[:3].lower())]
    return found[0] if found else _none(text)


def _none(text: str) -> int:
    raise ValueError(text)


def _clock(fields: dict[str, str]) -> int:
    if "H" not in fields:
        return 0
    hour, minute, second = int(fields["H"]), int(fields.get("M", 0)), int(fields.get("S", 0))
    if "p" in fields:
        if not 1 <= hour <= 12:
            raise ValueError("no hour of twelve")
        hour = hour % 12 + 12 * (fields["p"].lower() == "pm")
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError("no time of day")
    fraction = int(fields["f"].ljust(9, "0")) if "f" in fields else 0
    return (3600 * hour + 60 * minute + second) * SECOND + fraction


def _offset(text: str | None) -> int | None:
    if text is None or text in ("Z", "UTC", "GMT"):
        return None if text is None else 0
    digits = text[1:].replace(":", "").ljust(4, "0")
    seconds = 3600 * int(digits[:2]) + 60 * int(digits[2:])
    if seconds > 18 * 3600:
        raise ValueError("no offset from UTC")
    return -seconds if text[0] == "-" else seconds


def _unpadded(pattern: re.Pattern[str], cells: list[str]) -> bool:
    """Return whether days, months and hours below 10 are written with one digit."""
    some = [*cells[:500], min(cells, key=len)]
    matches = [match for cell in some if (match := pattern.fullmatch(cell))]
    numbers = [match[field] for field in ("d", "m", "H") if field in pattern.groupindex
               for match in matches if match[field]]  # fmt: skip
    return any(len(text) == 1 for text in numbers) and not any(text[0] == "0" for text in numbers)


def _texts(day: date, clock: int, offset: int, like: dict[str, str], width: int) -> dict[str, str]:
    """Every field of a moment, formatted like the given ones."""
    second, fraction = divmod(clock, SECOND)
    hour = second // 3600
    week = day.isocalendar()
    texts = {
        "Y": f"{week.year if 'W' in like else day.year:04}", "y": f"{day.year % 100:02}",
        "n": f"{day.year + 1:04}"[-len(like.get("n", "")) :],
        "m": str(day.month).zfill(width), "d": str(day.day).zfill(width),
        "j": f"{day.timetuple().tm_yday:03}", "W": f"{week.week:02}", "u": str(week.weekday),
        "q": str((day.month + 2) // 3), "h": str((day.month + 5) // 6),
        "H": str((hour + 11) % 12 + 1 if "p" in like else hour).zfill(width),
        "M": f"{second // 60 % 60:02}", "S": f"{second % 60:02}",
        "f": f"{fraction:09}"[: len(like.get("f", ""))],
    }  # fmt: skip
    half = "PM" if hour > 11 else "AM"
    for field, name in ("b", MONTHS[day.month - 1]), ("a", WEEKDAYS[day.weekday()]), ("p", half):
        text = like.get(field, "")
        short = name if len(text) > 3 and text.lower() != "sept" else name[:3]
        case = str.upper if text.isupper() else str.lower if text.islower() else str
        texts[field] = case(short)
    zone = like.get("z", "Z")
    if zone[0] in "+-":
        hours, minutes = divmod(abs(offset) // 60, 60)
        numbers = {6: f"{hours:02}:{minutes:02}", 5: f"{hours:02}{minutes:02}", 3: f"{hours:02}"}
        texts["z"] = ("-" if offset < 0 else "+") + numbers[len(zone)]
    return texts
