"""Calls of which nothing was heard for long, as the report of their end was lost, are asked about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scfm.clock import now
from scfm.storage.store import Store
from scfm.workers import silent_calls
from scfm.workers.silent_calls import SilentCalls
from tests.workers.background import account, calls_of, pass_over, queued_calls, settings_for

NOWHERE = "http://127.0.0.1:9"
SILENCE = 300.0
HOUR, DAY = 60.0, 60.0 * 24
OF_A_PLAN: Mapping[str, Any] = {"_attempt": 1}


async def at_provider(store: Store, minutes: float, **fields: Any) -> None:
    """A call that left so many minutes ago, and of which nothing was heard since."""
    moment = now() - timedelta(minutes=minutes)
    known = {"status": "remotely_queued", "remote_call_id": "CA1", "remotely_queued_at": moment, "updated_at": moment}
    await queued_calls(store, await account(store), ["+85510000001"], **{**known, **fields})


async def is_asked_about(store: Store, tmp_path: Path, **settings: Any) -> bool:
    """Whether the time to ask about the only call has come, when the job has done its work."""
    job = SilentCalls(store, settings_for(NOWHERE, tmp_path, **{"status_check_seconds": SILENCE, **settings}))
    await pass_over(job)
    (call,) = await calls_of(store)
    return "_check" in call and bool(call["_check"] <= now())


@pytest.mark.parametrize("status", ["remotely_queued", "in_progress"])
@pytest.mark.parametrize(
    ("minutes", "fields"),
    [
        (6, OF_A_PLAN),
        (HOUR + 1, {}),
        (30 * DAY, {}),
        (HOUR + 1, {"remotely_queued_at": None}),  # somebody has called us
    ],
    ids=["of a plan", "of no plan", "old", "inbound"],
)
async def test_a_call_of_which_nothing_was_heard_for_long_is_asked_about(
    store: Store, tmp_path: Path, minutes: float, fields: Mapping[str, Any], status: str
) -> None:
    await at_provider(store, minutes, **{**fields, "status": status})
    assert await is_asked_about(store, tmp_path)


@pytest.mark.parametrize(
    ("minutes", "fields"),
    [
        (4, OF_A_PLAN),
        (59, {}),
        (32 * DAY, OF_A_PLAN),
        (6, {**OF_A_PLAN, "status": "completed"}),
        (6, {**OF_A_PLAN, "status": "remote_fetch_queued"}),  # a client has asked
        (6, {**OF_A_PLAN, "remote_call_id": None}),
        (HOUR, {"remotely_queued_at": None, "created_at": now() - timedelta(days=32)}),
    ],
    ids=[
        "of a plan, young",
        "of no plan, young",
        "too old",
        "over",
        "fetched",
        "not known to the provider",
        "inbound",
    ],
)
async def test_other_calls_are_left_alone(
    store: Store, tmp_path: Path, minutes: float, fields: Mapping[str, Any]
) -> None:
    await at_provider(store, minutes, **fields)
    assert not await is_asked_about(store, tmp_path)


async def test_of_many_those_that_plans_wait_for_are_asked_about_first(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silent_calls, "MAX_SILENT", 2)
    for fields in ({}, {}, OF_A_PLAN, OF_A_PLAN, OF_A_PLAN):
        await at_provider(store, HOUR + 1, **fields)
    job = SilentCalls(store, settings_for(NOWHERE, tmp_path, status_check_seconds=SILENCE))
    asked = []
    for _ in range(3):
        job._due = 0.0
        await pass_over(job)
        calls = [call for call in await calls_of(store) if "_check" in call]
        asked.append((len(calls), sum("_attempt" in call for call in calls)))
    assert asked == [(2, 2), (4, 3), (5, 3)]


async def test_one_that_was_heard_of_lately_is_left_alone(store: Store, tmp_path: Path) -> None:
    await at_provider(store, 6, **OF_A_PLAN, updated_at=now() - timedelta(minutes=4))
    assert not await is_asked_about(store, tmp_path)


async def test_one_that_will_be_asked_about_is_left_alone(store: Store, tmp_path: Path) -> None:
    await at_provider(store, 6, **OF_A_PLAN, _check=now() + timedelta(hours=1))
    assert not await is_asked_about(store, tmp_path)


async def test_a_call_is_not_asked_about_sooner_than_the_setting_says(store: Store, tmp_path: Path) -> None:
    await at_provider(store, HOUR + 1)
    assert not await is_asked_about(store, tmp_path, status_check_seconds=2 * 3600.0)


async def test_where_status_checks_are_switched_off_nobody_is_asked(store: Store, tmp_path: Path) -> None:
    await at_provider(store, 6, **OF_A_PLAN)
    assert not await is_asked_about(store, tmp_path, status_check="never")
