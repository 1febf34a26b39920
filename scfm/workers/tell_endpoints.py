"""Makes deliveries of what has happened, for the webhook endpoints that want to be told of it.

An event waits in the document that it is about (``models/webhook_event``). Its deliveries are stored first, and then
it is removed from there. A process that is cut off in between leaves it to be done again: a unique index takes each
delivery once.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from scfm.clock import now
from scfm.models import references
from scfm.models.account import ACCOUNTS
from scfm.models.audio_file import AUDIO_FILES
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.opt_out import OPT_OUTS
from scfm.models.resource import Resource
from scfm.models.webhook_delivery import DELIVERY_COLLECTION, WEBHOOK_DELIVERIES, body_of_event, new_delivery
from scfm.models.webhook_event import TO_TELL, TO_TELL_AT, UntoldEvent
from scfm.models.webhook_queue import ENABLED, ENDPOINT_COLLECTION, WebhookEndpointDocument, waits_for
from scfm.runtime.time_slice import TimeSlice
from scfm.storage.query import Document, owner_field
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from scfm.workers.runner import Job

# Whose documents have events.
TOLD_OF: Final[tuple[Resource, ...]] = (CALLOUTS, CALLOUT_PARTICIPATIONS, OPT_OUTS, ACCOUNTS, AUDIO_FILES)
EVENT_WAITING: Final[Document] = {TO_TELL_AT: {"$exists": True}}
# How many documents are looked at in one go, and how many of them are read whole: one may have a megabyte.
MAX_UNTOLD, MAX_TOLD_TOGETHER = 1000, 50
# What another process has left is looked for so often; this one's own events wake the job.
TELL_LOOK_SECONDS = 2.0


@dataclass
class Untold:
    """Documents of one resource and one account, by id, with their events that are not told yet."""

    resource: Resource
    account_id: int
    events: dict[int, list[UntoldEvent]] = field(default_factory=dict)


class TellEndpoints(Job):
    """Takes all events that it finds; what is not done stays where it is, so it needs no lease."""

    name = "tell endpoints"
    slots = 1

    def __init__(self, store: Store, wake_deliveries: Callable[[], None]) -> None:
        """WAKE_DELIVERIES is called when there are some to be sent."""
        self._store = store
        self._wake_deliveries = wake_deliveries
        self._woken = True
        self._looked_at = 0.0
        store.written.watch(TO_TELL, self._event_written)

    def _event_written(self) -> None:
        self._woken = True
        self.wake()

    async def claim(self, limit: int) -> Sequence[list[Untold]]:
        """All events that wait, as one piece of work."""
        if not self._woken and time.monotonic() - self._looked_at < TELL_LOOK_SECONDS:
            return []
        self._woken, self._looked_at = False, time.monotonic()
        found = await asyncio.gather(*(self._untold_of(resource) for resource in TOLD_OF))
        untold = [one for some in found for one in some]
        return [untold] if untold else []

    async def _untold_of(self, resource: Resource) -> list[Untold]:
        """The events that have waited for longest in documents of RESOURCE, by account."""
        found = await self._store.all_tenants.find(
            resource.collection,
            EVENT_WAITING,
            fields=["account_id", TO_TELL],
            sort=[(TO_TELL_AT, 1)],
            limit=MAX_UNTOLD,
        )
        if len(found) == MAX_UNTOLD:
            self._woken = True
        by_account: dict[int, Untold] = {}
        for document in found:
            account_id = document[owner_field(resource.collection)]
            untold = by_account.setdefault(account_id, Untold(resource, account_id))
            untold.events[document["_id"]] = document[TO_TELL]
        return list(by_account.values())

    async def process(self, item: list[Untold]) -> None:
        for untold in item:
            if await tell(self._store.for_account(untold.account_id), untold):
                self._wake_deliveries()


async def tell(view: TenantView, untold: Untold) -> bool:
    """Store the deliveries of these events, and then remove the events; whether there is an endpoint for them.

    Raises Unavailable.
    """
    types = {event["type"] for events in untold.events.values() for event in events}
    endpoints = await view.find(ENDPOINT_COLLECTION, {"status": ENABLED, "event_types": {"$in": sorted(types)}})
    ids = list(untold.events)
    if endpoints:
        for begin in range(0, len(ids), MAX_TOLD_TOGETHER):
            await _store_deliveries(view, untold, ids[begin : begin + MAX_TOLD_TOGETHER], endpoints)
    told = [event["id"] for events in untold.events.values() for event in events]
    documents, collection = {"_id": {"$in": ids}}, untold.resource.collection
    nothing_else: Document = {TO_TELL: {"$not": {"$elemMatch": {"id": {"$nin": told}}}}}
    removed = await view.update_many(collection, {**documents, **nothing_else}, {"$unset": {TO_TELL: ""}})
    if removed < len(ids):  # something else has happened meanwhile in some of them
        left = {**documents, TO_TELL: {"$exists": True}}
        await view.update_many(collection, left, {"$pull": {TO_TELL: {"id": {"$in": told}}}})
    return bool(endpoints)


async def _store_deliveries(
    view: TenantView, untold: Untold, ids: Sequence[int], endpoints: Sequence[WebhookEndpointDocument]
) -> None:
    """Store the deliveries to ENDPOINTS of the events in the documents with these IDS; the events stay there."""
    time_slice = TimeSlice()
    bodies: list[tuple[UntoldEvent, str]] = []
    for event, data in await _shown(view, untold, ids):
        bodies.append((event, body_of_event(event, data)))
        await time_slice.pause()
    wanted: Mapping[int, list[tuple[UntoldEvent, str]]] = {
        endpoint["_id"]: [one for one in bodies if one[0]["type"] in endpoint["event_types"]]
        for endpoint in endpoints
    }
    moment = now()
    for endpoint in endpoints:
        events = wanted[endpoint["_id"]]
        if not events:
            continue
        delivery_ids = await view.counters.ids(WEBHOOK_DELIVERIES.kind).allocate(len(events))
        rows = [
            new_delivery(number, endpoint, event, body, moment)
            for number, (event, body) in zip(delivery_ids, events, strict=True)
        ]
        await view.insert_many(DELIVERY_COLLECTION, rows)
    endpoint_ids = [endpoint["_id"] for endpoint in endpoints if wanted[endpoint["_id"]]]
    await view.update_many(ENDPOINT_COLLECTION, *waits_for(endpoint_ids, moment))
    # One that has been deleted meanwhile may have left its deliveries before these came.
    if gone := set(endpoint_ids) - await references.live_ids(view, ENDPOINT_COLLECTION, endpoint_ids):
        told = {"webhook_endpoint_id": {"$in": sorted(gone)}, "webhook_id": {"$in": [one["id"] for one, _ in bodies]}}
        await view.remove(DELIVERY_COLLECTION, told)


async def _shown(view: TenantView, untold: Untold, ids: Sequence[int]) -> list[tuple[UntoldEvent, Any]]:
    """Each event with what it is about, as the API shows it, with what the event itself has changed."""
    found = await view.find(untold.resource.collection, {"_id": {"$in": list(ids)}})
    events: dict[int, list[UntoldEvent]] = defaultdict(list)
    for document_id in ids:
        events[document_id] = untold.events[document_id]
    pairs = [(event, {**document, **event["shown"]}) for document in found for event in events[document["_id"]]]
    shown = await untold.resource.present(view, [document for _, document in pairs])
    return [(event, data) for (event, _), data in zip(pairs, shown, strict=True)]
