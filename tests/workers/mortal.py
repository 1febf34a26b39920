"""A process that dies at a chosen step: between any two operations on the database, the provider or the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from scfm.providers.answers import RemoteCall
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.storage.database import Database
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers.send_journal import SendJournal

T = TypeVar("T")

# Operations on a collection that change nothing, besides ``find``.
READS = frozenset({"find_one", "count_documents", "aggregate"})


class Death(asyncio.CancelledError):
    """The process is no more. No ``except Exception`` survives it."""


class Life:
    """Counts the steps of a process, and ends it at step ``ends_at``; from then on every step fails.

    ``of_writes``: only writes are steps, and it dies before one of them. To whoever comes later it makes no
    difference what a process has read before it died.
    ``stores`` are the process's own; ``on_death`` is called when it dies.
    """

    def __init__(self, ends_at: int | None, *, of_writes: bool = False) -> None:
        self.steps = 0
        self.of_writes = of_writes
        self.stores: list[MortalStore] = []
        self.on_death: Callable[[], None] = lambda: None
        self._ends_at = ends_at

    @property
    def over(self) -> bool:
        return self._ends_at is not None and self.steps >= self._ends_at

    def step(self) -> None:
        """Live on, or raise Death."""
        if not self.over:
            self.steps += 1
        if self.over:
            self.on_death()
            raise Death

    def look(self) -> None:
        """Live on after a step that changes nothing, or raise Death."""
        if not self.of_writes:
            self.step()
        elif self.over:
            raise Death

    async def around(self, operation: Callable[[], Awaitable[T]], *, reads: bool = False) -> T:
        """Carry out the operation; the process may die before it, and after it, before its answer is known."""
        if reads:
            self.look()
        else:
            self.step()
        done = await operation()
        self.look()  # to die after a write is to die before the next one
        return done


class MortalDatabase(Database):
    """A database in which every operation is two steps of the process's life."""

    _life: Life

    @classmethod
    def within(cls, database: Database, life: Life) -> MortalDatabase:
        """The same database, as the process sees it."""
        mortal = cls(database.client, database.name)
        mortal._life = life
        return mortal

    def collection(self, name: str) -> Any:
        return _MortalCollection(super().collection(name), self._life)


class MortalStore(Store):
    """A store in which every operation is two steps of the process's life."""

    @classmethod
    def within(cls, store: Store, life: Life) -> MortalStore:
        """The same database, as the process sees it."""
        mortal = cls(MortalDatabase.within(store.database, life), store.backend.counted)
        mortal._life = life
        life.stores.append(mortal)
        return mortal

    async def end(self) -> None:
        """Begin nothing more. The connections are the test's, and stay."""
        try:
            if not self._life.over:
                await self.quiesce()
        except asyncio.CancelledError:  # Death, or what it becomes for who waits for a task that has died
            if not self._life.over:
                raise
        self.counters.close()

    _life: Life


class _MortalCollection:
    def __init__(self, collection: Any, life: Life) -> None:
        self._collection = collection
        self._life = life

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._collection, name)
        if name == "find":
            return lambda *given, **options: _MortalCursor(operation(*given, **options), self._life)

        async def mortal(*given: Any, **options: Any) -> Any:
            return await self._life.around(lambda: operation(*given, **options), reads=name in READS)

        return mortal


class _MortalCursor:
    """Reading changes nothing, so one step is enough."""

    def __init__(self, cursor: Any, life: Life) -> None:
        self._cursor = cursor
        self._life = life

    def sort(self, *given: Any) -> _MortalCursor:
        return _MortalCursor(self._cursor.sort(*given), self._life)

    def limit(self, *given: Any) -> _MortalCursor:
        return _MortalCursor(self._cursor.limit(*given), self._life)

    async def close(self) -> None:
        """The database forgets the cursor of a process that has died, too."""
        await self._cursor.close()

    async def to_list(self, length: int | None) -> list[Document]:
        self._life.look()
        found: list[Document] = await self._cursor.to_list(length)
        return found


class MortalProvider(Provider):
    """A provider of which every request is two steps of the process's life."""

    def __init__(self, life: Life, *, timeout: float) -> None:
        super().__init__(timeout=timeout)
        self._life = life

    async def create_call(
        self, credentials: Credentials, to: str, params: Mapping[str, Any], *leaving: Any
    ) -> RemoteCall:
        create = super().create_call
        return await self._life.around(lambda: create(credentials, to, params, *leaving))

    async def list_calls(self, *given: Any) -> list[RemoteCall]:
        list_calls = super().list_calls
        return await self._life.around(lambda: list_calls(*given))

    async def fetch_call(self, *given: Any) -> RemoteCall:
        fetch_call = super().fetch_call
        return await self._life.around(lambda: fetch_call(*given))


class MortalSendJournal(SendJournal):
    """A send journal in which a line is two steps of the process's life."""

    _life: Life

    @classmethod
    def within(cls, data_dir: Path, life: Life) -> MortalSendJournal:
        """The log of a process that lives so long."""
        send_journal = cls.open(data_dir)
        send_journal._life = life
        return send_journal

    def append(self, attempt: str, number: int) -> None:
        self._life.step()
        super().append(attempt, number)
        self._life.step()


_PROCESS: ContextVar[object] = ContextVar("_PROCESS", default=None)


async def live(work: Coroutine[Any, Any, None], life: Life) -> None:
    """Let a process do its work until it is done or dies; nothing that it began goes on."""
    begun: list[asyncio.Task[Any]] = []

    def create(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=loop, **options)
        if _PROCESS.get() is life:
            begun.append(task)
        return task

    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def end(_: object = None) -> None:
        if not ended.done():
            ended.set_result(None)

    life.on_death = end
    _PROCESS.set(life)
    loop.set_task_factory(create)
    try:
        done = asyncio.create_task(work)
        done.add_done_callback(end)
        if not life.over:
            await ended
        for store in life.stores:
            await store.end()
        for task in begun if life.over else ():
            task.cancel()
        while waiting := [task for task in begun if not task.done()]:
            await asyncio.wait(waiting)
    finally:
        _PROCESS.set(None)
        loop.set_task_factory(None)
    if not done.cancelled():
        done.result()


async def dies(store: Store, step: int, work: Callable[[Store], Awaitable[Any]]) -> Life:
    """A process does its work, and dies at that step; its life."""
    life = Life(step)
    mortal = MortalStore.within(store, life)

    async def done() -> None:
        await work(mortal)

    await live(done(), life)
    return life
