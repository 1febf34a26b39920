"""A server in this process, and a watchdog that tells how long the longest piece of work held up its event loop.

It measures the processor's time of the loop's thread, not the time of the clock, so that a busy machine does not
matter much; and a test asks for the best of several tries.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from tornado.ioloop import IOLoop

import scfm.server
from scfm import settings
from scfm.embedded_mongod.mongod import PrivateMongod
from tests.server import Client, Server, with_secret_key

# No piece of work in the loop may take longer.
MAX_BLOCK_SECONDS = 0.050
TRIES = 5


class Watchdog:
    """The longest callback of the event loop since ``reset``: its seconds, and what it was."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.seconds, self.what = 0.0, ""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """As long as this lasts, callbacks of asyncio's own loop (not uvloop's) are measured."""
        run = asyncio.Handle._run

        def measured(handle: asyncio.Handle) -> None:
            began = time.thread_time()
            run(handle)
            seconds = time.thread_time() - began
            if seconds > self.seconds:
                self.seconds, self.what = seconds, repr(handle)

        asyncio.Handle._run = measured  # type: ignore[method-assign]
        try:
            yield
        finally:
            asyncio.Handle._run = run  # type: ignore[method-assign]


@dataclasses.dataclass
class Watched:
    """A server in this loop, a client of it, to be used in another thread, and the watchdog over both."""

    client: Client
    server: scfm.server.Server
    watchdog: Watchdog

    async def check(self, work: Callable[[Client], Any], seconds: float = MAX_BLOCK_SECONDS) -> Any:
        """What WORK gives, which is done with the client until no piece of work in the loop took too long.

        AssertionError, with the piece that took longest, if it does so each time.
        """
        for _ in range(TRIES):
            self.watchdog.reset()
            done = await asyncio.to_thread(work, self.client)
            if self.watchdog.seconds < seconds:
                return done
        raise AssertionError(f"{self.watchdog.seconds * 1000:.0f} ms in the loop: {self.watchdog.what}")


@contextmanager
def watched_server(
    io_loop: IOLoop, mongod: PrivateMongod, database: str, folder: Path, **environment: str
) -> Iterator[Watched]:
    """A server in the test's own loop, on a database that goes with it."""
    entered = watched(mongod.uri, database, folder, **environment)
    yield io_loop.run_sync(entered.__aenter__)
    io_loop.run_sync(lambda: entered.__aexit__(None, None, None))
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        client.drop_database(database)


@asynccontextmanager
async def watched(uri: str, database: str, data_dir: Path, **environment: str) -> AsyncIterator[Watched]:
    """A server on the MongoDB at URI, in the running loop."""
    told = {"MONGODB_URI": uri, "MONGODB_DATABASE": database, "SCFM_DATA_DIR": str(data_dir), "PORT": "0"}
    chosen = settings.load(with_secret_key({**told, **environment}))
    server = scfm.server.Server(chosen, None, uri)
    watchdog = Watchdog()
    data_dir.mkdir(exist_ok=True)
    await server.open()
    try:
        remote = Server(data_dir)
        remote.host, remote.port = chosen.host, server.port
        assert server.first_account is not None, "the database is not empty"
        remote.token = server.first_account.token
        with watchdog.watching():
            yield Watched(remote.client(), server, watchdog)
    finally:
        await server.close()
