"""Sessions: users who have signed in. A browser keeps the secret of its session; only a digest of it is stored."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from typing import Final, TypedDict

from scfm.clock import now
from scfm.models.access_token import digest
from scfm.models.user import PASSWORD_VERSION
from scfm.storage.index import Index
from scfm.storage.query import CollectionName, Document
from scfm.storage.store import Store

SESSION_LIFETIME = timedelta(hours=12)
# Of one user. Whoever signs in once more ends the oldest.
MAX_SESSIONS_OF_USER = 20


class SessionDocument(TypedDict):
    """A session as it is stored. ``_id`` is the digest of its secret; ``password_version`` is its user's then."""

    _id: str
    account_id: int
    user_id: int
    password_version: int
    created_at: datetime
    expires_at: datetime


SESSIONS: Final = CollectionName[SessionDocument]("sessions")
SESSION_INDEXES = (Index("expires_at", expires=timedelta()), Index("account_id", "user_id", "created_at"))


async def begin_session(store: Store, user: Document) -> str:
    """A new session of USER, as the document was when the password was compared; its secret."""
    secret, moment = secrets.token_urlsafe(32), now()
    session: SessionDocument = {
        "_id": digest(secret),
        "account_id": user["account_id"],
        "user_id": user["_id"],
        "password_version": user.get(PASSWORD_VERSION, 0),
        "created_at": moment,
        "expires_at": moment + SESSION_LIFETIME,
    }
    view = store.for_account(user["account_id"])
    await view.insert(SESSIONS, session)
    newest_first = [("created_at", -1)]
    of_user = {"user_id": user["_id"]}
    kept = await view.find(SESSIONS, of_user, fields=["created_at"], sort=newest_first, limit=MAX_SESSIONS_OF_USER)
    if len(kept) == MAX_SESSIONS_OF_USER:
        await view.remove(SESSIONS, {**of_user, "created_at": {"$lt": kept[-1]["created_at"]}})
    return secret


async def end_session(store: Store, account_id: int, secret: str) -> None:
    """The session is over, if it was not yet."""
    await store.for_account(account_id).remove(SESSIONS, {"_id": digest(secret)})


async def keep_session(store: Store, account_id: int, secret: str, password_version: int) -> None:
    """The session goes on with another password of its user, which ends the others."""
    change = {"$set": {"password_version": password_version}}
    await store.for_account(account_id).update_one(SESSIONS, {"_id": digest(secret)}, change)


async def find_session(store: Store, key: str) -> tuple[Document, SessionDocument] | None:
    """The user of the session with the digest KEY, and the session.

    None where there is none, where the user is gone, or has another password since.
    """
    session = await store.all_tenants.find_one(SESSIONS, {"_id": key})
    if session is None:
        return None
    user = await store.for_account(session["account_id"]).find_one("users", {"_id": session["user_id"]})
    if user is None or user.get(PASSWORD_VERSION, 0) != session["password_version"]:
        return None
    return user, session


def csrf_token(secret: str) -> str:
    """What a write must show beside the cookie with this secret; it tells nothing of the secret."""
    return derived(secret, "csrf")


def derived(secret: str, purpose: str) -> str:
    """A text that only those make who have SECRET, another for each PURPOSE: 43 letters, digits, ``-`` and ``_``."""
    made = hmac.digest(secret.encode("utf-8", "surrogatepass"), purpose.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()
