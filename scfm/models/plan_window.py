"""The hours in which a plan may call: wall time of a zone, turned into UTC where it is asked for.

A moment is inside when the clocks of the zone show a time inside. So an hour that clocks skip is not there, and one
that they show twice counts twice. All moments are aware; those that are given back are in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_OF_DAY = 24 * 60
ONE_DAY, ONE_SECOND = timedelta(days=1), timedelta(seconds=1)
# How many days are remembered, of all windows together.
MAX_CACHED_DAYS = 4096

# Before and beyond these clocks may show a year that a date cannot have.
FIRST_DAY, LAST_DAY = date.min + 2 * ONE_DAY, date.max - 2 * ONE_DAY

Interval = tuple[datetime, datetime]
"""From a moment, which belongs to it, to another, which does not."""


@dataclass(frozen=True)
class PlanWindow:
    """When it is open: from ``opens`` to ``closes``, in minutes after midnight (0 to 1439, and 1 to 1440).

    Where ``closes`` is not after ``opens``, it is the next day's. ``days`` are weekdays, 0 for Monday, and
    ``closed_dates`` dates on which it does not open; what opened the day before goes on.
    """

    time_zone: str
    days: frozenset[int]
    opens: int
    closes: int
    closed_dates: frozenset[date] = frozenset()

    @classmethod
    def of(cls, window: Mapping[str, Any]) -> PlanWindow:
        """The window of a stored plan, which its schema let through, with its defaults."""
        return cls(
            window["time_zone"],
            frozenset(DAYS.index(day) for day in window["days"]),
            minutes_of(window["from"]),
            minutes_of(window["to"]) or MINUTES_OF_DAY,
            frozenset(date.fromisoformat(day) for day in window["except"]),
        )

    def is_open(self, moment: datetime) -> bool:
        """Whether a call may leave at MOMENT; not beyond the years that a clock can show."""
        try:
            local = moment.astimezone(ZoneInfo(self.time_zone)).replace(tzinfo=None)
        except OverflowError:
            return False
        minute = local.hour * 60 + local.minute
        if self.opens < self.closes:
            return self.opens <= minute < self.closes and self.opens_on(local.date())
        if minute >= self.opens:
            return self.opens_on(local.date())
        return minute < self.closes and local.date() > date.min and self.opens_on(local.date() - ONE_DAY)

    def next_opening(self, moment: datetime) -> datetime | None:
        """MOMENT if it is open then, else when it opens next; None if it does not open any more."""
        return next((max(opened, moment.astimezone(UTC)) for opened, _ in self.open_intervals(moment)), None)

    def closes_at(self, moment: datetime) -> datetime | None:
        """Until when it stays open from MOMENT on: MOMENT if it is closed then, None for more than a year."""
        end = moment.astimezone(UTC)
        limit = end + 366 * ONE_DAY
        for opened, closed in self.open_intervals(moment):
            if opened > end:
                return end
            end = closed
            if end >= limit:
                return None
        return end

    def seconds_open(self, start: datetime, end: datetime) -> float:
        """How many seconds it is open from START to END."""
        total = timedelta()
        for opened, closed in self.open_intervals(start):
            if opened >= end:
                break
            total += max(timedelta(), min(closed, end) - max(opened, start))
        return total.total_seconds()

    def after_open_seconds(self, moment: datetime, seconds: float, latest: datetime | None = None) -> datetime | None:
        """When it has been open for SECONDS since MOMENT; None if it never will have been, or is not by LATEST."""
        left = timedelta(seconds=seconds)
        for opened, closed in self.open_intervals(moment):
            if latest is not None and opened > latest:
                return None
            begin = max(opened, moment.astimezone(UTC))
            if left <= closed - begin:
                return begin + left
            left -= closed - begin
        return None

    def open_intervals(self, moment: datetime) -> Iterator[Interval]:
        """When it is open, in order, from the interval on that ends after MOMENT; each lies in one day of UTC."""
        day = max(FIRST_DAY, moment.astimezone(UTC).date())
        while day < LAST_DAY:
            for opened, closed in _open_on(self, day):
                if closed > moment:
                    yield opened, closed
            day += ONE_DAY

    def opens_on(self, day: date) -> bool:
        """Whether it opens on that day."""
        return day.weekday() in self.days and day not in self.closed_dates


def minutes_of(written: str) -> int:
    """Minutes after midnight of a time of day, ``HH:MM``; those of ``24:00`` are 1440."""
    hours, minutes = written.split(":")
    return int(hours) * 60 + int(minutes)


@lru_cache(maxsize=MAX_CACHED_DAYS)
def _open_on(window: PlanWindow, day: date) -> tuple[Interval, ...]:
    """When WINDOW is open on a day of UTC, in order."""
    over_midnight = ONE_DAY if window.closes <= window.opens else timedelta()
    found = []
    for start, end, offset in _offsets(ZoneInfo(window.time_zone), day):
        first, last = (start + offset).replace(tzinfo=None), (end + offset).replace(tzinfo=None)
        for number in range(-1, (last.date() - first.date()).days + 1):
            midnight = datetime.combine(first.date(), time()) + number * ONE_DAY
            if window.opens_on(midnight.date()):
                opened = max(first, midnight + timedelta(minutes=window.opens))
                closed = min(last, midnight + over_midnight + timedelta(minutes=window.closes))
                if opened < closed:
                    found.append(((opened - offset).replace(tzinfo=UTC), (closed - offset).replace(tzinfo=UTC)))
    return tuple(found)


def _offsets(zone: ZoneInfo, day: date) -> tuple[tuple[datetime, datetime, timedelta], ...]:
    """The parts of a day of UTC in which the zone is ahead of UTC by one and the same time, in order.

    There are two at the most: no zone has changed, or will change, twice within six days.
    """
    start = datetime.combine(day, time(), UTC)
    end = start + ONE_DAY
    before, after = _offset(zone, start), _offset(zone, end)
    if before == after:
        return ((start, end, before),)
    change = _change(zone, start, end)
    parts = ((start, change, before), (change, end, after))
    return parts if change < end else parts[:1]


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The second at which the zone's offset from UTC changes, later than BEFORE and not later than AFTER."""
    offset = _offset(zone, before)
    while after - before > ONE_SECOND:
        middle = before + timedelta(seconds=(after - before) // ONE_SECOND // 2)
        before, after = (middle, after) if _offset(zone, middle) == offset else (before, middle)
    return after


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()
