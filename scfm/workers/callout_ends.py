"""Tells in the log when a callout has no call left that waits or goes on, and how its calls ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from scfm.models.call_lifecycle import FINAL, UNDER_WAY
from scfm.models.stored_documents import CALLS, PhoneCallDocument
from scfm.runtime.log_format import fields
from scfm.storage.query import Document, Query
from scfm.storage.store import Store
from scfm.workers.runner import Job

log = logging.getLogger("scfm.work")

END_LOOK_SECONDS = 5.0
# A look must not take more than this part of the database's time, however many calls there are to look through.
LOOK_SHARE = 0.01
# A callout whose calls are queued one by one ends after each of them: it is logged once in this time.
MIN_SECONDS_BETWEEN_LINES = 60.0


@dataclass
class _Followed:
    account_id: int
    look_at: float


class CalloutEnds(Job):
    """Follows the callouts of which this process has sent calls."""

    name = "tell how callouts ended"

    def __init__(self, store: Store) -> None:
        self._store = store
        self._followed: dict[int, _Followed] = {}
        self._logged_at: dict[int, float] = {}

    def sent(self, call: PhoneCallDocument) -> None:
        """A call has been sent: its callout is followed from now on."""
        callout_id = call.get("callout_id")
        if callout_id is not None and callout_id not in self._followed:
            self._followed[callout_id] = _Followed(call["account_id"], time.monotonic() + END_LOOK_SECONDS)

    async def claim(self, limit: int) -> Sequence[Document]:
        """Look at the callouts whose time has come. There is nothing to process."""
        self._logged_at = {
            callout_id: at
            for callout_id, at in self._logged_at.items()
            if time.monotonic() - at < MIN_SECONDS_BETWEEN_LINES
        }
        for callout_id, followed in list(self._followed.items()):
            if time.monotonic() >= followed.look_at and callout_id not in self._logged_at:
                await self._look(callout_id, followed)
        return ()

    async def _look(self, callout_id: int, followed: _Followed) -> None:
        view = self._store.for_account(followed.account_id)
        began = time.monotonic()
        if await view.exists(CALLS, {"status": {"$in": list(UNDER_WAY)}, "callout_id": callout_id}):
            took = time.monotonic() - began
            followed.look_at = time.monotonic() + max(END_LOOK_SECONDS, took / LOOK_SHARE)
            return
        del self._followed[callout_id]
        self._logged_at[callout_id] = time.monotonic()
        ended = {
            status: await view.list_of(Query(CALLS, ({"callout_id": callout_id, "status": status},))).count()
            for status in FINAL
        }
        words = ", ".join(f"{count} {status}" for status, count in ended.items() if count)
        log.info(
            "callout %d of account %d: no call waits or goes on any more (%s)",
            *(callout_id, view.account_id, words),
            extra=fields(callout_id=callout_id, account_id=view.account_id),
        )
