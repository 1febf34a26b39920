"""Making many documents at once, each under a parent that somebody may be deleting meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from scfm.clock import now
from scfm.errors import Unavailable
from scfm.models import renumbering
from scfm.models.references import DELETION_LOOK_SECONDS, MAX_DELETION_LOOKS, confirm_many
from scfm.models.resource import Resource
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

# So many times as many as are looked for are read in one go before each is looked for by itself.
NEAR = 2


async def make_missing(
    view: TenantView,
    resource: Resource,
    parents: Sequence[Document],
    turn: asyncio.Lock,
    *,
    parent_collection: str,
    link: str,
    among: Document,
    common: Document,
    copied: Sequence[str],
) -> Sequence[Document]:
    """For each of PARENTS, by id, that no document of RESOURCE names in LINK, AMONG those that fit, make one.

    It has the fields AMONG and COMMON, and those COPIED from its parent, where that has them: plain values. TURN is
    held until the new ids are taken, so that they come in the order of those who wait for it. No document is left
    behind whose parent has gone, none is missing whose parent has stayed, and none keeps a number that a contact had
    before it was corrected meanwhile.

    Gives the parents whose document a unique index refused.
    """
    began = time.monotonic()
    for _ in range(MAX_DELETION_LOOKS):
        async with turn:
            parents = await _without(view, resource.collection, parents, link, among)
            numbers = await view.counters.ids(resource.kind).allocate(len(parents)) if parents else range(0)
        if not parents:
            return ()
        rows: list[Document] = [
            {"_id": number, link: parent["_id"], **{name: parent[name] for name in copied if name in parent}}
            for number, parent in zip(numbers, parents, strict=True)
        ]
        moment = now()
        stamps = {"created_at": moment, "updated_at": moment, "_version": 1}
        refused = await view.insert_many(resource.collection, rows, {**common, **among, **stamps})
        left_out = [parent for row, parent in zip(rows, parents, strict=True) if row["_id"] in refused]
        made = [{**among, **row} for row in rows if row["_id"] not in refused]
        stays, _ = await asyncio.gather(
            confirm_many(resource, view, made, time.monotonic() - began),
            renumbering.follow(view, {row["contact_id"] for row in made}),
        )
        if stays:
            return left_out
        await asyncio.sleep(DELETION_LOOK_SECONDS)
        # One that is still marked may stay: it is looked at again.
        these = {"_id": {"$in": [parent["_id"] for parent in parents]}}
        left = {one["_id"] for one in await view.find(parent_collection, these, fields=["_id"], sort=())}
        parents = [parent for parent in parents if parent["_id"] in left]
    raise Unavailable("a deletion does not end")


async def _without(
    view: TenantView, collection: str, parents: Sequence[Document], link: str, among: Document
) -> Sequence[Document]:
    if not parents:
        return []
    # Both fields are in one index, and whose documents they are follows from AMONG: no document need be read.
    all_tenants, names = view.all_tenants, {link: 1, "_id": 0}
    near = {**among, link: {"$gte": parents[0]["_id"], "$lte": parents[-1]["_id"]}}
    most = NEAR * len(parents)
    found = await all_tenants.find(collection, near, fields=names, sort=(), limit=most)
    if len(found) == most:  # there are many more in between
        these = {**among, link: {"$in": [parent["_id"] for parent in parents]}}
        found = await all_tenants.find(collection, these, fields=names, sort=())
    has = {document[link] for document in found}
    return [parent for parent in parents if parent["_id"] not in has] if has else parents
