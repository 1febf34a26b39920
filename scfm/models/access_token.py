"""Access tokens: what a client shows to be let in. Only a digest is stored; the token is shown once."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

from scfm.clock import now
from scfm.errors import Invalid
from scfm.models.declaration import COMMON_FILTERS, children_by
from scfm.models.draft import Draft
from scfm.models.fields import Field, FieldError, Id, Metadata, Rules, Time
from scfm.models.filters import moment_of
from scfm.models.resource import Beside, Resource
from scfm.models.roles import RoleField, check_own_role
from scfm.models.scope import Scope
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

NOT_THE_CREATOR = "Cannot delete record because the destroyer is not the creator"
NO_TIME, NOT_IN_FUTURE = "must be a time, such as 2026-11-30T07:00:00+07:00", "must be in the future"


@dataclass(frozen=True)
class Expiry(Time):
    """From when on the token is refused; null is never. What a client gives must be in the future."""

    settable = True

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        value = given.get(self.name, old)
        if value is None or value == "":
            return None
        if self.name not in given or isinstance(value, (dict, list)):
            return old
        moment, bare = moment_of(value)
        if moment is None or bare:
            raise FieldError(NO_TIME)
        moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        if moment <= now() and moment != old:  # who sends back what is shown changes nothing
            raise FieldError(NOT_IN_FUTURE)
        return moment


class AccessTokens(Resource):
    kind = "access_token"
    collection = "access_tokens"
    fields = (
        Id("id"),
        Field("token"),
        Time("created_at"),
        Time("updated_at"),
        Metadata("metadata", {}),
        RoleField("role"),
        Expiry("expires_at"),
        Time("last_used_at"),
    )
    filters = COMMON_FILTERS
    parents = {"account": children_by("access_tokens", "account_id")}
    indexes = (Index("account_id", "_id"), Index("digest", unique=True))
    secrets = {"digest": "token"}

    async def complete(self, scope: Scope, draft: Draft) -> None:
        check_own_role(draft, scope.client.token_id)
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

    async def insert(self, view: TenantView, document: Document, beside: Beside | None = None) -> Document:
        """Store the token's digest; the document returned is the only one that still has the token."""
        token = document["token"]
        stored = await super().insert(view, {**document, "token": None, "digest": digest(token)}, beside)
        return {**stored, "token": token}

    async def check_delete(self, scope: Scope, document: Document) -> None:
        if document.get("created_by_id") != scope.client.account_id and not scope.client.super_admin:
            raise Invalid({"base": [NOT_THE_CREATOR]})


def digest(token: str) -> str:
    """What is stored of a token. It has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


ACCESS_TOKENS = AccessTokens()
