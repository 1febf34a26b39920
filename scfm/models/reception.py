"""What the provider tells us of a call: which call it is about, where it moves it, and that it is kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from scfm.clock import now
from scfm.errors import Invalid
from scfm.models import msisdn
from scfm.models.contact import CONTACTS
from scfm.models.merge import FLOW_MEMORY
from scfm.models.phone_call import FINAL, PHONE_CALLS, STATUSES
from scfm.models.query import Document
from scfm.models.register import MEMORY
from scfm.models.remote_phone_call_event import REMOTE_PHONE_CALL_EVENTS
from scfm.models.store import DELETE_LOOK_SECONDS, Taken, View

INBOUND = "inbound"
UNKNOWN_CALL = {"base": ["Phone call must exist"]}
# A call in one of these can still be moved by what the provider says.
OPEN = ("queued", "remotely_queued", "in_progress", "remote_fetch_queued")
# What a report's call refers to.
AROUND = {"contact_id": "contacts", "callout_participation_id": "callout_participations", "callout_id": "callouts"}
# How often an inbound call looks for its contact while others make and delete it.
TRIES = 10
# How often, and how many seconds apart, we look whose an early report is. Twilio waits 15 seconds for our answer.
LOOKS, LOOK_SECONDS = 50, 0.1
# The provider's words for a call that goes on, in the order in which they come; any other says that it is over.
GOING_ON = ("queued", "initiated", "ringing", "in-progress")


def check(details: Mapping[str, str], country: str | None = None) -> None:
    """Raise Invalid for a report that names no call or no direction, or an inbound one from no number.

    ``country``, here and below: the ``default_country`` of the account whose report it is.
    """
    errors = []
    if not details.get("CallSid"):
        errors.append("Remote call can't be blank")
    if not details.get("Direction"):
        errors.append("Remote direction can't be blank")
    if details.get("Direction") == INBOUND and msisdn.normalise(details.get("From"), country) is None:
        errors.append("Msisdn is an invalid number")
    if errors:
        raise Invalid({"base": errors})


@dataclass(frozen=True)
class Known:
    """A phone call, its contact (None if somebody has just deleted it) and its callout, if it has one.

    ``flow`` is the call's own call flow, else its participation's, else its callout's.
    """

    call: Document
    contact: Document | None
    callout: Document | None = None
    flow: str | None = None


async def known(view: View, details: Mapping[str, str], country: str | None = None) -> Known | None:
    """The phone call that a report is about, among those that VIEW sees; None for one that we do not know."""
    sid, direction = details.get("CallSid"), details.get("Direction")
    if not sid or not direction:
        return None
    found = await call_by(view, "remote_call_id", sid)
    if found is None and direction != INBOUND and (call := await _early(view, details, country)) is not None:
        found = await call_by(view, "_id", call["_id"])
    return found


async def call_by(view: View, name: str, value: Any) -> Known | None:
    """The first phone call with VALUE in the field NAME, among those that VIEW sees, or None."""
    found = await view.first_with("phone_calls", name, value, AROUND)
    if found is None:
        return None
    call, named = found
    nearest = (call, named["callout_participation_id"], named["callout_id"])
    flow = next((str(one["call_flow_logic"]) for one in nearest if one and one["call_flow_logic"]), None)
    return Known(call, named["contact_id"], named["callout_id"], flow)


async def new_event(view: View) -> int:
    """An id for the event that a report will be kept as."""
    return (await view.store.new_ids(REMOTE_PHONE_CALL_EVENTS.kind))[0]


async def no_event(view: View, number: int) -> None:
    """Give the id of ``new_event`` back: nothing will be kept under it."""
    await view.store.register(REMOTE_PHONE_CALL_EVENTS.kind).give_back(number)


async def caller(view: View, details: Mapping[str, str], country: str | None = None) -> Document | None:
    """The contact whose number a checked report of an inbound call names; None where there is none."""
    if details["Direction"] != INBOUND:
        return None
    return await view.first_by("contacts", "msisdn", msisdn.normalise(details["From"], country), within=True)


async def new_call(
    view: View,
    details: Mapping[str, str],
    default_flow: str,
    contact: Document | None,
    country: str | None = None,
) -> Known:
    """The call that a checked report says has come in, and its contact: the ``caller``, made if there is none.

    Whether the call stands must be looked at afterwards: see ``stands``. Raises Invalid for a report of a call that
    is not ``known`` and has not come in.
    """
    if details["Direction"] != INBOUND:
        raise Invalid(UNKNOWN_CALL)
    number = str(msisdn.normalise(details["From"], country))
    for _ in range(TRIES):
        ids = await _ids(view, PHONE_CALLS.kind, *([] if contact else [CONTACTS.kind]))
        call = {"_id": ids[0], **_new_call(details, default_flow, number)}
        try:
            if contact is not None:
                call = await PHONE_CALLS.put(view, {**call, "contact_id": contact["_id"]})
            else:
                call, contact = await _call_and_contact(view, call, {"_id": ids[1], **_new_contact(number)})
            return Known(call, contact, flow=default_flow)
        except Taken:  # another report of the same call was faster
            made = await call_by(view, "remote_call_id", details["CallSid"])
            if made and made.contact:
                return made
            await asyncio.sleep(DELETE_LOOK_SECONDS)  # what it has made is being taken back
        except Invalid:  # somebody else made the contact just now, or has deleted it
            contact = await caller(view, details, country)
    raise Invalid(UNKNOWN_CALL)


async def _ids(view: View, *kinds: str) -> list[int]:
    ids = await asyncio.gather(*(view.store.new_ids(kind) for kind in kinds))
    return [one[0] for one in ids]


async def _call_and_contact(view: View, call: Document, contact: Document) -> tuple[Document, Document]:
    """Store both; raises Taken, or Invalid where the contact cannot be, and leaves no call without one."""
    try:
        stored = await CONTACTS.put(view, contact)
    except Invalid:
        view.store.register(PHONE_CALLS.kind).settle([call["_id"]])
        raise
    missing, called = await asyncio.gather(
        CONTACTS.missing(view, stored),
        PHONE_CALLS.put(view, {**call, "contact_id": stored["_id"]}),
        return_exceptions=True,
    )
    if isinstance(missing, BaseException):
        raise missing
    if not isinstance(called, BaseException):
        if missing is None:
            return called, stored
        await PHONE_CALLS.withdraw(view, called["_id"])
    await CONTACTS.keep(view, stored)
    raise called if isinstance(called, BaseException) else Invalid(UNKNOWN_CALL)


def _new_call(details: Mapping[str, str], default_flow: str, number: str) -> Document:
    moment = now()
    return {
        **{one.name: one.initial() for one in PHONE_CALLS.fields if one.name != "id"},
        "callout_id": None,
        "status": "in_progress",
        "msisdn": number,
        "remote_call_id": details["CallSid"],
        "remote_direction": INBOUND,
        "call_flow_logic": default_flow,
        "created_at": moment,
        "updated_at": moment,
        "_version": 1,
        **_said(details),
    }


def _new_contact(number: str) -> Document:
    moment = now()
    return {"msisdn": number, "metadata": {}, "created_at": moment, "updated_at": moment, "_version": 1}


async def stands(view: View, call: Document) -> bool:
    """Whether all that a ``new_call`` refers to is there to stay."""
    return await PHONE_CALLS.missing(view, call) is None


async def discard(view: View, call: Document, event: Document) -> None:
    """Take back a call that does not stand, and before it the event that refers to it."""
    await REMOTE_PHONE_CALL_EVENTS.withdraw(view, event["_id"])
    with suppress(Invalid, Taken):
        await PHONE_CALLS.keep(view, call)  # which may make it anew, once it stands


async def _early(view: View, details: Mapping[str, str], country: str | None) -> Document | None:
    """The call that a report is about which has come before the provider's answer to its request.

    It is the call that is being placed to that number. Where there are several we wait until their answers tell
    which it is; a provider that answers none of them before it has ours gets the first.
    """
    numbers, sid = msisdn.stored_forms(details.get("To"), country), details["CallSid"]
    named = {"remote_call_id": sid, "remote_direction": details["Direction"]}
    for look in range(LOOKS if numbers else 0):
        placed = await view.find("phone_calls", _being_placed(numbers), fields=["_id"], limit=2)
        # In this order: a call that has no sid by now was among those, so that one alone is the one.
        named_since = await view.first_by("phone_calls", "remote_call_id", sid)
        if named_since is not None or not placed:
            return named_since
        if len(placed) == 1 or look == LOOKS - 1:
            wanted = {"_id": placed[0]["_id"], **_being_placed(numbers)}
            if claimed := await view.update("phone_calls", wanted, named):
                return claimed
        await asyncio.sleep(LOOK_SECONDS)
    return await view.first_by("phone_calls", "remote_call_id", sid)


def _being_placed(numbers: Sequence[str]) -> Document:
    return {
        "status": "queued",
        "_work.lease": {"$exists": True},
        "_work.attempt": {"$exists": True},
        "msisdn": {"$in": list(numbers)},
        "remote_call_id": None,
    }


async def record(view: View, call: Document, details: Mapping[str, str], flow: str, number: int) -> Document:
    """Keep the report as the event NUMBER of the call; whether the call stands is for ``move`` to see."""
    return await REMOTE_PHONE_CALL_EVENTS.put(view, {"_id": number, **_event(call, details, flow)})


async def move(view: View, call: Document, details: Mapping[str, str], event: Document) -> None:
    """Move the call to what a report says that has been recorded as EVENT.

    Raises Invalid, and takes the event back, if somebody deletes the call meanwhile.
    """
    # The call is looked at after what refers to it is stored: see docs/decisions/0001.
    books = await progress(view, call, details)
    if books is None or books.get("_deleting"):
        await REMOTE_PHONE_CALL_EVENTS.keep(view, event)


def moved(call: Document, details: Mapping[str, str]) -> Document:
    """The call as a report most likely moves it: a flow is not told of a status that has come out of order."""
    return {**call, **_said(details)} if call["status"] in OPEN else call


def _event(call: Document, details: Mapping[str, str], flow: str) -> Document:
    moment = now()
    return {
        "phone_call_id": call["_id"],
        "callout_participation_id": call["callout_participation_id"],
        "contact_id": call["contact_id"],
        "callout_id": call["callout_id"],
        "details": dict(details),
        "metadata": {},
        "remote_call_id": details["CallSid"],
        "remote_direction": details["Direction"],
        "call_flow_logic": flow,
        "created_at": moment,
        "updated_at": moment,
        "_version": 1,
    }


async def progress(view: View, call: Document, details: Mapping[str, str]) -> Document | None:
    """Move the call to what CallStatus says, never backwards; its bookkeeping then, None if it has gone.

    ``SequenceNumber`` orders the reports that carry one, else the words do. A call that has ended stays as it
    ended, unless a report of a later number says that it ended otherwise.
    """
    said, sequence = details.get("CallStatus", ""), _sequence(details)
    target = STATUSES.get(said)
    if not said or _says_nothing_new(call, said, target, sequence):
        return await view.apply_to("phone_calls", call["_id"])
    update: Document = {"$set": {**_said(details), "updated_at": now()}}
    if target is not None and call["status"] in OPEN:
        # Whoever is placing the call, or has to settle it, still has it: its answer may come later than its report.
        update["$unset"] = {"_work.due": "", "_fetch_from": ""}
    return await view.apply_to("phone_calls", call["_id"], _may_move(said, target, sequence), update)


def _said(details: Mapping[str, str]) -> Document:
    """What a report says of its call, as the call's fields."""
    said, sequence = details.get("CallStatus", ""), _sequence(details)
    fields: Document = {"remote_status": said} if said else {}
    if said and sequence is not None:
        fields["_sequence"] = sequence
    if said in STATUSES:
        fields["status"] = STATUSES[said]
    return fields


def _says_nothing_new(call: Document, said: str, target: str | None, sequence: int | None) -> bool:
    counted = sequence is None or sequence <= call.get("_sequence", -1)
    return counted and call["remote_status"] == said and (target is None or call["status"] == target)


def _may_move(said: str, target: str | None, sequence: int | None) -> Document:
    """The condition under which a report may move the call."""
    allowed: list[Document] = [{"status": {"$in": list(OPEN)}, **_in_order(said, sequence)}]
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


# A flow's memory lives in the metadata of the call and of its contact.


def memory(document: Document, flow: str) -> dict[str, Any]:
    """What the flow remembers in the document's metadata."""
    data = document["metadata"].get(FLOW_MEMORY)
    kept = data.get(flow) if isinstance(data, dict) else None
    return kept if isinstance(kept, dict) else {}


async def remember(view: View, collection: str, document: Document, flow: str, new: dict[str, Any]) -> bool:
    """Save what a flow remembers, if nobody else has changed the metadata meanwhile; whether it was saved."""
    old = memory(document, flow)
    if new == old:
        return True
    data = document["metadata"].get(FLOW_MEMORY)
    memories = {**(data if isinstance(data, dict) else {}), flow: new}
    return await view.swap(collection, document, {MEMORY: memories, "updated_at": now()})
