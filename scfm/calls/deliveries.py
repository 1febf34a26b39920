"""Webhooks that are delivered more than once: one event, one step of the flow, and the first answer for all of them.

The provider names a delivery in ``I-Twilio-Idempotency-Token``. Its event keeps, for a day, what the delivery comes
to::

    _delivery: {token, at, answer, changes: [collections], before, versions, replies, saved: [collections]}

The event is stored before the flow's memory is saved, with the answer of that turn and which documents it changes;
``before`` is the call's memory before it, if it changes both. Each save is a compare-and-set that leaves the event's
id in ``_turns`` of the document, in the same write. So whoever finds the token taken can tell how far the delivery
has come, and carries out what is missing, whether its process has died or is still at it: of two that save the same
step, only one succeeds, and the other sees the mark. What the person has replied is saved after the memories, as the
event has it: see ``save_replies``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, cast

from scfm.clock import now
from scfm.errors import Unavailable
from scfm.models.stored_documents import EVENT_COLLECTION, DeliveryDocument, EventDocument, StoredDocument
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

FIELD: Final = "_delivery"
TURNS: Final = "_turns"
KEPT = timedelta(hours=24)
MAX_DELIVERY_TOKEN = 64
# Marks in one document. Before there are more, their events note what is saved, and the marks are dropped.
MAX_TURN_MARKS = 16


def token_key(token: str) -> str | None:
    """What a delivery's token is kept as; None for an empty one. A long one is kept as its digest."""
    if len(token) <= MAX_DELIVERY_TOKEN:
        return token or None
    return "sha256:" + hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class TakenTurn:
    """A turn that was taken: its answer, and the collections in which it changes a document.

    ``before`` is the call's memory before it, ``versions`` those of the documents that it was taken on, by
    collection. ``replies`` are what the person has replied: see ``Replies.document``.
    """

    answer: str
    changes: Collection[str] = ()
    before: dict[str, Any] | None = None
    versions: Mapping[str, int] = field(default_factory=dict)
    replies: Document = field(default_factory=dict)

    def document(self) -> Document:
        """As the event keeps it."""
        before = self.before if len(self.changes) > 1 else None
        return {
            "answer": self.answer,
            "changes": list(self.changes),
            "before": before,
            "versions": {**self.versions},
            "replies": self.replies,
        }


def delivery(token: str, taken: TakenTurn) -> DeliveryDocument:
    """What the event of a first delivery keeps."""
    return cast(DeliveryDocument, {"token": token, "at": now(), "saved": [], **taken.document()})


async def find_event(view: TenantView, token: str) -> EventDocument | None:
    """The event of a delivery within the account that VIEW sees, or None."""
    return await view.find_one(EVENT_COLLECTION, {"_delivery.token": token})


async def reread_event(view: TenantView, event: EventDocument) -> EventDocument:
    """The event as it is now. Raises Unavailable if it has been taken back."""
    found = await find_event(view, event[FIELD]["token"])
    if found is None or found["_id"] != event["_id"]:
        raise Unavailable(f"the event of a delivery, {event['_id']}, has been taken back")
    return found


async def replace_turn(view: TenantView, event: EventDocument, taken: TakenTurn) -> None:
    """The turn had to be taken again, on changed documents: keep what it comes to now, before it is saved.

    What it has come to on later versions of them stays: then this turn will not be saved.
    """
    older = {f"{FIELD}.versions.{name}": {"$lte": version} for name, version in taken.versions.items()}
    change = {f"{FIELD}.{name}": value for name, value in taken.document().items()}
    await view.update_batched(
        EVENT_COLLECTION, event["_id"], {"_delivery.token": event[FIELD]["token"], **older}, {"$set": change}
    )


def unsaved_collections(event: EventDocument, documents: Mapping[str, StoredDocument | None]) -> list[str]:
    """The collections in whose document, of DOCUMENTS as they are now, the delivery's turn is not saved yet."""
    return [
        name
        for name in event[FIELD]["changes"]
        if (document := documents[name]) is None or not is_saved(event, name, document)
    ]


def is_saved(event: EventDocument, collection: str, document: StoredDocument) -> bool:
    """Whether what the delivery changes in the document of a collection has been saved there."""
    return event["_id"] in document.get(TURNS, ()) or collection in event[FIELD]["saved"]


async def turns_with(view: TenantView, collection: str, document: StoredDocument, event_id: int) -> list[int]:
    """The marks of a document with one more; those that are dropped for it are noted in their events first."""
    marks = [one for one in document.get(TURNS, ()) if one != event_id]
    if len(marks) >= MAX_TURN_MARKS:
        await note_saved(view, marks, collection)
        marks = []
    return [*marks, event_id]


async def note_saved(view: TenantView, event_ids: list[int], collection: str) -> None:
    """Note in the events that what their deliveries change in a document of the collection has been saved."""
    events = {"_id": {"$in": event_ids}, "_delivery.token": {"$exists": True}}
    await view.update_many(EVENT_COLLECTION, events, {"$addToSet": {f"{FIELD}.saved": collection}})


async def forget_old(view: TenantView, limit: int) -> int:
    """Drop what is kept of deliveries that are more than a day old, of at most LIMIT of them; how many there were."""
    old = {"_delivery.at": {"$lt": now() - KEPT}}
    found = await view.find(EVENT_COLLECTION, old, fields=["account_id"], sort=[("_delivery.at", 1)], limit=limit)
    if found:
        these = {name: {"$in": [event[name] for event in found]} for name in ("account_id", "_id")}
        await view.update_many(EVENT_COLLECTION, {**these, **old}, {"$unset": {FIELD: ""}})
    return len(found)
