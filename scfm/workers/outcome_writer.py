"""Derives the outcomes of participations from what is stored now, and stores them."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from scfm.clock import later, now
from scfm.models.callout_run import look_soon
from scfm.models.outcome import ATTEMPT_NUMBER, MARK, OPEN_OUTCOMES, OUTCOME_VERSION, new_mark
from scfm.models.participation_outcome import (
    CALL_FIELDS,
    CALLOUT_FIELDS,
    PARTICIPATION_FIELDS,
    DerivedOutcome,
    derive,
)
from scfm.models.stored_documents import (
    CALLOUT_COLLECTION,
    CALLS,
    PARTICIPATIONS,
    CalloutDocument,
    ParticipationDocument,
    PhoneCallDocument,
)
from scfm.models.webhook_endpoint import wants
from scfm.models.webhook_event import PARTICIPATION_SETTLED, telling
from scfm.runtime.time_slice import TimeSlice
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

log = logging.getLogger("scfm.work")

# So many are read, derived and stored in one go.
MAX_TOGETHER = 200
# A plan is looked at so soon after an outcome of its callout has changed.
PLAN_LOOK_SECONDS = 0.5
# What a participation has of an outcome as long as it is not stored: an older version has stored none.
WITHOUT: Mapping[str, Any] = {
    "outcome": None,
    "outcome_reason": None,
    "attempts": None,
    "next_attempt_at": None,
    "last_attempt_at": None,
    "_due": None,
    "_attempt": None,
    "_first_attempt_at": None,
    "_duration": None,
    "_calls": [],
}
STORED_FIELDS = (*PARTICIPATION_FIELDS, *WITHOUT, MARK, OUTCOME_VERSION)


async def store_outcomes(view: TenantView, participation_ids: Sequence[int]) -> set[int]:
    """Derive the outcomes of an account's participations from what is stored, and store them. Raises Unavailable.

    Gives the ids of those that need not be derived again: all but those whose outcome somebody else has stored
    meanwhile, perhaps from what is older. One that is gone, or cannot be understood, which the log tells, is among
    them. The mark of a participation goes with the write.
    """
    settled: set[int] = set()
    for begin in range(0, len(participation_ids), MAX_TOGETHER):
        settled |= await _store_together(view, participation_ids[begin : begin + MAX_TOGETHER])
    return settled


async def _store_together(view: TenantView, participation_ids: Sequence[int]) -> set[int]:
    version = new_mark()
    # First the participations: what is derived is not older than the version that it takes the place of.
    participations, told = await asyncio.gather(
        read_participations(view, {"_id": {"$in": list(participation_ids)}}), wants(view, PARTICIPATION_SETTLED)
    )
    derived = await derive_all(view, participations)
    updates = {
        one["_id"]: _update(one, derived[one["_id"]], version, told=told)
        for one in participations
        if one["_id"] in derived
    }
    others = set(participation_ids) - updates.keys()
    planned = {
        one["callout_id"]
        for one in participations
        if one.get(ATTEMPT_NUMBER) is not None or (one["_id"] in derived and derived[one["_id"]]["_attempt"])
    }
    changed = await view.bulk_update(PARTICIPATIONS, updates.values())
    if planned:  # there may be somebody to call, or nobody any more
        await view.update_many(CALLOUT_COLLECTION, *look_soon(sorted(planned), later(PLAN_LOOK_SECONDS)))
    if changed == len(updates):
        return others | updates.keys()
    left = {"_id": {"$in": list(updates)}, OUTCOME_VERSION: {"$ne": version}}
    return others | (updates.keys() - {one["_id"] for one in await view.find(PARTICIPATIONS, left, fields=["_id"])})


async def read_participations(view: TenantView, condition: Document, limit: int = 0) -> list[ParticipationDocument]:
    """The participations that fit, by id, as far as their outcomes go."""
    return await view.find(PARTICIPATIONS, condition, fields=STORED_FIELDS, limit=limit)


async def derive_all(view: TenantView, participations: Sequence[ParticipationDocument]) -> dict[int, DerivedOutcome]:
    """By the participation's id, its outcome as it is now.

    One whose documents cannot be understood has none, which the log tells; it must not keep others from theirs.
    """
    if not participations:
        return {}
    ids = [participation["_id"] for participation in participations]
    calls: dict[int | None, list[PhoneCallDocument]] = defaultdict(list)
    for call in await view.find(CALLS, {"callout_participation_id": {"$in": ids}}, fields=CALL_FIELDS, sort=()):
        calls[call["callout_participation_id"]].append(call)
    among = {"_id": {"$in": list({participation.get("callout_id") for participation in participations})}}
    found = await view.find(CALLOUT_COLLECTION, among, fields=CALLOUT_FIELDS, sort=())
    callouts: dict[int | None, CalloutDocument] = {callout["_id"]: callout for callout in found}
    time_slice, moment, derived = TimeSlice(), now(), {}
    for participation in participations:
        await time_slice.pause()
        document_id, callout = participation["_id"], callouts.get(participation.get("callout_id"))
        if callout is None:  # it is being deleted
            continue
        try:
            derived[document_id] = derive(participation, callout, calls[document_id], moment)
        except Exception:
            log.exception("the outcome of participation %s cannot be told", document_id)
    return derived


def changes_of(participation: Mapping[str, Any], derived: DerivedOutcome) -> Document:
    """By field, what differs in a participation from what is DERIVED of it."""
    return {name: value for name, value in derived.items() if participation.get(name, WITHOUT[name]) != value}


def _update(
    participation: ParticipationDocument, derived: DerivedOutcome, version: int, *, told: bool
) -> tuple[Document, Document]:
    """The condition that nobody has stored another outcome, and the update that stores it and removes the mark.

    TOLD: that the person is settled, or settled otherwise, is told to webhook endpoints.
    """
    changes = changes_of(participation, derived)
    unset = {name: "" for name, value in changes.items() if value is None and name.startswith("_")}
    changes = {name: value for name, value in changes.items() if name not in unset}
    same = {"_id": participation["_id"], OUTCOME_VERSION: participation.get(OUTCOME_VERSION)}
    if (mark := participation.get(MARK)) is not None:
        same[MARK] = mark
        unset[MARK] = ""
    update: Document = {"$set": {**changes, OUTCOME_VERSION: version}}
    if told and derived["outcome"] not in OPEN_OUTCOMES and changes.keys() & {"outcome", "outcome_reason"}:
        update |= telling(
            PARTICIPATION_SETTLED, now(), {name: value for name, value in derived.items() if name[0] != "_"}
        )
    return same, {**update, "$unset": unset} if unset else update
