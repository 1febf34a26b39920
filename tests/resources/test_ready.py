"""``GET /ready``, and what ``/metrics`` says meanwhile: of a database that hangs, of jobs, of a stop."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.handlers.readiness import DRAINING, NO_DATABASE, Readiness
from scfm.storage.store import Store
from scfm.workers import runner as module
from scfm.workers.runner import Job, Runner
from tests.resources.test_metrics import scrape
from tests.server import Answer, Server, wait_until
from tests.workers.background import eventually

# The driver would wait for sixty seconds.
HANGING_SECONDS = 30


def ready(server: Server) -> Answer:
    return server.request("GET", "/ready", token="")


def test_a_server_that_does_its_work_is_ready(server: Server) -> None:
    # On a busy machine the database may be late for once.
    answer = wait_until(lambda: found if (found := ready(server)).status == 200 else None)
    assert answer.json == {"status": "ready", "reasons": []}
    wait_until(lambda: server.request("HEAD", "/ready", token="").status == 200)
    wait_until(lambda: scrape(server)["scfm_ready{}"] == 1)


def test_while_the_database_hangs_it_is_not_ready_and_a_scrape_is_answered(tmp_path: Path) -> None:
    mongod = PrivateMongod.start(tmp_path / "database")
    try:
        with Server(tmp_path / "data", {"MONGODB_URI": mongod.uri}) as server:
            wait_until(lambda: scrape(server)["scfm_database_up{}"] == 1)
            os.kill(mongod.pid, signal.SIGSTOP)
            try:
                answer = ready(server)
                assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
                assert answer.json == {"status": "not ready", "reasons": [NO_DATABASE]}
                # What was read a moment ago is shown again.
                wait_until(lambda: scrape(server)["scfm_database_up{}"] == 0)
                slowest = server.request("GET", "/metrics", token="").headers["X-Runtime"]
                assert max(float(slowest), float(answer.headers["X-Runtime"])) < HANGING_SECONDS
                found = scrape(server)
                assert found["scfm_ready{}"] == 0
                assert math.isnan(found["scfm_calls_unknown{}"])
                assert "scfm_queue_depth{kind=calls}" not in found
            finally:
                os.kill(mongod.pid, signal.SIGCONT)
            wait_until(lambda: ready(server).status == 200)
            wait_until(lambda: scrape(server).get("scfm_queue_depth{kind=calls}") == 0)
    finally:
        mongod.stop()


async def test_a_server_that_stops_is_not_ready(store: Store) -> None:
    readiness = Readiness(store, lambda: ["the job 'x' has ended"])
    assert await readiness.reasons() == ["the job 'x' has ended"]
    readiness.drain()
    assert await readiness.reasons() == [DRAINING, "the job 'x' has ended"]


class Looking(Job):
    """A job that looks for work until it is told what comes of it."""

    name = "look"

    def __init__(self) -> None:
        self.found: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def claim(self, limit: int) -> Sequence[object]:
        await self.found
        return []


async def test_a_job_that_is_stuck_or_has_ended_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    job, runner = Looking(), Runner(3600.0)
    runner.add(job)
    assert runner.faults() == ["the jobs have not begun"]
    runner.start()
    assert runner.faults() == []

    async def named(words: str) -> bool:
        return any(words in fault for fault in runner.faults())

    monkeypatch.setattr(module, "MAX_CLAIM_SECONDS", 0.0)
    await eventually(lambda: named("'look' has looked for work for"))
    monkeypatch.undo()
    assert runner.faults() == []
    job.found.cancel()  # which nothing but an end of the process does
    await eventually(lambda: named("'look' has ended"))
    await runner.stop(1.0)
    assert runner.faults() == []  # it was told to
