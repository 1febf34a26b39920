"""The statistics of a callout: how many people have each outcome, how its calls went, and when it may end.

They are counted from its participations, which hold what statistics need of their calls: see ``block_tallies``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, TypedDict

from scfm.clock import iso
from scfm.models.call_lifecycle import CALL_STATUSES
from scfm.models.callout_run import started_at
from scfm.models.outcome import REASONS, Outcome
from scfm.models.plan_pace import Pace
from scfm.models.stored_documents import CalloutDocument
from scfm.results.expected_end import Progress, expected_end
from scfm.results.limits import limited_by
from scfm.results.people import OUTCOME_OF, People, counted, people_in, people_query
from scfm.storage.block_tallies import Tallied, Tally, TallyKey
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

MAX_MINUTES: Final = 120


class Health(TypedDict):
    """How the provider and its webhooks do, for one account.

    ``provider``: ``ok``, ``failing`` (it does not answer), ``refusing`` (the account) or ``held`` (calls are held
    back); ``provider_last_at``: when it last answered; ``webhook_last_at``: when its last webhook came.
    """

    provider: str
    provider_last_at: str | None
    webhook_last_at: str | None


class CalloutStatistics(TypedDict):
    """The statistics of a callout as clients see them, in their order.

    ``reasons``: of people unreached or excluded; ``attempts``: people by their number of attempts;
    ``calls_per_minute``: minute, calls placed, and those of them answered, of the last MAX_MINUTES with calls.
    """

    people: People
    reasons: dict[str, int]
    calls: dict[str, int]
    attempts: dict[str, int]
    talk_seconds: int
    started_at: str | None
    first_attempt_at: str | None
    last_attempt_at: str | None
    completed_at: str | None
    expected_end_at: str | None
    calls_per_minute: list[tuple[str | None, int, int]]
    limited_by: str | None
    health: Health


def _read(group: Document) -> Iterator[tuple[TallyKey, int]]:
    """A group of participations alike, or, beyond the first of each, of their calls alike, as counts."""
    yield ("people", group["outcome"], group["reason"], group["attempts"]), group["people"]
    if group["status"] is None:
        return
    yield ("calls", group["status"]), group["calls"]
    yield ("talk_seconds",), group["seconds"]
    if group["placed"] is not None:
        yield ("placed", group["placed"]), group["calls"]
        if group["answered"]:
            yield ("answered", group["placed"]), group["calls"]


def optional(name: str, default: Any = None) -> Document:
    """The expression of a field that participations of older versions may lack."""
    return {"$ifNull": [f"${name}", default]}


# One document for each call of a participation, or one without, of which the first stands for the person.
CALLS_OF_PEOPLE: Final[Document] = {
    "$unwind": {"path": "$_calls", "includeArrayIndex": "_call", "preserveNullAndEmptyArrays": True}
}
ONE_A_PERSON: Final[Document] = {"$sum": {"$cond": [{"$gt": ["$_call", 0]}, 0, 1]}}

CALLOUT_TALLY: Final = Tally(
    name="callout",
    index={"callout_id": 1, "_id": 1},
    stages=(CALLS_OF_PEOPLE,),
    by={
        "outcome": OUTCOME_OF,
        "reason": optional("outcome_reason"),
        "attempts": optional("attempts", 0),
        "status": optional("_calls.status"),
        "placed": optional("_calls.placed"),
        "answered": optional("_calls.answered", False),
    },
    values={
        "people": ONE_A_PERSON,
        "calls": {"$sum": 1},
        "seconds": {"$sum": "$_calls.duration"},
        "first": {"$min": "$_first_attempt_at"},
        "last": {"$max": "$last_attempt_at"},
    },
    read=_read,
)


async def people_of(view: TenantView, callout_id: int) -> People:
    """The people of a callout, as they are now. Raises Unavailable."""
    return people_in(await view.list_of(people_query(callout_id)).tallied(CALLOUT_TALLY))


def statistics_of(
    callout: CalloutDocument, tallied: Tallied, moment: datetime, pace: Pace, health: Health
) -> CalloutStatistics:
    """The statistics at MOMENT of a callout as it is stored, with what CALLOUT_TALLY has found.

    PACE is how fast its calls may leave, if nothing else is called.
    """
    counts = tallied.counts
    reasons, attempts = Counter[str](), Counter[int]()
    for (outcome, reason, number), count in counted(counts, "people"):
        attempts[number] += count
        if reason is not None and outcome in (Outcome.UNREACHED, Outcome.EXCLUDED):
            reasons[reason] += count
    minutes = sorted(minute for (minute,), _ in counted(counts, "placed"))[-MAX_MINUTES:]
    return CalloutStatistics(
        people=people_in(tallied),
        reasons={reason: reasons[reason] for reason in REASONS if reason in reasons},
        calls={status: counts[("calls", status)] for status in CALL_STATUSES},
        attempts={str(number): attempts[number] for number in range(max(attempts, default=0) + 1)},
        talk_seconds=counts[("talk_seconds",)],
        started_at=iso(started_at(callout)),
        first_attempt_at=iso(tallied.first),
        last_attempt_at=iso(tallied.last),
        completed_at=iso(callout.get("completed_at")),
        expected_end_at=iso(expected_end(callout, Progress.of(tallied, pace, moment), moment)),
        calls_per_minute=[
            (iso(minute), counts[("placed", minute)], counts[("answered", minute)]) for minute in minutes
        ],
        limited_by=limited_by(callout, tallied, health["provider"], moment, pace.limited_by),
        health=health,
    )
