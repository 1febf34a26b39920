"""A contact whose number is corrected is called under its new number, whatever was made with the old one.

The change marks the contact (``_renumbered``) in the same write. ``carry`` brings the new number to the contact's
participations and to its calls that have not left; whoever makes such documents looks for the mark after he has
stored them (``follow``), and whoever is about to send a call looks for it before (``outdated``). The mark stays until
nobody can hold the old number any more. See docs/decisions/0008.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from scfm.clock import now
from scfm.errors import Invalid, Unavailable
from scfm.models.call_lifecycle import (
    CallStatus,
    Transition,
    cancel_renumbered,
    cancel_renumbered_many,
    renumber,
    renumber_many,
    unclaimed,
)
from scfm.storage.errors import DuplicateKey
from scfm.storage.index import Index
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView

CONTACTS, PARTICIPATIONS, CALLS, CALLOUTS = "contacts", "callout_participations", "phone_calls", "callouts"
# On a contact: {"from": [{"msisdn": former number, "at": when}], "token", "due": when to look again, "open"}.
# ``open``: what had a former number when it was changed may have it still.
MARK = "_renumbered"
MARKED = Index(f"{MARK}.due", name="renumbered", only={f"{MARK}.due": {"$exists": True}})
# On a callout in which calls may still be taken by their contacts' former numbers: the token of the last change.
CALLOUT_MARK = "_numbers"
CALLOUT_MARKED = Index(CALLOUT_MARK, name="numbers", only={CALLOUT_MARK: {"$exists": True}})
# On a callout whose participations carry NUMBER_KIND where they should: all but those of older versions.
CALLOUT_KNOWN = "_strays_known"
# On a participation or a phone call whose number does not follow its contact's: the client gave it on purpose, or
# the contact's is another participation's in the callout.
NUMBER_KIND, OWN, SET_ASIDE = "_number", "own", "taken"
STRAYS = Index("callout_id", NUMBER_KIND, name="strays", only={NUMBER_KIND: {"$gt": ""}})
# Where a client sees of a participation that its contact's number is taken.
NUMBER_TAKEN = "number_taken"
# Soon after a change whoever made it is done, or dead.
FIRST_LOOK = timedelta(seconds=5)
# No longer does a process hold what it read before a change: LEASE_SECONDS is at most an hour.
KEPT = timedelta(hours=1)
LOOK_AGAIN = timedelta(minutes=1)
MAX_FORMER = 100
TOO_OFTEN = "has been changed too often within the last hour; try again later"
MAX_MARKED = 1000
# How often a change is carried on against others of the same contact.
MAX_ROUNDS = 20


def change_of(contact: Document, msisdn: str) -> Document:
    """What else changes when the CONTACT's number becomes MSISDN; raises Invalid if it has done so too often."""
    moment = now()
    former = [one for one in contact.get(MARK, {}).get("from", ()) if moment - one["at"] < KEPT]
    former = [one for one in former if one["msisdn"] not in (msisdn, contact["msisdn"])]
    former.append({"msisdn": contact["msisdn"], "at": moment})
    if len(former) > MAX_FORMER:
        raise Invalid({"msisdn": [TOO_OFTEN]})
    return {MARK: {"from": former, "token": secrets.token_hex(8), "due": moment + FIRST_LOOK, "open": True}}


def is_open(contact: Document) -> bool:
    """Whether a change of the contact's number has not been carried on yet."""
    return bool(contact.get(MARK, {}).get("open"))


def former_numbers(contact: Document) -> list[str]:
    """The numbers that were the contact's a short while ago."""
    return [one["msisdn"] for one in contact.get(MARK, {}).get("from", ()) if one["msisdn"] != contact["msisdn"]]


async def number_kind(view: TenantView, contact_id: int, msisdn: str) -> str | None:
    """``OWN`` for a number that is not the contact's, else None."""
    contact = await view.first_by(CONTACTS, "_id", contact_id)
    return OWN if contact is not None and contact["msisdn"] != msisdn else None


async def carry(view: TenantView, number: int) -> None:
    """Bring the number of contact NUMBER to all that follows it; raises Unavailable."""
    for _ in range(MAX_ROUNDS):
        contact = await view.find_one(CONTACTS, {"_id": number})
        if contact is None or MARK not in contact:
            return
        await _carry(view, contact, frozenset())
        # Another change meanwhile may have been undone by this one, so it is carried on once more.
        same = {"_id": number, "msisdn": contact["msisdn"], f"{MARK}.token": contact[MARK]["token"]}
        if await view.update_one(
            CONTACTS, same, {"$set": {f"{MARK}.open": False, f"{MARK}.due": _next_look(contact)}}
        ):
            return
    raise Unavailable(f"the number of contact {number} is changed by too many at a time")


def ends_at(contact: Document) -> datetime:
    """From when on the contact's mark need not be kept."""
    moments: list[datetime] = [one["at"] for one in contact[MARK]["from"]]
    return max(moments) + KEPT


def _next_look(contact: Document) -> datetime:
    """When to look for what a process that has died since may have left: less and less often until the end."""
    moment, end = now(), ends_at(contact)
    age = moment - (end - KEPT)
    return max(moment, min(end, moment + max(LOOK_AGAIN, 4 * age)))


async def _carry(view: TenantView, contact: Document, seen: frozenset[int]) -> None:
    former = former_numbers(contact)
    named = {"contact_id": contact["_id"]}
    follows = {"msisdn": {"$in": former}, NUMBER_KIND: None}
    wanted = {**named, "$or": [follows, {NUMBER_KIND: SET_ASIDE}]}
    for participation in await view.find(PARTICIPATIONS, wanted):
        await _renumber(view, contact, participation, seen | {contact["_id"]})
    await _carry_calls(view, contact, {**named, **follows})
    # Calls that somebody has taken are looked at by him before they leave: see outdated.
    among = await view.find(PARTICIPATIONS, named, fields=["callout_id"], sort=())
    callouts = sorted({one["callout_id"] for one in among})
    if callouts:
        token = {CALLOUT_MARK: contact[MARK]["token"]}
        await view.update_many(CALLOUTS, {"_id": {"$in": callouts}}, {"$set": token})


async def _renumber(view: TenantView, contact: Document, participation: Document, seen: frozenset[int]) -> None:
    """Give a participation its contact's number; where that is taken in the callout, set the participation aside."""
    new, same = contact["msisdn"], {"_id": participation["_id"], "msisdn": participation["msisdn"]}
    cleared = {NUMBER_KIND: "", f"metadata.{NUMBER_TAKEN}": ""} if participation.get(NUMBER_KIND) else {}
    update: Document = {"$set": {"msisdn": new, "updated_at": now()}, "$inc": {"_version": 1}}
    for _ in range(MAX_ROUNDS):
        try:
            await view.update_one(PARTICIPATIONS, same, {**update, "$unset": cleared} if cleared else update)
            return
        except DuplicateKey:
            there = {"callout_id": participation["callout_id"], "msisdn": new}
            other = await view.find_one(PARTICIPATIONS, there)
        if other is not None and not await _makes_room(view, other, seen):
            break
    else:
        raise Unavailable(f"the number of contact {contact['_id']} is given and taken too often")
    if participation["metadata"].get(NUMBER_TAKEN) != new or not participation.get(NUMBER_KIND):
        aside = {NUMBER_KIND: SET_ASIDE, f"metadata.{NUMBER_TAKEN}": new, "updated_at": now()}
        await view.update_one(PARTICIPATIONS, same, {"$set": aside, "$inc": {"_version": 1}})


async def _makes_room(view: TenantView, participation: Document, seen: frozenset[int]) -> bool:
    """Whether a participation gave its number up just now, as its own contact's had been changed before."""
    if participation.get(NUMBER_KIND) or participation["contact_id"] in seen:
        return False
    contact = await view.find_one(CONTACTS, {"_id": participation["contact_id"]})
    if contact is None or participation["msisdn"] not in former_numbers(contact):
        return False
    await _carry(view, contact, seen)
    return True


async def _carry_calls(view: TenantView, contact: Document, follows: Document) -> None:
    """Change the number of the calls that nobody has taken; those of participations set aside are canceled."""
    calls = await view.find(CALLS, unclaimed(follows), fields=["callout_participation_id"])
    if not calls:
        return
    parts = {"_id": {"$in": sorted({one["callout_participation_id"] or 0 for one in calls})}, NUMBER_KIND: SET_ASIDE}
    aside = {one["_id"] for one in await view.find(PARTICIPATIONS, parts, fields=["_id"], sort=())}
    for transition, ids in (
        (renumber_many, [one["_id"] for one in calls if one["callout_participation_id"] not in aside]),
        (cancel_renumbered_many, [one["_id"] for one in calls if one["callout_participation_id"] in aside]),
    ):
        if ids:
            await view.update_many(CALLS, *transition(follows, ids, contact["msisdn"]))


async def follow(view: TenantView, contact_ids: Collection[int]) -> bool:
    """Carry on what has been changed of these contacts while documents were made for them; whether anything was.

    Costs one look, as changes are few. The documents must have been stored before, and made from what was read less
    than ``KEPT`` ago.
    """
    marked = {f"{MARK}.due": {"$exists": True}}
    found = await view.all_tenants.find(CONTACTS, marked, fields=["_id"], sort=())
    changed = sorted({one["_id"] for one in found}.intersection(contact_ids))
    for number in changed:
        await carry(view, number)
    return bool(changed)


async def followed(view: TenantView, collection: str, stored: Document) -> Document:
    """A document that has just been stored for a contact, with the number that is the contact's by now."""
    contact = await view.first_by(CONTACTS, "_id", stored["contact_id"])
    if contact is None or MARK not in contact:
        return stored
    await carry(view, contact["_id"])
    return await view.get(collection, stored["_id"])


async def outdated(view: TenantView, call: Document) -> Transition | None:
    """What becomes of a claimed call that must not leave, as its contact's number has changed; else None.

    It gets the new number, or is canceled where that number is taken.
    """
    if call.get(NUMBER_KIND) or call.get("contact_id") is None:
        return None
    contact = await view.first_by(CONTACTS, "_id", call["contact_id"])
    if contact is None or call["msisdn"] not in former_numbers(contact):
        return None
    part = await view.first_by(PARTICIPATIONS, "_id", call["callout_participation_id"])
    aside = part is not None and part.get(NUMBER_KIND) == SET_ASIDE
    return (cancel_renumbered if aside else renumber)(call, contact["msisdn"])


async def finish(view: TenantView, contact: Document) -> None:
    """Take the mark of a change away that has been carried on long ago, unless a call is still held under it."""
    mark = contact[MARK]
    held = {
        "contact_id": contact["_id"],
        "status": CallStatus.QUEUED,
        "msisdn": {"$in": former_numbers(contact)},
        NUMBER_KIND: None,
    }
    same = {"_id": contact["_id"], f"{MARK}.token": mark["token"]}
    if await view.exists(CALLS, held):
        await view.update_one(CONTACTS, same, {"$set": {f"{MARK}.due": now() + LOOK_AGAIN}})
        return
    if await view.update_one(CONTACTS, same, {"$unset": {MARK: ""}}):
        await _unmark_callouts(view)


async def _unmark_callouts(view: TenantView) -> None:
    """Once no contact of the account is marked, its callouts need not be."""
    # In this order: a contact that is marked meanwhile marks its callouts anew, with another token.
    marked = await view.find(CALLOUTS, {CALLOUT_MARK: {"$exists": True}}, fields=[CALLOUT_MARK], sort=())
    if marked and not await view.exists(CONTACTS, {f"{MARK}.due": {"$exists": True}}):
        unset: Document = {"$unset": {CALLOUT_MARK: ""}}
        await view.bulk_update(
            CALLOUTS, [({"_id": one["_id"], CALLOUT_MARK: one[CALLOUT_MARK]}, unset) for one in marked]
        )


async def left_out(view: TenantView, callout_id: int | None) -> Sequence[int]:
    """The contacts that cannot be in the callout, as another's participation has their number: their ids.

    Only a participation that does not have its own contact's number can be in another contact's way.
    """
    if callout_id is None:
        return []
    await _mark_older(view, callout_id)
    among: Document = {"callout_id": callout_id}
    ways = await view.find(
        PARTICIPATIONS, {**among, NUMBER_KIND: {"$gt": ""}}, fields=["contact_id", "msisdn"], sort=()
    )
    holders = {one["msisdn"]: one["contact_id"] for one in ways}
    if not holders:
        return []
    same_number = {"msisdn": {"$in": list(holders)}}
    found = await view.find(CONTACTS, same_number, fields=["msisdn"], sort=())
    others = [one["_id"] for one in found if holders[one["msisdn"]] != one["_id"]]
    own = {**among, "contact_id": {"$in": others}}
    has = {one["contact_id"] for one in await view.find(PARTICIPATIONS, own, fields=["contact_id"], sort=())}
    return [number for number in others if number not in has]


async def _mark_older(view: TenantView, callout_id: int) -> None:
    """Mark the participations of a callout of an older version that do not have their contact's number, once."""
    callout = await view.first_by(CALLOUTS, "_id", callout_id)
    if callout is None or callout.get(CALLOUT_KNOWN):
        return
    stray = {"$expr": {"$ne": ["$msisdn", {"$first": "$_contact.msisdn"}]}, f"_contact.{MARK}": None}
    query = Query(
        PARTICIPATIONS,
        ({"callout_id": callout_id, NUMBER_KIND: None},),
        stages=(
            {"$lookup": {"from": CONTACTS, "localField": "contact_id", "foreignField": "_id", "as": "_contact"}},
            {"$match": stray},
        ),
    )
    async for batch in view.batches(query, 0, MAX_MARKED, ["msisdn"]):
        # One that has got its contact's number meanwhile is none.
        same = [{"_id": one["_id"], "msisdn": one["msisdn"], NUMBER_KIND: None} for one in batch]
        await view.bulk_update(PARTICIPATIONS, [(one, {"$set": {NUMBER_KIND: OWN}}) for one in same])
    await view.update_one(CALLOUTS, {"_id": callout_id}, {"$set": {CALLOUT_KNOWN: True}})
