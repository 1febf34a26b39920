"""How far a callout has carried out its plan: ``_run``, which is never shown.

An event or a change of the plan sets it in the same update as what a client sees of it, and counts in ``_version``.
So a step stores how far the plan is only where ``_version`` is as the step has read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict

from scfm.models.webhook_event import CALLOUT_COMPLETED, telling
from scfm.storage.index import Index
from scfm.storage.query import Document


class CalloutRun(TypedDict, total=False):
    """``due``: from when on any process may take the callout, and go on; absent where nothing is to be done.

    ``holder``: which step was taken last; ``lease``, until when; ``log``, the id of its process's send journal.
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


# By the plan runner, of a callout that it has taken: conditions with updates.


def _as_taken(callout: Mapping[str, Any]) -> Document:
    """The callout, if nobody else has taken or changed it since."""
    return {"_id": callout["_id"], HOLDER: callout[RUN]["holder"], "_version": callout["_version"]}


def end_step(
    callout: Mapping[str, Any], next_at: datetime | None, changes: Mapping[str, Any], removed: Sequence[str]
) -> tuple[Document, Document]:
    """A step is done: the next is due at NEXT_AT, if any. CHANGES by field, and fields REMOVED, come with it."""
    removed = [*removed, RUN_LEASE, *([RUN_DUE] if next_at is None else [])]
    update: Document = {"$unset": dict.fromkeys(removed, "")}
    if changes:
        update["$set"] = dict(changes)
    if next_at is not None:
        update["$min"] = {RUN_DUE: next_at}  # somebody may have asked for a look that is sooner
    return _as_taken(callout), update


def retry_step(callout: Mapping[str, Any], due: datetime) -> tuple[Document, Document]:
    """A step has failed, and is taken again when it is DUE."""
    return _as_taken(callout), {"$set": {RUN_DUE: due}, "$unset": {RUN_LEASE: ""}}


def give_back_run(callout: Mapping[str, Any]) -> tuple[Document, Document]:
    """An event or a client has changed the callout meanwhile: what is due then must not wait for the lease."""
    return {"_id": callout["_id"], HOLDER: callout[RUN]["holder"]}, {"$unset": {RUN_LEASE: ""}}


def complete_run(callout: Mapping[str, Any], moment: datetime) -> tuple[Document, Document]:
    """All people of the callout are settled: it is completed."""
    return _as_taken(callout), {
        "$set": {"status": "completed", "completed_at": moment, "updated_at": moment},
        "$unset": {RUN_DUE: "", ENDING: ""},
        "$inc": {"_version": 1},
        **telling(CALLOUT_COMPLETED, moment, {"status": "completed", "completed_at": moment, "updated_at": moment}),
    }


def end_stopped_run(callout: Mapping[str, Any]) -> tuple[Document, Document]:
    """The callout was stopped, and all that had left before is over: no step is due any more."""
    return _as_taken(callout), {"$unset": {RUN_DUE: ""}}


def tell_tenth(callout_id: int, tenth: int) -> tuple[Document, Document]:
    """The log tells that so many tenths of the people are settled, unless another process has told so many."""
    return {"_id": callout_id, "$or": [{TOLD: None}, {TOLD: {"$lt": tenth}}]}, {"$set": {TOLD: tenth}}


def told_tenth(callout: Mapping[str, Any]) -> int:
    """The tenth of the people that the log has last told of; 0 for none."""
    tenth: int = (callout.get(RUN) or {}).get("told", 0)
    return tenth


def run_due(moment: datetime) -> Document:
    """The callouts that may be taken at MOMENT."""
    return {RUN_DUE: {"$lte": moment}, "$or": [{RUN_LEASE: None}, {RUN_LEASE: {"$lte": moment}}]}


def take_run(holder: str, log_id: str | None, next_at: datetime, until: datetime) -> Document:
    """The update by which HOLDER takes a callout UNTIL then; should it die, the next step is due at NEXT_AT."""
    return {"$set": {RUN_DUE: next_at, HOLDER: holder, RUN_LEASE: until, RUN_LOG: log_id}}


def take_over_run(log_id: str, moment: datetime) -> tuple[Document, Document]:
    """The condition and the update of the callouts that the process with this send journal had when it died."""
    return {RUN_DUE: {"$exists": True}, RUN_LOG: log_id, RUN_LEASE: {"$ne": None}}, {
        "$set": {RUN_DUE: moment},
        "$unset": {RUN_LEASE: ""},
    }


def bring_back_run(moment: datetime, late: datetime) -> tuple[Document, Document]:
    """Those that wait for a time after LATE, as the clock was set back: a step that is taken twice does no harm."""
    far = [{RUN_DUE: {"$gt": late}}, {RUN_LEASE: {"$gt": late}}]
    return {RUN_DUE: {"$exists": True}, "$or": far}, {"$set": {RUN_DUE: moment, RUN_LEASE: moment}}


def is_ending(callout: Mapping[str, Any]) -> bool:
    """Whether a callout is being looked at for the last time before it is completed."""
    return callout["status"] == "running" and bool((callout.get(RUN) or {}).get("ending"))


def look_soon(callout_ids: Sequence[int], moment: datetime) -> tuple[Document, Document]:
    """The condition and the update that have callouts taken at MOMENT that would be taken later."""
    return {"_id": {"$in": list(callout_ids)}, RUN_DUE: {"$gt": moment}}, {"$set": {RUN_DUE: moment}}


def pause_restored(moment: datetime) -> Document:
    """The update of a callout that ran when the backup was made that has been restored: a client resumes it."""
    return {
        "$set": {"status": "paused", "updated_at": moment},
        "$unset": {RUN_LEASE: "", RUN_LOG: ""},
        "$inc": {"_version": 1},
    }


def take_audience_again() -> Document:
    """The update of a callout with a plan whose participations may lack some of its audience: each is made once."""
    return {"$set": {AUDIENCE: 0, REVIEW: 0}}
