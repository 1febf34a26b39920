"""When a callout may end, and what it waits for, by what is counted of it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scfm.models.plan_pace import Pace
from scfm.results.expected_end import Progress, expected_end
from scfm.results.limits import limited_by
from scfm.storage.block_tallies import Tallied

MOMENT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
PACE = Pace(2.0, "calls_per_second of the plan")
AUDIENCE: dict[str, Any] = {"audience": {}}
RUNNING = {"status": "running", "plan": None}
PLANNED = {"status": "running", "plan": AUDIENCE}


def tallied(*people: tuple[str, int, int], placed: dict[int, int] | None = None) -> Tallied:
    """PEOPLE: outcome, attempts, how many. PLACED: calls, by how many minutes ago they were placed."""
    counts = Counter({("people", outcome, None, attempts): count for outcome, attempts, count in people})
    minutes = {MOMENT - timedelta(minutes=ago): count for ago, count in (placed or {}).items()}
    counts.update({("placed", minute): count for minute, count in minutes.items()})
    return Tallied(counts, min(minutes, default=None), max(minutes, default=None))


def end(callout: dict[str, Any], found: Tallied) -> datetime | None:
    return expected_end(callout, Progress.of(found, PACE, MOMENT), MOMENT)


def test_who_is_left_is_called_as_fast_as_those_before() -> None:
    # 600 calls in five minutes are two a second; nobody took more than one call.
    found = tallied(("reached", 1, 600), ("pending", 0, 1200), placed=dict.fromkeys(range(1, 6), 120))
    assert end(RUNNING, found) == MOMENT + timedelta(minutes=10)


def test_a_person_takes_as_many_calls_as_those_before() -> None:
    placed = dict.fromkeys(range(1, 6), 120)
    assert end(RUNNING, tallied(("reached", 2, 300), ("pending", 0, 600), placed=placed)) == MOMENT + timedelta(
        minutes=10
    )
    found = tallied(("reached", 2, 300), ("waiting", 1, 600), placed=placed)
    assert end(RUNNING, found) == MOMENT + timedelta(minutes=5)


def test_a_plan_that_has_not_begun_calls_as_fast_as_it_may() -> None:
    found = tallied(("pending", 0, 1200))
    assert end(PLANNED, found) == MOMENT + timedelta(minutes=10)
    assert end(RUNNING, found) is None, "nobody knows whether anybody will queue calls"


def test_the_hours_in_which_nothing_may_leave_do_not_count() -> None:
    window = {"time_zone": "UTC", "from": "08:00", "to": "12:05"}
    callout = {**PLANNED, "plan": {**AUDIENCE, "window": window}}
    found = tallied(("pending", 0, 1200))
    assert end(callout, found) == MOMENT + timedelta(hours=20, minutes=5)
    emergency = {"reason": "flood", "severity": "severe"}
    at_once = {**callout, "plan": {**callout["plan"], "emergency": emergency}}
    assert end(at_once, found) == MOMENT + timedelta(minutes=10)
    too_late = {**callout, "plan": {**callout["plan"], "not_after": "2026-11-29T18:00:00Z"}}
    assert end(too_late, found) == MOMENT + timedelta(hours=6)
    over = {**PLANNED, "plan": {**AUDIENCE, "not_after": "2026-11-29T11:00:00Z"}}
    assert end(over, found) == MOMENT
    later = {**PLANNED, "plan": {**AUDIENCE, "starts_at": "2026-11-30T12:00:00Z"}}
    assert end(later, found) == MOMENT + timedelta(days=1, minutes=10)


@pytest.mark.parametrize("status", ["initialized", "paused", "stopped", "completed"])
def test_a_callout_that_does_not_run_has_no_end_and_waits_for_nothing(status: str) -> None:
    found = tallied(("pending", 0, 5), ("waiting", 1, 5), placed={1: 100})
    callout = {**PLANNED, "status": status}
    assert end(callout, found) is None
    assert limited_by(callout, found, "failing", MOMENT, PACE.limited_by) is None


def test_a_callout_that_has_nobody_left_has_no_end_and_waits_for_nothing() -> None:
    found = tallied(("reached", 1, 5), ("unknown", 1, 1), placed={1: 100})
    assert end(PLANNED, found) is None
    assert limited_by(PLANNED, found, "ok", MOMENT, PACE.limited_by) is None


@given(
    people=st.lists(
        st.tuples(
            st.sampled_from(["pending", "calling", "waiting", "reached", "unreached", "excluded"]),
            st.integers(0, 10),
            st.integers(1, 10**7),
        )
    ),
    placed=st.dictionaries(st.integers(0, 10_000), st.integers(1, 10**6)),
)
def test_an_end_is_never_in_the_past_and_always_at_a_minute(
    people: list[tuple[str, int, int]], placed: dict[int, int]
) -> None:
    for callout in (RUNNING, PLANNED):
        found = end(callout, tallied(*people, placed=placed))
        assert found is None or (found >= MOMENT and found.second == found.microsecond == 0)


def test_what_a_callout_waits_for() -> None:
    def limit(plan: dict[str, Any], *people: tuple[str, int, int], provider: str = "ok") -> str | None:
        callout = {"status": "running", "plan": {**AUDIENCE, **plan}}
        return limited_by(callout, tallied(*people), provider, MOMENT, PACE.limited_by)

    pending, waiting, calling = ("pending", 0, 5), ("waiting", 1, 5), ("calling", 1, 1)
    closed = {"window": {"time_zone": "UTC", "from": "07:00", "to": "12:00"}}
    assert limit({}, pending) == PACE.limited_by
    assert limit({}, pending, waiting) == PACE.limited_by
    assert limit({}, waiting) == "retry of the plan"
    assert limit({}, waiting, calling) == PACE.limited_by
    assert limit(closed, pending) == limit(closed, waiting) == "window of the plan"
    assert limit(closed, pending, calling) == PACE.limited_by
    assert limit({"starts_at": "2026-11-29T12:00:01Z"}, pending) == "starts_at of the plan"
    assert limit({}, pending, provider="failing") == "the provider does not answer"
    assert limit({}, pending, provider="refusing") == "the provider refuses the account"
    assert limit(closed, pending, provider="held") == "calls are held"
