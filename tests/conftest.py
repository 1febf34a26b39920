"""What every test may use: coroutines as tests, and a database of its own on a mongod that all of them share."""

from __future__ import annotations

import inspect
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import hypothesis
import pytest
from pymongo import MongoClient
from tornado.ioloop import IOLoop

from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.models.registry import counted_fields, indexes
from scfm.storage.store import Store
from tests.server import Client, Server

# The default of pytest-tornado, 5 s, is little on a busy machine.
ASYNC_TEST_SECONDS = 300
DATABASE = "test"

# A shell starts what it puts into the background with Ctrl-C ignored, which would be inherited: some tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# CI repeats a failure by its seed, and a slow machine is no failure.
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """A coroutine function is run by pytest-tornado, marked or not."""
    for item in items:
        if not isinstance(item, pytest.Function) or not inspect.iscoroutinefunction(item.obj):
            continue
        marked = item.get_closest_marker("gen_test")
        if marked is None or "timeout" not in marked.kwargs:
            item.add_marker(pytest.mark.gen_test(timeout=ASYNC_TEST_SECONDS), append=False)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their argument: an archive holds a time, and xdist wants the same names in each process."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def mongod() -> Iterator[PrivateMongod]:
    """A mongod for the tests that need a database and no server."""
    folder = Path(tempfile.mkdtemp(prefix="scfm-test-"))  # short: a socket's path has at most 107 bytes
    try:
        with PrivateMongod.start(folder / "data") as mongod:
            yield mongod
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def api(server: Server) -> Client:
    """The server as a new account sees it."""
    return server.new_account()


@pytest.fixture
def stranger(server: Server) -> Client:
    """The server as another new account sees it."""
    return server.new_account()


@pytest.fixture
def store(io_loop: IOLoop, mongod: PrivateMongod) -> Iterator[Store]:
    """An empty database with every index, for this test alone, in this test's event loop."""

    async def opened() -> Store:
        store = Store.open(mongod.uri, DATABASE, counted_fields())
        await store.database.prepare(indexes())
        return store

    store = io_loop.run_sync(opened)
    yield store
    io_loop.run_sync(store.quiesce, timeout=ASYNC_TEST_SECONDS)
    io_loop.run_sync(store.close, timeout=ASYNC_TEST_SECONDS)
    # Emptied, not dropped: to make the indexes anew takes longer than most tests do.
    with MongoClient[dict[str, object]](mongod.uri) as client:
        for name in client[DATABASE].list_collection_names():
            client[DATABASE][name].delete_many({})
