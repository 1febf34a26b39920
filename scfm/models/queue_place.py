"""Where a call waits among those of its account: by the priority, and the limits, of its callout's plan."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from scfm.models.call_work import LANE, RANK
from scfm.models.plan import DEFAULT_PRIORITY, MAX_PRIORITY
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView


def queue_place(callout: Mapping[str, Any] | None) -> Document:
    """By field, the place of the calls of a callout, None for calls of none, while they are queued."""
    plan = (callout or {}).get("plan") or {}
    place: Document = {RANK: MAX_PRIORITY - plan.get("priority", DEFAULT_PRIORITY)}
    if callout is not None and (plan.get("calls_per_second") or plan.get("calls_in_flight")):
        place[LANE] = callout["_id"]
    return place


async def queue_places(view: TenantView, callout_ids: Collection[int | None]) -> dict[int | None, Document]:
    """The place of each callout's calls, by the callout's id."""
    among = {"_id": {"$in": sorted(callout_id for callout_id in callout_ids if callout_id is not None)}}
    found = await view.find("callouts", among, fields=["plan"], sort=()) if among["_id"]["$in"] else []
    callouts = {callout["_id"]: callout for callout in found}
    return {callout_id: queue_place(callouts.get(callout_id or 0)) for callout_id in callout_ids}


def by_place(places: Mapping[int | None, Document]) -> Iterable[tuple[Document, set[int | None]]]:
    """Each of the places once, with the ids of the callouts whose it is."""
    of_place: dict[tuple[Any, ...], set[int | None]] = {}
    for callout_id, place in places.items():
        of_place.setdefault(tuple(place.items()), set()).add(callout_id)
    return ((dict(place), callout_ids) for place, callout_ids in of_place.items())
