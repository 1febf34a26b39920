"""Recordings that a provider is still to delete: written down before what leads to them is removed here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, TypedDict

from scfm.clock import now
from scfm.storage.errors import DuplicateKey
from scfm.storage.index import Index
from scfm.storage.query import CollectionName
from scfm.storage.tenant_view import TenantView


class DoomedRecording(TypedDict):
    """``_id`` is a digest of the account and the URL. ``due``: when it is tried next; ``tries``: how often it was."""

    _id: str
    account_id: int
    url: str
    due: datetime
    tries: int


DOOMED_RECORDINGS: Final = CollectionName[DoomedRecording]("doomed_recordings")
DOOMED_RECORDING_INDEXES: Final = (Index("due"),)
# How long one process has one to itself: longer than a request to a provider takes.
DOOM_LEASE = timedelta(minutes=10)


async def doom_recordings(view: TenantView, urls: Iterable[str]) -> None:
    """Have the job ``DeleteRecordings`` delete the recordings at URLS; raises Unavailable."""
    for url in urls:
        name = hashlib.sha256(f"{view.account_id}\0{url}".encode("utf-8", "surrogatepass")).hexdigest()
        with suppress(DuplicateKey):  # it is known already
            await view.insert(DOOMED_RECORDINGS, {"_id": name, "url": url, "due": now(), "tries": 0})
