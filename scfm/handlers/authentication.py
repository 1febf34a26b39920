"""Who a request comes from: HTTP Basic with the access token as user name, or a Bearer token (RFC 6750)."""

from __future__ import annotations

import base64
import binascii

from scfm.errors import Unauthorized
from scfm.models.access_token import digest
from scfm.models.account import SUPER_ADMIN, country_of
from scfm.models.scope import Client
from scfm.storage.store import Store
from scfm.storage.ttl_cache import TTLCache

# A token revoked by another process is refused here no later than this.
TOKEN_CACHE_SECONDS = 2.0


class Authenticator:
    """Finds the client of a token, with a TTL cache."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._clients = TTLCache(self._find, TOKEN_CACHE_SECONDS)

    async def client(self, authorization: str | None) -> Client:
        """The client whose token the Authorization header carries; raises Unauthorized."""
        token = token_in(authorization or "")
        if token is None:
            raise Unauthorized
        return await self._clients.get(digest(token))

    def forget(self) -> None:
        """Ask the database again: a token or an account has changed."""
        self._clients.forget()

    async def _find(self, key: str) -> Client:
        token = await self._store.all_tenants.find_one("access_tokens", {"digest": key})
        account = token and await self._store.all_tenants.find_one("accounts", {"_id": token["account_id"]})
        if not token or not account:
            raise Unauthorized
        return Client(account["_id"], token["_id"], SUPER_ADMIN in account["permissions"], country_of(account))


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
