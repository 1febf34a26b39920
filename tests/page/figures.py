"""Whether the figures of an alert's page are those of the database, at random instants of an alert with kills in it.

``python -m tests.page.figures --people 20000 --instants 200 --kills 3`` (``make figures``). At each instant what the
page shows must sum, and be what the database had at some moment of the last MAX_AGE_SECONDS, or the page must say
that it is not connected, and of when its figures are.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from pymongo import MongoClient
from pymongo.collection import Collection
from selenium import webdriver

from scfm.embedded_mongod.mongod import PrivateMongod
from tests.page.alerts import (
    OUTCOMES,
    free_port,
    import_people,
    make_alert,
    scenario_carrier,
    send_event,
    settings_for,
)
from tests.page.browsing import Page, People
from tests.page.chromium import chromium
from tests.server import Server, wait_until

MAX_AGE_SECONDS = 2.0
# The database is looked at so often, and what was seen is kept for so long.
SAMPLE_SECONDS, KEPT_SECONDS = 0.05, 20.0
# How long a server that was killed is away.
AWAY_SECONDS = 2.0
DATABASE = "figures"
# After so many instants what was found so far is printed.
TOLD_EVERY = 20
# Most answer; the others make the alert last for several attempts.
SCENARIO: dict[str, Any] = {
    "life_size": 0.05,
    "people": [
        {"pattern": ".*[0-5]", "digits": ["1"]},
        {"pattern": ".*6", "outcome": "busy"},
        {"pattern": ".*7", "outcome": "no-answer"},
        {"pattern": ".*8", "attempts": [{"outcome": "busy"}, {}]},
        {"pattern": ".*9", "outcome": "failed"},
    ],
}
RETRY = {"max_attempts": 2, "delays": [5]}
READ = """
const cells = [...document.querySelectorAll("td[data-outcome]")];
const figure = (cell) => Number(cell.textContent.replaceAll(",", ""));
return [
  Object.fromEntries(cells.map((cell) => [cell.dataset.outcome, figure(cell)])),
  document.querySelector(".alert-link").dataset.link,
  document.querySelector(".alert-sentence").dataset.phase,
];
"""


class Sample(NamedTuple):
    """People by outcome in the database, as a look at them has found that ended at this second."""

    ended: float
    people: dict[str, int]


@dataclass
class Findings:
    """``ages``: of the figures in seconds, when the page was connected, which it was not ``lost`` times."""

    instants: int = 0
    lost: int = 0
    ages: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def told(self) -> str:
        ages = sorted(self.ages) or [0.0]
        return (
            f"{self.instants} instants, {self.lost} of them while the page said that it is not connected; else they"
            f" were {ages[-1]:.2f} s old at most, half of them {ages[len(ages) // 2]:.2f} s; {len(self.wrong)} wrong"
        )


class DatabaseWatch:
    """The people of a callout in the database, looked at again and again within ``running``."""

    def __init__(self, participations: Collection[Any], callout_id: int) -> None:
        self._participations, self._callout_id = participations, callout_id
        self._samples: deque[Sample] = deque()
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def samples_after(self, moment: float) -> list[Sample]:
        """All that is kept, once there is one from after MOMENT."""
        wait_until(lambda: self._samples and self._samples[-1].ended > moment)
        return list(self._samples)

    def _run(self) -> None:
        stages = [
            {"$match": {"callout_id": self._callout_id}},
            {"$group": {"_id": {"$ifNull": ["$outcome", "pending"]}, "people": {"$sum": 1}}},
        ]
        while not self._over.wait(SAMPLE_SECONDS):
            people = {group["_id"]: group["people"] for group in self._participations.aggregate(stages)}
            now = time.monotonic()
            self._samples.append(Sample(now, people))
            while self._samples[0].ended < now - KEPT_SECONDS:
                self._samples.popleft()


def age_of(shown: dict[str, int], samples: list[Sample], moment: float) -> float:
    """How old the figures are at MOMENT, in seconds: within that time the database had each of them; else infinite.

    They are not of one instant: people go on while they are counted. Between two looks a figure may be any between,
    and beyond that by those who have moved meanwhile: who acknowledges at once is ``reached`` for a moment only.
    """
    later = samples[-1].people
    least, most = dict(later), dict(later)
    for sample in reversed(samples):
        moved = sum(abs(sample.people.get(name, 0) - later.get(name, 0)) for name in OUTCOMES) // 2
        for name in OUTCOMES:
            looks = (sample.people.get(name, 0), later.get(name, 0))
            least[name] = min(least.get(name, 0), min(looks) - moved)
            most[name] = max(most.get(name, 0), max(looks) + moved)
        if all(least[name] <= shown[name] <= most[name] for name in OUTCOMES):
            return max(0.0, moment - sample.ended)
        later = sample.people
    return float("inf")


def look(page: Page, watch: DatabaseWatch, findings: Findings) -> str:
    """Compare the page as it is now with the database; the phase of the alert."""
    shown, link, phase = page.browser.execute_script(READ)
    moment = time.monotonic()
    findings.instants += 1
    if (people := sum(shown[name] for name in OUTCOMES)) != shown["total"]:
        findings.wrong.append(f"{people} people of {shown['total']}: {shown}")
    if link in ("connecting", "lost"):
        findings.lost += 1
        return str(phase)
    age = age_of(shown, watch.samples_after(moment), moment)
    findings.ages.append(age)
    if age > MAX_AGE_SECONDS:
        findings.wrong.append(f"figures {age:.2f} s old, {link}: {shown}")
    return str(phase)


def compare(page: Page, watch: DatabaseWatch, server: Server, instants: int, seconds: float, kills: int) -> Findings:
    """Look at the page at so many random instants of so many SECONDS, or until the alert is over.

    In between the server is killed, and started again.
    """
    findings, chance = Findings(), random.Random(seconds)
    watch.samples_after(time.monotonic() + MAX_AGE_SECONDS)  # what figures of the first instant may be of
    deaths = [instants * (number + 1) // (kills + 1) for number in range(kills)]
    for number in range(instants):
        restart = threading.Thread(target=_kill_and_start, args=(server,)) if number in deaths else None
        if restart:
            restart.start()
        time.sleep(chance.expovariate(instants / seconds))
        phase = look(page, watch, findings)
        while restart and restart.is_alive():
            time.sleep(chance.uniform(0, 0.5))
            phase = look(page, watch, findings)
        if number % TOLD_EVERY == TOLD_EVERY - 1:
            print(findings.told(), flush=True)
        if phase == "completed":
            break
    return findings


def _kill_and_start(server: Server) -> None:
    server.kill()
    time.sleep(AWAY_SECONDS)
    server.start()


@dataclass(frozen=True)
class Alert:
    """How many people it has, how fast it calls, at how many instants it is looked at, how often its server dies."""

    people: int = 20_000
    calls_per_second: int = 60
    instants: int = 200
    kills: int = 3


def run(alert: Alert, folder: Path, mongodb_uri: str, browser: webdriver.Chrome) -> Findings:
    """A whole alert, with a carrier and a server of its own."""
    people, rate = alert.people, alert.calls_per_second
    with (
        scenario_carrier(folder, SCENARIO) as carrier,
        Server(
            folder / "data",
            {**settings_for(carrier), "MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": DATABASE},
            *("--port", str(free_port())),
        ) as server,
        MongoClient[Any](mongodb_uri) as client,
    ):
        api = server.new_account()
        import_people(api, people)
        callout_id = make_alert(api, retry=RETRY, calls_per_second=rate)
        page = Page(browser, server.url, People(api), folder)
        page.begin("operator")
        page.go(f"#/alerts/{callout_id}")
        send_event(api, callout_id, "start")
        wait_until(lambda: page.browser.execute_script(READ)[0].get("total") == people)
        watch = DatabaseWatch(client[DATABASE].callout_participations, callout_id)
        with watch.running():
            # Three of ten are called twice.
            findings = compare(page, watch, server, alert.instants, 1.2 * people / rate, alert.kills)
            wait_until(lambda: api.get(f"/api/callouts/{callout_id}").json["completed_at"], 1800)
            page.wait(lambda: page.browser.execute_script(READ)[2] == "completed")
            look(page, watch, findings)
    return findings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.page.figures")
    for size in fields(Alert):
        parser.add_argument(f"--{size.name.replace('_', '-')}", type=int, default=size.default)
    alert = Alert(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory(prefix="scfm-") as name:
        folder = Path(name)
        with PrivateMongod.start(folder / "mongod") as mongod, chromium() as browser:
            findings = run(alert, folder, mongod.uri, browser)
    print("\n".join([*findings.wrong, findings.told()]))
    return 1 if findings.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
