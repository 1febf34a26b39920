"""Nothing lost, nobody rung twice: whatever dies, and whenever.

Each seed calls a hundred people or so through a carrier that errs, while servers and databases are killed and cut
off from one another; then the carrier's books are compared with the database. Some do so by batch operations, some by
an alert with a plan, which is paused, stopped, held and opted out of meanwhile. ``make torture`` tries 200 seeds of
every kind; here are one or two for each house, which together have every kind of blow, of report and of limit.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.torture.street import Report, trials

# By the kind of house, the seeds that are tried in one, one after the other.
SEEDS = {"alone": (2,), "two": (13, 14), "three": (21, 22)}
# The seed of the alert with a plan that follows.
ALERTS = {"alone": 1, "two": 27}

# By the kind of trial and the seed: the report that will come of it.
Street = dict[tuple[str, int], Future[Report]]


@pytest.fixture(scope="module")
def street() -> Iterator[Street]:
    """The houses stand side by side, as each waits most of the time."""
    reports: Street = {("calls", seed): Future() for seeds in SEEDS.values() for seed in seeds}
    reports |= {("alerts", seed): Future() for seed in ALERTS.values()}
    stop = threading.Event()

    def walk(name: str) -> None:
        seeds: Mapping[str, Sequence[int]] = {
            "calls": SEEDS[name],
            "alerts": [ALERTS[name]] if name in ALERTS else [],
        }
        for trial in seeds:
            for report in trials(trial, name, seeds[trial], stop, lambda _: None):
                reports[trial, report.seed].set_result(report)

    with ThreadPoolExecutor(len(SEEDS)) as pool:
        walking = [pool.submit(walk, name) for name in SEEDS]
        yield reports
        stop.set()
    for walked in walking:
        walked.result()


@pytest.mark.parametrize(("house", "seed"), [(house, seed) for house, seeds in SEEDS.items() for seed in seeds])
def test_everybody_is_called_once_and_every_call_is_settled(street: Street, house: str, seed: int) -> None:
    report = street["calls", seed].result(timeout=300)
    assert report.house == house
    assert report.verdict.violations == [], report.again
    assert report.verdict.figures["rung"], "else nothing was tried"
    assert report.blows, "else nothing was hurt"


def test_most_calls_of_all_trials_ring(street: Street) -> None:
    """Of one trial they may be few: on a slow machine a server dies with all calls of a trial under way."""
    reports = [street["calls", seed].result(timeout=300) for seeds in SEEDS.values() for seed in seeds]
    figures = sum((report.verdict.figures for report in reports), Counter[str]())
    assert figures["rung"] > figures["calls"] / 2


@pytest.mark.parametrize("house", ALERTS)
def test_an_alert_keeps_to_its_plan_and_forgets_nobody(street: Street, house: str) -> None:
    report = street["alerts", ALERTS[house]].result(timeout=600)
    assert report.verdict.violations == [], report.again
    figures = report.verdict.figures
    assert figures["rung"] > figures["people"] / 2, "else nothing was tried"
    assert report.blows and figures["closed"] + figures["opted_out"], "else nothing was hurt"
