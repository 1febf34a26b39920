"""Two servers on a mongod, of which the first is never killed: its memory is measured all day."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.server import Server, open_files
from tests.torture.databases import Line, Mongod
from tests.torture.house import Shared

STEADY, KILLED = 0, 1
# Real seconds: the least that LEASE_SECONDS allows is four times PROVIDER_TIMEOUT.
SETTINGS = {"PROVIDER_TIMEOUT": "3", "LEASE_SECONDS": "30", "STATUS_CHECK_SECONDS": "5"}
BACKUP_EVERY = "30s"
# For a database that refuses what it is asked: MongoDB's own means of its tests.
FAIL_POINTS = ("--setParameter", "enableTestCommands=1")
UNAUTHORIZED = 13
# A process that gets half of the time, and is stopped for so long again and again.
STOPPED_SECONDS = 0.3


class DayHouse(Shared):
    """``whole`` is held by whoever hurts a server or the database, for as long as nobody else may."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 2, SETTINGS)
        self.whole = threading.RLock()
        self.backups = folder / "backups"
        self.ports = [int(server.options[1]) for server in self.servers]

    def _prepare(self) -> None:
        self._mongod = self._open.enter_context(Mongod(self.folder / "mongod", *FAIL_POINTS))
        self._line = self._open.enter_context(Line(self._mongod.port))
        self._told["MONGODB_URI"] = f"mongodb://127.0.0.1:{self._line.port}/?directConnection=true"
        # What the carrier reaches the servers by.
        self._webhook_lines = [self._open.enter_context(Line(port)) for port in self.ports]

    def _environment(self, number: int) -> dict[str, str]:
        told = {**self._told, "PUBLIC_URL": f"http://127.0.0.1:{self._webhook_lines[number].port}"}
        if number == STEADY:
            told |= {"BACKUP_EVERY": BACKUP_EVERY, "BACKUP_DIR": str(self.backups), "BACKUP_KEEP": "2"}
        return told

    @property
    def steady(self) -> Server:
        """The server that is never killed."""
        return self.servers[STEADY]

    def footprint(self) -> tuple[float, float]:
        """What of the steady server's memory is resident, in MB, and how many files it has open."""
        assert self.steady.process is not None
        pid = self.steady.process.pid
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * 4096 / 1e6, float(len(open_files(pid)))

    @contextmanager
    def database_away(self) -> Iterator[None]:
        """The mongod is killed, and stays away."""
        with self.whole:
            self._mongod.kill()
            try:
                yield
            finally:
                self._mongod.start()

    @contextmanager
    def server_dead(self) -> Iterator[None]:
        """One process of two is killed, and stays dead."""
        with self.whole:
            self.mend()
            server = self.servers[KILLED]
            server.kill()
            try:
                # Bound, so that no other program takes it meanwhile, and not listened on.
                with socket.socket() as port:
                    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    port.bind(("127.0.0.1", self.ports[KILLED]))
                    yield
            finally:
                self._start(server, 0.0)

    @contextmanager
    def server_slow(self) -> Iterator[None]:
        """One process of two is stopped again and again, as on a machine that is far too busy."""
        with self.whole:
            self.mend()
            process = self.servers[KILLED].process
            assert process is not None
            over = threading.Event()

            def slow() -> None:
                while not over.wait(STOPPED_SECONDS):
                    process.send_signal(signal.SIGSTOP)
                    time.sleep(STOPPED_SECONDS)
                    process.send_signal(signal.SIGCONT)

            slowing = threading.Thread(target=slow, daemon=True)
            slowing.start()
            try:
                yield
            finally:
                over.set()
                slowing.join()

    @contextmanager
    def webhooks_cut(self) -> Iterator[None]:
        """The carrier reaches no server."""
        for line in self._webhook_lines:
            line.cut()
        try:
            yield
        finally:
            for line in self._webhook_lines:
                line.mend()

    @contextmanager
    def refused_updates(self, collection: str) -> Iterator[None]:
        """The database refuses to change the documents of a collection, as if the user had no right to."""
        point = {"configureFailPoint": "failCommand"}
        fault: dict[str, Any] = {
            "failCommands": ["findAndModify", "update"],
            "namespace": f"scfm.{collection}",
            "errorCode": UNAUTHORIZED,
        }
        with self.whole, self.database() as client:
            client.admin.command({**point, "mode": "alwaysOn", "data": fault})
            try:
                yield
            finally:
                client.admin.command({**point, "mode": "off"})
