"""Users: the people of an account."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from scfm.models.declaration import COMMON_FILTERS, Unique, children_by
from scfm.models.draft import Draft
from scfm.models.fields import BLANK, Field, FieldError, Id, Link, Metadata, Rules, Text, Time
from scfm.models.filters import text
from scfm.models.passwords import PASSWORDS
from scfm.models.resource import Resource
from scfm.models.scope import Scope
from scfm.storage.index import Index
from scfm.storage.query import Document

MIN_PASSWORD, MAX_PASSWORD = 6, 128
MAX_EMAIL = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets


@dataclass(frozen=True)
class Email(Text):
    """An e-mail address, lower-case and stripped."""

    schema = {"type": "string", "maxLength": MAX_EMAIL, "examples": ["alice@example.org"]}

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        value = (super().read(given, old, rules) or "").strip().lower()
        if not value:
            raise FieldError(BLANK)
        if len(value) > MAX_EMAIL or not re.fullmatch(r"[^@\s\0]+@[^@\s\0]+\Z", value):
            raise FieldError("is invalid")
        return value


class Users(Resource):
    kind = "user"
    collection = "users"
    fields = (
        Id("id"),
        Link("account_id"),
        Metadata("metadata", {}),
        Email("email"),
        Time("created_at"),
        Time("updated_at"),
        Field("invitation_token"),
        Time("invitation_created_at"),
        Time("invitation_sent_at"),
        Time("invitation_accepted_at"),
        Field("invitation_limit"),
        Link("invited_by_id"),
        Field("invitations_count", 0),
    )
    unique = (Unique(("email",), "email", everywhere=True),)
    filters = COMMON_FILTERS
    accepts = {"password": {"type": "string", "minLength": MIN_PASSWORD, "maxLength": MAX_PASSWORD}}
    required = ("email", "password")
    parents = {"account": children_by("users", "account_id")}
    indexes = (Index("account_id", "_id"),)

    async def complete(self, scope: Scope, draft: Draft) -> None:
        """Check the password and keep a slow salted hash of it, made off the event loop. Raises Overloaded."""
        given = draft.given.get("password")
        if not draft.new and given is None:
            return
        password = text(given) or ""
        messages = password_errors(password)
        if messages:
            draft.errors.add("password", *messages)
        elif not draft.errors:
            draft.document["password_hash"] = await PASSWORDS.hash(scope.client.account_id, password)


def password_errors(password: str) -> list[str]:
    """What is wrong with a password."""
    if not password.strip():
        return [BLANK]
    if len(password) < MIN_PASSWORD:
        return [f"is too short (minimum is {MIN_PASSWORD} characters)"]
    if len(password) > MAX_PASSWORD:
        return [f"is too long (maximum is {MAX_PASSWORD} characters)"]
    return []


USERS = Users()
