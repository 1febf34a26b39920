"""Contacts that cannot be in a callout, as another's participation has their number: see ``renumbering``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from scfm.models.renumbering import MSISDN_KIND, OWN, RENUMBERED
from scfm.models.stored_documents import CALLOUT_COLLECTION, CONTACT_COLLECTION, PARTICIPATIONS
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView

# On a callout whose participations carry MSISDN_KIND where they should: all but those of older versions.
CALLOUT_KNOWN: Final = "_strays_known"
# So many are marked at once.
MAX_MARKED = 1000


async def excluded_contact_ids(view: TenantView, callout_id: int | None) -> Sequence[int]:
    """The ids of the contacts that cannot be in the callout, as another's participation has their number.

    Only a participation that does not have its own contact's number can be in another contact's way.
    """
    if callout_id is None:
        return []
    await mark_older(view, callout_id)
    in_callout: Document = {"callout_id": callout_id}
    strays = await view.find(
        PARTICIPATIONS, {**in_callout, MSISDN_KIND: {"$gt": ""}}, fields=["contact_id", "msisdn"], sort=()
    )
    holders = {participation["msisdn"]: participation["contact_id"] for participation in strays}
    if not holders:
        return []
    same_msisdn = {"msisdn": {"$in": list(holders)}}
    contacts = await view.find(CONTACT_COLLECTION, same_msisdn, fields=["msisdn"], sort=())
    others = [contact["_id"] for contact in contacts if holders[contact["msisdn"]] != contact["_id"]]
    own = {**in_callout, "contact_id": {"$in": others}}
    participations = await view.find(PARTICIPATIONS, own, fields=["contact_id"], sort=())
    present = {participation["contact_id"] for participation in participations}
    return [contact_id for contact_id in others if contact_id not in present]


async def mark_older(view: TenantView, callout_id: int) -> None:
    """Mark the participations of a callout of an older version that do not have their contact's number, once."""
    callout = await view.first_by(CALLOUT_COLLECTION, "_id", callout_id)
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
    await view.update_one(CALLOUT_COLLECTION, {"_id": callout_id}, {"$set": {CALLOUT_KNOWN: True}})
