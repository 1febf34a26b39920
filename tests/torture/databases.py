"""MongoDB as it is on a bad day: mongods that are killed, a replica set, and a line to them that is cut."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from scfm.embedded_mongod.command import CACHE_GB, JOURNAL, find_binary
from tests.server import wait_until

ANSWER_SECONDS = 30.0
# As the private mongod has it: to write a journal of 300 MB ahead takes longer than to start, and nobody reads the
# diagnostic data.
LIGHT = [
    *("--wiredTigerCacheSizeGB", str(CACHE_GB), "--wiredTigerEngineConfigString", JOURNAL),
    *("--setParameter", "diagnosticDataCollectionEnabled=false"),
]
SET = "torture"
_CHANCE = random.Random()


def free_port() -> int:
    """A port of the loopback that nobody listens on, and that the system gives to nobody else meanwhile.

    So it is below those that are the near ends of connections (on Linux 32768 and above), of which others make many.
    """
    for _ in range(1000):
        port = _CHANCE.randrange(10_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


class Mongod:
    """One mongod on a port of the loopback. It may be killed and started again over the same files."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """How to reach this one, whatever it is a member of."""
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"

    def start(self) -> Self:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        address = ["--bind_ip", "127.0.0.1", "--port", str(self.port), "--nounixsocket"]
        files = ["--dbpath", str(self.folder), "--logpath", str(self.folder / "mongod.log"), "--logappend"]
        command = [str(find_binary()), *address, *files, *LIGHT, *self._options]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_until(self.answers, ANSWER_SECONDS)
        return self

    def answers(self) -> bool:
        """Whether it can be asked something."""
        return bool(self.says("ping"))

    def says(self, command: str) -> dict[str, Any]:
        """Its answer; an empty one if it gives none."""
        with MongoClient[dict[str, Any]](self.uri, serverSelectionTimeoutMS=500) as client:
            try:
                return client.admin.command(command)
            except PyMongoError:
                return {}

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


class ReplicaSet:
    """Three mongods that are one database. ``kill_primary`` takes the one that leads, ``revive`` brings it back."""

    def __init__(self, folder: Path) -> None:
        self.members = [Mongod(folder / str(number), "--replSet", SET, "--oplogSize", "64") for number in range(3)]
        self._dead: list[Mongod] = []

    @property
    def uri(self) -> str:
        """How clients reach the set."""
        hosts = ",".join(f"127.0.0.1:{member.port}" for member in self.members)
        return f"mongodb://{hosts}/?replicaSet={SET}"

    def primary(self) -> Mongod | None:
        """The member that leads, if one does."""
        for member in self.members:
            if member in self._dead:
                continue
            if member.says("hello").get("isWritablePrimary"):
                return member
        return None

    def kill_primary(self) -> None:
        """End the member that leads (SIGKILL); the two others elect another."""
        leader = wait_until(self.primary, ANSWER_SECONDS)
        leader.kill()
        self._dead.append(leader)

    def revive(self) -> None:
        """Start those again that were killed."""
        while self._dead:
            self._dead.pop().start()

    def __enter__(self) -> Self:
        for member in self.members:
            member.start()
        config = {
            "_id": SET,
            "settings": {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 300},
            "members": [
                {"_id": number, "host": f"127.0.0.1:{member.port}"} for number, member in enumerate(self.members)
            ],
        }
        with MongoClient[dict[str, Any]](self.members[0].uri) as client:
            client.admin.command("replSetInitiate", config)
        wait_until(self.primary, ANSWER_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            member.kill()


class Line:
    """A TCP line to a port of the loopback, which can be cut: what is on the way is lost, and nobody gets through."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._streams: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._cut = False

    def cut(self) -> None:
        """Break every connection, and let no new one through until ``mend``."""
        self._on_line(self._break())

    def mend(self) -> None:
        """Let connections through again."""
        self._cut = False

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        await self._break()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _break(self) -> None:
        self._cut = True
        for stream in list(self._streams):
            stream.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        try:
            onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        for source, sink in ((reader, onward_writer), (onward_reader, writer)):
            self._streams.add(sink)
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(1 << 16):
                sink.write(data)
                await sink.drain()
        sink.transport.abort()
        self._streams.discard(sink)

    def _on_line(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_SECONDS)

    def __enter__(self) -> Self:
        self._thread.start()
        self._on_line(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._on_line(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ANSWER_SECONDS)
        self._loop.close()
