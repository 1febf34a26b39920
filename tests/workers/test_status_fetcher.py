"""Fetching remote statuses on demand: where each word of the provider's moves a call, and what a failure leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scfm.calls.move_call import move_call
from scfm.clock import now
from scfm.models.call_reports import reported_status
from scfm.providers.answers import RemoteCall
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.providers.errors import CallRejected, NotSent, Unknown
from scfm.storage.query import Document
from scfm.storage.store import Store
from tests.workers.background import Background, account, calls_of, eventually, pass_over, queued_calls, settings_for

SID = "CA" + "6" * 32
NUMBER = "+15550050000"
NOWHERE = "http://127.0.0.1:9"
BEFORE = ["remotely_queued", "in_progress"]


class Oracle(Provider):
    """Answers every question alike."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        super().__init__(timeout=5)
        self._answer = answer

    async def fetch_call(self, credentials: Credentials, sid: str) -> RemoteCall:
        answer = self._answer()
        if isinstance(answer, Exception):
            raise answer
        return {"sid": sid, **answer}


async def queued_for_fetch(store: Store, before: str = "remotely_queued", **fields: Any) -> None:
    """A call that a client wants to know about."""
    known = {"status": "remote_fetch_queued", "remote_call_id": SID, "remote_status": "queued", "_fetch_from": before}
    await queued_calls(store, await account(store), [NUMBER], **{**known, **fields})


async def only(store: Store) -> Document:
    (call,) = await calls_of(store)
    return call


async def fetched(store: Store, tmp_path: Path, answer: Callable[[], Any]) -> Document:
    """The call, after a fetch with that answer."""
    jobs = Background(store, settings_for(NOWHERE, tmp_path), Oracle(answer))
    assert await pass_over(jobs.status_fetcher) == 1
    assert await pass_over(jobs.status_fetcher) == 0
    await jobs.close()
    call = await only(store)
    assert "_work" not in call and "_fetch_from" not in call
    return call


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("in-progress", "in_progress"),
        ("ringing", "in_progress"),
        ("busy", "busy"),
        ("failed", "failed"),
        ("canceled", "canceled"),
        ("completed", "completed"),
        ("no-answer", "not_answered"),
        ("queued", None),
        ("initiated", None),
        ("something new", None),
        (None, None),
        (7, None),
    ],
)
async def test_each_word_of_the_providers_has_its_status_and_any_other_goes_back(
    store: Store, tmp_path: Path, before: str, said: Any, status: str | None
) -> None:
    await queued_for_fetch(store, before)
    answer = {} if said is None else {"status": said}
    call = await fetched(store, tmp_path, lambda: answer)
    assert call["status"] == (status or before)
    assert call["remote_status"] == said
    assert call["remote_response"] == {"sid": SID, **answer}
    assert call["remote_error_message"] is None


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("kind", [CallRejected, NotSent, Unknown])
async def test_a_fetch_that_fails_keeps_its_error_and_goes_back(
    store: Store, tmp_path: Path, before: str, kind: type[Exception]
) -> None:
    await queued_for_fetch(store, before)
    call = await fetched(store, tmp_path, lambda: kind("Unable to fetch record: not now"))
    assert (call["status"], call["remote_error_message"]) == (before, "Unable to fetch record: not now")
    assert (call["remote_status"], call.get("remote_response")) == ("queued", None)


async def test_a_fetch_that_succeeds_takes_the_error_of_an_earlier_one_away(store: Store, tmp_path: Path) -> None:
    await queued_for_fetch(store, remote_error_message="Unable to fetch record: not now")
    call = await fetched(store, tmp_path, lambda: {"status": "completed"})
    assert (call["status"], call["remote_error_message"]) == ("completed", None)


async def test_a_call_that_cannot_be_worked_on_goes_back_with_its_error_and_blocks_nothing(
    store: Store, tmp_path: Path
) -> None:
    await queued_for_fetch(store, "in_progress")
    await queued_for_fetch(store)
    answers = iter([ZeroDivisionError(), {"status": "completed"}])
    jobs = Background(store, settings_for(NOWHERE, tmp_path), Oracle(lambda: next(answers)))
    jobs.runner.start()

    async def ended() -> bool:
        return all(call["status"] != "remote_fetch_queued" for call in await calls_of(store))

    await eventually(ended)
    await jobs.runner.stop(patience=5)
    await jobs.close()
    shown = {(call["status"], call["remote_error_message"]) for call in await calls_of(store)}
    assert ("completed", None) in shown
    assert any("ZeroDivisionError" in (message or "") for _, message in shown)


async def test_a_report_that_comes_meanwhile_knows_better(store: Store, tmp_path: Path) -> None:
    await queued_for_fetch(store)
    jobs = Background(store, settings_for(NOWHERE, tmp_path), Oracle(lambda: {"status": "ringing"}))
    (item,) = await jobs.status_fetcher.claim(1)
    report = {"CallStatus": "completed", "SequenceNumber": "3"}
    await move_call(store.for_account(item["account_id"]), item, reported_status(report))
    await jobs.status_fetcher.process(item)
    await jobs.close()
    assert (await only(store))["status"] == "completed"


async def test_a_fetch_that_died_with_its_process_is_carried_out_by_another(store: Store, tmp_path: Path) -> None:
    await queued_for_fetch(store)
    dead = Background(store, settings_for(NOWHERE, tmp_path, lease_seconds=0.0))
    assert len(await dead.status_fetcher.claim(1)) == 1
    await dead.close()
    assert (await only(store))["_work"]["lease"] <= now()
    jobs = Background(store, settings_for(NOWHERE, tmp_path), Oracle(lambda: {"status": "busy"}))
    await eventually(lambda: pass_over(jobs.reconciler))
    assert await pass_over(jobs.status_fetcher) == 1
    await jobs.close()
    assert (await only(store))["status"] == "busy"
