"""What every resource does by its declaration: it creates and updates documents, moves their status, deletes them.

Every rule that holds for all resources is here; a resource's own file adds only what is its own.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from scfm.clock import now
from scfm.errors import Invalid, NotFound, Unavailable
from scfm.models import hints, references
from scfm.models.call_work import UNSENT
from scfm.models.declaration import Declaration
from scfm.models.draft import Draft
from scfm.models.fields import FieldError
from scfm.models.references import DELETION_LOOK_SECONDS, MAX_DELETION_LOOKS
from scfm.models.scope import Scope
from scfm.storage.errors import Taken
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

TAKEN = "has already been taken"
MUST_EXIST = "must exist"


class Resource(Declaration):
    """A resource whose documents clients create, change and delete."""

    async def create(self, scope: Scope, given: Document, **known: Any) -> Document:
        """Store a new document from what the client gave and what is known; raises Invalid with every error."""
        if scope.is_retry and (made := await self._made_before(scope)):
            return made
        document = {one.name: one.initial() for one in self.fields if one.name not in ("id", "account_id")}
        draft = Draft(given, document | known)
        self._read(scope, draft)
        await self.complete(scope, draft)
        if draft.errors:
            await self._raise(scope.view, draft)
        moment = now()
        stamps = {"created_at": moment, "updated_at": moment, "_version": 1, **_named(scope, "_request")}
        try:
            return await self.insert(scope.view, {**draft.document, **stamps})
        except Taken:
            if made := await self._made_before(scope):
                return made
            raise
        except Invalid:
            await self._raise(scope.view, draft)  # with whatever else is taken
            raise

    async def _raise(self, view: TenantView, draft: Draft) -> None:
        """Raise Invalid with all that is wrong with the draft, and with what the unique indexes would refuse."""
        await self._look_for_taken(view, draft)
        draft.errors.check()

    async def _made_before(self, scope: Scope) -> Document | None:
        """What an earlier try of the same named request made; one that died half-way left nothing of worth."""
        if scope.request is None:
            return None
        made = await scope.view.find_one(self.collection, {"_request": scope.request})
        if made is None or await self._held_back(scope.view, made) is None:
            return made
        return None

    async def update(self, scope: Scope, number: int, given: Document) -> Document:
        """Change a document as the client asks; the document as it then is. Raises NotFound, Invalid."""
        while True:
            old = await scope.view.get(self.collection, number)
            draft = Draft(given, dict(old), old=old)
            self._read(scope, draft)
            await self.complete(scope, draft)
            changes = {name: value for name, value in draft.document.items() if not same(value, old.get(name))}
            if changes:
                await self._look_for_taken(scope.view, draft, number)
            draft.errors.check()
            updated = await self._replace(scope.view, old, changes) if changes else old
            if updated is not None:
                return updated

    async def _replace(self, view: TenantView, old: Document, changes: Document) -> Document | None:
        version = old.get("_version", 1)
        change = {**changes, "updated_at": now(), "_version": version + 1}
        try:
            return await view.update(self.collection, {"_id": old["_id"], "_version": version}, change)
        except Taken as taken:
            raise self._taken(taken) from None

    def _read(self, scope: Scope, draft: Draft) -> None:
        for one in self.fields:
            if not one.settable:
                continue
            try:
                draft.document[one.name] = one.read(draft.given, draft.document.get(one.name), scope.rules)
            except FieldError as error:
                for name, part in (error.parts or {one.name: error}).items():
                    draft.errors.add(name, *part.args, hint=part.hint)

    async def _look_for_taken(self, view: TenantView, draft: Draft, number: int | None = None) -> None:
        """Say beside the other errors what the unique indexes would refuse."""
        for unique in self.unique:
            wanted = {name: draft.document.get(name, view.account_id) for name in unique.fields}
            if None in wanted.values() or unique.blames in draft.errors:
                continue
            where = view.all_tenants if unique.everywhere else view
            if await where.exists(self.collection, {**wanted, "_id": {"$ne": number}}):
                draft.errors.add(unique.blames, TAKEN)

    def _taken(self, taken: Taken) -> Invalid:
        for unique in self.unique:
            if unique.index.name == taken.index:
                return Invalid({unique.blames: [TAKEN]})
        raise taken

    async def insert(self, view: TenantView, document: Document) -> Document:
        """Store a document whose references are known to exist; none can be deleted in between."""
        return await self.keep(view, await self.put(view, document))

    async def put(self, view: TenantView, document: Document) -> Document:
        """Store a document. What it refers to must be looked at again afterwards: see ``keep``."""
        try:
            return await view.insert(self.kind, self.collection, document)
        except Taken as taken:
            raise self._taken(taken) from None

    async def keep(self, view: TenantView, stored: Document) -> Document:
        """What has just been stored, or, after a deletion that came to nothing, stored anew; else raises Invalid."""
        while (missing := await self._held_back(view, stored)) is not None:
            await self._settled(view, *missing)
            stored = await self.put(view, {name: value for name, value in stored.items() if name != "_id"})
        return stored

    async def keep_standing(self, view: TenantView, stored: Sequence[Document], seconds: float) -> bool:
        """Take back those of the documents just stored that refer to something that goes; whether all could stay.

        What they refer to was there when it was read, SECONDS and a moment ago.
        """
        named: dict[str, set[int]] = defaultdict(set)
        for one in self.references:
            named[one.collection] |= {document[one.field] for document in stored} - {None}
        if seconds < references.REMEMBERED_SECONDS:
            named = await references.recently_deleted_ids(view, named)
        gone = {
            collection: numbers - await references.live_ids(view, collection, sorted(numbers))
            for collection, numbers in named.items()
            if numbers
        }
        if not any(gone.values()):
            return True
        loose = {
            document["_id"]
            for document in stored
            for one in self.references
            if document[one.field] in gone.get(one.collection, ())
        }
        held_back = [await self._held_back(view, document) for document in stored if document["_id"] in loose]
        return not any(held_back)

    async def _held_back(self, view: TenantView, stored: Document) -> tuple[str, str, int] | None:
        """Take a document just stored back if something that it refers to goes: what that is, as in ``missing``."""
        for _ in range(MAX_DELETION_LOOKS):
            missing = await self.missing(view, stored)
            if missing is None or await self._take_back(view, stored["_id"]):
                return missing
            await asyncio.sleep(DELETION_LOOK_SECONDS)
        raise Unavailable(f"{self.kind} {stored['_id']} can neither stay nor go")

    async def withdraw(self, view: TenantView, number: int) -> None:
        """Delete a document just stored, once nothing refers to it; raises Unavailable if something goes on to."""
        for _ in range(MAX_DELETION_LOOKS):
            if await self._take_back(view, number):
                return
            await asyncio.sleep(DELETION_LOOK_SECONDS)
        raise Unavailable(f"{self.kind} {number} cannot be taken back")

    async def _take_back(self, view: TenantView, number: int) -> bool:
        """Delete a document just stored, by the rules of every deletion, as somebody may have found it already."""
        try:
            token = await references.mark_deleting(view, self.collection, number)
        except NotFound:
            return True
        try:
            await self._check_dependents(view, number)
        except Invalid:
            pass
        else:
            await references.record_deletion(view, token, self.collection, number)
            if await view.remove(self.collection, {"_id": number, "_deleting.token": token, **UNSENT}):
                return True
        await references.unmark(view, self.collection, number, token)
        return False

    async def missing(self, view: TenantView, document: Document) -> tuple[str, str, int] | None:
        """What the document refers to and is not there, or will not be: (error's name, collection, id)."""
        for blames, collection, number in self._referred(view, document):
            if not await references.live_ids(self._reach(view, collection), collection, [number]):
                return blames, collection, number
        return None

    def _referred(self, view: TenantView, document: Document) -> list[tuple[str, str, int]]:
        named = [(one.blames, one.collection, document[one.field]) for one in self.references]
        named = [one for one in named if one[2] is not None]
        # What it refers to is the account's, and keeps that from being deleted.
        if not named and view.account_id is not None:
            named.append(("account", "accounts", view.account_id))
        return named

    def _reach(self, view: TenantView, collection: str) -> TenantView:
        """The view that sees documents of a collection: an account is not among what it owns."""
        return view.all_tenants if collection == "accounts" else view

    async def _settled(self, view: TenantView, blames: str, collection: str, number: int) -> None:
        """Wait until the deletion of what is referred to has ended; raise Invalid if it took place."""
        where = self._reach(view, collection)
        for _ in range(MAX_DELETION_LOOKS):
            if not await where.exists(collection, {"_id": number}):
                raise Invalid({blames: [MUST_EXIST]})
            if await references.live_ids(where, collection, [number]):
                return
            await asyncio.sleep(DELETION_LOOK_SECONDS)
        raise Unavailable(f"the deletion of {blames} {number} does not end")

    async def delete(self, scope: Scope, number: int) -> None:
        """Delete a document that nothing refers to; raises NotFound, Invalid."""
        view = scope.view
        await self._check_free(scope, number)
        token = await references.mark_deleting(view, self.collection, number)
        try:
            await self._check_free(scope, number)
        except Invalid:
            await references.unmark(view, self.collection, number, token)
            raise
        await references.record_deletion(view, token, self.collection, number)
        if not await view.remove(self.collection, {"_id": number, "_deleting.token": token, **self.deletable()}):
            await references.unmark(view, self.collection, number, token)
            await view.get(self.collection, number)
            raise Invalid({"base": ["Cannot delete record because it has just been changed; try again"]})
        await self.sweep(view, number)

    async def _check_free(self, scope: Scope, number: int) -> None:
        document = await scope.view.get(self.collection, number)
        await self._check_dependents(scope.view, number)
        await self.check_delete(scope, document)

    async def _check_dependents(self, view: TenantView, number: int) -> None:
        for guard in self.guards:
            if await view.exists(guard.collection, {guard.field: number}):
                raise Invalid({"base": [guard.message]})

    async def sweep(self, view: TenantView, number: int) -> None:
        """Remove what refers to a deleted document: left by who died between storing it and looking for the mark."""
        for guard in self.guards:
            left = {guard.field: number, **UNSENT}
            for one in await view.find(guard.collection, left, fields=["_id"]) if guard.created else ():
                await references.record_deletion(view, secrets.token_hex(8), guard.collection, one["_id"])
                await view.remove(guard.collection, {**left, "_id": one["_id"]})

    async def fire(self, scope: Scope, number: int, event: Any) -> Document:
        """Carry out EVENT; the document in its new state. Raises NotFound, Invalid."""
        if self.machine is None:
            raise NotFound
        for _ in range(MAX_DELETION_LOOKS):
            document = await scope.view.get(self.collection, number)
            if scope.is_retry and document.get("_event_request") == scope.request:
                return document
            try:
                change = await self._change_by(scope, document, event)
            except Invalid as refused:
                if "event" not in refused.errors:
                    raise
                raise Invalid(refused.errors, await self._event_hint(scope, document)) from None
            change |= {"updated_at": now(), **_named(scope, "_event_request")}
            # A mark that is still there was abandoned: without it the deletion cannot go on behind our back.
            moved = await scope.view.apply(
                self.collection,
                {"_id": number, "status": document["status"], **references.not_being_deleted()},
                {"$set": change, "$unset": {"_deleting": ""}},
            )
            if moved is not None:
                return moved
            await asyncio.sleep(DELETION_LOOK_SECONDS)  # lost a race, or a deletion is under way: look again
        raise Unavailable(f"the deletion of {self.kind} {number} does not end")

    async def _change_by(self, scope: Scope, document: Document, event: Any) -> Document:
        """What EVENT changes in the document; raises Invalid if it is not possible now."""
        assert self.machine is not None
        target = self.machine.target(event, document["status"])
        await self.check_event(scope, document, event)
        return {"status": target, **self.moved(document, event)}

    async def _event_hint(self, scope: Scope, document: Document) -> dict[str, str]:
        """Which events are possible now."""
        possible = []
        for event in self.machine.events if self.machine else ():
            with suppress(Invalid):
                await self._change_by(scope, document, event)
                possible.append(event)
        return {"event": hints.events(self.kind.replace("_", " "), document["status"], possible)}


def _named(scope: Scope, field: str) -> Document:
    """What a document keeps, in FIELD, of the named request that made it, or of the one that moved it last."""
    return {field: scope.request} if scope.request else {}


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: 1, 1.0 and true are three."""
    return one == other and (isinstance(one, (str, int, datetime)) or repr(one) == repr(other))
