"""Tells in the log how far callouts with a plan are: a line for each tenth of their people who are settled."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from scfm.models.callout_run import AUDIENCE, REVIEW, RUN_DUE, RUN_LOG, TOLD, tell_tenth, told_tenth
from scfm.models.stored_documents import CALLOUT_COLLECTION, CalloutDocument
from scfm.results.callout_statistics import people_of
from scfm.results.people import outcome_words, people_left
from scfm.runtime.log_format import fields
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers.runner import Job

log = logging.getLogger("scfm.work")

TENTHS_LOOK_SECONDS = 5.0
# Looks must not take more than this part of the time, however many people there are to count.
TENTHS_LOOK_SHARE = 0.01


class CalloutTenths(Job):
    """Follows the callouts that this process carries out. What was told is stored: no tenth is told twice.

    When people settle faster than this looks, a line stands for several tenths; the last one is that of the end.
    """

    name = "tell how callouts go"
    next_claim_in = TENTHS_LOOK_SECONDS

    def __init__(self, store: Store, log_id: str | None = None) -> None:
        """``log_id``: that of the send journal of this process."""
        self._store, self._log_id = store, log_id
        self._look_at = 0.0

    async def claim(self, limit: int) -> Sequence[Document]:
        """Look at the callouts, if it is time. There is nothing to process."""
        began = time.monotonic()
        if began < self._look_at:
            return ()
        # Their audience has been taken, and no outcome is out of date.
        going_on = {
            RUN_DUE: {"$exists": True},
            RUN_LOG: self._log_id,
            "status": "running",
            AUDIENCE: None,
            REVIEW: None,
        }
        for callout in await self._store.all_tenants.find(CALLOUT_COLLECTION, going_on, fields=["account_id", TOLD]):
            await self._look(callout)
        took = time.monotonic() - began
        self._look_at = began + max(TENTHS_LOOK_SECONDS, took / TENTHS_LOOK_SHARE)
        return ()

    async def _look(self, callout: CalloutDocument) -> None:
        callout_id, view = callout["_id"], self._store.for_account(callout["account_id"])
        people = await people_of(view, callout_id)
        settled = people["total"] - people_left(people)
        tenth = 10 * settled // max(1, people["total"])
        if not told_tenth(callout) < tenth < 10:
            return
        if await view.update_one(CALLOUT_COLLECTION, *tell_tenth(callout_id, tenth)):
            log.info(
                "callout %d of account %d: %d of %d people are settled (%s)",
                *(callout_id, view.account_id, settled, people["total"], outcome_words(people)),
                extra=fields(
                    callout_id=callout_id, account_id=view.account_id, settled=settled, people=people["total"]
                ),
            )
