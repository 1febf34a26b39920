"""The data folder: the files of its database, mongod's log, and the locks by which processes share it."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from scfm.errors import StartError
from scfm.runtime.file_lock import FileLock

MAX_LOG_BYTES = 10 * 1024 * 1024  # a larger log is put aside at the next start
MAX_TAIL_BYTES = 256 * 1024  # of the log, to find out why mongod ended
MIN_FREE_BYTES = 1024 * 1024  # with less free space than this, a mongod that fails has failed for want of it


def has_database(data_dir: Path) -> bool:
    """Whether a mongod of ours has been started over ``data_dir``. Makes nothing. Raises StartError: unreadable."""
    folder = DataFolder(data_dir.expanduser().resolve())
    with folder.errors_explained():
        return folder.files.is_dir()


@dataclass(frozen=True)
class DataFolder:
    """The folder ``root``. One process owns it, and runs its mongod; others may be guests of that mongod.

    Methods raise StartError where the file system fails, unless they say OSError.
    """

    root: Path

    @classmethod
    def make(cls, data_dir: Path) -> DataFolder:
        """The folder at ``data_dir``; it is made, for its owner only, where there is none."""
        if sys.platform == "win32":
            raise StartError("a private MongoDB needs Unix sockets, which this system lacks: set MONGODB_URI")
        folder = cls(data_dir.expanduser().resolve())
        with folder.errors_explained():
            folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.files.mkdir(mode=0o700, exist_ok=True)
        return folder

    @property
    def files(self) -> Path:
        """The folder of mongod's files."""
        return self.root / "mongodb"

    @property
    def log(self) -> Path:
        """The file of mongod's log."""
        return self.root / "mongod.log"

    @property
    def owner_file(self) -> Path:
        """The lock of the owner: its process id, and on the second line where its mongod listens."""
        return self.root / "scfm.lock"

    @property
    def mongod_file(self) -> Path:
        """The lock that mongod itself holds on its files."""
        return self.files / "mongod.lock"

    def own(self) -> FileLock | None:
        """The owner's lock, with our process id in it; None while another process has it."""
        with self.errors_explained():
            lock = FileLock.exclusive(self.owner_file)
            if lock is not None:
                lock.write(f"{os.getpid()}\n")
            return lock

    def visit(self) -> FileLock | None:
        """A guest's lock, which many may hold; None while the owner is stopping."""
        with self.errors_explained():
            return FileLock.shared(self.root / "guests.lock")

    def bar_guests(self) -> FileLock | None:
        """The lock that keeps guests out; None while there are some. Raises OSError."""
        return FileLock.exclusive(self.root / "guests.lock")

    def owners_socket(self) -> Path | None:
        """Where the owner's mongod listens; None before the owner has started it."""
        with self.errors_explained():
            lines = self.owner_file.read_text().splitlines()
        return Path(lines[1]) if len(lines) > 1 else None

    def unused(self) -> bool | None:
        """True once no mongod holds its own lock on the files, else None. Raises OSError."""
        if not self.mongod_file.exists():
            return True
        lock = FileLock.exclusive(self.mongod_file)
        if lock is None:
            return None
        lock.release()
        return True

    def rotate_log(self) -> int:
        """Put a large log aside. Where the part of the next run begins in the log, in bytes. Raises OSError."""
        size = self.log.stat().st_size if self.log.exists() else 0
        if size <= MAX_LOG_BYTES:
            return size
        self.log.replace(self.log.with_suffix(".log.1"))
        return 0

    def open_log(self) -> BinaryIO:
        """The log, to append to; for its owner only, as slow queries show what is in the database. Raises OSError."""
        return open(os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")

    def read_log(self, start: int) -> str:
        """The log from byte START on, at most its last MAX_TAIL_BYTES."""
        with self.errors_explained(), self.log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(start, end - MAX_TAIL_BYTES))
            return log.read().decode(errors="replace")

    def is_full(self) -> bool:
        """Whether the disk has next to no space left. Raises OSError."""
        return shutil.disk_usage(self.root).free < MIN_FREE_BYTES

    @contextmanager
    def errors_explained(self) -> Iterator[None]:
        """Turns an OSError of the file system into a StartError, for the user."""
        try:
            yield
        except OSError as error:
            full = error.errno == errno.ENOSPC
            remedy = "free some space" if full else "make it a folder that this user can write to, or choose another"
            raise StartError(
                f"cannot use the data folder {self.root} ({error.strerror or error}): {remedy}"
            ) from error
