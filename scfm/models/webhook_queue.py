"""Which endpoints have something to be sent to them, who sends it, and how they take it: fields that no client sees.

One process at a time sends to an endpoint: it takes it with a lease, and gives it back. ``_due`` says from when on it
may be taken; it is there while a delivery waits. An endpoint that fails again and again is left alone until
``_open_until`` (a circuit breaker, as for providers), and is then tried with single deliveries.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict

from scfm.clock import iso
from scfm.models.stored_documents import StoredDocument
from scfm.runtime.backoff import Backoff
from scfm.storage.index import Index
from scfm.storage.query import CollectionName, Document

ENABLED, DISABLED = "enabled", "disabled"
ENDPOINT_STATUSES = (ENABLED, DISABLED)
# How long one process has an endpoint to itself, unless it asks for more: longer than a round of requests takes.
ENDPOINT_LEASE_TIME: Final = timedelta(seconds=60)
# So many failures one after another open the breaker; how long it stays open.
FAILURES_TO_OPEN: Final = 5
OPEN_BACKOFF: Final = Backoff(first=2.0, longest=60.0)
# An endpoint that has done nothing but fail for so long is disabled.
MAX_FAILING: Final = timedelta(days=5)
ENDPOINT_GONE: Final = 410

ENDPOINT_DUE: Final = "_due"
ENDPOINT_LEASED_UNTIL: Final = "_lease"
ENDPOINT_HOLDER: Final = "_holder"
ENDPOINT_FAILURES: Final = "_failures"
FAILING_SINCE: Final = "_failing_since"
OPEN_UNTIL: Final = "_open_until"
ENDPOINT_DUE_INDEX: Final = Index(ENDPOINT_DUE, name="due", only={ENDPOINT_DUE: {"$exists": True}})


class FormerSecret(TypedDict):
    """A secret, sealed, that signs beside the newer one until then."""

    secret: str
    until: datetime


class WebhookEndpointDocument(StoredDocument, total=False):
    """An endpoint. ``_secret`` is sealed. ``_rotated_by``: the idempotent request that has made it."""

    url: str
    event_types: list[str]
    status: str
    disabled_reason: str | None
    _secret: str
    _former_secrets: list[FormerSecret]
    _rotated_by: str
    _due: datetime
    _lease: datetime | None
    _holder: str
    _failures: int
    _failing_since: datetime | None
    _open_until: datetime | None


ENDPOINT_COLLECTION: Final = CollectionName[WebhookEndpointDocument]("webhook_endpoints")


def may_be_taken(moment: datetime) -> Document:
    """The endpoints that something waits for, and that may be sent to at MOMENT."""
    return {
        ENDPOINT_DUE: {"$lte": moment},
        "status": ENABLED,
        "$and": [{"$or": [{name: None}, {name: {"$lte": moment}}]} for name in (ENDPOINT_LEASED_UNTIL, OPEN_UNTIL)],
    }


def take(holder: str, until: datetime) -> Document:
    """The update by which HOLDER takes an endpoint; if it dies, the endpoint may be taken again UNTIL then."""
    return {"$set": {ENDPOINT_DUE: until, ENDPOINT_LEASED_UNTIL: until, ENDPOINT_HOLDER: holder}}


def keep(
    endpoint: WebhookEndpointDocument, until: datetime, changes: Document | None = None
) -> tuple[Document, Document]:
    """Its holder goes on UNTIL then, unless it is disabled or another's; CHANGES by field come with it."""
    mine = {"_id": endpoint["_id"], ENDPOINT_HOLDER: endpoint["_holder"]}
    return {**mine, "status": ENABLED}, {"$set": {**(changes or {}), ENDPOINT_LEASED_UNTIL: until}}


def give_back(
    endpoint: WebhookEndpointDocument, taken_until: datetime, next_due: datetime | None
) -> list[tuple[Document, Document]]:
    """Pairs of a condition and an update, of which the first that fits gives an endpoint back.

    TAKEN_UNTIL is what ``take`` was told. If nothing has come meanwhile, it is due at NEXT_DUE, None for never.
    """
    mine: Document = {"_id": endpoint["_id"], ENDPOINT_HOLDER: endpoint["_holder"]}
    free: Document = {ENDPOINT_LEASED_UNTIL: "", ENDPOINT_HOLDER: ""}
    if next_due is None:
        nothing_new: Document = {"$unset": {**free, ENDPOINT_DUE: ""}}
    else:
        nothing_new = {"$unset": free, "$set": {ENDPOINT_DUE: next_due}}
    return [({**mine, ENDPOINT_DUE: taken_until}, nothing_new), (mine, {"$unset": free})]


def waits_for(endpoint_ids: Sequence[int], moment: datetime) -> tuple[Document, Document]:
    """The condition and the update of endpoints for which deliveries wait since MOMENT."""
    return {"_id": {"$in": list(endpoint_ids)}}, {"$min": {ENDPOINT_DUE: moment}}


def all_may_wait(moment: datetime) -> tuple[Document, Document]:
    """The condition and the update of all endpoints, where it is not known for which of them deliveries wait."""
    return {}, {"$set": {ENDPOINT_DUE: moment}, "$unset": {ENDPOINT_LEASED_UNTIL: ""}}


def resumed(moment: datetime) -> Document:
    """By field, what changes in an endpoint that is enabled again: what waits for it is sent, and it starts anew."""
    anew: Document = dict.fromkeys((ENDPOINT_LEASED_UNTIL, FAILING_SINCE, OPEN_UNTIL))
    return {**anew, "disabled_reason": None, ENDPOINT_DUE: moment, ENDPOINT_FAILURES: 0}


def is_half_open(endpoint: WebhookEndpointDocument) -> bool:
    """Whether only single deliveries are tried."""
    return endpoint.get(ENDPOINT_FAILURES, 0) >= FAILURES_TO_OPEN


def after_round(
    endpoint: WebhookEndpointDocument, moment: datetime, *, succeeded: int, failed: int, wait: float | None
) -> dict[str, Any]:
    """By field, what a round of requests changes in what is known of an endpoint; nothing if all is as before.

    WAIT: the most seconds that one of the answers has asked to wait, if one has.
    """
    changes: dict[str, Any] = {}
    if succeeded and (endpoint.get(ENDPOINT_FAILURES) or endpoint.get(FAILING_SINCE)):
        changes |= {ENDPOINT_FAILURES: 0, FAILING_SINCE: None, OPEN_UNTIL: None}
    if failed and not succeeded:
        # Requests that were under way together fail together: that is one reason to wait longer, not many.
        failures = min(endpoint.get(ENDPOINT_FAILURES, 0) + failed, FAILURES_TO_OPEN)
        if is_half_open(endpoint):
            failures = endpoint[ENDPOINT_FAILURES] + 1
        changes[ENDPOINT_FAILURES] = failures
        if endpoint.get(FAILING_SINCE) is None:
            changes[FAILING_SINCE] = moment
        if failures >= FAILURES_TO_OPEN:
            opened = OPEN_BACKOFF.seconds(failures - FAILURES_TO_OPEN + 1)
            changes[OPEN_UNTIL] = moment + timedelta(seconds=opened)
    if wait is not None:
        until = moment + timedelta(seconds=wait)
        changes[OPEN_UNTIL] = max(until, changes.get(OPEN_UNTIL) or until)
    return changes


def disabling_reason(endpoint: WebhookEndpointDocument, moment: datetime, *, gone: bool) -> str | None:
    """Why an endpoint that has just failed is disabled; None if it is not."""
    if gone:
        return f"answered {ENDPOINT_GONE} (Gone)"
    since = endpoint.get(FAILING_SINCE)
    if since is not None and moment - since >= MAX_FAILING:
        return f"nothing but failures since {iso(since)}"
    return None


def disable(endpoint: WebhookEndpointDocument, reason: str, moment: datetime) -> tuple[Document, Document]:
    """The endpoint is not sent to any more, until a client enables it."""
    return {"_id": endpoint["_id"], ENDPOINT_HOLDER: endpoint["_holder"], "status": ENABLED}, {
        "$set": {"status": DISABLED, "disabled_reason": reason, "updated_at": moment},
        "$unset": {ENDPOINT_DUE: "", ENDPOINT_LEASED_UNTIL: "", ENDPOINT_HOLDER: ""},
        "$inc": {"_version": 1},
    }
