"""Queued calls on their way while many have the page of their callout open, beside calls that nobody follows."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from benchmarks import steps
from benchmarks.draining import rate
from benchmarks.ground import START_SECONDS, Generator, Ground, pid_of
from benchmarks.machine import cpu_seconds
from benchmarks.measure import Figure, Plan, percentile
from benchmarks.requests import get
from tests.server import Server

ABOUT = "drain queued calls while 200 clients follow the callout"
MAX_CALLS = 20_000
READERS = 200
# What is asked for beside, so many times a second each.
ASKED = ("statistics", "contact")
ASKED_PER_SECOND = 5
# A page that is open follows the stream, and asks for its callout so often, in seconds.
PAGE_SECONDS = 60


def seconds(plan: Plan) -> float:
    return plan.repeat * 2 * (20.0 + 0.002 * _calls(plan))


def _calls(plan: Plan) -> int:
    return plan.of(min(max(plan.sizes), MAX_CALLS), 300)


def measure(ground: Ground, plan: Plan) -> Iterator[Figure]:
    """Calls a second with readers and without, in turn; and how long statistics took meanwhile."""
    calls = _calls(plan)
    runs: dict[int, list[Drain]] = {READERS: [], 0: []}
    for turn in range(plan.repeat):
        for readers in (READERS, 0) if turn % 2 else (0, READERS):
            runs[readers].append(_drained(ground, calls, readers))
    followed, alone = runs[READERS], runs[0]
    for name, unit, number in (("Draining", "calls/s", 0), ("Calls for a second of its processor", "calls", 1)):
        ours, limits = tuple(run[number] for run in followed), tuple(run[number] for run in alone)
        yield Figure(f"{name}, with {READERS} readers", unit, ours, calls, "nobody", limits, "≥ 0.95")
    times, others = (tuple(1000 * percentile(run.latencies[name], 99) for run in followed) for name in ASKED)
    yield Figure("Statistics while draining, p99", "ms", times, calls, goal="≤ 150")
    yield Figure("A contact while draining, p99", "ms", others, calls)


class Drain(NamedTuple):
    """Calls a second, calls for each second that the server's process computed, and how long each of ASKED took."""

    rate: float
    calls_per_cpu_second: float
    latencies: dict[str, list[float]]


def _drained(ground: Ground, calls: int, readers: int) -> Drain:
    with (
        ground.database() as database,
        ground.provider() as provider,
        ground.server(database, provider.url) as server,
    ):
        ground.fill(database, calls)
        callout_id = steps.callout(server)
        steps.populate(server, callout_id)
        steps.create(server)
        operation = steps.made(server, "/api/batch_operations", steps.QUEUE)
        paths = (f"/api/callouts/{callout_id}/statistics", "/api/contacts/1")
        common = {"port": server.port, "clients": 8, "rate": ASKED_PER_SECOND}
        connections = [
            {**common, "name": name, "requests": [get(server, path)]} for name, path in zip(ASKED, paths, strict=True)
        ]
        if readers:
            pages = {"name": "pages", "rate": readers / PAGE_SECONDS}
            connections.append({**common, **pages, "requests": [get(server, f"/api/callouts/{callout_id}")]})
        with _streams(server, callout_id, readers):
            generator = Generator(connections)
            time.sleep(START_SECONDS)
            before = cpu_seconds(pid_of(server))
            steps.begin(server, operation)
            provider.wait(calls)
            computed = cpu_seconds(pid_of(server)) - before
            results = generator.stop()
        latencies = {name: results[name]["latencies"] for name in ASKED}
        return Drain(rate(provider), calls / computed, latencies)


@contextmanager
def _streams(server: Server, callout_id: int, readers: int) -> Iterator[None]:
    """So many connections that follow the callout, and read nothing but the head: the system takes what comes."""
    request = get(server, f"/api/callouts/{callout_id}/progress").encode()
    with ExitStack() as stack:
        for _ in range(readers):
            reader = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            reader.sendall(request)
            assert reader.recv(1024).startswith(b"HTTP/1.1 200"), "a stream was refused"
        yield
