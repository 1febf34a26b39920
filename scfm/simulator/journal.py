"""The calls of a simulator in a file, so that it knows them after a restart, also after one that nobody asked for.

Lines of JSON. The first names the account, if the simulator has one of its own. Each other line is about one call and
has its ``sid``; what later lines say of a call adds to what earlier ones did. What is written outlives the process,
but is not forced to the disk: these calls are trials.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import orjson

from scfm.errors import StartError

from .call import ENDED, Call, new_sid
from .order import Order

log = logging.getLogger(__name__)

# A file that has grown to this is put aside, in the place of the one put aside before.
MAX_BYTES = 1 << 24
Entry = dict[str, Any]


class Journal:
    """What happened to each call, in a file; without a path, nowhere. Used inside a running event loop."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: int | None = None
        self._lock: int | None = None
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
                self._write(self._account)
                self._flush()
        return self._account["account_sid"], self._account["auth_token"]

    def calls(self) -> Iterable[Call]:
        """The calls of earlier simulators, in the order they came: ended or not, told or not."""
        entries, self._entries = self._entries, {}
        return map(_call, entries.values())

    def close(self) -> None:
        """Write what has yet to be written, and leave the file to others."""
        self._flush()
        for file in (self._file, self._lock):
            if file is not None:
                os.close(file)
        self._file = self._lock = None

    # What happens to a call

    def created(self, call: Call) -> None:
        """It was accepted. This is in the file before whoever asked for the call hears of it."""
        if self._file is not None:
            self._write(_created(call))
            self._flush()

    def answered(self, call: Call) -> None:
        """It was answered."""
        if self._file is not None:
            self._write({"sid": call.sid, "status": call.status, "started": call.started})

    def ended(self, call: Call) -> None:
        """It has ended; if somebody wants to be told, that has yet to be done."""
        if self._file is not None:
            self._write(_ended(call))

    def told(self, call: Call) -> None:
        """Whoever wanted to be told of its end has been."""
        if self._file is not None and call.order.status_callback:
            self._write({"sid": call.sid, "told": True})

    # The file

    def _locked(self) -> bool:
        self._lock = os.open(self._beside(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _beside(self, suffix: str = "") -> Path:
        assert self._path is not None
        return self._path.with_name(f"{self._path.name}{suffix}")

    def _read(self) -> None:
        """Take in the files, the oldest first. A line that a kill or a full disk has cut off says nothing."""
        for path in (self._beside(".1"), self._beside(), self._beside(".new")):
            text = path.read_bytes() if path.exists() else b""
            entries = list(filter(None, map(_parsed, text.split(b"\n"))))
            if text.strip() and not entries:
                raise OSError(errno.EINVAL, "what is in it is something else")
            for entry in entries:
                if "sid" in entry:
                    self._entries.setdefault(entry["sid"], {}).update(entry)
                else:
                    self._account = entry
        self._entries = {sid: _needed(entry) for sid, entry in self._entries.items() if _is_whole(entry)}

    def _compact(self) -> None:
        """Write one line for each call, for the newest that half a file has room for, and go on from there."""
        kept: list[bytes] = []
        room = MAX_BYTES // 2
        for sid, entry in reversed(list(self._entries.items())):
            line = orjson.dumps(entry) + b"\n"
            room -= len(line)
            if room < 0 and _is_over(entry):
                del self._entries[sid]
            else:
                kept.append(line)
        self._begin(kept[::-1])
        os.replace(self._beside(".new"), self._beside())
        self._beside(".1").unlink(missing_ok=True)

    def _put_aside(self) -> None:
        self._begin()
        os.replace(self._beside(), self._beside(".1"))
        os.replace(self._beside(".new"), self._beside())

    def _begin(self, lines: Iterable[bytes] = ()) -> None:
        """Go on in a new file, which begins with the account and these lines."""
        file = os.open(self._beside(".new"), os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND, 0o600)
        if self._file is not None:
            os.close(self._file)
        self._file, self._size = file, 0
        head = [orjson.dumps(self._account) + b"\n"] if self._account else []
        self._append(b"".join([*head, *lines]))

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
                self._put_aside()
            # After a line that was cut off, the next begins on a line of its own.
            self._append((b"\n" if self._failed else b"") + b"\n".join(lines) + b"\n")
            self._failed = False
        except OSError as error:
            if not self._failed:
                log.error(
                    "the simulator's calls cannot be kept in %s (%s): free some space", self._path, error.strerror
                )
            self._failed = True

    def _append(self, text: bytes) -> None:
        """Write all of it. Raises OSError."""
        assert self._file is not None
        if text:
            written = os.write(self._file, text)
            self._size += written
            if written < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _created(call: Call) -> Entry:
    """What of a new call has to be known after a restart."""
    order = call.order
    entry: Entry = {
        "sid": call.sid,
        "account_sid": call.account_sid,
        "token": call.token,
        "to": call.to,
        "from": call.from_,
        "direction": call.direction,
        "request": call.request,
        "attempt": call.attempt,
        "created": call.created,
        "status": call.status,
    }
    if order.status_callback:
        entry |= {
            "status_callback": order.status_callback,
            "status_callback_method": order.status_callback_method,
            "events": sorted(order.events),
        }
    return entry


def _ended(call: Call) -> Entry:
    return {
        "sid": call.sid,
        "status": call.status,
        "started": call.started,
        "ended": call.ended,
        "duration": call.duration,
        "callbacks": call.callbacks,
    }


def _parsed(line: bytes) -> Entry | None:
    """What a line says of a call, or of the account."""
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    names = ("sid",) if isinstance(entry, dict) and "sid" in entry else ("account_sid", "auth_token")
    known = isinstance(entry, dict) and all(isinstance(entry.get(name), str) for name in names)
    return entry if known else None


_SHAPES: dict[str, Callable[[Any], bool]] = {
    **{name: lambda value: isinstance(value, str) for name in ("account_sid", "to", "from", "direction", "status")},
    "attempt": lambda value: type(value) is int,
    "created": lambda value: isinstance(value, float),
}
# What of a call serves only to end it and to tell of its end.
_OF_THE_LIVING = ("token", "request", "status_callback", "status_callback_method", "events", "callbacks", "told")


def _is_whole(entry: Entry) -> bool:
    """Whether the line that made the call is there; it may be in a file that is gone."""
    return all(name in entry and right(entry[name]) for name, right in _SHAPES.items())


def _is_over(entry: Entry) -> bool:
    """Whether the call has ended, and whoever wanted to be told of that has been."""
    return entry["status"] in ENDED and ("status_callback" not in entry or "told" in entry)


def _needed(entry: Entry) -> Entry:
    if not _is_over(entry):
        return entry
    return {name: value for name, value in entry.items() if name not in _OF_THE_LIVING}


def _call(entry: Entry) -> Call:
    """The call of an entry, with whom to tell of its end if that has yet to be done."""
    events = frozenset(entry.get("events", ()))
    callback, method = entry.get("status_callback", ""), entry.get("status_callback_method", "POST")
    call = Call(
        entry["account_sid"],
        entry.get("token", ""),
        entry["to"],
        entry["from"],
        Order(status_callback=callback, status_callback_method=method, events=events),
        entry.get("request", 0),
        entry["direction"],
        entry["status"],
        attempt=entry["attempt"],
        sid=entry["sid"],
        created=entry["created"],
        started=entry.get("started"),
        ended=entry.get("ended"),
        duration=entry.get("duration"),
        # The last callback has the number that it would have had: those before it were sent, or are lost.
        callbacks=entry.get("callbacks", len(events - {"completed"})),
    )
    call.updated = call.ended or call.started or call.created
    return call
