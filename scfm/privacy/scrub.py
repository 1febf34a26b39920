"""Takes what tells of a person out of the documents that are kept for their counts.

A participation keeps its callout, its outcome, its attempts and the figures of its calls; a call keeps its status,
its times and its length. So statistics and results give the same numbers before and after, and an outcome that is
derived anew is the same. Every function may be cut off, done twice, and done by two processes at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from scfm.models.call_lifecycle import FINAL
from scfm.models.call_work import LEASE
from scfm.models.erased import ERASED, erased_name
from scfm.models.stored_documents import CALLS, EVENT_COLLECTION, PARTICIPATIONS
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

# In a message of the provider so many digits may be a phone number.
_MAY_BE_A_NUMBER = re.compile(r"\d{5}")
# Fields of a call that hold what was asked of the provider, what it answered, and what the flow remembers.
EMPTIED_OF_CALL = ("metadata", "remote_request_params", "remote_response", "remote_queue_response")
# A call of which nobody writes anything more but late webhooks, which know it by the provider's id.
CALL_IS_OVER: Document = {"status": {"$in": [status.value for status in FINAL]}, LEASE: None}


async def scrub_calls(view: TenantView, call_ids: Sequence[int]) -> int:
    """Take the person out of those of the calls that are over, and remove their events; how many calls.

    Events go first: while a call has the provider's id, a late webhook finds it, and stores another.
    """
    if not call_ids:
        return 0
    await view.remove(EVENT_COLLECTION, {"phone_call_id": {"$in": list(call_ids)}})
    among = {"_id": {"$in": list(call_ids)}, ERASED: None, **CALL_IS_OVER}
    calls = await view.find(CALLS, among, fields=["remote_call_id", "remote_error_message"], sort=())
    updates: list[tuple[Document, Document]] = []
    for call in calls:
        message, sid = call.get("remote_error_message"), call.get("remote_call_id")
        change: Document = {
            **{name: {} for name in EMPTIED_OF_CALL},
            "msisdn": None,
            "contact_id": None,
            "remote_call_id": None if sid is None else erased_name(call["_id"]),
            "remote_error_message": None if message and _MAY_BE_A_NUMBER.search(message) else message,
            ERASED: True,
        }
        condition = {"_id": call["_id"], ERASED: None, **CALL_IS_OVER}
        updates.append((condition, {"$set": change, "$inc": {"_version": 1}}))
    scrubbed = await view.bulk_update(CALLS, updates)
    # A webhook that found the call just before.
    await view.remove(EVENT_COLLECTION, {"phone_call_id": {"$in": list(call_ids)}})
    return scrubbed


async def scrub_participations(view: TenantView, participation_ids: Sequence[int]) -> int:
    """Take the person out of those of the participations that have one; how many. Their calls are to be over."""
    updates: list[tuple[Document, Document]] = [
        (
            {"_id": one, ERASED: None},
            {
                "$set": {"contact_id": -one, "msisdn": erased_name(one), "metadata": {}, "answers": {}, ERASED: True},
                "$inc": {"_version": 1},
            },
        )
        for one in participation_ids
    ]
    return await view.bulk_update(PARTICIPATIONS, updates)


def recording_urls(value: Any) -> Iterator[str]:
    """The texts that may be URLs of recordings, at any depth of an event's details or of answers."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from recording_urls(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from recording_urls(inner)
    elif isinstance(value, str) and "/Recordings/" in value:
        yield value
