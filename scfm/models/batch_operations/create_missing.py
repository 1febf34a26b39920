"""Create many documents at once, each under a parent that somebody may be deleting meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from scfm.clock import now
from scfm.errors import Unavailable
from scfm.models import renumbering
from scfm.models.references import DELETION_LOOK_SECONDS, MAX_DELETION_LOOKS, confirm_many
from scfm.models.resource import Resource
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

# The children in the range of the parents' ids are read in one go, up to so many a parent; where there are more,
# those of each parent are looked for.
MAX_CHILDREN_PER_PARENT = 2


async def create_missing(
    view: TenantView,
    resource: Resource,
    parents: Sequence[Mapping[str, Any]],
    order_lock: asyncio.Lock,
    *,
    parent_collection: str,
    link: str,
    scope: Document,
    common: Document,
    copy_fields: Sequence[str],
) -> Sequence[Mapping[str, Any]]:
    """Create a document of RESOURCE for each of PARENTS, sorted by id, that has none; the parents that are left out.

    A parent has one if a document with all of SCOPE, by field, holds its id in the field LINK. What is created has
    the fields SCOPE and COMMON, and those of COPY_FIELDS that its parent has: plain values. ORDER_LOCK is held until
    the new ids are taken, so that they come in the order of those who wait for it.

    No document is left whose parent has been deleted, none is missing whose parent has stayed, and none keeps a
    number that a contact had before it was corrected meanwhile. A parent is left out where a unique index refuses
    its document. Raises Unavailable where a deletion does not end.
    """
    began = time.monotonic()
    for _ in range(MAX_DELETION_LOOKS):
        async with order_lock:
            parents = await _without_child(view, resource.collection, parents, link, scope)
            ids = await view.counters.ids(resource.kind).allocate(len(parents)) if parents else range(0)
        if not parents:
            return ()
        rows: list[Document] = [
            {"_id": new_id, link: parent["_id"], **{name: parent[name] for name in copy_fields if name in parent}}
            for new_id, parent in zip(ids, parents, strict=True)
        ]
        moment = now()
        stamps = {"created_at": moment, "updated_at": moment, "_version": 1}
        refused_ids = await view.insert_many(resource.collection, rows, {**common, **scope, **stamps})
        left_out = [parent for row, parent in zip(rows, parents, strict=True) if row["_id"] in refused_ids]
        created = [{**scope, **row} for row in rows if row["_id"] not in refused_ids]
        all_stay, _ = await asyncio.gather(
            confirm_many(resource, view, created, time.monotonic() - began),
            renumbering.propagate_to_created(view, {row["contact_id"] for row in created}),
        )
        if all_stay:
            return left_out
        await asyncio.sleep(DELETION_LOOK_SECONDS)
        # One that is still marked may stay: it is looked at again.
        among = {"_id": {"$in": [parent["_id"] for parent in parents]}}
        there = {parent["_id"] for parent in await view.find(parent_collection, among, fields=["_id"], sort=())}
        parents = [parent for parent in parents if parent["_id"] in there]
    raise Unavailable("a deletion does not end")


async def _without_child(
    view: TenantView, collection: str, parents: Sequence[Mapping[str, Any]], link: str, scope: Document
) -> Sequence[Mapping[str, Any]]:
    if not parents:
        return []
    # The fields of SCOPE, the link and the account are in one index: no document need be read.
    projection = {link: 1, "_id": 0}
    in_range = {**scope, link: {"$gte": parents[0]["_id"], "$lte": parents[-1]["_id"]}}
    limit = MAX_CHILDREN_PER_PARENT * len(parents)
    children = await view.find(collection, in_range, fields=projection, sort=(), limit=limit)
    if len(children) == limit:
        of_parents = {**scope, link: {"$in": [parent["_id"] for parent in parents]}}
        children = await view.find(collection, of_parents, fields=projection, sort=())
    with_child = {child[link] for child in children}
    return [parent for parent in parents if parent["_id"] not in with_child] if with_child else parents
