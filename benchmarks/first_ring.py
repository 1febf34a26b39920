"""From ``event=queue`` on one call of an idle server to the provider's receipt."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks import steps
from benchmarks.ground import Ground
from benchmarks.measure import Figure, Plan, percentiles

ABOUT = "one call on an idle server, from its event to the provider"


def seconds(plan: Plan) -> float:
    return 8.0 * plan.repeat


def measure(ground: Ground, plan: Plan) -> Iterator[Figure]:
    """The median and the 99th percentile of 200 calls, one after the other."""
    rounds = [percentiles(_waits(ground, plan.of(200, 10))) for _ in range(plan.repeat)]
    for name, goal in (("p50", ""), ("p99", "≤ 25")):
        runs = tuple(waits[name] for waits in rounds)
        yield Figure(f"Queue to provider, {name}", "ms", runs, goal=goal, details={"rounds": rounds})


def _waits(ground: Ground, count: int) -> list[float]:
    """How many seconds each of so many calls took."""
    with (
        ground.database() as database,
        ground.provider() as provider,
        ground.server(database, provider.url) as server,
    ):
        ground.fill(database, count)
        steps.populate(server, steps.callout(server))
        steps.create(server)
        sent = []
        for number in range(1, count + 1):
            sent.append(time.monotonic())
            path = f"/api/phone_calls/{number}/phone_call_events"
            assert server.request("POST", path, json={"event": "queue"}).status == 201
            provider.wait(number)
        receipts = [moment for moment, _, _ in provider.receipts()]
    return [receipt - began for receipt, began in zip(receipts, sent, strict=True)]
