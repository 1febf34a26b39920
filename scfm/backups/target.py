"""The file that a backup is written to: whole under its name, or not there at all."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO

from scfm.backups.errors import BackupError
from scfm.runtime.folders import sync_folder

if sys.platform != "win32":
    import fcntl


@asynccontextmanager
async def written_whole(path: Path) -> AsyncIterator[IO[bytes]]:
    """A file to write to, which gets the name PATH when the block ends, and is on disk then.

    Until then, and if the block raises, there is at most ``.NAME.part`` beside it, which the next backup of that name
    writes anew. It is for its owner alone. Raises BackupError, also for what the block meets while it writes: where
    PATH is there already, another backup of that name is being written, or the disk is full.
    """
    part = part_of(path)
    try:
        with _opened(path, part) as file:
            try:
                file.truncate()
                yield file
                await asyncio.to_thread(_finish, file, part, path)
            except BaseException:
                with suppress(OSError):
                    part.unlink()
                raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "free some space, or choose another place" if full else "choose a place that this user can write to"
        raise BackupError(f"cannot write the backup {path} ({error.strerror or error}): {remedy}") from error


def part_of(path: Path) -> Path:
    """What the file at PATH is called until it is whole."""
    path = path.absolute()  # an empty one has no name
    return path.with_name(f".{path.name}.part")


def _opened(path: Path, part: Path) -> IO[bytes]:
    """The file to write to. Raises BackupError, OSError."""
    if path.exists():
        raise BackupError(f"{path} is there already: choose another name")
    # In a folder that others may write to, one of them may have put something there before.
    file = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600), "r+b")
    if not _is_own(file):
        file.close()
        raise BackupError(f"{part} is another user's, or has another name, too: remove it, or choose another place")
    if not _lock(file, part):
        file.close()
        raise BackupError(f"another backup is being written to {path}")
    return file


def _is_own(file: IO[bytes]) -> bool:
    """Whether it is a file of this user and has one name; if so it is for its owner alone now. Raises OSError."""
    if sys.platform == "win32":
        return True
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink > 1:
        return False
    os.fchmod(file.fileno(), 0o600)
    return True


def _lock(file: IO[bytes], part: Path) -> bool:
    """Lock the file for as long as it is open; False where another process has it, or has just given it its name."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(file.fileno()).st_ino == part.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def _finish(file: IO[bytes], part: Path, path: Path) -> None:
    """Have the file on the disk, and give it its name. Raises OSError."""
    file.flush()
    os.fsync(file.fileno())
    part.rename(path)
    sync_folder(path.parent)
