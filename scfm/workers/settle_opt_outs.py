"""Settles what was created before a number was opted out: its open participations, and its calls that wait.

An opt-out carries a mark until that is done, so a process that dies leaves it to another. Calls that are about to
leave, and those that are queued later, are looked at one by one: see ``opt_out_looks``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from scfm.clock import later, now
from scfm.models.call_cancellations import cancel_opted_out_many, waiting_to
from scfm.models.opt_out import SETTLE_FROM, goes_over_opt_outs
from scfm.models.outcome import MARK, OPEN_OUTCOMES, OPTED_OUT_AT, new_mark
from scfm.models.stored_documents import CALLOUT_COLLECTION, CALLS, OPT_OUT_COLLECTION, PARTICIPATIONS, OptOutDocument
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from scfm.workers.claims import claim_each
from scfm.workers.runner import Job

SETTLE_LEASE = timedelta(seconds=30)
# When it is done again, where a call to the number was claimed.
AGAIN_SECONDS = 1.0
# Callouts in which a number is looked for at once.
MAX_CALLOUTS = 1000


class SettleOptOuts(Job):
    """Processes opt-outs that carry the mark. What is done twice does no more than once."""

    name = "settle opt-outs"
    slots = 4

    def __init__(self, store: Store) -> None:
        self._store = store

    async def claim(self, limit: int) -> Sequence[OptOutDocument]:
        waiting = {SETTLE_FROM: {"$lte": now()}}
        return await claim_each(
            self._store.all_tenants,
            OPT_OUT_COLLECTION,
            waiting,
            SETTLE_FROM,
            limit,
            lambda found: ({**found, **waiting}, {"$set": {SETTLE_FROM: now() + SETTLE_LEASE}}),
        )

    async def process(self, item: OptOutDocument) -> None:
        view = self._store.for_account(item["account_id"])
        # Unless it has been given another number meanwhile.
        same = {"_id": item["_id"], "msisdn": item["msisdn"], SETTLE_FROM: item[SETTLE_FROM]}
        if await settle(view, item["msisdn"]):
            await view.update_one(OPT_OUT_COLLECTION, same, {"$unset": {SETTLE_FROM: ""}})
        else:
            await view.update_one(OPT_OUT_COLLECTION, same, {"$set": {SETTLE_FROM: later(AGAIN_SECONDS)}})


async def settle(view: TenantView, msisdn: str) -> bool:
    """Settle a number that is opted out in every callout of the account, but those whose plan is an emergency.

    False where that has to be done again, as somebody has just claimed a call to the number.
    """
    last, settled = 0, True
    while True:
        callouts = await view.find(
            CALLOUT_COLLECTION,
            {"_id": {"$gt": last}},
            fields=["plan.emergency"],
            sort=[("_id", 1)],
            limit=MAX_CALLOUTS,
        )
        if not callouts:
            return settled
        last = callouts[-1]["_id"]
        callout_ids = [callout["_id"] for callout in callouts if not goes_over_opt_outs(callout)]
        if callout_ids:
            settled &= await _settle_in(view, callout_ids, msisdn)


async def _settle_in(view: TenantView, callout_ids: list[int], msisdn: str) -> bool:
    """The same for these callouts. The unique index finds the number in each of them."""
    in_callouts = {"callout_id": {"$in": callout_ids}, "msisdn": msisdn}
    # None where it has not been worked out yet.
    still_open = {**in_callouts, "outcome": {"$in": [None, *OPEN_OUTCOMES]}, OPTED_OUT_AT: None}
    mark = {OPTED_OUT_AT: now(), MARK: new_mark()}
    await view.update_many(PARTICIPATIONS, still_open, {"$set": mark})
    participations = await view.find(PARTICIPATIONS, in_callouts, fields=["_id"], sort=())
    if not participations:
        return True
    ids = [participation["_id"] for participation in participations]
    await view.update_many(CALLS, *cancel_opted_out_many(ids, msisdn))
    # A process that has claimed a call may have looked before the opt-out, and may put the call back after this.
    return not await view.exists(CALLS, waiting_to(ids, msisdn))
