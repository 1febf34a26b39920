"""A provider's webhook is kept as an event of its phone call, as long as the call stays."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import cast

from scfm.calls.call_event import CallEvent
from scfm.clock import now
from scfm.errors import Invalid
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.references import confirm, insert_unconfirmed, missing_reference, withdraw
from scfm.models.remote_phone_call_event import REMOTE_PHONE_CALL_EVENTS
from scfm.models.stored_documents import EVENT_COLLECTION, EventDocument, PhoneCallDocument
from scfm.storage.errors import DuplicateKey
from scfm.storage.tenant_view import TenantView


def event_document(event: CallEvent, call: PhoneCallDocument, flow: str, event_id: int) -> EventDocument:
    """An event of a call, as it is stored under EVENT_ID."""
    moment = now()
    return {
        "_id": event_id,
        "phone_call_id": call["_id"],
        "callout_participation_id": call["callout_participation_id"],
        "contact_id": call["contact_id"],
        "callout_id": call["callout_id"],
        "details": dict(event.details),
        "metadata": {},
        "remote_call_id": event.sid,
        "remote_direction": event.direction or call["remote_direction"],
        "call_flow_logic": flow,
        "created_at": moment,
        "updated_at": moment,
        "_version": 1,
    }


async def record_with_new_call(
    view: TenantView, document: EventDocument, call: PhoneCallDocument
) -> EventDocument | None:
    """Store the event that has made an inbound call; None where the call does not stand.

    Then neither is kept. Raises DuplicateKey for a delivery whose event is there.
    """
    kept, missing = await asyncio.gather(
        insert_unconfirmed(REMOTE_PHONE_CALL_EVENTS, view, document),
        missing_reference(PHONE_CALLS, view, call),
        return_exceptions=True,
    )
    if isinstance(kept, BaseException):
        raise kept
    if isinstance(missing, BaseException):
        raise missing
    if missing is None:
        return cast(EventDocument, kept)
    await withdraw(REMOTE_PHONE_CALL_EVENTS, view, kept["_id"])
    with suppress(Invalid, DuplicateKey):
        await confirm(PHONE_CALLS, view, {**call})  # which may make it anew, once it stands
    return None


async def withdraw_new_call(view: TenantView, call: PhoneCallDocument) -> None:
    """Take an inbound call back that no event is kept of."""
    if not await view.exists(EVENT_COLLECTION, {"phone_call_id": call["_id"]}):
        await withdraw(PHONE_CALLS, view, call["_id"])
