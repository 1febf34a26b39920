"""Whom a plan reaches, and how many people that are."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from scfm.clock import now
from scfm.models import renumbering
from scfm.models.batch_operations.populate import populate
from scfm.models.batch_operations.selection import matching
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.contact import CONTACTS
from scfm.models.excluded_contacts import excluded_contact_ids
from scfm.models.opt_out import OPT_OUTS
from scfm.models.plan import Plan
from scfm.models.planned_participation import new_outcome
from scfm.models.stored_documents import CONTACT_COLLECTION, PARTICIPATIONS, CalloutDocument
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView

# So many are looked for together.
BATCH = 1000
# Whose number is another's in the callout.
ASIDE = {renumbering.MSISDN_KIND: renumbering.SET_ASIDE}
NOT_ASIDE = {renumbering.MSISDN_KIND: {"$ne": renumbering.SET_ASIDE}}


@dataclass(frozen=True)
class Headcount:
    """``people``: to be called. ``opted_out`` and ``duplicate_number``: who are not, beside these.

    Of those who have opted out an emergency calls all: then they are among ``people``, too.
    """

    people: int
    opted_out: int
    duplicate_number: int


async def audience_of(view: TenantView, plan: Plan) -> Query:
    """The contacts whom a plan is for. Raises Invalid for filters that are not understood."""
    follow_up = plan.audience.get("follow_up")
    if follow_up is None:
        return await matching(view, CONTACTS, plan.audience)
    filters = {"callout_participation_filter_params": follow_up["q"]}
    participations = (await matching(view, CALLOUT_PARTICIPATIONS, filters)).narrowed(
        {"callout_id": follow_up["callout_id"]}
    )
    return Query("contacts", through=participations, key="contact_id")


async def take_audience(view: TenantView, callout: CalloutDocument, plan: Plan, cursor: int, size: int) -> int | None:
    """Make participations of the next SIZE contacts with ids beyond CURSOR; the id of the last, None at the end."""
    batch: list[Document]
    async with aclosing(view.list_of(await audience_of(view, plan)).batches(cursor, size, ("msisdn",))) as batches:
        batch = await anext(batches, [])
    if batch:
        await populate(view, callout["_id"], batch, asyncio.Lock(), new_outcome(callout, now()))
    return batch[-1]["_id"] if len(batch) == size else None


async def count_audience(view: TenantView, callout_id: int, plan: Plan) -> Headcount:
    """How many people the callout calls with PLAN: its participations, and those whom it does not have yet."""
    contacts = await audience_of(view, plan)
    left_out = await excluded_contact_ids(view, callout_id)
    duplicates = await view.list_of(_among(contacts, left_out)).count() if left_out else 0
    set_aside = await view.list_of(_participations(callout_id, **ASIDE)).count()
    opted_out = await _count_opted_out(view, callout_id, contacts, set(left_out))
    everybody = await _count_everybody(view, callout_id, contacts)
    called = everybody - duplicates - set_aside
    return Headcount(called if plan.emergency else called - opted_out, opted_out, duplicates + set_aside)


async def _count_everybody(view: TenantView, callout_id: int, contacts: Query) -> int:
    """How many people are among CONTACTS, in the callout, or both."""
    matching_contacts, in_callout = view.list_of(contacts), view.list_of(_participations(callout_id))
    count = await matching_contacts.count()
    if contacts == CONTACTS.query():
        return count
    async with aclosing(in_callout.batches(0, BATCH, ("contact_id",))) as batches:
        async for batch in batches:
            ids = [participation["contact_id"] for participation in batch]
            count += len(batch) - await view.list_of(_among(contacts, ids)).count()
    return count


async def _count_opted_out(view: TenantView, callout_id: int, contacts: Query, left_out: Container[int]) -> int:
    """How many have opted out: of those in the callout, and of CONTACTS, but for those that cannot be in it."""
    count = 0
    async with aclosing(view.list_of(OPT_OUTS.query()).batches(0, BATCH, ("msisdn",))) as batches:
        async for batch in batches:
            msisdns = {"$in": [one["msisdn"] for one in batch]}
            joined = _participations(callout_id, **NOT_ASIDE)
            count += await view.list_of(joined.narrowed({"msisdn": msisdns})).count()
            found = await view.find(CONTACT_COLLECTION, {"msisdn": msisdns}, fields=["_id"], sort=())
            ids = await _ids(view, _among(contacts, [contact["_id"] for contact in found]))
            own = {"callout_id": callout_id, "contact_id": {"$in": ids}}
            known = await view.find(PARTICIPATIONS, own, fields=["contact_id"], sort=())
            present = {participation["contact_id"] for participation in known}
            count += sum(contact_id not in present and contact_id not in left_out for contact_id in ids)
    return count


def _among(contacts: Query, ids: Sequence[int]) -> Query:
    """Those of CONTACTS, an audience, that have one of these ids: found by an index, whatever the audience."""
    if contacts.through is None:
        return contacts.narrowed({"_id": {"$in": list(ids)}})
    return replace(contacts, through=contacts.through.narrowed({contacts.key: {"$in": list(ids)}}))


async def _ids(view: TenantView, query: Query) -> list[int]:
    async with aclosing(view.list_of(query).batches(0, BATCH, ("_id",))) as batches:
        return [document["_id"] async for batch in batches for document in batch]


def _participations(callout_id: int, **conditions: Any) -> Query:
    """Those of a callout that fit."""
    return Query(PARTICIPATIONS, ({"callout_id": callout_id, **conditions},))
