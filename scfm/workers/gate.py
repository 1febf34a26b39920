"""A callout that is paused or stopped sends none of its queued calls: they wait, or are canceled.

A call's callout is looked at just before the call leaves, at most a moment after it was last looked at; in the
process that was told of the event, at once.
"""

from __future__ import annotations

from scfm.clock import now
from scfm.models.query import Document
from scfm.models.recent import Recent
from scfm.models.store import Store
from scfm.workers.calls import CALLS

REMEMBERED_SECONDS = 0.1
HALTED = ("paused", "stopped")


class Gate:
    """Knows whether a callout's calls may leave."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._statuses = Recent(self._look, REMEMBERED_SECONDS)

    async def halts(self, call: Document) -> str | None:
        """``paused`` or ``stopped`` where that keeps the call back, else None."""
        number = call.get("callout_id")
        if number is None:
            return None
        status = await self._statuses.get(number)
        return status if status in HALTED else None

    async def _look(self, number: int) -> str:
        found = await self._store.everyone.find("callouts", {"_id": number}, fields=["status"], sort=())
        # A callout is not deleted while it has calls; should it be gone, so is what it was for.
        return str(found[0].get("status")) if found else "stopped"

    async def moved(self, callout: Document) -> None:
        """An event has moved the callout: hold its queued calls, let them go, or cancel them."""
        self._statuses.forget(callout["_id"])
        await self._moved(callout["_id"], callout["status"])

    async def _moved(self, number: int, status: str) -> None:
        queued = {"callout_id": number, "status": "queued"}
        if status == "paused":
            # All at once, lest each be taken first, and use up a moment of its account's rate.
            waiting = {**queued, "_work.due": {"$exists": True}}
            await self._store.everyone.update_many(CALLS, waiting, {"$set": {"_work": {"held": True}}})
        elif status == "stopped":
            waiting = {**queued, "$or": [{"_work.due": {"$exists": True}}, {"_work.held": True}]}
            await self._store.everyone.update_many(CALLS, waiting, canceled())
        else:
            await self._release(number)

    async def release(self) -> None:
        """Let go, or cancel, what no paused callout holds: the process that was told to had no time to."""
        last = 0
        while True:
            held = {"_work.held": True, "callout_id": {"$gt": last}}
            found = await self._store.everyone.find(
                CALLS, held, fields=["callout_id"], sort=[("callout_id", 1)], limit=1
            )
            if not found:
                return
            last = found[0]["callout_id"]
            status = await self._look(last)
            if status != "paused":
                await self._moved(last, status)

    async def _release(self, number: int) -> None:
        held = {"_work.held": True, "callout_id": number, "status": "queued"}
        await self._store.everyone.update_many(CALLS, held, {"$set": {"_work": {"due": now()}}})


def canceled() -> Document:
    """The update of a call that was never sent and will not be."""
    return {"$set": {"status": "canceled", "updated_at": now()}, "$unset": {"_work": ""}}
