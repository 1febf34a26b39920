"""What an audit event tells of a change of a document: its fields before and after, without secrets, and bounded."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Any

import orjson

from scfm.errors import Invalid, Unavailable
from scfm.models.audit_trail import Subject
from scfm.models.declaration import Declaration
from scfm.models.scope import Scope
from scfm.storage.query import Document, owner_field

CREATED, UPDATED, DELETED = "create", "update", "delete"
# What stands for a secret that is there.
SECRET_MARK = "(secret)"
# Bytes of one value as JSON; of a larger one its size is told.
MAX_AUDITED_VALUE = 2000
# They follow from the event itself.
UNTOLD = frozenset({"id", "account_id", "created_at", "updated_at", "last_used_at"})


async def record_change(
    scope: Scope,
    resource: Declaration,
    action: str,
    before: Document | None,
    after: Document | None,
) -> None:
    """Record that ACTION has changed a document of RESOURCE from BEFORE to AFTER, one of which may be None."""
    document = after or before or {}
    changes = {**audited_changes(resource, before, after), **_notes(resource, action, document)}
    await scope.audit.record(subject_of(scope, resource, document), action, changes)


def _notes(resource: Declaration, action: str, document: Document) -> Document:
    note = resource.audit_notes.get(action)
    return {} if note is None else note(document)


def subject_of(scope: Scope, resource: Declaration, document: Document) -> Subject:
    """A document of RESOURCE as the subject of an event."""
    owner = document.get(owner_field(resource.collection), scope.view.account_id)
    return Subject(resource.kind, document["_id"], owner)


class Creation:
    """Records that a document is created, without a round trip more in sequence.

    The event's id is allocated while the document is stored; the event is stored while what the document refers to is
    looked at. Where that is gone, and the document is taken back, a second event tells so.
    """

    def __init__(self, scope: Scope, resource: Declaration) -> None:
        self._scope = scope
        self._resource = resource
        self._begun = scope.audit.begin_id()
        self._first: Document | None = None
        self._storing: asyncio.Future[Document] | None = None

    async def __aenter__(self) -> Creation:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._first is None or self._storing is None:
            with suppress(Unavailable):  # then it is taken for one of a process that has died
                await self._scope.audit.release(self._begun)
        elif isinstance(error, Invalid):  # it refers to what is gone, and is taken back
            with suppress(Unavailable):
                await self._storing
                await record_change(self._scope, self._resource, DELETED, self._first, None)

    async def stored(self, document: Document) -> None:
        """The document is stored, and may have to be taken back."""
        self._first = document
        subject = subject_of(self._scope, self._resource, document)
        changes = audited_changes(self._resource, None, document)
        self._storing = asyncio.ensure_future(self._scope.audit.record(subject, CREATED, changes, self._begun))
        await self._storing

    async def confirmed(self, document: Document) -> Document:
        """DOCUMENT stays; it may have been taken back and stored anew, under another id."""
        if self._first is not None and self._first["_id"] != document["_id"]:
            await record_change(self._scope, self._resource, DELETED, self._first, None)
            await record_change(self._scope, self._resource, CREATED, None, document)
        return document


def audited_changes(resource: Declaration, before: Document | None, after: Document | None) -> Document:
    """``{field: [before, after]}`` of what differs as a client sees it; of a document that is not there all is null.

    Of objects what differs is told; a value of more than MAX_AUDITED_VALUE bytes is told by its size.
    """
    secrets = resource.secrets
    changes: Document = {}
    for field in resource.fields:
        if field.name in UNTOLD or field.name in secrets.values():
            continue
        old = None if before is None else field.show(before)
        new = None if after is None else field.show(after)
        if not _same(old, new):
            changes[field.name] = told_pair(old, new)
    for stored, name in secrets.items():
        old, new = (before or {}).get(stored), (after or {}).get(stored)
        if old != new:
            changes[name] = [None if value is None else SECRET_MARK for value in (old, new)]
    return changes


def told_pair(old: Any, new: Any) -> list[Any]:
    """Two values, before and after, as an event holds them."""
    if isinstance(old, dict) and isinstance(new, dict):
        old, new = _differing(old, new)
    return [_bounded(old), _bounded(new)]


def _same(old: Any, new: Any) -> bool:
    if not old and not new and (old is None or new is None):
        return old in (None, {}, []) and new in (None, {}, [])  # a new document is not told what it lacks
    return old == new and (isinstance(old, str) or orjson.dumps(old) == orjson.dumps(new))


def _differing(old: Document, new: Document) -> tuple[Document, Document]:
    """Two objects without what they have in common."""
    olds: Document = {}
    news: Document = {}
    for name in {**old, **new}:
        if name not in new:
            olds[name] = old[name]
        elif name not in old:
            news[name] = new[name]
        elif isinstance(old[name], dict) and isinstance(new[name], dict):
            inner = _differing(old[name], new[name])
            if inner != ({}, {}):
                olds[name], news[name] = inner
        elif not _same(old[name], new[name]):
            olds[name], news[name] = old[name], new[name]
    return olds, news


def _bounded(value: Any) -> Any:
    if not isinstance(value, str | dict | list):
        return value
    size = len(value.encode("utf-8", "replace")) if isinstance(value, str) else len(orjson.dumps(value))
    return value if size <= MAX_AUDITED_VALUE else f"(cut: {size} bytes)"
