"""What the provider tells us of a call: which call it is about, and that it is kept. See call_progress, too."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from scfm.calls.call_progress import progress, reported_fields
from scfm.calls.sender import Sender
from scfm.clock import now
from scfm.errors import Invalid
from scfm.models import msisdn
from scfm.models.call_lifecycle import UNDER_WAY, CallStatus
from scfm.models.call_reports import being_placed, match_attempt
from scfm.models.contact import CONTACTS
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.references import (
    DELETION_LOOK_SECONDS,
    confirm,
    insert_unconfirmed,
    missing_reference,
    withdraw,
)
from scfm.models.remote_phone_call_event import REMOTE_PHONE_CALL_EVENTS
from scfm.storage.errors import Taken
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

INBOUND = "inbound"
UNKNOWN_CALL = {"base": ["Phone call must exist"]}
NO_DIRECTION = "Remote direction can't be blank"
# What a report's call refers to.
AROUND = {"contact_id": "contacts", "callout_participation_id": "callout_participations", "callout_id": "callouts"}
# How often an inbound call looks for its contact while others make and delete it.
TRIES = 10
# How often, and how many seconds apart, we look whose an early report is. Twilio waits 15 seconds for our answer.
LOOKS, LOOK_SECONDS = 50, 0.1
# So many calls that are being placed to one number are looked at.
MAX_PLACED = 100


def check(details: Mapping[str, str]) -> None:
    """Raise Invalid for a report that names no call."""
    if not details.get("CallSid"):
        raise Invalid({"base": ["Remote call can't be blank", *([] if details.get("Direction") else [NO_DIRECTION])]})


@dataclass(frozen=True)
class Known:
    """A phone call, its contact and its callout, if it has one.

    A caller without a number has no contact, nor has a call whose contact somebody has just deleted. ``flow`` is the
    call's own call flow, else its participation's, else its callout's.
    """

    call: Document
    contact: Document | None
    callout: Document | None = None
    flow: str | None = None

    @property
    def whole(self) -> bool:
        """Whether its contact is there, if it has one."""
        return self.contact is not None or self.call["contact_id"] is None


async def known(view: TenantView, details: Mapping[str, str], sender: Sender | None = None) -> Known | None:
    """The phone call that a checked report is about, among those that VIEW sees; None for one that we do not know.

    ``sender``: whose report it is, if VIEW sees more than one account.
    """
    sid, direction = details["CallSid"], details.get("Direction")
    found = await call_by(view, "remote_call_id", sid, sender)
    if found is None and direction and direction != INBOUND and (call := await _early(view, details, sender)):
        found = await call_by(view, "_id", call["_id"])
    return found


async def call_by(view: TenantView, name: str, value: Any, sender: Sender | None = None) -> Known | None:
    """The first phone call with VALUE in the field NAME, among those that VIEW sees, or None."""
    found = await view.all_with("phone_calls", name, value, AROUND)
    if sender is not None:
        found = [one for one in found if sender.may_report(one[0])]
        if len(found) > 1:  # a provider's id is of one call, but anybody can report a call of his own under it
            found = [one for one in found if await sender.may_place(one[0])] or found
    if not found:
        return None
    call, named = found[0]
    nearest = (call, named["callout_participation_id"], named["callout_id"])
    flow = next((str(one["call_flow_logic"]) for one in nearest if one and one["call_flow_logic"]), None)
    return Known(call, named["contact_id"], named["callout_id"], flow)


async def new_event(view: TenantView) -> int:
    """An id for the event that a report will be kept as."""
    return (await view.counters.ids(REMOTE_PHONE_CALL_EVENTS.kind).allocate(1))[0]


async def no_event(view: TenantView, number: int) -> None:
    """Give the id of ``new_event`` back: nothing will be kept under it."""
    await view.counters.ids(REMOTE_PHONE_CALL_EVENTS.kind).release(number)


async def contact_with(view: TenantView, number: str | None) -> Document | None:
    """The contact with a caller's number; None where there is none, or no number."""
    return await view.first_by("contacts", "msisdn", number, within=True) if number else None


async def new_call(
    view: TenantView, details: Mapping[str, str], default_flow: str, number: str | None, contact: Document | None
) -> Known:
    """The call that a checked report says has come in, and its contact: CONTACT, made if there is none.

    ``number`` is the caller's, in its one form; who has none gets no contact. Whether the call stands must be looked
    at afterwards: see ``record_new``. Raises Invalid for a report of a call that is not ``known`` and has not
    come in.
    """
    if not details.get("Direction"):
        raise Invalid({"base": [NO_DIRECTION]})
    if details["Direction"] != INBOUND:
        raise Invalid(UNKNOWN_CALL)
    for _ in range(TRIES):
        make_contact = number is not None and contact is None
        ids = await _ids(view, PHONE_CALLS.kind, *([CONTACTS.kind] if make_contact else []))
        call = {"_id": ids[0], **_new_call(details, default_flow, number)}
        try:
            if number is not None and contact is None:
                call, contact = await _call_and_contact(view, call, {"_id": ids[1], **_new_contact(number)})
            else:
                call = await insert_unconfirmed(
                    PHONE_CALLS, view, {**call, "contact_id": contact["_id"] if contact else None}
                )
            return Known(call, contact, flow=default_flow)
        except Taken:  # another report of the same call was faster
            made = await call_by(view, "remote_call_id", details["CallSid"])
            if made and made.whole:
                return made
            await asyncio.sleep(DELETION_LOOK_SECONDS)  # what it has made is being taken back
        except Invalid:  # somebody else made the contact just now, or has deleted it
            contact = await contact_with(view, number)
    raise Invalid(UNKNOWN_CALL)


async def _ids(view: TenantView, *kinds: str) -> list[int]:
    ids = await asyncio.gather(*(view.counters.ids(kind).allocate(1) for kind in kinds))
    return [one[0] for one in ids]


async def _call_and_contact(view: TenantView, call: Document, contact: Document) -> tuple[Document, Document]:
    """Store both; raises Taken, or Invalid where the contact cannot be, and leaves no call without one."""
    try:
        stored = await insert_unconfirmed(CONTACTS, view, contact)
    except Invalid:
        view.counters.ids(PHONE_CALLS.kind).commit([call["_id"]])
        raise
    missing, called = await asyncio.gather(
        missing_reference(CONTACTS, view, stored),
        insert_unconfirmed(PHONE_CALLS, view, {**call, "contact_id": stored["_id"]}),
        return_exceptions=True,
    )
    if isinstance(missing, BaseException):
        raise missing
    if not isinstance(called, BaseException):
        if missing is None:
            return called, stored
        await withdraw(PHONE_CALLS, view, called["_id"])
    await confirm(CONTACTS, view, stored)
    raise called if isinstance(called, BaseException) else Invalid(UNKNOWN_CALL)


def _new_call(details: Mapping[str, str], default_flow: str, number: str | None) -> Document:
    moment = now()
    return {
        **{one.name: one.initial() for one in PHONE_CALLS.fields if one.name != "id"},
        "callout_id": None,
        "status": CallStatus.IN_PROGRESS,
        "msisdn": number,
        "remote_call_id": details["CallSid"],
        "remote_direction": INBOUND,
        "call_flow_logic": default_flow,
        "created_at": moment,
        "updated_at": moment,
        "_version": 1,
        **reported_fields(details),
    }


def _new_contact(number: str) -> Document:
    moment = now()
    return {"msisdn": number, "metadata": {}, "created_at": moment, "updated_at": moment, "_version": 1}


async def _early(view: TenantView, details: Mapping[str, str], sender: Sender | None) -> Document | None:
    """The call that a report is about which has come before the provider's answer to its request.

    It is the call that is being placed to that number. Where there are several we wait until their answers tell
    which it is; a provider that answers none of them before it has ours gets the first.
    """
    # What we have sent as ``To``, so it has its country code.
    numbers, sid = msisdn.stored_forms(details.get("To")), details["CallSid"]
    for look in range(LOOKS if numbers else 0):
        placed = await _placed(view, numbers, sender)
        # In this order: a call that has no sid by now was among those, so that one alone is the one.
        named_since = await view.first_by("phone_calls", "remote_call_id", sid)
        if named_since is not None and (sender is None or sender.may_report(named_since)):
            return named_since
        if not placed:
            return None
        if len(placed) == 1 or look == LOOKS - 1:
            matched = match_attempt(placed[0], numbers, sid, details["Direction"])
            if claimed := await view.apply("phone_calls", *matched):
                return claimed
        await asyncio.sleep(LOOK_SECONDS)
    found = await call_by(view, "remote_call_id", sid, sender)
    return found.call if found else None


async def _placed(view: TenantView, numbers: Sequence[str], sender: Sender | None) -> list[Document]:
    """The first of the calls that are being placed to a number, in any of its forms, and may be the sender's."""
    fields = ["_id", "account_id", "created_at"]
    placed = await view.find("phone_calls", being_placed(numbers), fields=fields, limit=MAX_PLACED)
    return [call for call in placed if sender is None or await sender.may_place(call)]


async def record(view: TenantView, event: Document) -> Document:
    """Keep a report as the event of its call; whether the call stands is for ``move`` to see.

    Raises Taken for one that has been delivered before.
    """
    return await insert_unconfirmed(REMOTE_PHONE_CALL_EVENTS, view, event)


async def record_new(view: TenantView, event: Document, call: Document) -> Document | None:
    """Keep a report as the event of the ``new_call`` that it has made; None where that does not stand.

    Then neither is kept. Raises Taken like ``record``.
    """
    kept, missing = await asyncio.gather(
        record(view, event), missing_reference(PHONE_CALLS, view, call), return_exceptions=True
    )
    if isinstance(kept, BaseException):
        raise kept
    if isinstance(missing, BaseException):
        raise missing
    if missing is None:
        return kept
    await withdraw(REMOTE_PHONE_CALL_EVENTS, view, kept["_id"])
    with suppress(Invalid, Taken):
        await confirm(PHONE_CALLS, view, call)  # which may make it anew, once it stands
    return None


async def discard(view: TenantView, call: Document) -> None:
    """Take a ``new_call`` back that no event is kept of."""
    if not await view.exists("remote_phone_call_events", {"phone_call_id": call["_id"]}):
        await withdraw(PHONE_CALLS, view, call["_id"])


async def move(view: TenantView, call: Document, details: Mapping[str, str], event: Document) -> None:
    """Move the call to what a report says that has been recorded as EVENT.

    Raises Invalid, and takes the event back, if somebody deletes the call meanwhile.
    """
    # The call is looked at after what refers to it is stored: see docs/decisions/0001.
    books = await progress(view, call, details)
    if books is None or books.get("_deleting"):
        await confirm(REMOTE_PHONE_CALL_EVENTS, view, event)


def moved(known: Known, details: Mapping[str, str]) -> Known:
    """The call as a report most likely moves it: a flow is not told of a status that has come out of order."""
    if known.call["status"] not in UNDER_WAY:
        return known
    return Known({**known.call, **reported_fields(details)}, known.contact, known.callout, known.flow)


def event_of(call: Document, details: Mapping[str, str], flow: str, number: int) -> Document:
    """The report as an event of the call, under the id NUMBER; it is not kept yet."""
    moment = now()
    return {
        "_id": number,
        "phone_call_id": call["_id"],
        "callout_participation_id": call["callout_participation_id"],
        "contact_id": call["contact_id"],
        "callout_id": call["callout_id"],
        "details": dict(details),
        "metadata": {},
        "remote_call_id": details["CallSid"],
        "remote_direction": details.get("Direction") or call["remote_direction"],
        "call_flow_logic": flow,
        "created_at": moment,
        "updated_at": moment,
        "_version": 1,
    }
