"""Who was erased, on this machine's disk: ids and times, for after a backup is restored that still has them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from scfm.clock import iso
from scfm.errors import StartError
from scfm.models.erasure_record import begin_erasure
from scfm.models.stored_documents import CONTACT_COLLECTION
from scfm.storage.store import Store

log = logging.getLogger("scfm.privacy")

ERASURE_LOG: Final = "erasures.jsonl"


class Erased(NamedTuple):
    """A line of the log: which contact was erased, and when."""

    account_id: int
    contact_id: int
    erased_at: datetime


def append_erased(data_dir: Path, erased: Erased) -> None:
    """Append a line; one that cannot be written is reported, and keeps nobody from being erased."""
    line = {"account_id": erased.account_id, "contact_id": erased.contact_id, "erased_at": iso(erased.erased_at)}
    try:
        with (data_dir / ERASURE_LOG).open("a", encoding="ascii") as lines:
            lines.write(json.dumps(line) + "\n")
    except OSError as error:
        log.error(
            "contact %d of account %d is erased, but not noted: %s", erased.contact_id, erased.account_id, error
        )


def read_erased(path: Path) -> Iterator[Erased]:
    """The lines of a log; raises StartError for what is none."""
    try:
        with path.open(encoding="ascii") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    told = json.loads(line)
                    at = datetime.fromisoformat(told["erased_at"])
                    yield Erased(int(told["account_id"]), int(told["contact_id"]), at)
                except (ValueError, KeyError, TypeError):
                    raise StartError(f"{path}, line {number}: it is not a line of erasures.jsonl") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"{path} cannot be read: {error}") from None


async def erase_again(store: Store, path: Path) -> int:
    """Begin to erase whoever the log at PATH names and is there again; how many. Raises StartError, Unavailable.

    A contact that was made after that has the id of another: ids of after the backup are given again.
    """
    count = 0
    for erased in read_erased(path):
        view = store.for_account(erased.account_id)
        there = {"_id": erased.contact_id, "created_at": {"$lt": erased.erased_at}}
        if await view.exists(CONTACT_COLLECTION, there):
            await begin_erasure(view, erased.contact_id)
            count += 1
    return count
