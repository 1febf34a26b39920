"""One, two and three servers on one database, with a provider that takes its time: rate and fair shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks import steps
from benchmarks.draining import rate
from benchmarks.ground import Ground
from benchmarks.measure import Figure, Plan, median

ABOUT = "several servers drain one database"
DELAY = 0.2
IN_FLIGHT = 20
SERVERS = (1, 2, 3)


def seconds(plan: Plan) -> float:
    return plan.repeat * sum(8.0 + _calls(plan) * DELAY / IN_FLIGHT / servers for servers in SERVERS)


def _calls(plan: Plan) -> int:
    return plan.of(2_000, 60)


def measure(ground: Ground, plan: Plan) -> Iterator[Figure]:
    """Calls a second of so many servers, beside one alone. Nobody is rung twice, or the run fails."""
    alone: tuple[float, ...] = ()
    for servers in SERVERS[: plan.of(3, 2)]:
        runs = [_run(ground, servers, _calls(plan), plan) for _ in range(plan.repeat)]
        rates = tuple(rate for rate, _ in runs)
        alone = alone or (median(rates),)
        shares = tuple(smallest for _, smallest in runs)
        details = {"smallest_share": shares, "in_flight": IN_FLIGHT, "delay_s": DELAY}
        if servers == 1:
            yield Figure("Draining with 1 server", "calls/s", rates, details=details)
            continue
        goal = f"≥ {(servers + 1) / 2}"
        yield Figure(f"Draining with {servers} servers", "calls/s", rates, None, "one", alone, goal, details)
        # 1 is an even share.
        even = tuple(share * servers for share in shares)
        yield Figure(f"Smallest share of {servers}, of an even one", "", even, goal="≥ 0.7", details=details)


def _run(ground: Ground, servers: int, calls: int, plan: Plan) -> tuple[float, float]:
    """Calls a second, and the smallest share that one of the servers had."""
    limits = {"CALLS_IN_FLIGHT": str(IN_FLIGHT)}
    with ground.database() as database, ground.provider(DELAY) as provider, ExitStack() as stack:
        with ground.parked(database) as parked:
            ground.fill(database, calls)
            steps.populate(parked, steps.callout(parked))
            steps.create(parked)
        running = [
            stack.enter_context(ground.server(database, f"{provider.url}/{number}", **limits))
            for number in range(servers)
        ]
        steps.queue(running[0])
        provider.wait(calls)
        shares = Counter(prefix for _, _, prefix in provider.receipts())
        smallest = min(shares[f"/{number}"] for number in range(servers)) / calls
        return rate(provider), smallest
