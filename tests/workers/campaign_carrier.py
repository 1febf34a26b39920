"""The provider and the clock of a simulated campaign, both of which the test owns."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from scfm.clock import MonotonicClock
from scfm.providers.answers import RemoteCall
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.providers.errors import CREATE_FAILED, CallRejected, Unknown
from tests.workers.mortal import Life

# After so many seconds somebody who answers has pressed a key, or the call is over.
KEY_SECONDS, CALL_SECONDS = 10.0, 20.0
INVALID_NUMBER = 21211
WORDS = {"busy": "busy", "no-answer": "no-answer", "failed": "failed"}


class CampaignClock(MonotonicClock):
    """The wall clock, which stands still unless it is moved, and elapsed time. It takes the place of ``datetime``."""

    def __init__(self, begins: datetime) -> None:
        self.moment = begins
        self.seconds = 1000.0

    def now(self, zone: Any) -> datetime:
        return self.moment.astimezone(zone)

    def advance(self, seconds: float) -> None:
        """Let time go by."""
        self.moment += timedelta(seconds=seconds)
        self.seconds += seconds

    def set_by(self, by: timedelta) -> None:
        """Set the wall clock to another time; no time goes by."""
        self.moment += by

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += max(0.0, seconds)
        await asyncio.sleep(0)


class Left(NamedTuple):
    """A request for a call that reached the provider. ``taken``: whether it rings; ``ends``, when that is over.

    ``at``: by the wall clock; ``since`` and ``ends``: by elapsed time, in seconds.
    """

    at: datetime
    since: float
    callout: int
    msisdn: str
    by_hand: bool
    taken: bool
    ends: float
    sid: str


class Report(NamedTuple):
    """What the provider has to tell from DUE on, in elapsed seconds."""

    due: float
    number: int
    sid: str
    what: str


@dataclass
class _Call:
    word: str
    ends: float
    to: str
    created: datetime


class CampaignCarrier:
    """Takes calls; ``scripts``: by callout and number, what becomes of them.

    A request says by its ``from`` whose it is: ``sender``.
    """

    def __init__(self, clock: CampaignClock, scripts: Mapping[tuple[int, str], Sequence[str]]) -> None:
        self.clock = clock
        self.scripts = scripts
        self.left: list[Left] = []
        self.reports: list[Report] = []
        self._calls: dict[str, _Call] = {}
        self._requests: Counter[tuple[int, str]] = Counter()

    async def create_call(self, to: str, params: Mapping[str, Any], leave: Any) -> RemoteCall:
        await leave()
        index, by_hand = divmod(int(params["from"]) - SENDER, 2)
        number = self._requests[index, to]
        self._requests[index, to] += 1
        script = self.scripts[index, to]
        what = script[min(number, len(script) - 1)]
        sid = f"CA{index}x{to}x{number}"
        now, seconds = self.clock.moment, self.clock.seconds
        taken = what not in ("invalid", "not taken")
        self.left.append(Left(now, seconds, index, to, bool(by_hand), taken, seconds + CALL_SECONDS, sid))
        if what == "invalid":
            raise CallRejected(f"{CREATE_FAILED}: no such number", INVALID_NUMBER)
        if taken:
            self._calls[sid] = _Call(WORDS.get(what, "completed"), seconds + CALL_SECONDS, to, now)
            if what in ("acknowledged", "opts out"):
                heapq.heappush(self.reports, Report(seconds + KEY_SECONDS, len(self.left), sid, what))
            heapq.heappush(self.reports, Report(seconds + CALL_SECONDS, len(self.left), sid, what))
        if what in ("lost", "not taken"):
            raise Unknown(f"{CREATE_FAILED}: no answer")
        return self.fetch_call(sid)

    def fetch_call(self, sid: str) -> RemoteCall:
        call = self._calls[sid]
        over = call.ends <= self.clock.seconds
        created = call.created.astimezone(UTC).isoformat()
        return {"sid": sid, "status": call.word if over else "queued", "to": call.to, "date_created": created}

    def ends(self, sid: str) -> float:
        """When the call is over, in elapsed seconds."""
        return self._calls[sid].ends

    def list_calls(self, to: str) -> list[RemoteCall]:
        return [self.fetch_call(sid) for sid, call in self._calls.items() if call.to == to]


SENDER = 1000


def sender(callout: int, *, by_hand: bool = False) -> str:
    """The ``from`` of a callout's calls, by the index of it."""
    return str(SENDER + 2 * callout + by_hand)


class Line(Provider):
    """The carrier as one process reaches it; each request is two steps of the process's life."""

    def __init__(self, carrier: CampaignCarrier, life: Life) -> None:
        super().__init__(timeout=5)
        self._carrier = carrier
        self._life = life

    async def create_call(
        self, credentials: Credentials, to: str, params: Mapping[str, Any], *leaving: Any
    ) -> RemoteCall:
        return await self._life.around(lambda: self._carrier.create_call(to, params, leaving[0]))

    async def fetch_call(self, credentials: Credentials, sid: str) -> RemoteCall:
        self._life.step()
        return self._carrier.fetch_call(sid)

    async def list_calls(self, credentials: Credentials, to: str, since: datetime) -> list[RemoteCall]:
        self._life.step()
        return self._carrier.list_calls(to)
