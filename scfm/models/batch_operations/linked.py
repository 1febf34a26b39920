"""Making many documents at once, each under a parent that somebody may be deleting meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from scfm.clock import now
from scfm.errors import Unavailable
from scfm.models.query import Document
from scfm.models.resource import Resource
from scfm.models.store import DELETE_LOOK_SECONDS, DELETE_LOOKS, View

Build = Callable[[Document], Document]


async def make_missing(
    view: View,
    resource: Resource,
    parents: Sequence[Document],
    *,
    parent_collection: str,
    link: str,
    among: Document,
    build: Build,
) -> None:
    """For each of PARENTS that no document of RESOURCE names in LINK, AMONG those that fit, make one.

    BUILD makes the document's own fields from its parent. A document that a unique index refuses is left out.
    No document is left behind whose parent has gone, and none is missing whose parent has stayed.
    """
    for _ in range(DELETE_LOOKS):
        parents = await _without(view, resource.collection, parents, link, among)
        if not parents:
            return
        made = await _insert(view, resource, [{link: parent["_id"], **build(parent)} for parent in parents])
        if await resource.keep_standing(view, made):
            return
        await asyncio.sleep(DELETE_LOOK_SECONDS)
        numbers = [parent["_id"] for parent in parents]
        left = await view.find(parent_collection, {"_id": {"$in": numbers}}, fields=["_id"], sort=())
        remaining = {parent["_id"] for parent in left}
        parents = [parent for parent in parents if parent["_id"] in remaining]
    raise Unavailable("a deletion does not end")


async def _without(
    view: View, collection: str, parents: Sequence[Document], link: str, among: Document
) -> list[Document]:
    if not parents:
        return []
    condition = {**among, link: {"$in": [parent["_id"] for parent in parents]}}
    found = await view.find(collection, condition, fields=[link], sort=())
    has = {document[link] for document in found}
    return [parent for parent in parents if parent["_id"] not in has]


async def _insert(view: View, resource: Resource, documents: Sequence[Document]) -> list[Document]:
    numbers = await view.store.new_ids(resource.kind, len(documents))
    moment = now()
    numbered = [
        {"_id": number, **document, "created_at": moment, "updated_at": moment, "_version": 1}
        for number, document in zip(numbers, documents, strict=True)
    ]
    refused = await view.insert_many(resource.collection, numbered)
    return [document for document in numbered if document["_id"] not in refused]
