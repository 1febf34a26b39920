"""How far a callout has carried out its plan: ``_run``, which is never shown.

An event or a change of the plan sets it in the same update as what a client sees of it, and counts in ``_version``.
So whoever carries the plan out stores how far he is only where ``_version`` is as he read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict

from scfm.storage.index import Index
from scfm.storage.query import Document


class CalloutRun(TypedDict, total=False):
    """``due``: from when on anyone may take the callout, and go on; absent where there is nothing to be done.

    ``holder``: who has taken it last, ``lease``, until when, and ``log``, the id of the send journal of that process.
    ``review``: the id of the last participation whose outcome has been worked out again after an event or a change of
    the plan; absent when all have. ``audience``: the id of the last contact of the audience that has become a
    participation; absent when all have. ``started_at``: when it was started. ``ending``: everybody is settled, as far
    as was seen before it was set. ``told``: of how many tenths of the people the log has told that they are settled.
    """

    due: datetime
    holder: str
    lease: datetime
    log: str | None
    review: int
    audience: int
    started_at: datetime
    ending: bool
    told: int


CALLOUT_COLLECTION: Final = "callouts"
RUN: Final = "_run"
RUN_STARTED_AT: Final = "_run.started_at"
# When a callout was first started, whether it has a plan or not.
STARTED_AT: Final = "_started_at"
RUN_DUE, HOLDER, REVIEW, AUDIENCE = "_run.due", "_run.holder", "_run.review", "_run.audience"
ENDING: Final = "_run.ending"
TOLD: Final = "_run.told"
RUN_LEASE: Final = "_run.lease"
RUN_LOG: Final = "_run.log"
RUN_INDEX = Index(RUN_DUE, name="run", only={RUN_DUE: {"$exists": True}})


def start_run(moment: datetime) -> Document:
    """By field, what the start of a plan changes in its callout."""
    return {RUN: CalloutRun(due=moment, review=0, audience=0, started_at=moment)}


def review_run(moment: datetime) -> Document:
    """By field, what changes in a callout that carries its plan out when all its people are to be looked at again."""
    return {REVIEW: 0, RUN_DUE: moment}


def has_started(callout: Mapping[str, Any]) -> bool:
    """Whether the callout's plan was ever started."""
    return "started_at" in (callout.get(RUN) or {})


def started_at(callout: Mapping[str, Any]) -> datetime | None:
    """When a callout was first started; None for one that never was, or by a version that did not keep it."""
    moment: datetime | None = callout.get(STARTED_AT) or (callout.get(RUN) or {}).get("started_at")
    return moment


def complete_run(moment: datetime) -> Document:
    """The update of a callout all of whose people are settled."""
    return {
        "$set": {"status": "completed", "completed_at": moment, "updated_at": moment},
        "$unset": {RUN_DUE: "", ENDING: ""},
        "$inc": {"_version": 1},
    }


def told_tenth(callout: Mapping[str, Any]) -> int:
    """The tenth of the people that the log has last told of; 0 for none."""
    tenth: int = (callout.get(RUN) or {}).get("told", 0)
    return tenth


def run_due(moment: datetime) -> Document:
    """The callouts that may be taken at MOMENT."""
    return {RUN_DUE: {"$lte": moment}, "$or": [{RUN_LEASE: None}, {RUN_LEASE: {"$lte": moment}}]}


def take_run(holder: str, log_id: str | None, next_at: datetime, until: datetime) -> Document:
    """The update by which HOLDER takes a callout UNTIL then; without him, the next step is due at NEXT_AT."""
    return {"$set": {RUN_DUE: next_at, HOLDER: holder, RUN_LEASE: until, RUN_LOG: log_id}}


def take_over_run(log_id: str, moment: datetime) -> tuple[Document, Document]:
    """The condition and the update of the callouts that the process with this send journal had when it died."""
    return {RUN_DUE: {"$exists": True}, RUN_LOG: log_id, RUN_LEASE: {"$ne": None}}, {
        "$set": {RUN_DUE: moment},
        "$unset": {RUN_LEASE: ""},
    }


def bring_back_run(moment: datetime, late: datetime) -> tuple[Document, Document]:
    """Those that wait for a time after LATE, as the clock was set back: whoever takes a step twice does no harm."""
    far = [{RUN_DUE: {"$gt": late}}, {RUN_LEASE: {"$gt": late}}]
    return {RUN_DUE: {"$exists": True}, "$or": far}, {"$set": {RUN_DUE: moment, RUN_LEASE: moment}}


def is_ending(callout: Mapping[str, Any]) -> bool:
    """Whether a callout is being looked at for the last time before it is completed."""
    return callout["status"] == "running" and bool((callout.get(RUN) or {}).get("ending"))


def look_soon(callout_ids: Sequence[int], moment: datetime) -> tuple[Document, Document]:
    """The condition and the update that have callouts taken at MOMENT that would be taken later."""
    return {"_id": {"$in": list(callout_ids)}, RUN_DUE: {"$gt": moment}}, {"$set": {RUN_DUE: moment}}
