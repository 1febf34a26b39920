"""The last admin stays: an account whose users have roles has a user who is ``admin``. It is about users, not tokens.

A deletion and a demotion mark the user first, and look second for another admin who has no mark: of two at the same
time at least one sees the other's mark. A mark that was abandoned is taken away before its user is counted on, so
that what went on under it fails.

Before roles are in use nothing has changed: the only user of an account, if it was never given a role, may go.
"""

from __future__ import annotations

from typing import Final

from scfm.clock import now
from scfm.models.roles import Role, role_of
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

USERS_COLLECTION: Final = "users"
ADMINS: Document = {"role": {"$in": [None, Role.ADMIN]}}


def demotes(old: Document, new: Document) -> bool:
    """Whether a user is an admin before a change, and none after it."""
    return role_of(old) is Role.ADMIN and role_of(new) is not Role.ADMIN


async def is_last_admin(view: TenantView, user: Document) -> bool:
    """Whether the account has no admin without USER, who is one, and is marked."""
    others = {"_id": {"$ne": user["_id"]}}
    if user.get("role") is None and not await view.exists(USERS_COLLECTION, others):
        return False
    other_admins = {**others, **ADMINS}
    abandoned = {**other_admins, "_deleting.until": {"$lt": now()}}
    await view.update_many(USERS_COLLECTION, abandoned, {"$unset": {"_deleting": ""}})
    return not await view.exists(USERS_COLLECTION, {**other_admins, "_deleting": None})
