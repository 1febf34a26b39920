"""Every resource there is."""

from __future__ import annotations

from scfm.models import idempotency, references
from scfm.models.access_token import ACCESS_TOKENS
from scfm.models.account import ACCOUNTS
from scfm.models.batch_operation import BATCH_OPERATIONS
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.contact import CONTACTS
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.remote_phone_call_event import REMOTE_PHONE_CALL_EVENTS
from scfm.models.resource import Resource
from scfm.models.user import USERS
from scfm.storage.counted_fields import CountedFields
from scfm.storage.index import Index

RESOURCES: tuple[Resource, ...] = (
    ACCOUNTS,
    ACCESS_TOKENS,
    USERS,
    CONTACTS,
    CALLOUTS,
    BATCH_OPERATIONS,
    CALLOUT_PARTICIPATIONS,
    PHONE_CALLS,
    REMOTE_PHONE_CALL_EVENTS,
)

# By the name of the idempotent request that created a document.
REQUEST_INDEX = Index("_request", name="unique_request", unique=True, only={"_request": {"$gt": ""}})

# Indexes that older versions made: a sid is a name that several accounts may write down.
OBSOLETE_INDEXES = {"accounts": ("unique_twilio_account_sid", "unique_somleng_account_sid")}


def indexes() -> dict[str, list[Index]]:
    """By collection, every index that the resources need."""
    of_resources = {
        resource.collection: [
            *(unique.index for unique in resource.unique),
            *resource.indexes,
            REQUEST_INDEX,
            references.MARK_INDEX,
        ]
        for resource in RESOURCES
    }
    return {
        **of_resources,
        idempotency.COLLECTION: [idempotency.EXPIRY],
        references.DELETIONS: [*references.DELETIONS_INDEXES],
    }


def counted_fields() -> dict[str, CountedFields]:
    """By collection, what those declare whose totals are remembered."""
    return {resource.collection: resource.counted for resource in RESOURCES if resource.counted is not None}
