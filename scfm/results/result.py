"""What became of each person of a callout, as a client gets it in a file."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TypedDict

import orjson

from scfm.clock import iso
from scfm.models.erased import shown_link, shown_msisdn
from scfm.models.merge import without_memory
from scfm.models.outcome import Outcome
from scfm.models.stored_documents import CONTACT_COLLECTION
from scfm.storage.large_page import MAX_PIECE
from scfm.storage.query import Document, Query
from scfm.storage.tenant_list import MIN_PIECE
from scfm.storage.tenant_view import TenantView

# What is read of a participation.
FIELDS = (
    "contact_id",
    "msisdn",
    "outcome",
    "outcome_reason",
    "attempts",
    "last_attempt_at",
    "answers",
    "_first_attempt_at",
    "_duration",
)


class Result(TypedDict):
    """One person, in the order of a row and of a line of JSON.

    ``metadata``: the contact's, without what call flows remember. ``duration``: seconds of the answered call.
    """

    contact_id: int | None
    msisdn: str | None
    metadata: Document
    outcome: str
    outcome_reason: str | None
    attempts: int
    first_attempt_at: str | None
    last_attempt_at: str | None
    duration: int | None
    answers: Document


async def results(view: TenantView, query: Query) -> AsyncGenerator[list[Result], None]:
    """The results of the participations that QUERY finds, by id, some at a time; raises Unavailable, Overloaded.

    So many contacts are asked for at a time as have about MAX_PIECE bytes of metadata, by the size of those before.
    """
    count = MIN_PIECE
    async for participations in view.list_of(query).pieces(FIELDS):
        while some := participations[:count]:
            del participations[:count]
            metadata = await _metadata(view, [participation["contact_id"] for participation in some])
            size = len(orjson.dumps([*metadata.values()]))
            count = max(1, min(4 * count, len(some) * MAX_PIECE // size))
            yield [_result(participation, metadata) for participation in some]


async def _metadata(view: TenantView, contact_ids: Sequence[int]) -> dict[int, Document]:
    """By the contact's id, the metadata of these contacts."""
    condition = {"_id": {"$in": list(contact_ids)}}
    contacts = await view.find(CONTACT_COLLECTION, condition, fields=["metadata"], sort=())
    return {contact["_id"]: without_memory(contact["metadata"]) for contact in contacts}


def _result(participation: Document, metadata: Mapping[int, Document]) -> Result:
    """That of a participation, which may lack what older versions did not store."""
    contact_id = participation["contact_id"]
    return {
        "contact_id": shown_link(contact_id),
        "msisdn": shown_msisdn(participation["msisdn"]),
        "metadata": metadata.get(contact_id, {}),
        "outcome": participation.get("outcome", Outcome.PENDING.value),
        "outcome_reason": participation.get("outcome_reason"),
        "attempts": participation.get("attempts", 0),
        "first_attempt_at": iso(participation.get("_first_attempt_at")),
        "last_attempt_at": iso(participation.get("last_attempt_at")),
        "duration": participation.get("_duration"),
        "answers": participation.get("answers", {}),
    }
