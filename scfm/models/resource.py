"""What every resource does by its declaration: it creates and updates documents, and moves their status.

Every rule that holds for all resources is here, but for those of deletion, which are in ``references``. A resource's
own file adds only what is its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from scfm.clock import now
from scfm.errors import Forbidden, Invalid, NotFound, Unavailable
from scfm.models import hints
from scfm.models.audited_change import CREATED, UPDATED, Creation, record_change
from scfm.models.declaration import TAKEN, Declaration, initial_fields
from scfm.models.draft import Draft
from scfm.models.fields import CallFlowLogic, FieldError
from scfm.models.flow_names import NAMING_FIELD, confirm_flow, with_published_flows
from scfm.models.references import (
    DELETION_LOOK_SECONDS,
    MAX_DELETION_LOOKS,
    confirm,
    insert_unconfirmed,
    not_being_deleted,
    withdraw,
    withdraw_if_dangling,
)
from scfm.models.scope import Scope
from scfm.models.webhook_event import telling
from scfm.runtime import log_context
from scfm.storage.errors import DuplicateKey
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

Beside = Callable[[Document], Awaitable[None]]
"""What is done with a document that is stored, while it is looked at whether it may stay."""


class Resource(Declaration):
    """A resource whose documents clients create and change."""

    async def create(self, scope: Scope, given: Document, **known: Any) -> Document:
        """Store a new document from what the client gave and what is known by field; raises Invalid with every error.

        A retry of an idempotent request gives the document that the first try created.
        """
        if scope.is_retry and (earlier := await self._created_before(scope)):
            await record_change(scope, self, CREATED, None, earlier)
            return await self._with_its_flow(scope, earlier)
        document = initial_fields(self)
        draft = Draft(given, document | known)
        await self._read_fields(scope, draft)
        await self.complete(scope, draft)
        if draft.errors:
            await self._raise_all(scope.view, draft)
        moment = now()
        stamps = {"created_at": moment, "updated_at": moment, "_version": 1, **_request_mark(scope, "_request")}
        async with Creation(scope, self) as creation:
            try:
                stored = await self.insert(scope.view, {**draft.document, **stamps}, creation.stored)
            except DuplicateKey:
                if earlier := await self._created_before(scope):
                    await record_change(scope, self, CREATED, None, earlier)
                    return earlier
                raise
            except Invalid:
                await self._raise_all(scope.view, draft)  # with whatever else is taken
                raise
            return await creation.confirmed(await self._with_its_flow(scope, stored))

    async def _raise_all(self, view: TenantView, draft: Draft) -> None:
        """Raise Invalid with all that is wrong with the draft, and with what the unique indexes would refuse."""
        await self._check_unique(view, draft)
        draft.errors.check()

    async def _created_before(self, scope: Scope) -> Document | None:
        """What an earlier try of the same request created; one that died half-way left nothing of worth."""
        if scope.request is None:
            return None
        earlier = await scope.view.find_one(self.collection, {"_request": scope.request})
        if earlier is None or await withdraw_if_dangling(self, scope.view, earlier) is None:
            return earlier
        return None

    async def insert(self, view: TenantView, document: Document, beside: Beside | None = None) -> Document:
        """Store a complete document, once all that it refers to is known to stay. Raises Invalid, DuplicateKey."""
        stored = await insert_unconfirmed(self, view, document)
        if beside is None:
            return await confirm(self, view, stored)
        confirmed, _ = await asyncio.gather(confirm(self, view, stored), beside(stored))
        return confirmed

    async def update(self, scope: Scope, document_id: int, given: Document) -> Document:
        """Change a document as the client asks; the document as it then is. Raises NotFound, Invalid."""
        while True:
            old = await scope.view.get(self.collection, document_id)
            draft = Draft(given, dict(old), old=old)
            await self._read_fields(scope, draft)
            await self.complete(scope, draft)
            changes = {name: value for name, value in draft.document.items() if not same_json(value, old.get(name))}
            if changes:
                await self._check_unique(scope.view, draft, document_id)
            draft.errors.check()
            updated = await self.replace(scope.view, old, changes) if changes else old
            if updated is not None:
                if NAMING_FIELD in changes:
                    await self._keep_its_flow(scope, old, updated)
                if changes:
                    await record_change(scope, self, UPDATED, old, updated)
                return updated

    async def _with_its_flow(self, scope: Scope, stored: Document) -> Document:
        """A document just stored; it is taken back, and Invalid raised, where the flow that it names is gone."""
        try:
            await confirm_flow(scope, stored)
        except Invalid:
            await withdraw(self, scope.view, stored["_id"])
            raise
        return stored

    async def _keep_its_flow(self, scope: Scope, old: Document, updated: Document) -> None:
        """Give a document the flow back that it named before, and raise Invalid, where its new one is gone."""
        try:
            await confirm_flow(scope, updated)
        except Invalid:
            renamed = {"_id": old["_id"], NAMING_FIELD: updated[NAMING_FIELD]}
            former = {"$set": {NAMING_FIELD: old.get(NAMING_FIELD)}, "$inc": {"_version": 1}}
            await scope.view.update_one(self.collection, renamed, former)
            raise

    async def replace(self, view: TenantView, old: Document, changes: Document) -> Document | None:
        """Store CHANGES, by field, in the document OLD; it as it then is, None if it is not as it was read any more.

        Raises Invalid where a unique index refuses it.
        """
        version = old.get("_version", 1)
        change = {**changes, "updated_at": now(), "_version": version + 1}
        unchanged = {"_id": old["_id"], "_version": version, **self._condition(old, changes)}
        try:
            return await view.update_one(self.collection, unchanged, {"$set": change})
        except DuplicateKey as refusal:
            raise self.uniqueness_error(refusal) from None

    def _condition(self, old: Document, changes: Document) -> Document:
        """What must be as it was read, for CHANGES by field to be right."""
        condition: Document = {}
        for name in changes.keys() & self.conditions.keys():
            condition |= self.conditions[name](old)
        return condition

    async def _read_fields(self, scope: Scope, draft: Draft) -> None:
        if any(isinstance(field, CallFlowLogic) for field in self.fields):
            scope = await with_published_flows(scope, draft.given)
        for field in self.fields:
            if not field.settable:
                continue
            try:
                draft.document[field.name] = field.read(draft.given, draft.document.get(field.name), scope.rules)
            except FieldError as error:
                for name, part in (error.parts or {field.name: error}).items():
                    draft.errors.add(name, *part.args, hint=part.hint)

    async def _check_unique(self, view: TenantView, draft: Draft, document_id: int | None = None) -> None:
        """Add to the draft's errors what the unique indexes would refuse."""
        for unique in self.unique:
            key = {name: draft.document.get(name, view.account_id) for name in unique.fields}
            if None in key.values() or unique.error_name in draft.errors:
                continue
            if unique.everywhere:
                taken = await view.is_taken(self.collection, key, document_id)
            else:
                taken = await view.exists(self.collection, {**key, "_id": {"$ne": document_id}})
            if taken:
                draft.errors.add(unique.error_name, TAKEN, hint=unique.hint)

    async def fire(self, scope: Scope, document_id: int, event: Any, more: Document | None = None) -> Document:
        """Carry out EVENT; the document in its new status. Raises NotFound, Invalid, Unavailable.

        MORE, by field, is stored in the same write.
        """
        if self.machine is None:
            raise NotFound
        for _ in range(MAX_DELETION_LOOKS):
            document = await scope.view.get(self.collection, document_id)
            if scope.is_retry and document.get("_event_request") == scope.request:
                await record_change(scope, self, event, document, document)
                return document
            try:
                changes = await self._changes_by(scope, document, event)
            except Invalid as error:
                if "event" not in error.errors:
                    raise
                raise Invalid(error.errors, await self._event_hint(scope, document)) from None
            unchanged = {"_id": document_id, "status": document["status"], "_version": document.get("_version")}
            condition = {**unchanged, **self._condition(document, changes), **not_being_deleted()}
            version = document.get("_version", 1) + 1
            moment = now()
            stamps = {"updated_at": moment, "_version": version, **_request_mark(scope, "_event_request")}
            stamps |= log_context.stored()
            # A mark that is still there was abandoned: without it the deletion cannot go on behind our back.
            update = {"$set": {**changes, **(more or {}), **stamps}, "$unset": {"_deleting": ""}}
            if changes["status"] != document["status"] and (told := self.told_statuses.get(changes["status"])):
                update |= telling(told, moment, {"status": changes["status"], "updated_at": moment})
            updated = await scope.view.update_one(self.collection, condition, update)
            if updated is not None:
                await record_change(scope, self, event, document, updated)
                return updated
            await asyncio.sleep(DELETION_LOOK_SECONDS)  # lost a race, or a deletion is under way: look again
        raise Unavailable(f"the deletion of {self.kind} {document_id} does not end")

    async def _changes_by(self, scope: Scope, document: Document, event: Any) -> Document:
        """By field, what EVENT changes in the document; raises Invalid if it is not possible now."""
        assert self.machine is not None
        target = self.machine.target(event, document["status"])
        return {"status": target, **await self.event_changes(scope, document, event)}

    async def _event_hint(self, scope: Scope, document: Document) -> dict[str, str]:
        """Which events are possible now."""
        possible = []
        for event in self.machine.events if self.machine else ():
            with suppress(Invalid, Forbidden):
                await self._changes_by(scope, document, event)
                possible.append(event)
        return {"event": hints.events(self.kind.replace("_", " "), document["status"], possible)}


def _request_mark(scope: Scope, field: str) -> Document:
    """What a document keeps, in FIELD, of the idempotent request that created it, or moved its status last."""
    return {field: scope.request} if scope.request else {}


def same_json(left: Any, right: Any) -> bool:
    """Whether two values are the same JSON: 1, 1.0 and true are three."""
    return left == right and (isinstance(left, (str, int, datetime)) or repr(left) == repr(right))
