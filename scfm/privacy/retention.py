"""Removes what is older than is kept, kind by kind, a thousand documents at a time, and leaves what is counted.

Every step may be cut off and done again: what is done does not fit any more. Two processes at once do no more than
one.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from functools import partial
from typing import Any, Final

from scfm.errors import NotFound
from scfm.models.call_cancellations import cancel_erased_many
from scfm.models.call_work import ENDED_AT
from scfm.models.callout_status import COMPLETED
from scfm.models.doomed_recording import doom_recordings
from scfm.models.erased import ERASED
from scfm.models.erasure_record import begin_erasure
from scfm.models.outcome import OPEN_OUTCOMES
from scfm.models.stored_documents import (
    CALLOUT_COLLECTION,
    CALLS,
    CONTACT_COLLECTION,
    EVENT_COLLECTION,
    PARTICIPATIONS,
)
from scfm.privacy.scrub import CALL_IS_OVER, recording_urls, scrub_calls, scrub_participations
from scfm.runtime.rest import rest
from scfm.storage.query import Document, Query
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView

# So many ids are looked at in one query.
MAX_LOOKED_AT: Final = 1000
# After each it rests, so long at most: it has time, and calls have not.
MAX_REST_PAUSE = 0.5
# On a contact: when it was called last, of calls and participations that do not tell any more whom they called.
CALLED_AT: Final = "_called_at"
# Conditions on participations and on callouts.
NOT_OPEN: Final[Document] = {"outcome": {"$exists": True, "$nin": list(OPEN_OUTCOMES)}}
CALLOUT_IS_OVER: Final[Document] = {"status": {"$in": ["stopped", COMPLETED]}}

Documents = Sequence[Document]
PurgeStep = Callable[[TenantView, Documents, bool], Awaitable[int]]
"""Purges some documents of one account, or, in a dry run, only counts them."""


class Retention:
    """Purges kinds of what is stored. Raises Unavailable."""

    def __init__(self, store: Store, max_rest: float = MAX_REST_PAUSE) -> None:
        """MAX_REST: the most seconds of rest between two queries."""
        self._store = store
        self._max_rest = max_rest

    async def purge(self, kind: str, before: datetime, *, dry_run: bool = False) -> int:
        """Purge what is of KIND, one of PURGED_KINDS, and from BEFORE that moment; how many documents that were."""
        count = 0
        for collection, condition, fields, step in _KINDS[kind](before):
            async with aclosing(self._found(collection, condition, fields)) as batches:
                async for account_id, documents in batches:
                    count += await step(self._store.for_account(account_id), documents, dry_run)
        return count

    async def _found(
        self, collection: str, condition: Document, fields: Sequence[str]
    ) -> AsyncGenerator[tuple[int, Documents], None]:
        """The documents that fit, by id, some of one account at a time."""
        view, last = self._store.all_tenants, 0
        while True:
            began = time.monotonic()
            first = await view.find(collection, {"_id": {"$gt": last}}, fields=["_id"], limit=1)
            if not first:
                return
            last = first[0]["_id"] + MAX_LOOKED_AT - 1
            among = {"_id": {"$gte": first[0]["_id"], "$lte": last}, **condition}
            by_account: dict[int, list[Document]] = defaultdict(list)
            for document in await view.find(collection, among, fields=["account_id", *fields]):
                by_account[document["account_id"]].append(document)
            for account_id, documents in by_account.items():
                yield account_id, documents
            await rest(began, self._max_rest)


async def _purge_calls(view: TenantView, calls: Documents, dry_run: bool) -> int:
    """Calls lose the person, and their events are removed."""
    if dry_run:
        return len(calls)
    await _note_called(view, calls)
    return await scrub_calls(view, [call["_id"] for call in calls])


async def _note_called(view: TenantView, calls: Documents) -> None:
    """Keep of the contacts of these calls when they were called, which the calls will not tell."""
    updates: list[tuple[Document, Document]] = [
        ({"_id": call["contact_id"]}, {"$max": {CALLED_AT: call["created_at"]}})
        for call in calls
        if call.get("contact_id") is not None
    ]
    await view.bulk_update(CONTACT_COLLECTION, updates)


async def _purge_answers(view: TenantView, participations: Documents, dry_run: bool) -> int:
    """Participations lose their answers, and providers delete what was recorded for them."""
    if dry_run:
        return len(participations)
    await doom_recordings(view, recording_urls([one["answers"] for one in participations]))
    ids = {"_id": {"$in": [one["_id"] for one in participations]}}
    cleared: Document = {"$set": {"answers": {}}, "$inc": {"_version": 1}}
    return await view.update_many(PARTICIPATIONS, {**ids, "answers": {"$nin": [None, {}]}}, cleared)


async def _purge_recorded_answers(view: TenantView, participations: Documents, dry_run: bool) -> int:
    """Answers that are recordings keep their length only, and providers delete the recordings."""
    updates: list[tuple[Document, Document]] = []
    for one in participations:
        answers = {name: _without_recording(answer) for name, answer in one["answers"].items()}
        if answers != one["answers"]:
            unchanged = {"_id": one["_id"], "_version": one.get("_version")}
            updates.append((unchanged, {"$set": {"answers": answers}, "$inc": {"_version": 1}}))
    if not dry_run:
        await doom_recordings(view, recording_urls([one["answers"] for one in participations]))
        await view.bulk_update(PARTICIPATIONS, updates)
    return len(updates)


def _without_recording(answer: Any) -> Any:
    return {**answer, "recording_url": None} if isinstance(answer, dict) and answer.get("recording_url") else answer


async def _purge_recordings(view: TenantView, events: Documents, dry_run: bool) -> int:
    """Events do not lead to recordings any more, and providers delete them."""
    if dry_run:
        return len(events)
    await doom_recordings(view, recording_urls([event["details"] for event in events]))
    gone = dict.fromkeys(("details.RecordingUrl", "details.RecordingSid"), "")
    return await view.update_many(
        EVENT_COLLECTION, {"_id": {"$in": [event["_id"] for event in events]}}, {"$unset": gone}
    )


async def _purge_callouts(view: TenantView, callouts: Documents, dry_run: bool) -> int:
    """The people of callouts that are over are only counted any more; how many people."""
    count = 0
    for callout in callouts:
        of_callout = {"callout_id": callout["_id"]}
        if not dry_run:
            await view.update_many(CALLS, *cancel_erased_many(of_callout))
            if await view.exists(CALLS, {**of_callout, "$nor": [CALL_IS_OVER]}):
                continue  # one of them goes on
        count += await _purge_people(view, of_callout, dry_run)
        if not dry_run:
            over = {"_id": callout["_id"], "status": callout["status"]}
            await view.update_one(CALLOUT_COLLECTION, over, {"$set": {ERASED: True}})
    return count


async def _purge_people(view: TenantView, of_callout: Document, dry_run: bool) -> int:
    count, people = 0, Query(PARTICIPATIONS, ({**of_callout, ERASED: None},))
    async with aclosing(view.list_of(people).pieces(["answers"])) as pieces:
        async for participations in pieces:
            if dry_run:
                count += len(participations)
                continue
            ids = [one["_id"] for one in participations]
            of_people = {"callout_participation_id": {"$in": ids}, ERASED: None}
            calls: Any = await view.find(CALLS, of_people, fields=["contact_id", "created_at"], sort=())
            await _note_called(view, calls)
            await doom_recordings(view, recording_urls([one.get("answers") for one in participations]))
            await scrub_calls(view, [call["_id"] for call in calls])
            count += await scrub_participations(view, ids)
    return count


async def _purge_contacts(before: datetime, view: TenantView, contacts: Documents, dry_run: bool) -> int:
    """Contacts who were not called, nor are to be, are erased: see ``Eraser``."""
    among = {"contact_id": {"$in": [contact["_id"] for contact in contacts]}}
    called = await view.find(
        CALLS,
        {**among, "$or": [{"created_at": {"$gte": before}}, {"$nor": [CALL_IS_OVER]}]},
        fields=["contact_id"],
        sort=(),
    )
    joined = await view.find(
        PARTICIPATIONS,
        {**among, "$or": [{"created_at": {"$gte": before}}, {"outcome": {"$in": [None, *OPEN_OUTCOMES]}}]},
        fields=["contact_id", "created_at", "callout_id"],
        sort=(),
    )
    open_in = {one["callout_id"] for one in joined if one["created_at"] < before}
    finished = await view.find(
        CALLOUT_COLLECTION, {"_id": {"$in": sorted(open_in)}, **CALLOUT_IS_OVER}, fields=["_id"], sort=()
    )
    over = {callout["_id"] for callout in finished}
    wanted = {one["contact_id"] for one in joined if one["created_at"] >= before or one["callout_id"] not in over}
    wanted.update(call["contact_id"] for call in called if call["contact_id"] is not None)
    unwanted = [contact["_id"] for contact in contacts if contact["_id"] not in wanted]
    if not dry_run:
        for contact_id in unwanted:
            with suppress(NotFound):  # somebody has just deleted it
                await begin_erasure(view, contact_id)
    return len(unwanted)


PurgeSearch = tuple[str, Document, Sequence[str], PurgeStep]


def _calls(before: datetime) -> list[PurgeSearch]:
    ended = {"$or": [{ENDED_AT: None}, {ENDED_AT: {"$lt": before}}]}
    condition = {ERASED: None, "updated_at": {"$lt": before}, **CALL_IS_OVER, **ended}
    return [(CALLS, condition, ("contact_id", "created_at"), _purge_calls)]


def _recordings(before: datetime) -> list[PurgeSearch]:
    events = {"created_at": {"$lt": before}, "details.RecordingUrl": {"$gt": ""}}
    answered = {"last_attempt_at": {"$lt": before}, "answers": {"$nin": [None, {}]}}
    return [
        (EVENT_COLLECTION, events, ("details",), _purge_recordings),
        (PARTICIPATIONS, answered, ("answers", "_version"), _purge_recorded_answers),
    ]


def _answers(before: datetime) -> list[PurgeSearch]:
    condition = {"last_attempt_at": {"$lt": before}, "answers": {"$nin": [None, {}]}, **NOT_OPEN}
    return [(PARTICIPATIONS, condition, ("answers",), _purge_answers)]


def _callouts(before: datetime) -> list[PurgeSearch]:
    condition = {**CALLOUT_IS_OVER, "updated_at": {"$lt": before}, ERASED: None}
    return [(CALLOUT_COLLECTION, condition, ("status",), _purge_callouts)]


def _contacts(before: datetime) -> list[PurgeSearch]:
    unchanged = {name: {"$lt": before} for name in ("created_at", "updated_at")}
    condition = {**unchanged, CALLED_AT: {"$not": {"$gte": before}}}
    return [(CONTACT_COLLECTION, condition, ("_id",), partial(_purge_contacts, before))]


_KINDS: Final[dict[str, Callable[[datetime], list[PurgeSearch]]]] = {
    "recordings": _recordings,
    "answers": _answers,
    "calls": _calls,
    "callouts": _callouts,
    "contacts": _contacts,
}
# In the order in which they are purged.
PURGED_KINDS: Final = tuple(_KINDS)
