"""The forecast of a plan, against calls that leave one by one."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scfm.models.plan import Plan
from scfm.models.plan_forecast import MAX_GROUPS, Forecast, forecast
from tests.plans import moment, plan_of

NOW = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)
WINDOW = {"time_zone": "Asia/Phnom_Penh", "from": "07:00", "to": "20:00"}


def one_by_one(plan: Plan, people: int, rate: float, seconds: float) -> list[tuple[int, datetime]]:
    """Each attempt that is made if nobody answers: its ordinal, and when it leaves."""
    spacing, attempts = timedelta(seconds=1 / rate), []
    free = NOW
    queue = [(NOW, person, 1) for person in range(people)]
    heapq.heapify(queue)
    while queue:
        due, person, ordinal = heapq.heappop(queue)
        leaves = plan.next_moment(max(due, free))
        if leaves is None:
            continue
        attempts.append((ordinal, leaves))
        free = leaves + spacing
        if ordinal < plan.retry.max_attempts:
            again = leaves + timedelta(seconds=seconds) + plan.retry.delay_after(ordinal)
            heapq.heappush(queue, (again, person, ordinal + 1))
    return attempts


PLANS = st.fixed_dictionaries(
    {
        "retry": st.fixed_dictionaries(
            {"max_attempts": st.integers(1, 4), "delays": st.lists(st.integers(1, 20_000), min_size=1, max_size=3)}
        )
    },
    optional={
        "window": st.sampled_from([WINDOW, {**WINDOW, "from": "22:00", "to": "06:00"}, {**WINDOW, "to": "10:30"}]),
        "not_after": st.sampled_from(["2026-11-29T04:00:00Z", "2026-11-30T02:00:00Z", "2027-06-01T00:00:00Z"]),
        "starts_at": st.sampled_from(["2026-11-29T03:30:00Z", "2026-01-01T00:00:00Z"]),
    },
)
RATES = st.sampled_from([0.05, 0.3, 1.0, 7.0, 50.0])
SECONDS = st.sampled_from([0.3, 20.0, 60.0])


@settings(max_examples=150, deadline=None)
@given(PLANS, st.integers(1, 400), RATES, SECONDS)
def test_a_forecast_is_what_calls_come_to_that_leave_one_by_one(
    given_plan: dict[str, Any], people: int, rate: float, seconds: float
) -> None:
    plan = plan_of(**given_plan)
    attempts = one_by_one(plan, people, rate, seconds)

    told = forecast(plan, people, rate, seconds, NOW)

    firsts = [leaves for ordinal, leaves in attempts if ordinal == 1]
    # Moments are in whole microseconds, so at the very end one call more or less may be in time.
    assert abs(told.uncalled - (people - len(firsts))) <= 1
    if not firsts:
        assert (told.first_attempt_at, told.last_first_attempt_at) == (None, None)
        return
    assert told.first_attempt_at == firsts[0]
    assert told.last_first_attempt_at is not None
    assert abs(told.last_first_attempt_at - firsts[-1]) < timedelta(seconds=0.001 + 1 / rate)
    assert told.ends_at is not None
    # Where somebody waits in vain the plan ends with ``not_after``.
    last = max(leaves for _, leaves in attempts) + timedelta(seconds=seconds)
    if not told.cut_off:
        # A window that closes in the middle of a group has the rest of the group wait, or not.
        slack = timedelta(hours=24) if plan.window else timedelta(seconds=2 / rate)
        assert abs(told.ends_at - last) <= slack + (last - NOW) / 10
    missing = people * plan.retry.max_attempts - len(attempts)
    assert told.cut_off is (missing > 0) or missing <= 1 or people > MAX_GROUPS


@settings(max_examples=100, deadline=None)
@given(PLANS, st.integers(1, 10_000), RATES, SECONDS)
def test_more_people_a_lower_pace_and_calls_before_never_end_a_plan_earlier(
    given_plan: dict[str, Any], people: int, rate: float, seconds: float
) -> None:
    given_plan.pop("not_after", None)
    plan = plan_of(**given_plan)

    told = forecast(plan, people, rate, seconds, NOW)

    assert told.first_attempt_at is not None
    assert told.last_first_attempt_at is not None
    assert told.ends_at is not None
    assert NOW <= told.first_attempt_at <= told.last_first_attempt_at < told.ends_at
    assert plan.may_leave(told.first_attempt_at)
    slack = (told.ends_at - NOW) / 20 + timedelta(days=1 if plan.window else 0)
    for worse in (
        forecast(plan, people + 10, rate, seconds, NOW),
        forecast(plan, people, rate / 2, seconds, NOW),
        forecast(plan, people, rate, seconds, NOW, waiting=100),
    ):
        assert worse.ends_at is not None
        assert worse.ends_at >= told.ends_at - slack
        assert worse.last_first_attempt_at is not None
        assert worse.last_first_attempt_at >= told.last_first_attempt_at


@pytest.mark.parametrize(
    ("given_plan", "people", "rate", "told"),
    [
        # A call a second, each of which rings for a minute.
        ({}, 12_000, 1.0, Forecast(NOW, moment("2026-11-29T06:19:59Z"), moment("2026-11-29T06:20:59Z"))),
        # The second attempt comes ten minutes after the end of the first.
        (
            {"retry": {"max_attempts": 2, "delays": [600]}},
            1,
            1.0,
            Forecast(NOW, NOW, NOW + timedelta(minutes=12)),
        ),
        # Many people have to wait for the others' first attempts.
        (
            {"retry": {"max_attempts": 2, "delays": [600]}},
            3600,
            1.0,
            Forecast(NOW, moment("2026-11-29T03:59:59Z"), moment("2026-11-29T05:00:59Z")),
        ),
        # It is ten in the morning, and the window closes at eight in the evening.
        (
            {"window": WINDOW},
            36_001,
            1.0,
            Forecast(NOW, moment("2026-11-30T00:00:00Z"), moment("2026-11-30T00:01:00Z")),
        ),
        # An emergency goes over the window.
        (
            {"window": WINDOW, "emergency": {"reason": "The dam breaks.", "severity": "extreme"}},
            36_001,
            1.0,
            Forecast(NOW, moment("2026-11-29T13:00:00Z"), moment("2026-11-29T13:01:00Z")),
        ),
        # Who has not had his turn by not_after is settled then.
        (
            {"not_after": "2026-11-29T03:00:09Z"},
            100,
            1.0,
            Forecast(NOW, moment("2026-11-29T03:00:09Z"), moment("2026-11-29T03:01:09Z"), uncalled=90, cut_off=True),
        ),
        # Who would be due after not_after is settled at once.
        (
            {"not_after": "2026-11-29T04:00:00Z", "retry": {"max_attempts": 2, "delays": [3600]}},
            1,
            1.0,
            Forecast(NOW, NOW, NOW + timedelta(minutes=1), cut_off=True),
        ),
        ({"not_after": "2026-11-29T02:00:00Z"}, 5, 1.0, Forecast(None, None, NOW, uncalled=5, cut_off=True)),
        ({}, 0, 1.0, Forecast(None, None, None)),
        # What takes a call every eleven days does not end in ten years.
        ({}, 400, 0.000001, Forecast(NOW, moment("2036-12-03T12:46:40Z"), None, uncalled=83, cut_off=True)),
    ],
)
def test_a_plan_comes_to_this(given_plan: dict[str, Any], people: int, rate: float, told: Forecast) -> None:
    assert forecast(plan_of(**given_plan), people, rate, 60.0, NOW) == told
