"""Queued calls on their way to a provider that answers at once, beside the Twilio library alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from benchmarks import steps
from benchmarks.ground import Ground, Provider
from benchmarks.measure import Figure, Plan

ABOUT = "drain queued calls, beside the bare Twilio client"
# More would only take longer: the client alone does the same for each.
MOST_BARE = 20_000


def seconds(plan: Plan) -> float:
    return plan.repeat * sum(6.0 + size * 0.0006 for size in plan.sizes)


def measure(ground: Ground, plan: Plan) -> Iterator[Figure]:
    """At each size: calls a second, from the first that the provider received to the last."""
    for size in plan.sizes[: plan.of(len(plan.sizes), 1)]:
        pairs = [(_drained(ground, size), _bare(ground, min(size, MOST_BARE))) for _ in range(plan.repeat)]
        ours, limits = zip(*pairs, strict=True)
        yield Figure("Draining", "calls/s", ours, size, "bare Twilio client", limits, "≥ 0.5")


def _drained(ground: Ground, size: int) -> float:
    with ground.database() as database:
        free = steps.queued_calls(ground, database, size)
        with ground.provider() as provider, ground.server(database, provider.url):
            provider.wait(free)
            return rate(provider)


def _bare(ground: Ground, size: int) -> float:
    with ground.provider() as provider:
        command = [sys.executable, "-m", "benchmarks.bare_client", provider.url, str(size)]
        subprocess.run(command, check=True, timeout=600)
        return rate(provider)


def rate(provider: Provider) -> float:
    """Calls a second. AssertionError if anybody was rung twice."""
    receipts = provider.receipts()
    assert len({number for _, number, _ in receipts}) == len(receipts), "somebody was rung twice"
    times = [moment for moment, _, _ in receipts]
    return (len(times) - 1) / (max(times) - min(times))
