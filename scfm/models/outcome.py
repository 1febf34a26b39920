"""What is kept for the outcome of a person in a callout: the words for it, and the marks that lead to it.

A call and its participation are two documents, and nothing changes both in one write. So whatever may change an
outcome leaves a mark in the same write: on the call, or on the participation. Workers (``outcome_keeper``) derive the
outcomes of what is marked (``participation_outcome``), store them, and remove the marks.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from scfm.clock import now
from scfm.models.stored_documents import PARTICIPATIONS
from scfm.providers.refusals import Refusal
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView


class Outcome(StrEnum):
    """What became of a person, in the order in which it may happen."""

    PENDING = "pending"
    CALLING = "calling"
    WAITING = "waiting"
    REACHED = "reached"
    ACKNOWLEDGED = "acknowledged"
    UNREACHED = "unreached"
    EXCLUDED = "excluded"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why somebody is ``unreached``, or, of the last two, ``excluded``: what a participation shows."""

    BUSY = "busy"
    NOT_ANSWERED = "not_answered"
    FAILED = "failed"
    ERRORED = "errored"
    INVALID_NUMBER = Refusal.INVALID_NUMBER.value
    FORBIDDEN = Refusal.FORBIDDEN.value
    MACHINE = "machine"
    NOT_ACKNOWLEDGED = "not_acknowledged"
    CANCELED = "canceled"
    TOO_LATE = "too_late"
    STOPPED = "stopped"
    OPTED_OUT = "opted_out"
    DUPLICATE_NUMBER = "duplicate_number"


OUTCOMES = tuple(outcome.value for outcome in Outcome)
REASONS = tuple(reason.value for reason in Reason)
# Those of somebody who will be called, or may be, or is.
OPEN_OUTCOMES = (Outcome.PENDING.value, Outcome.CALLING.value, Outcome.WAITING.value)

# On a participation or a phone call: something has happened that is not worked into the outcome yet.
MARK: Final = "_settle"
MARKED: Final[Document] = {MARK: {"$exists": True}}
MARK_INDEX: Final = Index(MARK, name="unsettled", only=MARKED)
# From when on the next attempt of a participation may be made; the ordinal of a call among those of its plan, and of
# the open or next call of a participation.
ATTEMPT_DUE: Final = "_due"
ATTEMPT_NUMBER: Final = "_attempt"
# On a participation: when the person first acknowledged, and opted out, in a call or by an opt-out of the account.
ACKNOWLEDGED_AT: Final = "_acknowledged"
OPTED_OUT_AT: Final = "_opted_out"
# On a participation, for statistics: when its first call left, and its calls (``CallFigures``).
FIRST_ATTEMPT_AT: Final = "_first_attempt_at"
CALL_FIGURES: Final = "_calls"
# Which derivation of its outcome a participation has: a number that each gives anew, for a compare-and-set.
OUTCOME_VERSION: Final = "_outcome_version"

_CHANCE_BITS = 20
# This bit of a mark says that no other document has the same.
ONE_ONLY: Final = 1


def new_mark() -> int:
    """A mark that no other write leaves, on one document or on many. Marks grow with time: the oldest come first."""
    milliseconds = int(now().timestamp() * 1000)
    return (milliseconds << _CHANCE_BITS | secrets.randbits(_CHANCE_BITS)) << 1


def marked_at(mark: int) -> datetime:
    """When a mark was made."""
    return datetime.fromtimestamp((mark >> 1 >> _CHANCE_BITS) / 1000, UTC)


def mark_of(call: Mapping[str, Any]) -> Document:
    """A new mark of one call, by its field; none of a call without a participation, which has no outcome."""
    return {} if call.get("callout_participation_id", 0) is None else {MARK: new_mark() | ONE_ONLY}


async def mark_participation(view: TenantView, deleted_call: Document) -> None:
    """Mark the participation of a call that has just been deleted: it has one less.

    A process that dies before leaves that to the repair of outcomes at the next start.
    """
    if (participation_id := deleted_call.get("callout_participation_id")) is not None:
        await view.update_one(PARTICIPATIONS, {"_id": participation_id}, {"$set": {MARK: new_mark()}})
