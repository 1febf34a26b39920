"""What a request's line in the log and its metrics cost: a server with them beside one without, asked in turn."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice, repeat
from pathlib import Path
from typing import Any

from benchmarks import requests
from benchmarks.ground import Generator, Ground, pid_of
from benchmarks.machine import exact_cpu_seconds
from benchmarks.measure import Figure, Plan
from tests.server import Server

ABOUT = "requests with lines in the log and metrics, beside requests without"
CLIENTS = 8
# In a turn; a server has as many turns in a round. Rounds: each has servers of its own, as where a process has its
# memory makes it up to a twentieth faster or slower.
REQUESTS, TURNS, ROUNDS = 1500, 4, 9
OBSERVED = {"LOG_LEVEL": "info"}
UNOBSERVED = {"LOG_LEVEL": "warning", "PYTHONPATH": str(Path(__file__).with_name("unobserved"))}
PERSON = "/api/contacts/1"


def seconds(plan: Plan) -> float:
    return 2 * plan.of(ROUNDS, 1) * (8.0 + 2 * TURNS * plan.of(REQUESTS, 20) / 1000)


class Logged(Server):
    """Its log goes to a file, as under systemd or in a container: nobody reads it meanwhile."""

    def _spawn(self, *arguments: str, **_: Any) -> subprocess.Popen[str]:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with (self.data_dir / "log").open("w") as log:
            process = super()._spawn(*arguments, stderr=log)
        process.stderr = (self.data_dir / "log").open()
        return process


def measure(ground: Ground, plan: Plan) -> Iterator[Figure]:
    for name, some in (("GET one contact", _gets), ("Webhook", requests.webhooks)):
        costs: dict[str, list[float]] = {"with": [], "without": []}
        for _ in range(plan.of(ROUNDS, 1)):
            for kind, cost in _round(ground, plan.of(REQUESTS, 20), some).items():
                costs[kind].append(cost)
        ours, bare = (tuple(costs[kind]) for kind in ("with", "without"))
        yield Figure(f"Processor for {name}, logged and counted", "µs", ours, None, "neither", bare, "≤ 1.03")


def _round(ground: Ground, count: int, some: Callable[[Server], Iterator[str]]) -> dict[str, float]:
    """The processor's time for a request, in µs, of a new server with log and metrics, and of one without."""
    with _server(ground, OBSERVED) as observed, _server(ground, UNOBSERVED) as unobserved:
        servers = {"with": observed, "without": unobserved}
        sent = {kind: some(server) for kind, server in servers.items()}
        spent = dict.fromkeys(servers, 0.0)
        for turn in range(TURNS + 1):
            for kind in servers if turn % 2 else reversed(servers):
                cost = _cost(servers[kind], list(islice(sent[kind], count)))
                spent[kind] += cost if turn else 0.0  # in the first turn it makes its connections and caches
    return {kind: 1e6 * cost / (TURNS * count) for kind, cost in spent.items()}


@contextmanager
def _server(ground: Ground, environment: dict[str, str]) -> Iterator[Server]:
    with ground.database() as database:
        ground.fill(database, 100)
        with ground.server(database, kind=Logged, **requests.SURVEYS, **environment) as server:
            yield server


def _cost(server: Server, sent: list[str]) -> float:
    before = exact_cpu_seconds(pid_of(server))
    spec = {"name": "all", "port": server.port, "clients": CLIENTS, "requests": sent}
    result: dict[str, Any] = Generator([spec]).results()["all"]
    assert set(result["statuses"]) <= {"200", "201"}, result["statuses"]
    return exact_cpu_seconds(pid_of(server)) - before


def _gets(server: Server) -> Iterator[str]:
    return repeat(requests.get(server, PERSON))
