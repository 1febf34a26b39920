"""An opt-out outlives its number: of a person who is erased a keyed digest is kept; no call leaves to what fits it.

The digest is HMAC-SHA256 of the number. There are so few numbers that whoever has the key can try all of them; so the
key is random, one for each account, and stored sealed with the secret keys, which are not in the database.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping
from typing import Final

from scfm.models.erased import DIGEST_PREFIX
from scfm.runtime.secret_box import SecretBox
from scfm.storage.query import ACCOUNT_COLLECTION
from scfm.storage.store import Store

# In the document of an account: its key, sealed, once it has one.
OPT_OUT_KEY: Final = "_opt_out_key"


class OptOutDigests:
    """Makes the digests of numbers. Methods raise NotFound without the account, Unavailable, SecretUnreadable."""

    def __init__(self, store: Store, box: SecretBox) -> None:
        self._store = store
        self._box = box
        # By the account's id; a key never changes.
        self._keys: dict[int, bytes] = {}

    async def digests(self, account_id: int, msisdns: Collection[str]) -> Mapping[str, str]:
        """By the number, its digest in that account."""
        key = self._keys.get(account_id) or await self._read(account_id)
        return {msisdn: DIGEST_PREFIX + hmac.digest(key, msisdn.encode(), hashlib.sha256).hex() for msisdn in msisdns}

    async def _read(self, account_id: int) -> bytes:
        """The account's key, made where there is none."""
        view = self._store.for_account(account_id)
        account = await view.get(ACCOUNT_COLLECTION, account_id)
        if not account.get(OPT_OUT_KEY):
            new = {"$set": {OPT_OUT_KEY: self._box.seal(secrets.token_hex(32))}}
            # Another process may be faster.
            await view.update_one(ACCOUNT_COLLECTION, {"_id": account_id, OPT_OUT_KEY: None}, new)
            account = await view.get(ACCOUNT_COLLECTION, account_id)
        key = self._keys[account_id] = bytes.fromhex(self._box.unseal(account[OPT_OUT_KEY]))
        return key
