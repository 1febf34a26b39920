"""An outage is one line when it begins and one when it is over."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scfm.errors import Unreachable
from scfm.runtime import outage as module
from scfm.runtime.outage import DatabaseOutage, Outage
from scfm.storage.store import Store
from scfm.workers.runner import Job, Runner
from tests.workers.background import Background, account, carrier, eventually, queued_calls, settings_for

QUIET = 0.05


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name.startswith("scfm")]


async def told_lines(caplog: pytest.LogCaptureFixture, count: int) -> list[str]:
    async def are_there() -> bool:
        return len(lines(caplog)) >= count

    await eventually(are_there)
    return lines(caplog)


async def test_many_failures_and_then_answers_are_two_lines(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage("the line is dead", "the line is back", quiet=QUIET)
    for _ in range(100):
        outage.failed("no\nroute")
    for _ in range(100):
        outage.answered()
    first, second = await told_lines(caplog, 2)
    assert first == "the line is dead: no route"
    assert second.startswith("the line is back, after 0.")


async def test_one_that_comes_and_goes_is_one_outage(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage("the line is dead", "the line is back", quiet=QUIET)
    for _ in range(20):
        outage.failed("no route")
        outage.answered()
    assert len(await told_lines(caplog, 2)) == 2


async def test_what_answers_is_not_mentioned(caplog: pytest.LogCaptureFixture) -> None:
    Outage("the line is dead", "the line is back", quiet=0).answered()
    await asyncio.sleep(0)
    assert lines(caplog) == []


async def test_the_database_is_asked_until_it_answers(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.001)
    monkeypatch.setattr(module.Outage.__init__, "__kwdefaults__", {"quiet": QUIET})
    asked = 0

    async def ping() -> None:
        nonlocal asked
        asked += 1
        if asked < 4:
            raise Unreachable("refused")

    outage = DatabaseOutage(ping)
    for _ in range(3):
        outage.noticed(Unreachable("refused"))
    assert len(await told_lines(caplog, 2)) == 2
    assert asked == 4
    await outage.close()


class Blind(Job):
    """A job that never reaches the database."""

    name = "blind"

    async def claim(self, limit: int) -> list[object]:
        raise Unreachable("refused")


async def test_jobs_that_cannot_reach_the_database_say_so_once_together(caplog: pytest.LogCaptureFixture) -> None:
    looks = 0

    async def ping() -> None:
        nonlocal looks
        looks += 1
        raise Unreachable("refused")

    outage = DatabaseOutage(ping)
    runner = Runner(0.001, outage)
    for _ in range(5):
        runner.add(Blind())
    runner.start()

    async def was_asked() -> bool:
        return looks >= 2

    await eventually(was_asked)
    await runner.stop(1)
    await outage.close()
    assert len(lines(caplog)) == 1 and "refused" in lines(caplog)[0]


async def test_a_provider_that_cannot_be_reached_is_told_of_once(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with carrier() as simulator:
        gone = simulator.base_url
    account_id = await account(store)
    await queued_calls(store, account_id, [f"+1555002{number:04}" for number in range(30)])
    jobs = Background(store, settings_for(gone, tmp_path))
    jobs.runner.start()
    await told_lines(caplog, 1)
    await jobs.runner.stop(5)
    await jobs.close()
    (line,) = lines(caplog)
    assert line.startswith(f"the provider of account {account_id} does not answer; its calls wait: ")
