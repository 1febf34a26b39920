"""How long lists take as the number of contacts grows, beside the smallest of the sizes."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from benchmarks.ground import Generator, Ground
from benchmarks.measure import Figure, Plan, median
from benchmarks.requests import get
from tests.server import Server

ABOUT = "pages of contacts, at every size"
PAGE = 25
FILTER = quote("q[metadata][gender]", safe="") + "=f"


def seconds(plan: Plan) -> float:
    return sum(5.0 + size * 0.0003 for size in plan.sizes)


def measure(ground: Ground, plan: Plan) -> Iterator[Figure]:
    """The times of the first, the middle, the last and a filtered page."""
    smallest: dict[str, tuple[float, ...]] = {}
    for size in plan.sizes:
        with ground.database() as database, ground.server(database) as server:
            ground.fill(database, size)
            for name, (path, goal) in _pages(size).items():
                _check_total(server, path, size // 2 if "filtered" in name else size)
                times = _times(server, path, plan.of(20, 3))
                limit = smallest.setdefault(name, times)
                first = size == plan.sizes[0]
                yield Figure(
                    name=name,
                    unit="ms",
                    runs=times,
                    size=size,
                    limit="" if first else f"at {plan.sizes[0]:,}",
                    limit_runs=() if first else (median(limit),),
                    goal="" if first else goal,
                )


def _pages(size: int) -> dict[str, tuple[str, str]]:
    last = max(size // PAGE, 1)
    return {
        "First page": ("/api/contacts", "≤ 1.5"),
        "Middle page": (f"/api/contacts?page={(last + 1) // 2}", "≤ 3"),
        "Last page": (f"/api/contacts?page={last}", "≤ 3"),
        "First filtered page": (f"/api/contacts?{FILTER}", "≤ 5"),
        "Middle filtered page": (f"/api/contacts?{FILTER}&page={max(last // 4, 1)}", "≤ 5"),
    }


def _check_total(server: Server, path: str, wanted: int) -> None:
    answer = server.request("GET", path)
    assert answer.headers["Total"] == str(wanted), (path, answer.headers["Total"], wanted)
    assert len(answer.json) == min(PAGE, wanted), (path, len(answer.json))


def _times(server: Server, path: str, count: int) -> tuple[float, ...]:
    spec = {"name": "all", "port": server.port, "clients": 1, "requests": [get(server, path)] * count}
    latencies = Generator([spec]).results()["all"]["latencies"]
    return tuple(seconds * 1000 for seconds in latencies)
