"""Sends the deliveries that are due to the webhook endpoints that they are for.

A process takes an endpoint (``models/webhook_queue``) and sends what waits for it in rounds of a few requests; what
came of a round is stored before the next begins. A process that dies has its last round sent again by another when
the lease has run out: with the same ``webhook-id``, by which the receiver knows it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

from scfm.clock import now
from scfm.endpoint_client.client import DeliveryAttempt, EndpointClient
from scfm.endpoint_client.signature import signed_headers
from scfm.models.webhook_attempts import MAX_WAIT_ASKED, after_attempt, due_deliveries, next_due
from scfm.models.webhook_delivery import ATTEMPT_DUE_AT, DELIVERY_COLLECTION, WebhookDeliveryDocument
from scfm.models.webhook_endpoint import secrets_in_use
from scfm.models.webhook_queue import (
    ENDPOINT_COLLECTION,
    ENDPOINT_DUE,
    ENDPOINT_GONE,
    ENDPOINT_LEASE_TIME,
    WebhookEndpointDocument,
    after_round,
    disable,
    disabling_reason,
    give_back,
    is_half_open,
    keep,
    may_be_taken,
    take,
)
from scfm.runtime.http_times import retry_after_seconds
from scfm.runtime.secret_box import SecretBox
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from scfm.workers.claims import claim_each
from scfm.workers.runner import Job

log = logging.getLogger("scfm.work")

# Endpoints that one process sends to at once, and requests to one of them, and in all.
MAX_ENDPOINTS_AT_ONCE: Final = 8
MAX_REQUESTS_AT_ONCE: Final = 6
MAX_WEBHOOKS_AT_ONCE: Final = MAX_ENDPOINTS_AT_ONCE * MAX_REQUESTS_AT_ONCE
# After so many seconds an endpoint is given back, so that others get their turn.
TURN_SECONDS: Final = 10.0
NO_SECRET = "has no secret: its key was lost; give it another one by rotate, and enable it"
# The answers that say by Retry-After when the endpoint takes anything again.
ASK_TO_WAIT: Final = (429, 503)
Sent = tuple[WebhookDeliveryDocument, datetime, DeliveryAttempt]
"""A delivery, when its request began, and what came of that."""


class DeliverWebhooks(Job):
    """Sends to several endpoints at once, none of which keeps another from its own.

    PAUSE is awaited before each request: calls and the answers to their webhooks come first.
    """

    name = "deliver webhooks"
    slots = MAX_ENDPOINTS_AT_ONCE

    def __init__(
        self, store: Store, client: EndpointClient, box: SecretBox, pause: Callable[[], Awaitable[None]]
    ) -> None:
        self._store = store
        self._client = client
        self._box = box
        self._pause = pause

    async def claim(self, limit: int) -> Sequence[WebhookEndpointDocument]:
        moment = now()
        waiting = may_be_taken(moment)
        until = moment + ENDPOINT_LEASE_TIME
        return await claim_each(
            self._store.all_tenants,
            ENDPOINT_COLLECTION,
            waiting,
            ENDPOINT_DUE,
            limit,
            lambda found: ({**found, **waiting}, take(secrets.token_hex(8), until)),
        )

    async def process(self, item: WebhookEndpointDocument) -> None:
        view = self._store.for_account(item["account_id"])
        taken_until, ends_at = item["_due"], time.monotonic() + TURN_SECONDS
        endpoint: WebhookEndpointDocument | None = item
        while endpoint is not None and time.monotonic() < ends_at and _may_be_sent_to(endpoint):
            limit = 1 if is_half_open(endpoint) else MAX_REQUESTS_AT_ONCE
            due = due_deliveries(endpoint["_id"], now())
            deliveries = await view.find(DELIVERY_COLLECTION, due, sort=[(ATTEMPT_DUE_AT, 1)], limit=limit)
            if not deliveries:
                break
            endpoint = await self._send_round(view, endpoint, deliveries)
        if endpoint is not None:
            next_at = await next_due(view, endpoint["_id"])
            # Behind those that wait already: the oldest delivery of one that is slow is older than theirs.
            back_at = None if next_at is None else max(next_at, now())
            for condition, update in give_back(endpoint, taken_until, back_at):
                if await view.update_one(ENDPOINT_COLLECTION, condition, update) is not None:
                    break

    async def _send_round(
        self, view: TenantView, endpoint: WebhookEndpointDocument, deliveries: Sequence[WebhookDeliveryDocument]
    ) -> WebhookEndpointDocument | None:
        """Send these at once, and store what came of it; the endpoint as it then is, None if it is ours no more."""
        # Where a key is missing, Unavailable is raised, and all waits for it.
        keys = secrets_in_use(endpoint, now(), self._box)
        if not keys:
            await self._disable(view, endpoint, NO_SECRET, now())
            return None
        sent = await asyncio.gather(*(self._send(endpoint["url"], keys, delivery) for delivery in deliveries))
        moment = now()
        gone = any(attempt.status == ENDPOINT_GONE for _, _, attempt in sent)
        await view.bulk_update(
            DELIVERY_COLLECTION,
            [
                after_attempt(delivery, attempt, began, moment, gone=attempt.status == ENDPOINT_GONE)
                for delivery, began, attempt in sent
            ],
        )
        changes = _learned(endpoint, sent, moment)
        kept = await view.update_one(ENDPOINT_COLLECTION, *keep(endpoint, moment + ENDPOINT_LEASE_TIME, changes))
        failed = not all(attempt.succeeded for _, _, attempt in sent)
        if kept is None or not failed:
            return kept
        reason = disabling_reason(kept, moment, gone=gone)
        if reason is None:
            return kept
        await self._disable(view, kept, reason, moment)
        return None

    async def _disable(
        self, view: TenantView, endpoint: WebhookEndpointDocument, reason: str, moment: datetime
    ) -> None:
        """Send nothing more to the endpoint, for REASON, until a client enables it."""
        if await view.update_one(ENDPOINT_COLLECTION, *disable(endpoint, reason, moment)) is not None:
            account_id = endpoint["account_id"]
            log.warning("webhook endpoint %d of account %d is disabled: %s", endpoint["_id"], account_id, reason)

    async def _send(self, url: str, keys: Sequence[str], delivery: WebhookDeliveryDocument) -> Sent:
        await self._pause()
        began = now()
        body = delivery["_body"].encode()
        headers = signed_headers(keys, delivery["webhook_id"], int(began.timestamp()), body)
        return delivery, began, await self._client.send(url, headers, body)


def _may_be_sent_to(endpoint: WebhookEndpointDocument) -> bool:
    until = endpoint.get("_open_until")
    return until is None or until <= now()


def _learned(endpoint: WebhookEndpointDocument, sent: Sequence[Sent], moment: datetime) -> dict[str, object]:
    """What a round tells of the endpoint: see ``after_round``."""
    succeeded = sum(attempt.succeeded for _, _, attempt in sent)
    asked = [attempt.retry_after for _, _, attempt in sent if attempt.status in ASK_TO_WAIT]
    waits = [retry_after_seconds(header, moment, MAX_WAIT_ASKED) for header in asked]
    wait = max((seconds for seconds in waits if seconds is not None), default=None)
    return after_round(endpoint, moment, succeeded=succeeded, failed=len(sent) - succeeded, wait=wait)
