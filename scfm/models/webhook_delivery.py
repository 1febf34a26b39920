"""Deliveries: one event for one webhook endpoint, with every attempt to tell it.

A delivery keeps what is sent as it was when the event happened. It is tried until the endpoint takes it, or has not
for more than a day and a half; then a client may have it tried again. It is forgotten after a time (``forget_old``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypedDict

import orjson

from scfm.clock import iso, now
from scfm.errors import Invalid, NotFound
from scfm.models import filters
from scfm.models.audited_change import record_change
from scfm.models.declaration import COMMON_FILTERS, Unique
from scfm.models.fields import Choice, Field, Id, Link, Time
from scfm.models.resource import Resource
from scfm.models.scope import Scope
from scfm.models.stored_documents import StoredDocument
from scfm.models.webhook_event import EVENT_TYPES, UntoldEvent
from scfm.models.webhook_queue import (
    ENABLED,
    ENDPOINT_COLLECTION,
    WebhookEndpointDocument,
    waits_for,
)
from scfm.schemas import Schema
from scfm.storage.index import Index
from scfm.storage.query import CollectionName, Document, Query

PENDING, DELIVERED, FAILED = "pending", "delivered", "failed"
DELIVERY_STATUSES = (PENDING, DELIVERED, FAILED)
ATTEMPT_DUE_AT: Final = "_due"
# Attempts that a delivery shows, the last ones.
MAX_ATTEMPTS_KEPT: Final = 30


class AttemptDocument(TypedDict):
    """One attempt as it is stored, and shown. ``duration``: seconds. ``answer``: the beginning of the body."""

    at: datetime
    response_code: int | None
    error: str | None
    duration: float
    answer: str


class WebhookDeliveryDocument(StoredDocument, total=False):
    """A delivery. ``_body`` is what is sent, JSON. ``_tries``: attempts since it was begun, or begun anew.

    ``_due`` is ``next_attempt_at``, and there only while it is pending.
    """

    webhook_endpoint_id: int
    webhook_id: str
    event_type: str
    status: str
    attempts: list[AttemptDocument]
    next_attempt_at: datetime | None
    _body: str
    _due: datetime
    _tries: int


DELIVERY_COLLECTION: Final = CollectionName[WebhookDeliveryDocument]("webhook_deliveries")


@dataclass(frozen=True)
class Attempts(Field):
    """The attempts, the last one last."""

    @property
    def schema(self) -> Schema:
        shown: dict[str, Schema] = {
            "at": {"type": "string", "format": "date-time"},
            "response_code": {"type": ["integer", "null"], "description": "Null where no answer came."},
            "error": {"type": ["string", "null"], "description": "Null where the endpoint has taken it."},
            "duration": {"type": "number", "minimum": 0, "description": "In seconds."},
            "answer": {"type": "string", "description": "How the body of the answer begins."},
        }
        one = {"type": "object", "properties": shown, "required": list(shown), "additionalProperties": False}
        return {"type": "array", "items": one, "maxItems": MAX_ATTEMPTS_KEPT}

    def show(self, document: Document) -> Any:
        return [{**attempt, "at": iso(attempt["at"])} for attempt in document["attempts"]]


@dataclass(frozen=True)
class SentBody(Field):
    """What is sent, which is kept as text."""

    schema = {"type": "object", "description": "What is sent: see Webhooks."}

    def show(self, document: Document) -> Any:
        return orjson.loads(document["_body"])


class WebhookDeliveries(Resource):
    kind = "webhook_delivery"
    collection = DELIVERY_COLLECTION
    fields = (
        Id("id"),
        Link("webhook_endpoint_id"),
        Field("webhook_id", ""),
        Choice("event_type", EVENT_TYPES[0], EVENT_TYPES),
        Choice("status", PENDING, DELIVERY_STATUSES),
        Attempts("attempts", []),
        Time("next_attempt_at"),
        SentBody("body"),
        Time("created_at"),
        Time("updated_at"),
        Link("account_id"),
    )
    unique = (Unique(("account_id", "webhook_endpoint_id", "webhook_id"), "webhook_id"),)
    filters = {
        **{name: one for name, one in COMMON_FILTERS.items() if name != "metadata"},
        **{name: filters.text_field(name) for name in ("webhook_id", "event_type", "status")},
        "next_attempt_at": filters.time_field("next_attempt_at"),
        **filters.time_fields("next_attempt_at"),
    }
    indexes = (
        Index("account_id", "_id"),
        Index("webhook_endpoint_id", "_id"),
        Index("webhook_endpoint_id", ATTEMPT_DUE_AT, name="due", only={ATTEMPT_DUE_AT: {"$exists": True}}),
    )


WEBHOOK_DELIVERIES = WebhookDeliveries()


def deliveries_to(endpoint_id: int, parameters: Any, country: str | None) -> Query:
    """The deliveries to an endpoint, narrowed by the filters that a client gave, as in ``Declaration.query``."""
    query = Query(DELIVERY_COLLECTION, ({"webhook_endpoint_id": endpoint_id},))
    return WEBHOOK_DELIVERIES.filtered(query, parameters, country)


def new_delivery(
    delivery_id: int, endpoint: WebhookEndpointDocument, event: UntoldEvent, body: str, moment: datetime
) -> Document:
    """A delivery of EVENT, with its BODY, that is due at MOMENT."""
    return {
        "_id": delivery_id,
        "webhook_endpoint_id": endpoint["_id"],
        "webhook_id": event["id"],
        "event_type": event["type"],
        "status": PENDING,
        "attempts": [],
        "next_attempt_at": moment,
        ATTEMPT_DUE_AT: moment,
        "created_at": moment,
        "updated_at": moment,
        "_body": body,
        "_tries": 0,
        "_version": 1,
    }


def body_of_event(event: UntoldEvent, data: Document) -> str:
    """What is sent of an event: DATA is what it is about, as the API shows it."""
    return orjson.dumps({"type": event["type"], "timestamp": iso(event["at"]), "data": data}).decode()


async def redeliver(scope: Scope, endpoint_id: int, delivery_id: int) -> Document:
    """Have an event told again, whatever became of it: the delivery as it then is, with all attempts before it.

    Raises NotFound, Unavailable; Invalid where the endpoint is disabled.
    """
    view = scope.view
    endpoint = await view.get(ENDPOINT_COLLECTION, endpoint_id)
    delivery = await view.get(DELIVERY_COLLECTION, delivery_id)
    if delivery["webhook_endpoint_id"] != endpoint_id:
        raise NotFound
    if endpoint["status"] != ENABLED:
        raise Invalid({"base": ["the webhook endpoint is disabled: enable it first"]})
    moment = now()
    due = {"next_attempt_at": moment, ATTEMPT_DUE_AT: moment}
    change = {"status": PENDING, **due, "updated_at": moment, "_tries": 0}
    update: Document = {"$set": change, "$inc": {"_version": 1}}
    updated = await view.update_one(DELIVERY_COLLECTION, {"_id": delivery_id}, update)
    if updated is None:
        raise NotFound
    await view.update_one(ENDPOINT_COLLECTION, *waits_for([endpoint_id], moment))
    await record_change(scope, WEBHOOK_DELIVERIES, "redeliver", {**delivery}, {**updated})
    return {**updated}
