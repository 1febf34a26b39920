"""Which secret keys the database needs: those of all servers that use it, until no secret is sealed with them.

They are in one document, ``{_id, keys}``, by their fingerprints. A server that has not all of them does not start: it
could not read what another has sealed, or what it will seal, nor could the other read what this one seals.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Final

from scfm.errors import StartError
from scfm.runtime.secret_box import SecretBox
from scfm.storage.errors import DuplicateKey
from scfm.storage.query import Document
from scfm.storage.store import Store

log = logging.getLogger("scfm")

UNREADABLE = (
    "stored secrets that need the secret key %s, which is not here: %d; what needs them waits: "
    "add that key to the secret keys, or set these secrets anew"
)
KEYS_IN_USE: Final = "secret_keys"
_THE_ONE: Final = "in use"


async def check_keys(store: Store, needed: Counter[str | None], box: SecretBox) -> None:
    """Have the newest key of BOX among those in use. Raises StartError where BOX lacks one of these.

    NEEDED: of ``secrets_by_key``. What needs another key that BOX lacks, as in a database that was restored without
    its keys, is told in the log, and waits: accounts whose tokens can be read call meanwhile.
    """
    while True:
        keys = await keys_in_use(store)
        if missing := [key for key in keys if key not in box.fingerprints]:
            raise StartError(_missing(missing, needed))
        if box.primary in keys or await _replace(store, keys, [*keys, box.primary]):
            break
    for key, count in needed.items():
        if key is not None and key not in box.fingerprints:
            log.error(UNREADABLE, key, count)


async def use_only(store: Store, box: SecretBox, needed: Collection[str | None]) -> list[str]:
    """From now on the newest key of BOX is needed, and those NEEDED; the fingerprints of those that are not any more.

    BOX has sealed again what it could. Raises Unavailable.
    """
    while True:
        keys = await keys_in_use(store)
        kept = [key for key in dict.fromkeys([*keys, box.primary]) if key == box.primary or key in needed]
        if kept == keys or await _replace(store, keys, kept):
            return [key for key in keys if key not in kept]


async def forget_keys_in_use(store: Store) -> None:
    """No other server uses the database: it has just been restored."""
    await store.all_tenants.remove(KEYS_IN_USE, {})


async def keys_in_use(store: Store) -> list[str]:
    """The fingerprints of the keys in use."""
    found: Document | None = await store.all_tenants.find_one(KEYS_IN_USE, {"_id": _THE_ONE})
    return list(found["keys"]) if found else []


async def _replace(store: Store, before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether the keys in use were those BEFORE, and now are those AFTER."""
    if not before:
        with suppress(DuplicateKey):
            await store.all_tenants.insert(KEYS_IN_USE, {"_id": _THE_ONE, "keys": [*after]})
            return True
    unchanged = {"_id": _THE_ONE, "keys": [*before]}
    return await store.all_tenants.update_one(KEYS_IN_USE, unchanged, {"$set": {"keys": [*after]}}) is not None


def _missing(keys: Sequence[str], needed: Counter[str | None]) -> str:
    named = ", ".join(f"{key} (secrets that need it: {needed[key]})" for key in keys)
    return (
        f"the database is used with secret keys that are not here: {named}. Give every server of this database "
        "the same SCFM_SECRET_KEYS, or put back the secret.key of the data folder; where a key is lost, see "
        "`scfm rotate-keys --forget`"
    )
