"""What became of a person in a callout: the outcomes and reasons of participations, and the marks that lead to them.

A call and its participation are two documents, and nothing changes both in one write. So whatever may change an
outcome leaves a mark in the same write: on the call, or on the participation. Who finds a mark works out the outcome
of that participation, and removes the mark.
"""

from __future__ import annotations

import secrets
from enum import StrEnum
from typing import Final

from scfm.clock import now
from scfm.storage.index import Index
from scfm.storage.query import Document


class Outcome(StrEnum):
    """What became of a person, in the order in which statistics show it."""

    PENDING = "pending"
    CALLING = "calling"
    WAITING = "waiting"
    REACHED = "reached"
    ACKNOWLEDGED = "acknowledged"
    UNREACHED = "unreached"
    EXCLUDED = "excluded"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a person is ``unreached`` or ``excluded``; the last two are those of ``excluded``."""

    BUSY = "busy"
    NOT_ANSWERED = "not_answered"
    FAILED = "failed"
    ERRORED = "errored"
    INVALID_NUMBER = "invalid_number"
    FORBIDDEN = "forbidden"
    MACHINE = "machine"
    NOT_ACKNOWLEDGED = "not_acknowledged"
    CANCELED = "canceled"
    TOO_LATE = "too_late"
    STOPPED = "stopped"
    OPTED_OUT = "opted_out"
    DUPLICATE_NUMBER = "duplicate_number"


OUTCOMES: Final = tuple(outcome.value for outcome in Outcome)
REASONS: Final = tuple(reason.value for reason in Reason)
# Nothing more happens to them, unless somebody acts.
SETTLED: Final = (Outcome.REACHED, Outcome.ACKNOWLEDGED, Outcome.UNREACHED, Outcome.EXCLUDED, Outcome.UNKNOWN)

# On a participation or a phone call: something has happened that is not worked into the outcome yet.
MARK: Final = "_settle"
MARKED: Final[Document] = {MARK: {"$exists": True}}
MARK_INDEX: Final = Index(MARK, name="unsettled", only=MARKED)
# From when on the next attempt of a participation may be made; the ordinal of a call among those of its plan, and of
# the open or next call of a participation.
DUE, ATTEMPT_NUMBER = "_due", "_attempt"
# On a participation: when the person first acknowledged, and opted out, in a call.
ACKNOWLEDGED_AT, OPTED_OUT_AT = "_acknowledged", "_opted_out"

_CHANCE_BITS = 21


def new_mark() -> int:
    """A mark that no other write leaves on the same document. Marks grow with time: the oldest come first."""
    return int(now().timestamp() * 1000) << _CHANCE_BITS | secrets.randbits(_CHANCE_BITS)


def initial_fields() -> Document:
    """What a participation has, in the order in which it is shown, before anything happened."""
    return {
        "outcome": Outcome.PENDING.value,
        "outcome_reason": None,
        "attempts": 0,
        "next_attempt_at": None,
        "last_attempt_at": None,
        "answers": {},
    }
