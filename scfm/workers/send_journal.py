"""A journal on this machine's disk of which calls this process has sent.

An attempt is stored in the database before the request goes out. When the process is killed in between, the
database alone cannot tell what was sent from what was about to be. The journal can: a call is written to it just
before its request leaves, and what is written outlives the process (not the machine, hence the boot id). Of a dead
process's attempts those that are not in its journal provably never left, and may be sent. See
docs/decisions/0003-what-has-left.md.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

log = logging.getLogger("scfm.work")

FOLDER = "departures"
# The process, or the system, has as many files open as it may.
NO_FILES = frozenset({errno.EMFILE, errno.ENFILE})
REWRITTEN = "new."
MAX_JOURNAL_LINES = 10_000
# Far more than a journal grows to; a larger file is not one of ours.
MAX_JOURNAL_BYTES = 1 << 26
LINE = re.compile(rb"([0-9a-f]+):([0-9]+)")
# What a full disk may have left of a line.
CUT_LINE = re.compile(rb"[0-9a-f]*:?[0-9]*")
# A boot id and a name of the process's own: nothing else in the folder is ours to remove.
NAME = re.compile(r"[0-9a-f-]+\.[0-9a-f]{32}")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def _boot() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""  # not Linux: nothing tells a restarted machine from a running one, so nothing is proven


class SendJournal:
    """This process's journal, and what it can tell of others' in the same folder.

    ``id``, the file's name, is stored with each attempt; it is None where there is no journal to be trusted. A call
    is named by the id of its attempt and its own. Files that cannot be used are reported once, in the log.
    """

    def __init__(self, folder: Path | None) -> None:
        self.id: str | None = None
        self._folder = folder / FOLDER if folder is not None and _boot() else None
        self._file: int | None = None
        self._lines = 0
        self._sent: set[tuple[str, int]] = set()
        self._reported: set[str] = set()

    @classmethod
    def open(cls, data_dir: Path) -> Self:
        """The journal of a process that keeps its files in DATA_DIR; ``id`` is None where that cannot be written."""
        journal = cls(data_dir)
        try:
            journal._create()
        except OSError as error:
            log.error(
                "%s cannot be written (%s): make it writable, or calls that had not left at a crash may end errored",
                data_dir / FOLDER,
                error.strerror or error,
            )
            journal._folder = None
        return journal

    def _create(self) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = f"{_boot()}.{uuid.uuid4().hex}"
        self._file = _locked(self._folder / name)
        self.id = name

    def append(self, attempt: str, call_id: int) -> None:
        """Write that the call's request leaves now; raises OSError if that cannot be written."""
        if self._file is not None:
            _write(self._file, _line(attempt, call_id))
            self._lines += 1
        self._sent.add((attempt, call_id))

    def has_sent(self, attempt: str, call_id: int) -> bool:
        """Whether the call's request left this process, and what became of it is not in the database yet."""
        return (attempt, call_id) in self._sent

    def forget(self, attempt: str, call_id: int) -> None:
        """What became of the call is in the database: it need not be remembered any more."""
        self._sent.discard((attempt, call_id))
        if self._lines > MAX_JOURNAL_LINES + 2 * len(self._sent):
            self._lines = len(self._sent)
            with suppress(OSError):  # the long one will do until the next time
                self._rewrite()

    def _rewrite(self) -> None:
        """Write a new file of what is still remembered. It is locked before it takes the old one's place."""
        if self._folder is None or self._file is None or self.id is None:
            return
        new = self._folder / f"{REWRITTEN}{self.id}"
        new.unlink(missing_ok=True)
        file = _locked(new)
        try:
            _write(file, b"".join(_line(*pair) for pair in self._sent))
            os.replace(new, self._folder / self.id)
        except OSError:
            os.close(file)
            raise
        os.close(self._file)
        self._file = file

    def close(self) -> None:
        """Write no more. The file stays until another process has settled what is in it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def of_dead_processes(self) -> Iterator[tuple[str, set[tuple[str, int]] | None]]:
        """The journals of processes that have ended: (id, the (attempt, call) pairs that left).

        None in place of the pairs says that the journal is damaged: then any of the process's calls may have left.
        """
        boot = f"{_boot()}."
        for path in self._files():
            if path.name == self.id or not path.name.startswith(boot):
                continue
            found = None
            with self._reporting(path):
                found = (path.name, _read(path)) if _ended(path) else None
            if found is not None:
                if found[1] is None:
                    self._report(path, "it is damaged, and will be removed")
                yield found

    def unsent_by_living_process(self, log_id: str | None, attempt: str, call_id: int) -> bool:
        """Whether the journal is that of another, living process of this machine, which has not sent the call.

        False where that cannot be told.
        """
        if self._folder is None or log_id is None or log_id == self.id or not log_id.startswith(f"{_boot()}."):
            return False
        path = self._folder / log_id
        with suppress(OSError):  # which proves nothing
            left = None if _ended(path) else _read(path)
            return left is not None and (attempt, call_id) not in left
        return False

    def of_earlier_boots(self) -> Iterator[str]:
        """The ids of the journals from before the machine was started, which prove nothing any more."""
        boot = f"{_boot()}."
        for path in self._files():
            log_id = path.name.removeprefix(REWRITTEN)
            ended = False
            with self._reporting(path):
                ended = not log_id.startswith(boot) and _ended(path)
            if ended:
                yield log_id

    def discard(self, log_id: str) -> None:
        """Remove a journal, now that nothing in the database refers to it."""
        if self._folder is not None:
            for path in (self._folder / log_id, self._folder / f"{REWRITTEN}{log_id}"):
                with self._reporting(path):
                    path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        """The files that have the name of a journal, or of one that is being rewritten."""
        if self._folder is None:
            return []
        with self._reporting(self._folder):
            return sorted(
                path for path in self._folder.iterdir() if NAME.fullmatch(path.name.removeprefix(REWRITTEN))
            )
        return []

    @contextmanager
    def _reporting(self, path: Path) -> Iterator[None]:
        """Go on where a journal cannot be used, and say so; its calls are settled when their leases have run out."""
        try:
            yield
        except FileNotFoundError:
            if path == self._folder:
                self._report(path, "it is gone: start the server again")
        except OSError as error:
            if error.errno in NO_FILES:
                return  # nothing is wrong with it, and it is looked at again
            self._report(path, f"{error.strerror or error}: make it readable, or remove it")

    def _report(self, path: Path, reason: str) -> None:
        """One line for each file, however often it is met."""
        if path.name not in self._reported:
            self._reported.add(path.name)
            log.error(
                "%s cannot be used: its calls are settled by asking the provider, and not sent again (%s)",
                path,
                reason,
            )


def _locked(path: Path) -> int:
    """A new file, locked for as long as this process lives."""
    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def _line(attempt: str, call_id: int) -> bytes:
    """A line that stands alone even where a full disk has cut the one before it off."""
    return f"\n{attempt}:{call_id}\n".encode()


def _write(file: int, lines: bytes) -> None:
    """Write all of it; raises OSError."""
    if os.write(file, lines) < len(lines):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _opened(path: Path) -> int:
    """The journal, open for reading. Raises OSError, also where it is no plain file."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would wait for whoever writes to it
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a plain file")
    return file


def _ended(path: Path) -> bool:
    """Whether the process that wrote the file has ended: it held a lock on it as long as it lived. Raises OSError."""
    try:
        file = _opened(path)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A living process may have rewritten its journal just now: then what we have locked is the old file.
        return os.path.samestat(os.fstat(file), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
    finally:
        os.close(file)


def _read(path: Path) -> set[tuple[str, int]] | None:
    """The pairs in a journal; None where anything but its lines is in it, as others may be lost. Raises OSError."""
    with open(_opened(path), "rb") as file:
        text = file.read(MAX_JOURNAL_BYTES + 1)
    lines = text.split(b"\n")
    if len(text) > MAX_JOURNAL_BYTES or not all(map(CUT_LINE.fullmatch, lines)):
        return None
    matches = map(LINE.fullmatch, lines)
    return {(match[1].decode(), int(match[2])) for match in matches if match is not None}
