"""Sends queued calls to the provider, each at most once.

Before a request leaves, its attempt is in the database and the call is in this process's send journal. What is not
known of a request afterwards is not guessed: see ``reconciler``. Which calls are next, and when, is in
``send_schedule``; what is stored of them afterwards in ``placement_recorder``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from scfm.clock import SYSTEM_CLOCK, MonotonicClock, now
from scfm.errors import Unavailable
from scfm.models.call_work import WORK, attempt_of, tries_of
from scfm.models.stored_documents import PhoneCallDocument
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.providers.errors import CREATE_FAILED, AccountRefused, CallRejected, NotSent, Unknown
from scfm.runtime.backoff import Backoff
from scfm.runtime.metrics import LEASE_LOSSES
from scfm.settings import Settings
from scfm.storage.store import Store
from scfm.workers.account_refusals import AccountRefusals
from scfm.workers.calling_accounts import CallingAccounts
from scfm.workers.callout_hold import CALLOUT_CACHE_SECONDS, CalloutHold
from scfm.workers.circuit_breaker import CircuitBreakers
from scfm.workers.placement_recorder import PlacementRecorder
from scfm.workers.rate_limiter import RateLimiter
from scfm.workers.request_params import params_of
from scfm.workers.runner import BATCHED, HAND_BACK_SECONDS, Job
from scfm.workers.send_journal import SendJournal
from scfm.workers.send_schedule import ScheduledCall, SendSchedule

MAX_SEND_TRIES = 5
# While more than a few are in flight, calls are not claimed two at a time, each pair by round trips of its own.
FEW, CLAIM_GATHER_SECONDS = 10, 0.05
# How often what may keep a call back is looked at again just before it leaves, where each look is long in coming.
MAX_LAST_LOOKS = 3
# After an error in this program, of a call that has not left.
ERROR_BACKOFF = Backoff(first=0.5, longest=2.0)
CHANGED = f"{CREATE_FAILED}: what keeps it back has just been changed"
STOPPED = f"{CREATE_FAILED}: the server was stopped while it placed this call"


class Withheld(NotSent):
    """The call was about to leave when what keeps it back, or what it was claimed with, changed: see CalloutHold."""


RecordPlacement = Callable[[], Awaitable[None]]
"""Stores what became of a call."""


class ServerHooks(NamedTuple):
    """What the dispatcher asks and tells the rest of the server.

    ``own_url`` gives where providers reach it; ``yield_to_webhooks`` returns when the answers to callers may wait for
    a batch of calls; ``sent`` is told of each call that the provider has accepted.
    """

    own_url: Callable[[], str]
    yield_to_webhooks: Callable[[], Awaitable[None]] = partial(asyncio.sleep, 0)
    sent: Callable[[PhoneCallDocument], None] = lambda call: None


class Dispatcher(Job):
    """Processes queued calls: waits for the moment of each, sends it if nothing forbids, records how that ended."""

    name = "send calls"

    def __init__(
        self,
        store: Store,
        provider: Provider,
        accounts: CallingAccounts,
        send_journal: SendJournal,
        callout_hold: CalloutHold,
        settings: Settings,
        server: ServerHooks | None = None,
        clock: MonotonicClock = SYSTEM_CLOCK,
    ) -> None:
        server = server or ServerHooks(own_url=lambda: settings.public_url)
        # A call that has its answer still holds a slot until that is stored, but is no longer in flight.
        self.slots = 2 * settings.calls_in_flight
        self._provider = provider
        self._accounts = accounts
        self._send_journal = send_journal
        self._callout_hold = callout_hold
        self._params_of = partial(params_of, settings.public_url, server.own_url)
        self._clock = clock
        self._sent = server.sent
        self._placements = PlacementRecorder(store, send_journal, settings, self._params_of)
        self.breakers = CircuitBreakers(clock)
        self._rate_limiter = RateLimiter(
            store,
            settings.calls_per_second,
            settings.calls_in_flight,
            self.breakers,
            # A claimed call waits for half a lease at most (see SendSchedule), and for its moment half of that.
            patience=settings.lease_seconds / 4,
            clock=clock,
        )
        self._schedule = SendSchedule(
            store,
            accounts,
            callout_hold,
            self._rate_limiter,
            self._placements,
            settings,
            send_journal.id,
            server.yield_to_webhooks,
            clock,
        )
        self._refusals = AccountRefusals(store, accounts, self.breakers)
        # More is claimed when so few calls are in flight, or at that moment.
        self._few = 0
        self._claim_again_at = 0.0

    async def claim(self, limit: int) -> Sequence[ScheduledCall]:
        """Calls whose attempt is now in the database, and when each may leave."""
        many = self._rate_limiter.in_flight > max(self._few, FEW)
        if many and (early := self._claim_again_at - self._clock.monotonic()) > 0:
            self.next_claim_in = early
            return ()
        await self._schedule.requeue_unheard()
        await self._refusals.try_changed_credentials()
        before = self._rate_limiter.in_flight
        scheduled_calls = await self._schedule.claim(limit)
        for scheduled in scheduled_calls:
            self._rate_limiter.call_started(scheduled.call["account_id"], scheduled.call.get("callout_id"))
        self.next_claim_in = self._rate_limiter.seconds_until_room()
        self._few = self._rate_limiter.in_flight * (BATCHED - 1) // BATCHED
        self._claim_again_at = self._clock.monotonic() + CLAIM_GATHER_SECONDS
        if not scheduled_calls and self._rate_limiter.in_flight < before:
            self.wake()  # there was no room for more, and now there is
        return scheduled_calls

    def request_of(self, item: ScheduledCall) -> str | None:
        return item.call.get("_request_id")

    async def process(self, item: ScheduledCall) -> None:
        call = item.call
        try:
            try:
                record_placement = await self._place(item)
            finally:  # it is no longer in flight; more may be claimed if that leaves few
                self._rate_limiter.call_ended(call["account_id"], call.get("callout_id"))
                if self._rate_limiter.in_flight <= self._few:
                    self.wake()
            await record_placement()
        except Unavailable:
            # Nothing raises this once the call has left.
            await self._placements.record_requeued(call, 0, tries_of(call))
            raise
        except asyncio.CancelledError:
            await self._hand_back(call)
            raise

    async def _place(self, item: ScheduledCall) -> RecordPlacement:
        """Send the call when its moment has come, if nothing keeps it back."""
        call = item.call
        if not await self._schedule.wait_for_moment(item):
            return partial(self._record_put_off, call)
        credentials = await self._accounts.credentials(call["account_id"])
        looked_at = time.monotonic()
        if (blocking := await self._callout_hold.blocking_status(call)) is not None:
            return partial(self._placements.record_blocked, call, blocking)
        if (renumbered := await self._callout_hold.outdated(call)) is not None:
            return partial(self._placements.record_renumbered, renumbered)
        if item.late(self._clock.monotonic()) or self.breakers[call["account_id"]].is_open:
            return partial(self._record_put_off, call)
        return await self._send(call, credentials, looked_at)

    async def _record_put_off(self, call: PhoneCallDocument) -> None:
        """The call did not leave: it is due again, and says why, if its account is refused."""
        await self._placements.record_requeued(
            call, 0, tries_of(call), self._refusals.explanation(call["account_id"])
        )

    async def _hand_back(self, call: PhoneCallDocument) -> None:
        """The server stops: others go on with the call, if the database can still be told in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HAND_BACK_SECONDS):
                if self._send_journal.has_sent(*attempt_of(call)):
                    await self._placements.record_unknown(call, Unknown(STOPPED))
                else:
                    await self._placements.record_requeued(call, 0, tries_of(call))

    async def on_error(self, item: ScheduledCall, error: Exception) -> None:
        """A call that has left is asked about; another is tried again a few times, and then given up."""
        call, reason = item.call, Unknown(f"{CREATE_FAILED}: {type(error).__name__}")
        tries = tries_of(call) + 1
        if self._send_journal.has_sent(*attempt_of(call)):
            await self._placements.record_unknown(call, reason)
        elif tries < MAX_SEND_TRIES:
            await self._placements.record_requeued(call, ERROR_BACKOFF.seconds(tries), tries)
        else:
            await self._placements.record_rejected(call, reason.message)

    async def _leave(self, call: PhoneCallDocument, looked_at: float) -> None:
        """Append the call to the send journal: its request leaves now. Raises NotSent: then it does not leave.

        Nothing is awaited between the last look at what may keep the call back and the entry in the journal.
        """
        for _ in range(MAX_LAST_LOOKS):
            if time.monotonic() - looked_at <= CALLOUT_CACHE_SECONDS:
                break
            looked_at = time.monotonic()  # the connection was long in coming, or the look itself was
            try:
                changed = await self._callout_hold.blocking_status(call) or await self._callout_hold.outdated(call)
            except Unavailable as error:
                raise Withheld(f"{CREATE_FAILED}: {error}") from error
            if changed:
                raise Withheld(CHANGED)
        if self._callout_hold.changed_since(call, looked_at) or self._callout_hold.shut_now(call):
            raise Withheld(CHANGED)
        if now() >= call[WORK]["lease"]:
            LEASE_LOSSES.labels("phone_call").inc()
            raise NotSent(f"{CREATE_FAILED}: the connection came too late")
        try:
            self._send_journal.append(*attempt_of(call))
        except OSError as error:
            raise NotSent(f"{CREATE_FAILED}: {error.strerror} in the data folder") from error

    async def _send(self, call: PhoneCallDocument, credentials: Credentials, looked_at: float) -> RecordPlacement:
        account_id = call["account_id"]
        params = self._params_of(call)
        try:
            response = await self._provider.create_call(
                credentials, call["msisdn"], params, lambda: self._leave(call, looked_at)
            )
        except AccountRefused as refused:
            return await self._account_refused(call, credentials, refused)
        except CallRejected as refused:
            self._answered(account_id)
            return partial(self._placements.record_rejected, call, refused.message, refused.code)
        except Withheld:
            return partial(self._placements.record_requeued, call, 0, tries_of(call))
        except NotSent as not_sent:
            self._refusals.kept_back(account_id, credentials)
            if not_sent.retry_after is None:
                self.breakers[account_id].failed(not_sent.message)
            else:
                self.breakers[account_id].throttled(not_sent.retry_after)
            return partial(self._placements.record_not_sent, call, not_sent)
        except Unknown as unknown:
            self._refusals.kept_back(account_id, credentials)
            self.breakers[account_id].failed(unknown.message)
            # Whatever may have rung has left, even if it was not seen to leave.
            self._send_journal.append(*attempt_of(call))
            return partial(self._placements.record_unknown, call, unknown)
        self._answered(account_id)
        self._refusals.accepted(account_id)
        self._sent(call)
        return partial(self._placements.record_accepted, call, response)

    def _answered(self, account_id: int) -> None:
        """The provider has answered, and not refused the account."""
        self.breakers[account_id].answered()
        self._refusals.answered(account_id)

    async def _account_refused(
        self, call: PhoneCallDocument, credentials: Credentials, error: AccountRefused
    ) -> RecordPlacement:
        try:
            change = await self._refusals.waiting(call["account_id"], credentials, error)
        except Unavailable:
            change = {}  # nothing rang, and what is to become of the call cannot be told now
        if change is None:
            self.breakers[call["account_id"]].answered()
            return partial(self._placements.record_rejected, call, error.message, error.code)
        return partial(self._placements.record_put_back, call, change)
