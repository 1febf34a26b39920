"""Secrets as they are stored: which key each is sealed with, and how they are sealed with the newest one.

What is sealed is declared by the resources: ``Declaration.sealed``. Each secret is replaced by a write of its own
that holds only while it is as it was read: so this may run beside servers, twice at once, and be cut off anywhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from scfm.errors import SecretUnreadable
from scfm.runtime.secret_box import SEALED_PREFIX, SecretBox, key_of
from scfm.storage.query import Document, owner_field
from scfm.storage.store import Store

# Documents that are read at once.
MAX_ROWS_WITH_SECRETS = 500

Shown = Callable[[str], str]
"""From a secret to what anybody may see of it."""
Sealed = Mapping[str, Mapping[str, Shown]]
"""By collection, the paths of what is sealed in its documents: a field, or ``list.field`` of a list's objects."""


def nothing(secret: str) -> str:
    """What anybody may see of a secret of which that is nothing."""
    return ""


@dataclass
class Resealing:
    """What has been done: how many secrets are ``sealed`` now, and of what could not be read how many, by its key."""

    sealed: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Secret:
    """One that is STORED in the document of that id, at a path of its own: ``field``, or ``list.0.field``."""

    document_id: object
    path: str
    stored: str
    shown: Shown

    @property
    def unchanged(self) -> Document:
        """The condition that it is still what was read."""
        return {"_id": self.document_id, self.path: self.stored}

    @property
    def removal(self) -> tuple[Document, Document]:
        """The condition and the update that remove it; from a list, with its object, wherever that is by now."""
        name, _, place = self.path.partition(".")
        inner = place.partition(".")[2]
        if not inner:
            return self.unchanged, {"$set": {name: None}}
        return {"_id": self.document_id, f"{name}.{inner}": self.stored}, {"$pull": {name: {inner: self.stored}}}

    def sealed_with(self, box: SecretBox) -> str:
        """The same, sealed with the newest key of BOX. Raises SecretUnreadable."""
        return box.reseal(self.stored) if key_of(self.stored) else box.seal(self.stored, self.shown(self.stored))


async def secrets_by_key(store: Store, sealed: Sealed) -> Counter[str | None]:
    """How many secrets are stored, by the fingerprint of the key that each needs; under None those in the clear."""
    found: Counter[str | None] = Counter()
    for collection, paths in sealed.items():
        async with aclosing(_rows(store, collection, paths, {})) as rows:
            async for row in rows:
                found.update(key_of(secret.stored) for secret in _secrets_in(row, paths))
    return found


async def seal_again(store: Store, sealed: Sealed, box: SecretBox, *, only_clear: bool = False) -> Resealing:
    """Seal what is not sealed with the newest key of BOX; ``only_clear``: what is in the clear, and nothing else.

    Raises Unavailable, and StartError if the keys cannot be read.
    """
    box.read_keys()
    done = Resealing()
    fitting = SEALED_PREFIX if only_clear else f"{SEALED_PREFIX}{box.primary}:"
    for collection, paths in sealed.items():
        unfit = {"$type": "string", "$not": {"$regex": f"^{fitting}"}}
        condition = {"$or": [_with_secret(path, unfit) for path in paths]}
        async with aclosing(_rows(store, collection, paths, condition)) as rows:
            async for row in rows:
                view = store.for_account(row[owner_field(collection)])
                for secret in _secrets_in(row, paths):
                    if secret.stored.startswith(fitting):
                        continue
                    try:
                        update = {"$set": {secret.path: secret.sealed_with(box)}}
                    except SecretUnreadable as error:
                        done.unreadable[error.key] += 1
                    else:
                        done.sealed += await view.update_many(collection, secret.unchanged, update)
    return done


async def forget_secrets(store: Store, sealed: Sealed, key: str) -> Counter[int]:
    """Clear the secrets that are sealed with a KEY that is lost, by its fingerprint; how many, by account.

    Of a list the objects that hold one are removed.
    """
    forgotten: Counter[int] = Counter()
    lost = {"$regex": f"^{SEALED_PREFIX}{re.escape(key)}:"}
    for collection, paths in sealed.items():
        condition = {"$or": [_with_secret(path, lost) for path in paths]}
        async with aclosing(_rows(store, collection, paths, condition)) as rows:
            async for row in rows:
                account_id = row[owner_field(collection)]
                view = store.for_account(account_id)
                for secret in _secrets_in(row, paths):
                    if key_of(secret.stored) == key:
                        forgotten[account_id] += await view.update_many(collection, *secret.removal)
    return forgotten


def _with_secret(path: str, condition: Document) -> Document:
    """That a secret at PATH fits CONDITION."""
    name, _, inner = path.partition(".")
    return {name: {"$elemMatch": {inner: condition}}} if inner else {name: condition}


def _secrets_in(row: Document, paths: Mapping[str, Shown]) -> Iterator[_Secret]:
    for path, shown in paths.items():
        name, _, inner = path.partition(".")
        value = row.get(name)
        if isinstance(value, str):
            yield _Secret(row["_id"], name, value, shown)
        elif isinstance(value, list):
            for place, one in enumerate(value):
                if one.get(inner):
                    yield _Secret(row["_id"], f"{name}.{place}.{inner}", one[inner], shown)


async def _rows(
    store: Store, collection: str, paths: Iterable[str], condition: Document
) -> AsyncGenerator[Document, None]:
    """The documents of all accounts that fit, by id, with what is sealed of them and whose they are."""
    fields, rest = [owner_field(collection), *paths], condition
    while True:
        found = await store.all_tenants.find(collection, rest, fields=fields, limit=MAX_ROWS_WITH_SECRETS)
        for row in found:
            yield row
        if len(found) < MAX_ROWS_WITH_SECRETS:
            return
        rest = {"$and": [condition, {"_id": {"$gt": found[-1]["_id"]}}]}
