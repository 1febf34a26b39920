"""A whole callout over HTTP: ``python -m benchmarks.callout [--contacts 100000] [--repeat 1]``.

Contacts are imported, a callout is populated, its calls are created, queued, accepted by the simulator, answered,
called back and completed. The server, mongod and the simulator are processes of their own, and what each of them
computes is read from the kernel, so that it shows which is the limit. In turn with it a bare application calls as
many people through such a simulator (see ``bare_application``), and a plan of one attempt does what the batch
operations did: machines differ by a factor of two from hour to hour, so the figures that count are the ratios.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from benchmarks import machine, results, steps
from benchmarks.ground import Ground, child, person, pid_of
from benchmarks.measure import Figure, percentile
from tests.acceptance.alerts import total
from tests.server import Server, wait_until

CONTACTS = 100_000
IMPORTED_AT_ONCE = 5_000
LOOK_SECONDS = 0.2
MAX_SECONDS = 3600.0
UNDER_WAY = "created,queued,remotely_queued,in_progress"


class Ledger:
    """What the simulator writes down, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._rest = b""
        self.rung: dict[str, float] = {}
        self.seen = {"request": 0, "outcome": 0, "callback": 0}
        self.waited: list[float] = []
        self.last_callback = 0.0

    @property
    def whole_calls_per_second(self) -> float:
        """From the first ring until the last callback has been read (see LOOK_SECONDS)."""
        return len(self.waited) / (self.last_callback - min(self.rung.values()))

    def read(self) -> None:
        """Take in what is new."""
        lines = (self._rest + self._file.read()).split(b"\n")
        self._rest = lines.pop()
        for entry in map(orjson.loads, lines):
            self.seen[entry["kind"]] += 1
            if entry["kind"] == "request":
                self.rung.setdefault(entry["to"], datetime.fromisoformat(entry["at"]).timestamp())
            elif entry["kind"] == "callback":
                assert entry["answer"] == "201", entry
                self.waited.append(entry["seconds"])
                self.last_callback = time.time()


class Watch:
    """Seconds gone by, and seconds computed by each process, step by step."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self.steps: dict[str, dict[str, Any]] = {}
        self._began = (time.monotonic(), self.cpu())

    def cpu(self) -> dict[str, float]:
        return {name: machine.cpu_seconds(pid) for name, pid in self._pids.items()}

    def lap(self, step: str) -> None:
        """A step has ended."""
        (began, before), self._began = self._began, (time.monotonic(), self.cpu())
        seconds, after = self._began[0] - began, self._began[1]
        shares = {name: round((after[name] - before[name]) / seconds, 3) for name in after}
        self.steps[step] = {"seconds": round(seconds, 3), "cores": shares}
        cores = "  ".join(f"{name} {share:.0%}" for name, share in shares.items())
        print(f"  {step:<10} {seconds:8.1f} s   {cores}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.callout", description=__doc__)
    parser.add_argument("--contacts", type=int, default=CONTACTS, help="how many (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=1, help="how often (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=results.FOLDER, help="where to write")
    options = parser.parse_args()
    before = machine.noise()
    rounds = []
    for turn in range(options.repeat):
        with Ground() as ground:
            rounds.append(list(run_both(ground, options.contacts, bare_first=turn % 2 == 1)))
        for figure in rounds[-1]:
            print(f"  {figure}", flush=True)
    figures = [_together(runs) for runs in zip(*rounds, strict=True)]
    about = {**machine.describe(), "noise": {"before": before, "after": machine.noise()}}
    entries = [results.entry("callout", figure) for figure in figures]
    print(f"written to {results.save(options.results, 'callout', about, entries)}")


def run_both(ground: Ground, contacts: int, *, bare_first: bool) -> Iterator[Figure]:
    """The callout, and beside it the bare application and the same callout by a plan; in turn, they come first."""
    bare = run_bare(ground, contacts) if bare_first else 0.0
    planned = list(run(ground, contacts, planned=True)) if bare_first else []
    rate, accepted, *others = run(ground, contacts)
    planned = planned or list(run(ground, contacts, planned=True))
    yield replace(rate, limit="bare application", limit_runs=(bare or run_bare(ground, contacts),), goal="≥ 0.5")
    # So the ratio says how much longer the batch operations take.
    yield replace(
        accepted,
        name="All accepted, by batch operations",
        limit="a plan",
        limit_runs=(planned[1].value,),
        goal="≥ 1",
    )
    yield replace(planned[1], name="All accepted, from the start of a plan on")
    yield replace(planned[3], name="Calls accepted, by a plan")
    yield from others


def run_bare(ground: Ground, contacts: int) -> float:
    """The calls per second of the bare application."""
    path = ground.folder / "bare-ledger"
    path.touch()
    with (
        child("-m", "scfm", "simulator", "--port", "0", "--ledger", str(path)) as (pid, line),
        child("-m", "benchmarks.bare_application", line.split()[-1], str(contacts)) as (bare_pid, _),
    ):
        watch, ledger = Watch({"application": bare_pid, "simulator": pid}), Ledger(path)
        list(_follow(ledger, watch, contacts))
        watch.lap("bare")
    assert len(ledger.rung) == ledger.seen["request"] == contacts, "somebody was rung twice, or nobody"
    return ledger.whole_calls_per_second


def run(ground: Ground, contacts: int, *, planned: bool = False) -> Iterator[Figure]:
    """The whole of it, by batch operations, or PLANNED.

    AssertionError if a call is missing in the end, or somebody was rung twice.
    """
    path = ground.folder / ("ledger-of-plan" if planned else "ledger")
    path.touch()
    simulator = child("-m", "scfm", "simulator", "--port", "0", "--ledger", str(path))
    with (
        simulator as (pid, line),
        ground.database() as database,
        ground.server(database, line.split()[-1]) as server,
    ):
        watch = Watch({"server": pid_of(server), "mongod": ground.mongod_pid, "simulator": pid})
        alert = _planned if planned else _alert
        yield from alert(server, Ledger(path), watch, contacts)


def _planned(server: Server, ledger: Ledger, watch: Watch, contacts: int) -> Iterator[Figure]:
    _import(server, contacts)
    plan = {"audience": {}, "remote_request_params": {"from": "1234"}}
    number = server.request("POST", "/api/callouts", json={"plan": plan}).json["id"]
    watch.lap("import")
    warned = time.time()
    server.request("POST", f"/api/callouts/{number}/callout_events", json={"event": "start"})
    timeline = list(_follow(ledger, watch, contacts))
    wait_until(lambda: server.request("GET", f"/api/callouts/{number}").json["status"] == "completed", 120, every=0.5)
    watch.lap("call")
    assert len(ledger.rung) == ledger.seen["request"] == contacts, "somebody was rung twice, or nobody"
    yield from _figures(ledger, warned, warned, watch, timeline, contacts)


def _alert(server: Server, ledger: Ledger, watch: Watch, contacts: int) -> Iterator[Figure]:
    _import(server, contacts)
    number = steps.callout(server)
    server.request("POST", f"/api/callouts/{number}/callout_events", json={"event": "start"})
    watch.lap("import")
    warned = time.time()
    steps.populate(server, number)
    watch.lap("populate")
    url = f"{server.url}/api/remote_phone_call_events"
    params = {"from": "1234", "url": url, "status_callback": url}
    creation = steps.made(server, "/api/batch_operations", steps.CREATE, remote_request_params=params)
    steps.run(server, creation)
    watch.lap("create")
    queued = steps.begin(server, steps.made(server, "/api/batch_operations", steps.QUEUE))
    timeline = list(_follow(ledger, watch, contacts))
    wait_until(lambda: total(server, f"/api/phone_calls?q[status]={UNDER_WAY}") == 0, 60, every=0.5)
    watch.lap("call")
    assert len(ledger.rung) == ledger.seen["request"] == contacts, "somebody was rung twice, or nobody"
    yield from _figures(ledger, warned, queued, watch, timeline, contacts)


def _import(server: Server, contacts: int) -> None:
    for start in range(1, contacts + 1, IMPORTED_AT_ONCE):
        numbers = range(start, min(start + IMPORTED_AT_ONCE, contacts + 1))
        body = "".join(json.dumps(person(number)) + "\n" for number in numbers)
        headers = {"Content-Type": "application/x-ndjson"}
        answer = server.request("POST", "/api/contacts/import", body=body.encode(), headers=headers)
        assert answer.json["created"] == len(numbers), answer


def _follow(ledger: Ledger, watch: Watch, contacts: int) -> Iterator[dict[str, float]]:
    """Each LOOK_SECONDS until the last call is called back: how far the calls are, and who has computed how long."""
    began = time.monotonic()
    while ledger.seen["callback"] < contacts:
        time.sleep(LOOK_SECONDS)
        ledger.read()
        seconds = time.monotonic() - began
        assert seconds < MAX_SECONDS, ledger.seen
        yield {"seconds": round(seconds, 2), **ledger.seen, **watch.cpu()}


def _figures(
    ledger: Ledger, warned: float, queued: float, watch: Watch, timeline: list[dict[str, float]], contacts: int
) -> Iterator[Figure]:
    rung = list(ledger.rung.values())
    waits = [moment - queued for moment in rung]
    calling = watch.steps["call"]["cores"]
    details = {"steps": watch.steps, "timeline": timeline, "busiest": max(calling, key=calling.__getitem__)}
    accepted = max(rung) - warned
    whole = sum(step["seconds"] for step in watch.steps.values())
    yield Figure("Whole calls", "calls/s", (ledger.whole_calls_per_second,), contacts)
    yield Figure("All accepted, from populating on", "s", (accepted,), contacts, goal="≤ 240", details=details)
    yield Figure("All completed, from importing on", "s", (whole,), contacts)
    yield Figure("Calls accepted", "calls/s", ((contacts - 1) / (max(rung) - min(rung)),), contacts)
    yield Figure("Time to first ring, p50", "s", (percentile(waits, 50),), contacts)
    yield Figure("Time to first ring, p99", "s", (percentile(waits, 99),), contacts)
    yield Figure("Status callback answered, p50", "s", (percentile(ledger.waited, 50),), contacts)
    yield Figure("Status callback answered, p99", "s", (percentile(ledger.waited, 99),), contacts)


def _together(runs: Sequence[Figure]) -> Figure:
    """One figure of several runs; its details are those of the run in the middle."""
    middle = sorted(runs, key=lambda one: one.value)[len(runs) // 2]
    limits = tuple(limit for one in runs for limit in one.limit_runs)
    return replace(middle, runs=tuple(one.value for one in runs), limit_runs=limits)


if __name__ == "__main__":
    main()
