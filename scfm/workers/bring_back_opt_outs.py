"""Gives opt-outs of erased persons their number back once it is known again: by a new contact, or a new opt-out.

Without it no call would leave to the number all the same. But with it the opt-out is shown, found and counted as any
other, and whoever takes it away by its number lifts it.
"""

from __future__ import annotations

from collections.abc import Sequence

from scfm.clock import now
from scfm.models.contact import CONTACTS
from scfm.models.erased import DIGEST_PREFIX
from scfm.models.opt_out import OPT_OUTS, SETTLE_FROM
from scfm.models.opt_out_digest import OPT_OUT_KEY, OptOutDigests
from scfm.models.renumbering import RENUMBERED
from scfm.models.resource import Resource
from scfm.models.stored_documents import OPT_OUT_COLLECTION
from scfm.storage.errors import DuplicateKey
from scfm.storage.query import ACCOUNT_COLLECTION
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from scfm.workers.periodic_job import PeriodicJob

MAX_DIGESTS_COMPARED = 1000


class BringBackOptOuts(PeriodicJob):
    """Compares the numbers that are new since it looked last."""

    name = "bring opt-outs back"
    pause_seconds = 5.0

    def __init__(self, store: Store, digests: OptOutDigests) -> None:
        super().__init__()
        self._store = store
        self._digests = digests
        # By the account's id and the kind: up to which id its documents were compared.
        self._compared: dict[tuple[int, str], int] = {}

    async def process(self, item: None) -> None:
        with_key = {OPT_OUT_KEY: {"$gt": ""}}
        for account in await self._store.all_tenants.find(ACCOUNT_COLLECTION, with_key, fields=["_id"]):
            view = self._store.for_account(account["_id"])
            await self._compare_new(view, CONTACTS)
            await self._compare_new(view, OPT_OUTS)
            renumbered = {f"{RENUMBERED}.due": {"$exists": True}}
            contacts = await view.find(CONTACTS.collection, renumbered, fields=["msisdn"], sort=())
            await self._bring_back(view, [contact["msisdn"] for contact in contacts])

    async def _compare_new(self, view: TenantView, resource: Resource) -> None:
        """Compare the numbers of the documents that are new, of all at the first look."""
        place = (view.account_id or 0, resource.kind)
        # Documents with lower ids are there, or never will be.
        decided = (await view.counters.changes(resource.kind).state()).decided_below
        last = self._compared.get(place, 0)
        while True:
            beyond = {"_id": {"$gt": last}}
            found = await view.find(resource.collection, beyond, fields=["msisdn"], limit=MAX_DIGESTS_COMPARED)
            if not found:
                break
            last = found[-1]["_id"]
            await self._bring_back(view, [one["msisdn"] for one in found])
        self._compared[place] = max(self._compared.get(place, 0), min(last, decided - 1))

    async def _bring_back(self, view: TenantView, msisdns: Sequence[str]) -> None:
        """Put these numbers in the places of their digests."""
        known = [msisdn for msisdn in msisdns if not msisdn.startswith(DIGEST_PREFIX)]
        digests = await self._digests.digests(view.account_id or 0, known)
        msisdn_of = {digest: msisdn for msisdn, digest in digests.items()}
        there = {"msisdn": {"$in": list(msisdn_of)}}
        for opt_out in await view.find(OPT_OUT_COLLECTION, there, fields=["msisdn"], sort=()):
            unchanged = {"_id": opt_out["_id"], "msisdn": opt_out["msisdn"]}
            change = {"msisdn": msisdn_of[opt_out["msisdn"]], "updated_at": now(), SETTLE_FROM: now()}
            try:
                await view.update_one(OPT_OUT_COLLECTION, unchanged, {"$set": change, "$inc": {"_version": 1}})
            except DuplicateKey:  # it is opted out anew
                await view.remove(OPT_OUT_COLLECTION, unchanged)
