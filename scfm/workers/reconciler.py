"""Settles the calls that somebody had and did not finish: a process died, or the provider's answer never came.

A call that provably never left goes back into the queue. Of any other it is unknown whether it rang, and it is
never sent again: the provider is asked for its calls to that number, twice, with a pause; when it has none the
call is errored, and when it cannot be asked for long enough, too, saying that it may have rung.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from scfm.clock import now
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.providers.errors import CallRejected, ProviderError
from scfm.settings import Settings
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers.batch_runner import OPERATIONS
from scfm.workers.callout_hold import CalloutHold
from scfm.workers.claims import CALLS, Accounts, attempt_of, later
from scfm.workers.clock_watch import ClockWatch
from scfm.workers.dispatcher import MARGIN, UNKNOWN, accepted, errored, placed
from scfm.workers.runner import Job
from scfm.workers.send_journal import SendJournal
from scfm.workers.status_poller import first_check

log = logging.getLogger("scfm.work")

TIMES_ASKED = 2
MAX_FAILURES = 5
# What a process had asked of the database when it died may be carried out a moment later.
LAST_WORDS_SECONDS = 10.0
# The provider's clock may be behind ours. An older call to the number is not mistaken for this one: it is known.
SKEW = timedelta(minutes=1)
MAY_HAVE_RUNG = (
    "Unable to create record: the provider could not be asked whether this call was placed. It may have rung"
)
LOST = (
    "Unable to create record: the server was interrupted while it placed this call, and the provider has no such call"
)


class Reconciler(Job):
    name = "settle calls"
    slots = 10

    def __init__(
        self,
        store: Store,
        provider: Provider,
        accounts: Accounts,
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
        self._dead_since: dict[str, float] = {}

    async def claim(self, limit: int) -> Sequence[Document]:
        await self._recover()
        await self._callout_hold.release_orphans()
        expired = {"_work.lease": {"$lt": now()}}
        if self._watch.was_set_within(self._lease + MARGIN):
            # By the clock leases may have run out under senders that live; in this time those leave, or give up.
            return ()
        taken = []
        for call in await self._store.all_tenants.find(CALLS, expired, sort=[("_work.lease", 1)], limit=limit):
            mine = {"_work.lease": later(self._lease), "_work.settling": True}
            held = await self._store.all_tenants.update(CALLS, {"_id": call["_id"], **expired}, mine)
            if held is not None:
                taken.append(held)
        return taken

    async def _recover(self) -> None:
        """Take over what a process on this machine had when it died: what it had not sent is queued again."""
        for dead, left in self._send_journal.of_dead_processes():
            await self._take_over(dead, left)
            since = self._dead_since.setdefault(dead, time.monotonic())
            if time.monotonic() - since >= LAST_WORDS_SECONDS:
                self._send_journal.discard(dead)
                del self._dead_since[dead]
        for log_id in self._send_journal.of_earlier_boots():
            if not await self._store.all_tenants.exists(CALLS, _under(log_id)):
                self._send_journal.discard(log_id)

    async def _take_over(self, dead: str, left: set[tuple[str, int]] | None) -> None:
        calls = await self._store.all_tenants.find(CALLS, _under(dead), fields=["_work", "status"])
        # Another process may be at it, too, or a report.
        updates = [
            ({**_under(dead), "_id": call["_id"], "status": call["status"]}, {"$set": self._after_death(call, left)})
            for call in calls
        ]
        await self._store.all_tenants.update_each(CALLS, updates)
        if calls:
            log.info("%d calls of an ended process are taken over", len(calls))
        run = {"_work.due": {"$exists": True}, "_work.log": dead}
        await self._store.all_tenants.update_many(OPERATIONS, run, {"$set": {"_work.due": now()}})

    def _after_death(self, call: Document, left: set[tuple[str, int]] | None) -> Document:
        if call["status"] != "queued":
            return {"_work.attempt.log": None, "_work.lease": now()}
        if left is None or attempt_of(call) in left:
            # The provider, too, may need a moment until it lists what it got just then.
            return {"_work.attempt.log": None, "_work.lease": later(self._grace)}
        return {"_work": {"due": now()}}

    async def process(self, item: Document) -> None:
        if item["status"] == "remote_fetch_queued":
            await self._requeue_fetch(item)
        elif item["status"] == "queued":
            await self._settle(item)
        else:
            await self._finish(item)

    async def on_error(self, item: Document, error: Exception) -> None:
        """Try again a few times, then set the call aside, where its owner can see why."""
        failures = item["_work"].get("failures", 0) + 1
        mine = {"_id": item["_id"], "_work.lease": item["_work"]["lease"]}
        if failures < MAX_FAILURES:
            change = {"_work.failures": failures, "_work.lease": later(self._grace)}
            await self._store.all_tenants.update(CALLS, mine, change)
        else:
            words = f"{MAY_HAVE_RUNG}. {type(error).__name__}"
            await self._store.all_tenants.apply(CALLS, {**mine, "status": "queued"}, errored(CallRejected(words)))

    async def _finish(self, call: Document) -> None:
        """A report has moved the call on while it was under way, and nobody has heard the answer to its request."""
        mine = {"_id": call["_id"], "_work.lease": call["_work"]["lease"]}
        update: Document = {"$unset": {"_work": ""}}
        if "attempt" in call["_work"]:
            update = placed(call, self._first_check(call))
        await self._store.all_tenants.apply(CALLS, mine, update)

    def _first_check(self, call: Document) -> datetime | None:
        """Its reports may have come while nobody listened, so it is asked about even if it has a status callback."""
        policy = "always" if self._settings.status_check == "auto" else self._settings.status_check
        return first_check(call["remote_request_params"], policy, self._settings.status_check_seconds)

    async def _settle(self, item: Document) -> None:
        attempt = item["_work"]["attempt"]
        mine = attempt["log"] is not None and attempt["log"] == self._send_journal.id
        if mine and not self._send_journal.has_sent(*attempt_of(item)):
            # Taken by this process, and overtaken by a failing database before it could leave.
            await self._store.all_tenants.update(CALLS, _held(item), {"_work": {"due": now()}})
            return
        recent = now() - attempt["at"] <= self._limit
        if recent and self._send_journal.unsent_by_living_process(attempt["log"], *attempt_of(item)):
            # So it is in another process, which knows best, and will say so when it reaches the database.
            await self._store.all_tenants.update(CALLS, _held(item), {"_work.lease": later(max(self._grace, 1))})
            return
        try:
            listed = await self._listed(item)
        except ProviderError as error:
            await self._not_answered(item, error)
            return
        # This must be looked at first: a rival that is no more has left its mark on the call that is its own.
        rivals = await self._store.all_tenants.exists(CALLS, _rivals(item))
        for response in listed:
            # Of any account: they may share the server's own credentials.
            another = {"remote_call_id": response["sid"], "_id": {"$ne": item["_id"]}}
            if await self._store.all_tenants.exists(CALLS, another):
                continue
            if rivals and item["remote_call_id"] is None:
                await self._store.all_tenants.update(CALLS, _held(item), {"_work.lease": later(self._grace)})
            else:
                await self._settled(item, *accepted(item, response, self._first_check(item)))
            return
        await self._not_listed(item)

    async def _listed(self, call: Document) -> list[Document]:
        """The provider's calls that this one can be, also those of an account that has been left meanwhile."""
        listed = await self._accounts.ask(call["account_id"], lambda own: self._candidates(own, call))
        if not listed:
            for former in await self._accounts.former_credentials(call["account_id"], call["_work"]["attempt"]["at"]):
                listed += await self._candidates(former, call)
        return listed

    async def _candidates(self, credentials: Credentials, call: Document) -> list[Document]:
        """The provider's calls that this one can be: the one that a report has named, else those to its number."""
        if call["remote_call_id"] is not None:
            return [await self._provider.fetch_call(credentials, call["remote_call_id"])]
        attempted = call["_work"]["attempt"]["at"]
        if attempted > now():  # by a clock that has been set back since
            attempted = now() - self._limit
        return await self._provider.list_calls(credentials, call["msisdn"], attempted - SKEW)

    async def _requeue_fetch(self, call: Document) -> None:
        condition = {"_id": call["_id"], "status": "remote_fetch_queued"}
        await self._store.all_tenants.update(CALLS, condition, {"_work": {"due": now()}})

    async def _settled(self, call: Document, *updates: tuple[Document, Document]) -> None:
        await self._store.all_tenants.update_each(CALLS, updates)
        self._send_journal.acknowledge(*attempt_of(call))

    async def _not_listed(self, call: Document) -> None:
        asked = call["_work"].get("asked", 0) + 1
        reason = call["_work"].get("reason") or LOST
        if asked >= TIMES_ASKED:
            await self._settled(call, ({**_held(call), "remote_call_id": None}, errored(CallRejected(reason))))
            return
        change = {
            "_work.asked": asked,
            "_work.lease": later(self._grace),
            "remote_error_message": UNKNOWN + reason,
            "updated_at": now(),
        }
        await self._store.all_tenants.update(CALLS, _held(call), change)

    async def _not_answered(self, call: Document, error: ProviderError) -> None:
        if now() - call["_work"]["attempt"]["at"] > self._limit:
            words = f"{MAY_HAVE_RUNG}. {call['_work'].get('reason') or error.message}"
            await self._settled(call, (_held(call), errored(CallRejected(words))))
            return
        change = {
            "_work.lease": later(max(self._grace, 1)),
            "remote_error_message": UNKNOWN + error.message,
            "updated_at": now(),
        }
        await self._store.all_tenants.update(CALLS, _held(call), change)


def _under(log_id: str) -> Document:
    """The calls that the process with this log has, or had."""
    return {"_work.lease": {"$exists": True}, "_work.attempt.log": log_id}


def _rivals(call: Document) -> Document:
    """The other calls to the number that may have placed what the provider lists.

    Those that are settled go by their ids; those that are under way come first.
    """
    first = [{"_id": {"$lt": call["_id"]}}, {"_id": {"$gt": call["_id"]}, "_work.settling": None}]
    under_way = {"_work.lease": {"$exists": True}, "_work.attempt": {"$exists": True}}
    return {"msisdn": call["msisdn"], "status": "queued", **under_way, "$or": first}


def _held(call: Document) -> Document:
    return {"_id": call["_id"], "status": "queued", "_work.attempt.id": call["_work"]["attempt"]["id"]}
