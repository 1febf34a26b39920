"""Access tokens: what a client shows to be let in. Only a digest is stored; the token is shown once."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from scfm.errors import Invalid
from scfm.models.declaration import COMMON_FILTERS, children_by
from scfm.models.draft import Draft
from scfm.models.fields import Field, Id, Metadata, Time
from scfm.models.resource import Resource
from scfm.models.scope import Scope
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

NOT_THE_CREATOR = "Cannot delete record because the destroyer is not the creator"


class AccessTokens(Resource):
    kind = "access_token"
    collection = "access_tokens"
    fields = (
        Id("id"),
        Field("token"),
        Time("created_at"),
        Time("updated_at"),
        Metadata("metadata", {}),
    )
    filters = COMMON_FILTERS
    parents = {"account": children_by("access_tokens", "account_id")}
    indexes = (Index("account_id", "_id"), Index("digest", unique=True))

    async def complete(self, scope: Scope, draft: Draft) -> None:
        if draft.new:
            draft.document["token"] = secrets.token_hex(32)
            draft.document["created_by_id"] = scope.client.account_id

    async def create(self, scope: Scope, given: Document, **known: Any) -> Document:
        """A new token; a retry of an idempotent request gets another, as only a digest of the first is stored."""
        document = await super().create(scope, given, **known)
        if document["token"] is not None:
            return document
        token = secrets.token_hex(32)
        await scope.view.update_one(self.collection, {"_id": document["_id"]}, {"$set": {"digest": digest(token)}})
        return {**document, "token": token}

    async def insert(self, view: TenantView, document: Document) -> Document:
        """Store the token's digest; the document returned is the only one that still has the token."""
        token = document["token"]
        stored = await super().insert(view, {**document, "token": None, "digest": digest(token)})
        return {**stored, "token": token}

    async def check_delete(self, scope: Scope, document: Document) -> None:
        if document.get("created_by_id") != scope.client.account_id and not scope.client.super_admin:
            raise Invalid({"base": [NOT_THE_CREATOR]})


def digest(token: str) -> str:
    """What is stored of a token. It has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


ACCESS_TOKENS = AccessTokens()
