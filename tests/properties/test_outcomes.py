"""Whatever has happened to a person: what is derived of it holds together, and a plan never does what it must not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scfm.models.call_lifecycle import CALL_STATUSES, FINAL, UNDER_WAY
from scfm.models.outcome import OPEN_OUTCOMES, OUTCOMES, REASONS, Outcome
from scfm.models.participation_outcome import PLAN_GOES_ON, derive
from scfm.models.plan import Plan, with_defaults
from scfm.storage.query import Document
from tests.workers.people import NOW, call, callout

SOME_TIME = st.integers(-3 * 24 * 60, 3 * 24 * 60).map(lambda minutes: NOW + timedelta(minutes=minutes))
WINDOWS = st.none() | st.fixed_dictionaries(
    {
        "time_zone": st.sampled_from(["UTC", "Asia/Phnom_Penh", "Asia/Kathmandu", "Europe/Berlin"]),
        "days": st.lists(st.sampled_from(["mon", "tue", "wed", "sun"]), min_size=1, unique=True),
        "from": st.sampled_from(["00:00", "07:00", "20:00"]),
        "to": st.sampled_from(["06:00", "21:30", "24:00"]),
        "except": st.sampled_from([[], ["2026-04-14"]]),
    }
)
REASONS_TO_RETRY = ["busy", "not_answered", "failed", "errored", "not_acknowledged"]


def written(moments: st.SearchStrategy[datetime]) -> st.SearchStrategy[str | None]:
    return st.none() | moments.map(datetime.isoformat)


PLANS = st.fixed_dictionaries(
    {"audience": st.just({})},
    optional={
        "retry": st.fixed_dictionaries(
            {"max_attempts": st.integers(1, 4), "delays": st.lists(st.integers(1, 10_000), min_size=1, max_size=3)},
            optional={"on": st.lists(st.sampled_from(REASONS_TO_RETRY), unique=True)},
        ),
        "window": WINDOWS,
        "starts_at": written(SOME_TIME),
        "not_after": written(SOME_TIME),
        "answering_machine": st.sampled_from(["play", "hang_up", "retry"]),
        "acknowledge": st.booleans(),
        "emergency": st.none() | st.just({"reason": "flood", "severity": "severe"}),
    },
).map(with_defaults)
CALLOUTS = st.builds(
    lambda status, plan: callout(status, plan=plan),
    st.sampled_from(["initialized", "running", "running", "paused", "stopped", "completed"]),
    st.none() | PLANS,
)


@st.composite
def calls_of_a_person(draw: st.DrawFn) -> list[Document]:
    """Calls with all that may be known of one, in no order; more than one may be open, as clients make some too."""
    made = []
    for number in range(1, draw(st.integers(0, 5)) + 1):
        fields: dict[str, Any] = {
            "remotely_queued_at": draw(st.none() | SOME_TIME),
            "remote_call_id": draw(st.sampled_from([None, "CA1"])),
            "answered_by": draw(st.sampled_from([None, "human", "machine_start", "unknown"])),
            "duration": draw(st.none() | st.integers(0, 90)),
        }
        for name, values in {
            "_canceled_for": ["stopped", "opted_out", "too_late", "renumbered", "request"],
            "_refusal": ["invalid_number", "forbidden"],
            "_may_have_rung": [True],
            "_person": [True],
        }.items():
            if draw(st.integers(0, 3)) == 0:
                fields[name] = draw(st.sampled_from(values))
        if draw(st.booleans()):
            fields["_attempt"] = number
        made.append({**call(number, draw(st.sampled_from(CALL_STATUSES)), **fields), "updated_at": draw(SOME_TIME)})
    return draw(st.permutations(made))


PEOPLE = st.fixed_dictionaries(
    {},
    optional={
        "_acknowledged": SOME_TIME,
        "_opted_out": SOME_TIME,
        "_number": st.sampled_from(["own", "taken"]),
        "_due": SOME_TIME,
    },
)


@given(PEOPLE, CALLOUTS, calls_of_a_person(), SOME_TIME)
def test_an_outcome_holds_together(
    participation: Document, of: Document, calls: list[Document], moment: datetime
) -> None:
    derived = derive(participation, of, calls, moment)
    outcome, reason, due = derived["outcome"], derived["outcome_reason"], derived["_due"]
    plan = Plan.of(of)
    assert outcome in OUTCOMES
    assert (reason is not None) == (outcome in (Outcome.UNREACHED, Outcome.EXCLUDED))
    assert reason is None or reason in REASONS
    assert 0 <= derived["attempts"] <= len(calls) == len(derived["_calls"])
    assert (derived["attempts"] > 0) >= (derived["last_attempt_at"] is not None)
    if any(one["status"] in UNDER_WAY for one in calls):
        assert due is None
        assert outcome in (Outcome.CALLING, Outcome.ACKNOWLEDGED, Outcome.EXCLUDED)
    if participation.get("_acknowledged"):
        assert outcome == Outcome.ACKNOWLEDGED
    elif participation.get("_opted_out"):
        assert (outcome, reason) == (Outcome.EXCLUDED, "opted_out")
    if due is None:
        assert derived["next_attempt_at"] is None
        return
    assert plan is not None and of["status"] in PLAN_GOES_ON and derived["_attempt"] is not None
    assert outcome in (Outcome.PENDING, Outcome.WAITING)
    assert derived["attempts"] < plan.retry.max_attempts
    assert due <= moment or plan.may_leave(due)
    assert plan.may_leave(max(due, moment))
    assert derived["next_attempt_at"] == (due if outcome == Outcome.WAITING or due > moment else None)


@given(PEOPLE, CALLOUTS, calls_of_a_person(), SOME_TIME)
def test_what_is_derived_twice_is_the_same_in_whatever_order_calls_come(
    participation: Document, of: Document, calls: list[Document], moment: datetime
) -> None:
    derived = derive(participation, of, calls, moment)
    assert derive({**participation, **derived}, of, calls[::-1], moment) == derived


@given(PEOPLE, CALLOUTS, calls_of_a_person(), SOME_TIME, st.integers(0, 10_000))
def test_time_alone_ends_only_what_a_plan_would_have_done(
    participation: Document, of: Document, calls: list[Document], moment: datetime, minutes: int
) -> None:
    later = moment + timedelta(minutes=minutes)
    before, after = (derive(participation, of, calls, one) for one in (moment, later))
    for name in ("attempts", "last_attempt_at", "_calls", "_first_attempt_at", "_duration"):
        assert before[name] == after[name]  # type: ignore[literal-required]
    if before["outcome"] != after["outcome"]:
        assert before["outcome"] in (Outcome.PENDING, Outcome.WAITING)
        assert after["outcome"] == Outcome.UNREACHED
    if before["_due"] is None:
        assert (before["outcome"], after["_due"]) == (after["outcome"], None)


@given(CALLOUTS, calls_of_a_person(), SOME_TIME)
def test_who_is_called_by_a_plan_that_goes_on_is_settled_or_will_be_called(
    of: Document, calls: list[Document], moment: datetime
) -> None:
    """Nobody is forgotten: who is open has a call that goes on, or a time at which it will be made."""
    derived = derive({}, of, calls, moment)
    if of["plan"] is not None and of["status"] in PLAN_GOES_ON and derived["outcome"] in OPEN_OUTCOMES:
        assert (derived["_due"] is not None) != any(one["status"] in UNDER_WAY for one in calls)
        assert derived["_attempt"] is not None
    if of["status"] == "completed" and of["plan"] is not None and all(one["status"] in FINAL for one in calls):
        assert derived["outcome"] not in OPEN_OUTCOMES
