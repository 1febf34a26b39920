"""What a trial is carried out in: servers on one database, the line between them, and the means to hurt them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from pymongo import MongoClient

from tests.server import Server
from tests.torture.databases import Line, Mongod, ReplicaSet, free_port

# Everything is quick to give up and quick to look again.
QUICK = {
    "LOG_LEVEL": "warning",
    "PLATFORM_PROVIDER": "twilio",
    "PROVIDER_TIMEOUT": "0.8",
    "LEASE_SECONDS": "3.5",
    "SWEEP_SECONDS": "0.25",
    "UNKNOWN_GRACE_SECONDS": "0.5",
    "STATUS_CHECK": "always",
    "STATUS_CHECK_SECONDS": "0.5",
}
STARTS = 3


class House:
    """Servers on one database. ``blows`` counts what they have suffered."""

    def __init__(self, folder: Path, servers: int, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.carrier_port = free_port()
        self.blows: Counter[str] = Counter()
        base_url = {"TWILIO_CLIENT_REST_API_BASE_URL": f"http://127.0.0.1:{self.carrier_port}"}
        self._told = {**QUICK, **base_url, **(environment or {})}
        self.servers = [self._server(number) for number in range(servers)]
        self._open = contextlib.ExitStack()
        self._background = ThreadPoolExecutor()
        self._restarts: dict[int, Future[None]] = {}

    def _server(self, number: int) -> Server:
        # Two processes of one machine share their files, a third is on another machine.
        folder = self.folder / ("here" if number < 2 else f"there{number}")
        return Server(folder, self._told, "--port", str(free_port()))

    def _environment(self, number: int) -> dict[str, str]:
        """The settings of the server of that number."""
        return dict(self._told)

    @property
    def uri(self) -> str:
        """Where an onlooker finds the database."""
        raise NotImplementedError

    def _prepare(self) -> None:
        """Start what the servers need."""

    def __enter__(self) -> Self:
        with self._open:
            self._prepare()
            for number, server in enumerate(self.servers):
                server.environment = self._environment(number)
                server.start()
                self._open.callback(self._end, server)
            self.token = self.servers[0].token
            self._open = self._open.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._open, self._background:
            self.mend()

    @staticmethod
    def _end(server: Server) -> None:
        if server.process is not None:
            server.terminate()

    def database(self) -> MongoClient[dict[str, Any]]:
        """A connection for whoever looks on."""
        return MongoClient(self.uri, tz_aware=True)

    def strike(self, kind: str, whom: int, seconds: float) -> None:
        """Carry out a blow, and mend what it broke. A kind that this house cannot suffer kills a server instead."""
        blow: Callable[[int, float], None] = {
            "kill mongod": self.kill_mongod,
            "cut line": self.cut_line,
        }.get(kind, self.kill_server)
        blow(whom, seconds)

    def kill_server(self, whom: int, seconds: float) -> None:
        """SIGKILL, and a new process after so many seconds, which takes its time to start while the trial goes on."""
        number = whom % len(self.servers)
        self._await_restart(number)
        self.servers[number].kill()
        self.blows["server killed"] += 1
        self._restarts[number] = self._background.submit(self._start, self.servers[number], seconds)

    @staticmethod
    def _start(server: Server, after: float) -> None:
        """Start it as a supervisor does: again, where there was no database just then."""
        time.sleep(after)
        for _ in range(STARTS):
            with contextlib.suppress(AssertionError):
                server.start()
                return
        server.start()

    def _await_restart(self, number: int) -> None:
        if number in self._restarts:
            self._restarts.pop(number).result()

    def mend(self) -> None:
        """Wait until everything is up again."""
        for number in list(self._restarts):
            self._await_restart(number)

    def kill_mongod(self, whom: int, seconds: float) -> None:
        self.kill_server(whom, seconds)

    def cut_line(self, whom: int, seconds: float) -> None:
        self.kill_mongod(whom, seconds)


class Alone(House):
    """One server with the mongod of its own, which dies with it, and which it starts again when it died alone."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 1)

    @property
    def uri(self) -> str:
        socket = (self.servers[0].data_dir / "mongod.sock").resolve()
        return f"mongodb://{str(socket).replace('/', '%2F')}"

    def kill_mongod(self, whom: int, seconds: float) -> None:
        found = subprocess.run(
            ["pgrep", "-P", str(self.servers[0].process and self.servers[0].process.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        for pid in found.stdout.split():
            os.kill(int(pid), signal.SIGKILL)
            self.blows["mongod killed"] += 1
        time.sleep(seconds)


class Shared(House):
    """Servers on a mongod of somebody else's, which is killed, or cut off from them."""

    def _prepare(self) -> None:
        self._mongod = self._open.enter_context(Mongod(self.folder / "mongod"))
        self._line = self._open.enter_context(Line(self._mongod.port))
        self._told["MONGODB_URI"] = f"mongodb://127.0.0.1:{self._line.port}/?directConnection=true"

    @property
    def uri(self) -> str:
        return self._mongod.uri

    def kill_mongod(self, whom: int, seconds: float) -> None:
        self._mongod.kill()
        self.blows["mongod killed"] += 1
        time.sleep(seconds)
        self._mongod.start()

    def cut_line(self, whom: int, seconds: float) -> None:
        self._line.cut()
        self.blows["line cut"] += 1
        time.sleep(seconds)
        self._line.mend()


class Replicated(House):
    """Servers on a replica set of three, whose primary is killed."""

    def _prepare(self) -> None:
        self._set = self._open.enter_context(ReplicaSet(self.folder / "set"))
        self._told["MONGODB_URI"] = self._set.uri

    @property
    def uri(self) -> str:
        return self._set.uri

    def kill_mongod(self, whom: int, seconds: float) -> None:
        self._set.revive()
        self._set.kill_primary()
        self.blows["primary killed"] += 1
        time.sleep(seconds)


HOUSES: dict[str, Callable[[Path], House]] = {
    "alone": Alone,
    "two": lambda folder: Shared(folder, 2),
    "three": lambda folder: Shared(folder, 3),
    "replicated": lambda folder: Replicated(folder, 2),
}
