"""The erasure of a person, as it is stored from the request until nothing of the person is left, and after."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Final, NotRequired, TypedDict

from scfm.clock import now
from scfm.models.audit_trail import Subject
from scfm.models.contact import CONTACTS
from scfm.models.scope import Scope
from scfm.models.stored_documents import CONTACT_COLLECTION
from scfm.storage.errors import DuplicateKey
from scfm.storage.index import Index
from scfm.storage.query import CollectionName
from scfm.storage.tenant_view import TenantView

ERASE: Final = "erase"


class ErasureRecord(TypedDict):
    """``due``: when the job goes on with it; absent once it is done, and then ``erased_at`` says when.

    Until then: ``msisdns``, the numbers of the person, as far as they are found; ``calls``, the ids of the person's
    phone calls; ``scrubbed_at``: when everything was gone that was there, after which it is looked for once more.
    """

    _id: str
    account_id: int
    contact_id: int
    created_at: datetime
    due: NotRequired[datetime]
    msisdns: NotRequired[list[str]]
    calls: NotRequired[list[int]]
    scrubbed_at: NotRequired[datetime]
    erased_at: NotRequired[datetime]


ERASURES: Final = CollectionName[ErasureRecord]("erasures")
ERASURE_INDEXES: Final = (
    Index("account_id", "contact_id", name="unique_account_id_contact_id", unique=True),
    Index("due", name="erasures_due", only={"due": {"$exists": True}}),
)
# How long one process has an erasure to itself.
ERASURE_LEASE = timedelta(minutes=5)


async def begin_erasure(view: TenantView, contact_id: int) -> None:
    """Write down that a contact is to be erased, which the job ``EraseContacts`` does. Raises NotFound."""
    await view.get(CONTACT_COLLECTION, contact_id)
    record = {"_id": secrets.token_hex(8), "contact_id": contact_id, "created_at": now(), "due": now()}
    try:
        await view.insert(ERASURES, {**record, "msisdns": [], "calls": []})
    except DuplicateKey:
        # It is under way, or was done before a backup was restored in which the contact is.
        done = {"contact_id": contact_id, "due": None}
        again = {"due": now(), "msisdns": [], "calls": []}
        await view.update_one(ERASURES, done, {"$set": again, "$unset": {"erased_at": "", "scrubbed_at": ""}})


async def request_erasure(scope: Scope, contact_id: int) -> None:
    """The same for a client, whose request is audited, without anything that tells of the person."""
    await begin_erasure(scope.view, contact_id)
    await scope.audit.record(Subject(CONTACTS.kind, contact_id, scope.view.account_id), ERASE)
