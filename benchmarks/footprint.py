"""The server's memory, idle and over a run, and how long it takes to start on a full database."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks import steps
from benchmarks.ground import Documents, Ground, pid_of
from benchmarks.machine import memory_mb
from benchmarks.measure import Figure, Plan

ABOUT = "memory, and start on a full database"


def seconds(plan: Plan) -> float:
    return 5.0 + 4.0 * plan.repeat + max(plan.sizes) * 0.0006


def measure(ground: Ground, plan: Plan) -> Iterator[Figure]:
    """Idle on an empty database; then a whole run, calls and all, on the largest size; then starts on that."""
    empty = [_start(ground) for _ in range(plan.repeat)]
    yield Figure("Resident, idle", "MB", tuple(memory for _, memory in empty), goal="≤ 120")
    size = max(plan.sizes)
    with ground.database() as database:
        yield from _run(ground, database, size)
        full = [_start(ground, database)[0] for _ in range(plan.repeat)]
    later = tuple(took - begun for took, (begun, _) in zip(full, empty, strict=True))
    details = {"empty_s": [begun for begun, _ in empty], "full_s": full}
    yield Figure("Start, more than on an empty database", "s", later, size, goal="≤ 2", details=details)


def _start(ground: Ground, database: Documents | None = None) -> tuple[float, float]:
    """How long a start took, in seconds, and what is then resident, in MB."""
    if database is None:
        with ground.database() as made:
            return _start(ground, made)
    began = time.monotonic()
    with ground.server(database) as server:
        took = time.monotonic() - began
        return took, memory_mb(pid_of(server))


def _run(ground: Ground, database: Documents, size: int) -> Iterator[Figure]:
    """Population, creation, queueing and all the calls: the most that was resident, more than at the start."""
    with ground.provider() as provider, ground.server(database, provider.url) as server:
        ground.fill(database, size)
        before = memory_mb(pid_of(server))
        steps.populate(server, steps.callout(server))
        steps.create(server)
        steps.queue(server)
        provider.wait(size)
        most = memory_mb(pid_of(server), peak=True)
    details = {"before_mb": before, "peak_mb": most}
    yield Figure("Memory, growth over a run", "MB", (most - before,), size, goal="≤ 60", details=details)
