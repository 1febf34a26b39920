"""What waits in the database, for ``GET /metrics``: how much of each kind, and for how long the oldest has been due.

Each question is one look by an index, with a time limit of its own. What is not answered in time has no value at that
scrape: a figure that is old would say that all is well.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from scfm.clock import now
from scfm.errors import Unavailable
from scfm.models.batch_operations.operation_run import OPERATION_DUE, runs_due
from scfm.models.call_hold import HELD_AT, server_state
from scfm.models.call_lifecycle import AT_PROVIDER, CallStatus, due
from scfm.models.call_work import ATTEMPT_AT, CHECK, DUE, EXISTS, HANG_UP_DUE, LEASE, REASON, SETTLING, WAITING_INDEX
from scfm.models.callout_run import RUN_DUE, run_due
from scfm.models.ended_calls import EndedCalls
from scfm.models.outcome import MARK, marked_at
from scfm.models.stored_documents import CALLOUT_COLLECTION, CALLS, OPERATIONS
from scfm.models.webhook_queue import ENDPOINT_COLLECTION, ENDPOINT_DUE, may_be_taken
from scfm.runtime import metrics
from scfm.storage.due_work import due_work
from scfm.storage.query import Document
from scfm.storage.store import Store

# What was read is good for so long: of several that scrape, one asks.
FIGURES_SECONDS = 2.0
# How long MongoDB may take for a question, and all of them together.
MAX_QUESTION_MILLISECONDS, MAX_FIGURES_SECONDS = 800, 1.5
# A provider accepted a call so long ago at most, if it is in the air: one that was never reported on is not for ever.
IN_THE_AIR = timedelta(minutes=15)


class AccountIds(NamedTuple):
    """The ids of the accounts whose calls may leave, and of those whose calls are held."""

    free: Sequence[int]
    held: Sequence[int]


class WaitingKind(NamedTuple):
    """What waits: the label ``kind``, in which collection, on which condition, and since when, by a field.

    ``by_index``: see ``due_work``.
    """

    name: str
    collection: str
    condition: Callable[[datetime, AccountIds], Document]
    field: str
    since: Callable[[Any], datetime] = lambda value: value
    by_index: str | None = None


def _queued(moment: datetime, account_ids: Sequence[int]) -> Document:
    return {**due(CallStatus.QUEUED, moment), "account_id": {"$in": account_ids}}


# No index has the status and the time together, but an account has few calls of that status.
IN_THE_AIR_KIND = WaitingKind(
    "in the air",
    CALLS,
    lambda moment, accounts: {
        "account_id": {"$in": [*accounts.free, *accounts.held]},
        "status": {"$in": list(AT_PROVIDER)},
        "remotely_queued_at": {"$gte": moment - IN_THE_AIR},
    },
    "remotely_queued_at",
)
UNKNOWN_KIND = WaitingKind(
    "unknown_calls",
    CALLS,
    lambda *_: {LEASE: EXISTS, "status": CallStatus.QUEUED, "$or": [{REASON: EXISTS}, {SETTLING: True}]},
    ATTEMPT_AT,
)
WAITING_KINDS = (
    WaitingKind("calls", CALLS, lambda moment, accounts: _queued(moment, accounts.free), DUE, by_index=WAITING_INDEX),
    WaitingKind(
        "held_calls", CALLS, lambda moment, accounts: _queued(moment, accounts.held), DUE, by_index=WAITING_INDEX
    ),
    UNKNOWN_KIND,
    WaitingKind("remote_fetches", CALLS, lambda moment, _: due(CallStatus.REMOTE_FETCH_QUEUED, moment), DUE),
    WaitingKind("status_checks", CALLS, lambda moment, _: {CHECK: {"$lte": moment}}, CHECK),
    WaitingKind("hang_ups", CALLS, lambda moment, _: {HANG_UP_DUE: {"$lte": moment}}, HANG_UP_DUE),
    WaitingKind("batch_operations", OPERATIONS, lambda moment, _: runs_due(moment), OPERATION_DUE),
    WaitingKind("plans", CALLOUT_COLLECTION, lambda moment, _: run_due(moment), RUN_DUE),
    WaitingKind("webhook_endpoints", ENDPOINT_COLLECTION, lambda moment, _: may_be_taken(moment), ENDPOINT_DUE),
    WaitingKind("outcomes", CALLS, lambda *_: {MARK: {"$gt": 0}}, MARK, marked_at),
)


class QueueFigures:
    """Sets the gauges of what waits, when a scrape asks, and not again within FIGURES_SECONDS."""

    def __init__(self, store: Store, ended_calls: EndedCalls, provider_of: Callable[[int], Awaitable[str]]) -> None:
        """PROVIDER_OF gives the provider of an account, by its id, for the calls that have ended."""
        self._store = store
        self._ended_calls = ended_calls
        self._provider_of = provider_of
        self._read_at = -math.inf
        self._lock = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Returns within MAX_FIGURES_SECONDS, whatever the database does: ``scfm_database_up`` tells."""
        async with self._lock:
            if time.monotonic() - self._read_at < FIGURES_SECONDS:
                return
            _forget()
            # The driver may take long to give up: what was asked before is waited for, and not asked beside it.
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._try(), name="read figures")
            await asyncio.wait({self._reading}, timeout=MAX_FIGURES_SECONDS)
            if self._reading.done():
                self._reading.result()
            self._read_at = time.monotonic()

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._reading is not None:
            self._reading.cancel()

    async def _try(self) -> None:
        # Here, as nobody looks at what becomes of a task that is not waited for any more.
        with suppress(Unavailable):
            await self._read()

    async def _read(self) -> None:
        view, moment = self._store.all_tenants, now()
        server, found = await asyncio.gather(server_state(view), view.find("accounts", {}, fields=[HELD_AT], sort=()))
        metrics.DATABASE_UP.set(1)
        held = [account["_id"] for account in found if account.get(HELD_AT) is not None]
        metrics.ACCOUNTS_HELD.set(len(held))
        metrics.SERVER_HELD.set(server[HELD_AT] is not None)
        ids = {account["_id"] for account in found}
        accounts = AccountIds([], sorted(ids)) if server[HELD_AT] else AccountIds(sorted(ids - set(held)), held)
        await asyncio.gather(*(self._show(kind, accounts, moment) for kind in (*WAITING_KINDS, IN_THE_AIR_KIND)))
        await self._ended_calls.count(self._provider_of)

    async def _show(self, kind: WaitingKind, accounts: AccountIds, moment: datetime) -> None:
        try:
            depth, oldest = await due_work(
                self._store.database,
                kind.collection,
                kind.condition(moment, accounts),
                kind.field,
                index=kind.by_index,
                milliseconds=MAX_QUESTION_MILLISECONDS,
            )
        except Unavailable:  # this question takes too long, and has no answer: others may
            return
        if kind is IN_THE_AIR_KIND:
            metrics.CALLS_IN_THE_AIR.set(depth)
            return
        if kind is UNKNOWN_KIND:
            metrics.CALLS_UNKNOWN.set(depth)
        metrics.QUEUE_DEPTH.labels(kind.name).set(depth)
        age = (moment - kind.since(oldest)).total_seconds() if depth else 0.0
        metrics.QUEUE_OLDEST_AGE.labels(kind.name).set(max(age, 0.0))


def _forget() -> None:
    """No figure is shown that this scrape has not read."""
    metrics.DATABASE_UP.set(0)
    metrics.QUEUE_DEPTH.clear()
    metrics.QUEUE_OLDEST_AGE.clear()
    for gauge in (metrics.CALLS_UNKNOWN, metrics.CALLS_IN_THE_AIR, metrics.ACCOUNTS_HELD, metrics.SERVER_HELD):
        gauge.set(math.nan)
