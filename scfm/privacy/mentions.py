"""Takes persons out of what tells of requests and events: stored answers, deliveries to endpoints, audit events."""

from __future__ import annotations

import re
from collections.abc import Collection, Set
from contextlib import aclosing
from typing import Final

import orjson

from scfm.models import idempotency
from scfm.models.audit_trail import AUDIT_COLLECTION
from scfm.models.contact import CONTACTS
from scfm.models.webhook_delivery import DELIVERY_COLLECTION
from scfm.runtime.time_slice import TimeSlice
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView

# What an audit event tells of a person who was erased in place of the changes.
ERASED_CHANGES: Final[Document] = {"erased": [None, True]}
# A retry of the request is told that what it has made is gone; it is not carried out again.
GONE: Final = {"status": 410, "body": b'{"status":410,"error":"Gone"}', "location": None}
# As stored numbers are written, wherever they stand.
_DIGITS: Final = re.compile(rb"\d+")


async def forget_mentions(view: TenantView, contact_ids: Set[int], msisdns: Collection[str]) -> None:
    """Take out what names one of the contacts, or holds one of the numbers in its digits; raises Unavailable.

    All answers, deliveries and events of the account are read for it, as numbers stand anywhere in them.
    """
    digits = {msisdn.lstrip("+").encode() for msisdn in msisdns}
    await _forget_answers(view, digits)
    await _forget_deliveries(view, digits)
    await _forget_changes(view, contact_ids, digits)


async def _forget_answers(view: TenantView, digits: Set[bytes]) -> None:
    """Replace the stored answers to requests that hold a number; they are kept for a day."""
    answered = Query(idempotency.COLLECTION, ({"answer": {"$exists": True}},))
    time_slice = TimeSlice()
    async with aclosing(view.list_of(answered).pieces(["answer.body"], after="")) as pieces:
        async for records in pieces:
            found = []
            for record in records:
                if not digits.isdisjoint(_DIGITS.findall(record["answer"]["body"])):
                    found.append(record["_id"])
                await time_slice.pause()
            if found:
                await view.update_many(idempotency.COLLECTION, {"_id": {"$in": found}}, {"$set": {"answer": GONE}})


async def _forget_deliveries(view: TenantView, digits: Set[bytes]) -> None:
    """Empty what webhook endpoints were told, or are still to be told, of the persons, and what they answered."""
    time_slice = TimeSlice()
    async with aclosing(view.list_of(Query(DELIVERY_COLLECTION)).pieces(["_body", "attempts"])) as pieces:
        async for deliveries in pieces:
            updates: list[tuple[Document, Document]] = []
            for delivery in deliveries:
                answers = "\n".join(attempt["answer"] for attempt in delivery["attempts"])
                told = f"{delivery['_body']}\n{answers}".encode("utf-8", "replace")
                if not digits.isdisjoint(_DIGITS.findall(told)):
                    body = {**orjson.loads(delivery["_body"]), "data": {"erased": True}}
                    change: Document = {"_body": orjson.dumps(body).decode(), "attempts.$[].answer": ""}
                    updates.append(({"_id": delivery["_id"]}, {"$set": change, "$inc": {"_version": 1}}))
                await time_slice.pause()
            await view.bulk_update(DELIVERY_COLLECTION, updates)


async def _forget_changes(view: TenantView, contact_ids: Set[int], digits: Set[bytes]) -> None:
    """Empty the changes of the audit events of the contacts, and of those that hold a number anywhere in them."""
    telling = Query(AUDIT_COLLECTION, ({"changes": {"$nin": [{}, ERASED_CHANGES]}},))
    time_slice = TimeSlice()
    async with aclosing(view.list_of(telling).pieces(["subject", "changes"])) as pieces:
        async for events in pieces:
            found = []
            for event in events:
                about = event["subject"]["type"] == CONTACTS.kind and event["subject"]["id"] in contact_ids
                if about or not digits.isdisjoint(_DIGITS.findall(orjson.dumps(event["changes"], default=str))):
                    found.append(event["_id"])
                await time_slice.pause()
            if found:
                erased: Document = {"$set": {"changes": ERASED_CHANGES}}
                await view.update_many(AUDIT_COLLECTION, {"_id": {"$in": found}}, erased)
