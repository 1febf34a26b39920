"""Which calls this process sends next, and when each of them may leave."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from scfm.clock import MonotonicClock, later, now
from scfm.errors import Unavailable
from scfm.models.call_lifecycle import CallStatus, requeue_unheard
from scfm.models.call_work import LANE, Attempt, tries_of
from scfm.models.stored_documents import CALLS, PhoneCallDocument
from scfm.settings import Settings
from scfm.storage.store import Store
from scfm.workers.calling_accounts import CallingAccounts
from scfm.workers.callout_hold import CalloutHold
from scfm.workers.fair_queue import FairQueue
from scfm.workers.lanes import Lane, Lanes
from scfm.workers.placement_recorder import PlacementRecorder
from scfm.workers.rate_limiter import RateLimiter

log = logging.getLogger("scfm.work")

# Seconds by which a lease outlasts the longest request.
MARGIN = 5.0
# The part of the time for which calls are claimed after which no more accounts are asked for theirs: where the
# database is slow, the calls of the first would be late before those of the last are claimed.
CLAIM_SHARE = 0.25


@dataclass(frozen=True)
class ScheduledCall:
    """A call that has been claimed: the monotonic times at which it may leave, and by which it must have left."""

    call: PhoneCallDocument
    moment: float
    deadline: float
    # The same by the clock that leases go by, which may jump: a machine sleeps, or its clock is set.
    until: datetime
    # How many seconds after ``moment`` it may leave.
    tolerance: float

    def late(self, moment: float) -> bool:
        """Whether it must not leave any more, at the monotonic MOMENT."""
        return moment > self.deadline or now() > self.until


class SendSchedule:
    """Claims calls in turn from every account, and reserves the moments at which they leave."""

    def __init__(
        self,
        store: Store,
        accounts: CallingAccounts,
        callout_hold: CalloutHold,
        rate_limiter: RateLimiter,
        placements: PlacementRecorder,
        settings: Settings,
        journal_id: str | None,
        yield_to_webhooks: Callable[[], Awaitable[None]],
        clock: MonotonicClock,
    ) -> None:
        """``journal_id``: the send journal's. ``yield_to_webhooks`` is awaited before each call leaves."""
        # A call waits for half a lease to leave. Then its request, which ends within twice the time-out (see
        # providers/transport.py), must end before the lease does: after that another process may take the call for
        # abandoned.
        self._patience = settings.lease_seconds / 2
        self._request_seconds = max(self._patience, 2 * settings.provider_timeout + MARGIN)
        self._all_tenants = store.all_tenants
        self._accounts = accounts
        self._callout_hold = callout_hold
        self._rate_limiter = rate_limiter
        self._placements = placements
        self._journal_id = journal_id
        self._yield_to_webhooks = yield_to_webhooks
        self._clock = clock
        self._lanes = Lanes(store)
        self._queue = FairQueue(store, CallStatus.QUEUED, self._lane_allowance)
        # Attempts for which the database may have claimed calls without saying so, and until when it still may.
        self._unheard: dict[str, datetime] = {}
        # Calls leave one by one: what else is due has its turn between two of them.
        self._exit = asyncio.Lock()
        # Until when (monotonic seconds) accounts are asked for calls; None before the first.
        self._claim_until: float | None = None

    async def claim(self, limit: int) -> list[ScheduledCall]:
        """Up to LIMIT calls whose attempt is now in the database, and when each may leave. Raises Unavailable."""
        deadline, until = self._clock.monotonic() + self._patience, later(self._patience)
        self._claim_until = None
        attempt: Attempt = {"id": uuid.uuid4().hex, "at": now(), "log": self._journal_id}
        lease = until + timedelta(seconds=self._request_seconds)
        try:
            calls = await self._queue.claim(min(limit, self._rate_limiter.room), lease, attempt, self._allowance)
            scheduled_calls: list[ScheduledCall] = []
            for account_id, group in groupby(calls, key=lambda call: int(call["account_id"])):
                scheduled_calls += await self._reserve(account_id, list(group), deadline, until)
        except BaseException:
            self._unheard[attempt["id"]] = lease
            raise
        return scheduled_calls

    async def requeue_unheard(self) -> None:
        """Queue the calls again that the database gave to an attempt of ours which did not hear of it."""
        for attempt_id, until in list(self._unheard.items()):
            await self._all_tenants.update_many(CALLS, *requeue_unheard(attempt_id))
            if now() > until:
                del self._unheard[attempt_id]

    async def _reserve(
        self, account_id: int, calls: list[PhoneCallDocument], deadline: float, until: datetime
    ) -> list[ScheduledCall]:
        """Schedule those of an account's calls that may leave soon; the others wait in the database."""
        blocked = await self._callout_hold.blocking_statuses(account_id, calls)
        going = [call for call, status in zip(calls, blocked, strict=True) if status is None]
        pairs = zip(calls, blocked, strict=True)
        staying = [self._placements.record_blocked(call, status) for call, status in pairs if status is not None]
        in_lanes = await self._reserve_in_lanes(going)
        for call in going:
            if call["_id"] not in in_lanes:  # it has been queued before its callout had a lane
                lane = {LANE: call["callout_id"]}
                staying.append(self._placements.record_requeued(call, 0, tries_of(call), lane))
        going = [call for call in going if call["_id"] in in_lanes]
        rate, _ = await self._limits(account_id)
        moments = await self._rate_limiter.reserve(account_id, rate, len(going))
        if moments is None:
            staying += [self._placements.record_requeued(call, 0, tries_of(call)) for call in going]
        await asyncio.gather(*staying)
        scheduled_calls = []
        for call, moment in zip(going, moments or (), strict=False):
            lane_moment, lane_of_call = in_lanes[call["_id"]]
            tolerance = self._rate_limiter.tolerance(rate, lane_of_call)
            scheduled_calls.append(ScheduledCall(call, max(moment, lane_moment), deadline, until, tolerance))
        return scheduled_calls

    async def _reserve_in_lanes(self, calls: list[PhoneCallDocument]) -> dict[int, tuple[float, Lane | None]]:
        """By the calls' ids, from when on each may leave as far as it goes by its lane, and that lane.

        Those are left out for which the lane has no moment soon.
        """
        lanes = {call["_id"]: await self._lanes.of_call(call) for call in calls}
        moments: dict[int, tuple[float, Lane | None]] = {}
        for lane in set(lanes.values()):
            ids = [call_id for call_id, own in lanes.items() if own == lane]
            reserved = [0.0] * len(ids) if lane is None else await self._rate_limiter.reserve_in_lane(lane, len(ids))
            moments |= {call_id: (moment, lane) for call_id, moment in zip(ids, reserved or (), strict=False)}
        return moments

    async def _lane_allowance(self, account_id: int, callout_id: int) -> int:
        return self._rate_limiter.lane_allowance(await self._lanes.of_callout(account_id, callout_id))

    async def _allowance(self, account_id: int) -> int:
        moment = self._clock.monotonic()
        if self._claim_until is None:
            self._claim_until = moment + CLAIM_SHARE * self._patience
        if moment > self._claim_until:
            return 0  # its turn comes with the next claim
        if await self._callout_hold.holds.held(account_id):
            return 0
        return self._rate_limiter.allowance(account_id, *await self._limits(account_id))

    async def _limits(self, account_id: int) -> tuple[float | None, int | None]:
        """The account's own limits. One that cannot be read must not keep the others' calls from leaving."""
        try:
            return await self._accounts.limits(account_id)
        except Unavailable:
            raise
        except Exception:
            log.exception("the limits of account %s cannot be read", account_id)
            return None, None

    async def wait_for_moment(self, item: ScheduledCall) -> bool:
        """Returns at the call's moment, or at another if that is missed; False where there is none in time."""
        if (early := item.moment - self._clock.monotonic()) > 0:
            await self._clock.sleep(early)
        async with self._exit:
            await self._yield_to_webhooks()
        moment = item.moment
        while (late := self._clock.monotonic()) - moment > item.tolerance and not item.late(late):
            in_lane = await self._reserve_in_lanes([item.call])
            rate, _ = await self._limits(item.call["account_id"])
            moments = await self._rate_limiter.reserve(item.call["account_id"], rate, len(in_lane))
            if not moments:
                return False
            moment = max(moments[0], in_lane[item.call["_id"]][0])
            await self._clock.sleep(moment - self._clock.monotonic())
        return True
