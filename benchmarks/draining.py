"""Queued calls on their way to a provider that answers at once, beside the Twilio library alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from benchmarks import steps
from benchmarks.ground import Documents, Ground, Provider
from benchmarks.measure import Figure, Plan

ABOUT = "drain queued calls, beside the bare Twilio client"
# More would only take longer: the client alone does the same for each.
MAX_BARE = 20_000
# From so many on, the runs are parts of one drain, which takes minutes: every run works on what the last has left.
PARTED = 1_000_000


def seconds(plan: Plan) -> float:
    whole = [size for size in plan.sizes for _ in range(1 if size >= PARTED else plan.repeat)]
    return 9.0 * plan.repeat + sum(6.0 + size * 0.0007 for size in whole)


def measure(ground: Ground, plan: Plan) -> Iterator[Figure]:
    """At each size: calls a second, from the first that the provider received to the last. The sizes take turns."""
    sizes = plan.sizes[: plan.of(len(plan.sizes), 1)]
    rounds = zip(*(_runs(ground, size, plan.repeat) for size in sizes), strict=True)
    for size, runs in zip(sizes, zip(*rounds, strict=True), strict=True):
        ours, limits = zip(*runs, strict=True)
        yield Figure("Draining", "calls/s", ours, size, "bare Twilio client", limits, "≥ 0.5")


def _runs(ground: Ground, size: int, repeat: int) -> Iterator[tuple[float, float]]:
    """Ours, and the bare client's."""
    drain = _in_parts if size >= PARTED else _whole
    for ours in drain(ground, size, repeat):
        yield ours, _bare(ground, min(size, MAX_BARE))


def _whole(ground: Ground, size: int, repeat: int) -> Iterator[float]:
    for _ in range(repeat):
        with ground.database() as database:
            ours = _drained(ground, database, steps.queued_calls(ground, database, size))
        yield ours


def _in_parts(ground: Ground, size: int, repeat: int) -> Iterator[float]:
    with ground.database() as database:
        # Each server goes on for a moment after its part, until it has stopped.
        count = steps.queued_calls(ground, database, size) * 9 // 10 // repeat
        for _ in range(repeat):
            yield _drained(ground, database, count)


def _drained(ground: Ground, database: Documents, count: int) -> float:
    with ground.provider() as provider, ground.server(database, provider.url):
        provider.wait(count)
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
