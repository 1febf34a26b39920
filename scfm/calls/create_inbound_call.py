"""A call that comes in becomes a phone call, with its caller as its contact."""

from __future__ import annotations

import asyncio
from typing import cast

from scfm.calls.call_event import INBOUND, NO_DIRECTION, CallEvent
from scfm.calls.find_call import FoundCall, read_call
from scfm.clock import now
from scfm.errors import Invalid
from scfm.models.call_lifecycle import FINAL, CallStatus
from scfm.models.call_work import ENDED_AT
from scfm.models.contact import CONTACTS
from scfm.models.declaration import initial_fields
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.references import DELETION_LOOK_SECONDS, confirm, insert_unconfirmed, missing_reference, withdraw
from scfm.models.stored_documents import CONTACT_COLLECTION, ContactDocument, PhoneCallDocument
from scfm.storage.errors import DuplicateKey
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

UNKNOWN_CALL = {"base": ["Phone call must exist"]}
# How often an inbound call looks for its contact while others make and delete it.
MAX_CREATE_TRIES = 10


async def find_contact(view: TenantView, msisdn: str) -> ContactDocument | None:
    """The contact with a caller's number, or None."""
    return await view.first_by(CONTACT_COLLECTION, "msisdn", msisdn)


async def create_inbound_call(
    view: TenantView, event: CallEvent, default_flow: str, contact: ContactDocument | None
) -> FoundCall:
    """The call that an event says has come in, and its contact: CONTACT, made if there is none.

    A caller without a number gets no contact. Whether the call stands must be looked at afterwards: see
    ``record_with_new_call``. Raises Invalid for an event of a call that is not known and has not come in.
    """
    if not event.direction:
        raise Invalid({"base": [NO_DIRECTION]})
    if event.direction != INBOUND:
        raise Invalid(UNKNOWN_CALL)
    msisdn = event.caller
    for _ in range(MAX_CREATE_TRIES):
        make_contact = msisdn is not None and contact is None
        kinds = [PHONE_CALLS.kind, *([CONTACTS.kind] if make_contact else [])]
        ids = [one for (one,) in await asyncio.gather(*(view.counters.ids(kind).allocate(1) for kind in kinds))]
        call = {"_id": ids[0], **_new_call(event, default_flow)}
        try:
            if msisdn is not None and contact is None:
                call, stored = await _put_call_and_contact(view, call, {"_id": ids[1], **_new_contact(msisdn)})
                contact = cast(ContactDocument, stored)
            else:
                call = await insert_unconfirmed(
                    PHONE_CALLS, view, {**call, "contact_id": contact["_id"] if contact else None}
                )
            return FoundCall(cast(PhoneCallDocument, call), contact, flow=default_flow)
        except DuplicateKey:  # another report of the same call was faster
            found = await read_call(view, "remote_call_id", event.sid)
            if found and found.has_its_contact:
                return found
            await asyncio.sleep(DELETION_LOOK_SECONDS)  # what it has made is being taken back
        except Invalid:  # somebody else made the contact just now, or has deleted it
            contact = await find_contact(view, msisdn) if msisdn else None
    raise Invalid(UNKNOWN_CALL)


async def _put_call_and_contact(view: TenantView, call: Document, contact: Document) -> tuple[Document, Document]:
    """Store both; raises DuplicateKey, or Invalid where the contact cannot be, and leaves no call without one."""
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


def _new_call(event: CallEvent, default_flow: str) -> Document:
    moment = now()
    return {
        **initial_fields(PHONE_CALLS),
        "callout_id": None,
        "status": CallStatus.IN_PROGRESS.value,
        "msisdn": event.caller,
        "remote_call_id": event.sid,
        "remote_direction": INBOUND,
        "call_flow_logic": default_flow,
        "created_at": moment,
        "updated_at": moment,
        "_version": 1,
        **event.report.fields,
        **({ENDED_AT: moment} if event.report.status in FINAL else {}),
    }


def _new_contact(msisdn: str) -> Document:
    moment = now()
    return {"msisdn": msisdn, "metadata": {}, "created_at": moment, "updated_at": moment, "_version": 1}
