"""Reads a backup from its first byte to its last, before anything is done with it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from scfm.backups.envelope import DAMAGED_BACKUP, DOCUMENTS_FRAME, END_FRAME, KEYS_FRAME, BackupReader
from scfm.backups.errors import BackupError
from scfm.backups.make_backup import documents_of
from scfm.models.stored_documents import CALLS, CONTACT_COLLECTION, EVENT_COLLECTION, PARTICIPATIONS
from scfm.storage.raw_documents import split
from scfm.storage.schema import Program, SchemaState

# A sealed secret names the key that it needs (``secret_box``). In these collections clients may write the like.
_SEALED = re.compile(rb"sealed:1:([0-9a-f]{16}):")
_FREE_TEXT = frozenset({CALLS, CONTACT_COLLECTION, EVENT_COLLECTION, PARTICIPATIONS})


@dataclass(frozen=True)
class BackupFacts:
    """What is known of a backup that is whole.

    ``counts``: documents by collection, without those of the second look (see ``order``); None where it is encrypted
    and no passphrase was given. ``keys``: the secret keys in it, if it has any; ``needed_keys``: the fingerprints of
    those that its secrets are sealed with.
    ``undecided``: by kind, the lowest id of what may have been made while the backup was.
    """

    header: dict[str, Any]
    counts: dict[str, int] | None
    snapshot: bool = False
    keys: str | None = None
    needed_keys: frozenset[str] = frozenset()
    undecided: Mapping[str, int] = field(default_factory=dict)

    @property
    def started_at(self) -> str:
        """From when on what was acknowledged may be missing, RFC 3339."""
        return str(self.header["started_at"])

    def refuse_newer(self, program: Program) -> None:
        """Raise StartError where PROGRAM is too old for the data in it."""
        SchemaState.of(self.header["schema"]).refuse_newer(program)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The file at PATH, to be read. Raises BackupError."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise BackupError(f"cannot read the backup {path}: {error.strerror or error}") from None


def check_backup(path: Path, passphrase: bytes | None) -> BackupFacts:
    """Read all of the backup at PATH. Raises BackupError where anything is wrong with it."""
    with opened(path) as file:
        reader = BackupReader(file, passphrase)
        counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        end: dict[str, Any] = {}
        keys, needed = None, set[str]()
        for frame in reader.frames():
            if frame.kind == DOCUMENTS_FRAME:
                name, look, raw = readable(documents_of, frame.payload)
                counts[look][name] += sum(1 for _ in readable(lambda found: list(split(found)), raw))
                if name not in _FREE_TEXT:
                    needed |= {found.decode() for found in _SEALED.findall(raw)}
            elif frame.kind == KEYS_FRAME:
                keys = frame.payload.decode()
            elif frame.kind == END_FRAME:
                end = readable(json.loads, frame.payload)
    if not end:
        return BackupFacts(reader.header, None)
    if counts != (Counter(end["counts"]), Counter(end["second_look"])):
        raise BackupError(f"{DAMAGED_BACKUP}: it does not have as many documents as it says")
    return BackupFacts(reader.header, dict(counts[0]), end["snapshot"], keys, frozenset(needed), end["undecided"])


def readable(read: Callable[[bytes], Any], payload: bytes) -> Any:
    """What READ makes of a payload. Raises BackupError where it cannot."""
    try:
        return read(payload)
    except (ValueError, IndexError):
        raise BackupError(f"{DAMAGED_BACKUP}: a part of it cannot be read") from None
