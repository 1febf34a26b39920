"""Brings back what was put down for times that are far off, as the wall clock was set meanwhile.

Stored times are compared with the wall clock, as they must outlive a process and be understood by others: when it
goes back, what is due waits for as long as it went. Leases under which a call may be about to leave are left alone:
they protect from sending it twice. See docs/decisions/0002.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from scfm import clock
from scfm.models import idempotency, renumbering
from scfm.models.audio_content import AUDIO_CONTENTS, CONTENT_SWEEP_DELAY, SWEEP_AT
from scfm.models.audio_recording import AUDIO_RECORDINGS
from scfm.models.batch_operations.operation_run import bring_back_operations
from scfm.models.call_checks import bring_back_check, bring_back_due
from scfm.models.call_placement import bring_back_settling
from scfm.models.callout_run import bring_back_run
from scfm.models.doomed_recording import DOOMED_RECORDINGS
from scfm.models.erasure_record import ERASURES
from scfm.models.references import DELETION_LEASE, DELETIONS, SWEEP_DELAY
from scfm.models.registry import RESOURCES
from scfm.models.stored_documents import CALLOUT_COLLECTION, CALLS, OPERATIONS
from scfm.models.webhook_attempts import bring_back_webhooks
from scfm.providers.failures import MAX_RETRY_AFTER
from scfm.settings import Settings
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers.audio_recorder import RECORDING_LEASE
from scfm.workers.batch_runner import BACKOFF
from scfm.workers.clock_watch import TOLERANCE, ClockWatch
from scfm.workers.delete_recordings import MAX_DELETION_PAUSE
from scfm.workers.plan_runner import MAX_STEP_SECONDS
from scfm.workers.runner import Job
from scfm.workers.status_poller import MAX_CHECK_INTERVAL

log = logging.getLogger("scfm.work")

# Twice of what the clocks of two processes may differ by: what another has written is not from the future.
MAX_CLOCK_DIFFERENCE = timedelta(seconds=60)
REPAIR_LOOK_SECONDS = 60.0
# The longest wait that a provider may ask for.
MAX_DELAY = timedelta(seconds=MAX_RETRY_AFTER)


class ClockRepair(Job):
    """Looks at the clock, and now and then at what is stored, which tells of a clock set while nobody looked."""

    name = "watch the clock"

    def __init__(self, store: Store, watch: ClockWatch, settings: Settings, wake: Callable[[], None]) -> None:
        self._all_tenants = store.all_tenants
        self._watch = watch
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._grace = timedelta(seconds=settings.unknown_grace_seconds + 1)
        self._first_check = timedelta(seconds=settings.status_check_seconds)
        self._wake = wake
        self._next = 0.0
        self._brought_back = timedelta()

    async def claim(self, limit: int) -> Sequence[Document]:
        """Bring back what is too far off; there is nothing to process."""
        self._watch.look()
        back = self._watch.gone_back
        if back == self._brought_back and time.monotonic() < self._next:
            return ()
        noticed = back != self._brought_back
        margin = TOLERANCE if noticed else MAX_CLOCK_DIFFERENCE
        found = await self._bring_back(margin, everything=noticed or not self._next)
        self._brought_back = back
        self._next = time.monotonic() + REPAIR_LOOK_SECONDS
        if found:
            log.warning("%d documents waited for times that are too far off; they are due now", found)
            self._wake()
        return ()

    async def _bring_back(self, margin: timedelta, *, everything: bool) -> int:
        """Make due what waits for longer than anything waits; how many documents that were."""
        moment = clock.now()
        late = moment + margin
        changed = 0
        for collection, condition, change in (
            *self._calls(moment, late),
            *self._operations(moment, late),
            *self._others(moment, late, everything=everything),
        ):
            changed += await self._all_tenants.update_many(collection, condition, {"$set": change})
        return changed

    def _calls(self, moment: datetime, late: datetime) -> list[tuple[str, Document, Document]]:
        return [
            (CALLS, condition, update["$set"])
            for condition, update in (
                bring_back_due(moment, late, late + MAX_DELAY),
                bring_back_settling(moment, late + self._grace),
                bring_back_check(moment, late, late + max(MAX_CHECK_INTERVAL, self._first_check)),
            )
        ]

    def _operations(self, moment: datetime, late: datetime) -> list[tuple[str, Document, Document]]:
        backoff = late + timedelta(seconds=BACKOFF.longest)
        step = late + timedelta(seconds=MAX_STEP_SECONDS)
        # Two processes that run the same one do each other no harm.
        queued = bring_back_operations("queued", moment, backoff)
        running = bring_back_operations("running", moment, max(backoff, late + self._lease))
        runs = bring_back_run(moment, max(step, late + self._lease))
        of_collection = ((OPERATIONS, queued), (OPERATIONS, running), (CALLOUT_COLLECTION, runs))
        return [(collection, condition, update["$set"]) for collection, (condition, update) in of_collection]

    def _others(self, moment: datetime, late: datetime, *, everything: bool) -> list[tuple[str, Document, Document]]:
        mark = "_deleting.until"
        look = f"{renumbering.RENUMBERED}.due"
        found: list[tuple[str, Document, Document]] = [
            (DELETIONS, {"due": {"$gt": late + SWEEP_DELAY}}, {"due": moment + SWEEP_DELAY}),
            (ERASURES, {"due": {"$gt": late + SWEEP_DELAY}}, {"due": moment}),
            (DOOMED_RECORDINGS, {"due": {"$gt": late + MAX_DELETION_PAUSE}}, {"due": moment}),
            (AUDIO_RECORDINGS, {"due": {"$gt": late + RECORDING_LEASE}}, {"due": moment}),
            (  # not at once: a request of just now may hold what no audio file names yet
                AUDIO_CONTENTS,
                {SWEEP_AT: {"$gt": late + CONTENT_SWEEP_DELAY}},
                {SWEEP_AT: moment + CONTENT_SWEEP_DELAY},
            ),
            ("contacts", {look: {"$gt": late + renumbering.MARK_RETENTION}}, {look: moment}),
            *(
                (one.collection, {mark: {"$gt": late + DELETION_LEASE}}, {mark: moment + DELETION_LEASE})
                for one in RESOURCES
            ),
        ]
        found += bring_back_webhooks(moment, late, everything=everything)
        if everything:  # there is no index for it
            running = {"until": {"$gt": late + idempotency.REQUEST_LEASE}, "answer": None}
            found.append((idempotency.COLLECTION, running, {"until": moment + idempotency.REQUEST_LEASE}))
        return found
