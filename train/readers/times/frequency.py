"""Equal steps between moments: by a calendar, by the clock, or by opening hours."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, NoReturn

import numpy as np

from train.readers.times.calendars import steps_of_days
from train.readers.times.dates import DAY, SECOND, Times
from train.readers.times.zones import offsets_at

UNITS = (("day", DAY), ("hour", 3600 * SECOND), ("minute", 60 * SECOND), ("second", SECOND),
         ("millisecond", 10**6), ("microsecond", 1000), ("nanosecond", 1))  # fmt: skip


class Even(NamedTuple):
    """The places of rows, and the moments of places."""

    places: np.ndarray
    at: Callable[[np.ndarray], Times]
    step: str


def even_times(times: Times) -> Even:
    """Steps of days if the time of day is constant, else steps of the clock."""
    if len(times.days) < 2:
        return Even(np.zeros(1, int), _one_row, "one row")
    clocks = np.unique(times.clock)
    steps = steps_of_days(times.days) if len(clocks) == 1 else None
    if steps is not None:
        at = _at_days(times, steps.places, steps.at, clocks)
        return Even(steps.places, at, steps.step)
    ticks, tick = ticks_of(times)
    places, at, step = even_ticks(ticks)
    if len(places) < 0.6 * (places[-1] + 1):
        hours = _opening_hours(times, clocks)
        if hours is not None:
            return hours
    usual = tick * (step or int(np.median(np.diff(ticks))))
    return Even(places, _at_ticks(times, places, at, tick), _name(usual, step is not None))


def _opening_hours(times: Times, clocks: np.ndarray) -> Even | None:
    """The same times on every day of a calendar, such as opening hours."""
    days, row = np.unique(times.days, return_inverse=True)
    steps = steps_of_days(days) if len(days) > 2 else None
    count = len(clocks)
    if steps is None or len(times.days) < 0.8 * count * (steps.places[-1] + 1):
        return None
    places = count * steps.places[row] + np.searchsorted(clocks, times.clock)
    first = places[0]

    def days_at(places: np.ndarray) -> np.ndarray:
        return steps.at((places + first) // count)

    at = _at_days(times, places - first, days_at, np.roll(clocks, -first))
    return Even(places - first, at, f"{count} times of day, each {steps.step}")


def even_ticks(
    ticks: np.ndarray,
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray], int | None]:
    """Places at the largest step that fits all rows, or at the usual one if that is much smaller.

    Returns:
      The places, the ticks of places, and the step; None where the rows are at uneven times.
    """
    if len(ticks) < 2:
        return np.zeros(1, int), _one_row, 0
    apart = np.diff(ticks)
    usual = float(np.median(apart))
    step = int(np.gcd.reduce(apart))
    if step == usual or 3 * len(ticks) > (ticks[-1] - ticks[0]) // step:
        return (ticks - ticks[0]) // step, lambda wanted: ticks[0] + step * wanted, step
    places = np.concatenate([[0], np.cumsum(np.maximum(1, np.rint(apart / usual)))]).astype(int)

    def at(wanted: np.ndarray) -> np.ndarray:
        after = np.maximum(0, wanted - places[-1])
        since = np.interp(wanted, places, ticks - ticks[0]) + usual * after
        return ticks[0] + np.rint(since).astype(np.int64)

    return places, at, None


def ticks_of(times: Times) -> tuple[np.ndarray, int]:
    """Moments as integers, and the number of nanoseconds per unit."""
    tick = int(np.gcd.reduce(times.clock, initial=SECOND))
    clock = times.clock // tick
    if times.offsets is not None:
        clock = clock - times.offsets * SECOND // tick
    return times.days.astype(np.int64) * (DAY // tick) + clock, tick


def _at_ticks(
    times: Times, places: np.ndarray, at: Callable[[np.ndarray], np.ndarray], tick: int
) -> Callable[[np.ndarray], Times]:
    """Moments by elapsed time, also across changes of clocks."""
    per_day = DAY // tick

    def moments(wanted: np.ndarray) -> Times:
        ticks = at(wanted)
        offsets = offsets_at(times, places, wanted, ticks // (SECOND // tick), local=False)
        if offsets is not None:
            ticks = ticks + offsets * SECOND // tick
        days = (ticks // per_day).astype("datetime64[D]")
        return Times(days, ticks % per_day * tick, offsets)

    return moments


def _at_days(
    times: Times, places: np.ndarray, at: Callable[[np.ndarray], np.ndarray], clocks: np.ndarray
) -> Callable[[np.ndarray], Times]:
    """Moments at these times of day, in turn."""

    def moments(wanted: np.ndarray) -> Times:
        days, clock = at(wanted), clocks[wanted % len(clocks)]
        seconds = days.astype(np.int64) * (DAY // SECOND) + clock // SECOND
        return Times(days, clock, offsets_at(times, places, wanted, seconds, local=True))

    return moments


def reversed_times(times: Times) -> Times:
    """The moments in the other order."""
    offsets = None if times.offsets is None else times.offsets[::-1]
    return Times(times.days[::-1], times.clock[::-1], offsets)


def _one_row(places: np.ndarray) -> NoReturn:
    raise ValueError("one row does not determine the time step; give two or more")


def _name(nanoseconds: int, exact: bool) -> str:
    unit, size = next((unit, size) for unit, size in UNITS if size <= max(1, nanoseconds))
    number = nanoseconds / size
    name = f"{number:.4g} {unit}{'s' * (number != 1)}"
    return name if exact else f"about {name}; the times are uneven"
