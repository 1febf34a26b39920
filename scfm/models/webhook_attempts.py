"""When deliveries are tried, again and again, and what an attempt changes in one: by the background."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Final

from scfm.endpoint_client.client import DeliveryAttempt
from scfm.models.webhook_delivery import (
    ATTEMPT_DUE_AT,
    DELIVERED,
    DELIVERY_COLLECTION,
    FAILED,
    MAX_ATTEMPTS_KEPT,
    PENDING,
    AttemptDocument,
    WebhookDeliveryDocument,
)
from scfm.models.webhook_queue import (
    ENDPOINT_COLLECTION,
    ENDPOINT_DUE,
    ENDPOINT_LEASE_TIME,
    ENDPOINT_LEASED_UNTIL,
    OPEN_UNTIL,
)
from scfm.runtime.http_times import retry_after_seconds
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

# Seconds after each attempt that has failed until the next; after the last there is none.
RETRY_DELAYS: Final = (5, 60, 300, 1800, 7200, 21600, 43200, 86400)
# By chance up to this share is added to each, so that what has failed together is not tried together.
JITTER: Final = 0.1
# The most seconds that an answer may ask to wait, by ``Retry-After``.
MAX_WAIT_ASKED: Final = 86400.0

_CHANCE = random.Random()


def due_deliveries(endpoint_id: int, moment: datetime) -> Document:
    """The deliveries to an endpoint that are due at MOMENT."""
    return {"webhook_endpoint_id": endpoint_id, ATTEMPT_DUE_AT: {"$lte": moment}}


async def next_due(view: TenantView, endpoint_id: int) -> datetime | None:
    """When the next delivery to an endpoint is due; None where none waits."""
    waiting = {"webhook_endpoint_id": endpoint_id, ATTEMPT_DUE_AT: {"$exists": True}}
    found = await view.find(
        DELIVERY_COLLECTION, waiting, fields=[ATTEMPT_DUE_AT], sort=[(ATTEMPT_DUE_AT, 1)], limit=1
    )
    return found[0]["_due"] if found else None


def after_attempt(
    delivery: WebhookDeliveryDocument,
    attempt: DeliveryAttempt,
    began: datetime,
    moment: datetime,
    *,
    gone: bool = False,
) -> tuple[Document, Document]:
    """The condition and the update that store an attempt, begun at BEGAN and over at MOMENT, and what follows.

    GONE: the endpoint is not to be sent to any more, so it is not tried again.
    """
    kept: AttemptDocument = {
        "at": began,
        "response_code": attempt.status,
        "error": attempt.error,
        "duration": round(attempt.seconds, 3),
        "answer": attempt.answer,
    }
    tries = delivery["_tries"] + 1
    change: Document = {"updated_at": moment, "_tries": tries}
    condition: Document = {"_id": delivery["_id"]}
    if attempt.succeeded:
        change |= {"status": DELIVERED, "next_attempt_at": None}
    else:
        condition["status"] = PENDING  # another process may have told it meanwhile
        if gone or tries > len(RETRY_DELAYS):
            change |= {"status": FAILED, "next_attempt_at": None}
        else:
            asked = retry_after_seconds(attempt.retry_after, moment, MAX_WAIT_ASKED) or 0.0
            wait = max(RETRY_DELAYS[tries - 1] * _CHANCE.uniform(1, 1 + JITTER), asked)
            change["next_attempt_at"] = change[ATTEMPT_DUE_AT] = moment + timedelta(seconds=wait)
    push = {"attempts": {"$each": [kept], "$slice": -MAX_ATTEMPTS_KEPT}}
    update: Document = {"$set": change, "$push": push, "$inc": {"_version": 1}}
    return condition, update if ATTEMPT_DUE_AT in change else {**update, "$unset": {ATTEMPT_DUE_AT: ""}}


def bring_back_webhooks(
    moment: datetime, late: datetime, *, everything: bool
) -> list[tuple[str, Document, Document]]:
    """Collections with conditions and fields: what waits for a time after LATE, as the clock was set back, is due.

    EVERYTHING: also what no index finds.
    """
    # The longest wait, with what is added to it by chance.
    late_due = late + timedelta(seconds=MAX_WAIT_ASKED * (1 + JITTER))
    found: list[tuple[str, Document, Document]] = [
        (ENDPOINT_COLLECTION, {ENDPOINT_DUE: {"$gt": late_due}}, {ENDPOINT_DUE: moment})
    ]
    if everything:
        leased = {ENDPOINT_LEASED_UNTIL: {"$gt": late + ENDPOINT_LEASE_TIME}}
        waiting = {"webhook_endpoint_id": {"$gt": 0}, ATTEMPT_DUE_AT: {"$gt": late_due}}
        found += [
            (ENDPOINT_COLLECTION, leased, {ENDPOINT_LEASED_UNTIL: moment}),
            (ENDPOINT_COLLECTION, {OPEN_UNTIL: {"$gt": late_due}}, {OPEN_UNTIL: moment}),
            (DELIVERY_COLLECTION, waiting, {"next_attempt_at": moment, ATTEMPT_DUE_AT: moment}),
        ]
    return found


async def forget_deliveries(view: TenantView, before: datetime, limit: int) -> int:
    """Remove those of the first LIMIT deliveries of all accounts that are from BEFORE that moment; how many."""
    found = await view.find(DELIVERY_COLLECTION, {}, fields=["account_id", "created_at"], limit=limit)
    old = [one for one in found if one["created_at"] < before]
    if not old:
        return 0
    accounts = sorted({one["account_id"] for one in old})
    return await view.remove(
        DELIVERY_COLLECTION, {"account_id": {"$in": accounts}, "_id": {"$in": [one["_id"] for one in old]}}
    )
