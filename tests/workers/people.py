"""People in callouts, and their calls, as they are stored: for what is worked out of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from scfm.models.plan import with_defaults
from scfm.storage.query import Document
from scfm.storage.store import Store

NOW = datetime(2026, 4, 14, 3, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PLAN = {"audience": {}, "retry": {"max_attempts": 3, "delays": [300, 900]}}
# A call that the provider has accepted, and one that it has refused.
SENT: Document = {"remotely_queued_at": NOW, "remote_call_id": "CA1"}
REJECTED: Document = {"status": "errored", "remotely_queued_at": NOW, "_ended": NOW}


def plan(**changed: Any) -> Document:
    """A plan with its defaults that calls up to three times, after 5 and 15 minutes; CHANGED replaces parts of it."""
    return with_defaults({**PLAN, **changed})


def callout(status: str = "running", **fields: Any) -> Document:
    """A callout; with ``plan`` one that has it."""
    return {"_id": 1, "status": status, "metadata": {}, "call_flow_logic": None, "plan": None, **fields}


def call(number: int = 1, status: str = "queued", **fields: Any) -> Document:
    """A call of the participation 1: it has ended, if at all, at NOW."""
    ended = (
        {"_ended": NOW} if status in ("completed", "busy", "not_answered", "failed", "canceled", "errored") else {}
    )
    return {
        "_id": number,
        "callout_participation_id": 1,
        "status": status,
        "remote_call_id": None,
        "remotely_queued_at": None,
        "updated_at": NOW,
        "answered_by": None,
        "duration": None,
        **ended,
        **fields,
    }


async def insert(store: Store, account_id: int, collection: str, *documents: Document) -> None:
    """Store documents, complete enough to be counted and shown."""
    stamps = {"created_at": NOW, "updated_at": NOW, "_version": 1}
    for document in documents:
        await store.for_account(account_id).insert(collection, {"metadata": {}, **document, **stamps})


async def participation(store: Store, participation_id: int = 1) -> Document:
    """A participation as it is stored."""
    return (await store.all_tenants.find("callout_participations", {"_id": participation_id}))[0]
