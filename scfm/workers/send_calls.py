"""Sends queued calls to the provider, each at most once.

Before a request leaves, its attempt is in the database and the call is in this process's departures. What is not
known of a request afterwards is not guessed: see settle_calls.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from scfm.clock import now
from scfm.models.query import Document
from scfm.models.store import Store
from scfm.provider import CREATE, Credentials, NotSent, Provider, ProviderError, Refused, Unknown
from scfm.settings import Settings
from scfm.workers.calls import CALLS, Accounts, Waiting, later
from scfm.workers.check_calls import first_check
from scfm.workers.departures import Departures
from scfm.workers.gate import Gate, canceled
from scfm.workers.loop import Job
from scfm.workers.pace import Pace
from scfm.workers.writes import Writes

LEFT_TO_OTHERS = 5
MOST_TRIES = 5
MARGIN = 5.0
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 60.0
UNKNOWN = "It is not known whether this call was placed; the provider is being asked. "


@dataclass(frozen=True)
class Departure:
    """A call that has been taken: the monotonic times at which it may leave, and by which it must have left."""

    call: Document
    moment: float
    deadline: float
    # The same by the clock that leases go by, which may jump: a machine sleeps, or its clock is set.
    until: datetime

    @property
    def late(self) -> bool:
        return time.monotonic() > self.deadline or now() > self.until


class SendCalls(Job):
    name = "send calls"

    def __init__(
        self,
        store: Store,
        provider: Provider,
        accounts: Accounts,
        departures: Departures,
        gate: Gate,
        settings: Settings,
    ) -> None:
        self.slots = settings.calls_in_flight
        self._provider = provider
        self._accounts = accounts
        self._departures = departures
        self._gate = gate
        self._settings = settings
        # A call waits for half a lease to leave. Then its request, which ends within twice the time-out (see
        # provider.py), must end before the lease does: after that another process may take the call for abandoned.
        self._patience = settings.lease_seconds / 2
        self._request_seconds = max(self._patience, 2 * settings.provider_timeout + MARGIN)
        # One account leaves a part of the slots to the others, however slow its provider is.
        most = self.slots - self.slots // LEFT_TO_OTHERS
        self._pace = Pace(store, calls_per_second=settings.calls_per_second, calls_in_flight=most)
        self._waiting = Waiting(store, "queued")
        self._writes = Writes(store.everyone, CALLS)

    async def take(self, most: int) -> Sequence[Departure]:
        """Calls whose attempt is now in the database, and when each may leave."""
        deadline, until = time.monotonic() + self._patience, later(self._patience)
        attempt = {"id": uuid.uuid4().hex, "at": now(), "log": self._departures.id}
        lease = until + timedelta(seconds=self._request_seconds)
        calls = await self._waiting.take(most, lease, attempt, self._allowance)
        departures: list[Departure] = []
        for account_id, group in groupby(calls, key=lambda call: int(call["account_id"])):
            own = list(group)
            rate, _ = await self._accounts.limits(account_id)
            moments = await self._pace.book(account_id, rate, len(own))
            departures += [Departure(*pair, deadline, until) for pair in zip(own, moments, strict=True)]
        for departure in departures:
            self._pace.entered(departure.call["account_id"])
        return departures

    async def _allowance(self, account_id: int) -> int:
        return self._pace.allowance(account_id, *await self._accounts.limits(account_id))

    async def work(self, item: Departure) -> None:
        call, account_id = item.call, item.call["account_id"]
        try:
            if (early := item.moment - time.monotonic()) > 0:
                await asyncio.sleep(early)
            credentials = await self._accounts.credentials(account_id)
            if await self._may_leave(item):
                await self._send(call, credentials)
        finally:
            self._pace.left(account_id)

    async def _may_leave(self, item: Departure) -> bool:
        """Whether nothing keeps the call back at the last moment."""
        call = item.call
        if (halted := await self._gate.halts(call)) is not None:
            held = {"$set": {"_work": {"held": True}}}
            await self._writes.add((_mine(call), canceled() if halted == "stopped" else held))
            return False
        if item.late or self._pace.blocked(call["account_id"]):
            await self._release(call, 0)
            return False
        return True

    async def _arrived(self, call: Document, *updates: tuple[Document, Document]) -> None:
        """Store what became of a call that left."""
        await self._writes.add(*updates)
        self._departures.arrived(call["_work"]["attempt"]["id"], call["_id"])

    async def failed(self, item: Departure, error: Exception) -> None:
        """A call that has left is asked about; another is tried again a few times, and then given up."""
        call, reason = item.call, Unknown(f"{CREATE}: {type(error).__name__}")
        tries = call["_work"].get("tries", 0) + 1
        if self._departures.left(call["_work"]["attempt"]["id"], call["_id"]):
            await self._unknown(call, reason)
        elif tries < MOST_TRIES:
            await self._release(call, FIRST_BACKOFF * tries, tries=tries)
        else:
            await self._writes.add((_mine(call), errored(reason)))

    def _leave(self, call: Document) -> None:
        """Write the call down as departed: its request leaves now."""
        try:
            self._departures.note(call["_work"]["attempt"]["id"], call["_id"])
        except OSError as error:
            raise NotSent(f"{CREATE}: {error.strerror} in the data folder") from error

    async def _send(self, call: Document, credentials: Credentials) -> None:
        try:
            response = await self._provider.create_call(
                credentials, call["msisdn"], call["remote_request_params"], lambda: self._leave(call)
            )
        except Refused as refused:
            self._pace.answered(call["account_id"])
            await self._arrived(call, (_mine(call), errored(refused)))
        except NotSent as not_sent:
            await self._not_sent(call, not_sent)
        except Unknown as unknown:
            self._pace.failed(call["account_id"])
            # Whatever may have rung has left, even if it was not seen to leave.
            self._departures.note(call["_work"]["attempt"]["id"], call["_id"])
            await self._unknown(call, unknown)
        else:
            self._pace.answered(call["account_id"])
            check = first_check(call, self._settings.status_check, self._settings.status_check_seconds)
            await self._arrived(call, *accepted(call, response, check))

    async def _not_sent(self, call: Document, reason: NotSent) -> None:
        tries = call["_work"].get("tries", 0) + 1
        backoff = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(tries, 20)) * random.uniform(0.5, 1)
        delay = max(backoff, reason.retry_after or 0)
        if reason.retry_after is None:
            self._pace.failed(call["account_id"])
        else:
            self._pace.throttled(call["account_id"], reason.retry_after)
        message = f"{reason.message} (not sent; it will be sent again)"
        await self._release(call, delay, {"remote_error_message": message}, tries)
        self._departures.arrived(call["_work"]["attempt"]["id"], call["_id"])

    async def _release(self, call: Document, delay: float, change: Document | None = None, tries: int = 0) -> None:
        work = {"due": later(delay), "tries": tries}
        await self._writes.add((_mine(call), {"$set": {**(change or {}), "_work": work, "updated_at": now()}}))

    async def _unknown(self, call: Document, reason: ProviderError) -> None:
        change = {
            "remote_error_message": UNKNOWN + reason.message,
            "_work.lease": later(self._settings.unknown_grace_seconds),
            "_work.reason": reason.message,
            "updated_at": now(),
        }
        await self._writes.add((_mine(call), {"$set": change}))


def _mine(call: Document) -> Document:
    return {"_id": call["_id"], "status": "queued", "_work.attempt.id": call["_work"]["attempt"]["id"]}


def errored(reason: ProviderError) -> Document:
    """The update of a call that the provider will not place."""
    moment = now()
    change = {
        "status": "errored",
        "remote_error_message": reason.message,
        "remotely_queued_at": moment,
        "updated_at": moment,
    }
    return {"$set": change, "$unset": {"_work": ""}}


def accepted(call: Document, response: Document, check: datetime | None) -> list[tuple[Document, Document]]:
    """The updates of a call that the provider has accepted; a report may already have moved it further.

    CHECK is when to ask how the call ended, if nobody has told.
    """
    moment = now()
    answer = {
        "remote_call_id": response["sid"],
        "remote_direction": response.get("direction"),
        "remote_queue_response": response,
        "remotely_queued_at": moment,
        "updated_at": moment,
    }
    if check is not None:
        answer["_check"] = check
    moved_on = {"_id": call["_id"], "remote_call_id": response["sid"], "remotely_queued_at": None}
    waiting = {
        **answer,
        "status": "remotely_queued",
        "remote_status": response.get("status"),
        "remote_error_message": None,
    }
    return [
        (_mine(call), {"$set": waiting, "$unset": {"_work": ""}}),
        (moved_on, {"$set": answer}),
    ]
