"""A log on this machine's disk of which calls this process has sent.

An attempt is stored in the database before the request goes out. When the process is killed in between, the
database alone cannot tell what was sent from what was about to be. This file can: a call is written to it just
before its request leaves, and what is written outlives the process (not the machine, hence the boot id). Of a
dead process's attempts those that are not in its file provably never left, and may be sent.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

FOLDER = "departures"
REWRITTEN = "new."
MOST_LINES = 10_000
LINE = re.compile(r"([0-9a-f]+):([0-9]+)")
# A boot id and a name of the process's own: nothing else in the folder is ours to remove.
LOG = re.compile(r"[0-9a-f-]+\.[0-9a-f]{32}")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def _boot() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""  # not Linux: nothing tells a restarted machine from a running one, so nothing is proven


class Departures:
    """This process's log. ``id`` goes into each attempt; it is None when there is no log to be trusted."""

    def __init__(self, folder: Path | None) -> None:
        self.id: str | None = None
        self._folder = folder / FOLDER if folder is not None and _boot() else None
        self._file: int | None = None
        self._lines = 0
        self._left: set[tuple[str, int]] = set()

    @classmethod
    def open(cls, data_dir: Path) -> Self:
        """The log of a process that keeps its files in DATA_DIR; a folder that cannot be written gives none."""
        departures = cls(data_dir)
        try:
            departures._create()
        except OSError:
            departures._folder = None
        return departures

    def _create(self) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = f"{_boot()}.{uuid.uuid4().hex}"
        self._file = _locked(self._folder / name)
        self.id = name

    def note(self, attempt: str, number: int) -> None:
        """Write that the call's request leaves now; raises OSError if that cannot be written."""
        if self._file is not None:
            _write(self._file, _line(attempt, number))
            self._lines += 1
        self._left.add((attempt, number))

    def left(self, attempt: str, number: int) -> bool:
        """Whether the call's request left this process, and what became of it is not in the database yet."""
        return (attempt, number) in self._left

    def arrived(self, attempt: str, number: int) -> None:
        """What became of the call is in the database: it need not be remembered any more."""
        self._left.discard((attempt, number))
        if self._lines > MOST_LINES + 2 * len(self._left):
            self._lines = len(self._left)
            with suppress(OSError):  # the long one will do until the next time
                self._rewrite()

    def _rewrite(self) -> None:
        """Make the file short again. The new one is locked before it takes the old one's place."""
        if self._folder is None or self._file is None or self.id is None:
            return
        new = self._folder / f"{REWRITTEN}{self.id}"
        new.unlink(missing_ok=True)
        file = _locked(new)
        try:
            _write(file, b"".join(_line(*pair) for pair in self._left))
            os.replace(new, self._folder / self.id)
        except OSError:
            os.close(file)
            raise
        os.close(self._file)
        self._file = file

    def close(self) -> None:
        """Give the log up; it stays until what is in it has been settled."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def of_the_dead(self) -> Iterator[tuple[str, set[tuple[str, int]]]]:
        """The logs of processes that have ended: (id, the (attempt, call) pairs that left)."""
        if self._folder is None:
            return
        boot = f"{_boot()}."
        for path in sorted(self._folder.iterdir()):
            if path.name != self.id and path.name.startswith(boot) and _ended(path):
                yield path.name, _read(path)

    def yet_to_leave(self, log: str | None, attempt: str, number: int) -> bool:
        """Whether the log is that of another, living process of this machine, which has not sent the call."""
        if self._folder is None or log is None or log == self.id or not log.startswith(f"{_boot()}."):
            return False
        path = self._folder / log
        return path.exists() and not _ended(path) and (attempt, number) not in _read(path)

    def of_earlier_boots(self) -> Iterator[str]:
        """The logs from before the machine was started, which prove nothing any more: their ids."""
        if self._folder is None:
            return
        boot = f"{_boot()}."
        for path in sorted(self._folder.iterdir()):
            log = path.name.removeprefix(REWRITTEN)
            if LOG.fullmatch(log) and not log.startswith(boot) and _ended(path):
                yield log

    def discard(self, log: str) -> None:
        """Remove a log, now that nothing refers to it."""
        if self._folder is not None:
            for name in (log, f"{REWRITTEN}{log}"):
                (self._folder / name).unlink(missing_ok=True)


def _locked(path: Path) -> int:
    """A new file, locked for as long as this process lives."""
    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def _line(attempt: str, number: int) -> bytes:
    """A line that stands alone even where a full disk has cut the one before it off."""
    return f"\n{attempt}:{number}\n".encode()


def _write(file: int, lines: bytes) -> None:
    """Write all of it; raises OSError."""
    if os.write(file, lines) < len(lines):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _ended(path: Path) -> bool:
    """Whether the process that wrote the file has ended: it held a lock on it as long as it lived."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A living process may have rewritten its log just now: then what we have locked is the old file.
        return os.path.samestat(os.fstat(file), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
    finally:
        os.close(file)


def _read(path: Path) -> set[tuple[str, int]]:
    lines = map(LINE.fullmatch, path.read_text().splitlines())
    return {(line[1], int(line[2])) for line in lines if line is not None}
