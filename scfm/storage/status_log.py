"""The line in the log, at debug, for each stored change of a status, and of what the background has to do.

These are the conditional writes of the state machines (of phone calls: ``models/call_lifecycle.py`` and those beside
it), and of leases. A line has the ids and the status, and of no other field the value.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from scfm.runtime.log_format import fields
from scfm.storage.query import Document

log = logging.getLogger("scfm.status")

STATUS, WORK = "status", "_work"


def log_changes(
    collection: str, updates: Iterable[tuple[Document, Document]], changed: int | None, account_id: int | None = None
) -> None:
    """Log UPDATES, conditions with updates, if the level is debug, and if they have changed anything.

    CHANGED: how many documents; None: not known. ACCOUNT_ID: whose they are, where the conditions do not say it.
    """
    if changed == 0 or not log.isEnabledFor(logging.DEBUG):
        return
    updates = list(updates)
    for condition, update in updates:
        known = update.get("$set", {})
        becomes = known.get(STATUS)
        work = sorted(name for name in known.keys() | update.get("$unset", {}).keys() if name.startswith(WORK))
        if becomes is None and not work:
            continue
        owner = condition.get("account_id", account_id)
        one = condition.get("_id") if isinstance(condition.get("_id"), int) else None
        was = condition.get(STATUS) if isinstance(condition.get(STATUS), str) else None
        log.debug(
            "%s %s of account %s: %s%s",
            *(collection, "(many)" if one is None else one, "(any)" if owner is None else owner),
            _described(becomes, was, work),
            _extent(changed, len(updates)),
            extra=fields(
                collection=collection,
                id=one,
                account_id=_plain(owner),
                becomes=_plain(becomes),
                was=_plain(was),
                changed=changed if len(updates) == 1 else None,
            ),
        )


def _described(becomes: Any, was: str | None, work: list[str]) -> str:
    if becomes is None:
        return " ".join(work)
    return f"{becomes}" if was is None else f"{was} -> {becomes}"


def _extent(changed: int | None, updates: int) -> str:
    """How many documents were changed, where that is not one for each update."""
    if changed == updates:
        return ""
    if changed is None:
        return ", unless it was changed meanwhile"
    return f", {changed} changed" if updates == 1 else f", one of {updates} updates, of which {changed} fitted"


def _plain(value: Any) -> int | str | None:
    return value if isinstance(value, (int, str)) else None
