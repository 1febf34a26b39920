"""What the background knows of a phone call: ``_work``, which is never shown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, TypedDict

from scfm.clock import now
from scfm.storage.index import Index
from scfm.storage.query import Document


class Attempt(TypedDict):
    """One claim of calls to be sent: stored before their requests leave.

    ``id`` is shared by the calls that are claimed together, ``at`` is when, and ``log`` the id of the send journal of
    the process that has them, None where nothing on a disk can tell whether they left.
    """

    id: str
    at: datetime
    log: str | None


class CallWork(TypedDict, total=False):
    """What the background knows of a call: ``_work``. Either ``due``, ``lease`` or ``held`` is there.

    ``due``: from when on anyone may claim it. ``tries``: how often it was claimed and did not leave.
    ``lease``: until when somebody has it, and ``attempt``: that it is about to be sent or has been. ``held``: its
    callout is paused. Of a call of which it is not known whether it left: ``reason``, why not; ``settling``, that it
    is being found out; ``asked``, how often the provider did not list it; ``failures``, how often that broke.
    """

    due: datetime
    tries: int
    lease: datetime
    attempt: Attempt
    held: bool
    reason: str
    settling: bool
    asked: int
    failures: int


class HangUp(TypedDict, total=False):
    """A wish that a call, or several, end. ``due``: from when on anyone may carry it out; ``tries``: how often.

    Of a call that the provider has been asked to end, only when: ``asked``.
    """

    due: datetime
    tries: int
    asked: datetime


# The same as paths of a condition, an update or an index.
WORK: Final = "_work"
DUE, LEASE, HELD, TRIES = "_work.due", "_work.lease", "_work.held", "_work.tries"
ATTEMPT, ATTEMPT_ID, ATTEMPT_LOG = "_work.attempt", "_work.attempt.id", "_work.attempt.log"
ATTEMPT_AT = "_work.attempt.at"
REASON, SETTLING, ASKED, FAILURES = "_work.reason", "_work.settling", "_work.asked", "_work.failures"
# Where a call waits among its account's: the lane of its callout, if that has limits of its own, and its rank, which
# is lower for a higher priority. See ``queue_place``; calls that an older version has queued have neither.
LANE: Final = "_lane"
RANK: Final = "_rank"
# When to ask the provider how a call ended; the status from which it was queued to be asked about; and the number of
# the last report.
CHECK: Final = "_check"
FETCH_FROM: Final = "_fetch_from"
SEQUENCE: Final = "_sequence"
# That the provider refused the number, and how (``Refusal``); and that a key was pressed, so a person was there.
REFUSAL: Final = "_refusal"
PERSON: Final = "_person"
# Why a call was canceled before it left, or hung up before anybody answered: see CancelReason.
CANCELED_FOR: Final = "_canceled_for"
# Its callout was stopped; its number is opted out; its plan lets no call leave at this time, or its ``not_after`` has
# passed; its contact's new number is another's; a client asked for it.
CancelReason = Literal["stopped", "opted_out", "not_now", "too_late", "renumbered", "request"]
# When it ended; and that it may have rung although nobody can tell.
ENDED_AT: Final = "_ended"
MAY_HAVE_RUNG_FIELD: Final = "_may_have_rung"

# That somebody wants the call to end (``HangUp``), or, in the document of a callout, an account or the server, all of
# its calls; and from when on that may be carried out.
HANG_UP_WISH: Final = "_hang_up"
HANG_UP_DUE = "_hang_up.due"

EXISTS: Document = {"$exists": True}
# The name of the index by which calls that wait are found.
WAITING_INDEX: Final = "waiting"
HANG_UP_INDEX = Index(HANG_UP_DUE, name="hang_up", only={HANG_UP_DUE: EXISTS})
# What has not gone out to the provider, and never will once it is taken back.
UNSENT: Document = {ATTEMPT: None}


def new_hang_up() -> HangUp:
    """A wish that is to be carried out at once."""
    return {"due": now(), "tries": 0}


def work_of(call: Mapping[str, Any]) -> CallWork:
    """What the background knows of a call that is queued, or that somebody has."""
    work: CallWork = call[WORK]
    return work


def same_call(call: Mapping[str, Any]) -> Document:
    """The condition that a document is this call. It names the account, too, by which calls can be sharded."""
    return {"account_id": call["account_id"], "_id": call["_id"]}


def tries_of(call: Mapping[str, Any]) -> int:
    """How often the call was claimed and did not leave."""
    return int(call[WORK].get("tries", 0))


def attempt_of(call: Mapping[str, Any]) -> tuple[str, int]:
    """What a claimed call is in the send journal: its attempt's id, and its own."""
    return call[WORK]["attempt"]["id"], call["_id"]
