"""Locks on files, by which processes agree on who uses a folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl


class FileLock:
    """A lock on a file (flock(2)), held until ``release``. Windows has none: there everybody gets it.

    The kernel drops it with the process that holds it, so a kill leaves nothing to clean up. The file stays: one that
    is removed could be held and made anew at the same time.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def exclusive(cls, path: Path) -> FileLock | None:
        """The only lock on PATH, which is made if need be; None while another holds one. Raises OSError."""
        return cls._take(path, exclusive=True)

    @classmethod
    def shared(cls, path: Path) -> FileLock | None:
        """One of any number of shared locks on PATH; None while another holds the exclusive one. Raises OSError."""
        return cls._take(path, exclusive=False)

    @classmethod
    def _take(cls, path: Path, *, exclusive: bool) -> FileLock | None:
        lock = cls(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        if sys.platform == "win32":
            return lock
        try:
            fcntl.flock(lock._held, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.release()
            return None
        except OSError:
            lock.release()
            raise
        return lock

    @property
    def _held(self) -> int:
        assert self._descriptor is not None
        return self._descriptor

    def write(self, text: str) -> None:
        """Replace what is in the file, for those who do not get the lock. Raises OSError."""
        os.ftruncate(self._held, 0)
        os.pwrite(self._held, text.encode(), 0)

    def release(self) -> None:
        """Let others have it. Again: does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def holder(path: Path) -> str:
    """`` (pid 7)``, as the first line of a lock file tells; empty where it does not."""
    try:
        return f" (pid {int(path.read_text().splitlines()[0])})"
    except (OSError, ValueError, IndexError):
        return ""
