"""Who a request comes from: an access token, by HTTP Basic or as a Bearer token (RFC 6750), or else a session."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from tornado.httputil import HTTPServerRequest

from scfm.clock import now
from scfm.errors import Unauthorized
from scfm.handlers.request_limits import RequestLimits
from scfm.handlers.session_cookie import check_csrf, session_secret
from scfm.handlers.token_uses import TokenUses
from scfm.models.access_token import digest
from scfm.models.account import SUPER_ADMIN, country_of, requires_approval
from scfm.models.roles import role_of
from scfm.models.scope import Client
from scfm.models.session import find_session
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.storage.ttl_cache import TTLCache

# A token revoked, or a session ended, by another process is refused here no later than this.
TOKEN_CACHE_SECONDS = 2.0
# How many tokens and sessions are remembered as somebody's: they are looked up, however many wrong ones came from
# their address.
MAX_KNOWN = 10_000

Value = TypeVar("Value")


@dataclass(frozen=True)
class SignedIn:
    """Who has signed in: the client of the session, its user and account as they are stored, and when it ends."""

    client: Client
    user: Document
    account: Document
    expires_at: datetime


class Authenticator:
    """Finds the client of a token, or of a session, with a TTL cache.

    USES is told of each token that is used, LIMITS of each that nobody has. PUBLIC_URL, the setting, names the
    session's cookie.
    """

    def __init__(self, store: Store, uses: TokenUses, limits: RequestLimits, public_url: str) -> None:
        self._store = store
        self._public_url = public_url
        self._uses = uses
        self._limits = limits
        self._clients = TTLCache(self._find, TOKEN_CACHE_SECONDS)
        self._sessions = TTLCache(self._find_session, TOKEN_CACHE_SECONDS)
        # The digests of tokens and sessions that were somebody's when they were looked up last. The caches do not
        # tell that: every change of an account empties them.
        self._known: dict[str, None] = {}

    async def client(self, request: HTTPServerRequest) -> Client:
        """The client whose token the Authorization header carries, or, without that header, whose session the cookie.

        Raises Unauthorized; Forbidden for a write by cookie without the session's csrf token; TooManyRequests for one
        that is not known yet, from an address that has sent too many that were nobody's.
        """
        authorization = request.headers.get("Authorization")
        secret = session_secret(request, self._public_url) if authorization is None else None
        if secret is not None:
            signed_in = await self.shown_session(secret, request)
            check_csrf(request, secret)
            return signed_in.client
        token = token_in(authorization or "")
        if token is None:
            raise Unauthorized
        client, token_id, expires_at = await self._look_up(self._clients, token, request)
        if expires_at is not None and expires_at <= now():
            raise Unauthorized
        self._uses.record(client.account_id, token_id)
        return client

    async def signed_in(self, secret: str) -> SignedIn:
        """Whose session it is that has this secret; raises Unauthorized."""
        key = digest(secret)
        signed_in = _valid(await self._sessions.get(key))
        self._remember(key)
        return signed_in

    async def shown_session(self, secret: str, request: HTTPServerRequest) -> SignedIn:
        """Whose session it is whose secret a request shows; raises Unauthorized, TooManyRequests as ``client``."""
        return _valid(await self._look_up(self._sessions, secret, request))

    def forget(self) -> None:
        """Ask the database again: a token, a user or an account has changed."""
        self._clients.forget()
        self._sessions.forget()

    def forget_session(self, secret: str) -> None:
        """The session with this secret has ended."""
        self._sessions.forget(digest(secret))

    async def _look_up(self, cache: TTLCache[str, Value], secret: str, request: HTTPServerRequest) -> Value:
        """What a cache has of a request's token or session; raises Unauthorized, TooManyRequests."""
        key = digest(secret)
        if key not in self._known:
            self._limits.check_wrong_tokens(request)
        try:
            found = await cache.get(key)
        except Unauthorized:
            self._known.pop(key, None)
            self._limits.count_wrong_token(request)
            raise
        self._remember(key)
        return found

    def _remember(self, key: str) -> None:
        if key not in self._known:
            if len(self._known) >= MAX_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[key] = None

    async def _find(self, key: str) -> tuple[Client, int, datetime | None]:
        """The client of the token with this digest, the token's id, and from when on it is refused."""
        token = await self._store.all_tenants.find_one("access_tokens", {"digest": key})
        account = token and await self._store.all_tenants.find_one("accounts", {"_id": token["account_id"]})
        if not token or not account:
            raise Unauthorized
        return _client_of(account, token, token_id=token["_id"]), token["_id"], token.get("expires_at")

    async def _find_session(self, key: str) -> SignedIn:
        """Whose session it is whose secret has this digest."""
        found = await find_session(self._store, key)
        if found is None:
            raise Unauthorized
        user, session = found
        account = await self._store.all_tenants.find_one("accounts", {"_id": user["account_id"]})
        if account is None:
            raise Unauthorized
        return SignedIn(
            _client_of(account, user, user_id=user["_id"], email=user["email"]),
            user,
            account,
            session["expires_at"],
        )


def _valid(found: SignedIn) -> SignedIn:
    """A session that has not ended; raises Unauthorized."""
    if found.expires_at <= now():
        raise Unauthorized
    return found


def _client_of(account: Document, whose: Document, **named: Any) -> Client:
    """A client of an account, with the role of WHOSE, a token or a user; NAMED says which one it is."""
    return Client(
        account["_id"],
        named.pop("token_id", None),
        super_admin=SUPER_ADMIN in account["permissions"],
        country=country_of(account),
        role=role_of(whose),
        approval_required=requires_approval(account),
        **named,
    )


def token_in(authorization: str) -> str | None:
    """The token of an Authorization header, or None."""
    scheme, _, credentials = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(credentials.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return decoded.partition(":")[0] or None
