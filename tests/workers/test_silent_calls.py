"""Calls of a plan of which no report came are asked about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scfm.clock import SYSTEM_CLOCK, MonotonicClock, now
from scfm.storage.store import Store
from scfm.workers.silent_calls import SilentCalls
from tests.workers.background import calls_of, queued_calls, settings_for
from tests.workers.owned_clock import OwnedClock

NOWHERE = "http://127.0.0.1:9"
ACCOUNT, CALLOUT, OTHER = 1, 7, 8
SILENCE = 300.0


async def at_provider(store: Store, minutes: float, **fields: Any) -> int:
    """A call that left so many minutes ago; its id."""
    known = {"status": "remotely_queued", "remote_call_id": "CA1", "callout_id": CALLOUT}
    left = {"remotely_queued_at": now() - timedelta(minutes=minutes)}
    account = fields.pop("account_id", ACCOUNT)
    (call,) = await queued_calls(store, account, ["+85510000001"], **{**known, **left, **fields})
    return call


async def asked_about(store: Store) -> set[int]:
    """The calls whose time to be asked about has come."""
    return {call["_id"] for call in await calls_of(store) if call.get("_check", now()) <= now() and "_check" in call}


def silent(tmp_path: Path, clock: MonotonicClock = SYSTEM_CLOCK, **settings: Any) -> SilentCalls:
    return SilentCalls(settings_for(NOWHERE, tmp_path, **{"status_check_seconds": SILENCE, **settings}), clock)


@pytest.mark.parametrize("status", ["remotely_queued", "in_progress"])
async def test_an_open_call_that_left_long_ago_is_asked_about(store: Store, tmp_path: Path, status: str) -> None:
    call = await at_provider(store, 6, status=status)
    await silent(tmp_path).ask(store.for_account(ACCOUNT), CALLOUT)
    assert await asked_about(store) == {call}


@pytest.mark.parametrize(
    ("minutes", "fields"),
    [
        (4, {}),
        (26 * 60, {}),  # no call lasts so long
        (6, {"status": "completed"}),
        (6, {"status": "remote_fetch_queued"}),  # a client has asked
        (6, {"callout_id": OTHER}),
        (6, {"account_id": ACCOUNT + 1}),
        (6, {"_check": now() + timedelta(hours=1)}),
    ],
    ids=["young", "old", "over", "fetched", "another callout's", "another account's", "asked"],
)
async def test_other_calls_are_left_alone(
    store: Store, tmp_path: Path, minutes: float, fields: Mapping[str, Any]
) -> None:
    await at_provider(store, minutes, **fields)
    await silent(tmp_path).ask(store.for_account(ACCOUNT), CALLOUT)
    assert await asked_about(store) == set()


async def test_where_status_checks_are_switched_off_nobody_is_asked(store: Store, tmp_path: Path) -> None:
    await at_provider(store, 6)
    await silent(tmp_path, status_check="never").ask(store.for_account(ACCOUNT), CALLOUT)
    assert await asked_about(store) == set()


async def test_each_callout_is_looked_through_now_and_then(store: Store, tmp_path: Path) -> None:
    clock = OwnedClock()
    calls, view = silent(tmp_path, clock), store.for_account(ACCOUNT)
    await calls.ask(view, CALLOUT)
    late, others = await at_provider(store, 6), await at_provider(store, 6, callout_id=OTHER)
    clock.advance(59)
    await calls.ask(view, CALLOUT)
    await calls.ask(view, OTHER)
    assert await asked_about(store) == {others}
    clock.advance(2)
    await calls.ask(view, CALLOUT)
    assert await asked_about(store) == {late, others}
