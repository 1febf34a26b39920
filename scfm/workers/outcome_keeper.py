"""Works what has happened to people into the outcomes of their participations: see ``scfm.models.outcome``.

What is marked is found by an index. The outcomes of its participations are derived and stored, and then exactly the
marks that were found are removed. A process that is cut off in between, does it twice, or beside another one, does
no more than once.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from scfm.models.outcome import MARK, ONE_ONLY
from scfm.models.stored_documents import CALLS, PARTICIPATIONS, ParticipationDocument, PhoneCallDocument
from scfm.storage.query import CollectionName, Document, Stored
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from scfm.workers.outcome_writer import store_outcomes
from scfm.workers.runner import Job

# What is marked; a damaged mark, which is no number, marks nothing.
NUMBERED: Document = {MARK: {"$gt": 0}}
# How many marks of calls, and of participations, are read at once.
MAX_MARKS = 1000
# Unless more wait than that, marks are gathered, so that several changes of a person cost one derivation: for so many
# times as long as the last took, but not longer than that.
GATHER, MAX_GATHER_SECONDS = 8, 0.5


@dataclass
class Marked:
    """What is marked of an account: documents with their marks."""

    account_id: int
    calls: list[PhoneCallDocument] = field(default_factory=list)
    participations: list[ParticipationDocument] = field(default_factory=list)


class OutcomeKeeper(Job):
    """Takes all marks that it finds at once; what is not done stays marked, so it needs no lease."""

    name = "keep outcomes"
    slots = 1

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next_at = 0.0
        self._gather = True
        store.written.watch(MARK, self._wake_runner)

    def _wake_runner(self) -> None:
        self.wake()  # which the runner gives to it later

    async def claim(self, limit: int) -> Sequence[list[Marked]]:
        """All that is marked, as one piece of work, by account."""
        if (early := self._next_at - time.monotonic()) > 0:
            await asyncio.sleep(early)
        calls, participations = await asyncio.gather(
            self._first_marked(CALLS, "callout_participation_id"), self._first_marked(PARTICIPATIONS)
        )
        by_account: dict[int, Marked] = {}

        def account_of(document: PhoneCallDocument | ParticipationDocument) -> Marked:
            account_id = document.get("account_id", 0)
            return by_account.setdefault(account_id, Marked(account_id))

        for call in calls:
            account_of(call).calls.append(call)
        for participation in participations:
            account_of(participation).participations.append(participation)
        self._gather = max(len(calls), len(participations)) < MAX_MARKS
        return [list(by_account.values())] if by_account else []

    async def _first_marked(self, collection: CollectionName[Stored], *fields: str) -> list[Stored]:
        """Those that have been marked for longest."""
        return await self._store.all_tenants.find(
            collection, NUMBERED, fields=["account_id", MARK, *fields], sort=[(MARK, 1)], limit=MAX_MARKS
        )

    async def process(self, item: list[Marked]) -> None:
        began = time.monotonic()
        for marked in item:
            await self._settle(self._store.for_account(marked.account_id), marked)
        ended = time.monotonic()
        self._next_at = ended + min(GATHER * (ended - began), MAX_GATHER_SECONDS) if self._gather else ended

    async def _settle(self, view: TenantView, marked: Marked) -> None:
        # A call that names no participation has no outcome, and needs no mark.
        ids = {number for call in marked.calls if (number := _participation_id(call)) is not None}
        ids |= {participation["_id"] for participation in marked.participations}
        settled = {None, *await store_outcomes(view, sorted(ids))}
        calls = [call for call in marked.calls if _participation_id(call) in settled]
        await _remove_marks(view, CALLS, calls)
        # Their marks have gone with their outcomes, but for those whose outcome cannot be told.
        await _remove_marks(view, PARTICIPATIONS, [one for one in marked.participations if one["_id"] in settled])


def _participation_id(call: PhoneCallDocument) -> int | None:
    """The id that a call names, whatever else a damaged one may hold."""
    participation_id = call.get("callout_participation_id")
    return participation_id if isinstance(participation_id, int) else None


async def _remove_marks(
    view: TenantView, collection: str, marked: Iterable[PhoneCallDocument | ParticipationDocument]
) -> None:
    """Remove these marks, and none that a document has got since."""
    by_mark: dict[int, list[int]] = defaultdict(list)
    for document in marked:
        by_mark[document[MARK]].append(document["_id"])
    # Those that only one document can have go together: none of the others can have got one of them since.
    ones = [mark for mark in by_mark if mark & ONE_ONLY]
    conditions: list[Document] = [
        {"_id": {"$in": ids}, MARK: mark} for mark, ids in by_mark.items() if not mark & ONE_ONLY
    ]
    if ones:
        conditions.append(
            {"_id": {"$in": [number for mark in ones for number in by_mark[mark]]}, MARK: {"$in": ones}}
        )
    await view.bulk_update(collection, [(condition, {"$unset": {MARK: ""}}) for condition in conditions], many=True)
