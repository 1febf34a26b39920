"""Everything that is stored of one person, as one JSON object, made some documents at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import orjson

from scfm.clock import iso, now
from scfm.models.audit_event import AUDIT_EVENTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.contact import CONTACTS
from scfm.models.opt_out import OPT_OUTS
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.remote_phone_call_event import REMOTE_PHONE_CALL_EVENTS
from scfm.models.renumbering import former_msisdns
from scfm.models.resource import Resource
from scfm.models.stored_documents import CALLS, PARTICIPATIONS, ContactDocument
from scfm.privacy.scrub import recording_urls
from scfm.runtime.time_slice import TimeSlice
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView

# Of a person with more calls than these, audit events of the first are looked for.
MAX_SUBJECTS = 10_000


async def person_export(view: TenantView, contact: ContactDocument) -> AsyncGenerator[bytes, None]:
    """The parts of the JSON; raises Unavailable, Overloaded.

    ``contact`` with what call flows remember, ``former_msisdns`` of the last hour, and the person's ``opt_outs``,
    ``callout_participations``, ``phone_calls``, ``remote_phone_call_events`` and ``audit_events`` as lists show them;
    ``recordings`` are the URLs of what the provider keeps of the person's voice.
    """
    contact_id, msisdn = contact["_id"], contact["msisdn"]
    head = {
        "exported_at": iso(now()),
        "contact": CONTACTS.show({**contact}),
        "former_msisdns": former_msisdns(contact),
    }
    yield orjson.dumps(head)[:-1]
    urls: dict[str, None] = {}
    of_contact: Document = {"contact_id": contact_id}
    calls: Document = {"$or": [of_contact, {"contact_id": None, "msisdn": msisdn}]}
    lists: tuple[tuple[Resource, Document], ...] = (
        (OPT_OUTS, {"msisdn": msisdn}),
        (CALLOUT_PARTICIPATIONS, of_contact),
        (PHONE_CALLS, calls),
        (REMOTE_PHONE_CALL_EVENTS, of_contact),
        (AUDIT_EVENTS, await _about(view, contact_id, calls)),
    )

    def note(shown: Document) -> None:
        urls.update(dict.fromkeys(recording_urls([shown.get("answers"), shown.get("details")])))

    for resource, condition in lists:
        async with aclosing(_listed(view, resource, condition, note)) as parts:
            async for part in parts:
                yield part
    yield b',"recordings":' + orjson.dumps([*urls]) + b"}"


async def _about(view: TenantView, contact_id: int, calls: Document) -> Document:
    """The condition on the audit events of what is the person's."""
    of_contact = {"contact_id": contact_id}
    participations = await view.find(PARTICIPATIONS, of_contact, fields=["_id"], sort=(), limit=MAX_SUBJECTS)
    of_person = await view.find(CALLS, calls, fields=["_id"], sort=(), limit=MAX_SUBJECTS)
    subjects: list[tuple[str, list[int]]] = [
        (CONTACTS.kind, [contact_id]),
        (CALLOUT_PARTICIPATIONS.kind, [one["_id"] for one in participations]),
        (PHONE_CALLS.kind, [one["_id"] for one in of_person]),
    ]
    return {"$or": [{"subject.type": kind, "subject.id": {"$in": ids}} for kind, ids in subjects]}


async def _listed(
    view: TenantView, resource: Resource, condition: Document, note: Callable[[Document], Any]
) -> AsyncGenerator[bytes, None]:
    """A name and the array of the documents that fit; NOTE is told of each, as it is shown."""
    yield f',"{resource.collection}":['.encode()
    separator, time_slice = b"", TimeSlice()
    async with aclosing(view.list_of(Query(resource.collection, (condition,))).pieces()) as pieces:
        async for documents in pieces:
            part = bytearray()
            for shown in await resource.present(view, documents):
                note(shown)
                part += separator + orjson.dumps(shown)
                separator = b","
                await time_slice.pause()
            yield bytes(part)
    yield b"]"
