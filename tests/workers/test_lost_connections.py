"""Connections to a MongoDB that cannot be made: that is an outage, and no failure of what was asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.errors import Unreachable
from scfm.storage.errors import map_driver_errors
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from tests.workers.background import eventually

DATABASE = "lost_connections"
MANY = range(20)


class Gate:
    """A TCP port that leads to a mongod's socket. While it is shut, new connections are refused; others go on."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._open: set[asyncio.StreamWriter] = set()
        self.shut = False
        self.refused = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.shut:
            self.refused += 1
            writer.transport.abort()
            return
        onward = await asyncio.open_unix_connection(str(self._socket))
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pass_on(reader, onward[1]))
            both.create_task(self._pass_on(onward[0], writer))

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        self._open.add(sink)
        with contextlib.suppress(OSError):
            while data := await source.read(1 << 16):
                sink.write(data)
                await sink.drain()
        sink.close()
        self._open.discard(sink)

    def break_all(self) -> None:
        """Break the connections that there are; what is on its way is lost."""
        for sink in [*self._open]:
            sink.transport.abort()


@contextlib.asynccontextmanager
async def gate_and_store(mongod: PrivateMongod) -> AsyncIterator[tuple[Gate, Store]]:
    gate = Gate(Path(unquote(mongod.uri.removeprefix("mongodb://").partition("/?")[0])))
    async with await asyncio.start_server(gate.connected, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        store = Store.open(f"mongodb://127.0.0.1:{port}/?directConnection=true", DATABASE, {})
        try:
            yield gate, store
        finally:
            gate.shut = False
            await store.close()
            gate.break_all()
            with MongoClient[dict[str, object]](mongod.uri) as client:
                client.drop_database(DATABASE)


WRITES: dict[str, Callable[[TenantView, int], Awaitable[object]]] = {
    "insert": lambda view, number: view.insert("things", {"_id": number}),
    "insert many": lambda view, number: view.insert_many("things", [{"_id": number}, {"_id": -1 - number}]),
    "update one": lambda view, number: view.update_one("things", {"_id": number}, {"$set": {"seen": True}}),
    "update many": lambda view, number: view.update_many("things", {"seen": number}, {"$set": {"seen": True}}),
    "bulk update": lambda view, number: view.bulk_update("things", [({"_id": number}, {"$set": {"seen": True}})]),
    "remove": lambda view, number: view.remove("things", {"_id": number}),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_a_write_for_which_no_connection_could_be_made_at_first_is_done_or_found_unreachable(
    mongod: PrivateMongod, write: Callable[[TenantView, int], Awaitable[object]]
) -> None:
    """The driver tries again, and a standalone mongod, as the embedded one is, refuses what it then asks."""
    async with gate_and_store(mongod) as (gate, store):
        view = store.all_tenants
        await view.exists("things", {})  # it has a connection, and knows the server
        gate.shut = True
        writing = [asyncio.create_task(asyncio.wait_for(write(view, number), 60)) for number in MANY]

        async def is_refused() -> bool:
            return gate.refused > 0

        await eventually(is_refused)
        gate.shut = False
        outcomes = await asyncio.gather(*writing, return_exceptions=True)
        failed = [number for number, one in zip(MANY, outcomes, strict=True) if isinstance(one, Exception)]
        assert {type(outcomes[number]) for number in failed} <= {Unreachable}, outcomes
        assert not await view.exists("things", {"_id": {"$in": failed}})


@pytest.mark.parametrize(
    ("code", "words", "expected"),
    [
        (20, "Transaction numbers are only allowed on a replica set member or mongos", Unreachable),
        (20, "Cannot run this on a replica set", OperationFailure),
        (59, "Transaction numbers are no command", OperationFailure),
    ],
)
def test_only_the_refusal_of_the_second_try_is_an_outage(code: int, words: str, expected: type[Exception]) -> None:
    with pytest.raises(expected), map_driver_errors():
        raise OperationFailure("in the driver's words", code, {"code": code, "errmsg": words})
