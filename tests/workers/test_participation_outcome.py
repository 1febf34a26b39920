"""What became of a person, as participation, callout and calls tell."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from scfm.models.participation_outcome import DerivedOutcome, derive
from scfm.storage.query import Document
from tests.workers.people import MINUTE, NOW, REJECTED, SENT, call, callout, plan

PLANNED = callout(plan=plan())
LATER = NOW + MINUTE


def told(
    *calls: Document, of: Document | None = None, at: datetime = LATER, **participation: Any
) -> tuple[str, str | None]:
    """The outcome and its reason; OF is the callout, one without a plan unless told."""
    derived = derive(participation, of or callout(), calls, at)
    return derived["outcome"], derived["outcome_reason"]


def when(derived: DerivedOutcome) -> tuple[datetime | None, datetime | None]:
    """When the next attempt is due, and what is shown of that."""
    return derived["_due"], derived["next_attempt_at"]


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (call(status="created"), ("pending", None)),
        (call(status="queued"), ("calling", None)),
        (call(status="remotely_queued", **SENT), ("calling", None)),
        (call(status="in_progress", **SENT), ("calling", None)),
        (call(status="remote_fetch_queued", **SENT), ("calling", None)),
        (call(status="completed", **SENT), ("reached", None)),
        (call(status="completed", answered_by="human", **SENT), ("reached", None)),
        (call(status="completed", answered_by="unknown", **SENT), ("reached", None)),
        (call(status="completed", answered_by="machine_start", **SENT), ("unreached", "machine")),
        (call(status="completed", answered_by="fax", **SENT), ("unreached", "machine")),
        (call(status="completed", answered_by="machine_start", _person=True, **SENT), ("reached", None)),
        (call(status="busy", **SENT), ("unreached", "busy")),
        (call(status="not_answered", **SENT), ("unreached", "not_answered")),
        (call(status="failed", **SENT), ("unreached", "failed")),
        (call(status="failed", _refusal="invalid_number", **SENT), ("unreached", "invalid_number")),
        (call(**REJECTED), ("unreached", "errored")),
        (call(**REJECTED, _refusal="forbidden"), ("unreached", "forbidden")),
        (call(**REJECTED, _may_have_rung=True), ("unknown", None)),
        (call(status="canceled", **SENT), ("unreached", "canceled")),
        (call(status="canceled", _canceled_for="request"), ("unreached", "canceled")),
        (call(status="canceled", _canceled_for="stopped"), ("pending", None)),
        (call(status="canceled", _canceled_for="opted_out"), ("excluded", "opted_out")),
        (call(status="canceled"), ("pending", None)),
    ],
    ids=str,
)
def test_of_somebody_without_a_plan_the_last_call_tells(ended: Document, expected: tuple[str, str | None]) -> None:
    assert told(ended) == expected
    assert told(call(0, "busy", **SENT), ended)[0] in (expected[0], "unreached")
    derived = derive({}, callout(), [ended], LATER)
    assert (derived["_due"], derived["_attempt"], derived["next_attempt_at"]) == (None, None, None)


def test_who_was_reached_once_stays_reached_and_a_late_report_corrects() -> None:
    assert told(call(1, "completed", **SENT), call(2, "busy", **SENT)) == ("reached", None)
    assert told(call(1, "completed", **SENT), call(2, "queued")) == ("calling", None)
    assert told(call(1, "errored", **{**SENT, "_may_have_rung": True}), call(2, "busy", **SENT)) == (
        "unreached",
        "busy",
    )
    assert told(call(1, "completed", _may_have_rung=True, **SENT)) == ("reached", None)


def test_acknowledging_is_above_all_and_opting_out_above_the_rest() -> None:
    busy = call(1, "busy", **SENT)
    assert told(busy, _acknowledged=NOW, _opted_out=NOW) == ("acknowledged", None)
    assert told(call(), _acknowledged=NOW) == ("acknowledged", None)
    assert told(_acknowledged=NOW, of=callout("stopped", plan=plan())) == ("acknowledged", None)
    assert told(busy, _opted_out=NOW) == ("excluded", "opted_out")
    assert told(busy, _opted_out=NOW, of=PLANNED) == ("excluded", "opted_out")
    assert derive({"_opted_out": NOW}, PLANNED, [busy], LATER)["_due"] is None


def test_whose_number_is_another_participations_is_excluded_unless_they_were_called() -> None:
    assert told(_number="taken") == ("excluded", "duplicate_number")
    assert told(_number="taken", of=PLANNED) == ("excluded", "duplicate_number")
    assert told(call(status="canceled", _canceled_for="renumbered"), _number="taken") == (
        "excluded",
        "duplicate_number",
    )
    assert told(call(status="busy", **SENT), _number="taken", of=PLANNED) == ("unreached", "busy")
    assert told(_number="own") == ("pending", None)


def test_attempts_are_calls_that_left() -> None:
    calls = [
        call(1, "busy", remotely_queued_at=NOW, remote_call_id="CA1"),
        call(2, "canceled", _canceled_for="stopped"),
        call(3, "errored", remotely_queued_at=NOW + 2 * MINUTE),
        call(4, "in_progress", remote_call_id="CA4"),
        call(5, "created"),
    ]
    derived = derive({}, callout(), calls[::-1], NOW)
    assert (derived["attempts"], derived["_first_attempt_at"], derived["last_attempt_at"]) == (
        3,
        NOW,
        NOW + 2 * MINUTE,
    )


def test_the_figures_of_calls_have_one_for_each() -> None:
    second = timedelta(seconds=42)
    calls = [
        call(2, "errored", remotely_queued_at=NOW),
        call(1, "completed", duration=31, remotely_queued_at=NOW + second, remote_call_id="CA1"),
        call(3, "created"),
    ]
    derived = derive({}, callout(), calls, NOW)
    assert derived["_calls"] == [
        {"status": "completed", "placed": NOW, "answered": True, "duration": 31},
        {"status": "errored", "placed": None, "answered": False, "duration": None},
        {"status": "created", "placed": None, "answered": False, "duration": None},
    ]
    assert derived["_duration"] == 31


def test_somebody_whom_the_plan_has_not_called_is_due_as_soon_as_it_may() -> None:
    derived = derive({}, PLANNED, [], NOW)
    assert (derived["outcome"], derived["_attempt"], *when(derived)) == ("pending", 1, NOW, None)
    assert derive({"_due": NOW - MINUTE}, PLANNED, [], NOW)["_due"] == NOW - MINUTE
    starts = callout(plan=plan(starts_at="2026-04-14T05:00:00+01:00"))
    assert when(derive({}, starts, [], NOW)) == (NOW + 60 * MINUTE, NOW + 60 * MINUTE)
    window = {"time_zone": "Asia/Phnom_Penh", "days": ["tue"], "from": "11:00", "to": "12:00", "except": []}
    closed = callout(plan=plan(window=window))
    assert when(derive({}, closed, [], NOW)) == (NOW + 60 * MINUTE, NOW + 60 * MINUTE)
    emergency = callout(plan=plan(window=window, emergency={"reason": "flood", "severity": "extreme"}))
    assert when(derive({}, emergency, [], NOW)) == (NOW, None)
    assert when(derive({}, callout("paused", plan=plan()), [], NOW)) == (NOW, None)
    assert when(derive({}, callout("initialized", plan=plan()), [], NOW)) == (None, None)


def test_whom_the_plan_never_called_is_stopped_or_too_late() -> None:
    stopped = callout("stopped", plan=plan())
    assert told(of=stopped) == ("unreached", "stopped")
    assert told(call(status="canceled", _canceled_for="stopped"), of=stopped) == ("unreached", "stopped")
    over = callout(plan=plan(not_after="2026-04-14T03:00:00Z"))
    assert told(of=over, at=NOW) == ("pending", None)
    assert told(of=over) == ("unreached", "too_late")
    assert told(call(status="canceled", _canceled_for="too_late"), of=over) == ("unreached", "too_late")
    assert told(call(status="busy", **SENT), of=over) == ("unreached", "busy")
    assert told(of=callout("stopped")) == ("pending", None)


def test_whom_a_completed_plan_has_not_called_stays_too_late() -> None:
    completed = callout("completed", plan=plan(not_after=(NOW - MINUTE).isoformat()))
    assert told(of=completed) == ("unreached", "too_late")
    assert told(call(status="canceled", _canceled_for="too_late"), of=completed) == ("unreached", "too_late")


def test_a_retry_is_due_a_delay_after_the_end_of_the_attempt() -> None:
    first, second = call(1, "busy", **SENT, _attempt=1), call(2, "failed", **SENT, _attempt=2)
    derived = derive({}, PLANNED, [first], LATER)
    assert (derived["outcome"], derived["outcome_reason"], derived["_attempt"]) == ("waiting", None, 2)
    assert when(derived) == (NOW + 5 * MINUTE, NOW + 5 * MINUTE)
    assert when(derive({}, PLANNED, [first, second], LATER)) == (NOW + 15 * MINUTE, NOW + 15 * MINUTE)
    # It stays what it is shown to be when its time has come.
    assert when(derive({}, PLANNED, [first], NOW + 60 * MINUTE)) == (NOW + 5 * MINUTE, NOW + 5 * MINUTE)
    third = call(3, "busy", **SENT, _attempt=3)
    assert told(first, second, third, of=PLANNED) == ("unreached", "busy")
    assert told(first, of=callout("stopped", plan=plan())) == ("unreached", "busy")
    assert told(first, of=callout("completed", plan=plan())) == ("unreached", "busy")


def test_an_older_call_ended_when_it_was_changed_last() -> None:
    older = call(1, "busy", **SENT)
    del older["_ended"]
    assert derive({}, PLANNED, [older], LATER)["_due"] == NOW + 5 * MINUTE


def test_a_retry_moves_into_the_window_and_not_beyond_the_end() -> None:
    window = {"time_zone": "UTC", "days": ["tue", "wed"], "from": "02:00", "to": "03:03", "except": []}
    evening = callout(plan=plan(window=window))
    busy = call(1, "busy", **SENT)
    next_day = datetime(2026, 4, 15, 2, 0, tzinfo=NOW.tzinfo)
    assert when(derive({}, evening, [busy], LATER)) == (next_day, next_day)
    until = callout(plan=plan(window=window, not_after="2026-04-15T01:59:00Z"))
    assert told(busy, of=until) == ("unreached", "busy")


@pytest.mark.parametrize(
    ("ended", "changed", "retried"),
    [
        ({"status": "busy"}, {}, True),
        ({"status": "not_answered"}, {}, True),
        ({"status": "failed"}, {}, True),
        ({"status": "errored"}, {}, False),
        ({"status": "errored"}, {"retry": {"max_attempts": 2, "on": ["errored"]}}, True),
        ({"status": "busy"}, {"retry": {"max_attempts": 2, "on": ["failed"]}}, False),
        ({"status": "busy"}, {"retry": {"max_attempts": 1}}, False),
        ({"status": "failed", "_refusal": "invalid_number"}, {}, False),
        ({"status": "errored", "_refusal": "forbidden"}, {"retry": {"max_attempts": 9, "on": ["errored"]}}, False),
        ({"status": "errored", "_may_have_rung": True}, {"retry": {"max_attempts": 9, "on": ["errored"]}}, False),
        ({"status": "canceled"}, {}, False),
        ({"status": "canceled", "_canceled_for": "stopped"}, {}, True),
        ({"status": "completed", "answered_by": "machine_start"}, {}, False),
        ({"status": "completed", "answered_by": "machine_start"}, {"answering_machine": "retry"}, True),
        (
            {"status": "completed", "answered_by": "machine_start", "_person": True},
            {"answering_machine": "retry"},
            False,
        ),
        ({"status": "completed"}, {"acknowledge": True}, False),
        (
            {"status": "completed"},
            {"acknowledge": True, "retry": {"max_attempts": 2, "on": ["not_acknowledged"]}},
            True,
        ),
        ({"status": "completed"}, {"retry": {"max_attempts": 2, "on": ["not_acknowledged"]}}, False),
    ],
    ids=str,
)
def test_what_is_retried(ended: dict[str, Any], changed: dict[str, Any], retried: bool) -> None:
    derived = derive({}, callout(plan=plan(**changed)), [call(1, **{**SENT, **ended})], LATER)
    assert (derived["outcome"] == "waiting") is retried
    assert (derived["_due"] is not None) is retried


def test_who_did_not_acknowledge_is_unreached_for_the_last_attempts_reason() -> None:
    asks = callout(plan=plan(acknowledge=True))
    answered, busy = call(1, "completed", **SENT), call(2, "busy", **SENT)
    assert told(answered, of=asks) == ("unreached", "not_acknowledged")
    assert told(answered, busy, of=asks)[0] == "waiting"
    assert told(answered, busy, of=callout("stopped", plan=plan(acknowledge=True))) == ("unreached", "busy")
    assert told(answered, busy, of=PLANNED) == ("reached", None)


def test_a_call_made_by_hand_counts_and_the_plan_waits_for_it() -> None:
    by_hand = call(1, "in_progress", **SENT)
    derived = derive({}, PLANNED, [by_hand], LATER)
    assert (derived["outcome"], derived["_due"], derived["_attempt"]) == ("calling", None, 1)
    ended = derive({}, PLANNED, [{**by_hand, "status": "busy", "_ended": NOW}], LATER)
    assert (ended["outcome"], ended["attempts"], ended["_attempt"]) == ("waiting", 1, 1)
    # A call of the plan is open: the attempt is the one that goes on.
    assert derive({}, PLANNED, [call(2, "queued", _attempt=2)], LATER)["_attempt"] == 2


def test_a_new_call_that_is_not_queued_changes_nothing_yet() -> None:
    assert told(call(1, "busy", **SENT), call(2, "created")) == ("unreached", "busy")
    assert told(call(1, "created"), of=PLANNED) == ("pending", None)
