"""A contact whose number is corrected is called under its new number, whatever was created with the old one.

The change marks the contact (``_renumbered``) in the same write. ``propagate`` brings the new number to the contact's
participations and to its calls that have not left. Whoever creates such documents looks for the mark after they are
stored (``propagate_to_created``), and whoever is about to send a call looks for it before (``correct_msisdn``). The
mark stays until no process can hold the old number any more. See docs/decisions/0008.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from scfm.clock import now
from scfm.errors import Invalid, Unavailable
from scfm.models.call_cancellations import cancel_renumbered, cancel_renumbered_many
from scfm.models.call_lifecycle import (
    CallStatus,
    Transition,
    renumber,
    renumber_many,
    unclaimed,
)
from scfm.models.outcome import MARK, new_mark
from scfm.storage.errors import DuplicateKey
from scfm.storage.index import Index
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView

PARTICIPATIONS, CALLS = "callout_participations", "phone_calls"
# On a contact: {"from": [{"msisdn": former number, "at": when}], "token", "due": when to look again, "open"}.
# ``open``: what had a former number when it was changed may have it still.
RENUMBERED = "_renumbered"
RENUMBERED_INDEX = Index(f"{RENUMBERED}.due", name="renumbered", only={f"{RENUMBERED}.due": {"$exists": True}})
# On a callout in which calls may still be taken by their contacts' former numbers: the token of the last change.
CALLOUT_MARK = "_numbers"
CALLOUT_MARK_INDEX = Index(CALLOUT_MARK, name="numbers", only={CALLOUT_MARK: {"$exists": True}})
# On a callout whose participations carry MSISDN_KIND where they should: all but those of older versions.
CALLOUT_KNOWN = "_strays_known"
# On a participation or a phone call whose number does not follow its contact's: the client gave it on purpose, or
# the contact's is another participation's in the callout.
MSISDN_KIND, OWN, SET_ASIDE = "_number", "own", "taken"
STRAYS_INDEX = Index("callout_id", MSISDN_KIND, name="strays", only={MSISDN_KIND: {"$gt": ""}})
# Where a client sees of a participation that its contact's number is taken.
NUMBER_TAKEN = "number_taken"
# Soon after a change whoever made it is done, or dead.
FIRST_CHECK = timedelta(seconds=5)
# No longer does a process hold what it read before a change: LEASE_SECONDS is at most an hour.
MARK_RETENTION = timedelta(hours=1)
CHECK_INTERVAL = timedelta(minutes=1)
MAX_FORMER_NUMBERS = 100
TOO_OFTEN = "has been changed too often within the last hour; try again later"
MAX_MARKED = 1000
# How often a change is propagated against others of the same contact.
MAX_ROUNDS = 20


def mark_change(contact: Document, msisdn: str) -> Document:
    """The mark of a contact whose number becomes MSISDN, by its field; raises Invalid for too many changes."""
    moment = now()
    former = [entry for entry in contact.get(RENUMBERED, {}).get("from", ()) if moment - entry["at"] < MARK_RETENTION]
    former = [entry for entry in former if entry["msisdn"] not in (msisdn, contact["msisdn"])]
    former.append({"msisdn": contact["msisdn"], "at": moment})
    if len(former) > MAX_FORMER_NUMBERS:
        raise Invalid({"msisdn": [TOO_OFTEN]})
    return {RENUMBERED: {"from": former, "token": secrets.token_hex(8), "due": moment + FIRST_CHECK, "open": True}}


def is_open(contact: Document) -> bool:
    """Whether a change of the contact's number has not been propagated yet."""
    return bool(contact.get(RENUMBERED, {}).get("open"))


def former_msisdns(contact: Document) -> list[str]:
    """The numbers that were the contact's a short while ago."""
    msisdns = [entry["msisdn"] for entry in contact.get(RENUMBERED, {}).get("from", ())]
    return [msisdn for msisdn in msisdns if msisdn != contact["msisdn"]]


async def msisdn_kind(view: TenantView, contact_id: int, msisdn: str) -> str | None:
    """``OWN`` for a number that is not the contact's, else None."""
    contact = await view.first_by("contacts", "_id", contact_id)
    return OWN if contact is not None and contact["msisdn"] != msisdn else None


async def propagate(view: TenantView, contact_id: int) -> None:
    """Give the contact's number to its participations and calls; raises Unavailable if it changes all the time."""
    for _ in range(MAX_ROUNDS):
        contact = await view.find_one("contacts", {"_id": contact_id})
        if contact is None or RENUMBERED not in contact:
            return
        await _propagate(view, contact, frozenset())
        # Another change meanwhile may have been undone by this one, so it is propagated once more.
        unchanged = {
            "_id": contact_id,
            "msisdn": contact["msisdn"],
            f"{RENUMBERED}.token": contact[RENUMBERED]["token"],
        }
        done = {f"{RENUMBERED}.open": False, f"{RENUMBERED}.due": _next_check(contact)}
        if await view.update_one("contacts", unchanged, {"$set": done}):
            return
    raise Unavailable(f"the number of contact {contact_id} is changed by too many at a time")


def mark_ends_at(contact: Document) -> datetime:
    """From when on the contact's mark need not be kept."""
    moments: list[datetime] = [entry["at"] for entry in contact[RENUMBERED]["from"]]
    return max(moments) + MARK_RETENTION


def _next_check(contact: Document) -> datetime:
    """When to look for what a process that has died since has not propagated: less and less often until the end."""
    moment, end = now(), mark_ends_at(contact)
    age = moment - (end - MARK_RETENTION)
    return max(moment, min(end, moment + max(CHECK_INTERVAL, 4 * age)))


async def _propagate(view: TenantView, contact: Document, seen: frozenset[int]) -> None:
    former = former_msisdns(contact)
    of_contact = {"contact_id": contact["_id"]}
    follows = {"msisdn": {"$in": former}, MSISDN_KIND: None}
    outdated = {**of_contact, "$or": [follows, {MSISDN_KIND: SET_ASIDE}]}
    for participation in await view.find(PARTICIPATIONS, outdated):
        await _renumber(view, contact, participation, seen | {contact["_id"]})
    await _propagate_to_calls(view, contact, {**of_contact, **follows})
    # A call that is claimed is looked at before it leaves: see correct_msisdn.
    participations = await view.find(PARTICIPATIONS, of_contact, fields=["callout_id"], sort=())
    callout_ids = sorted({participation["callout_id"] for participation in participations})
    if callout_ids:
        token = {CALLOUT_MARK: contact[RENUMBERED]["token"]}
        await view.update_many("callouts", {"_id": {"$in": callout_ids}}, {"$set": token})


async def _renumber(view: TenantView, contact: Document, participation: Document, seen: frozenset[int]) -> None:
    """Give a participation its contact's number; where that is taken in the callout, set the participation aside."""
    new, unchanged = contact["msisdn"], {"_id": participation["_id"], "msisdn": participation["msisdn"]}
    cleared = {MSISDN_KIND: "", f"metadata.{NUMBER_TAKEN}": ""} if participation.get(MSISDN_KIND) else {}
    changed = {"msisdn": new, "updated_at": now(), **({MARK: new_mark()} if cleared else {})}
    update: Document = {"$set": changed, "$inc": {"_version": 1}}
    for _ in range(MAX_ROUNDS):
        try:
            await view.update_one(PARTICIPATIONS, unchanged, {**update, "$unset": cleared} if cleared else update)
            return
        except DuplicateKey:
            with_msisdn = {"callout_id": participation["callout_id"], "msisdn": new}
            other = await view.find_one(PARTICIPATIONS, with_msisdn)
        if other is not None and not await _makes_room(view, other, seen):
            break
    else:
        raise Unavailable(f"the number of contact {contact['_id']} is given and taken too often")
    if participation["metadata"].get(NUMBER_TAKEN) != new or not participation.get(MSISDN_KIND):
        aside = {MSISDN_KIND: SET_ASIDE, f"metadata.{NUMBER_TAKEN}": new, "updated_at": now()}
        aside[MARK] = new_mark()
        await view.update_one(PARTICIPATIONS, unchanged, {"$set": aside, "$inc": {"_version": 1}})


async def _makes_room(view: TenantView, participation: Document, seen: frozenset[int]) -> bool:
    """Whether a participation gave its number up just now, as its own contact's had been changed before."""
    if participation.get(MSISDN_KIND) or participation["contact_id"] in seen:
        return False
    contact = await view.find_one("contacts", {"_id": participation["contact_id"]})
    if contact is None or participation["msisdn"] not in former_msisdns(contact):
        return False
    await _propagate(view, contact, seen)
    return True


async def _propagate_to_calls(view: TenantView, contact: Document, follows: Document) -> None:
    """Change the number of the calls that nobody has taken; those of participations set aside are canceled."""
    calls = await view.find(CALLS, unclaimed(follows), fields=["callout_participation_id"])
    if not calls:
        return
    participation_ids = sorted({call["callout_participation_id"] or 0 for call in calls})
    set_aside = {"_id": {"$in": participation_ids}, MSISDN_KIND: SET_ASIDE}
    participations = await view.find(PARTICIPATIONS, set_aside, fields=["_id"], sort=())
    aside = {participation["_id"] for participation in participations}
    for transition, ids in (
        (renumber_many, [call["_id"] for call in calls if call["callout_participation_id"] not in aside]),
        (cancel_renumbered_many, [call["_id"] for call in calls if call["callout_participation_id"] in aside]),
    ):
        if ids:
            await view.update_many(CALLS, *transition(follows, ids, contact["msisdn"]))


async def propagate_to_created(view: TenantView, contact_ids: Collection[int]) -> bool:
    """Propagate the numbers of those of these contacts that are marked, to documents just created; whether any is.

    It costs one query, as changes are few. The documents must have been stored before, and created from what was read
    less than MARK_RETENTION ago.
    """
    marked = {f"{RENUMBERED}.due": {"$exists": True}}
    contacts = await view.find("contacts", marked, fields=["_id"], sort=())
    changed = sorted({contact["_id"] for contact in contacts}.intersection(contact_ids))
    for contact_id in changed:
        await propagate(view, contact_id)
    return bool(changed)


async def with_current_msisdn(view: TenantView, collection: str, stored: Document) -> Document:
    """A document that has just been stored for a contact, with the number that is the contact's by now."""
    contact = await view.first_by("contacts", "_id", stored["contact_id"])
    if contact is None or RENUMBERED not in contact:
        return stored
    await propagate(view, contact["_id"])
    return await view.get(collection, stored["_id"])


async def correct_msisdn(view: TenantView, call: Document) -> Transition | None:
    """What becomes of a claimed call that must not leave, as its contact's number has changed; else None.

    It gets the new number, or is canceled where that number is taken.
    """
    if call.get(MSISDN_KIND) or call.get("contact_id") is None:
        return None
    contact = await view.first_by("contacts", "_id", call["contact_id"])
    if contact is None or call["msisdn"] not in former_msisdns(contact):
        return None
    participation = await view.first_by(PARTICIPATIONS, "_id", call["callout_participation_id"])
    aside = participation is not None and participation.get(MSISDN_KIND) == SET_ASIDE
    return (cancel_renumbered if aside else renumber)(call, contact["msisdn"])


async def clear_mark(view: TenantView, contact: Document) -> None:
    """Remove a mark that need not be kept, unless a call still waits with a former number."""
    mark = contact[RENUMBERED]
    waiting = {
        "contact_id": contact["_id"],
        "status": CallStatus.QUEUED,
        "msisdn": {"$in": former_msisdns(contact)},
        MSISDN_KIND: None,
    }
    unchanged = {"_id": contact["_id"], f"{RENUMBERED}.token": mark["token"]}
    if await view.exists(CALLS, waiting):
        await view.update_one("contacts", unchanged, {"$set": {f"{RENUMBERED}.due": now() + CHECK_INTERVAL}})
        return
    if await view.update_one("contacts", unchanged, {"$unset": {RENUMBERED: ""}}):
        await _unmark_callouts(view)


async def _unmark_callouts(view: TenantView) -> None:
    """Once no contact of the account is marked, its callouts need not be."""
    # In this order: a contact that is marked meanwhile marks its callouts anew, with another token.
    marked = await view.find("callouts", {CALLOUT_MARK: {"$exists": True}}, fields=[CALLOUT_MARK], sort=())
    if marked and not await view.exists("contacts", {f"{RENUMBERED}.due": {"$exists": True}}):
        unset: Document = {"$unset": {CALLOUT_MARK: ""}}
        await view.bulk_update(
            "callouts", [({"_id": callout["_id"], CALLOUT_MARK: callout[CALLOUT_MARK]}, unset) for callout in marked]
        )


async def excluded_contact_ids(view: TenantView, callout_id: int | None) -> Sequence[int]:
    """The ids of the contacts that cannot be in the callout, as another's participation has their number.

    Only a participation that does not have its own contact's number can be in another contact's way.
    """
    if callout_id is None:
        return []
    await _mark_older(view, callout_id)
    in_callout: Document = {"callout_id": callout_id}
    strays = await view.find(
        PARTICIPATIONS, {**in_callout, MSISDN_KIND: {"$gt": ""}}, fields=["contact_id", "msisdn"], sort=()
    )
    holders = {participation["msisdn"]: participation["contact_id"] for participation in strays}
    if not holders:
        return []
    same_msisdn = {"msisdn": {"$in": list(holders)}}
    contacts = await view.find("contacts", same_msisdn, fields=["msisdn"], sort=())
    others = [contact["_id"] for contact in contacts if holders[contact["msisdn"]] != contact["_id"]]
    own = {**in_callout, "contact_id": {"$in": others}}
    participations = await view.find(PARTICIPATIONS, own, fields=["contact_id"], sort=())
    present = {participation["contact_id"] for participation in participations}
    return [contact_id for contact_id in others if contact_id not in present]


async def _mark_older(view: TenantView, callout_id: int) -> None:
    """Mark the participations of a callout of an older version that do not have their contact's number, once."""
    callout = await view.first_by("callouts", "_id", callout_id)
    if callout is None or callout.get(CALLOUT_KNOWN):
        return
    other_msisdn = {"$expr": {"$ne": ["$msisdn", {"$first": "$_contact.msisdn"}]}, f"_contact.{RENUMBERED}": None}
    query = Query(
        PARTICIPATIONS,
        ({"callout_id": callout_id, MSISDN_KIND: None},),
        stages=(
            {"$lookup": {"from": "contacts", "localField": "contact_id", "foreignField": "_id", "as": "_contact"}},
            {"$match": other_msisdn},
        ),
    )
    async for batch in view.list_of(query).batches(0, MAX_MARKED, ["msisdn"]):
        # One that has got its contact's number meanwhile is none.
        strays = [{"_id": stray["_id"], "msisdn": stray["msisdn"], MSISDN_KIND: None} for stray in batch]
        await view.bulk_update(PARTICIPATIONS, [(condition, {"$set": {MSISDN_KIND: OWN}}) for condition in strays])
    await view.update_one("callouts", {"_id": callout_id}, {"$set": {CALLOUT_KNOWN: True}})
