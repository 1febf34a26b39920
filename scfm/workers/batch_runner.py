"""Runs batch operations: claims those that are queued, and sees to those whose run breaks. See ``batch_run``."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import cast

from scfm.clock import now
from scfm.errors import Invalid, Unavailable
from scfm.models.batch_operations.operation import Operation
from scfm.runtime.backoff import Backoff
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers.batch_run import OPERATIONS, BatchRun, LeaseLost, still_claimed
from scfm.workers.claims import claim_each
from scfm.workers.runner import HAND_BACK_SECONDS, Job

log = logging.getLogger("scfm.work")

MAX_RUN_TRIES = 5
BACKOFF = Backoff(first=2.0, longest=8.0)
MAX_FAILURE = 500
# Who is called with these has been called before.
REDIAL_FILTERS = frozenset({"last_phone_call_attempt", "no_phone_calls_or_last_attempt"})


class BatchRunner(Job):
    """Processes batch operations that are queued, or whose process did not finish them."""

    name = "run batch operations"
    slots = 2

    def __init__(
        self,
        store: Store,
        lease: float,
        wake: Callable[[], None],
        log: str | None = None,
        webhooks_recent: Callable[[], bool] = lambda: False,
    ) -> None:
        """``lease``: seconds. ``wake`` is called when calls have been queued. ``log``: the id of the send journal.

        ``webhooks_recent`` tells whether people are on the phone, who wait for the database, too.
        """
        self._store = store
        self._log = log
        self._lease = timedelta(seconds=lease)
        self._wake = wake
        self._webhooks_recent = webhooks_recent

    async def claim(self, limit: int) -> Sequence[Document]:
        waiting = {"_work.due": {"$lte": now()}, "status": {"$in": ["queued", "running"]}}

        def claiming(found: Document) -> tuple[Document, Document]:
            return {**found, **waiting}, {"$set": self._claim_fields()}

        return await claim_each(self._store.all_tenants, OPERATIONS, waiting, "_work.due", limit, claiming)

    def _claim_fields(self) -> Document:
        return {
            "status": "running",
            "_work.due": self._until(),
            "_work.holder": uuid.uuid4().hex,
            # By this a process on the same machine sees that this one has ended: see SendJournal.
            "_work.log": self._log,
            "updated_at": now(),
        }

    def _until(self) -> datetime:
        return now() + self._lease

    async def process(self, item: Document) -> None:
        view = self._store.for_account(item["account_id"])
        run = BatchRun(view, cast(Operation, item), self._until, self._wake, self._webhooks_recent)
        began = time.monotonic()
        log.info("%s %s", _described(item), "goes on" if "cursor" in item["_work"] else "begins")
        try:
            await run.finish()
            seconds = time.monotonic() - began
            log.info("%s has finished: %d %s in %.1f s", _described(item), run.acted, run.subjects, seconds)
        except LeaseLost:
            log.warning("batch operation %s was taken over by another process", item["_id"])
        except asyncio.CancelledError:
            # The server stops: the next need not wait for the lease to run out.
            with suppress(TimeoutError, Unavailable):
                async with asyncio.timeout(HAND_BACK_SECONDS):
                    await view.update_one(OPERATIONS, still_claimed(item), {"$set": {"_work.due": now()}})
            raise

    async def on_error(self, item: Document, error: Exception) -> None:
        """Try again a few times, then set the run aside, where its owner can see why.

        What it is asked to do is not understood better by trying again.
        """
        tries = item["_work"].get("tries", 0) + 1
        view, mine = self._store.for_account(item["account_id"]), still_claimed(item)
        if tries < MAX_RUN_TRIES and not isinstance(error, Invalid):
            change = {"_work.tries": tries, "_work.due": now() + timedelta(seconds=BACKOFF.seconds(tries))}
            await view.update_one(OPERATIONS, mine, {"$set": change})
            return
        metadata = {**item["metadata"], "failure": _reason(error)[:MAX_FAILURE]}
        change = {"status": "finished", "metadata": metadata, "updated_at": now()}
        log.error("%s is given up after %d tries: see metadata.failure", _described(item), tries)
        await view.update_one(OPERATIONS, mine, {"$set": change, "$unset": {"_work": ""}})


def _reason(error: Exception) -> str:
    if isinstance(error, Invalid):
        return "; ".join(f"{name} {message}" for name, messages in error.errors.items() for message in messages)
    return f"{type(error).__name__}: {error}"


def _described(operation: Document) -> str:
    """The operation, for the log."""
    kind = str(operation["type"]).rpartition("::")[2]
    if operation["callout_id"]:
        kind += f", callout {operation['callout_id']}"
    parameters = operation["parameters"]
    filters = parameters.get("callout_participation_filter_params") if isinstance(parameters, dict) else None
    if isinstance(filters, dict) and not REDIAL_FILTERS.isdisjoint(filters):
        kind += ", a redial"
    return f"batch operation {operation['_id']} of account {operation['account_id']} ({kind})"
