"""The hours of a plan against clocks that are read minute by minute."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scfm.models.plan_window import MINUTES_OF_DAY, PlanWindow

MINUTE = timedelta(minutes=1)
EVERY_DAY = frozenset(range(7))
# Of both hemispheres; ahead by half and by quarter hours; with changes of half an hour, at midnight, in Ramadan, and
# of a whole day; and with offsets of seconds, long ago.
ZONES = (
    "Asia/Phnom_Penh",
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/St_Johns",
    "America/Santiago",
    "America/Havana",
    "America/Asuncion",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Tehran",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Monrovia",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
    "Australia/Eucla",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "UTC",
)


def moment(written: str) -> datetime:
    return datetime.fromisoformat(written)


def clock(window: PlanWindow, at: datetime) -> datetime:
    """What the clocks on the wall show, which know of no offset."""
    return at.astimezone(ZoneInfo(window.time_zone)).replace(tzinfo=None)


def open_by_the_clock(window: PlanWindow, at: datetime) -> bool:
    """Whether the clocks show a time that belongs to the hours of some day, each day's written out."""
    shown = clock(window, at)
    for days_ago in (0, 1):
        day = (shown - timedelta(days=days_ago)).date()
        if day.weekday() not in window.days or day in window.closed_dates:
            continue
        midnight = datetime(day.year, day.month, day.day)
        opens, closes = midnight + window.opens * MINUTE, midnight + window.closes * MINUTE
        if closes <= opens:
            closes += timedelta(days=1)
        if opens <= shown < closes:
            return True
    return False


def minutes_from(start: datetime, days: float) -> Iterator[datetime]:
    return (start + number * MINUTE for number in range(int(days * MINUTES_OF_DAY)))


def changes_near(zone: str, year: int) -> list[datetime]:
    """The hours in which the zone's clocks are changed in a year."""
    hours = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=number) for number in range(366 * 24)]
    offsets = [hour.astimezone(ZoneInfo(zone)).utcoffset() for hour in hours]
    return [hour for hour, before, after in zip(hours, offsets, offsets[1:], strict=False) if before != after]


@st.composite
def windows(draw: st.DrawFn) -> PlanWindow:
    opens = draw(st.integers(0, MINUTES_OF_DAY - 1))
    near_midnight_or_the_change = st.sampled_from((1, 30, 60, 90, 120, 150, 180, 210, MINUTES_OF_DAY))
    closes = draw(
        st.one_of(st.integers(1, MINUTES_OF_DAY), near_midnight_or_the_change).filter(lambda it: it != opens)
    )
    return PlanWindow(
        draw(st.sampled_from(ZONES)),
        draw(st.one_of(st.just(EVERY_DAY), st.frozensets(st.integers(0, 6), min_size=1))),
        opens,
        closes,
    )


@st.composite
def windows_and_moments(draw: st.DrawFn) -> tuple[PlanWindow, datetime]:
    """A window, and a minute that is often a little before a change of its clocks."""
    window = draw(windows())
    year = draw(st.one_of(st.integers(2020, 2040), st.sampled_from((1931, 1945, 1972, 2011, 2100, 2999, 9990))))
    changes = changes_near(window.time_zone, year)
    near = draw(st.sampled_from(changes)) if changes and draw(st.booleans()) else None
    start = near or datetime(year, draw(st.integers(1, 12)), draw(st.integers(1, 28)), tzinfo=UTC)
    start += draw(st.integers(-2 * MINUTES_OF_DAY, MINUTES_OF_DAY)) * MINUTE
    first = clock(window, start).date()
    dates = st.integers(-1, 4).map(lambda days: first + timedelta(days=days))
    closed = draw(st.frozensets(dates, max_size=3))
    return PlanWindow(window.time_zone, window.days, window.opens, window.closes, closed), start


@settings(deadline=None)
@given(windows_and_moments())
@example((PlanWindow("Pacific/Apia", EVERY_DAY, 22 * 60, 6 * 60), moment("2011-12-30T06:00:00Z")))
@example((PlanWindow("Australia/Lord_Howe", EVERY_DAY, 105, 120), moment("2026-04-04T12:00:00Z")))
def test_the_hours_are_those_that_the_clocks_show(case: tuple[PlanWindow, datetime]) -> None:
    """Offsets that are no whole minutes (long ago) move the seconds at which it opens, and no minute by one."""
    window, start = case
    minutes = list(minutes_from(start, 2.5))
    shown = [open_by_the_clock(window, minute) for minute in minutes]

    assert [window.is_open(minute) for minute in minutes] == shown

    whole = not (ZoneInfo(window.time_zone).utcoffset(clock(window, start)) or timedelta()).seconds % 60
    end = minutes[-1] + MINUTE
    if whole:
        assert window.seconds_open(start, end) == 60 * sum(shown)
    opening = window.next_opening(start)
    first = next((minute for minute, is_open in zip(minutes, shown, strict=True) if is_open), None)
    if first is None:
        assert opening is None or opening > minutes[-1]
    else:
        assert opening is not None and first - MINUTE < opening <= first
        assert window.is_open(opening)
        assert not whole or opening == first
    closing = window.closes_at(start)
    last = next((minute for minute, is_open in zip(minutes, shown, strict=True) if not is_open), None)
    if last is None:
        assert closing is None or closing > minutes[-1]
    else:
        assert closing is not None and last - MINUTE < closing <= last
        assert not window.is_open(closing)


@settings(deadline=None)
@given(windows_and_moments(), st.integers(1, 3 * MINUTES_OF_DAY))
def test_so_many_seconds_later_it_has_been_open_for_so_many_seconds(
    case: tuple[PlanWindow, datetime], minutes: int
) -> None:
    window, start = case

    end = window.after_open_seconds(start, minutes * 60)

    if end is not None and end - start < timedelta(days=400):
        assert window.seconds_open(start, end) == minutes * 60


# 2026 in Berlin: at 02:00 on 29 March clocks go to 03:00, at 03:00 on 25 October back to 02:00.
@pytest.mark.parametrize(
    ("opens", "closes", "asked", "opening", "closing"),
    [
        pytest.param(120, 180, "03-29T00:00", "03-30T00:00", "03-30T01:00", id="not there on that day"),
        pytest.param(150, 240, "03-29T00:00", "03-29T01:00", "03-29T02:00", id="begins with what is there"),
        pytest.param(90, 150, "03-29T00:30", "03-29T00:30", "03-29T01:00", id="ends with what is there"),
        pytest.param(120, 180, "10-24T23:00", "10-25T00:00", "10-25T02:00", id="an hour twice"),
        pytest.param(130, 150, "10-25T00:30", "10-25T01:10", "10-25T01:30", id="opens a second time"),
        pytest.param(1320, 360, "10-24T20:00", "10-24T20:00", "10-25T05:00", id="a long night"),
        pytest.param(1320, 360, "03-28T20:59", "03-28T21:00", "03-29T04:00", id="a short night"),
    ],
)
def test_changes_of_summer_time(opens: int, closes: int, asked: str, opening: str, closing: str) -> None:
    window = PlanWindow("Europe/Berlin", EVERY_DAY, opens, closes)

    found = window.next_opening(moment(f"2026-{asked}Z"))

    assert found == moment(f"2026-{opening}Z")
    assert window.closes_at(found) == moment(f"2026-{closing}Z")


def test_days_and_exceptions_name_the_day_on_which_it_opens() -> None:
    """A night that begins on Friday reaches into Saturday; one whose day is excepted does not take place."""
    window = PlanWindow("Asia/Phnom_Penh", frozenset({4}), 22 * 60, 4 * 60, frozenset({date(2026, 11, 27)}))

    assert window.next_opening(moment("2026-11-27T16:00:00Z")) == moment("2026-12-04T15:00:00Z")
    assert window.is_open(moment("2026-12-04T20:59:59.999Z"))
    assert not window.is_open(moment("2026-12-04T21:00:00Z"))
    assert not window.is_open(moment("2026-12-05T15:00:00Z"))


def test_to_is_not_included_and_may_be_midnight() -> None:
    window = PlanWindow("Asia/Kathmandu", EVERY_DAY, 7 * 60, MINUTES_OF_DAY)

    assert window.is_open(moment("2026-05-01T23:59:59.999+05:45"))
    assert not window.is_open(moment("2026-05-02T00:00:00+05:45"))
    assert window.closes_at(moment("2026-05-01T10:00:00+05:45")) == moment("2026-05-02T00:00:00+05:45")


def test_what_is_always_open_never_closes() -> None:
    window = PlanWindow("Europe/Berlin", EVERY_DAY, 0, MINUTES_OF_DAY)

    assert window.closes_at(moment("2026-05-01T10:00:00Z")) is None
    assert window.seconds_open(moment("2026-01-01T00:00:00Z"), moment("2027-01-01T00:00:00Z")) == 365 * 86400


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"])
@pytest.mark.parametrize("end", [datetime.min, datetime.max])
def test_the_ends_of_time_are_not_reached(zone: str, end: datetime) -> None:
    window = PlanWindow(zone, EVERY_DAY, 0, 1)

    opening = window.next_opening(end.replace(tzinfo=UTC))

    assert (opening is None) == (end.year == 9999)
    assert window.seconds_open(end.replace(tzinfo=UTC), end.replace(tzinfo=UTC)) == 0
