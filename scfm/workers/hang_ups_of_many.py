"""Notes in calls that they are to end: those of a stopped callout, of an account or a server that holds its calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from scfm.clock import later, now
from scfm.models.call_hang_up import want_end_of_account, want_end_of_callout
from scfm.models.call_hold import SERVER_STATES
from scfm.models.call_lifecycle import CallStatus
from scfm.models.call_work import EXISTS, HANG_UP_DUE, HANG_UP_WISH, LEASE, HangUp
from scfm.models.stored_documents import CALLOUT_COLLECTION, CALLS, StoredDocument
from scfm.runtime.backoff import Backoff
from scfm.storage.query import ACCOUNT_COLLECTION, CollectionName, Document
from scfm.storage.store import Store
from scfm.workers.claims import claim_each
from scfm.workers.runner import Job

OF_MANY_BACKOFF = Backoff(first=1.0, longest=60.0)
OF_MANY_LEASE = timedelta(seconds=30)
# Calls are looked through so often at least: one that changed while it was looked through may be missed.
MIN_PASSES = 2
# Accounts that are read at once.
MAX_ACCOUNTS = 1000


class WithWish(StoredDocument, total=False):
    """A callout, an account or the server, as far as its calls are to end."""

    status: str
    calls_held_at: datetime | None
    _hang_up: HangUp


WITH_WISHES = tuple(
    CollectionName[WithWish](name) for name in (CALLOUT_COLLECTION, ACCOUNT_COLLECTION, SERVER_STATES)
)


class Wish(NamedTuple):
    """A callout, an account or the server whose calls are to end: its document, and the collection that it is in."""

    collection: CollectionName[WithWish]
    document: WithWish


class HangUpsOfMany(Job):
    """Processes such wishes, until no call is left that was leaving when it was made. Then ``HangUps`` ends each."""

    name = "end many calls"

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        """``wake`` is called when calls are to end."""
        self._store = store
        self._wake = wake

    async def claim(self, limit: int) -> Sequence[Wish]:
        waiting = {HANG_UP_DUE: {"$lte": now()}}
        lease = now() + OF_MANY_LEASE
        return [
            Wish(collection, document)
            for collection in WITH_WISHES
            for document in await claim_each(
                self._store.all_tenants,
                collection,
                waiting,
                HANG_UP_DUE,
                limit,
                lambda found: ({**found, **waiting}, {"$set": {HANG_UP_DUE: lease}}),
            )
        ]

    async def process(self, item: Wish) -> None:
        if item.collection == CALLOUT_COLLECTION:
            if item.document["status"] == "stopped":
                wanted = want_end_of_callout(item.document["account_id"], item.document["_id"])
                await self._store.all_tenants.update_many(CALLS, *wanted)
            again = False  # a call that has been claimed is noted as well, and none is claimed any more
        else:
            again = item.document.get("calls_held_at") is not None and await self._of_held(item)
        self._wake()
        hang_up = item.document[HANG_UP_WISH]
        passes = hang_up["tries"] + 1
        same: Document = {"_id": item.document["_id"]}
        if "account_id" in item.document:
            same["account_id"] = item.document["account_id"]
        if again or passes < MIN_PASSES:
            then: HangUp = {"due": later(OF_MANY_BACKOFF.seconds(passes)), "tries": passes}
            update: Document = {"$set": {HANG_UP_WISH: then}}
        else:
            update = {"$unset": {HANG_UP_WISH: ""}}
        await self._store.all_tenants.update_one(item.collection, {**same, HANG_UP_DUE: hang_up["due"]}, update)

    async def _of_held(self, wish: Wish) -> bool:
        """Whether calls are leaving that are to end once they have. One that does not leave waits."""
        leaving = {"status": CallStatus.QUEUED, LEASE: EXISTS}
        if wish.collection != SERVER_STATES:
            return await self._of_account(wish.document["_id"], leaving)
        last, again = 0, False
        while True:
            accounts = await self._store.all_tenants.find(
                ACCOUNT_COLLECTION, {"_id": {"$gt": last}}, fields=["_id"], sort=[("_id", 1)], limit=MAX_ACCOUNTS
            )
            if not accounts:
                return again
            for account in accounts:
                last = account["_id"]
                again |= await self._of_account(last, leaving)

    async def _of_account(self, account_id: int, leaving: Document) -> bool:
        await self._store.all_tenants.update_many(CALLS, *want_end_of_account(account_id))
        return await self._store.for_account(account_id).exists(CALLS, leaving)
