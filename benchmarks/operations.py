"""Batch operations beside the writes that they come down to, made by the driver alone."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator

from benchmarks import steps
from benchmarks.ground import Ground, Raw, pid_of
from benchmarks.machine import memory_mb
from benchmarks.measure import Figure, Plan
from scfm.models.call_lifecycle import queue_many
from scfm.models.queue_place import queue_place

ABOUT = "populate, create and queue, beside raw insert_many and update_many"
# Which limit belongs to which step, and what is wanted of the ratio.
STEPS = {
    "CalloutPopulation": ("raw insert_many", "≥ 0.75"),
    "CalloutPopulation, requeued": ("its first run", "≥ 1.0"),
    "PhoneCallCreate": ("raw insert_many", "≥ 0.75"),
    "PhoneCallCreate, filtered": ("raw insert_many", "≥ 0.75"),
    "PhoneCallQueue": ("raw update_many", "≥ 0.75"),
}
# For fewer, what an operation costs once, whatever its size, is a part of it.
MANY = 100_000
Pairs = dict[str, list[tuple[float, float]]]


def seconds(plan: Plan) -> float:
    return plan.repeat * sum(3.0 + size * 0.0003 for size in plan.sizes)


def measure(ground: Ground, plan: Plan) -> Iterator[Figure]:
    """Each step at each size, which take turns: documents a second."""
    sizes = plan.sizes[: plan.of(len(plan.sizes), 1)]
    pairs: dict[int, Pairs] = {size: defaultdict(list) for size in sizes}
    growth: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(plan.repeat):
        for size in sizes:
            growth[size].append(_round(ground, size, pairs[size]))
    for size in sizes:
        for name, (limit, goal) in STEPS.items():
            runs, limits = zip(*pairs[size][name], strict=True)
            yield Figure(
                name=name,
                unit="documents/s",
                size=size,
                runs=tuple(size / seconds for seconds in runs),
                limit=limit,
                limit_runs=tuple(size / seconds for seconds in limits),
                goal=goal if size >= MANY else "",
            )
        yield Figure("Memory, growth over operations", "MB", tuple(growth[size]), size, goal="≤ 60")


def _round(ground: Ground, size: int, pairs: Pairs) -> float:
    """Every step once, on a database of its own; (seconds of ours, seconds of the limit) for each.

    Gives by how many MB the server grew.
    """
    with ground.database() as database, ground.parked(database) as server:
        ground.fill(database, size)
        before = memory_mb(pid_of(server))
        first, second = steps.callout(server, round="1"), steps.callout(server, round="2")
        operation = steps.made(server, f"/api/callouts/{first}/batch_operations", steps.POPULATION)
        populated = steps.run(server, operation)
        inserted = Raw(database, "callout_participations").insert(time.perf_counter)
        pairs["CalloutPopulation"].append((populated, inserted))
        pairs["CalloutPopulation, requeued"].append((steps.run(server, operation, "requeue"), populated))
        created = steps.create(server)
        calls = Raw(database, "phone_calls")
        inserted = calls.insert(time.perf_counter)
        pairs["PhoneCallCreate"].append((created, inserted))
        pairs["PhoneCallQueue"].append((steps.queue(server), calls.update(_queued(), time.perf_counter)))
        steps.populate(server, second)
        filtered = steps.create(
            server,
            callout_filter_params={"metadata": {"round": "2"}},
            callout_participation_filter_params={"no_phone_calls_or_last_attempt": "failed,errored"},
        )
        assert database["phone_calls"].count_documents({}) == 2 * size
        pairs["PhoneCallCreate, filtered"].append((filtered, inserted))
        return memory_mb(pid_of(server), peak=True) - before


def _queued() -> dict[str, object]:
    """What queueing a call changes."""
    return queue_many([], 1, queue_place(None)).update["$set"]
