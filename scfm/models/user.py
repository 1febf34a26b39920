"""Users: the people of an account."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from scfm.errors import Invalid
from scfm.models.declaration import COMMON_FILTERS, Unique, children_by
from scfm.models.draft import Draft
from scfm.models.fields import BLANK, Field, FieldError, Id, Link, Metadata, Rules, Text, Time
from scfm.models.filters import text
from scfm.models.last_admin import demotes, is_last_admin
from scfm.models.passwords import PASSWORDS
from scfm.models.references import mark_deleting, unmark
from scfm.models.resource import Resource
from scfm.models.roles import Role, RoleField, check_own_role, role_of
from scfm.models.scope import Scope
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

MIN_PASSWORD, MAX_PASSWORD = 6, 128
# Changed whenever the password is, in the same write: sessions that began before are over.
PASSWORD_VERSION = "_password_version"
LAST_ADMIN, UNDELETABLE = "is that of the last admin", "Cannot delete record because it is the last admin"
ANOTHER_ADMIN = "make another user an admin first"
MAX_EMAIL = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets


@dataclass(frozen=True)
class Email(Text):
    """An e-mail address, lower-case and stripped."""

    schema = {"type": "string", "maxLength": MAX_EMAIL, "examples": ["alice@example.org"]}

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        value = normal_email(super().read(given, old, rules) or "")
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
        RoleField("role"),
    )
    unique = (Unique(("email",), "email", everywhere=True),)
    filters = COMMON_FILTERS
    accepts = {"password": {"type": "string", "minLength": MIN_PASSWORD, "maxLength": MAX_PASSWORD}}
    required = ("email", "password")
    parents = {"account": children_by("users", "account_id")}
    indexes = (Index("account_id", "_id"),)
    # A role changes under the mark that the user had when it was read, or has for its demotion.
    conditions = {"role": lambda old: {"_deleting.token": old.get("_deleting", {}).get("token")}}
    secrets = {"password_hash": "password", "invitation_token": "invitation_token"}

    async def complete(self, scope: Scope, draft: Draft) -> None:
        """Check the password and keep a slow salted hash of it, made off the event loop. Raises Overloaded."""
        check_own_role(draft, scope.client.user_id)
        given = draft.given.get("password")
        if not draft.new and given is None:
            return
        password = text(given) or ""
        messages = password_errors(password)
        if messages:
            draft.errors.add("password", *messages)
        elif not draft.errors:
            draft.document["password_hash"] = await PASSWORDS.hash(scope.client.account_id, password)
            draft.document[PASSWORD_VERSION] = draft.document.get(PASSWORD_VERSION, 0) + 1

    async def replace(self, view: TenantView, old: Document, changes: Document) -> Document | None:
        """An admin is demoted under a mark, as it is deleted: see ``last_admin``."""
        if not demotes(old, {**old, **changes}):
            return await super().replace(view, old, changes)
        token = await mark_deleting(view, self.collection, old["_id"])
        try:
            if await is_last_admin(view, old):
                raise Invalid({"role": [LAST_ADMIN]}, {"role": ANOTHER_ADMIN})
            return await super().replace(view, {**old, "_deleting": {"token": token}}, changes)
        finally:
            await unmark(view, self.collection, old["_id"], token)

    async def check_delete(self, scope: Scope, document: Document) -> None:
        """An account's own clients cannot delete its last admin; a super admin who closes it can."""
        if role_of(document) is not Role.ADMIN or scope.client.account_id != document["account_id"]:
            return
        if await is_last_admin(scope.view, document):
            raise Invalid({"base": [UNDELETABLE]}, {"base": ANOTHER_ADMIN})


def normal_email(written: str) -> str:
    """The one form of an e-mail address, in which it is stored and looked for."""
    return written.strip().lower()


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
