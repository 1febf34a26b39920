"""Where a call waits among those of its account: by the priority, and the limits, of its callout's plan."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from scfm.models.call_lifecycle import CallStatus
from scfm.models.call_work import DUE, EXISTS, LANE, RANK
from scfm.models.callout_run import RUN_STARTED_AT
from scfm.models.plan import DEFAULT_PRIORITY, MAX_PRIORITY
from scfm.models.stored_documents import CALLOUT_COLLECTION, CalloutDocument
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView


def queue_place(callout: Mapping[str, Any] | None) -> Document:
    """By field, the place of the calls of a callout, None for calls of none, while they are queued."""
    plan = (callout or {}).get("plan") or {}
    place: Document = {RANK: MAX_PRIORITY - plan.get("priority", DEFAULT_PRIORITY)}
    if callout is not None and (plan.get("calls_per_second") or plan.get("calls_in_flight")):
        place[LANE] = callout["_id"]
    return place


async def read_callouts(view: TenantView, callout_ids: Collection[int | None]) -> dict[int, CalloutDocument]:
    """By id, what the place of their calls depends on: the callouts' plans, and whether they are carried out."""
    among = {"_id": {"$in": sorted(callout_id for callout_id in callout_ids if callout_id is not None)}}
    found = (
        await view.find(CALLOUT_COLLECTION, among, fields=["plan", RUN_STARTED_AT], sort=())
        if among["_id"]["$in"]
        else []
    )
    return {callout["_id"]: callout for callout in found}


def by_place(places: Mapping[int | None, Document]) -> Iterable[tuple[Document, set[int | None]]]:
    """Each of the places once, with the ids of the callouts whose it is."""
    of_place: dict[tuple[Any, ...], set[int | None]] = {}
    for callout_id, place in places.items():
        of_place.setdefault(tuple(place.items()), set()).add(callout_id)
    return ((dict(place), callout_ids) for place, callout_ids in of_place.items())


def place_waiting(callout_id: int, place: Document) -> tuple[Document, Document]:
    """The condition and the update of a callout's calls that wait, when its plan has given them another PLACE."""
    waiting = {"callout_id": callout_id, "status": CallStatus.QUEUED, DUE: EXISTS}
    return waiting, {"$set": place} if LANE in place else {"$set": place, "$unset": {LANE: ""}}
