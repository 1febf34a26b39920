"""Contacts: the people who can be called."""

from __future__ import annotations

from typing import cast

from scfm.models import filters, renumbering
from scfm.models.batch_operations import operation_links
from scfm.models.declaration import COMMON_FILTERS, Guard, Unique, children_by, children_through
from scfm.models.fields import Id, Link, MetadataWithMemory, Msisdn, Time
from scfm.models.merge import MEMORY_PATH
from scfm.models.resource import Resource
from scfm.models.stored_documents import ContactDocument
from scfm.storage.counted_fields import CountedFields
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView


class Contacts(Resource):
    kind = "contact"
    collection = "contacts"
    fields = (
        Id("id"),
        Msisdn("msisdn"),
        MetadataWithMemory("metadata", {}),
        Time("created_at"),
        Time("updated_at"),
        Link("account_id"),
    )
    unique = (Unique(("account_id", "msisdn"), "msisdn"),)
    guards = (Guard("callout_participations", "contact_id"), Guard("phone_calls", "contact_id"))
    filters = {**COMMON_FILTERS, "msisdn": filters.msisdn_field("msisdn")}
    required = ("msisdn",)
    parents = {
        "callout": children_through("contacts", "contact_id", children_by("callout_participations", "callout_id")),
        "batch_operation": operation_links.contacts,
    }
    counted = CountedFields(
        kind,
        fields=frozenset({"_id", "account_id", "created_at", "msisdn"}),
        objects=frozenset({"metadata"}),
        uncounted=frozenset({MEMORY_PATH}),
    )
    indexes = (Index("account_id", "_id"), renumbering.RENUMBERED_INDEX)

    async def replace(self, view: TenantView, old: Document, changes: Document) -> Document | None:
        """Store CHANGES; give a new number to the contact's participations, and to its calls that have not left."""
        if "msisdn" not in changes:
            return await super().replace(view, old, changes)
        contact = cast(ContactDocument, old)
        if renumbering.is_open(contact):
            # One change at a time, so that contacts may exchange their numbers.
            await renumbering.propagate(view, old["_id"])
            return None
        change = renumbering.mark_change(contact, changes["msisdn"])
        updated = await super().replace(view, old, {**changes, **change})
        if updated is not None:
            await renumbering.propagate(view, updated["_id"])
        return updated


CONTACTS = Contacts()
