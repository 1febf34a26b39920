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
# Between two tries to end the leases of requests that an outage has cut off. Of more than so many the oldest wait for
# the end of theirs.
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
    until then, as long as there is no ``answer``. ``lease``: which of its tries that is, by a random name.
    """

    _id: str
    name: str
    account_id: int | None
    fingerprint: str
    created_at: datetime
    until: datetime
    lease: NotRequired[str]
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
    the id of its record, ``lease`` the name of this try, ``until`` when that ends. ``is_retry``: it may have been
    carried out before; ``answer``: it has been, with a streamed body whose digest is ``body``.
    """

    record: str
    name: str
    lease: str
    until: datetime
    is_retry: bool = False
    answer: ReplayedAnswer | None = None
    body: str = ""


class IdempotencyKeys:
    """The requests with a key that this process carries out; a VIEW is of the account whose keys they are.

    ``begin`` and ``end`` raise Unavailable in an outage of the database. A request that fails in one can be tried
    again soon after it.
    """

    def __init__(self) -> None:
        self._abandoned: deque[tuple[TenantView, IdempotentRequest]] = deque(maxlen=MAX_ABANDONED)
        self._giving_up: asyncio.Task[None] | None = None
        self._closed = False

    async def begin(self, view: TenantView, key: str, content: bytes) -> IdempotentRequest:
        """Begin the request that KEY names; CONTENT is all that makes it what it is, but for a streamed body.

        Raises Conflict while it is being carried out, Invalid if KEY named another request.
        """
        record_id = hashlib.sha256(f"{view.account_id}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()
        name, fingerprint = secrets.token_hex(16), hashlib.sha256(content).hexdigest()
        while True:
            request = IdempotentRequest(record_id, name, secrets.token_hex(16), now() + REQUEST_LEASE)
            if await self._insert(view, request, fingerprint):
                return request
            stored = await view.find_one(COLLECTION, {"_id": record_id})
            if stored is None:
                continue
            if stored["created_at"] >= now() - RETENTION:
                return await self._resume(view, stored, fingerprint)
            await view.remove(COLLECTION, {"_id": record_id, "created_at": stored["created_at"]})

    async def _insert(self, view: TenantView, request: IdempotentRequest, fingerprint: str) -> bool:
        """Whether the key is new, and this request has it now."""
        record: Record = {
            "_id": request.record,
            "name": request.name,
            "account_id": view.account_id,
            "fingerprint": fingerprint,
            "created_at": now(),
            "until": request.until,
            "lease": request.lease,
        }
        try:
            await view.insert(COLLECTION, record)
        except DuplicateKey:
            return False
        except Unavailable:  # it may be stored all the same
            if len(self._abandoned) < MAX_ABANDONED:  # it must not push out one that was carried out
                self.give_up_soon(view, request)
            raise
        return True

    async def _resume(self, view: TenantView, record: Record, fingerprint: str) -> IdempotentRequest:
        """A request that has begun before: with its answer, or to be carried out again if its process is dead."""
        if record["fingerprint"] != fingerprint:
            raise Invalid({"idempotency_key": [OTHER_REQUEST]})
        # An older version gave its records no name, and no digest.
        name, lease = record.get("name") or record["_id"], secrets.token_hex(16)
        if "answer" in record:
            answer = ReplayedAnswer(**record["answer"])
            body = record.get("body", "")
            return IdempotentRequest(record["_id"], name, lease, record["until"], answer=answer, body=body)
        moment = now()
        request = IdempotentRequest(record["_id"], name, lease, moment + REQUEST_LEASE, is_retry=True)
        abandoned = {"_id": record["_id"], "until": {"$lt": moment}, "answer": None}
        claim = {"$set": {"until": request.until, "lease": lease}}
        try:
            claimed = await view.update_one(COLLECTION, abandoned, claim)
        except Unavailable:  # it may have been claimed all the same
            self.give_up_soon(view, request)
            raise
        if claimed is None:
            raise Conflict
        return request

    async def end(self, view: TenantView, request: IdempotentRequest, answer: ReplayedAnswer, body: str = "") -> None:
        """Keep the answer; BODY is the digest of a streamed body, which could not be told when the request began."""
        stored: StoredAnswer = {"status": answer.status, "body": answer.body, "location": answer.location}
        await view.update_one(COLLECTION, {"_id": request.record}, {"$set": {"answer": stored, "body": body}})

    async def give_up(self, view: TenantView, request: IdempotentRequest) -> None:
        """The request failed for a reason of ours: the next try may begin at once, in an outage soon after it."""
        try:
            await _end_lease(view, request)
        except Unavailable:
            self.give_up_soon(view, request)

    def give_up_soon(self, view: TenantView, request: IdempotentRequest) -> None:
        """The same, as soon as the database answers: it has just not done so."""
        self._abandoned.append((view, request))
        if (self._giving_up is None or self._giving_up.done()) and not self._closed:
            self._giving_up = asyncio.create_task(self._give_up_abandoned(), context=log_context.nobody())

    async def _give_up_abandoned(self) -> None:
        while self._abandoned:
            view, request = self._abandoned.popleft()
            try:
                await _end_lease(view, request)
            except Unavailable:
                self._abandoned.append((view, request))
                await asyncio.sleep(GIVE_UP_AGAIN_SECONDS)

    async def close(self) -> None:
        """Give up nothing more: the leases end by themselves."""
        self._closed = True
        if self._giving_up is not None:
            self._giving_up.cancel()
            await asyncio.gather(self._giving_up, return_exceptions=True)


async def _end_lease(view: TenantView, request: IdempotentRequest) -> None:
    """End the lease of this try, unless it has run out and another has one now."""
    # A server of an older version that has taken the request over has left ``lease`` as it was.
    mine = {"_id": request.record, "lease": request.lease, "until": {"$lte": request.until}, "answer": None}
    await view.update_one(COLLECTION, mine, {"$set": {"until": now() - REQUEST_LEASE}})
