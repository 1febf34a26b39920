"""What a plan changes in the participations of its callout, beside what ``participation_outcome`` derives of them."""

from __future__ import annotations

from datetime import datetime

from scfm.models.call_lifecycle import CallStatus
from scfm.models.outcome import ATTEMPT_DUE, ATTEMPT_NUMBER, OUTCOME_VERSION, Outcome, new_mark
from scfm.models.participation_outcome import derive
from scfm.models.stored_documents import CallFigures, CalloutDocument
from scfm.storage.query import Document

# A participation whose plan will call the person, or whose call is open: neither settled nor without a plan.
UNSETTLED: Document = {ATTEMPT_NUMBER: {"$exists": True}}


def due_by(callout_id: int, moment: datetime) -> Document:
    """The participations of a callout whose next attempt may be made at MOMENT."""
    return {"callout_id": callout_id, **UNSETTLED, ATTEMPT_DUE: {"$lte": moment}}


def new_outcome(callout: CalloutDocument, moment: datetime) -> Document:
    """The fields of the outcome of a new participation in CALLOUT at MOMENT: its plan, if it goes on, calls it."""
    derived = derive({}, callout, (), moment)
    return {name: value for name, value in derived.items() if value is not None or not name.startswith("_")}


def call_attempt(participation_ids: list[int], ordinal: int) -> tuple[Document, Document]:
    """The condition and the update of those participations whose attempt of that ORDINAL has just been queued.

    Not of those whose outcome has been worked out from that call already.
    """
    queued: CallFigures = {"status": CallStatus.QUEUED.value, "placed": None, "answered": False, "duration": None}
    return {"_id": {"$in": participation_ids}, ATTEMPT_NUMBER: ordinal, ATTEMPT_DUE: {"$exists": True}}, {
        "$set": {"outcome": Outcome.CALLING.value, "next_attempt_at": None, OUTCOME_VERSION: new_mark()},
        "$push": {"_calls": queued},
        "$unset": {ATTEMPT_DUE: ""},
    }
