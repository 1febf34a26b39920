"""Requests that a client names with an Idempotency-Key are carried out once, however often they are sent.

After draft-ietf-httpapi-idempotency-key-header. The first answer is kept for a day. While a request is carried
out its record says so; when the process dies meanwhile, the next try carries it out again, and what the first
one had already made or moved is recognised by the name it left there (``_request``).
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from scfm.clock import now
from scfm.errors import Conflict, Invalid
from scfm.storage.errors import DuplicateKey
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

COLLECTION = "idempotency_keys"
KEPT = timedelta(hours=24)
# How long a request may take before its process is taken for dead.
RUNNING = timedelta(seconds=60)
EXPIRY = Index("created_at", expires=KEPT)
OTHER_REQUEST = "has already been used with another request"


@dataclass(frozen=True)
class Answer:
    """An answer as it is kept: status, JSON body, Location."""

    status: int
    body: bytes
    location: str | None


@dataclass(frozen=True)
class IdempotentRequest:
    """A request and the name that it leaves on what it makes, which is drawn, as its key may be used again another
    day; ``record`` is its record's id.

    ``is_retry``: it may have been carried out before; ``answer``: it has been, with the streamed body of that
    digest.
    """

    record: str
    name: str
    is_retry: bool = False
    answer: Answer | None = None
    body: str = ""


async def begin(view: TenantView, key: str, content: bytes) -> IdempotentRequest:
    """Begin the request that KEY names; CONTENT is all that makes it what it is.

    Raises Conflict while it is being carried out, Invalid if KEY named another request.
    """
    number = hashlib.sha256(f"{view.account_id}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()
    name = secrets.token_hex(16)
    fingerprint = hashlib.sha256(content).hexdigest()
    while True:
        moment = now()
        record = {
            "_id": number,
            "name": name,
            "account_id": view.account_id,
            "fingerprint": fingerprint,
            "created_at": moment,
            "until": moment + RUNNING,
        }
        try:
            await view.insert_with_id(COLLECTION, record)
        except DuplicateKey:
            known = await view.find_one(COLLECTION, {"_id": number})
        else:
            return IdempotentRequest(number, name)
        if known is None:
            continue
        if known["created_at"] < moment - KEPT:
            await view.remove(COLLECTION, {"_id": number, "created_at": known["created_at"]})
            continue
        return await _known(view, known, fingerprint)


async def _known(view: TenantView, known: Document, fingerprint: str) -> IdempotentRequest:
    if known["fingerprint"] != fingerprint:
        raise Invalid({"idempotency_key": [OTHER_REQUEST]})
    if "answer" in known:
        answer = known["answer"]
        kept = Answer(answer["status"], answer["body"], answer["location"])
        return IdempotentRequest(known["_id"], known["name"], answer=kept, body=known["body"])
    taken = await view.update_one(
        COLLECTION,
        {"_id": known["_id"], "until": {"$lt": now()}, "answer": None},
        {"$set": {"until": now() + RUNNING}},
    )
    if taken is None:
        raise Conflict
    return IdempotentRequest(known["_id"], known["name"], is_retry=True)


async def end(view: TenantView, request: IdempotentRequest, answer: Answer, body: str = "") -> None:
    """Keep the answer; BODY is the digest of what was streamed and so could not be told when the request began."""
    kept = {"status": answer.status, "body": answer.body, "location": answer.location}
    await view.update_one(COLLECTION, {"_id": request.record}, {"$set": {"answer": kept, "body": body}})


async def give_up(view: TenantView, request: IdempotentRequest) -> None:
    """The request failed for a reason of ours: the next try may begin at once."""
    await view.update_one(COLLECTION, {"_id": request.record, "answer": None}, {"$set": {"until": now() - RUNNING}})
