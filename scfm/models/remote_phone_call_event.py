"""Remote phone call events: what the provider told us of a call, as it told it."""

from __future__ import annotations

from scfm.models import filters
from scfm.models.declaration import COMMON_FILTERS, Reference, children_by
from scfm.models.fields import CallFlowLogic, Field, Id, Link, Metadata, Time
from scfm.models.resource import Resource
from scfm.storage.counted_fields import CountedFields
from scfm.storage.index import Index

# One event a delivery: see scfm.calls.deliveries.
UNIQUE_DELIVERY = Index(
    "account_id",
    "_delivery.token",
    name="unique_delivery",
    unique=True,
    only={"_delivery.token": {"$gt": ""}},
)


class RemotePhoneCallEvents(Resource):
    kind = "remote_phone_call_event"
    collection = "remote_phone_call_events"
    fields = (
        Id("id"),
        Link("phone_call_id"),
        Field("details", {}),
        Metadata("metadata", {}),
        Field("remote_call_id"),
        Field("remote_direction"),
        CallFlowLogic("call_flow_logic"),
        Time("created_at"),
        Time("updated_at"),
    )
    references = (Reference("phone_call_id", "phone_calls", "phone_call"),)
    filters = {
        **COMMON_FILTERS,
        "details": filters.json_field("details"),
        "phone_call_id": filters.id_field("phone_call_id"),
        "call_flow_logic": filters.text_field("call_flow_logic"),
        "remote_call_id": filters.text_field("remote_call_id"),
        "remote_direction": filters.text_field("remote_direction"),
    }
    parents = {
        parent: children_by("remote_phone_call_events", f"{parent}_id")
        for parent in ("phone_call", "callout_participation", "contact", "callout")
    }
    counted = CountedFields(
        kind,
        fields=frozenset(
            {
                "_id",
                "account_id",
                "created_at",
                "contact_id",
                "callout_id",
                "callout_participation_id",
                "phone_call_id",
            }
        ),
        objects=frozenset({"metadata"}),
    )
    indexes = (
        Index("account_id", "_id"),
        *(
            Index(f"{parent}_id", "_id", only={f"{parent}_id": {"$gt": 0}})
            for parent in ("phone_call", "callout_participation", "contact", "callout")
        ),
        UNIQUE_DELIVERY,
        Index("_delivery.at", name="delivered_at", only={"_delivery.at": {"$exists": True}}),
    )


REMOTE_PHONE_CALL_EVENTS = RemotePhoneCallEvents()
