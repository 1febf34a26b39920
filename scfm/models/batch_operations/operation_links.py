"""What a batch operation has created or queued, found by the field in which each document holds its id."""

from __future__ import annotations

from scfm.storage.query import NOTHING, Document, Query

POPULATION = "BatchOperation::CalloutPopulation"
CREATE = "BatchOperation::PhoneCallCreate"
QUEUE = "BatchOperation::PhoneCallQueue"
REMOTE_FETCH = "BatchOperation::PhoneCallQueueRemoteFetch"

LINKS = {
    CREATE: "create_batch_operation_id",
    QUEUE: "queue_batch_operation_id",
    REMOTE_FETCH: "queue_remote_fetch_batch_operation_id",
}


def phone_calls(operation: Document) -> Query:
    """The phone calls that the operation created, queued, or queued a fetch of."""
    link = LINKS.get(operation["type"])
    return Query("phone_calls", ({link: operation["_id"]},) if link else (NOTHING,))


def participations(operation: Document) -> Query:
    """The participations that the operation created, or those of its phone calls."""
    if operation["type"] == POPULATION:
        return Query("callout_participations", ({"callout_population_id": operation["_id"]},))
    return Query("callout_participations", through=phone_calls(operation), key="callout_participation_id")


def contacts(operation: Document) -> Query:
    """The contacts of those participations or phone calls."""
    population = operation["type"] == POPULATION
    return Query(
        "contacts",
        through=participations(operation) if population else phone_calls(operation),
        key="contact_id",
    )
