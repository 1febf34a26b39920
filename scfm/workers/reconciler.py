"""Settles the calls that somebody had and did not finish: a process died, or the provider's answer never came.

A call that provably never left goes back into the queue. Of any other it is unknown whether it rang, and it is
never sent again: the provider is asked for its calls to that number, twice, with a pause; when it has none the
call is errored, and when it cannot be asked for long enough, too, saying that it may have rung.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from scfm.clock import later, now
from scfm.models import call_placement
from scfm.models.call_checks import requeue_remote_fetch
from scfm.models.call_lifecycle import CallStatus, Transition, expired
from scfm.models.call_work import LEASE, attempt_of, work_of
from scfm.models.stored_documents import CALLS, PhoneCallDocument
from scfm.providers.answers import RemoteCall
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.providers.errors import ProviderError
from scfm.settings import Settings
from scfm.storage.store import Store
from scfm.workers.calling_accounts import CallingAccounts
from scfm.workers.callout_hold import CalloutHold
from scfm.workers.claims import claim_each
from scfm.workers.clock_watch import ClockWatch
from scfm.workers.crash_recovery import CrashRecovery
from scfm.workers.remote_status import first_check
from scfm.workers.runner import Job
from scfm.workers.send_journal import SendJournal
from scfm.workers.send_schedule import MARGIN

MAX_TIMES_ASKED = 2
MAX_FAILURES = 5
# The provider's clock may be behind ours. An older call to the number is not mistaken for this one: it is known.
SKEW = timedelta(minutes=1)
MAY_HAVE_RUNG = (
    "Unable to create record: the provider could not be asked whether this call was placed. It may have rung"
)
LOST = (
    "Unable to create record: the server was interrupted while it placed this call, and the provider has no such call"
)


class Reconciler(Job):
    """Processes calls whose lease has run out, and takes over from dead processes before it claims."""

    name = "settle calls"
    slots = 10

    def __init__(
        self,
        store: Store,
        provider: Provider,
        accounts: CallingAccounts,
        send_journal: SendJournal,
        callout_hold: CalloutHold,
        settings: Settings,
        watch: ClockWatch | None = None,
    ) -> None:
        self._store = store
        self._provider = provider
        self._accounts = accounts
        self._send_journal = send_journal
        self._callout_hold = callout_hold
        self._settings = settings
        self._lease = settings.lease_seconds
        self._watch = watch or ClockWatch()
        self._grace = settings.unknown_grace_seconds
        self._limit = timedelta(seconds=settings.unknown_limit_seconds)
        self._crash_recovery = CrashRecovery(store, send_journal, grace=self._grace)

    async def claim(self, limit: int) -> Sequence[PhoneCallDocument]:
        await self._crash_recovery.take_over()
        await self._callout_hold.release_orphans()
        moment = now()  # before the look at the clock, which thus sees whatever this one may have seen
        if self._watch.was_set_within(self._lease + MARGIN):
            # By the clock leases may have run out under senders that live; in this time those leave, or give up.
            return ()
        return await claim_each(
            self._store.all_tenants,
            CALLS,
            expired(moment),
            LEASE,
            limit,
            lambda call: call_placement.claim_expired(call, moment, later(self._lease)),
        )

    async def process(self, item: PhoneCallDocument) -> None:
        if item["status"] == CallStatus.REMOTE_FETCH_QUEUED:
            await self._store.all_tenants.update_one(CALLS, *requeue_remote_fetch(item))
        elif item["status"] == CallStatus.QUEUED:
            await self._settle(item)
        else:
            await self._store.all_tenants.update_one(CALLS, *call_placement.finish(item, self._first_check(item)))

    async def on_error(self, item: PhoneCallDocument, error: Exception) -> None:
        """Try again a few times, then set the call aside, where its owner can see why."""
        failures = work_of(item).get("failures", 0) + 1
        if failures < MAX_FAILURES:
            transition = call_placement.settle_again(item, failures, later(self._grace))
        else:
            transition = call_placement.give_up_settling(item, f"{MAY_HAVE_RUNG}. {type(error).__name__}")
        await self._store.all_tenants.update_one(CALLS, *transition)

    async def _settle(self, item: PhoneCallDocument) -> None:
        """Find out whether a call that is still queued has left, and what the provider made of it."""
        attempt = work_of(item)["attempt"]
        mine = attempt["log"] is not None and attempt["log"] == self._send_journal.id
        if mine and not self._send_journal.has_sent(*attempt_of(item)):
            # Claimed by this process, and overtaken by a failing database before it could leave.
            await self._store.all_tenants.update_one(CALLS, *call_placement.requeue_unsent(item))
            return
        recent = now() - attempt["at"] <= self._limit
        if recent and self._send_journal.unsent_by_living_process(attempt["log"], *attempt_of(item)):
            # So it is in another process, which knows best, and will say so when it reaches the database.
            await self._store.all_tenants.update_one(
                CALLS, *call_placement.settle_later(item, later(max(self._grace, 1)))
            )
            return
        try:
            listed = await self._listed(item)
        except ProviderError as error:
            await self._provider_unreachable(item, error)
        else:
            await self._match(item, listed)

    async def _listed(self, call: PhoneCallDocument) -> list[RemoteCall]:
        """The provider's calls that this one can be, also those of an account that has been left meanwhile."""
        listed = await self._accounts.ask(call["account_id"], lambda own: self._candidates(own, call))
        if not listed:
            for former in await self._accounts.former_credentials(call["account_id"], work_of(call)["attempt"]["at"]):
                listed += await self._candidates(former, call)
        return listed

    async def _candidates(self, credentials: Credentials, call: PhoneCallDocument) -> list[RemoteCall]:
        """The provider's calls that this one can be: the one that a report has named, else those to its number."""
        if call["remote_call_id"] is not None:
            return [await self._provider.fetch_call(credentials, call["remote_call_id"])]
        attempted = work_of(call)["attempt"]["at"]
        if attempted > now():  # by a clock that has been set back since
            attempted = now() - self._limit
        return await self._provider.list_calls(credentials, call["msisdn"], attempted - SKEW)

    async def _match(self, call: PhoneCallDocument, listed: list[RemoteCall]) -> None:
        """The call is the first of those that the provider has LISTED and that is no other call's."""
        # This must be looked at first: a rival that is no more has left its mark on the call that is its own.
        rivals = await self._store.all_tenants.exists(CALLS, call_placement.rivals_of(call))
        for response in listed:
            # Of any account: they may share the server's own credentials.
            another = {"remote_call_id": response["sid"], "_id": {"$ne": call["_id"]}}
            if await self._store.all_tenants.exists(CALLS, another):
                continue
            if rivals and call["remote_call_id"] is None:
                await self._store.all_tenants.update_one(
                    CALLS, *call_placement.settle_later(call, later(self._grace))
                )
            else:
                await self._settled(call, *call_placement.accept(call, response, self._first_check(call)))
            return
        await self._not_listed(call)

    async def _not_listed(self, call: PhoneCallDocument) -> None:
        reason = work_of(call).get("reason") or LOST
        if work_of(call).get("asked", 0) + 1 >= MAX_TIMES_ASKED:
            await self._settled(call, call_placement.reject_unlisted(call, reason))
        else:
            unlisted = call_placement.mark_unlisted(call, reason, later(self._grace))
            await self._store.all_tenants.update_one(CALLS, *unlisted)

    async def _provider_unreachable(self, call: PhoneCallDocument, error: ProviderError) -> None:
        if now() - work_of(call)["attempt"]["at"] > self._limit:
            words = f"{MAY_HAVE_RUNG}. {work_of(call).get('reason') or error.message}"
            await self._settled(call, call_placement.give_up_unanswered(call, words))
        else:
            unanswered = call_placement.mark_unanswered(call, error.message, later(max(self._grace, 1)))
            await self._store.all_tenants.update_one(CALLS, *unanswered)

    async def _settled(self, call: PhoneCallDocument, *updates: Transition) -> None:
        await self._store.all_tenants.bulk_update(CALLS, updates)
        self._send_journal.forget(*attempt_of(call))

    def _first_check(self, call: PhoneCallDocument) -> datetime | None:
        """Its reports may have come while nobody listened, so it is asked about even if it has a status callback."""
        policy = "always" if self._settings.status_check == "auto" else self._settings.status_check
        return first_check(call["remote_request_params"], policy, self._settings.status_check_seconds)
