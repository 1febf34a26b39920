"""Derives every outcome once more after a start, and has those stored that are not what they should be.

On a sound database that finds nothing but what an older version has left: participations without an outcome.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from scfm.clock import now
from scfm.models.outcome import ATTEMPT_DUE, MARK, MARKED, OUTCOME_VERSION, new_mark
from scfm.models.participation_outcome import DerivedOutcome
from scfm.models.stored_documents import CALLS, PARTICIPATIONS, ParticipationDocument
from scfm.runtime.rest import rest
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from scfm.workers.outcome_writer import STORED_FIELDS, changes_of, derive_all
from scfm.workers.runner import Job

log = logging.getLogger("scfm.work")

REPAIR_BATCH = 200
# Between two batches it rests, so long at most: it has time, and others have not.
MAX_REST_SECONDS = 0.5


class OutcomeRepair(Job):
    """Walks over all participations once, by id. Two processes do each other no harm."""

    name = "repair outcomes"
    slots = 1

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last = 0
        self._ended = False
        # How many had a wrong outcome, and how many none.
        self.wrong, self.missing = 0, 0

    async def claim(self, limit: int) -> Sequence[list[ParticipationDocument]]:
        if self._ended:
            return []
        beyond = {"_id": {"$gt": self._last}}
        batch = await self._store.all_tenants.find(
            PARTICIPATIONS, beyond, fields=["account_id", *STORED_FIELDS], limit=REPAIR_BATCH
        )
        if not batch:
            self._ended = True
            if self.wrong or self.missing:
                log.warning("outcomes: %d were wrong, and %d not there", self.wrong, self.missing)
        return [batch] if batch else []

    async def process(self, item: list[ParticipationDocument]) -> None:
        began = time.monotonic()
        by_account: dict[int, list[ParticipationDocument]] = defaultdict(list)
        for participation in item:
            by_account[participation["account_id"]].append(participation)
        for account_id, participations in by_account.items():
            await self._look(account_id, participations)
        self._last = item[-1]["_id"]
        await rest(began, MAX_REST_SECONDS)

    async def _look(self, account_id: int, participations: list[ParticipationDocument]) -> None:
        view = self._store.for_account(account_id)
        derived = await derive_all(view, participations)
        moment = now()
        other = [
            one
            for one in participations
            if MARK not in one and one["_id"] in derived and differs(one, derived[one["_id"]], moment)
        ]
        if not other:
            return
        ids = [participation["_id"] for participation in other]
        among = {"callout_participation_id": {"$in": ids}, **MARKED}
        marked = await view.find(CALLS, among, fields=["callout_participation_id"], sort=())
        under_way = {call["callout_participation_id"] for call in marked}
        left = [participation for participation in other if participation["_id"] not in under_way]
        self.missing += await _mark(view, [one for one in left if "outcome" not in one])
        self.wrong += await _mark(view, [one for one in left if "outcome" in one and ATTEMPT_DUE not in one])
        # Whom a plan will call: what becomes of them with time, its callout's job tells, and may not have told yet.
        await _mark(view, [one for one in left if "outcome" in one and ATTEMPT_DUE in one])


async def _mark(view: TenantView, participations: list[ParticipationDocument]) -> int:
    """Mark those whose outcome has not been derived anew since they were read; how many."""
    unchanged = [{"_id": one["_id"], OUTCOME_VERSION: one.get(OUTCOME_VERSION), MARK: None} for one in participations]
    mark: Document = {"$set": {MARK: new_mark()}}
    return await view.bulk_update(PARTICIPATIONS, [(condition, mark) for condition in unchanged])


def differs(participation: Mapping[str, Any], derived: DerivedOutcome, moment: datetime) -> bool:
    """Whether a participation has another outcome than is derived of it, apart from what is due at MOMENT."""
    changes = changes_of(participation, derived)
    for name in ("_due", "next_attempt_at"):
        pair = (participation.get(name), changes.get(name, participation.get(name)))
        if all(one is None or one <= moment for one in pair) and (name == "next_attempt_at" or None not in pair):
            changes.pop(name, None)
    return bool(changes)
