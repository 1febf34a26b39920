"""The audit of alerts finds what is wrong with the calls that a carrier took."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scfm.models.plan import with_defaults
from scfm.simulator.call import Call
from scfm.simulator.call_options import CallOptions
from tests.torture.alert import Alert, next_minute
from tests.torture.alert_audit import Events, Looks, violations_of_calls
from tests.workers.campaign_checks import is_inside

ANNA = "+85510000001"
NOON = datetime(2030, 3, 31, 12, tzinfo=UTC)
BEGIN = NOON.timestamp()
RETRY = {"max_attempts": 3, "delays": [10], "on": ["busy"]}


def rung(after: float, status: str = "busy", sid: str = "CA1") -> Call:
    """A call to Anna so many seconds after noon, which was over five seconds later."""
    call = Call("AC1", "secret", ANNA, "1294", CallOptions(), 1, status=status, sid=sid, created=BEGIN + after)
    call.ended = BEGIN + after + 5
    return call


@pytest.mark.parametrize(
    ("calls", "plan", "events", "found"),
    [
        ([rung(0), rung(15), rung(30, "completed")], {}, {}, []),
        ([rung(0), rung(15), rung(30), rung(45)], {}, {}, [f"{ANNA} rang 4 times"]),
        ([rung(0), rung(4)], {}, {}, ["while another call is open"]),
        ([rung(0), rung(14)], {}, {}, ["sooner than the plan says"]),
        ([rung(0, "completed"), rung(15)], {}, {}, ["again after a call that was completed"]),
        ([rung(0, "failed"), rung(15)], {}, {}, ["again after a call that was failed"]),
        ([rung(0, sid="acknowledged"), rung(15)], {}, {}, ["after an acknowledgement"]),
        ([rung(0)], {"window": {"time_zone": "UTC", "from": "20:00", "to": "04:00"}}, {}, ["outside the window"]),
        ([rung(0)], {"starts_at": "2030-03-31T12:00:01Z"}, {}, ["before starts_at"]),
        ([rung(9)], {"not_after": "2030-03-31T12:00:05Z"}, {}, ["after not_after"]),
        ([rung(9)], {}, {"closed": [(BEGIN + 8, BEGIN + 10, "held")]}, ["while it is held"]),
        ([rung(9)], {}, {"opted_out": {ANNA: BEGIN + 5}}, ["after an opt-out"]),
        ([rung(9)], {}, {"opted_out": {ANNA: BEGIN + 8}, "closed": [(BEGIN, BEGIN + 9, "held")]}, []),
    ],
)
def test_the_audit_finds_what_is_wrong_with_calls(
    calls: list[Call], plan: dict[str, Any], events: dict[str, Any], found: list[str]
) -> None:
    given = with_defaults({"audience": {}, "retry": RETRY, **plan})
    told = violations_of_calls(ANNA, calls, given, Events(**events), lambda sid: sid == "acknowledged")
    assert [one.partition(":")[0] for one in told] == found


@pytest.mark.parametrize(
    ("people", "wrong"),
    [
        ([{"total": 0}, {"total": 2, "pending": 2}, {"total": 3, "pending": 1, "reached": 2}], 0),
        ([{"total": 3, "pending": 2}], 1),
        ([{"total": 4, "pending": 4}], 1),
        ([{"total": 3, "pending": 3}, {"total": 2, "pending": 2}], 1),
    ],
)
def test_the_looks_find_people_who_are_counted_wrong(people: list[dict[str, int]], wrong: int) -> None:
    looks = Looks(audience=3)
    for one in people:
        looks.add(one)
    assert len(looks.wrong) == wrong


@pytest.mark.parametrize("seed", range(6, 66, 6))
def test_a_window_closes_soon_for_one_minute(seed: int) -> None:
    plan = with_defaults(Alert.of(seed).plan_at(NOON + timedelta(seconds=50)))
    closes = next_minute(NOON + timedelta(seconds=54))
    assert closes == NOON + timedelta(minutes=1)
    inside = [is_inside(plan["window"], closes + timedelta(seconds=seconds)) for seconds in (-10, -1, 0, 59, 60, 600)]
    assert inside == [True, True, False, False, True, True]
