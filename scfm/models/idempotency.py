"""Requests that a client names with an Idempotency-Key are carried out once, however often they are sent.

After draft-ietf-httpapi-idempotency-key-header. The first answer is kept for a day. While a request is carried out
its record says so; when the process dies meanwhile, the next try carries it out again, and what the first one had
already created, or whose status it had moved, is recognised by the name that it left there (``_request``).
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NotRequired, TypedDict

from scfm.clock import now
from scfm.errors import Conflict, Invalid, Unavailable
from scfm.runtime import log_context
from scfm.storage.errors import DuplicateKey
from scfm.storage.index import Index
from scfm.storage.query import CollectionName
from scfm.storage.tenant_view import TenantView

RETENTION = timedelta(hours=24)
# How long a request may take before its process is taken for dead.
REQUEST_LEASE = timedelta(seconds=60)
EXPIRY = Index("created_at", expires=RETENTION)
OTHER_REQUEST = "has already been used with another request"
# What an outage keeps from being given up is tried again so often, and of more than these the first are left to their
# leases.
GIVE_UP_AGAIN_SECONDS = 0.5
MAX_ABANDONED = 1000


class StoredAnswer(TypedDict):
    """An answer in a record: status, JSON, and the Location, if there was one."""

    status: int
    body: bytes
    location: str | None


class Record(TypedDict):
    """A request as it is stored. ``_id`` is the digest of the account's id and the key.

    ``name``: what the request leaves on what it creates. ``fingerprint``: the digest of all that makes it what it is,
    but for a body that is streamed: of that ``body`` is the digest. ``until``: the process that carries it out has it
    until then, as long as there is no ``answer``.
    """

    _id: str
    name: str
    account_id: int | None
    fingerprint: str
    created_at: datetime
    until: datetime
    answer: NotRequired[StoredAnswer]
    body: NotRequired[str]


COLLECTION: Final = CollectionName[Record]("idempotency_keys")


@dataclass(frozen=True)
class ReplayedAnswer:
    """An answer as it is kept: status, JSON body, Location."""

    status: int
    body: bytes
    location: str | None


@dataclass(frozen=True)
class IdempotentRequest:
    """A request that its client has named by a key.

    ``name`` is what it leaves on what it creates; it is random, as a key may be used again another day. ``record`` is
    the id of its record, ``until`` when its lease ends. ``is_retry``: it may have been carried out before;
    ``answer``: it has been, with a streamed body whose digest is ``body``.
    """

    record: str
    name: str
    until: datetime
    is_retry: bool = False
    answer: ReplayedAnswer | None = None
    body: str = ""


class IdempotencyKeys:
    """The keys that the requests to this process name; a VIEW is of the account that is asked as.

    Every method raises Unavailable in an outage of the database. What was begun then, as far as is known, can be
    tried again as soon as the outage is over.
    """

    def __init__(self) -> None:
        self._abandoned: deque[tuple[TenantView, IdempotentRequest]] = deque(maxlen=MAX_ABANDONED)
        self._giving_up: asyncio.Task[None] | None = None

    async def begin(self, view: TenantView, key: str, content: bytes) -> IdempotentRequest:
        """Begin the request that KEY names; CONTENT is all that makes it what it is, but for a streamed body.

        Raises Conflict while it is being carried out, Invalid if KEY named another request.
        """
        record_id = hashlib.sha256(f"{view.account_id}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()
        name = secrets.token_hex(16)
        fingerprint = hashlib.sha256(content).hexdigest()
        while True:
            moment = now()
            record: Record = {
                "_id": record_id,
                "name": name,
                "account_id": view.account_id,
                "fingerprint": fingerprint,
                "created_at": moment,
                "until": moment + REQUEST_LEASE,
            }
            request = IdempotentRequest(record_id, name, record["until"])
            try:
                await view.insert(COLLECTION, record)
            except DuplicateKey:
                stored = await view.find_one(COLLECTION, {"_id": record_id})
            except Unavailable:
                await self.give_up(view, request)
                raise
            else:
                return request
            if stored is None:
                continue
            if stored["created_at"] < moment - RETENTION:
                await view.remove(COLLECTION, {"_id": record_id, "created_at": stored["created_at"]})
                continue
            return await self._resume(view, stored, fingerprint)

    async def _resume(self, view: TenantView, record: Record, fingerprint: str) -> IdempotentRequest:
        """A request that has begun before: with its answer, or to be carried out again if its process is dead."""
        if record["fingerprint"] != fingerprint:
            raise Invalid({"idempotency_key": [OTHER_REQUEST]})
        # An older version gave its records no name, and no digest.
        name = record.get("name") or record["_id"]
        if "answer" in record:
            answer = ReplayedAnswer(**record["answer"])
            return IdempotentRequest(record["_id"], name, record["until"], answer=answer, body=record.get("body", ""))
        moment = now()
        request = IdempotentRequest(record["_id"], name, moment + REQUEST_LEASE, is_retry=True)
        abandoned = {"_id": record["_id"], "until": {"$lt": moment}, "answer": None}
        try:
            claimed = await view.update_one(COLLECTION, abandoned, {"$set": {"until": request.until}})
        except Unavailable:
            await self.give_up(view, request)
            raise
        if claimed is None:
            raise Conflict
        return request

    async def end(self, view: TenantView, request: IdempotentRequest, answer: ReplayedAnswer, body: str = "") -> None:
        """Keep the answer; BODY is the digest of a streamed body, which could not be told when the request began."""
        stored: StoredAnswer = {"status": answer.status, "body": answer.body, "location": answer.location}
        await view.update_one(COLLECTION, {"_id": request.record}, {"$set": {"answer": stored, "body": body}})

    async def give_up(self, view: TenantView, request: IdempotentRequest) -> None:
        """The request failed for a reason of ours: the next try may begin at once, or when an outage is over."""
        try:
            await _give_up(view, request)
        except Unavailable:
            self._abandoned.append((view, request))
            if self._giving_up is None or self._giving_up.done():
                self._giving_up = asyncio.create_task(self._give_up_later(), context=log_context.nobody())

    async def _give_up_later(self) -> None:
        while self._abandoned:
            view, request = self._abandoned[0]
            try:
                if request.until > now():
                    await _give_up(view, request)
            except Unavailable:
                await asyncio.sleep(GIVE_UP_AGAIN_SECONDS)
            else:
                self._abandoned.popleft()

    def close(self) -> None:
        """Give up nothing more: the leases end by themselves."""
        if self._giving_up is not None:
            self._giving_up.cancel()


async def _give_up(view: TenantView, request: IdempotentRequest) -> None:
    """End the lease, unless it has ended and somebody else has one now."""
    mine = {"_id": request.record, "until": request.until, "answer": None}
    await view.update_one(COLLECTION, mine, {"$set": {"until": now() - REQUEST_LEASE}})
