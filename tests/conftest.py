"""What every test may use: coroutines as tests, and a database of its own on a mongod that all of them share."""

from __future__ import annotations

import inspect
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
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
MIN_MEMORY_BYTES = 2 << 30
MAX_RUN_SECONDS = 86400.0

# A shell starts what it puts into the background with Ctrl-C ignored, which would be inherited: some tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# CI repeats a failure by its seed, and a slow machine is no failure.
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


# What takes longest, by the beginning of its path. With --dist loadfile a worker gets file after file, in this order
# if --no-loadscope-reorder is told, too: what comes last is short, so that all workers end at about the same time.
# Files with many servers are apart from one another, as time-outs are short.
LONGEST_FIRST = (
    "tests/torture",
    "tests/workers/test_plan_death.py",
    "tests/acceptance/test_serve.py",
    "tests/properties/test_filters.py",
    "tests/acceptance/test_benchmarks.py",
    "tests/acceptance/test_mongod.py",
    "tests/acceptance/test_replica_set.py",
    "tests/acceptance",
    "tests/flows",
    "tests/workers",
    "tests/properties",
    "tests/resources",
)
# Tests wait for a disk, a process or a moment for about half of their time; and each worker has servers of its own.
WAITING_WORKERS, MAX_WORKERS = 2, 10


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """For each core one, and some that wait; unless PYTEST_XDIST_AUTO_NUM_WORKERS says how many."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(cores + WAITING_WORKERS, MAX_WORKERS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts LONGEST_FIRST; and a coroutine function is run by pytest-tornado, marked or not."""
    items.sort(key=_place)
    for item in items:
        if not isinstance(item, pytest.Function) or not inspect.iscoroutinefunction(item.obj):
            continue
        marked = item.get_closest_marker("gen_test")
        if marked is None or "timeout" not in marked.kwargs:
            item.add_marker(pytest.mark.gen_test(timeout=ASYNC_TEST_SECONDS), append=False)


def _place(item: pytest.Item) -> int:
    places = (place for place, begin in enumerate(LONGEST_FIRST) if item.nodeid.startswith(begin))
    return next(places, len(LONGEST_FIRST))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their argument: an archive holds a time, and xdist wants the same names in each process."""
    return argname if isinstance(val, bytes) else None


def memory_folder() -> Path | None:
    """Where files are in memory, if there is room for a database; there fsync costs nothing.

    What is there outlives a process that is killed, though no machine that is.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > MIN_MEMORY_BYTES
    return memory if roomy else None


@pytest.fixture(scope="session")
def mongod() -> Iterator[PrivateMongod]:
    """A mongod for the tests that need a database and no server."""
    # A short path: that of a socket has at most 107 bytes.
    place = memory_folder()
    for left in place.glob("scfm-test-*") if place else ():  # by a run that was killed
        with suppress(FileNotFoundError):  # another process may be faster
            if time.time() - left.stat().st_mtime > MAX_RUN_SECONDS:
                shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix="scfm-test-", dir=place))
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


class Slate:
    """The database of all stores, as another process sees it: it has its indexes once, and is empty for each test."""

    def __init__(self, client: MongoClient[dict[str, object]]) -> None:
        self._database = client[DATABASE]
        self.has_indexes = False

    def wipe(self) -> None:
        """Remove every document. The collections stay: to make their indexes anew takes longer than most tests do."""
        for name in self._filled():
            self._database[name].delete_many({})

    def _filled(self) -> list[str]:
        """The collections that have documents, asked for all at once."""
        names = self._database.list_collection_names()
        if not names:
            return []
        looks = {name: [{"$limit": 1}, {"$project": {"_id": 0, "name": {"$literal": name}}}] for name in names}
        first = looks.pop(names[0])
        others = [{"$unionWith": {"coll": name, "pipeline": look}} for name, look in looks.items()]
        return [str(found["name"]) for found in self._database[names[0]].aggregate([*first, *others])]


@pytest.fixture(scope="session")
def slate(mongod: PrivateMongod) -> Iterator[Slate]:
    with MongoClient[dict[str, object]](mongod.uri) as client:
        yield Slate(client)


@pytest.fixture
def store(io_loop: IOLoop, mongod: PrivateMongod, slate: Slate) -> Iterator[Store]:
    """An empty database with every index, for this test alone, in this test's event loop."""

    async def opened() -> Store:
        store = Store.open(mongod.uri, DATABASE, counted_fields())
        if not slate.has_indexes:
            await store.database.prepare(indexes())
            slate.has_indexes = True
        return store

    store = io_loop.run_sync(opened)
    yield store
    io_loop.run_sync(store.quiesce, timeout=ASYNC_TEST_SECONDS)
    io_loop.run_sync(store.close, timeout=ASYNC_TEST_SECONDS)
    slate.wipe()
