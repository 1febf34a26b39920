"""Where things are measured: a mongod, databases, servers, providers, the generator; each a process of its own."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import urlopen

from bson.codec_options import CodecOptions
from pymongo import MongoClient
from pymongo.database import Database

from scfm.clock import now
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.models.contact import CONTACTS
from scfm.models.declaration import initial_fields
from scfm.models.registry import counted_fields, indexes
from scfm.storage.database import DURABLE
from scfm.storage.store import Store
from tests.server import Server

SID, TOKEN = "AC" + "1" * 32, "secret"
BATCH = 1000
PATIENCE_SECONDS = 3600.0
START_SECONDS = 0.3  # of the generator
# One call at a time, to a provider that takes its time: what is queued stays so, and the server has nothing to do.
PARKED_SECONDS = 600.0
PARKED = {"CALLS_IN_FLIGHT": "1", "PROVIDER_TIMEOUT": "300", "LEASE_SECONDS": "1200"}
# What is measured is how fast it answers, not when it refuses to.
UNLIMITED = {"ACCOUNT_REQUESTS_PER_SECOND": "0", "ADDRESS_REQUESTS_PER_SECOND": "0"}

Documents = Database[dict[str, Any]]


class Provider:
    """The loopback provider: see benchmarks.loopback."""

    def __init__(self, url: str) -> None:
        self.url = url

    def wait(self, count: int) -> None:
        """Return when so many calls have been asked for; TimeoutError after an hour."""
        self._get(f"/await/{count}")

    def receipts(self) -> list[tuple[float, str, str]]:
        """For each request: when it came (time.monotonic), whom it was to ring, and the path before the API's."""
        return [tuple(receipt) for receipt in self._get("/receipts")]

    def _get(self, path: str) -> Any:
        with urlopen(self.url + path, timeout=PATIENCE_SECONDS) as answer:
            return json.load(answer)


class Ground:
    """Use it in a ``with``; everything ends with it."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder = Path(tempfile.mkdtemp(prefix="scfm-bench-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self._mongod = stack.enter_context(PrivateMongod.start(self.folder / "m"))
            client = MongoClient[dict[str, Any]](self._mongod.uri)
            stack.callback(client.close)
            self._client = client
            self._closing = stack.pop_all()
        self._numbers = count(1)
        self._tokens: dict[str, str] = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    @property
    def mongod_pid(self) -> int:
        return int((self.folder / "m" / "mongodb" / "mongod.lock").read_text())

    @contextmanager
    def database(self) -> Iterator[Documents]:
        """A new database, removed afterwards. Its writes are as durable as the server's."""
        name = f"bench{next(self._numbers)}"
        try:
            yield self._client.get_database(name, codec_options=CodecOptions(tz_aware=True), write_concern=DURABLE)
        finally:
            self._client.drop_database(name)

    @contextmanager
    def server(
        self, database: Documents, provider: str = "", kind: type[Server] = Server, **environment: str
    ) -> Iterator[Server]:
        """A server on the database. It is killed in the end: whatever was acknowledged is on disk."""
        settings = {
            "MONGODB_URI": self._mongod.uri,
            "MONGODB_DATABASE": database.name,
            "PLATFORM_PROVIDER": "twilio",
            "TWILIO_ACCOUNT_SID": SID,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_CLIENT_REST_API_BASE_URL": provider or "http://127.0.0.1:9",
            "STATUS_CHECK": "never",
            "LOG_LEVEL": "warning",
            **UNLIMITED,
            **environment,
        }
        server = kind(self.folder / f"s{next(self._numbers)}", settings).start()
        try:
            server.token = self._tokens.setdefault(database.name, server.token)
            yield server
        finally:
            server.kill()

    @contextmanager
    def parked(self, database: Documents) -> Iterator[Server]:
        """A server that does everything but place calls."""
        with self.provider(PARKED_SECONDS) as provider, self.server(database, provider.url, **PARKED) as server:
            yield server

    @contextmanager
    def provider(self, delay: float = 0.0) -> Iterator[Provider]:
        with module("loopback", "--delay", str(delay)) as url:
            yield Provider(url)

    def fill(self, database: Documents, contacts: int) -> None:
        """Put so many contacts into the first account, of whom every other one has the gender f."""
        asyncio.run(_fill(self._mongod.uri, database.name, contacts))


async def _fill(uri: str, database: str, contacts: int) -> None:
    """Through the store, so that whatever it keeps beside the documents is right."""
    store = Store.open(uri, database, counted_fields())
    view, moment = store.for_account(1), now()
    empty = initial_fields(CONTACTS)
    stamps = {"created_at": moment, "updated_at": moment, "_version": 1}
    try:
        for start in range(0, contacts, BATCH):
            numbers = await store.counters.ids(CONTACTS.kind).allocate(min(BATCH, contacts - start))
            await view.insert_many(
                CONTACTS.collection, [{**empty, **stamps, "_id": number, **person(number)} for number in numbers]
            )
        await store.quiesce()
    finally:
        await store.close()


def person(number: int) -> dict[str, Any]:
    """Who has that number."""
    metadata = {"name": f"Person {number}", "gender": "fm"[number % 2], "village": f"Village {number % 500}"}
    return {"msisdn": f"+2526{number:08}", "metadata": metadata}


class Raw:
    """MongoDB alone: a collection with the indexes of one of ours, and nothing but the driver before it."""

    def __init__(self, database: Documents, name: str) -> None:
        self._source = database[name]
        self._copy = database[f"raw_{name}"]
        self._copy.create_indexes([index.model() for index in indexes()[name]])

    def insert(self, clock: Callable[[], float]) -> float:
        """The seconds that it takes to insert what is in ours; reading it does not count."""
        seconds, found = 0.0, self._source.find().sort("_id", 1).batch_size(BATCH)
        while documents := [document for _, document in zip(range(BATCH), found, strict=False)]:
            began = clock()
            self._copy.insert_many(documents, ordered=False)
            seconds += clock() - began
        return seconds

    def update(self, change: Mapping[str, Any], clock: Callable[[], float]) -> float:
        """The seconds that it takes to queue all that is created, a batch of ids at a time."""
        last = self._copy.find_one(sort=[("_id", -1)])
        began = clock()
        for start in range(0, last["_id"] + 1 if last else 0, BATCH):
            batch = {"_id": {"$gte": start, "$lt": start + BATCH}, "status": "created"}
            self._copy.update_many(batch, {"$set": change})
        return clock() - began


@contextmanager
def module(name: str, *arguments: str) -> Iterator[str]:
    """A process of this package; its first line."""
    with child("-m", f"benchmarks.{name}", *arguments) as (_, line):
        yield line


@contextmanager
def child(*arguments: str) -> Iterator[tuple[int, str]]:
    """A Python process that runs until it is told to stop; its pid and its first line."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.pid, process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def pid_of(server: Server) -> int:
    """The process of a server that runs."""
    assert server.process is not None
    return server.process.pid


def port_of(url: str) -> int:
    """The port in a URL that has one."""
    port = urlsplit(url).port
    assert port is not None
    return port


class Generator:
    """The load generator: see benchmarks.generator."""

    def __init__(self, streams: Sequence[Mapping[str, Any]]) -> None:
        command = [sys.executable, "-m", "benchmarks.generator"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self._input.write(json.dumps(list(streams)) + "\n")
        self._input.flush()

    def stop(self) -> dict[str, Any]:
        """End streams that have a rate; what came of each."""
        self._input.close()
        return self.results()

    def after(self, seconds: float) -> dict[str, Any]:
        """The same, when so many seconds have gone by since the first answer can have come."""
        time.sleep(START_SECONDS + seconds)
        return self.stop()

    def results(self) -> dict[str, Any]:
        """What came of each stream, once they have ended. AssertionError if the generator broke off."""
        with self._process:
            output = self._output.read()
        assert self._process.returncode == 0, "the generator failed"
        return dict(json.loads(output))
