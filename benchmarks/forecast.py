"""Preflight's ``ends_at`` beside what then happens: ``python -m benchmarks.forecast [--runs 100] [--at-once 5]``.

Each run is a callout of an account of its own, with a plan drawn from its seed, and people of whom nobody answers: so
it lasts until its latest end, which is what is told. Phones ring as long as in life; the limits of plans and accounts
let few calls a second leave, so that several runs go on at the same time without being in each other's way.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import machine, results
from benchmarks.ground import Ground, child, person
from benchmarks.measure import Figure, median
from scfm.clock import now
from tests.server import Client, Server

RUNS, AT_ONCE = 100, 5
GOAL = 10.0
# Where an answer took longer, the machine has other things to do, and delays each step of a plan as well: seconds.
MAX_DELAY = 0.1
NOBODY = {"people": [{"prefix": "+", "outcome": "no-answer"}], "life_size": 1}
FLOW = {"call_flow_logic": "CallFlowLogic::Message", "metadata": {"message": "Go."}}
LOOK_SECONDS = 0.5
MAX_SECONDS = 600.0


@dataclass(frozen=True)
class Run:
    """A plan, its people, and the limits of its account."""

    people: int
    account: dict[str, str]
    plan: dict[str, Any]

    @classmethod
    def of(cls, seed: int) -> Run:
        """The run of that seed."""
        chance = random.Random(seed)
        rate = round(chance.uniform(1, 3), 1)
        plan: dict[str, Any] = {
            "audience": {},
            "remote_request_params": {"from": "1294", "timeout": str(chance.randint(1, 5))},
            "retry": {
                "max_attempts": chance.randint(1, 3),
                "delays": [chance.randint(1, 8) for _ in range(chance.randint(1, 2))],
            },
        }
        account = {}
        if chance.random() < 0.5:
            plan["calls_per_second"] = rate
        else:
            account["calls_per_second"] = str(rate)
        people = round(rate * chance.uniform(15, 30))
        if chance.random() < 0.2:
            plan["starts_at"] = (now() + timedelta(seconds=chance.uniform(2, 6))).isoformat()
        if chance.random() < 0.2:
            plan["not_after"] = (now() + timedelta(seconds=people / rate * chance.uniform(1, 2))).isoformat()
        return cls(people, account, plan)


@dataclass(frozen=True)
class Ending:
    """Seconds from the preflight on: until the end that was told, and until the callout had ended.

    ``delay``: how long the server took for an answer, at the most: a machine that has other things to do delays all.
    """

    seed: int
    told: float
    took: float
    delay: float

    @property
    def error(self) -> float:
        """In percent of what was told."""
        return 100 * abs(self.took - self.told) / self.told

    def __str__(self) -> str:
        times = f"told {self.told:6.1f} s, took {self.took:6.1f} s, off by {self.error:4.1f} %"
        return f"seed {self.seed:4}: {times} (the slowest answer took {self.delay:.2f} s)"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecast", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default: %(default)s)")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="so many at a time (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=results.FOLDER, help="where to write")
    options = parser.parse_args()
    before = machine.noise()
    with Ground() as ground:
        endings = measure(ground, range(options.first, options.first + options.runs), options.at_once)
    entries = []
    for figure in figures(endings):
        print(figure)
        entries.append(results.entry("forecast", figure))
    about = {**machine.describe(), "noise": {"before": before, "after": machine.noise()}}
    print(f"written to {results.save(options.results, 'forecast', about, entries)}")


def measure(ground: Ground, seeds: range, at_once: int) -> list[Ending]:
    """How the runs of these seeds ended."""
    scenario = ground.folder / "nobody.json"
    scenario.write_text(json.dumps(NOBODY))
    endings = []
    with (
        child("-m", "scfm", "simulator", "--port", "0", "--scenario", str(scenario)) as (_, line),
        ground.database() as database,
        ground.server(database, line.split()[-1]) as server,
        ThreadPoolExecutor(at_once) as pool,
    ):
        for ending in pool.map(lambda seed: carry_out(server, seed), seeds):
            print(ending, flush=True)
            endings.append(ending)
    return endings


def carry_out(server: Server, seed: int) -> Ending:
    """Look at a plan, start it, and wait for its end. AssertionError if somebody was forgotten."""
    run = Run.of(seed)
    api = server.new_account(**run.account)
    rows = "".join(json.dumps(person(number)) + "\n" for number in range(run.people))
    headers = {"Content-Type": "application/x-ndjson"}
    assert api.post("/api/contacts/import", body=rows.encode(), headers=headers).json["created"] == run.people
    path = f"/api/callouts/{api.post('/api/callouts', json={'plan': run.plan, **FLOW}).json['id']}"
    told, began = api.post(f"{path}/preflight").json, now()
    started = api.post(f"{path}/callout_events", json={"event": "start"})
    assert started.status == 201, started
    ended, delay = _end(api, path)
    assert api.get(f"{path}/statistics").json["people"]["unreached"] == run.people == told["audience"]
    return Ending(seed, _seconds(began, told["ends_at"]), _seconds(began, ended), delay)


def _end(api: Client, path: str) -> tuple[str, float]:
    """When the callout was completed, and how long the slowest answer took. AssertionError if that does not come."""
    delay, deadline = 0.0, time.monotonic() + MAX_SECONDS
    while time.monotonic() < deadline:
        began = time.monotonic()
        ended: str | None = api.get(path).json["completed_at"]
        delay = max(delay, time.monotonic() - began)
        if ended is not None:
            return ended, delay
        time.sleep(LOOK_SECONDS)
    raise AssertionError(f"{path} does not end")


def _seconds(began: datetime, moment: str) -> float:
    return (datetime.fromisoformat(moment) - began).total_seconds()


def figures(endings: list[Ending]) -> Iterator[Figure]:
    """How far the ends are from what was told."""
    errors = [ending.error for ending in endings]
    undelayed = [ending.error for ending in endings if ending.delay <= MAX_DELAY]
    details = {"endings": [[one.seed, round(one.told, 2), round(one.took, 2), one.delay] for one in endings]}
    many = len(endings)
    yield Figure(
        "Ends within 10 % of what preflight told", "%", (_within(errors),), many, goal="≥ 100", details=details
    )
    if undelayed:
        name = f"The same, where no answer took over {MAX_DELAY:g} s"
        yield Figure(name, "%", (_within(undelayed),), len(undelayed), goal="≥ 100")
    yield Figure("Preflight's end is off by, median", "%", (median(errors),), many)
    yield Figure("Preflight's end is off by, at the most", "%", (max(errors),), many)


def _within(errors: list[float]) -> float:
    """How many percent of the errors are within the goal."""
    return 100 * sum(error <= GOAL for error in errors) / len(errors)


if __name__ == "__main__":
    main()
