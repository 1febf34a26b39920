"""What clients, callers and the event loop feel while queued calls are sent, beside an idle server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from benchmarks import steps
from benchmarks.ground import START_SECONDS, Generator, Ground, Provider
from benchmarks.measure import Figure, Plan, median, percentiles
from benchmarks.requests import SURVEYS, get, webhooks
from benchmarks.wire import request
from tests.server import Server

ABOUT = "API, webhooks and the event loop while calls drain"
MAX_CALLS = 100_000
CONTACTS = 200  # that are asked for in turn
IDLE_SECONDS = 20.0
# Each at a steady pace, low enough that it is no load of its own.
API_RATE, WEBHOOK_RATE, LAG_RATE = 20, 20, 50
# One is sent at each moment, and the webhooks never repeat.
MAX_SECONDS = 600
MAX_WEBHOOKS = WEBHOOK_RATE * MAX_SECONDS

Percentiles = dict[str, float]
# Of each stream: idle, and draining.
Felt = dict[str, tuple[Percentiles, Percentiles]]


def seconds(plan: Plan) -> float:
    return plan.repeat * (20.0 + IDLE_SECONDS + 0.0016 * _calls(plan))


def _calls(plan: Plan) -> int:
    return plan.of(min(max(plan.sizes), MAX_CALLS), 300)


def measure(ground: Ground, plan: Plan) -> Iterator[Figure]:
    """The 99th percentiles of each, idle and draining."""
    calls = _calls(plan)
    yield from _figures([_round(ground, plan, calls) for _ in range(plan.repeat)], calls)


def _round(ground: Ground, plan: Plan, calls: int) -> Felt:
    with (
        ground.database() as database,
        ground.provider() as provider,
        ground.server(database, provider.url, **SURVEYS) as server,
    ):
        ground.fill(database, calls)
        steps.populate(server, steps.callout(server))
        steps.create(server)
        idle = Generator(_streams(server, 0)).after(0.5 if plan.short else IDLE_SECONDS)
        draining = _draining(server, provider, calls)
    for statuses in (idle["webhook"]["statuses"], draining["webhook"]["statuses"]):
        assert set(statuses) == {"201"}, statuses
    quiet = {name: median(idle[name]["latencies"]) if name == "lag" else 0.0 for name in idle}
    return {name: (_percentiles(idle[name], quiet[name]), _percentiles(draining[name], quiet[name])) for name in idle}


def _percentiles(result: dict[str, Any], quiet: float) -> Percentiles:
    """Of how much longer than QUIET each request took."""
    return percentiles([max(0.0, latency - quiet) for latency in result["latencies"]])


def _draining(server: Server, provider: Provider, calls: int) -> dict[str, Any]:
    """While the calls are queued and sent, until the provider has the last."""
    operation = steps.made(server, "/api/batch_operations", steps.QUEUE)
    generator = Generator(_streams(server, MAX_WEBHOOKS))
    time.sleep(START_SECONDS)
    steps.begin(server, operation)
    provider.wait(calls)
    return generator.stop()


def _streams(server: Server, first: int) -> list[dict[str, Any]]:
    """FIRST is the number of the first webhook, so that the callers of one part are not those of the other."""
    callers = list(islice(webhooks(server, first), MAX_WEBHOOKS))
    contacts = [get(server, f"/api/contacts/{number}") for number in range(1, CONTACTS + 1)]
    # An answer that needs no database waits for nothing but the event loop.
    page = server.request("GET", "/api/docs", token="").headers["ETag"]
    unchanged = request("GET", "/api/docs", {"If-None-Match": page})
    common = {"port": server.port, "clients": 8}
    return [
        {**common, "name": "api", "rate": API_RATE, "requests": contacts},
        {**common, "name": "webhook", "rate": WEBHOOK_RATE, "requests": callers},
        {**common, "name": "lag", "rate": LAG_RATE, "requests": [unchanged]},
    ]


def _figures(rounds: list[Felt], calls: int) -> Iterator[Figure]:
    for name, title, against, goal in (
        ("api", "API while draining, p99", True, "≤ 5"),
        ("webhook", "Webhook at 20/s while draining, p99", False, "≤ 50"),
        ("lag", "Event loop lag while draining, p99", False, "≤ 20"),
    ):
        felt = [one[name] for one in rounds]
        details = {"rounds": [{"idle_ms": rest, "draining_ms": work} for rest, work in felt]}
        limit, limits = ("idle p99", tuple(rest["p99"] for rest, _ in felt)) if against else ("", ())
        yield Figure(title, "ms", tuple(work["p99"] for _, work in felt), calls, limit, limits, goal, details)
