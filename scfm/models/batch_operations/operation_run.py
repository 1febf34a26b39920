"""The run of a batch operation, from its claim to its end: conditions and updates, like those of ``call_lifecycle``.

An operation is ``queued`` until a process claims it, then ``running``, and ``finished`` at the end or when it is set
aside. What a run keeps is ``OperationWork``; a claim can be taken over once ``due`` has come.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from scfm.clock import now
from scfm.models.batch_operations.operation import OperationWork, Skipped
from scfm.storage.query import Document

OPERATION_DUE = "_work.due"
# Where a client sees how many were left out, by reason.
SHOWN_SKIPPED = "metadata.skipped"


def queue_run() -> Document:
    """By field, what queues an operation beside its status: any process may claim it, and begins with the first."""
    return {"_work": {"due": now()}}


def runs_due(moment: datetime) -> Document:
    """The operations that may be claimed at MOMENT."""
    return {OPERATION_DUE: {"$lte": moment}, "status": {"$in": ["queued", "running"]}}


def claim_run(holder: str, log_id: str | None, until: datetime) -> Document:
    """The update that claims an operation UNTIL then. LOG_ID: by its send journal a process is seen to have ended."""
    work = {OPERATION_DUE: until, "_work.holder": holder, "_work.log": log_id}
    return {"$set": {"status": "running", **work, "updated_at": now()}}


def still_claimed(operation: Mapping[str, Any]) -> Document:
    """The operation, if it is still claimed as it was when it was read."""
    return {"_id": operation["_id"], "_work.holder": operation["_work"]["holder"]}


def save_progress(
    operation: Mapping[str, Any], progress: OperationWork, until: datetime
) -> tuple[Document, Document]:
    """The run has come so far, and goes on: it is claimed UNTIL then."""
    work = {f"_work.{name}": value for name, value in progress.items()}
    return still_claimed(operation), {"$set": {**work, OPERATION_DUE: until}}


def finish_run(operation: Mapping[str, Any], skipped: Skipped) -> tuple[Document, Document]:
    """The run has come to its end. A client's update that does not know of it is made anew."""
    finished: Document = {"status": "finished", "updated_at": now()}
    removed = {"_work": ""}
    if skipped:
        finished[SHOWN_SKIPPED] = dict(skipped)
    else:
        removed[SHOWN_SKIPPED] = ""
    return still_claimed(operation), {"$set": finished, "$unset": removed, "$inc": {"_version": 1}}


def hand_back_run(operation: Mapping[str, Any]) -> tuple[Document, Document]:
    """Another process may go on with the run at once."""
    return still_claimed(operation), {"$set": {OPERATION_DUE: now()}}


def retry_run(operation: Mapping[str, Any], tries: int, due: datetime) -> tuple[Document, Document]:
    """The run has failed for the TRIES-th time, and goes on when it is DUE."""
    return still_claimed(operation), {"$set": {"_work.tries": tries, OPERATION_DUE: due}}


def set_run_aside(operation: Mapping[str, Any], failure: str) -> tuple[Document, Document]:
    """The run has failed too often, or cannot be done: the owner sees why in ``metadata.failure``."""
    metadata = {**operation["metadata"], "failure": failure}
    change = {"status": "finished", "metadata": metadata, "updated_at": now()}
    return still_claimed(operation), {"$set": change, "$unset": {"_work": ""}}


def take_over_operations(log_id: str) -> tuple[Document, Document]:
    """Other processes may go on with what the process with this send journal ran when it died."""
    return {OPERATION_DUE: {"$exists": True}, "_work.log": log_id}, {"$set": {OPERATION_DUE: now()}}


def bring_back_operations(status: str, moment: datetime, late: datetime) -> tuple[Document, Document]:
    """Operations of a status are due at MOMENT that wait until after LATE, as the wall clock was set back."""
    return {"status": status, OPERATION_DUE: {"$gt": late}}, {"$set": {OPERATION_DUE: moment}}


def stop_restored_runs(failure: str) -> tuple[Document, Document]:
    """Operations that were queued or ran when the backup was made: a client queues them again. FAILURE says why."""
    change = {"status": "finished", "metadata.failure": failure, "updated_at": now()}
    return {"status": {"$in": ["queued", "running"]}}, {
        "$set": change,
        "$unset": {"_work": ""},
        "$inc": {"_version": 1},
    }
