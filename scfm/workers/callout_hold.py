"""What keeps a queued call from leaving: a hold, its callout's status or plan, a contact's new number.

A call's callout is looked at just before the call leaves, at most a moment after it was last looked at; in the
process that was told of the change, at once. A callout carries a mark while the number of a contact in it has changed
a short while ago: only then is each of its calls compared with its contact.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scfm.clock import now
from scfm.models import renumbering
from scfm.models.call_cancellations import cancel_callout
from scfm.models.call_lifecycle import CallStatus, Transition, hold_callout, release_callout
from scfm.models.call_work import HANG_UP_WISH, HELD
from scfm.models.opt_out_digest import OptOutDigests
from scfm.models.plan import Plan
from scfm.models.stored_documents import CALLOUT_COLLECTION, CALLS, PhoneCallDocument
from scfm.storage.store import Store
from scfm.storage.ttl_cache import TTLCache
from scfm.workers.call_holds import CallHolds
from scfm.workers.opt_out_looks import OptOutLooks

CALLOUT_CACHE_SECONDS = 0.1
BLOCKING = ("paused", "stopped")
# What blocks a call whose account's calls are held, and one to a number that is opted out.
HELD_BACK, OPTED_OUT = "held", "opted_out"
# What blocks a call that a client wants to end.
WITHDRAWN = "withdrawn"
# What blocks a call of a plan outside its window or before ``starts_at``, and one after ``not_after``.
NOT_NOW, TOO_LATE = "not_now", "too_late"
# Longer than it takes from the last look at a callout until the request is written: PROVIDER_TIMEOUT is at most 300.
CHANGE_SECONDS = 900.0


@dataclass(frozen=True)
class _CalloutState:
    """A callout as it was looked at: its status and plan, and whether the number of a contact in it has changed."""

    status: str
    renumbered: bool = False
    plan: Plan | None = None

    @property
    def goes_over_opt_outs(self) -> bool:
        return self.plan is not None and self.plan.emergency is not None

    def shut(self, moment: datetime) -> str | None:
        """``not_now`` or ``too_late`` where the plan lets no call leave at MOMENT, else None."""
        if self.plan is None or self.plan.may_leave(moment):
            return None
        return TOO_LATE if self.plan.is_over(moment) else NOT_NOW


class CalloutHold:
    """Tells whether a callout's calls may leave, and whether they have the right numbers.

    Is told by the handlers of this process what clients change. Every method that is awaited raises Unavailable.
    """

    def __init__(self, store: Store, digests: OptOutDigests | None = None) -> None:
        """DIGESTS: of numbers whose persons were erased, see ``OptOutLooks``."""
        self._store = store
        self.holds = CallHolds(store)
        self.opt_outs = OptOutLooks(store, digests)
        self._callouts = TTLCache(self._read, CALLOUT_CACHE_SECONDS)
        # When, by the monotonic clock, this process was last told of a change: by collection and id, oldest first.
        self._changed_at: dict[tuple[str, int | None], float] = {}

    async def blocking_status(self, call: PhoneCallDocument) -> str | None:
        """What keeps the call back, None for nothing.

        ``withdrawn``, ``held``, ``paused``, ``stopped``, ``not_now``, ``too_late`` or ``opted_out``.
        """
        blocking, may_be_opted_out = await self._blocking(call)
        if may_be_opted_out and await self.opt_outs.is_opted_out(call["account_id"], call["msisdn"]):
            return OPTED_OUT
        return blocking

    async def blocking_statuses(self, account_id: int, calls: Sequence[PhoneCallDocument]) -> list[str | None]:
        """The same for many calls of an account, with fewer look-ups.

        The account and each callout are looked at once: one look for each call, where these take longer than their
        result is good for, would take longer than the calls are claimed for.
        """
        held = bool(calls) and await self.holds.held(account_id)
        ids = {callout_id for call in calls if (callout_id := call.get("callout_id")) is not None}
        states = await asyncio.gather(*(self._callouts.get((account_id, callout_id)) for callout_id in ids))
        callouts: dict[int | None, _CalloutState] = dict(zip(ids, states, strict=True))
        found = [
            (WITHDRAWN, False)
            if await self._is_withdrawn(call)
            else self._blocked_by(held, callouts.get(call.get("callout_id")))
            for call in calls
        ]
        msisdns = {call["msisdn"] for call, (_, may_be) in zip(calls, found, strict=True) if may_be}
        opted_out = await self.opt_outs.opted_out(account_id, msisdns) if msisdns else set()
        return [
            OPTED_OUT if may_be and call["msisdn"] in opted_out else blocking
            for call, (blocking, may_be) in zip(calls, found, strict=True)
        ]

    async def _blocking(self, call: PhoneCallDocument) -> tuple[str | None, bool]:
        """What keeps the call back but for opt-outs, and whether these are to be looked at."""
        if await self._is_withdrawn(call):
            return WITHDRAWN, False
        account_id, callout_id = call["account_id"], call.get("callout_id")
        held = await self.holds.held(account_id)
        return self._blocked_by(held, await self._callouts.get((account_id, callout_id)) if callout_id else None)

    @staticmethod
    def _blocked_by(held: bool, callout: _CalloutState | None) -> tuple[str | None, bool]:
        """The same of a call whose account's calls are HELD or not, and whose callout is so; None for no callout."""
        if held:
            return HELD_BACK, False
        if callout is None:
            return None, True
        if callout.status in BLOCKING:
            return callout.status, callout.status == "paused" and not callout.goes_over_opt_outs
        shut = callout.shut(now())
        return shut, shut is None and not callout.goes_over_opt_outs

    def shut_now(self, call: PhoneCallDocument) -> bool:
        """Whether the plan of the call's callout, as it was looked at last, lets no call leave in this moment."""
        callout_id = call.get("callout_id")
        callout = self._callouts.peek((call["account_id"], callout_id)) if callout_id else None
        return callout is not None and callout.shut(now()) is not None

    async def _is_withdrawn(self, call: PhoneCallDocument) -> bool:
        """Whether somebody wants the call to end, as far as this process was told."""
        if (CALLS, call.get("_id")) not in self._changed_at:
            return False
        still = {"_id": call["_id"], "status": CallStatus.QUEUED, HANG_UP_WISH: None}
        return not await self._store.for_account(call["account_id"]).exists(CALLS, still)

    async def outdated(self, call: PhoneCallDocument) -> Transition | None:
        """What becomes of a claimed call whose number is not its contact's any more; None for any other."""
        callout_id = call.get("callout_id")
        known = ("contacts", call.get("contact_id")) in self._changed_at
        if known or (
            callout_id is not None and (await self._callouts.get((call["account_id"], callout_id))).renumbered
        ):
            return await renumbering.correct_msisdn(self._store.for_account(call["account_id"]), call)
        return None

    def changed_since(self, call: PhoneCallDocument, moment: float) -> bool:
        """Whether this process was told since the monotonic MOMENT of a change of what may keep the call back."""
        account_id = call["account_id"]
        if self.holds.changed_since(account_id, moment) or self.opt_outs.changed_since(moment):
            return True
        about = (
            ("callouts", call.get("callout_id")),
            ("contacts", call.get("contact_id")),
            (CALLS, call.get("_id")),
        )
        return any(self._changed_at.get(one, -math.inf) >= moment for one in about)

    async def _read(self, callout: tuple[int, int]) -> _CalloutState:
        """CALLOUT is its account's id and its own."""
        account_id, callout_id = callout
        fields = ["status", renumbering.CALLOUT_MARK, "plan"]
        found = await self._store.for_account(account_id).find(
            CALLOUT_COLLECTION, {"_id": callout_id}, fields=fields, sort=()
        )
        # A callout is not deleted while it has calls; should it be gone, so is what it was for.
        if not found:
            return _CalloutState("stopped")
        return _CalloutState(
            str(found[0].get("status")),
            renumbered=renumbering.CALLOUT_MARK in found[0],
            plan=Plan.of(found[0]),
        )

    def on_renumbered(self, contact_id: int) -> None:
        """A contact's number has changed: none of its calls may leave under the old one."""
        self._record_change("contacts", contact_id)

    def on_withdrawn(self, call_id: int) -> None:
        """Somebody wants the call to end, and that is stored: it must not leave."""
        self._record_change(CALLS, call_id)

    def _record_change(self, collection: str, document_id: int) -> None:
        moment = time.monotonic()
        while self._changed_at and next(iter(self._changed_at.values())) < moment - CHANGE_SECONDS:
            del self._changed_at[next(iter(self._changed_at))]
        self._changed_at.pop((collection, document_id), None)
        self._changed_at[collection, document_id] = moment

    async def on_event(self, callout: Mapping[str, Any]) -> None:
        """An event has moved the callout: hold its queued calls, let them go, or cancel them."""
        self._callouts.forget((callout["account_id"], callout["_id"]))
        self._record_change("callouts", callout["_id"])
        await self._apply_status(callout["account_id"], callout["_id"], callout["status"])

    async def _apply_status(self, account_id: int, callout_id: int, status: str) -> None:
        # All at once, lest each be claimed first, and use up a moment of its account's rate.
        if status == "paused":
            transition = hold_callout(account_id, callout_id)
        elif status == "stopped":
            transition = cancel_callout(account_id, callout_id)
        else:
            transition = release_callout(account_id, callout_id)
        await self._store.all_tenants.update_many(CALLS, *transition)

    async def release_orphans(self) -> None:
        """Queue again, or cancel, calls that are held though their callout is not paused.

        The process that was told of the event had no time to.
        """
        last = 0
        while True:
            held = {HELD: True, "callout_id": {"$gt": last}}
            found = await self._store.all_tenants.find(
                CALLS, held, fields=["account_id", "callout_id"], sort=[("callout_id", 1)], limit=1
            )
            if not found:
                return
            account_id, last = found[0]["account_id"], found[0]["callout_id"] or 0
            status = (await self._read((account_id, last))).status
            if status != "paused":
                await self._apply_status(account_id, last, status)
