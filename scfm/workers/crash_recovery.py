"""Takes over what processes on this machine had when they died, as their send journals tell what had left."""

from __future__ import annotations

import logging
import time

from scfm.clock import now
from scfm.models.batch_operations.operation_run import take_over_operations
from scfm.models.call_lifecycle import claimed_under
from scfm.models.call_placement import take_over
from scfm.models.call_work import WORK, attempt_of
from scfm.models.callout_run import take_over_run
from scfm.models.stored_documents import CALLOUT_COLLECTION, CALLS, OPERATIONS
from scfm.storage.store import Store
from scfm.workers.send_journal import SendJournal

log = logging.getLogger("scfm.work")

# What a process had asked of the database when it died may be carried out a moment later.
LAST_WORDS_SECONDS = 10.0


class CrashRecovery:
    """``grace``: in how many seconds a call is settled that may have left."""

    def __init__(self, store: Store, send_journal: SendJournal, *, grace: float) -> None:
        self._all_tenants = store.all_tenants
        self._send_journal = send_journal
        self._grace = grace
        # When each dead process was first seen to be so (monotonic seconds), by the id of its send journal.
        self._dead_since: dict[str, float] = {}

    async def take_over(self) -> None:
        """Take over from every dead process, and remove the journals that nothing refers to any more."""
        for journal_id, sent in self._send_journal.of_dead_processes():
            await self._take_over_from(journal_id, sent)
            since = self._dead_since.setdefault(journal_id, time.monotonic())
            if time.monotonic() - since >= LAST_WORDS_SECONDS:
                self._send_journal.discard(journal_id)
                del self._dead_since[journal_id]
        for journal_id in self._send_journal.of_earlier_boots():
            if not await self._all_tenants.exists(CALLS, claimed_under(journal_id)):
                self._send_journal.discard(journal_id)

    async def _take_over_from(self, journal_id: str, sent: set[tuple[str, int]] | None) -> None:
        """Queue again what had not left, have settled what may have; others may go on with its operations and plans.

        SENT are the (attempt, call) pairs in its journal, None where that is damaged: then any call may have left.
        """
        calls = await self._all_tenants.find(CALLS, claimed_under(journal_id), fields=["account_id", WORK, "status"])
        updates = [
            take_over(call, journal_id, may_have_left=sent is None or attempt_of(call) in sent, grace=self._grace)
            for call in calls
        ]
        await self._all_tenants.bulk_update(CALLS, updates)
        if calls:
            log.info("%d calls of an ended process are taken over", len(calls))
        await self._all_tenants.update_many(OPERATIONS, *take_over_operations(journal_id))
        await self._all_tenants.update_many(CALLOUT_COLLECTION, *take_over_run(journal_id, now()))
