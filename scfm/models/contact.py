"""Contacts: the people who can be called."""

from __future__ import annotations

from scfm.models import filters
from scfm.models.batch_operations import made
from scfm.models.fields import Id, Link, MetadataWithMemory, Msisdn, Time
from scfm.models.resource import COMMON_FILTERS, Guard, Resource, Unique, by, through
from scfm.models.store import Index


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
    filters = {**COMMON_FILTERS, "msisdn": filters.phone_number("msisdn")}
    required = ("msisdn",)
    parents = {
        "callout": through("contacts", "contact_id", by("callout_participations", "callout_id")),
        "batch_operation": made.contacts,
    }
    indexes = (Index("account_id", "_id"),)


CONTACTS = Contacts()
