"""What a request's line in the log and its metrics cost: the same server with them and without, in turn.

Two servers that are equal differ by up to a tenth, as it matters where in memory each has its parts. So each server
that is measured logs and counts in every other slice of its requests: see ``observed_slices``.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from itertools import islice, pairwise, repeat
from pathlib import Path
from typing import Any

from benchmarks import requests
from benchmarks.ground import Generator, Ground
from benchmarks.measure import Figure, Plan
from tests.server import Server

ABOUT = "requests with lines in the log and metrics, beside requests without"
CLIENTS = 8
# Requests in a slice.
SLICE = 1000
# The first slices, in which the server makes its connections and caches, are not counted.
WARM_UP = 4
# Pairs of slices in each server; and how many servers, as what a line costs is not the same in each process.
PAIRS = {"GET one contact": 40, "Webhook": 12}
SERVERS = 5
PERSON = "/api/contacts/1"


def seconds(plan: Plan) -> float:
    sent = sum((2 * plan.of(pairs, 2) + WARM_UP) * plan.of(SLICE, 20) for pairs in PAIRS.values())
    return plan.of(SERVERS, 1) * (8.0 + sent / 1300)


class Logged(Server):
    """Its log goes to a file, as under systemd or in a container: nobody reads it meanwhile."""

    def _spawn(self, *arguments: str, **_: Any) -> subprocess.Popen[str]:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with (self.data_dir / "log").open("w") as log:
            process = super()._spawn(*arguments, stderr=log)
        process.stderr = (self.data_dir / "log").open()
        return process


def measure(ground: Ground, plan: Plan) -> Iterator[Figure]:
    slice_ = plan.of(SLICE, 20)
    for name, some in (("GET one contact", _gets), ("Webhook", requests.webhooks)):
        observed: list[float] = []
        neither: list[float] = []
        for _ in range(plan.of(SERVERS, 1)):
            costs = _costs(ground, slice_, WARM_UP + 2 * plan.of(PAIRS[name], 2) + 2, some)
            observed += costs[1::2]
            # The machine is faster or slower from minute to minute: each slice is beside the two around it.
            neither += [(before + after) / 2 for before, after in pairwise(costs[::2])]
        figure = f"Processor for {name}, logged and counted"
        yield Figure(figure, "µs", tuple(observed), None, "neither", tuple(neither), "≤ 1.03")


def _costs(ground: Ground, slice_: int, slices: int, some: Callable[[Server], Iterator[str]]) -> list[float]:
    """The processor's time for a request, in µs, slice by slice; the first one is without log and metrics."""
    spent = ground.folder / "observed-slices"
    spent.unlink(missing_ok=True)
    environment = {
        "LOG_LEVEL": "info",
        "PYTHONPATH": str(Path(__file__).with_name("observed_slices")),
        "OBSERVED_SLICE": str(slice_),
        "OBSERVED_FILE": str(spent),
    }
    with ground.database() as database:
        ground.fill(database, 100)
        with ground.server(database, kind=Logged, **requests.SURVEYS, **environment) as server:
            sent = list(islice(some(server), slice_ * slices))
            spec = {"name": "all", "port": server.port, "clients": CLIENTS, "requests": sent}
            result: dict[str, Any] = Generator([spec]).results()["all"]
            assert set(result["statuses"]) <= {"200", "201"}, result["statuses"]
    ends = [float(line) for line in spent.read_text().split()]
    costs = [1e6 * (end - begin) / slice_ for begin, end in pairwise(ends)]
    return costs[WARM_UP:]


def _gets(server: Server) -> Iterator[str]:
    return repeat(requests.get(server, PERSON))
