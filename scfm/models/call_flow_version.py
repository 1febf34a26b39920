"""The versions of a call flow, which never change.

A version is a document of its own, which its flow names in ``VERSIONS``, hidden, the oldest first. A document that no
flow names was left by a publish that came to nothing, and is no version.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypedDict

from scfm.clock import iso
from scfm.storage.index import Index
from scfm.storage.query import CollectionName, Document
from scfm.storage.tenant_view import TenantView

# With ``_id``, so that what is left over is found without reading the versions, of a quarter of a megabyte each.
VERSION_INDEXES = (Index("account_id", "call_flow_id", "_id"),)
# In a flow: ``[{version, document}]``, the number from 1 and the ``_id`` of the version's document.
VERSIONS = "_versions"


class VersionDocument(TypedDict):
    """A version as it is stored: ``audio`` maps the names of audio files to their paths as they were then.

    ``_id`` is a random text. ``published_by`` says who published it.
    """

    _id: str
    account_id: int
    call_flow_id: int
    definition: Document
    audio: dict[str, str]
    published_at: Any
    published_by: str


VERSION_COLLECTION: Final = CollectionName[VersionDocument]("call_flow_versions")


def version_id(flow: Document, version: int) -> str | None:
    """The ``_id`` of the document of one of the flow's versions, None for one that there is not."""
    return next((str(one["document"]) for one in reversed(flow[VERSIONS]) if one["version"] == version), None)


async def read_versions(view: TenantView, ids: Sequence[str]) -> dict[str, VersionDocument]:
    """By their ids, the documents of versions. Raises Unavailable."""
    found = await view.find(VERSION_COLLECTION, {"_id": {"$in": list(ids)}}, sort=())
    return {version["_id"]: version for version in found}


async def shown_versions(view: TenantView, named: Sequence[Document]) -> list[Document]:
    """Versions, as their flow names them in ``VERSIONS``, as a client sees them. Raises Unavailable."""
    stored = await read_versions(view, [one["document"] for one in named])
    return [_shown(one["version"], stored[one["document"]]) for one in named if one["document"] in stored]


def _shown(version: int, stored: VersionDocument) -> Document:
    published_at = iso(stored["published_at"])
    shown = {"version": version, "definition": stored["definition"]}
    return {**shown, "published_at": published_at, "published_by": stored["published_by"]}
