"""A log on this machine's disk of which calls this process has sent.

An attempt is stored in the database before the request goes out. When the process is killed in between, the
database alone cannot tell what was sent from what was about to be. This file can: a call is written to it just
before its request leaves, and what is written outlives the process (not the machine, hence the boot id). Of a
dead process's attempts those that are not in its file provably never left, and may be sent.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Self

FOLDER = "departures"
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
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{_boot()}.{uuid.uuid4().hex}"
        self._file = os.open(self._folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.id = name

    def note(self, attempt: str, number: int) -> None:
        """Write that the call's request leaves now; raises OSError if that cannot be written."""
        if self._file is not None:
            os.write(self._file, f"{attempt}:{number}\n".encode())

    def close(self) -> None:
        """Give the log up; it stays until what is in it has been settled."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def of_the_dead(self) -> Iterator[tuple[str, set[tuple[str, int]]]]:
        """The logs of processes that have ended: (id, the (attempt, call) pairs that left)."""
        if self._folder is None:
            return
        for path in sorted(self._folder.iterdir()):
            if path.name != self.id and path.name.startswith(f"{_boot()}.") and _ended(path):
                yield path.name, _read(path)

    def discard(self, log: str) -> None:
        """Remove the log of an ended process, now that nothing refers to it."""
        if self._folder is not None:
            (self._folder / log).unlink(missing_ok=True)


def _ended(path: Path) -> bool:
    """Whether the process that wrote the file has ended: it held a lock on it as long as it lived."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(file)
    return True


def _read(path: Path) -> set[tuple[str, int]]:
    left = set()
    for line in path.read_text().splitlines():
        attempt, _, number = line.partition(":")
        left.add((attempt, int(number)))
    return left
