"""Recordings that are not to be kept any more are deleted at the provider, however often that takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from scfm.models.doomed_recording import DOOMED_RECORDINGS, doom_recordings
from scfm.models.platform import Platform
from scfm.providers.client import Provider
from scfm.providers.errors import CallRejected, Unknown
from scfm.simulator.recordings import recording_sid
from scfm.simulator.simulator import Simulator
from scfm.storage.store import Store
from scfm.workers import delete_recordings
from scfm.workers.calling_accounts import CallingAccounts
from scfm.workers.delete_recordings import DeleteRecordings
from tests.workers.background import SID, account, carrier, pass_over, settings_for

TOO_LONG = 1 << 20


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delete_recordings, "DELETION_PAUSES", (0.0, 0.0))


@asynccontextmanager
async def deleting(store: Store, base_url: str, folder: Path) -> AsyncIterator[tuple[DeleteRecordings, Provider]]:
    settings = settings_for(base_url, folder)
    provider = Provider(timeout=5.0)
    accounts = CallingAccounts(store, Platform(settings))
    try:
        yield DeleteRecordings(store, provider, accounts), provider
    finally:
        await provider.close()


def recording_url(simulator: Simulator) -> str:
    return f"{simulator.carrier.base_url}/2010-04-01/Accounts/{SID}/Recordings/{recording_sid(2)}"


async def test_it_is_not_there_any_more(store: Store, tmp_path: Path) -> None:
    account_id = await account(store)
    view = store.for_account(account_id)
    async with carrier() as simulator, deleting(store, simulator.carrier.base_url, tmp_path) as (job, provider):
        url = recording_url(simulator)
        credentials = await job._accounts.credentials(account_id)
        assert await provider.fetch_recording(credentials, url, TOO_LONG)
        await doom_recordings(view, [url, url])
        assert await pass_over(job)
        with pytest.raises((CallRejected, Unknown)):
            await provider.fetch_recording(credentials, url, TOO_LONG)
        await doom_recordings(view, [url])
        assert await pass_over(job)  # one that is gone is no failure
    assert not await view.exists(DOOMED_RECORDINGS, {})


async def test_a_provider_that_does_not_answer_is_asked_again_and_then_it_is_told(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    account_id = await account(store)
    view = store.for_account(account_id)
    async with carrier() as simulator:
        url, base_url = recording_url(simulator), simulator.carrier.base_url
    async with deleting(store, base_url, tmp_path) as (job, _):
        await doom_recordings(view, [url])
        for tries in (1, 2):
            assert await pass_over(job)
            (doomed,) = await view.find(DOOMED_RECORDINGS, {})
            assert doomed["tries"] == tries
        assert "does not delete" not in caplog.text
        assert await pass_over(job)
    assert "does not delete the recording RE" in caplog.text
    assert not await view.exists(DOOMED_RECORDINGS, {})


async def test_what_is_at_another_provider_is_told_and_never_asked_for(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    view = store.for_account(await account(store))
    async with carrier() as simulator, deleting(store, simulator.carrier.base_url, tmp_path) as (job, _):
        await doom_recordings(view, ["https://elsewhere.example.org/2010-04-01/Accounts/AC1/Recordings/RE1"])
        assert await pass_over(job)
    assert "a recording (RE1) is not at the account's present provider" in caplog.text
    assert not await view.exists(DOOMED_RECORDINGS, {})
