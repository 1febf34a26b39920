"""The calls of a simulator in a file, so that it knows them after a restart or a crash.

Lines of JSON. The first says what the file is, and names the account, if the simulator has one of its own. The others
are each about one call and have its ``sid``; what later lines say of a call adds to what earlier ones did. What is
written outlives the process, but is not forced to the disk: these calls are trials.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import orjson

from scfm.errors import StartError
from scfm.runtime.file_lock import FileLock
from scfm.simulator import journal_entries
from scfm.simulator.call import Call, new_sid
from scfm.simulator.journal_entries import Entry

log = logging.getLogger(__name__)

# A file that has grown to this is put aside, in the place of the one put aside before.
MAX_BYTES = 1 << 24
MAX_HEAD_BYTES = 1000
KIND = "calls of a simulator"


class Journal:
    """What happened to each call, in a file; without a path, nowhere. Used inside a running event loop."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: int | None = None
        self._lock: FileLock | None = None
        self._size = 0
        self._lines: list[bytes] = []
        self._flushing = False
        self._failed = False
        self._account: Entry = {}
        self._entries: dict[str, Entry] = {}

    @classmethod
    def open(cls, path: Path) -> Self:
        """The journal in this file, which is made where there is none, and what it says of earlier calls.

        One process at a time has it; another gets a journal that keeps nothing. Raises StartError.
        """
        journal = cls(path)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if journal._locked():
                journal._read()
                journal._compact()
            else:
                log.warning("%s is another process's: the simulator's calls are not kept", path)
        except OSError as error:
            journal.close()
            raise StartError(
                f"the simulator cannot keep calls in {path} ({error.strerror}): make it a writable file, or remove it"
            ) from error
        return journal

    def account(self) -> tuple[str, str]:
        """The sid and the token of the account that is kept here; where there are none they are drawn, and kept."""
        if not self._account:
            self._account = {"account_sid": new_sid("AC"), "auth_token": secrets.token_hex(16)}
            if self._file is not None:
                self._write(self._head())
                self._flush()
        return self._account["account_sid"], self._account["auth_token"]

    def calls(self) -> Iterable[Call]:
        """The calls of earlier simulators, in the order they came: ended or not, told or not."""
        found, self._entries = self._entries, {}
        return map(journal_entries.restored_call, found.values())

    def close(self) -> None:
        """Write what has yet to be written, and leave the file to others."""
        self._flush()
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # What happens to a call

    def write_created(self, call: Call) -> None:
        """It was accepted. This is in the file before whoever asked for the call hears of it."""
        if self._file is not None:
            self._write(journal_entries.created_entry(call))
            self._flush()

    def write_answered(self, call: Call) -> None:
        """It was answered."""
        if self._file is not None:
            self._write({"sid": call.sid, "status": call.status, "started": call.started})

    def write_ended(self, call: Call) -> None:
        """It has ended; if somebody wants to be told, that has yet to be done."""
        if self._file is not None:
            self._write(journal_entries.ended_entry(call))

    def write_end_reported(self, call: Call) -> None:
        """Whoever wanted to be told of its end has been."""
        if self._file is not None and call.options.status_callback:
            self._write({"sid": call.sid, "told": True})

    # The file

    def _locked(self) -> bool:
        self._lock = FileLock.exclusive(self._beside(".lock"))
        return self._lock is not None

    def _beside(self, suffix: str = "") -> Path:
        assert self._path is not None
        return self._path.with_name(f"{self._path.name}{suffix}")

    def _read(self) -> None:
        """Take in the files, the oldest first. A line that a kill or a full disk has cut off says nothing."""
        for suffix in (".1", "", ".new"):
            path = self._beside(suffix)
            lines = _lines(path) if path.exists() and path.stat().st_size else []
            if lines is None and not suffix:
                raise OSError(errno.EINVAL, "it is a file of another kind")
            for entry in lines or ():
                if "sid" in entry:
                    self._entries.setdefault(entry["sid"], {}).update(entry)
                else:
                    self._account = entry.get("account") or self._account
        complete = {sid: entry for sid, entry in self._entries.items() if journal_entries.is_complete(entry)}
        self._entries = {sid: journal_entries.compacted(entry) for sid, entry in complete.items()}

    def _compact(self) -> None:
        """Write one line for each call, for the newest that half a file has room for, and go on from there."""
        kept: list[bytes] = []
        room = MAX_BYTES // 2
        for sid, entry in reversed(list(self._entries.items())):
            line = orjson.dumps(entry) + b"\n"
            room -= len(line)
            if room < 0 and journal_entries.is_finished(entry):
                del self._entries[sid]
            else:
                kept.append(line)
        self._begin(kept[::-1])
        os.replace(self._beside(".new"), self._beside())
        self._beside(".1").unlink(missing_ok=True)

    def _begin(self, lines: Iterable[bytes] = ()) -> None:
        """Go on in a new file, which begins with what it is, the account, and these lines. Raises OSError."""
        file = os.open(self._beside(".new"), os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            self._size = _append(file, b"".join([orjson.dumps(self._head()), b"\n", *lines]))
        except OSError:
            os.close(file)
            raise
        if self._file is not None:
            os.close(self._file)
        self._file = file

    def _head(self) -> Entry:
        return {"kind": KIND, "account": self._account}

    def _write(self, entry: Entry) -> None:
        """Write a line when the loop has run what is ready, with all that others write until then."""
        self._lines.append(orjson.dumps(entry))
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._file is None or not self._lines:
            return
        lines, self._lines = self._lines, []
        try:
            if self._size > MAX_BYTES:
                self._begin()
                os.replace(self._beside(), self._beside(".1"))
                os.replace(self._beside(".new"), self._beside())
            # After a line that was cut off, the next begins on a line of its own.
            self._size += _append(self._file, (b"\n" if self._failed else b"") + b"\n".join(lines) + b"\n")
            self._failed = False
        except OSError as error:
            if not self._failed:
                log.error(
                    "the simulator's calls cannot be kept in %s (%s): free some space", self._path, error.strerror
                )
            self._failed = True


def _append(file: int, text: bytes) -> int:
    """Write all of it; how much that was. Raises OSError."""
    if os.write(file, text) < len(text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return len(text)


def _lines(path: Path) -> list[Entry] | None:
    """The lines of a file that can be read; None if it is not a journal's. Raises OSError."""
    with path.open("rb") as file:
        first = _parsed(file.readline(MAX_HEAD_BYTES))
        if first is None or first.get("kind") != KIND:
            return None
        return [first, *(entry for line in file if (entry := _parsed(line)) is not None)]


def _parsed(line: bytes) -> Entry | None:
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("sid", ""), str) else None


def open_journal(path: Path) -> Journal:
    """Where a simulator keeps its calls; in memory only, if they cannot be kept at PATH."""
    try:
        return Journal.open(path)
    except StartError as error:
        log.error("%s", error)
        return Journal()
