"""Sends queued calls to the provider, each at most once.

Before a request leaves, its attempt is in the database and the call is in this process's departures. What is not
known of a request afterwards is not guessed: see settle_calls.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence

from scfm.clock import now
from scfm.models.query import Document
from scfm.models.store import Store
from scfm.provider import Credentials, NotSent, Provider, ProviderError, Refused, Unknown
from scfm.workers.calls import CALLS, Accounts, Waiting, later
from scfm.workers.departures import Departures
from scfm.workers.loop import Job
from scfm.workers.writes import Writes

FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 60.0
UNKNOWN = "It is not known whether this call was placed; the provider is being asked. "


class SendCalls(Job):
    name = "send calls"

    def __init__(
        self,
        store: Store,
        provider: Provider,
        accounts: Accounts,
        departures: Departures,
        *,
        slots: int,
        lease: float,
        grace: float,
    ) -> None:
        self.slots = slots
        self._provider = provider
        self._accounts = accounts
        self._departures = departures
        self._lease = lease
        self._grace = grace
        self._store = store
        self._waiting = Waiting(store, "queued")
        self._writes = Writes(store.everyone, CALLS)

    async def take(self, most: int) -> Sequence[tuple[Document, float]]:
        """Calls whose attempt is now in the database, with the monotonic time at which they must have left."""
        # Half the lease is for the request itself: after that another process may take the call for abandoned.
        deadline = time.monotonic() + self._lease / 2
        attempt = {"id": uuid.uuid4().hex, "at": now(), "log": self._departures.id}
        calls = await self._waiting.take(most, later(self._lease), attempt)
        return [(call, deadline) for call in await self._allowed(calls)]

    async def _allowed(self, calls: list[Document]) -> list[Document]:
        """Those whose callout goes on: calls of a paused callout wait, those of a stopped one are canceled."""
        numbers = {call["callout_id"] for call in calls if call["callout_id"] is not None}
        halted = {"_id": {"$in": sorted(numbers)}, "status": {"$in": ["paused", "stopped"]}}
        found = await self._store.everyone.find("callouts", halted, fields=["status"]) if numbers else []
        status = {callout["_id"]: callout["status"] for callout in found}
        for call in calls:
            if call["callout_id"] in status:
                await self._halt(call, status[call["callout_id"]])
        return [call for call in calls if call["callout_id"] not in status]

    async def _halt(self, call: Document, status: str) -> None:
        if status == "stopped":
            update: Document = {"$set": {"status": "canceled", "updated_at": now()}, "$unset": {"_work": ""}}
        else:
            update = {"$set": {"_work": {"held": True}}}
        await self._writes.add((_mine(call), update))

    async def hand_back(self, items: Sequence[tuple[Document, float]]) -> None:
        for call, _ in items:
            await self._release(call, 0)

    async def work(self, item: tuple[Document, float]) -> None:
        call, deadline = item
        credentials = await self._accounts.credentials(call["account_id"])
        if time.monotonic() > deadline:
            await self._release(call, 0)
            return
        try:
            self._departures.note(call["_work"]["attempt"]["id"], call["_id"])
        except OSError:
            await self._release(call, LONGEST_BACKOFF)
            raise
        await self._send(call, credentials)

    async def _send(self, call: Document, credentials: Credentials) -> None:
        try:
            response = await self._provider.create_call(credentials, call["msisdn"], call["remote_request_params"])
        except Refused as refused:
            await self._writes.add((_mine(call), errored(refused)))
        except NotSent as not_sent:
            await self._not_sent(call, not_sent)
        except Unknown as unknown:
            await self._unknown(call, unknown)
        else:
            await self._writes.add(*accepted(call, response))

    async def _not_sent(self, call: Document, reason: NotSent) -> None:
        tries = call["_work"].get("tries", 0) + 1
        backoff = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(tries, 20)) * random.uniform(0.5, 1)
        delay = max(backoff, reason.retry_after or 0)
        message = f"{reason.message} (not sent; it will be sent again)"
        await self._release(call, delay, {"remote_error_message": message}, tries)

    async def _release(self, call: Document, delay: float, change: Document | None = None, tries: int = 0) -> None:
        work = {"due": later(delay), "tries": tries}
        await self._writes.add((_mine(call), {"$set": {**(change or {}), "_work": work, "updated_at": now()}}))

    async def _unknown(self, call: Document, reason: ProviderError) -> None:
        change = {
            "remote_error_message": UNKNOWN + reason.message,
            "_work.lease": later(self._grace),
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


def accepted(call: Document, response: Document) -> list[tuple[Document, Document]]:
    """The updates of a call that the provider has accepted; a report may already have moved it further."""
    moment = now()
    answer = {
        "remote_call_id": response["sid"],
        "remote_direction": response.get("direction"),
        "remote_queue_response": response,
        "remotely_queued_at": moment,
        "updated_at": moment,
    }
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
