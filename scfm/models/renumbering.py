"""A contact whose number is corrected is called under its new number, whatever was created with the old one.

The change marks the contact (``_renumbered``) in the same write. ``propagate`` brings the new number to the contact's
participations and to its calls that have not left. After such documents are created, the mark is looked
for (``propagate_to_created``); before a call is sent, too (``correct_msisdn``). The
mark stays until no process can hold the old number any more. See docs/decisions/0008.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

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
from scfm.models.stored_documents import (
    CALLOUT_COLLECTION,
    CALLS,
    CONTACT_COLLECTION,
    PARTICIPATIONS,
    ContactDocument,
    ParticipationDocument,
    PhoneCallDocument,
)
from scfm.storage.errors import DuplicateKey
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

# On a contact: ``Renumbered``.
RENUMBERED: Final = "_renumbered"
RENUMBERED_INDEX = Index(f"{RENUMBERED}.due", name="renumbered", only={f"{RENUMBERED}.due": {"$exists": True}})
# On a callout in which calls may still be taken by their contacts' former numbers: the token of the last change.
CALLOUT_MARK: Final = "_numbers"
CALLOUT_MARK_INDEX = Index(CALLOUT_MARK, name="numbers", only={CALLOUT_MARK: {"$exists": True}})
# On a participation or a phone call whose number does not follow its contact's: the client gave it on purpose, or
# the contact's is another participation's in the callout.
MSISDN_KIND: Final = "_number"
OWN, SET_ASIDE = "own", "taken"
STRAYS_INDEX = Index("callout_id", MSISDN_KIND, name="strays", only={MSISDN_KIND: {"$gt": ""}})
# Where a client sees of a participation that its contact's number is taken.
NUMBER_TAKEN = "number_taken"
# Soon after a change the process that made it is done, or dead.
FIRST_CHECK = timedelta(seconds=5)
# No longer does a process hold what it read before a change: LEASE_SECONDS is at most an hour.
MARK_RETENTION = timedelta(hours=1)
CHECK_INTERVAL = timedelta(minutes=1)
MAX_FORMER_NUMBERS = 100
TOO_OFTEN = "has been changed too often within the last hour; try again later"
# How often a change is propagated against others of the same contact.
MAX_ROUNDS = 20


def mark_change(contact: ContactDocument, msisdn: str) -> Document:
    """The mark of a contact whose number becomes MSISDN, by its field; raises Invalid for too many changes."""
    moment = now()
    former = [entry for entry in contact.get(RENUMBERED, {}).get("from", ()) if moment - entry["at"] < MARK_RETENTION]
    former = [entry for entry in former if entry["msisdn"] not in (msisdn, contact["msisdn"])]
    former.append({"msisdn": contact["msisdn"], "at": moment})
    if len(former) > MAX_FORMER_NUMBERS:
        raise Invalid({"msisdn": [TOO_OFTEN]})
    return {RENUMBERED: {"from": former, "token": secrets.token_hex(8), "due": moment + FIRST_CHECK, "open": True}}


def is_open(contact: ContactDocument) -> bool:
    """Whether a change of the contact's number has not been propagated yet."""
    return bool(contact.get(RENUMBERED, {}).get("open"))


def former_msisdns(contact: ContactDocument) -> list[str]:
    """The numbers that were the contact's a short while ago."""
    msisdns = [entry["msisdn"] for entry in contact.get(RENUMBERED, {}).get("from", ())]
    return [msisdn for msisdn in msisdns if msisdn != contact["msisdn"]]


async def msisdn_kind(view: TenantView, contact_id: int, msisdn: str) -> str | None:
    """``OWN`` for a number that is not the contact's, else None."""
    contact = await view.first_by(CONTACT_COLLECTION, "_id", contact_id)
    return OWN if contact is not None and contact["msisdn"] != msisdn else None


async def propagate(view: TenantView, contact_id: int) -> None:
    """Give the contact's number to its participations and calls; raises Unavailable if it changes all the time."""
    for _ in range(MAX_ROUNDS):
        contact = await view.find_one(CONTACT_COLLECTION, {"_id": contact_id})
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
        if await view.update_one(CONTACT_COLLECTION, unchanged, {"$set": done}):
            return
    raise Unavailable(f"the number of contact {contact_id} is changed by too many at a time")


def mark_ends_at(contact: ContactDocument) -> datetime:
    """From when on the contact's mark need not be kept."""
    moments: list[datetime] = [entry["at"] for entry in contact[RENUMBERED]["from"]]
    return max(moments) + MARK_RETENTION


def _next_check(contact: ContactDocument) -> datetime:
    """When to look for what a process that has died since has not propagated: less and less often until the end."""
    moment, end = now(), mark_ends_at(contact)
    age = moment - (end - MARK_RETENTION)
    return max(moment, min(end, moment + max(CHECK_INTERVAL, 4 * age)))


async def _propagate(view: TenantView, contact: ContactDocument, seen: frozenset[int]) -> None:
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
        await view.update_many(CALLOUT_COLLECTION, {"_id": {"$in": callout_ids}}, {"$set": token})


async def _renumber(
    view: TenantView, contact: ContactDocument, participation: ParticipationDocument, seen: frozenset[int]
) -> None:
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


async def _makes_room(view: TenantView, participation: ParticipationDocument, seen: frozenset[int]) -> bool:
    """Whether a participation gave its number up just now, as its own contact's had been changed before."""
    if participation.get(MSISDN_KIND) or participation["contact_id"] in seen:
        return False
    contact = await view.find_one(CONTACT_COLLECTION, {"_id": participation["contact_id"]})
    if contact is None or participation["msisdn"] not in former_msisdns(contact):
        return False
    await _propagate(view, contact, seen)
    return True


async def _propagate_to_calls(view: TenantView, contact: ContactDocument, follows: Document) -> None:
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
    contacts = await view.find(CONTACT_COLLECTION, marked, fields=["_id"], sort=())
    changed = sorted({contact["_id"] for contact in contacts}.intersection(contact_ids))
    for contact_id in changed:
        await propagate(view, contact_id)
    return bool(changed)


async def with_current_msisdn(view: TenantView, collection: str, stored: Document) -> Document:
    """A document that has just been stored for a contact, with the number that is the contact's by now."""
    contact = await view.first_by(CONTACT_COLLECTION, "_id", stored["contact_id"])
    if contact is None or RENUMBERED not in contact:
        return stored
    await propagate(view, contact["_id"])
    return await view.get(collection, stored["_id"])


async def correct_msisdn(view: TenantView, call: PhoneCallDocument) -> Transition | None:
    """What becomes of a claimed call that must not leave, as its contact's number has changed; else None.

    It gets the new number, or is canceled where that number is taken.
    """
    if call.get(MSISDN_KIND) or call.get("contact_id") is None:
        return None
    contact = await view.first_by(CONTACT_COLLECTION, "_id", call["contact_id"])
    if contact is None or call["msisdn"] not in former_msisdns(contact):
        return None
    participation = await view.first_by(PARTICIPATIONS, "_id", call["callout_participation_id"])
    aside = participation is not None and participation.get(MSISDN_KIND) == SET_ASIDE
    return (cancel_renumbered if aside else renumber)(call, contact["msisdn"])


async def clear_mark(view: TenantView, contact: ContactDocument) -> None:
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
        await view.update_one(CONTACT_COLLECTION, unchanged, {"$set": {f"{RENUMBERED}.due": now() + CHECK_INTERVAL}})
        return
    if await view.update_one(CONTACT_COLLECTION, unchanged, {"$unset": {RENUMBERED: ""}}):
        await _unmark_callouts(view)


async def _unmark_callouts(view: TenantView) -> None:
    """Once no contact of the account is marked, its callouts need not be."""
    # In this order: a contact that is marked meanwhile marks its callouts anew, with another token.
    marked = await view.find(CALLOUT_COLLECTION, {CALLOUT_MARK: {"$exists": True}}, fields=[CALLOUT_MARK], sort=())
    if marked and not await view.exists(CONTACT_COLLECTION, {f"{RENUMBERED}.due": {"$exists": True}}):
        unset: Document = {"$unset": {CALLOUT_MARK: ""}}
        await view.bulk_update(
            CALLOUT_COLLECTION,
            [({"_id": callout["_id"], CALLOUT_MARK: callout[CALLOUT_MARK]}, unset) for callout in marked],
        )
