"""Audit events: who did what. They are recorded by the server (``audit_trail``), and changed by nobody."""

from __future__ import annotations

from datetime import datetime

from scfm.models import filters
from scfm.models.audit_trail import AUDIT_COLLECTION, AUDIT_KIND
from scfm.models.fields import Field, Id, Link, Time
from scfm.models.resource import Resource
from scfm.storage.counted_fields import CountedFields
from scfm.storage.index import Index
from scfm.storage.tenant_view import TenantView


class AuditEvents(Resource):
    kind = AUDIT_KIND
    collection = AUDIT_COLLECTION
    fields = (
        Id("id"),
        Time("created_at"),
        Field("actor", {}),
        Field("action", ""),
        Field("subject", {}),
        Field("changes", {}),
        Field("request_id"),
        Field("address"),
        Link("account_id"),
    )
    filters = {
        "id": filters.id_field("_id"),
        **filters.time_fields("created_at"),
        "actor": filters.parts_of(
            {
                "type": filters.text_field("actor.type"),
                "id": filters.id_field("actor.id"),
                "email": filters.text_field("actor.email"),
                "name": filters.text_field("actor.name"),
            },
        ),
        "action": filters.text_field("action"),
        "subject": filters.parts_of(
            {"type": filters.text_field("subject.type"), "id": filters.id_field("subject.id")}
        ),
        "request_id": filters.text_field("request_id"),
        "address": filters.text_field("address"),
    }
    counted = CountedFields(
        AUDIT_KIND,
        fields=frozenset({"_id", "account_id", "created_at", "action", "request_id", "address"}),
        objects=frozenset({"actor", "subject"}),
    )
    indexes = (
        Index("account_id", "_id"),
        Index("account_id", "subject.type", "subject.id", "_id", name="subject"),
    )


AUDIT_EVENTS = AuditEvents()


async def forget_events(view: TenantView, before: datetime, limit: int) -> int:
    """Remove those of the first LIMIT events of all accounts that are from BEFORE that moment; how many."""
    found = await view.find(AUDIT_COLLECTION, {}, fields=["account_id", "created_at"], limit=limit)
    old = [event for event in found if event["created_at"] < before]
    if not old:
        return 0
    accounts = sorted({event["account_id"] for event in old})
    return await view.remove(
        AUDIT_COLLECTION, {"account_id": {"$in": accounts}, "_id": {"$in": [event["_id"] for event in old]}}
    )
