"""Requests a second of sixteen clients, beside a Tornado that has nothing behind it; and latency against load."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from benchmarks.ground import Generator, Ground, module, port_of
from benchmarks.measure import Figure, Plan, median, percentiles
from benchmarks.requests import SURVEYS, get, new_contacts, webhooks
from tests.server import Server

ABOUT = "HTTP at 16 keep-alive clients, beside bare Tornado"
CLIENTS = 16
CONTACTS = 1_000
LOADS = (0.25, 0.5, 0.75, 0.9)


def seconds(plan: Plan) -> float:
    return 10.0 + plan.repeat * (12.0 + 6.0 * len(LOADS))


@dataclass(frozen=True)
class Kind:
    """A kind of request: what it is like, and how many a run takes."""

    name: str
    goal: str
    path: str
    requests: Callable[[int], list[str]]
    count: int


def measure(ground: Ground, plan: Plan) -> Iterator[Figure]:
    """Requests a second of each kind, then the latencies of one at several loads."""
    with ground.database() as database, ground.server(database, **SURVEYS) as server:
        ground.fill(database, plan.of(CONTACTS, 50))
        rates = {}
        for kind in _kinds(server, plan):
            figure = _figure(server, kind, plan.repeat)
            rates[kind.name] = figure.value
            yield figure
        yield from _against_load(server, rates["GET one contact"], plan)


def _kinds(server: Server, plan: Plan) -> list[Kind]:
    # Each client asks for another: what several ask for at once would be read once for all of them.
    ones = cycle([get(server, f"/api/contacts/{number}") for number in range(1, plan.of(CONTACTS, 50) + 1)])
    pages = cycle(
        [get(server, f"/api/contacts?page={number}") for number in range(1, plan.of(CONTACTS, 50) // 25 + 1)]
    )
    contacts = (new_contacts(server, number, 1)[0] for number in range(10**6))
    calls = webhooks(server)
    many = plan.of(1_000, 32)
    return [
        Kind("GET one contact", "≥ 0.35", "/api/contacts/7", lambda count: list(islice(ones, count)), 3 * many),
        Kind("GET a page of 25", "≥ 0.2", "/api/contacts", lambda count: list(islice(pages, count)), many),
        Kind("POST one contact", "≥ 0.15", "/api/contacts/7", lambda count: list(islice(contacts, count)), many),
        Kind("Webhook with TwiML", "≥ 0.12", "/api/contacts/7", lambda count: list(islice(calls, count)), many),
    ]


def _figure(server: Server, kind: Kind, repeat: int) -> Figure:
    """In turn: bare Tornado with an answer of the same size, the same on our event loop, and ours."""
    size = server.request("GET", kind.path).headers["Content-Length"]
    details: dict[str, Any] = {"answer_bytes": int(size)}
    with module("bare", size) as bare, module("bare", size, "uvloop") as bare_on_uvloop:
        runs, limits, on_uvloop = [], [], []
        for _ in range(repeat):
            requests = kind.requests(kind.count)
            limits.append(_rate(_ask(port_of(bare), requests)))
            on_uvloop.append(_rate(_ask(port_of(bare_on_uvloop), requests)))
            result = _ask(server.port, requests)
            runs.append(_rate(result))
            details["latency_ms"] = percentiles(result["latencies"])
    details["ratio_to_bare_on_uvloop"] = median([ours / bare for ours, bare in zip(runs, on_uvloop, strict=True)])
    return Figure(kind.name, "requests/s", tuple(runs), None, "bare Tornado", tuple(limits), kind.goal, details)


def _ask(port: int, requests: list[str]) -> dict[str, Any]:
    spec = {"name": "all", "port": port, "clients": CLIENTS, "requests": requests}
    result: dict[str, Any] = Generator([spec]).results()["all"]
    assert set(result["statuses"]) <= {"200", "201"}, result["statuses"]
    return result


def _rate(result: dict[str, Any]) -> float:
    return float(len(result["latencies"]) / result["seconds"])


def _against_load(server: Server, most: float, plan: Plan) -> Iterator[Figure]:
    """How long one contact takes when so many a second are asked for."""
    paths = cycle(f"/api/contacts/{number}" for number in range(1, plan.of(CONTACTS, 50) + 1))
    requests = [get(server, path) for path in islice(paths, 1000)]
    for load in LOADS[: plan.of(len(LOADS), 1)]:
        spec = {"name": "all", "port": server.port, "clients": 64, "requests": requests, "rate": most * load}
        rounds = [
            percentiles(Generator([spec]).after(0.3 if plan.short else 5.0)["all"]["latencies"])
            for _ in range(plan.repeat)
        ]
        latency = {name: median([one[name] for one in rounds]) for name in rounds[0]}
        details = {"per_second": most * load, "latency_ms": latency}
        runs = tuple(one["p99"] for one in rounds)
        yield Figure(f"GET one contact at {load:.0%} of its rate, p99", "ms", runs, details=details)
