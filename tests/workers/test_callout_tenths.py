"""The log tells how far a callout with a plan is, each tenth of its people once, and how it ended."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop

from scfm.clock import now
from scfm.storage.store import Store
from scfm.workers.callout_tenths import CalloutTenths
from tests.workers.background import pass_over, settings_for
from tests.workers.owned_clock import Wall
from tests.workers.planned import CALL_SECONDS, Planned

NUMBERS = [f"+8551000000{number}" for number in range(10)]
DELAY = 60


@pytest.fixture
def planned(store: Store, io_loop: IOLoop, tmp_path: Path, wall: Wall) -> Iterator[Planned]:
    settings = settings_for("http://127.0.0.1:9", tmp_path, calls_per_second=0)
    planned = io_loop.run_sync(lambda: Planned.open(store, settings))
    yield planned
    io_loop.run_sync(planned.close)


async def told(planned: Planned, caplog: pytest.LogCaptureFixture, log_id: str | None = None) -> list[str]:
    """What a process that has just been started tells: a look, and one more."""
    caplog.clear()
    tenths = CalloutTenths(planned.store, log_id)
    for _ in range(2):
        tenths._look_at = 0.0
        await pass_over(tenths)
    return list(caplog.messages)


async def test_each_tenth_is_told_once_over_restarts_and_the_end_with_the_people(
    planned: Planned, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "scfm.work")
    await planned.contacts(*NUMBERS)
    attempts = [["answered"]] * 3 + [["busy", "answered"]] * 4 + [["busy", "busy", "answered"]] * 2 + [["failed"]]
    planned.provider.script = dict(zip(NUMBERS, attempts, strict=True))
    callout = await planned.callout("start", retry={"max_attempts": 3, "delays": [DELAY], "on": ["busy"]})
    name = f"callout {callout} of account {planned.view.account_id}"
    await planned.work()
    assert await told(planned, caplog) == []

    moment = now() + timedelta(seconds=CALL_SECONDS + 1)
    await planned.until(moment)
    assert await told(planned, caplog, "of another process") == []
    words = "6 waiting, 3 reached, 1 unreached"
    assert await told(planned, caplog) == [f"{name}: 4 of 10 people are settled ({words})"]
    assert await told(planned, caplog) == []

    await planned.until(moment + timedelta(seconds=DELAY + CALL_SECONDS))
    words = "2 waiting, 7 reached, 1 unreached"
    assert await told(planned, caplog) == [f"{name}: 8 of 10 people are settled ({words})"]

    caplog.clear()
    await planned.finish(callout)
    assert caplog.messages == [f"{name} is completed: 10 people (9 reached, 1 unreached)"]
    assert await told(planned, caplog) == []


async def test_the_end_of_a_stopped_callout_is_told_when_its_last_call_is_over(
    planned: Planned, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "scfm.work")
    await planned.contacts(*NUMBERS[:3])
    planned.provider.script = {NUMBERS[0]: ["busy", "answered"]}
    callout = await planned.callout("start", retry={"max_attempts": 2, "delays": [DELAY], "on": ["busy"]})
    name = f"callout {callout} of account {planned.view.account_id}"
    await planned.work()
    await planned.fire(callout, "stop")
    await planned.work()
    assert caplog.messages == []

    await planned.end_calls()
    assert caplog.messages == [f"{name} is stopped: 3 people (2 reached, 1 unreached)"]
    assert "due" not in (await planned.view.get("callouts", callout))["_run"]

    caplog.clear()
    await planned.fire(callout, "resume")
    await planned.finish(callout)
    assert caplog.messages == [f"{name} is completed: 3 people (3 reached)"]


async def test_nothing_is_told_while_the_audience_is_taken_or_the_callout_rests(
    planned: Planned, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "scfm.work")
    await planned.contacts(*NUMBERS)
    planned.provider.script = {NUMBERS[0]: ["busy", "answered"]}
    callout = await planned.callout("start", retry={"max_attempts": 2, "delays": [DELAY], "on": ["busy"]})
    await planned.end_calls()
    stored = {"_id": callout}
    for field, value, before in (
        ("_run.audience", 5, None),
        ("_run.review", 5, None),
        ("status", "paused", "running"),
    ):
        await planned.view.update_one("callouts", stored, {"$set": {field: value}})
        assert await told(planned, caplog) == [], field
        undone = {"$unset": {field: ""}} if before is None else {"$set": {field: before}}
        await planned.view.update_one("callouts", stored, undone)
    assert len(await told(planned, caplog)) == 1
