"""The plan of a callout as the server reads it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scfm.models.plan import Plan, with_defaults
from tests.plans import moment, plan_of

DEFAULTS = {
    "audience": {},
    "remote_request_params": {},
    "retry": {"max_attempts": 1, "delays": [600], "on": ["busy", "not_answered", "failed"]},
    "window": None,
    "starts_at": None,
    "not_after": None,
    "priority": 5,
    "calls_per_second": None,
    "calls_in_flight": None,
    "answering_machine": "play",
    "acknowledge": False,
    "inline_twiml": False,
    "emergency": None,
}
NIGHTS = {"time_zone": "Asia/Phnom_Penh", "from": "22:00", "to": "06:00"}


def test_a_plan_has_defaults_in_the_order_of_its_schema() -> None:
    plan = with_defaults({"priority": 9, "audience": {}})

    assert plan == {**DEFAULTS, "priority": 9}
    assert list(plan) == list(DEFAULTS)


def test_parts_of_a_plan_have_defaults_of_their_own() -> None:
    plan = with_defaults({"audience": {}, "retry": {"delays": [60, 300]}, "window": NIGHTS})

    assert plan["retry"] == {"max_attempts": 1, "delays": [60, 300], "on": ["busy", "not_answered", "failed"]}
    assert plan["window"] == {
        "time_zone": "Asia/Phnom_Penh",
        "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
        "from": "22:00",
        "to": "06:00",
        "except": [],
    }


def test_defaults_are_not_shared_between_plans() -> None:
    with_defaults({"audience": {}})["retry"]["delays"].append(1)

    assert with_defaults({"audience": {}}) == DEFAULTS


def test_a_callout_without_a_plan_has_none() -> None:
    assert Plan.of({"plan": None}) is None
    assert Plan.of({"_id": 1}) is None


def test_times_are_turned_into_utc() -> None:
    plan = plan_of(starts_at="2026-11-30t07:00:00.5+07:00", not_after="2026-11-30T18:00:00Z")

    assert plan.starts_at == datetime(2026, 11, 30, 0, 0, 0, 500000, tzinfo=UTC)
    assert plan.not_after == datetime(2026, 11, 30, 18, tzinfo=UTC)


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 300), (2, 900), (3, 900), (9, 900)])
def test_the_last_delay_repeats(attempt: int, seconds: int) -> None:
    retry = plan_of(retry={"max_attempts": 10, "delays": [300, 900]}).retry

    assert retry.delay_after(attempt) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("given", "asked", "expected"),
    [
        pytest.param({}, "2026-11-30T01:00:00Z", "2026-11-30T01:00:00Z", id="nothing forbids it"),
        pytest.param(
            {"starts_at": "2026-11-30T08:00:00Z"}, "2026-11-30T01:00:00Z", "2026-11-30T08:00:00Z", id="starts later"
        ),
        pytest.param({"window": NIGHTS}, "2026-11-30T01:00:00Z", "2026-11-30T15:00:00Z", id="at night"),
        pytest.param(
            {"window": NIGHTS, "starts_at": "2026-11-30T16:00:00Z"},
            "2026-11-30T01:00:00Z",
            "2026-11-30T16:00:00Z",
            id="in the night of the start",
        ),
        pytest.param(
            {"not_after": "2026-11-30T01:00:00Z"},
            "2026-11-30T01:00:00Z",
            "2026-11-30T01:00:00Z",
            id="at the last moment",
        ),
        pytest.param({"not_after": "2026-11-30T01:00:00Z"}, "2026-11-30T01:00:00.001Z", None, id="too late"),
        pytest.param(
            {"window": NIGHTS, "not_after": "2026-11-30T14:59:59Z"}, "2026-11-30T01:00:00Z", None, id="opens too late"
        ),
        pytest.param(
            {"window": NIGHTS, "emergency": {"reason": "dam", "severity": "extreme"}},
            "2026-11-30T01:00:00Z",
            "2026-11-30T01:00:00Z",
            id="an emergency goes over the window",
        ),
        pytest.param(
            {"starts_at": "2026-11-30T08:00:00Z", "emergency": {"reason": "dam", "severity": "extreme"}},
            "2026-11-30T01:00:00Z",
            "2026-11-30T08:00:00Z",
            id="an emergency goes not over the start",
        ),
    ],
)
def test_when_an_attempt_may_leave(given: dict[str, Any], asked: str, expected: str | None) -> None:
    plan = plan_of(**given)

    assert plan.next_moment(moment(asked)) == (expected and moment(expected))
    assert plan.may_leave(moment(asked)) == (asked == expected)
