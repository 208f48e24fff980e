"""Calendars that days can follow, coarsest first: months, weeks, business days, days.

NumPy keeps the calendar (`datetime64`, `busday_offset`). Chosen is the coarsest rule that all days
obey, also where some are missing; `pandas.infer_freq` finds none then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
BUSINESS = "Mon Tue Wed Thu Fri"


class Calendar(NamedTuple):
    """A calendar: days that are numbered consecutively."""

    unit: str
    rule: str  # the day of the unit
    number: Callable[[np.ndarray], np.ndarray]  # of a day
    day: Callable[[np.ndarray], np.ndarray]  # of a number
    full: float  # the smallest share of its days that a table must have


class Steps(NamedTuple):
    """Rows at equal steps of a calendar."""

    places: np.ndarray  # of the rows, from 0
    at: Callable[[np.ndarray], np.ndarray]  # the days of places
    step: str


def steps_of_days(days: np.ndarray) -> Steps | None:
    """The steps of increasing days `(time,)`; None if no calendar fits."""
    for calendar in _calendars(days):
        numbers = calendar.number(days)
        apart = np.diff(numbers)
        if apart.min() < 1 or (calendar.day(numbers) != days).any():
            continue
        step = int(np.gcd.reduce(apart))
        places = (numbers - numbers[0]) // step
        if len(days) >= calendar.full * (places[-1] + 1):
            return _steps(calendar, int(numbers[0]), step, places)
    return None


def _steps(calendar: Calendar, first: int, step: int, places: np.ndarray) -> Steps:
    name = f"{step} {calendar.unit}{'s' * (step > 1)}{calendar.rule}"
    return Steps(places, lambda places: calendar.day(first + step * np.asarray(places)), name)


def _calendars(days: np.ndarray) -> Iterator[Calendar]:
    """The calendars that might fit, coarsest first."""
    weekdays = np.unique(_weekday(days))
    of_month, last = _day_of_month(days), days == _month_end(_month(days))
    if last.all():
        yield _months(", on the last day", _month_end)
    yield _months_on_days(of_month.max(keepdims=True))
    if np.ptp(np.diff(days).astype(int)) == 0:
        yield Calendar("day", "", lambda days: days.astype(int), _as_days, 0)
    if len(days) > 2:
        yield from _months_by_weekdays(days, weekdays)
    marks = np.where(last, 31, of_month)
    chosen, times = np.unique(marks, return_counts=True)
    if 1 < len(chosen) <= 6 and times.min() > 1:
        yield _months_on_days(chosen)
        yield _months_on_days(np.unique(of_month))
    if len(weekdays) == 1:
        phase = int(days[0].astype(int))
        yield Calendar(
            "week", f", on {WEEK[weekdays[0]]}", lambda days: (days.astype(int) - phase) // 7,
            lambda weeks: _as_days(7 * weeks + phase), 0.1,
        )  # fmt: skip
    yield from _some_weekdays(days, weekdays)
    yield Calendar("day", "", lambda days: days.astype(int), _as_days, 1 / 3)


def _months(rule: str, day: Callable[[np.ndarray], np.ndarray]) -> Calendar:
    return Calendar("month", rule, _month, day, 0.1)


def _months_on_days(of_month: np.ndarray) -> Calendar:
    """Calendars of one or several days of each month, clipped to its last day."""
    count = len(of_month)

    def number(days: np.ndarray) -> np.ndarray:
        month = _month(days)
        last = _day_of_month(_month_end(month))
        wanted = np.minimum(of_month, last[:, None])
        return count * month + (wanted == _day_of_month(days)[:, None]).argmax(1)

    def day(numbers: np.ndarray) -> np.ndarray:
        month = numbers // count
        last = _day_of_month(_month_end(month))
        return _month_start(month) + np.minimum(of_month[numbers % count], last) - 1

    names = ", ".join("the last" if d == 31 else str(d) for d in of_month)
    if count == 1:
        return _months(f", on day {of_month[0]}", day)._replace(number=number)
    return Calendar("part", f" of a month, on the days {names}", number, day, 0.5)


def _months_by_weekdays(days: np.ndarray, weekdays: np.ndarray) -> Iterator[Calendar]:
    """The first or last business day, or the n-th of one weekday."""
    yield _months(
        ", on the last business day",
        lambda month: np.busday_offset(_month_end(month), 0, roll="backward"),
    )
    yield _months(
        ", on the first business day",
        lambda month: np.busday_offset(_month_start(month), 0, roll="forward"),
    )
    if len(weekdays) == 1:
        name = WEEK[weekdays[0]]
        nth = int((_day_of_month(days).max() - 1) // 7)
        yield _months(
            f", on {name} number {nth + 1}",
            lambda month: np.busday_offset(_month_start(month), nth, "forward", weekmask=name),
        )
        yield _months(
            f", on the last {name}",
            lambda month: np.busday_offset(_month_end(month), 0, "backward", weekmask=name),
        )


def _some_weekdays(days: np.ndarray, weekdays: np.ndarray) -> Iterator[Calendar]:
    """Monday to Friday, or other days of every week."""
    epoch = np.datetime64("1970-01-01")

    def of(mask: str, unit: str, full: float) -> Calendar:
        start = np.busday_offset(epoch, 0, "forward", weekmask=mask)
        return Calendar(
            unit, "" if unit == "business day" else f", {mask}",
            lambda days: np.busday_count(start, days, weekmask=mask),
            lambda numbers: np.busday_offset(start, numbers, weekmask=mask), full,
        )  # fmt: skip

    times = np.bincount(_weekday(days), minlength=7)
    if 1 < len(weekdays) < 7 and times[weekdays].min() > 3:
        mask = " ".join(WEEK[day] for day in weekdays)
        yield of(mask, "business day" if mask == BUSINESS else "day", 0.9)
    if len(weekdays) > 2 and weekdays.max() < 5 and np.diff(days).astype(int).max() > 2:
        yield of(BUSINESS, "business day", 0.5)


def _as_days(numbers: np.ndarray) -> np.ndarray:
    return np.asarray(numbers).astype("datetime64[D]")


def _month(days: np.ndarray) -> np.ndarray:
    return days.astype("datetime64[M]").astype(int)


def _month_start(month: np.ndarray) -> np.ndarray:
    return np.asarray(month).astype("datetime64[M]").astype("datetime64[D]")


def _month_end(month: np.ndarray) -> np.ndarray:
    return _month_start(np.asarray(month) + 1) - 1


def _day_of_month(days: np.ndarray) -> np.ndarray:
    return (days - days.astype("datetime64[M]")).astype(int) + 1


def _weekday(days: np.ndarray) -> np.ndarray:
    return (days.astype(int) + 3) % 7  # 1970 began on a Thursday
