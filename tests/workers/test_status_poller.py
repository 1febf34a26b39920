"""Calls of which nothing is heard: the provider is asked how they ended, less and less often."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scfm.calls.move_call import move_call
from scfm.clock import now
from scfm.models.call_reports import reported_status
from scfm.providers.answers import RemoteCall
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.providers.errors import FETCH_FAILED, Unknown
from scfm.simulator.callee import Callee, CalleeRule
from scfm.simulator.faults import Faults
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers.remote_status import first_check
from scfm.workers.status_poller import LATE_CHECK_INTERVAL, MAX_CALL_AGE, MAX_CHECK_AGE, MAX_CHECK_INTERVAL
from tests.workers.background import (
    PARAMS,
    Background,
    account,
    background,
    calls_of,
    carrier,
    eventually,
    pass_over,
    queued_calls,
    settings_for,
)

SID = "CA" + "5" * 32
NUMBER = "+15550040000"
NOWHERE = "http://127.0.0.1:9"
WITH_CALLBACK = {**PARAMS, "status_callback": "http://127.0.0.1:9/report"}
FIRST = 300.0


class Oracle(Provider):
    """Says of every call what it was told to say, one after the other, the last for ever."""

    def __init__(self, *says: str | Exception) -> None:
        super().__init__(timeout=5)
        self._says = list(says)
        self.asked: list[str] = []

    async def fetch_call(self, credentials: Credentials, sid: str) -> RemoteCall:
        self.asked.append(sid)
        said = self._says.pop(0) if len(self._says) > 1 else self._says[0]
        if isinstance(said, Exception):
            raise said
        return {"sid": sid, "status": said}


async def placed(store: Store, *, ago: timedelta = timedelta(0), **fields: Any) -> None:
    """A call that the provider accepted some time ago, and that is due for a question."""
    moment = now() - ago
    known = {"remote_call_id": SID, "remotely_queued_at": moment, "_check": now(), "_work": None}
    await queued_calls(store, await account(store), [NUMBER], **{"status": "remotely_queued", **known, **fields})
    await store.all_tenants.update_many("phone_calls", {}, {"$unset": {"_work": ""}})


async def only(store: Store) -> Document:
    (call,) = await calls_of(store)
    return call


async def due_again(store: Store) -> None:
    """As if the time had come."""
    await store.all_tenants.update_many("phone_calls", {"_check": {"$exists": True}}, {"$set": {"_check": now()}})


def asking(store: Store, tmp_path: Path, provider: Provider, **settings: Any) -> Background:
    return Background(store, settings_for(NOWHERE, tmp_path, status_check_seconds=FIRST, **settings), provider)


@pytest.mark.parametrize(
    ("policy", "params", "asked"),
    [
        ("auto", PARAMS, True),
        ("auto", WITH_CALLBACK, False),
        ("always", PARAMS, True),
        ("always", WITH_CALLBACK, True),
        ("never", PARAMS, False),
        ("never", WITH_CALLBACK, False),
    ],
)
async def test_by_default_only_calls_without_a_status_callback_are_asked_about(
    store: Store, tmp_path: Path, policy: str, params: Mapping[str, Any], asked: bool
) -> None:
    await queued_calls(store, await account(store), [NUMBER], remote_request_params=params)
    began = now()
    async with carrier() as simulator:
        settings = settings_for(simulator.base_url, tmp_path, status_check=policy, status_check_seconds=FIRST)
        async with background(store, settings) as jobs:
            await pass_over(jobs.dispatcher)
    check = (await only(store)).get("_check")
    assert (check is not None) == asked
    assert check is None or began <= check - timedelta(seconds=FIRST) <= now()


def test_the_default_is_auto(tmp_path: Path) -> None:
    policy = settings_for(NOWHERE, tmp_path).status_check
    assert first_check(PARAMS, policy, 1) is not None
    assert first_check(WITH_CALLBACK, policy, 1) is None


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("completed", "completed"),
        ("busy", "busy"),
        ("failed", "failed"),
        ("canceled", "canceled"),
        ("no-answer", "not_answered"),
    ],
)
async def test_a_call_that_has_ended_is_not_asked_about_again(
    store: Store, tmp_path: Path, said: str, status: str
) -> None:
    await placed(store)
    jobs = asking(store, tmp_path, Oracle(said))
    assert await pass_over(jobs.status_poller) == 1
    call = await only(store)
    assert (call["status"], call["remote_status"]) == (status, said)
    assert call["remote_response"] == {"sid": SID, "status": said}
    assert "_check" not in call
    await jobs.close()


@pytest.mark.parametrize(
    ("ago", "pause"),
    [
        (timedelta(0), timedelta(seconds=FIRST)),
        (timedelta(minutes=20), timedelta(minutes=20)),
        (timedelta(hours=20), MAX_CHECK_INTERVAL),
    ],
)
async def test_the_pauses_grow_with_the_age_of_the_call(
    store: Store, tmp_path: Path, ago: timedelta, pause: timedelta
) -> None:
    began = now()
    await placed(store, ago=ago)
    jobs = asking(store, tmp_path, Oracle("ringing"))
    await pass_over(jobs.status_poller)
    call = await only(store)
    assert call["status"] == "in_progress"
    # It has aged since it was placed.
    assert began <= call["_check"] - pause <= now() + (now() - began)
    assert await pass_over(jobs.status_poller) == 0, "it is not due"
    await jobs.close()


async def test_a_call_that_never_ends_is_asked_about_once_a_day_and_given_up_after_a_month(
    store: Store, tmp_path: Path
) -> None:
    await placed(store, ago=MAX_CALL_AGE + timedelta(minutes=1))
    provider, began = Oracle("in-progress"), now()
    jobs = asking(store, tmp_path, provider)
    await pass_over(jobs.status_poller)
    assert began <= (await only(store))["_check"] - LATE_CHECK_INTERVAL <= now()
    old = {"remotely_queued_at": now() - MAX_CHECK_AGE - timedelta(minutes=1)}
    await store.all_tenants.update_many("phone_calls", {}, {"$set": old})
    await due_again(store)
    await pass_over(jobs.status_poller)
    assert provider.asked == [SID, SID] and "_check" not in await only(store)
    await jobs.close()


async def test_a_question_that_fails_is_asked_again_and_its_error_goes_when_it_is_answered(
    store: Store, tmp_path: Path
) -> None:
    await placed(store)
    jobs = asking(store, tmp_path, Oracle(Unknown("Unable to fetch record: gone"), "queued", "completed"))
    await pass_over(jobs.status_poller)
    call = await only(store)
    assert (call["status"], call["remote_error_message"]) == ("remotely_queued", "Unable to fetch record: gone")
    await due_again(store)
    await pass_over(jobs.status_poller)
    call = await only(store)
    assert (call["status"], call["remote_status"]) == ("remotely_queued", "queued")
    assert call["remote_error_message"] is None
    await due_again(store)
    await pass_over(jobs.status_poller)
    assert (await only(store))["status"] == "completed"
    await jobs.close()


async def test_an_answer_that_cannot_be_worked_with_does_not_end_the_questions(store: Store, tmp_path: Path) -> None:
    await placed(store)
    jobs = asking(store, tmp_path, Oracle(ZeroDivisionError()))
    (item,) = await jobs.status_poller.claim(1)
    with pytest.raises(ZeroDivisionError) as raised:
        await jobs.status_poller.process(item)
    await jobs.status_poller.on_error(item, raised.value)
    assert (await only(store))["_check"] > now() + timedelta(seconds=FIRST / 2)
    await jobs.close()


async def test_a_call_whose_end_is_reported_after_all_shows_no_question_that_failed(
    store: Store, tmp_path: Path
) -> None:
    await placed(store)
    jobs = asking(store, tmp_path, Oracle(Unknown(f"{FETCH_FAILED}: gone")))
    await pass_over(jobs.status_poller)
    call = await only(store)
    assert call["remote_error_message"].startswith(FETCH_FAILED)
    report = {"CallStatus": "completed", "SequenceNumber": "3"}
    await move_call(store.for_account(call["account_id"]), call, reported_status(report))
    call = await only(store)
    assert (call["status"], call["remote_error_message"]) == ("completed", None)
    await jobs.close()


class Overtaken(Oracle):
    """While it answers, a report comes that knows more."""

    store: Store

    async def fetch_call(self, credentials: Credentials, sid: str) -> RemoteCall:
        answer = await super().fetch_call(credentials, sid)
        call = await only(self.store)
        report = {"CallStatus": "completed", "SequenceNumber": "3"}
        await move_call(self.store.for_account(call["account_id"]), call, reported_status(report))
        return answer


async def test_a_report_that_comes_meanwhile_knows_better(store: Store, tmp_path: Path) -> None:
    await placed(store)
    provider = Overtaken("ringing")
    provider.store = store
    jobs = asking(store, tmp_path, provider)
    await pass_over(jobs.status_poller)
    assert (await only(store))["status"] == "completed"
    await due_again(store)
    await pass_over(jobs.status_poller)
    assert provider.asked == [SID] and "_check" not in await only(store)
    await jobs.close()


async def test_two_processes_do_not_ask_about_one_call_together(store: Store, tmp_path: Path) -> None:
    await placed(store)
    one, other = asking(store, tmp_path, Oracle("ringing")), asking(store, tmp_path, Oracle("ringing"))
    taken = await asyncio.gather(one.status_poller.claim(5), other.status_poller.claim(5))
    assert sorted(len(items) for items in taken) == [0, 1]
    await one.close()
    await other.close()


async def test_a_question_that_died_with_its_process_is_asked_by_another(store: Store, tmp_path: Path) -> None:
    await placed(store)
    dead = asking(store, tmp_path, Oracle("ringing"), lease_seconds=0.0)
    assert len(await dead.status_poller.claim(1)) == 1
    await dead.close()
    jobs = asking(store, tmp_path, Oracle("completed"))
    await eventually(lambda: pass_over(jobs.status_poller))
    assert (await only(store))["status"] == "completed"
    await jobs.close()


async def test_calls_whose_every_report_is_lost_come_to_an_end_by_themselves(store: Store, tmp_path: Path) -> None:
    numbers = [f"+1555004{number:04}" for number in range(10)]
    await queued_calls(
        store, await account(store), numbers, remote_request_params={"from": "345", "twiml": "<Response/>"}
    )
    callees = (CalleeRule(Callee(after=1.0), prefix="+"),)
    async with carrier(faults=Faults(callback_lost=1.0), life_size=0.01, callees=callees) as simulator:
        settings = settings_for(simulator.base_url, tmp_path, status_check_seconds=0.1, sweep_seconds=0.05)
        async with background(store, settings) as jobs:
            jobs.runner.start()

            async def all_ended() -> bool:
                return {call["status"] for call in await calls_of(store)} == {"completed"}

            await eventually(all_ended)
            await jobs.runner.stop(patience=5)
    assert all("_check" not in call for call in await calls_of(store))


def test_a_first_question_comes_after_the_time_that_is_set() -> None:
    began, moment = now(), first_check({}, "auto", 300)
    assert isinstance(moment, datetime) and began <= moment - timedelta(seconds=300) <= now()
