"""The trail of what somebody does: audit events, each stored before the request that makes it is acknowledged.

An event is stored right after what it tells of, or beside the last step of that, and never before: one that is there
has happened. What a process leaves that dies in between was never acknowledged: see docs/decisions/0020.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Final

from scfm.clock import now
from scfm.storage.errors import DuplicateKey
from scfm.storage.query import Document
from scfm.storage.store import Store

AUDIT_COLLECTION, AUDIT_KIND = "audit_events", "audit_event"
# The idempotent request that an event tells of, with what it tells: told again by a retry, it is stored once.
REQUEST_MARK: Final = "_request"


@dataclass(frozen=True)
class Origin:
    """Who does something, and from where.

    ``actor``: ``{type, id, email}`` or ``{type, id, name}``, as it is shown; ``account_id``: whose it is, None for
    a command. ``request_id`` and ``address`` are those of the HTTP request, ``request`` its IdempotentRequest's name.
    """

    account_id: int | None
    actor: Document = field(default_factory=dict)
    request_id: str | None = None
    address: str | None = None
    request: str | None = None


@dataclass(frozen=True)
class Subject:
    """What an event is about: a document by its kind and id, or, without an id, many of a kind.

    ``account_id``: whose it is, None for what is the whole server's.
    """

    kind: str
    document_id: int | None
    account_id: int | None


class AuditTrail:
    """Records what one client, or one command, does. Every method raises Unavailable."""

    def __init__(self, store: Store | None, origin: Origin) -> None:
        """Without a STORE nothing is recorded: for what no client does."""
        self._store = store
        self._origin = origin

    def begin_id(self) -> Awaitable[range] | None:
        """The id of an event that is about to be recorded, allocated meanwhile: for ``record`` or ``release``."""
        if self._store is None:
            return None
        return asyncio.ensure_future(self._store.counters.ids(AUDIT_KIND).allocate(1))

    async def release(self, begun: Awaitable[range] | None) -> None:
        """No event takes an id of ``begin_id``."""
        if begun is not None and self._store is not None:
            await self._store.counters.ids(AUDIT_KIND).release((await begun)[0])

    async def record(
        self, subject: Subject, action: str, changes: Document | None = None, begun: Awaitable[range] | None = None
    ) -> Document:
        """Store an event in the account of its subject, and in the actor's where that is another.

        CHANGES: ``{field: [before, after]}``, without secrets. BEGUN: from ``begin_id``. Gives what it is found by
        for ``complete``.
        """
        if self._store is None:
            return {}
        event = self._event(subject, action, changes or {})
        found_by: Document = {}
        accounts = [subject.account_id, self._origin.account_id]
        for account_id in dict.fromkeys(one for one in accounts if one is not None):
            known = {} if begun is None else {"_id": (await begun)[0]}
            begun = None
            view = self._store.for_account(account_id)
            try:
                stored = await view.insert(AUDIT_COLLECTION, {**event, **known}, AUDIT_KIND)
                found_by = {"account_id": account_id, "_id": stored["_id"]}
            except DuplicateKey:  # an earlier try of the same request has stored it
                found_by = {"account_id": account_id, REQUEST_MARK: event[REQUEST_MARK]}
        return found_by

    async def complete(self, found_by: Document, changes: Document) -> None:
        """Store the CHANGES that what was recorded when it began has come to; FOUND_BY is from ``record``."""
        if self._store is not None and found_by:
            view = self._store.for_account(found_by["account_id"])
            await view.update_one(AUDIT_COLLECTION, found_by, {"$set": {"changes": changes}})

    def _event(self, subject: Subject, action: str, changes: Document) -> Document:
        origin = self._origin
        mark = f"{origin.request} {action} {subject.kind} {subject.document_id}"
        return {
            "created_at": now(),
            "actor": origin.actor,
            "action": action,
            "subject": {"type": subject.kind, "id": subject.document_id},
            "changes": changes,
            "request_id": origin.request_id,
            "address": origin.address,
            **({REQUEST_MARK: mark} if origin.request else {}),
        }


def command_trail(store: Store, command: str) -> AuditTrail:
    """The trail of what a command does on the machine, by its name."""
    return AuditTrail(store, Origin(None, {"type": "command", "id": None, "name": command}))


UNAUDITED = AuditTrail(None, Origin(None))
