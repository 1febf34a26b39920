"""Sends queued calls to the provider, each at most once.

Before a request leaves, its attempt is in the database and the call is in this process's journal. What is not
known of a request afterwards is not guessed: see reconciler.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby

from scfm.clock import SYSTEM_CLOCK, MonotonicClock, later, now
from scfm.errors import Unavailable
from scfm.models.call_lifecycle import CallStatus, Transition, cancel, hold, requeue, requeue_unheard
from scfm.models.call_outcomes import accept, mark_unknown, reject
from scfm.models.call_work import WORK, Attempt, attempt_of, tries_of
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.providers.errors import CREATE_FAILED, AccountRefused, CallRejected, NotSent, ProviderError, Unknown
from scfm.runtime.backoff import Backoff
from scfm.settings import Settings
from scfm.storage.query import Document
from scfm.storage.retrying_updates import RetryingUpdates
from scfm.storage.store import Store
from scfm.workers.account_refusals import AccountRefusals
from scfm.workers.calling_accounts import CallingAccounts
from scfm.workers.callout_hold import REMEMBERED_SECONDS, CalloutHold
from scfm.workers.claims import CALLS
from scfm.workers.fair_queue import FairQueue
from scfm.workers.rate_limiter import RateLimiter
from scfm.workers.request_params import sent_params
from scfm.workers.runner import BATCHED, Job
from scfm.workers.send_journal import SendJournal
from scfm.workers.status_poller import first_check

log = logging.getLogger("scfm.work")

MAX_TRIES = 5
# While more than a few are in flight, calls are not taken two at a time, each pair by round trips of its own.
FEW, GATHER_SECONDS = 10, 0.05
MARGIN = 5.0
HAND_BACK_SECONDS = 1.0
# After a request that provably did not leave, and after an error in this program.
SEND_BACKOFF = Backoff(first=1.0, longest=60.0)
ERROR_BACKOFF = Backoff(first=0.5, longest=2.0)
CHANGED = f"{CREATE_FAILED}: its callout or its contact has just been changed"
STOPPED = f"{CREATE_FAILED}: the server was stopped while it placed this call"


class Withheld(NotSent):
    """The call was about to leave when what keeps it back, or what it was taken with, changed: see CalloutHold."""


Outcome = Callable[[], Awaitable[None]]
"""Stores what became of a call."""


@dataclass(frozen=True)
class ScheduledCall:
    """A call that has been taken: the monotonic times at which it may leave, and by which it must have left."""

    call: Document
    moment: float
    deadline: float
    # The same by the clock that leases go by, which may jump: a machine sleeps, or its clock is set.
    until: datetime
    # How many seconds after ``moment`` it may leave.
    tolerance: float

    def late(self, moment: float) -> bool:
        """Whether it must not leave any more, at the monotonic MOMENT."""
        return moment > self.deadline or now() > self.until


class Dispatcher(Job):
    name = "send calls"

    def __init__(
        self,
        store: Store,
        provider: Provider,
        accounts: CallingAccounts,
        send_journal: SendJournal,
        callout_hold: CalloutHold,
        settings: Settings,
        yield_to_webhooks: Callable[[], Awaitable[None]] | None = None,
        sent: Callable[[Document], None] = lambda call: None,
        clock: MonotonicClock = SYSTEM_CLOCK,
    ) -> None:
        """``sent`` is told of each call that the provider has accepted."""
        # A call that has its answer still holds a slot until that is stored, but is no longer in flight.
        self.slots = 2 * settings.calls_in_flight
        self._provider = provider
        self._accounts = accounts
        self._send_journal = send_journal
        self._callout_hold = callout_hold
        self._settings = settings
        # A call waits for half a lease to leave. Then its request, which ends within twice the time-out (see
        # providers/transport.py), must end before the lease does: after that another process may take the call for
        # abandoned.
        self._patience = settings.lease_seconds / 2
        self._request_seconds = max(self._patience, 2 * settings.provider_timeout + MARGIN)
        self._clock = clock
        limits = settings.calls_per_second, settings.calls_in_flight
        self._rate_limiter = RateLimiter(store, *limits, patience=self._patience / 2, clock=clock)
        self._breakers = self._rate_limiter.breakers
        self._refusals = AccountRefusals(store, accounts, self._breakers)
        # More is taken when so few calls are in flight, or at that moment.
        self._few = 0
        self._again_at = 0.0
        # Calls leave one by one: what else is due has its turn between two of them.
        self._door = asyncio.Lock()
        self._yield_to_webhooks = yield_to_webhooks or partial(asyncio.sleep, 0)
        self._sent = sent
        # Attempts that the database may have taken though it did not say so, and until when it may take them still.
        self._astray: dict[str, datetime] = {}
        self._queue = FairQueue(store, CallStatus.QUEUED)
        self._all_tenants = store.all_tenants
        self._updates = RetryingUpdates(store.all_tenants, CALLS)

    async def claim(self, limit: int) -> Sequence[ScheduledCall]:
        """Calls whose attempt is now in the database, and when each may leave."""
        if (
            self._rate_limiter.in_flight > max(self._few, FEW)
            and (early := self._again_at - self._clock.monotonic()) > 0
        ):
            self.next_claim_in = early
            return ()
        await self._fetch_back()
        await self._refusals.look()
        deadline, until = self._clock.monotonic() + self._patience, later(self._patience)
        attempt: Attempt = {"id": uuid.uuid4().hex, "at": now(), "log": self._send_journal.id}
        lease = until + timedelta(seconds=self._request_seconds)
        before = self._rate_limiter.in_flight
        try:
            calls = await self._queue.claim(min(limit, self._rate_limiter.room), lease, attempt, self._allowance)
            scheduled_calls: list[ScheduledCall] = []
            for account_id, group in groupby(calls, key=lambda call: int(call["account_id"])):
                scheduled_calls += await self._book(account_id, list(group), deadline, until)
        except BaseException:
            self._astray[attempt["id"]] = lease
            raise
        for scheduled in scheduled_calls:
            self._rate_limiter.call_started(scheduled.call["account_id"])
        self.next_claim_in = self._rate_limiter.seconds_until_room()
        self._few = self._rate_limiter.in_flight * (BATCHED - 1) // BATCHED
        self._again_at = self._clock.monotonic() + GATHER_SECONDS
        if not scheduled_calls and self._rate_limiter.in_flight < before:
            self.wake()  # there was no room for more, and now there is
        return scheduled_calls

    async def _fetch_back(self) -> None:
        """Queue the calls again that the database gave to an attempt of ours which did not hear of it."""
        for attempt, until in list(self._astray.items()):
            await self._all_tenants.update_many(CALLS, *requeue_unheard(attempt))
            if now() > until:
                del self._astray[attempt]

    async def _book(
        self, account_id: int, calls: list[Document], deadline: float, until: datetime
    ) -> list[ScheduledCall]:
        """The schedule of those of an account's calls that may leave soon; the others wait in the database."""
        halted = [await self._callout_hold.blocking_status(call) for call in calls]
        going = [call for call, how in zip(calls, halted, strict=True) if how is None]
        rate, _ = await self._limits(account_id)
        moments = await self._rate_limiter.reserve(account_id, rate, len(going))
        staying = [self._halt(call, how) for call, how in zip(calls, halted, strict=True) if how is not None]
        if moments is None:
            staying += [self._release(call, 0, tries_of(call)) for call in going]
        await asyncio.gather(*staying)
        tolerance = self._rate_limiter.tolerance(rate)
        return [ScheduledCall(*pair, deadline, until, tolerance) for pair in zip(going, moments or (), strict=False)]

    async def _allowance(self, account_id: int) -> int:
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

    async def process(self, item: ScheduledCall) -> None:
        call = item.call
        try:
            try:
                store_outcome = await self._place(item)
            finally:
                self._landed(item)
            await store_outcome()
        except Unavailable:
            await self._release(call, 0, tries_of(call))  # nothing after the departure raises this
            raise
        except asyncio.CancelledError:
            await self._hand_back(call)
            raise

    def _landed(self, item: ScheduledCall) -> None:
        """The call is no longer in flight."""
        self._rate_limiter.call_ended(item.call["account_id"])
        if self._rate_limiter.in_flight <= self._few:
            self.wake()

    async def _place(self, item: ScheduledCall) -> Outcome:
        """Send the call when its moment has come, if nothing keeps it back."""
        call = item.call
        if not await self._moment_of(item):
            return partial(self._release, call, 0, tries_of(call))
        credentials = await self._accounts.credentials(call["account_id"])
        looked_at = time.monotonic()
        if (halted := await self._callout_hold.blocking_status(call)) is not None:
            return partial(self._halt, call, halted)
        if (outdated := await self._callout_hold.outdated(call)) is not None:
            return partial(self._updates.add, outdated)
        if item.late(self._clock.monotonic()) or self._breakers[call["account_id"]].is_open:
            return partial(self._release, call, 0, tries_of(call))
        return await self._send(call, credentials, looked_at)

    async def _moment_of(self, item: ScheduledCall) -> bool:
        """Returns at the call's moment, or at another if that is missed; False where there is none in time."""
        if (early := item.moment - self._clock.monotonic()) > 0:
            await self._clock.sleep(early)
        async with self._door:
            await self._yield_to_webhooks()
        moment = item.moment
        while (late := self._clock.monotonic()) - moment > item.tolerance and not item.late(late):
            rate, _ = await self._limits(item.call["account_id"])
            moments = await self._rate_limiter.reserve(item.call["account_id"], rate, 1)
            if moments is None:
                return False
            moment = moments[0]
            await self._clock.sleep(moment - self._clock.monotonic())
        return True

    async def _hand_back(self, call: Document) -> None:
        """The server stops: others go on with the call, if the database can still be told in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HAND_BACK_SECONDS):
                if self._send_journal.has_sent(*attempt_of(call)):
                    await self._unknown(call, Unknown(STOPPED))
                else:
                    await self._release(call, 0, tries_of(call))

    async def _halt(self, call: Document, halted: str) -> None:
        await self._updates.add(cancel(call) if halted == "stopped" else hold(call))

    async def _arrived(self, call: Document, *updates: Transition) -> None:
        """Store what became of a call that left."""
        await self._updates.add(*updates)
        self._send_journal.acknowledge(*attempt_of(call))

    async def on_error(self, item: ScheduledCall, error: Exception) -> None:
        """A call that has left is asked about; another is tried again a few times, and then given up."""
        call, reason = item.call, Unknown(f"{CREATE_FAILED}: {type(error).__name__}")
        tries = tries_of(call) + 1
        if self._send_journal.has_sent(*attempt_of(call)):
            await self._unknown(call, reason)
        elif tries < MAX_TRIES:
            await self._release(call, ERROR_BACKOFF.seconds(tries), tries)
        else:
            await self._updates.add(reject(call, reason.message))

    async def _leave(self, call: Document, looked_at: float) -> None:
        """Write the call down as departed: its request leaves now. Raises NotSent.

        Nothing is awaited between the last look at what may keep the call back and its departure.
        """
        if time.monotonic() - looked_at > REMEMBERED_SECONDS:  # the connection was long in coming
            looked_at = time.monotonic()
            try:
                changed = await self._callout_hold.blocking_status(call) or await self._callout_hold.outdated(call)
            except Unavailable as error:
                raise Withheld(f"{CREATE_FAILED}: {error}") from error
            if changed:
                raise Withheld(CHANGED)
        if self._callout_hold.changed_since(call, looked_at):
            raise Withheld(CHANGED)
        if now() >= call[WORK]["lease"]:
            raise NotSent(f"{CREATE_FAILED}: the connection came too late")
        try:
            self._send_journal.append(*attempt_of(call))
        except OSError as error:
            raise NotSent(f"{CREATE_FAILED}: {error.strerror} in the data folder") from error

    async def _send(self, call: Document, credentials: Credentials, looked_at: float) -> Outcome:
        account_id = call["account_id"]
        params = sent_params(call["remote_request_params"], self._settings.public_url)
        try:
            response = await self._provider.create_call(
                credentials, call["msisdn"], params, lambda: self._leave(call, looked_at)
            )
        except AccountRefused as refused:
            return await self._account_refused(call, credentials, refused)
        except CallRejected as refused:
            self._answered(account_id)
            return partial(self._arrived, call, reject(call, refused.message))
        except Withheld:
            return partial(self._release, call, 0, tries_of(call))
        except NotSent as not_sent:
            self._refusals.kept_back(account_id, credentials)
            if not_sent.retry_after is None:
                self._breakers[account_id].failed(not_sent.message)
            else:
                self._breakers[account_id].throttled(not_sent.retry_after)
            return partial(self._not_sent, call, not_sent)
        except Unknown as unknown:
            self._refusals.kept_back(account_id, credentials)
            self._breakers[account_id].failed(unknown.message)
            # Whatever may have rung has left, even if it was not seen to leave.
            self._send_journal.append(*attempt_of(call))
            return partial(self._unknown, call, unknown)
        self._answered(account_id)
        self._refusals.accepted(account_id)
        self._sent(call)
        return partial(self._arrived, call, *accept(call, response, self._first_check(call)))

    def _answered(self, account_id: int) -> None:
        """The provider has answered, and not refused the account."""
        self._breakers[account_id].answered()
        self._refusals.answered(account_id)

    async def _account_refused(self, call: Document, credentials: Credentials, error: AccountRefused) -> Outcome:
        try:
            change = await self._refusals.waiting(call["account_id"], credentials, error)
        except Unavailable:
            change = {}  # nothing rang, and what is to become of the call cannot be told now
        if change is None:
            self._breakers[call["account_id"]].answered()
            return partial(self._arrived, call, reject(call, error.message))
        return partial(self._put_back, call, change)

    async def _put_back(self, call: Document, change: Document) -> None:
        """Queue a call again that left, and that the provider did not take."""
        await self._release(call, 0, tries_of(call), change)
        self._send_journal.acknowledge(*attempt_of(call))

    def _first_check(self, call: Document) -> datetime | None:
        params = sent_params(call["remote_request_params"], self._settings.public_url)
        return first_check(params, self._settings.status_check, self._settings.status_check_seconds)

    async def _not_sent(self, call: Document, reason: NotSent) -> None:
        tries = tries_of(call) + 1
        delay = max(SEND_BACKOFF.seconds(tries), reason.retry_after or 0)
        message = f"{reason.message} (not sent; it will be sent again)"
        await self._release(call, delay, tries, {"remote_error_message": message})
        self._send_journal.acknowledge(*attempt_of(call))

    async def _release(self, call: Document, delay: float, tries: int, change: Document | None = None) -> None:
        await self._updates.add(requeue(call, delay, tries, change))

    async def _unknown(self, call: Document, reason: ProviderError) -> None:
        lease = later(self._settings.unknown_grace_seconds)
        await self._updates.add(*mark_unknown(call, reason.message, lease, self._first_check(call)))
