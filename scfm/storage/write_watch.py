"""Tells in this process which updates of a collection were carried out, so that what they come to can be counted."""

from __future__ import annotations

from typing import Protocol

from scfm.storage.query import Document


class WriteWatcher(Protocol):
    """Is told of the updates of one collection that it finds notable.

    ``fields`` are set by each notable update, and tell it from others: see ``carried_out``.
    """

    fields: tuple[str, ...]

    def notable(self, update: Document) -> bool:
        """Whether UPDATE is one to be told of: a look at it, as every update of the collection is shown."""

    def written(self, account_id: int | None, update: Document, count: int) -> None:
        """UPDATE, which is notable, has changed COUNT documents of the account."""


WriteWatchers = dict[str, WriteWatcher]
"""By collection; one in a process."""


def carried_out(update: Document, document: Document | None, fields: tuple[str, ...]) -> bool:
    """Whether a document is as UPDATE has made it, as far as FIELDS show: those of them that it sets."""
    told = {name: value for name, value in update.get("$set", {}).items() if name in fields}
    return bool(told) and document is not None and all(document.get(name) == told[name] for name in told)
