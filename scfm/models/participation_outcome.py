"""What became of a person, as a participation, its callout and its calls tell at a moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, TypedDict

from scfm.models.call_endings import answered_by_machine, unreached_reason
from scfm.models.call_lifecycle import FINAL, UNDER_WAY, CallStatus
from scfm.models.call_work import CANCELED_FOR, ENDED_AT, MAY_HAVE_RUNG_FIELD, PERSON, REFUSAL
from scfm.models.callout_status import COMPLETED
from scfm.models.erased import ERASED
from scfm.models.outcome import (
    ACKNOWLEDGED_AT,
    ATTEMPT_DUE,
    ATTEMPT_NUMBER,
    OPTED_OUT_AT,
    Outcome,
    Reason,
)
from scfm.models.plan import Plan
from scfm.models.renumbering import MSISDN_KIND, SET_ASIDE
from scfm.models.stored_documents import CallFigures, CalloutDocument, ParticipationDocument, PhoneCallDocument

# What ``derive`` reads of a participation (besides what it derives), of a call and of a callout.
PARTICIPATION_FIELDS = ("callout_id", MSISDN_KIND, ACKNOWLEDGED_AT, OPTED_OUT_AT, ERASED)
CALL_FIELDS = (
    "callout_participation_id",
    "status",
    "remote_call_id",
    "remotely_queued_at",
    "updated_at",
    "answered_by",
    "duration",
    ATTEMPT_NUMBER,
    CANCELED_FOR,
    ENDED_AT,
    MAY_HAVE_RUNG_FIELD,
    PERSON,
    REFUSAL,
)
CALLOUT_FIELDS = ("status", "plan")
# The statuses of a callout in which its plan goes on, or would.
PLAN_GOES_ON = ("running", "paused")
# What ``_canceled_for`` says of a call that a client has canceled, and of one that went with its callout.
CANCELED_BY_REQUEST, CANCELED_BY_STOP = "request", "stopped"


class DerivedOutcome(TypedDict):
    """What is derived of a participation, as it is stored; those that begin with ``_`` are not shown.

    ``_due``: from when on its plan may call the person next, null where it does not. ``_attempt``: the ordinal, from
    1, of the plan's open or next call, null without one. ``_first_attempt_at``: when the first call left.
    ``_duration``: the seconds of the last call that was answered.
    """

    outcome: str
    outcome_reason: str | None
    attempts: int
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    _due: datetime | None
    _attempt: int | None
    _first_attempt_at: datetime | None
    _duration: int | None
    _calls: list[CallFigures]


class _Verdict(NamedTuple):
    outcome: Outcome
    reason: Reason | None = None
    due: datetime | None = None


def derive(
    participation: ParticipationDocument,
    callout: CalloutDocument,
    calls: Sequence[PhoneCallDocument],
    moment: datetime,
) -> DerivedOutcome:
    """What became of the person of a participation at MOMENT; CALLS are all that it has, in any order.

    The same documents at a later moment give the same, but for what the time does to a plan: an attempt that was in
    the future is due, and after ``not_after`` none is made.
    """
    calls = sorted(calls, key=lambda call: int(call["_id"]))
    plan = Plan.of(callout)
    attempts = sum(map(has_left, calls))
    outcome, reason, due = _verdict(participation, callout["status"], plan, calls, attempts, moment)
    left_at = [call["remotely_queued_at"] for call in calls if call["remotely_queued_at"] is not None]
    answered = [call for call in calls if call["status"] == CallStatus.COMPLETED]
    shown_due = outcome == Outcome.WAITING or (due is not None and due > moment)
    return {
        "outcome": outcome.value,
        "outcome_reason": None if reason is None else reason.value,
        "attempts": attempts,
        "next_attempt_at": due if shown_due else None,
        "last_attempt_at": max(left_at, default=None),
        "_due": due,
        "_attempt": _ordinal(calls) if plan and (due is not None or outcome == Outcome.CALLING) else None,
        "_first_attempt_at": min(left_at, default=None),
        "_duration": answered[-1].get("duration") if answered else None,
        "_calls": [_figures(call) for call in calls],
    }


def has_left(call: PhoneCallDocument) -> bool:
    """Whether a call counts as an attempt: the provider has it or had it, or has refused it.

    A report may tell of it before the answer to its request has come.
    """
    return call["remotely_queued_at"] is not None or call["remote_call_id"] is not None


def _verdict(
    participation: ParticipationDocument,
    callout_status: str,
    plan: Plan | None,
    calls: Sequence[PhoneCallDocument],
    attempts: int,
    moment: datetime,
) -> _Verdict:
    over = [call for call in calls if call["status"] in FINAL]
    if (outcome := _whatever_else(participation, calls, over)) is not None:
        return _Verdict(outcome, Reason.OPTED_OUT if outcome == Outcome.EXCLUDED else None)
    aside = participation.get(MSISDN_KIND) == SET_ASIDE
    erased = bool(participation.get(ERASED))
    goes_on = plan if callout_status in PLAN_GOES_ON and not aside and not erased else None
    counted = [call for call in over if has_left(call) or call.get(CANCELED_FOR) == CANCELED_BY_REQUEST]
    if counted:
        acknowledge = plan is not None and plan.acknowledge
        return _called(counted, goes_on, attempts, moment, acknowledge=acknowledge)
    if aside:
        return _Verdict(Outcome.EXCLUDED, Reason.DUPLICATE_NUMBER)
    if erased and plan is not None and callout_status in PLAN_GOES_ON:  # it was stopped once, and goes on without it
        return _Verdict(Outcome.UNREACHED, Reason.STOPPED)
    return _uncalled(participation, callout_status, plan, moment)


def _whatever_else(
    participation: ParticipationDocument, calls: Sequence[PhoneCallDocument], over: Sequence[PhoneCallDocument]
) -> Outcome | None:
    """What holds whatever else is known; OVER are those of the CALLS that are."""
    if participation.get(ACKNOWLEDGED_AT) is not None:
        return Outcome.ACKNOWLEDGED
    if participation.get(OPTED_OUT_AT) is not None:
        return Outcome.EXCLUDED
    if any(call["status"] in UNDER_WAY for call in calls):
        return Outcome.CALLING
    if over and over[-1].get(CANCELED_FOR) == "opted_out":
        return Outcome.EXCLUDED
    return None


def _called(
    calls: Sequence[PhoneCallDocument], plan: Plan | None, attempts: int, moment: datetime, *, acknowledge: bool
) -> _Verdict:
    """Of somebody whose CALLS are over; PLAN is the one that goes on."""
    if not acknowledge and any(
        one["status"] == CallStatus.COMPLETED and not answered_by_machine(one) for one in calls
    ):
        return _Verdict(Outcome.REACHED)
    last = calls[-1]
    if last["status"] == CallStatus.ERRORED and last.get(MAY_HAVE_RUNG_FIELD):
        return _Verdict(Outcome.UNKNOWN)
    reason = _reason(last)
    due = _retry_at(plan, last, reason, attempts, moment) if plan else None
    if due is not None:
        return _Verdict(Outcome.WAITING, None, due)
    return _Verdict(Outcome.UNREACHED, reason)


def _uncalled(
    participation: ParticipationDocument, callout_status: str, plan: Plan | None, moment: datetime
) -> _Verdict:
    """Of somebody of whom no call has left."""
    if plan is None or callout_status == "initialized":
        return _Verdict(Outcome.PENDING)
    if callout_status == COMPLETED:  # it ends when everybody is settled: of those whom it has not called, by time
        return _Verdict(Outcome.UNREACHED, Reason.TOO_LATE)
    if callout_status not in PLAN_GOES_ON:
        return _Verdict(Outcome.UNREACHED, Reason.STOPPED)
    possible = plan.next_moment(moment)
    if possible is None:
        return _Verdict(Outcome.UNREACHED, Reason.TOO_LATE)
    if possible > moment:
        return _Verdict(Outcome.PENDING, None, possible)
    known = participation.get(ATTEMPT_DUE)
    return _Verdict(Outcome.PENDING, None, moment if known is None else min(known, moment))


def _reason(call: PhoneCallDocument) -> Reason:
    """Why a call that is over has not reached the person."""
    if call["status"] == CallStatus.COMPLETED:
        return Reason.MACHINE if answered_by_machine(call) else Reason.NOT_ACKNOWLEDGED
    return Reason(unreached_reason(call))


def _retry_at(
    plan: Plan, last: PhoneCallDocument, reason: Reason, attempts: int, moment: datetime
) -> datetime | None:
    """When the person is called again after the LAST call; None where that is not wanted, or not possible."""
    if attempts >= plan.retry.max_attempts:
        return None
    wanted = (
        reason in plan.retry.on
        or (reason == Reason.MACHINE and plan.answering_machine == "retry")
        # It was ended by a stop of the callout, which goes on now.
        or (reason == Reason.CANCELED and last.get(CANCELED_FOR) == CANCELED_BY_STOP)
    )
    if not wanted:
        return None
    ended: datetime = last.get(ENDED_AT) or last["updated_at"]
    wished = ended + plan.retry.delay_after(max(attempts, 1))
    possible = plan.next_moment(max(wished, moment))
    return wished if possible is not None and possible <= moment else possible


def _ordinal(calls: Sequence[PhoneCallDocument]) -> int:
    """That of the plan's open call, else that of its next."""
    numbered = [call for call in calls if call.get(ATTEMPT_NUMBER) is not None]
    highest = max((int(call[ATTEMPT_NUMBER]) for call in numbered), default=0)
    return highest if any(call["status"] in UNDER_WAY for call in numbered) else highest + 1


def _figures(call: PhoneCallDocument) -> CallFigures:
    accepted = call["remotely_queued_at"] if call["remote_call_id"] is not None else None
    return {
        "status": str(call["status"]),
        "placed": None if accepted is None else accepted.replace(second=0, microsecond=0),
        "answered": call["status"] == CallStatus.COMPLETED,
        "duration": call.get("duration"),
    }
