"""Looks after calls whose callback never comes: asks the provider how they ended, less and less often."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from scfm.clock import now
from scfm.models.phone_call import STATUSES, UNSETTLED
from scfm.providers.client import Provider
from scfm.providers.errors import ProviderError
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers.claims import CALLS, Accounts, later
from scfm.workers.runner import Job

MAX_PAUSE = timedelta(hours=1)
# No call lasts longer than a day; what is not final by then never will be.
GIVEN_UP = timedelta(hours=25)


def first_check(params: Document, policy: str, seconds: float) -> datetime | None:
    """When to ask about a call that the provider has just accepted with these PARAMS; None for never.

    POLICY ``auto`` leaves calls alone that have a status callback.
    """
    if policy == "never" or (policy == "auto" and params.get("status_callback")):
        return None
    return later(seconds)


class StatusPoller(Job):
    name = "check calls"
    slots = 20

    def __init__(self, store: Store, provider: Provider, accounts: Accounts, *, lease: float, seconds: float) -> None:
        self._all_tenants = store.all_tenants
        self._provider = provider
        self._accounts = accounts
        self._lease = lease
        self._first = timedelta(seconds=seconds)

    async def claim(self, limit: int) -> Sequence[Document]:
        due = {"_check": {"$lte": now()}}
        taken = []
        for call in await self._all_tenants.find(CALLS, due, fields=["_id"], sort=[("_check", 1)], limit=limit):
            mine = await self._all_tenants.update(CALLS, {"_id": call["_id"], **due}, {"_check": later(self._lease)})
            if mine is not None:
                taken.append(mine)
        return taken

    async def process(self, item: Document) -> None:
        same = {"_id": item["_id"], "_check": item["_check"]}
        if item["status"] not in UNSETTLED:
            await self._all_tenants.apply(CALLS, same, self._next(item))
            return
        try:
            response = await self._accounts.ask(
                item["account_id"], lambda own: self._provider.fetch_call(own, item["remote_call_id"])
            )
        except ProviderError as error:
            change: Document = {"remote_error_message": error.message}
        else:
            said = str(response.get("status"))
            change = {"remote_response": response, "remote_status": said, "remote_error_message": None}
            change["status"] = STATUSES.get(said, item["status"])
        change["updated_at"] = now()
        again = self._next({**item, **change})
        update = {**again, "$set": {**again.get("$set", {}), **change}}
        # A callback that has come meanwhile knows better.
        if not await self._all_tenants.apply(CALLS, {**same, "status": item["status"]}, update):
            await self._all_tenants.apply(CALLS, same, {"$set": {"_check": later(self._lease)}})

    async def on_error(self, item: Document, error: Exception) -> None:
        await self._all_tenants.apply(CALLS, {"_id": item["_id"]}, self._next(item))

    def _next(self, call: Document) -> Document:
        """The update that says when to ask again: after as long as the call has been under way, or never."""
        age = now() - (call["remotely_queued_at"] or call["created_at"])
        open_still = call["status"] in (*UNSETTLED, "remote_fetch_queued")
        if not open_still or age > GIVEN_UP:
            return {"$unset": {"_check": ""}}
        return {"$set": {"_check": now() + min(max(age, self._first), MAX_PAUSE)}}
