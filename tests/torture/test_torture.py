"""Nothing lost, nobody rung twice: whatever dies, and whenever.

Each seed calls a hundred people or so through a carrier that errs, while servers and databases are killed and cut
off from one another; then the carrier's books are compared with the database. ``make torture`` tries many seeds.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.torture.street import Report, trials

# The first seed of each kind of house, and how many follow.
FIRST = {"alone": 1, "two": 11, "three": 21}
TURNS = 7

Street = dict[int, Future[Report]]


@pytest.fixture(scope="module")
def street() -> Iterator[Street]:
    """By seed: the report that will come of it. The houses stand side by side, as each waits most of the time."""
    reports: Street = {first + turn: Future() for first in FIRST.values() for turn in range(TURNS)}
    stop = threading.Event()

    def walk(name: str) -> None:
        first = FIRST[name]
        for report in trials(name, range(first, first + TURNS), stop, lambda _: None):
            reports[report.seed].set_result(report)

    with ThreadPoolExecutor(len(FIRST)) as pool:
        walking = [pool.submit(walk, name) for name in FIRST]
        yield reports
        stop.set()
    for walked in walking:
        walked.result()


@pytest.mark.parametrize("turn", range(TURNS))
@pytest.mark.parametrize("house", FIRST)
def test_everybody_is_called_once_and_every_call_is_settled(street: Street, house: str, turn: int) -> None:
    report = street[FIRST[house] + turn].result(timeout=300)
    assert report.verdict.violations == [], report.again
    assert report.verdict.figures["rung"] > report.verdict.figures["calls"] / 2, "else nothing was tried"
    assert report.blows, "else nothing was hurt"
