"""Lanes: the limits that a callout's plan sets for its own calls, beside its account's and the server's."""

from __future__ import annotations

from dataclasses import dataclass

from scfm.models.stored_documents import CALLOUT_COLLECTION, PhoneCallDocument
from scfm.storage.store import Store
from scfm.storage.ttl_cache import TTLCache

# Limits are at most so old.
LANE_SECONDS = 1.0


@dataclass(frozen=True)
class Lane:
    """A callout and the limits of its plan: calls per second and calls in flight, None for no limit."""

    callout_id: int
    rate: float | None = None
    max_in_flight: int | None = None


class Lanes:
    """Every method that is awaited raises Unavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # By the ids of the account and the callout.
        self._lanes: TTLCache[tuple[int, int], Lane | None] = TTLCache(self._read, LANE_SECONDS)

    async def of_call(self, call: PhoneCallDocument) -> Lane | None:
        """The lane of a call; None if its callout's plan, as it is now, sets no limits."""
        callout_id = call.get("callout_id")
        return None if callout_id is None else await self._lanes.get((call["account_id"], callout_id))

    async def of_callout(self, account_id: int, callout_id: int) -> Lane:
        """The lane in which a callout's calls wait; without limits, if its plan sets none any more."""
        return await self._lanes.get((account_id, callout_id)) or Lane(callout_id)

    async def _read(self, callout: tuple[int, int]) -> Lane | None:
        account_id, callout_id = callout
        fields = ["plan.calls_per_second", "plan.calls_in_flight"]
        found = await self._store.for_account(account_id).find(
            CALLOUT_COLLECTION, {"_id": callout_id}, fields=fields, sort=()
        )
        plan = (found[0].get("plan") if found else None) or {}
        rate, max_in_flight = plan.get("calls_per_second"), plan.get("calls_in_flight")
        return Lane(callout_id, rate, max_in_flight) if rate or max_in_flight else None
