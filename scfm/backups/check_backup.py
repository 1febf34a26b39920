"""Reads a backup from its first byte to its last, before anything is done with it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, TypeVar

from scfm.backups.envelope import DAMAGED_BACKUP, DOCUMENTS_FRAME, END_FRAME, KEYS_FRAME, BackupReader
from scfm.backups.errors import BackupError
from scfm.backups.make_backup import documents_of
from scfm.models.stored_documents import CALLS, CONTACT_COLLECTION, EVENT_COLLECTION, PARTICIPATIONS
from scfm.storage.raw_documents import count_of
from scfm.storage.schema import Program, SchemaState

T = TypeVar("T")

# A sealed secret names the key that it needs (``secret_box``). In these collections clients may write the like.
_SEALED = re.compile(rb"sealed:1:([0-9a-f]{16}):")
# As this program names collections. MongoDB's own, ``system.`` and the like, are in no backup.
_COLLECTION = re.compile(r"(?!system\.)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
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
        readable(_check_header, reader.header)
        counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        end: dict[str, Any] = {}
        keys, needed = None, set[str]()
        for frame in reader.frames():
            if frame.kind == DOCUMENTS_FRAME:
                name, look, raw = readable(documents_of, frame.payload)
                if not _COLLECTION.fullmatch(name):
                    raise BackupError(f"{DAMAGED_BACKUP}: it has documents of {name!r}")
                counts[look][name] += readable(count_of, raw)
                if name not in _FREE_TEXT:
                    needed |= {found.decode() for found in _SEALED.findall(raw)}
            elif frame.kind == KEYS_FRAME:
                keys = readable(_keys_of, frame.payload)
            elif frame.kind == END_FRAME:
                end = readable(_end_of, frame.payload)
    if not end:  # it is encrypted
        return BackupFacts(reader.header, None)
    if counts != (end["counts"], end["second_look"]):
        raise BackupError(f"{DAMAGED_BACKUP}: it does not have as many documents as it says")
    return BackupFacts(reader.header, dict(counts[0]), end["snapshot"], keys, frozenset(needed), end["undecided"])


def _check_header(header: Mapping[str, Any]) -> None:
    """Raise ValueError, LookupError or TypeError where a header has not what is asked of it."""
    datetime.fromisoformat(header["started_at"])
    schema = header["schema"]
    texts = (header["program"], header["database"], header["started_at"], schema["release"])
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        raise ValueError("no text")
    if not all(isinstance(schema[name], int) for name in ("version", "oldest_program")):
        raise ValueError("no schema")


def _end_of(payload: bytes) -> dict[str, Any]:
    """What the last frame says. Raises ValueError, LookupError, TypeError, AttributeError or RecursionError."""
    end = json.loads(payload)
    return {
        "counts": Counter({str(name): int(count) for name, count in end["counts"].items()}),
        "second_look": Counter({str(name): int(count) for name, count in end["second_look"].items()}),
        "undecided": {str(kind): int(first) for kind, first in end["undecided"].items()},
        "snapshot": bool(end["snapshot"]),
    }


def _keys_of(payload: bytes) -> str:
    """Secret keys, one a line. Raises ValueError."""
    return payload.decode("ascii")


def readable(read: Callable[[Any], T], payload: Any) -> T:
    """What READ makes of a part of a backup. Raises BackupError where it cannot."""
    try:
        return read(payload)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise BackupError(f"{DAMAGED_BACKUP}: a part of it cannot be read") from None
