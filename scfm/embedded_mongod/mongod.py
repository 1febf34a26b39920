"""The private mongod: a database for a server whose user runs none. It is started, shared and stopped here.

It listens on a Unix socket only and lives in a session of its own, so that Ctrl-C reaches the server alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self, TypeVar

from scfm.embedded_mongod.command import INSTALL_HINT, find_binary, mongod_command
from scfm.embedded_mongod.data_folder import DataFolder
from scfm.embedded_mongod.diagnosis import DISK_FULL, explain_end
from scfm.embedded_mongod.guest import AttachedMongod
from scfm.embedded_mongod.sockets import choose_socket, connection_uri, is_listening, remove_socket
from scfm.errors import StartError
from scfm.runtime.file_lock import FileLock, holder

T = TypeVar("T")

START_WAIT = 60.0  # a mongod that fails says so at once; one that replays its journal on a slow disk needs time
OWNER_WAIT = 5.0  # for a short-lived owner (create-account, a server that is stopping) to go
GUEST_WAIT = 5.0  # for guests to finish before the owner ends its mongod under them
STOP_WAIT = 10.0
ATTEMPT_SECONDS = 0.02


class PrivateMongod:
    """A mongod that this process owns. One process at a time owns a data folder; others may be its guests.

    On Linux mongod ends with its owner, even one that was killed. Elsewhere nothing can promise that: the next start
    then names the mongod that was left.
    """

    def __init__(self, folder: DataFolder, lock: FileLock) -> None:
        self._folder = folder
        self._lock: FileLock | None = lock
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
        folder = DataFolder.make(data_dir)
        lock = _try_until(OWNER_WAIT, folder.own)
        if lock is None:
            raise StartError(
                f"another scfm server is using {folder.root}{holder(folder.owner_file)}: "
                "stop it, or choose another data folder"
            )
        return cls._started(folder, lock, wait)

    @classmethod
    def attach_or_start(cls, data_dir: Path, *, wait: float = START_WAIT) -> PrivateMongod | AttachedMongod:
        """The mongod of the server that uses ``data_dir``, where one does; else one of our own, as from ``start``.

        Raises StartError as ``start`` does, and where the other's mongod does not answer within ``wait`` seconds.
        """
        folder = DataFolder.make(data_dir)

        def attempt() -> PrivateMongod | AttachedMongod | None:
            lock = folder.own()
            return AttachedMongod.attach(folder) if lock is None else cls._started(folder, lock, wait)

        mongod = _try_until(wait, attempt)
        if mongod is None:
            raise StartError(
                f"the database of the scfm server on {folder.root}{holder(folder.owner_file)} does not answer: "
                f"see {folder.log}, or stop that server"
            )
        return mongod

    @classmethod
    def _started(cls, folder: DataFolder, lock: FileLock, wait: float) -> PrivateMongod:
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
        return connection_uri(self._socket)

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
            return StartError(DISK_FULL.format(**names))
        return StartError(explain_end(self.poll(), self._folder.read_log(self._log_start), names))

    def restart(self, *, wait: float = START_WAIT) -> None:
        """Run mongod anew on the same folder, with the same ``uri``, for a server whose mongod died.

        Blocks, and for the main thread alone, as ``start``; with ``wait`` 0 it returns at once: clients reconnect
        when mongod listens, ``poll`` and ``failure`` tell if it never does. Raises StartError; may be called again.
        """
        self._end_process()
        self._launch(wait)

    def stop(self) -> None:
        """End mongod, after STOP_WAIT seconds by force, and leave the folder to others. Again: does nothing.

        Guests have GUEST_WAIT seconds to finish before; no new ones are let in.
        """
        owner, self._lock, barrier = self._lock, None, None
        if owner is None:
            return
        try:
            with suppress(OSError):
                barrier = _try_until(GUEST_WAIT, self._folder.bar_guests) if self.alive() else None
            self._end_process()
            if self._socket is not None:
                remove_socket(self._socket, self._folder.root)
        finally:
            if barrier is not None:
                barrier.release()
            owner.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _launch(self, wait: float) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("start mongod from the main thread: it ends with the thread that started it")
        assert self._lock is not None
        self._binary = find_binary()
        with self._folder.errors_explained():
            # A killed server's mongod may be stopping still; it removes its socket before it drops its lock.
            if _try_until(wait, self._folder.unused) is None:
                raise StartError(
                    f"another mongod{holder(self._folder.mongod_file)} is using {self._folder.files}: "
                    "stop it, or choose another data folder"
                )
            self._socket = choose_socket(self._folder.root)
            self._log_start = self._folder.rotate_log()
            with _interrupts_held():
                self._process = self._spawn(self._socket)
            # TMPDIR, which the place of the socket may depend on, may differ in the environment of guests.
            self._lock.write(f"{os.getpid()}\n{self._socket}\n")
        if wait:
            self._await_answer(self._socket, wait)

    def _spawn(self, address: Path) -> subprocess.Popen[bytes]:
        with self._folder.open_log() as log:
            try:
                return subprocess.Popen(
                    mongod_command(self._binary, self._folder.files, address),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self._folder.root,
                    umask=0o077,
                    start_new_session=True,
                )
            except OSError as error:
                raise StartError(f"cannot run {self._binary} ({error.strerror}): {INSTALL_HINT}") from error

    def _await_answer(self, address: Path, wait: float) -> None:
        def listening() -> bool | None:
            return True if is_listening(address) else None if self.alive() else False

        answers = _try_until(wait, listening)
        if answers is None:
            raise StartError(f"mongod did not answer within {wait:g} seconds: see {self._folder.log}")
        if not answers:
            raise self.failure()

    def _end_process(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_WAIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _try_until(seconds: float, attempt: Callable[[], T]) -> T:
    """What ``attempt`` gives, tried until it is not None or ``seconds`` have passed."""
    deadline = time.monotonic() + seconds
    while (found := attempt()) is None and time.monotonic() < deadline:
        time.sleep(ATTEMPT_SECONDS)
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
