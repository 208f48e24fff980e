"""Offsets from UTC of later times, which change with daylight saving time."""

from __future__ import annotations

import zoneinfo
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np

from train.readers.times.dates import DAY, SECOND, Times

CHANGES = 20  # the newest changes of clocks to compare in a zone


def offsets_at(times: Times, places: np.ndarray, wanted: np.ndarray, seconds: np.ndarray,
               local: bool) -> np.ndarray | None:  # fmt: skip
    """The offsets in seconds east of UTC at places of a table.

    Of offsets that change, those of most time zones that changed as they did; where there is none,
    the offset of the last row before.

    Args:
      times: of the rows.
      places: of the rows.
      wanted: the places.
      seconds: since 1970 at these places.
      local: whether these are by the table's own clock, not by UTC.
    """
    if times.offsets is None:
        return None
    row = np.searchsorted(places, wanted, side="right") - 1
    before = times.offsets[np.maximum(row, 0)]
    zones = _zones_of(times)
    if not zones:
        return before
    moments = [_moment(int(second)) for second in seconds]
    found: Counter[tuple[int, ...]] = Counter()
    for zone in zones:
        there = [m.replace(tzinfo=zone) if local else m.astimezone(zone) for m in moments]
        found[tuple(_seconds(moment) for moment in there)] += 1
    return np.array(found.most_common(1)[0][0], np.int64)


def _zones_of(times: Times) -> list[zoneinfo.ZoneInfo]:
    """The time zones with the table's offsets before and after each change."""
    offsets = times.offsets
    assert offsets is not None
    changed = np.flatnonzero(np.diff(offsets))[-CHANGES:]
    if not len(changed):
        return []
    rows = np.concatenate([changed, changed + 1])
    clock = times.clock[rows] // SECOND - offsets[rows]
    seconds = times.days[rows].astype(np.int64) * (DAY // SECOND) + clock
    known = [(_moment(int(s)), int(o)) for s, o in zip(seconds, offsets[rows], strict=True)]
    zones = map(zoneinfo.ZoneInfo, sorted(zoneinfo.available_timezones()))
    return [zone for zone in zones if all(_seconds(m.astimezone(zone)) == o for m, o in known)]


def _moment(seconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def _seconds(moment: datetime) -> int:
    offset = moment.utcoffset()
    assert offset is not None
    return int(offset.total_seconds())
