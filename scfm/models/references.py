"""References stay whole without transactions, which a standalone MongoDB lacks.

A deletion marks the document first (``_deleting``) and looks for what refers to it second. A new reference is stored
first, and the mark is looked for second. Whichever comes first, one of the two sees the other. See
docs/decisions/0001.

A process that dies between storing a reference and looking for the mark may have stored it after the deletion looked
for such. So each deletion is written down (collection ``deletions``) before it is done; when its record is ``due``,
no request of that time is under way, and what still refers to the document is removed.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict

from scfm.clock import now
from scfm.errors import Invalid, NotFound, Unavailable
from scfm.models.audited_change import DELETED, record_change
from scfm.models.call_work import UNSENT
from scfm.models.declaration import Declaration
from scfm.models.scope import Scope
from scfm.storage.errors import DuplicateKey
from scfm.storage.index import Index
from scfm.storage.query import CollectionName, Document
from scfm.storage.tenant_view import TenantView


class DeletionRecord(TypedDict):
    """A deletion that is written down: ``_id`` is the token of its mark, ``number`` the id of the document."""

    _id: str
    account_id: int | None
    collection: str
    number: int
    due: datetime


DELETIONS: Final = CollectionName[DeletionRecord]("deletions")
DELETIONS_INDEXES = (Index("due"), Index("collection", "number"))
# A document with a mark, ``_deleting: {token, until}``, is looked for among many.
DELETING_INDEX = Index("_deleting.until", name="deleting", only={"_deleting.until": {"$exists": True}})
# How long a deletion may take between its mark and its end before others take it for abandoned.
DELETION_LEASE = timedelta(seconds=10)
# How often, and how many seconds apart, we look whether the deletion of another has ended: longer than its lease.
MAX_DELETION_LOOKS, DELETION_LOOK_SECONDS = 1000, 0.02
# When the record of a deletion is due: far longer than a request takes, even where the database answers at the last
# moment.
SWEEP_DELAY = timedelta(minutes=5)
# So long after a document was read, a deletion of it since is surely still written down.
MAX_READ_AGE_SECONDS = 120.0
MUST_EXIST = "must exist"
CHANGED_MEANWHILE = "Cannot delete record because it has just been changed; try again"

Target = tuple[str, str, int]
"""What a document refers to: the name under which an error about it is reported, its collection, its id."""


def not_being_deleted() -> Document:
    """The condition that nobody is deleting a document; a mark whose lease has run out does not count."""
    return {"$or": [{"_deleting": None}, {"_deleting.until": {"$lt": now()}}]}


async def mark_deleting(view: TenantView, collection: str, document_id: int) -> str:
    """Mark a document that is to be deleted, once no other deletion of it is under way; the token of the mark.

    Raises NotFound; Unavailable where the other deletion does not end.
    """
    token = secrets.token_hex(8)
    for _ in range(MAX_DELETION_LOOKS):
        mark = {"token": token, "until": now() + DELETION_LEASE}
        if await view.update_one(
            collection, {"_id": document_id, **not_being_deleted()}, {"$set": {"_deleting": mark}}
        ):
            return token
        if not await view.exists(collection, {"_id": document_id}):
            raise NotFound
        await asyncio.sleep(DELETION_LOOK_SECONDS)
    raise Unavailable(f"the deletion of {collection} {document_id} does not end")


async def unmark(view: TenantView, collection: str, document_id: int, token: str) -> None:
    """Take back the mark that has this token."""
    await view.update_one(collection, {"_id": document_id, "_deleting.token": token}, {"$unset": {"_deleting": ""}})


async def record_deletion(view: TenantView, token: str, collection: str, document_id: int) -> None:
    """Write down that a document is about to be deleted; ``token`` is that of its mark."""
    deletion = {"account_id": view.account_id, "collection": collection, "number": document_id}
    await view.insert(DELETIONS, {"_id": token, **deletion, "due": now() + SWEEP_DELAY})


async def live_ids(view: TenantView, collection: str, ids: Sequence[int]) -> set[int]:
    """Which of the documents are there and are not being deleted. Marks whose lease has run out are removed."""
    among, fields = {"_id": {"$in": list(ids)}}, ["_id", "_deleting"]
    found = await view.find(collection, among, fields=fields, sort=())
    if any(document.get("_deleting") for document in found):
        abandoned = {**among, "_deleting.until": {"$lt": now()}}
        await view.update_many(collection, abandoned, {"$unset": {"_deleting": ""}})
        found = await view.find(collection, among, fields=fields, sort=())
    return {document["_id"] for document in found if not document.get("_deleting")}


async def recently_deleted_ids(view: TenantView, ids: Mapping[str, set[int]]) -> dict[str, set[int]]:
    """Which of the documents (ids by collection) may be being deleted, or have been.

    They must have been read less than MAX_READ_AGE_SECONDS ago. It costs the same for a thousand as for one:
    deletions are few, and each is written down before it is done.
    """
    ids = {collection: some for collection, some in ids.items() if some}
    if not ids:
        return {}
    # In this order: whose mark is gone with it by now has been written down before.
    marked = {"_deleting.until": {"$exists": True}}
    found = await asyncio.gather(*(view.find(name, marked, fields=["_id"], sort=()) for name in ids))
    deleted = {name: {document["_id"] for document in marks} for name, marks in zip(ids, found, strict=True)}
    conditions = [
        {"collection": name, "number": {"$gte": min(some), "$lte": max(some)}} for name, some in ids.items()
    ]
    for deletion in await view.find(DELETIONS, {"$or": conditions}, fields=["collection", "number"], sort=()):
        deleted[deletion["collection"]].add(deletion["number"])
    return {name: some & deleted[name] for name, some in ids.items()}


# What refers to other documents: it is stored first, and what it refers to is looked at second.


async def insert_unconfirmed(resource: Declaration, view: TenantView, document: Mapping[str, Any]) -> Document:
    """Store a document that may refer to what is being deleted: ``confirm`` it afterwards.

    Raises Invalid where a unique index of the resource refuses it, DuplicateKey where another does.
    """
    try:
        return await view.insert(resource.collection, document, resource.kind)
    except DuplicateKey as refusal:
        raise resource.uniqueness_error(refusal) from None


async def confirm(resource: Declaration, view: TenantView, stored: Document) -> Document:
    """A document just stored, once all that it refers to is known to stay.

    Where that is being deleted the document is withdrawn. When the deletion has come to nothing it is stored anew,
    under another id; when it has taken place Invalid is raised. Raises Unavailable where the deletion does not end.
    """
    while (missing := await withdraw_if_dangling(resource, view, stored)) is not None:
        await _wait_for_end(view, missing)
        document = {name: value for name, value in stored.items() if name != "_id"}
        stored = await insert_unconfirmed(resource, view, document)
    return stored


async def confirm_many(resource: Declaration, view: TenantView, stored: Sequence[Document], seconds: float) -> bool:
    """Withdraw those of the documents just stored that refer to what is being deleted; whether none had to be.

    What they refer to was there when it was read, SECONDS and a moment ago.
    """
    ids: dict[str, set[int]] = defaultdict(set)
    for reference in resource.references:
        ids[reference.collection] |= {document[reference.field] for document in stored} - {None}
    if seconds < MAX_READ_AGE_SECONDS:
        ids = await recently_deleted_ids(view, ids)
    gone = {
        collection: some - await live_ids(view, collection, sorted(some)) for collection, some in ids.items() if some
    }
    if not any(gone.values()):
        return True
    dangling = {
        document["_id"]
        for document in stored
        for reference in resource.references
        if document[reference.field] in gone.get(reference.collection, ())
    }
    missing = [
        await withdraw_if_dangling(resource, view, document) for document in stored if document["_id"] in dangling
    ]
    return not any(missing)


async def missing_reference(resource: Declaration, view: TenantView, document: Mapping[str, Any]) -> Target | None:
    """The first of what the document refers to that is not there, or is being deleted."""
    targets = [
        (reference.error_name, reference.collection, document[reference.field]) for reference in resource.references
    ]
    targets = [target for target in targets if target[2] is not None]
    # What it refers to is the account's, and keeps that from being deleted.
    if not targets and view.account_id is not None:
        targets.append(("account", "accounts", view.account_id))
    for target in targets:
        _, collection, document_id = target
        # Many who refer to something at the same time look for it together.
        found = await view.first_by(collection, "_id", document_id)
        if found is None or (found.get("_deleting") and not await live_ids(view, collection, [document_id])):
            return target
    return None


async def withdraw_if_dangling(resource: Declaration, view: TenantView, stored: Document) -> Target | None:
    """Remove a document just stored if something that it refers to is being deleted: what that is."""
    for _ in range(MAX_DELETION_LOOKS):
        missing = await missing_reference(resource, view, stored)
        if missing is None or await try_withdraw(resource, view, stored["_id"]):
            return missing
        await asyncio.sleep(DELETION_LOOK_SECONDS)
    raise Unavailable(f"{resource.kind} {stored['_id']} can neither stay nor go")


async def withdraw(resource: Declaration, view: TenantView, document_id: int) -> None:
    """Remove a document just stored, once nothing refers to it; raises Unavailable if something goes on to."""
    for _ in range(MAX_DELETION_LOOKS):
        if await try_withdraw(resource, view, document_id):
            return
        await asyncio.sleep(DELETION_LOOK_SECONDS)
    raise Unavailable(f"{resource.kind} {document_id} cannot be taken back")


async def try_withdraw(resource: Declaration, view: TenantView, document_id: int) -> bool:
    """Remove a document by the rules of every deletion, as somebody may refer to it already; whether it is gone."""
    try:
        token = await mark_deleting(view, resource.collection, document_id)
    except NotFound:
        return True
    try:
        await _check_unreferenced(resource, view, document_id)
    except Invalid:
        pass
    else:
        await record_deletion(view, token, resource.collection, document_id)
        if await view.remove(resource.collection, {"_id": document_id, "_deleting.token": token, **UNSENT}):
            return True
    await unmark(view, resource.collection, document_id, token)
    return False


async def _wait_for_end(view: TenantView, target: Target) -> None:
    """Wait until the deletion of what is referred to has ended; raise Invalid if it has taken place."""
    error_name, collection, document_id = target
    for _ in range(MAX_DELETION_LOOKS):
        if not await view.exists(collection, {"_id": document_id}):
            raise Invalid({error_name: [MUST_EXIST]})
        if await live_ids(view, collection, [document_id]):
            return
        await asyncio.sleep(DELETION_LOOK_SECONDS)
    raise Unavailable(f"the deletion of {error_name} {document_id} does not end")


# What is deleted: it is marked first, and what refers to it is looked for second.


async def delete(resource: Declaration, scope: Scope, document_id: int) -> Document:
    """Delete a document that nothing refers to; what it was. Raises NotFound, Invalid, Unavailable."""
    view = scope.view
    await _check_deletable(resource, scope, document_id)
    token = await mark_deleting(view, resource.collection, document_id)
    try:
        document = await _check_deletable(resource, scope, document_id)
    except Invalid:
        await unmark(view, resource.collection, document_id, token)
        raise
    await record_deletion(view, token, resource.collection, document_id)
    marked = {"_id": document_id, "_deleting.token": token, **resource.delete_condition()}
    if not await view.remove(resource.collection, marked):
        await unmark(view, resource.collection, document_id, token)
        await view.get(resource.collection, document_id)
        raise Invalid({"base": [CHANGED_MEANWHILE]})
    await remove_dangling(resource, view, document_id)
    await record_change(scope, resource, DELETED, document, None)
    return document


async def _check_deletable(resource: Declaration, scope: Scope, document_id: int) -> Document:
    document = await scope.view.get(resource.collection, document_id)
    await _check_unreferenced(resource, scope.view, document_id)
    await resource.check_delete(scope, document)
    return document


async def _check_unreferenced(resource: Declaration, view: TenantView, document_id: int) -> None:
    for guard in resource.guards:
        if await view.exists(guard.collection, {guard.field: document_id}):
            raise Invalid({"base": [guard.message]})


async def remove_dangling(resource: Declaration, view: TenantView, document_id: int) -> None:
    """Remove what refers to a deleted document: stored by a process that died before it looked for the mark.

    What it owned goes with it.
    """
    for owned in resource.owned:
        await view.remove(owned.collection, {owned.field: document_id})
    for guard in resource.guards:
        dangling = {guard.field: document_id, **UNSENT}
        for document in await view.find(guard.collection, dangling, fields=["_id"]) if guard.created else ():
            await record_deletion(view, secrets.token_hex(8), guard.collection, document["_id"])
            await view.remove(guard.collection, {**dangling, "_id": document["_id"]})
