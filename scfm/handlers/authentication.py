"""Who a request comes from: HTTP Basic with the access token as user name, or a Bearer token (RFC 6750)."""

from __future__ import annotations

import base64
import binascii
import time
from collections import OrderedDict

from scfm.errors import Unauthorized
from scfm.models.access_token import digest
from scfm.models.account import SUPER_ADMIN
from scfm.models.resource import Client
from scfm.models.store import Store

# A token revoked by another process is refused here no later than this.
REMEMBERED_SECONDS = 2.0
REMEMBERED_CLIENTS = 10_000


class Authenticator:
    """Finds the client of a token, and remembers it for a moment."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[str, tuple[float, Client]] = OrderedDict()

    async def client(self, authorization: str | None) -> Client:
        """The client whose token the Authorization header carries; raises Unauthorized."""
        token = token_in(authorization or "")
        if token is None:
            raise Unauthorized
        key = digest(token)
        known = self._known.get(key)
        if known and known[0] > time.monotonic():
            return known[1]
        client = await self._find(key)
        self._remember(key, client)
        return client

    def forget(self) -> None:
        """Ask the database again: a token or an account has changed."""
        self._known.clear()

    async def _find(self, key: str) -> Client:
        token = await self._store.everyone.find_one("access_tokens", {"digest": key})
        account = token and await self._store.everyone.find_one("accounts", {"_id": token["account_id"]})
        if not token or not account:
            raise Unauthorized
        return Client(account["_id"], token["_id"], SUPER_ADMIN in account["permissions"])

    def _remember(self, key: str, client: Client) -> None:
        self._known[key] = (time.monotonic() + REMEMBERED_SECONDS, client)
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED_CLIENTS:
            self._known.popitem(last=False)


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
