"""Statistics and results of a callout as it grows: how long they take, and what results hold in memory."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import Request, urlopen

from benchmarks import steps
from benchmarks.ground import BATCH, Generator, Ground, pid_of
from benchmarks.machine import memory_mb
from benchmarks.measure import Figure, Plan, percentile
from benchmarks.requests import get
from scfm.clock import now
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.declaration import initial_fields
from scfm.models.registry import counted_fields
from scfm.storage.store import Store
from tests.server import Server

ABOUT = "statistics, groups and results of a callout"
STARTED = datetime(2026, 11, 29, 6, tzinfo=UTC)
CALLS_PER_SECOND = 100
FORMATS = ("csv", "jsonl", "xlsx")
PART_BYTES = 1 << 20
# What became of people, and of their calls; pending ones have none.
ENDS: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
    ("pending", None, ()),
    ("calling", None, ("busy", "remotely_queued")),
    ("waiting", None, ("not_answered",)),
    ("reached", None, ("completed",)),
    ("reached", None, ("busy", "completed")),
    ("acknowledged", None, ("not_answered", "completed")),
    ("unreached", "busy", ("busy", "busy", "busy")),
    ("unreached", "not_answered", ("not_answered", "busy", "not_answered")),
)


def seconds(plan: Plan) -> float:
    return sum(10.0 + size * 0.0004 for size in plan.sizes)


def measure(ground: Ground, plan: Plan) -> Iterator[Figure]:
    """The first and later answers, and all results in each format."""
    for size in plan.sizes:
        with ground.database() as database, ground.server(database) as server:
            ground.fill(database, size)
            callout_id = steps.callout(server)
            asyncio.run(_fill(str(server.environment["MONGODB_URI"]), database.name, callout_id, size))
            yield from _results(server, callout_id, size)  # while nothing else has held memory
            yield from _statistics(server, callout_id, size, plan.of(300, 5))


async def _fill(uri: str, database: str, callout_id: int, people: int) -> None:
    """A participation of each contact, as if the callout had been under way for a while."""
    store = Store.open(uri, database, counted_fields())
    view, moment, chance = store.for_account(1), now(), random.Random(1)
    common = {**initial_fields(CALLOUT_PARTICIPATIONS), "created_at": moment, "updated_at": moment, "_version": 1}
    common |= {"callout_id": callout_id, "metadata": {}}
    try:
        for start in range(0, people, BATCH):
            ids = await store.counters.ids(CALLOUT_PARTICIPATIONS.kind).allocate(min(BATCH, people - start))
            documents = [{**common, "_id": number, **_person(start + at, chance)} for at, number in enumerate(ids, 1)]
            await view.insert_many(CALLOUT_PARTICIPATIONS.collection, documents)
        await store.quiesce()
    finally:
        await store.close()


def _person(number: int, chance: random.Random) -> dict[str, Any]:
    outcome, reason, statuses = chance.choice(ENDS)
    first = STARTED + timedelta(seconds=number / CALLS_PER_SECOND)
    calls = [
        {
            "status": status,
            "placed": (first + timedelta(minutes=10 * turn)).replace(second=0, microsecond=0),
            "answered": status == "completed",
            "duration": 20 if status == "completed" else None,
        }
        for turn, status in enumerate(statuses)
    ]
    return {
        "contact_id": number,
        "msisdn": f"+2526{number:08}",
        "outcome": outcome,
        "outcome_reason": reason,
        "attempts": len(calls),
        "last_attempt_at": first + timedelta(minutes=10 * (len(calls) - 1)) if calls else None,
        "answers": {"safe": "1"} if outcome == "acknowledged" else {},
        "_first_attempt_at": first if calls else None,
        "_duration": 20 if "completed" in statuses else None,
        "_calls": calls,
    }


def _statistics(server: Server, callout_id: int, size: int, requests: int) -> Iterator[Figure]:
    path = f"/api/callouts/{callout_id}/statistics"
    for name, asked in (
        ("Statistics", path),
        ("Statistics by group", f"{path}?group_by=metadata.village"),
        ("Statistics of the account", "/api/statistics"),
    ):
        began = time.monotonic()
        answer = server.request("GET", asked)
        yield Figure(f"{name}, first answer", "s", (time.monotonic() - began,), size)
        people = answer.json["people"]
        assert people["total"] == size == sum(people.values()) - size, people
        spec = {"name": "all", "port": server.port, "clients": 1, "requests": [get(server, asked)] * requests}
        latencies = [1000 * seconds for seconds in Generator([spec]).results()["all"]["latencies"]]
        yield Figure(f"{name}, p50", "ms", (percentile(latencies, 50),), size)
        yield Figure(f"{name}, p99", "ms", (percentile(latencies, 99),), size, goal="≤ 50")


def _results(server: Server, callout_id: int, size: int) -> Iterator[Figure]:
    for kind in FORMATS:
        before, began, length = memory_mb(pid_of(server)), time.monotonic(), 0
        most = before
        request = Request(f"{server.url}/api/callouts/{callout_id}/results?format={kind}")
        request.add_header("Authorization", f"Bearer {server.token}")
        with urlopen(request) as answer:
            while part := answer.read(PART_BYTES):
                length += len(part)
                most = max(most, memory_mb(pid_of(server)))
        took = time.monotonic() - began
        yield Figure(f"Results as {kind}", "s", (took,), size, details={"bytes": length})
        yield Figure(f"Results as {kind}, memory", "MB", (most - before,), size, goal="≤ 60")
