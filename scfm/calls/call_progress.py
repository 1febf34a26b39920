"""Where the provider's reports move a call: never backwards, in whatever order they come."""

from __future__ import annotations

import re
from collections.abc import Mapping

from scfm.clock import now
from scfm.models.callout import CALLS_UNDER_WAY
from scfm.models.phone_call import FINAL, STATUSES
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

# The statuses of a call that did not take place.
FAILED = ("failed", "busy", "not_answered", "canceled")
MAX_REASON = 1000
# The provider's words for a call that goes on, in the order in which they come; any other says that it is over.
GOING_ON = ("queued", "initiated", "ringing", "in-progress")


async def progress(view: TenantView, call: Document, details: Mapping[str, str]) -> Document | None:
    """Move the call to what CallStatus says, never backwards; its bookkeeping then, None if it has gone.

    ``SequenceNumber`` orders the reports that carry one, else the words do. A call that has ended stays as it ended,
    unless a report of a later number says that it ended otherwise. Why it failed is kept even if that it failed is
    known.
    """
    said, sequence = details.get("CallStatus", ""), _sequence(details)
    target, reason = STATUSES.get(said), why_failed(details)
    if not said or (
        _says_nothing_new(call, said, target, sequence) and reason in (None, call["remote_error_message"])
    ):
        return await view.update_batched("phone_calls", call["_id"])
    fields = {**reported_fields(details), "updated_at": now()}
    # A report with a lower number may still tell why.
    latest = {"$max": {"_sequence": fields.pop("_sequence")}} if sequence is not None else {}
    if call["status"] == "queued" and target is not None:
        fields.setdefault("remote_error_message", None)  # it said that it is not known whether the call was placed
    update: Document = {"$set": fields, **latest}
    if target is not None and call["status"] in CALLS_UNDER_WAY:
        # Whoever is placing the call, or has to settle it, still has it: its answer may come later than its report.
        update["$unset"] = {"_work.due": "", "_fetch_from": ""}
    condition = _may_move(said, target, sequence)
    if reason is not None:
        condition["$or"].append({"status": target})
    return await view.update_batched("phone_calls", call["_id"], condition, update)


def why_failed(details: Mapping[str, str]) -> str | None:
    """Why a call failed, as its report tells: ``32005: Some words (SIP 503)``, or what there is of it; else None."""
    if STATUSES.get(details.get("CallStatus", "")) not in FAILED:
        return None
    words = [details[name].strip() for name in ("ErrorCode", "ErrorMessage") if details.get(name, "").strip(" 0")]
    told, sip = ": ".join(words), details.get("SipResponseCode", "").strip()
    if sip:
        told = f"{told} (SIP {sip})" if told else f"SIP {sip}"
    return told[:MAX_REASON] or None


def reported_fields(details: Mapping[str, str]) -> Document:
    """What a report says of its call, as the call's fields."""
    said, sequence = details.get("CallStatus", ""), _sequence(details)
    fields: Document = {"remote_status": said} if said else {}
    if said and sequence is not None:
        fields["_sequence"] = sequence
    if said in STATUSES:
        fields["status"] = STATUSES[said]
    if (reason := why_failed(details)) is not None:
        fields["remote_error_message"] = reason
    return fields


def _says_nothing_new(call: Document, said: str, target: str | None, sequence: int | None) -> bool:
    counted = sequence is None or sequence <= call.get("_sequence", -1)
    return counted and call["remote_status"] == said and (target is None or call["status"] == target)


def _may_move(said: str, target: str | None, sequence: int | None) -> Document:
    """The condition under which a report may move the call."""
    allowed: list[Document] = [{"status": {"$in": list(CALLS_UNDER_WAY)}, **_in_order(said, sequence)}]
    if target in FINAL and sequence is not None:
        allowed.append({"status": {"$in": list(FINAL)}, "_sequence": {"$lt": sequence}})
    return {"$or": allowed}


def _in_order(said: str, sequence: int | None) -> Document:
    """The condition that nothing later than this report has been said of a call that goes on."""
    rank = GOING_ON.index(said) if said in GOING_ON else len(GOING_ON)
    no_later = {"remote_status": {"$nin": list(GOING_ON[rank + 1 :])}}
    if sequence is None:
        return no_later
    return {"$or": [{"_sequence": {"$lt": sequence}}, {"_sequence": None, **no_later}]}


def _sequence(details: Mapping[str, str]) -> int | None:
    written = details.get("SequenceNumber", "")
    return int(written) if re.fullmatch(r"[0-9]{1,9}\Z", written, re.ASCII) else None
