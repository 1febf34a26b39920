"""Compare-and-set: a change of a document that nobody else has changed since it was read."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from scfm.errors import Unavailable
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

# How many of the latest marks a document holds.
MAX_SWAPS = 8


async def compare_and_set(view: TenantView, collection: str, document: Mapping[str, Any], change: Document) -> bool:
    """Set CHANGE (paths to values) in DOCUMENT if nobody has changed it since it was read; whether it was set.

    Each call leaves a mark in the document, as what is written together is not answered one by one. Raises
    Unavailable where others have changed the document so often meanwhile that this cannot be told.
    """
    document_id, version, mark = document["_id"], document.get("_version", 1), secrets.randbits(62)
    update = {
        "$set": {**change, "_version": version + 1},
        "$push": {"_swaps": {"$each": [mark], "$slice": -MAX_SWAPS}},
    }
    bookkeeping = await view.update_batched(collection, document_id, {"_version": version}, update)
    if bookkeeping is None or mark in bookkeeping.get("_swaps", ()):
        return bookkeeping is not None
    if bookkeeping.get("_version", 1) > version + MAX_SWAPS:
        raise Unavailable(f"{collection} {document_id} is changed by too many at a time")
    return False
