"""Runs batch operations: claims those that are queued, and sees to those whose run breaks. See ``batch_run``."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from scfm.clock import later, now
from scfm.errors import Invalid, Unavailable
from scfm.models.batch_operations.operation import Operation
from scfm.models.batch_operations.operation_run import (
    OPERATION_DUE,
    claim_run,
    hand_back_run,
    retry_run,
    runs_due,
    set_run_aside,
)
from scfm.models.stored_documents import OPERATIONS
from scfm.runtime.backoff import Backoff
from scfm.runtime.log_format import fields
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers.batch_run import BatchRun, LeaseLost
from scfm.workers.claims import claim_each
from scfm.workers.runner import HAND_BACK_SECONDS, Job

log = logging.getLogger("scfm.work")

MAX_RUN_TRIES = 5
BACKOFF = Backoff(first=2.0, longest=8.0)
MAX_FAILURE = 500
# People who are called with these have been called before.
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

    async def claim(self, limit: int) -> Sequence[Operation]:
        waiting = runs_due(now())

        def claiming(found: Operation) -> tuple[Document, Document]:
            return {**found, **waiting}, claim_run(uuid.uuid4().hex, self._log, self._until())

        return await claim_each(self._store.all_tenants, OPERATIONS, waiting, OPERATION_DUE, limit, claiming)

    def _until(self) -> datetime:
        return now() + self._lease

    async def process(self, item: Operation) -> None:
        view = self._store.for_account(item["account_id"])
        run = BatchRun(view, item, self._until, self._wake, self._webhooks_recent)
        began = time.monotonic()
        extra = fields(batch_operation_id=item["_id"], account_id=item["account_id"], callout_id=item["callout_id"])
        log.info("%s %s", _described(item), "goes on" if "cursor" in item["_work"] else "begins", extra=extra)
        try:
            await run.finish()
            seconds = time.monotonic() - began
            log.info(
                "%s has finished: %d %s in %.1f s", _described(item), run.acted, run.subjects, seconds, extra=extra
            )
        except LeaseLost:
            log.warning("batch operation %s was taken over by another process", item["_id"])
        except asyncio.CancelledError:
            # The server stops: the next need not wait for the lease to run out.
            with suppress(TimeoutError, Unavailable):
                async with asyncio.timeout(HAND_BACK_SECONDS):
                    await view.update_one(OPERATIONS, *hand_back_run(item))
            raise

    async def on_error(self, item: Operation, error: Exception) -> None:
        """Try again a few times, then set the run aside, where its owner can see why.

        What it is asked to do is not understood better by trying again.
        """
        tries = item["_work"].get("tries", 0) + 1
        if tries < MAX_RUN_TRIES and not isinstance(error, Invalid):
            moved = retry_run(item, tries, later(BACKOFF.seconds(tries)))
        else:
            log.error("%s is given up after %d tries: see metadata.failure", _described(item), tries)
            moved = set_run_aside(item, _reason(error)[:MAX_FAILURE])
        await self._store.for_account(item["account_id"]).update_one(OPERATIONS, *moved)


def _reason(error: Exception) -> str:
    if isinstance(error, Invalid):
        return "; ".join(f"{name} {message}" for name, messages in error.errors.items() for message in messages)
    return f"{type(error).__name__}: {error}"


def _described(operation: Operation) -> str:
    """The operation, for the log."""
    kind = str(operation["type"]).rpartition("::")[2]
    if operation["callout_id"]:
        kind += f", callout {operation['callout_id']}"
    parameters = operation["parameters"]
    filters = parameters.get("callout_participation_filter_params") if isinstance(parameters, dict) else None
    if isinstance(filters, dict) and not REDIAL_FILTERS.isdisjoint(filters):
        kind += ", a redial"
    return f"batch operation {operation['_id']} of account {operation['account_id']} ({kind})"
