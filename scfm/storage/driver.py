"""Motor without its threads: what it hands to a thread and back, the event loop does itself.

Motor says which object of PyMongo does an operation; its *framework* says how it is done
(https://motor.readthedocs.io/en/stable/developer-guide.html). Here the objects are PyMongo's asynchronous ones, whose
operations are coroutines, so nothing has to be handed over: see docs/decisions/0007-motor-without-threads.md.
"""

# Motor's own types are those of its threads.
# mypy: disable-error-code="assignment, no-untyped-call"

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any, TypeVar

from bson import decode
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from scfm.errors import StartError
from scfm.storage.query import Document


@contextmanager
def _checked() -> Iterator[None]:
    """What is used here is not promised to stay. Where a release lacks a name, raises StartError with the way out."""
    try:
        yield
    except (ImportError, AttributeError) as error:
        raise StartError(
            f"this server does not work with {_release('motor')} and {_release('pymongo')} ({error}): "
            "install the releases in requirements/run.lock"
        ) from error


def _release(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"no {name}"


with _checked():
    from motor.core import AgnosticClient, AgnosticCollection, AgnosticDatabase
    from motor.frameworks import asyncio as threaded
    from motor.metaprogramming import AsyncRead, DelegateMethod, create_class_with_framework
    from pymongo import AsyncMongoClient
    from pymongo.asynchronous import pool, topology
    from pymongo.asynchronous.collection import AsyncCollection
    from pymongo.asynchronous.database import AsyncDatabase

    # What is used below, and what Motor asks a framework for, so that what is put in place here is what it uses.
    for _owner, _names in (
        (AsyncMongoClient, ("aconnect",)),
        (DelegateMethod, ("wrap",)),
        (pool, ("_async_cond_wait",)),
        (topology, ("_async_cond_wait",)),
        (threaded, ("CLASS_PREFIX", "run_on_executor", "get_event_loop", "check_event_loop", "platform_info")),
    ):
        for _name in _names:
            getattr(_owner, _name)

T = TypeVar("T")

# Documents as the bytes they come in: how large they are is known before they are read.
RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
# To give a time its zone takes the driver longer than the rest of a document.
PLAIN_TIMES: CodecOptions[Document] = CodecOptions()


def decoded(raw: RawBSONDocument) -> Document:
    """What a document of ``RAW`` holds; its times, which are UTC, are without a zone."""
    return decode(raw.raw, PLAIN_TIMES)


async def _wait_for_condition(condition: Any, seconds: float | None) -> bool:
    """Whether the condition, whose lock the caller holds, was notified in time. However it ends, he holds the lock.

    The driver's own waits by ``asyncio.wait_for``, which in Python 3.11 has another task do it. A caller who is
    cancelled when the time is up, while that task waits for the lock, leaves it behind: it takes the lock, which is
    never free again, and no operation finds a server until the process is started anew.
    """
    try:
        async with asyncio.timeout(seconds):
            await condition.wait()
            return True
    except TimeoutError:
        return False


for _module in (pool, topology):
    vars(_module)["_async_cond_wait"] = _wait_for_condition


async def _run(_loop: Any, operation: Callable[..., Coroutine[Any, Any, T]], *args: Any, **options: Any) -> T:
    """Carry out an operation. A caller that is cancelled meanwhile stays so, however the operation ends.

    Python 3.11 can lose a cancellation where the driver sends, or waits for a server.
    """
    task = asyncio.current_task()
    cancelled = task.cancelling() if task else 0
    try:
        return await operation(*args, **options)
    finally:
        if task and task.cancelling() > cancelled:
            raise asyncio.CancelledError


FRAMEWORK = ModuleType("in_the_loop")
vars(FRAMEWORK).update(vars(threaded), run_on_executor=_run)


def _in_the_loop(cls: type[T]) -> type[T]:
    with _checked():
        return create_class_with_framework(cls, FRAMEWORK, __name__)


@_in_the_loop
class Collection(AgnosticCollection[Document]):
    """A collection. Its cursors are PyMongo's own, as Motor has nothing to add to those that need no thread."""

    __delegate_class__ = AsyncCollection

    find: Any = DelegateMethod()
    find_raw_batches: Any = DelegateMethod()
    aggregate: Any = AsyncRead()

    def __init__(self, database: DriverDatabase, delegate: AsyncCollection[Document]) -> None:
        super(AgnosticCollection, self).__init__(delegate)
        self.database = database


@_in_the_loop
class DriverDatabase(AgnosticDatabase[Document]):
    """A database, which makes collections of its own kind."""

    __delegate_class__ = AsyncDatabase

    get_collection: Any = DelegateMethod().wrap(AsyncCollection)

    def __getitem__(self, name: str) -> Collection:
        return self.wrap(self.delegate[name])

    def wrap(self, delegate: AsyncCollection[Document]) -> Collection:
        return Collection(self, delegate)


class _MongoClient(AsyncMongoClient[Document]):
    _connect = AsyncMongoClient.aconnect  # what it is called where Motor looks for it


@_in_the_loop
class DriverClient(AgnosticClient[Document]):
    """A client of a MongoDB, which connects when it is first used; ``await`` its ``close()`` in the same loop."""

    __delegate_class__ = _MongoClient

    get_database: Any = DelegateMethod().wrap(AsyncDatabase)
    close: Any = DelegateMethod()

    def __getitem__(self, name: str) -> DriverDatabase:
        return self.wrap(self.delegate[name])

    def wrap(self, delegate: AsyncDatabase[Document]) -> DriverDatabase:
        return DriverDatabase(self, delegate.name, _delegate=delegate)
