"""Roles: what a user, or an access token, may do in its account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scfm.models.draft import Draft
from scfm.models.fields import NOT_IN_LIST, Field, FieldError, Rules
from scfm.models.hints import choice_of
from scfm.schemas import Schema
from scfm.storage.query import Document

OWN_ROLE = "is your own"


class Role(StrEnum):
    """What somebody may do, the least first; each role may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"

    def includes(self, needed: Role) -> bool:
        """Whether who has this role may do what NEEDED may."""
        return _RANKS[self] >= _RANKS[needed]


_RANKS: Mapping[Role, int] = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True)
class RoleField(Field):
    """A role; null, as in documents that are older than roles, is ``admin``."""

    settable = True

    @property
    def schema(self) -> Schema:
        return {"enum": [*Role, None], "description": "Null is admin."}

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        value = given.get(self.name, old)
        # Of whatever type it is: what is ignored would be an admin.
        if value is not None and value not in [*Role]:
            raise FieldError(NOT_IN_LIST, hint=choice_of([*Role]))
        return value


def role_of(document: Document) -> Role:
    """The role of a user, or of an access token."""
    return Role(document.get("role") or Role.ADMIN)


def check_own_role(draft: Draft, own_id: int | None) -> None:
    """Put an error into the draft where the user or token that asks, whose id is OWN_ID, changes its own role."""
    if draft.old is not None and draft.old["_id"] == own_id and role_of(draft.document) is not role_of(draft.old):
        draft.errors.add("role", OWN_ROLE, hint="another admin may change it")
