"""Alerts of priority 9 over a callout of 100,000: ``python -m benchmarks.priority [--contacts 100000] [--repeat 5]``.

While the large callout calls, a callout of a hundred others of the same account is started, as often as is to be
repeated: how long it takes from its ``start`` until the carrier has accepted all hundred, and how fast the large one
goes on meanwhile. The large one is a plan, which queues calls as they can leave; or, ``--queued``, all of its calls
wait already, queued by batch operations.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import machine, results, steps
from benchmarks.callout import Ledger
from benchmarks.ground import Ground, child
from benchmarks.measure import Figure
from tests.server import Server, wait_until

CONTACTS, URGENT = 100_000, 100
HIGHEST = 9
GOAL_SECONDS = 2.0
# So many of the large callout are called before the first alert, and between two of them, if there are enough.
BETWEEN = 500
MAX_SECONDS = 1800.0
LOOK_SECONDS = 0.02
FROM = {"from": "1234"}


class Raised(NamedTuple):
    """Seconds from the start of an alert until its first and its last call were accepted.

    ``computed``: what the server's process has computed by then, in seconds; ``beside``: how many calls of the large
    callout left in a second.
    """

    first: float
    last: float
    computed: float
    beside: float


class Alerts:
    """Alerts that are started over a large callout, which is under way."""

    def __init__(self, server: Server, ledger: Ledger) -> None:
        self._server, self._ledger = server, ledger
        self._people = self._alerts = 0

    def large(self) -> int:
        """How many of the large callout have been rung."""
        self._ledger.read()
        return len(self._ledger.rung) - self._people

    def go_on(self, calls: int) -> float:
        """Wait until so many more of the large callout have been rung; how many a second that were."""
        first, began = self.large(), time.time()
        wait_until(lambda: self.large() >= first + calls, MAX_SECONDS, every=LOOK_SECONDS)
        return (self.large() - first) / (time.time() - began)

    def raise_one(self) -> Raised:
        """Start an alert, and wait until all its calls are accepted."""
        numbers = [f"+2527{self._alerts:04}{number:04}" for number in range(URGENT)]
        self._alerts += 1
        metadata = {"alert": self._alerts}
        rows = "".join(json.dumps({"msisdn": number, "metadata": metadata}) + "\n" for number in numbers)
        headers = {"Content-Type": "application/x-ndjson"}
        self._server.request("POST", "/api/contacts/import", body=rows.encode(), headers=headers)
        audience = {"contact_filter_params": {"metadata": metadata}}
        callout = planned(self._server, audience=audience, priority=HIGHEST)
        before, computed, began = self.large(), self._server.cpu_seconds(), time.time()
        start(self._server, callout)
        rung = self._ledger.rung
        wait_until(
            lambda: self.large() and all(number in rung for number in numbers), MAX_SECONDS, every=LOOK_SECONDS
        )
        computed = self._server.cpu_seconds() - computed
        accepted = [rung[number] - began for number in numbers]
        self._people += URGENT
        return Raised(min(accepted), max(accepted), computed, (self.large() - before) / (time.time() - began))


def planned(server: Server, **plan: Any) -> int:
    """A new callout with a plan; its id."""
    given = {"plan": {"audience": {}, "remote_request_params": FROM, **plan}}
    made = server.request("POST", "/api/callouts", json=given)
    assert made.status == 201, made
    return int(made.json["id"])


def start(server: Server, callout: int) -> None:
    started = server.request("POST", f"/api/callouts/{callout}/callout_events", json={"event": "start"})
    assert started.status == 201, started


def begin(server: Server, contacts: int, *, queued: bool) -> None:
    """Have the large callout call: by a plan, or with all its calls QUEUED."""
    if not queued:
        start(server, planned(server))
        path = "/api/callouts/1/statistics"
        wait_until(lambda: server.request("GET", path).json["people"]["total"] == contacts, MAX_SECONDS, every=0.5)
        return
    number = steps.callout(server)
    steps.populate(server, number)
    url = f"{server.url}/api/remote_phone_call_events"
    params = {**FROM, "url": url, "status_callback": url}
    steps.run(server, steps.made(server, "/api/batch_operations", steps.CREATE, remote_request_params=params))
    hold(server, "hold")
    steps.run(server, steps.made(server, "/api/batch_operations", steps.QUEUE))
    start(server, number)
    hold(server, "release")


def hold(server: Server, event: str) -> None:
    """Hold all calls of the account, or release them."""
    assert server.request("POST", "/api/account/account_events", json={"event": event}).status == 201


def run(ground: Ground, contacts: int, repeat: int, *, queued: bool) -> Iterator[Figure]:
    """The figures of one large callout. AssertionError if somebody was rung twice."""
    path = ground.folder / "ledger"
    path.touch()
    with (
        child("-m", "scfm", "simulator", "--port", "0", "--ledger", str(path)) as (_, line),
        ground.database() as database,
        ground.server(database, line.split()[-1]) as server,
    ):
        ground.fill(database, contacts)
        begin(server, contacts, queued=queued)
        ledger = Ledger(path)
        alerts = Alerts(server, ledger)
        between = min(BETWEEN, contacts // (4 * repeat + 4))
        alone, raised = [], []
        for _ in range(repeat):
            alone.append(alerts.go_on(between))
            raised.append(alerts.raise_one())
        after = alerts.go_on(between)
        assert len(ledger.rung) == ledger.seen["request"], "somebody was rung twice"
        assert alerts.large() < contacts, "nobody of the large callout was left"
    what = "all queued" if queued else "a plan"
    name = f"{URGENT} of priority {HIGHEST} accepted, over {what}"
    first, last, computed, beside = zip(*raised, strict=True)
    goal = f"≤ {GOAL_SECONDS:g}"
    yield Figure(name, "s", last, contacts, goal=goal, details={"first": first, "alone": alone})
    # On a machine that has other things to do this is what it would take on one that has not.
    yield Figure(f"{name}, of the server's processor", "s", computed, contacts, goal=goal)
    yield Figure(f"Calls of {what} meanwhile", "calls/s", beside, contacts, "before", tuple(alone))
    yield Figure(f"Calls of {what} afterwards", "calls/s", (after,), contacts)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.priority", description=__doc__)
    parser.add_argument("--contacts", type=int, default=CONTACTS, help="of the large one (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=5, help="how many alerts (default: %(default)s)")
    parser.add_argument("--queued", action="store_true", help="over calls that are all queued already")
    parser.add_argument("--results", type=Path, default=results.FOLDER, help="where to write")
    options = parser.parse_args()
    before = machine.noise()
    with Ground() as ground:
        figures = list(run(ground, options.contacts, options.repeat, queued=options.queued))
    for figure in figures:
        print(figure)
    about = {**machine.describe(), "noise": {"before": before, "after": machine.noise()}}
    entries = [results.entry("priority", figure) for figure in figures]
    print(f"written to {results.save(options.results, 'priority', about, entries)}")


if __name__ == "__main__":
    main()
