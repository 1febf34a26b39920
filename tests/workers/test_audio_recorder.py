"""Recordings by phone: the flow, where they are fetched from, and what becomes of them whoever dies meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scfm.clock import now
from scfm.errors import Invalid
from scfm.models.audio_recording import AUDIO_RECORDINGS, RECORDING_METADATA, begin_recording
from scfm.models.fields import Rules
from scfm.models.scope import Client, Scope
from scfm.models.stored_documents import CALLS
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.providers.errors import CallRejected, Unknown
from scfm.providers.recording_urls import is_recording_of
from scfm.simulator.recordings import recording_sid
from scfm.simulator.simulator import Simulator
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.twiml.record_audio import IS_KEPT, MAX_ASKED, RECORDED_AT, RecordAudio
from scfm.twiml.rehearsal import Rehearsal, rehearse
from scfm.workers import audio_recorder
from scfm.workers.audio_recorder import NOT_KEPT, AudioRecorder
from tests.workers.background import SID, TOKEN, account, background, carrier, settings_for
from tests.workers.dying_view import DyingView, Killed

GIVEN = {"msisdn": "+15005550010", "name": "flood-km", "language": "km", "remote_request_params": {"from": "1294"}}
TWILIO = Credentials("twilio", SID, TOKEN, None)
RECORDING = "REaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


def spoken(*callee: Any) -> Rehearsal:
    return rehearse(RecordAudio, digits=callee)


def test_what_is_recorded_is_played_back_and_kept_on_key_1() -> None:
    call = spoken({"record": 4}, "1")
    assert call.problem is None
    assert call.call_memory[IS_KEPT] is True
    assert call.call_memory[RECORDED_AT] in call.twiml[1]
    assert call.said("It is kept")


def test_key_2_begins_anew_and_forgets_what_was_recorded() -> None:
    call = spoken({"record": 4}, "2", {"record": 9}, "1")
    assert call.call_memory[IS_KEPT] is True
    assert ["<Record" in twiml for twiml in call.twiml] == [True, False, True, False, False]
    assert [turn.details.get("RecordingDuration") for turn in call.turns] == [None, "4", None, "9", None]
    assert [RECORDED_AT in turn.call_memory for turn in call.turns] == [False, True, False, True, True]


@pytest.mark.parametrize("callee", [[{"record": 4}], [{"record": 4}, {"hang_up": True}], [{"hang_up": True}], []])
def test_nothing_is_kept_without_key_1(callee: list[Any]) -> None:
    assert IS_KEPT not in spoken(*callee).call_memory


def test_whoever_says_nothing_and_presses_other_keys_is_not_asked_for_ever() -> None:
    silent, wrong = spoken(*[None] * 20), spoken({"record": 4}, *["7", None] * 10)
    for call in (silent, wrong):
        assert not call.endless
        assert call.said("Nothing is kept")
        assert len(call.turns) <= MAX_ASKED + 3


@pytest.mark.parametrize(
    ("base_url", "url", "own"),
    [
        (None, f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Recordings/{RECORDING}", True),
        (None, f"https://api.twilio.com:443/2010-04-01/Accounts/{SID}/Recordings/{RECORDING}", True),
        (None, f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Recordings/{RECORDING}.mp3", True),
        (None, f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Recordings/{RECORDING}.json", False),
        (None, f"http://api.twilio.com/2010-04-01/Accounts/{SID}/Recordings/{RECORDING}", False),
        (None, f"https://api.twilio.com:8443/2010-04-01/Accounts/{SID}/Recordings/{RECORDING}", False),
        (None, f"https://api.twilio.com.example.org/2010-04-01/Accounts/{SID}/Recordings/{RECORDING}", False),
        (None, f"https://api.twilio.com@example.org/2010-04-01/Accounts/{SID}/Recordings/{RECORDING}", False),
        (None, f"https://me@api.twilio.com/2010-04-01/Accounts/{SID}/Recordings/{RECORDING}", False),
        (None, f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Recordings/{RECORDING}?a=b", False),
        (None, f"https://api.twilio.com/2010-04-01/Accounts/AC2/Recordings/{RECORDING}", False),
        (None, f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Recordings/../Calls", False),
        (None, f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Calls/CA1", False),
        (None, "https://[api/2010-04-01", False),
        ("http://10.0.0.1:8080/x", f"http://10.0.0.1:8080/x/2010-04-01/Accounts/{SID}/Recordings/{RECORDING}", True),
        ("http://10.0.0.1:8080/x", f"http://10.0.0.1:8081/x/2010-04-01/Accounts/{SID}/Recordings/{RECORDING}", False),
        ("http://10.0.0.1:8080/x", f"http://10.0.0.1/x/2010-04-01/Accounts/{SID}/Recordings/{RECORDING}", False),
    ],
)
def test_a_recording_is_asked_for_at_the_accounts_own_provider_alone(base_url: str, url: str, own: bool) -> None:
    assert is_recording_of(Credentials("twilio", SID, TOKEN, base_url), url) is own


async def test_nobody_else_is_asked_and_no_more_is_taken_than_is_allowed() -> None:
    provider = Provider(timeout=5)
    try:
        async with carrier() as own, carrier() as other:
            credentials = Credentials("twilio", SID, TOKEN, own.base_url)
            path = f"2010-04-01/Accounts/{SID}/Recordings/{recording_sid(4.0)}"
            content = await provider.fetch_recording(credentials, f"{own.base_url}/{path}", 1 << 20)
            assert (len(content), content[:4]) == (44 + 64000, b"RIFF")
            assert await provider.fetch_recording(credentials, f"{own.base_url}/{path}.wav", 1 << 20) == content
            with pytest.raises(CallRejected):
                await provider.fetch_recording(credentials, f"{other.base_url}/{path}", 1 << 20)
            with pytest.raises(Unknown, match="longer than 1000 bytes"):
                await provider.fetch_recording(credentials, f"{own.base_url}/{path}", 1000)
            wrong = Credentials("twilio", SID, "another token", own.base_url)
            with pytest.raises(Unknown, match="HTTP 401"):
                await provider.fetch_recording(wrong, f"{own.base_url}/{path}", 1 << 20)
    finally:
        await provider.close()


class Office:
    """An account, whose officer is called, and one process that keeps what is recorded.

    ``changed``: the accounts of which the process was told that they have another audio file.
    """

    def __init__(
        self, store: Store, account_id: int, simulator: Simulator, job: AudioRecorder, changed: list[int]
    ) -> None:
        self.store = store
        self.view = store.for_account(account_id)
        self.scope = Scope(self.view, Rules(), Client(account_id, 1))
        self.simulator = simulator
        self.job = job
        self.changed = changed

    async def call(self, status: str = "completed", *, kept: bool = True, sid: str | None = None) -> int:
        """A call that is over, in which somebody has spoken; its id."""
        call = await begin_recording(self.scope, dict(GIVEN), "http://127.0.0.1:9/none")
        path = f"2010-04-01/Accounts/{SID}/Recordings/{sid or recording_sid(4.0)}"
        heard: Document = {RECORDED_AT: f"{self.simulator.base_url}/{path}", **({IS_KEPT: True} if kept else {})}
        change = {"status": status, "metadata.call_flow_data": {RecordAudio.name: heard}}
        await self.view.update_one(CALLS, {"_id": call["_id"]}, {"$set": change})
        return int(call["_id"])

    async def work(self, passes: int = 1) -> None:
        """Do what is due within an hour, so many times."""
        for _ in range(passes):
            past = {"$set": {"due": now() - timedelta(seconds=1)}}
            await self.view.update_many(AUDIO_RECORDINGS, {}, past)
            for item in await self.job.claim(10):
                await self.job.process(item)

    async def files(self) -> list[Document]:
        return await self.view.find("audio_files", {})

    async def told(self, call_id: int) -> Any:
        """What the call's metadata say of the recording."""
        return (await self.view.get(CALLS, call_id))["metadata"][RECORDING_METADATA]

    async def is_done(self) -> bool:
        return not await self.view.exists(AUDIO_RECORDINGS, {})


@asynccontextmanager
async def office(store: Store, folder: Path) -> AsyncIterator[Office]:
    async with (
        carrier() as simulator,
        background(store, settings_for(simulator.base_url, folder)) as jobs,
    ):
        changed: list[int] = []
        job = AudioRecorder(store, jobs.provider, jobs.accounts, folder, changed.append)
        yield Office(store, await account(store), simulator, job, changed)


async def test_what_is_kept_becomes_an_audio_file(store: Store, tmp_path: Path) -> None:
    async with office(store, tmp_path) as here:
        call_id = await here.call("in_progress")
        await here.work()
        (file,) = await here.files()
        assert (file["name"], file["language"], file["seconds"]) == ("flood-km", "km", 4.0)
        assert await here.told(call_id) == {"name": "flood-km", "language": "km", "id": file["_id"]}
        assert here.changed == [here.view.account_id]
        assert await here.is_done()


async def test_a_name_that_was_taken_meanwhile_gets_a_number(store: Store, tmp_path: Path) -> None:
    async with office(store, tmp_path) as here:
        first = await here.call()
        second = await begin_recording(here.scope, dict(GIVEN), "http://127.0.0.1:9/none")
        assert second["_id"] != first
        change = {"metadata.call_flow_data": (await here.view.get(CALLS, first))["metadata"]["call_flow_data"]}
        await here.view.update_one(CALLS, {"_id": second["_id"]}, {"$set": change})
        await here.work()
        assert {file["name"] for file in await here.files()} == {"flood-km", "flood-km-2"}
        assert await here.is_done()


@pytest.mark.parametrize("status", ["completed", "busy", "canceled", "errored"])
async def test_of_a_call_that_ends_without_key_1_nothing_is_kept(store: Store, tmp_path: Path, status: str) -> None:
    async with office(store, tmp_path) as here:
        call_id = await here.call(status, kept=False)
        await here.work()
        assert not await here.is_done()  # a webhook may be late
        await here.work()
        assert (await here.told(call_id))["error"] == NOT_KEPT
        assert await here.is_done() and await here.files() == []


async def test_a_call_that_goes_on_is_waited_for(store: Store, tmp_path: Path) -> None:
    async with office(store, tmp_path) as here:
        await here.call("in_progress", kept=False)
        await here.work(5)
        assert not await here.is_done()


async def test_a_recording_that_cannot_be_had_is_asked_for_again_and_then_given_up(
    store: Store, tmp_path: Path
) -> None:
    async with office(store, tmp_path) as here:
        call_id = await here.call(sid="RE" + "z" * 32)
        await here.work(audio_recorder.MAX_FETCHES - 1)
        assert not await here.is_done()
        await here.work()
        assert (await here.told(call_id))["error"] == "Unable to fetch record: HTTP 404"
        assert await here.is_done()


async def test_a_death_at_any_write_leaves_one_audio_file_in_the_end(store: Store, tmp_path: Path) -> None:
    deaths = 0
    while True:
        async with office(store, tmp_path) as here:
            await here.call()
            past = {"$set": {"due": now() - timedelta(seconds=1)}}
            await here.view.update_many(AUDIO_RECORDINGS, {}, past)
            with pytest.MonkeyPatch.context() as patch:
                DyingView(patch, deaths + 1)
                try:
                    for item in await here.job.claim(10):
                        await here.job.process(item)
                    survived = True
                except Killed:
                    deaths, survived = deaths + 1, False
            await here.work()
            assert [file["name"] for file in await here.files()] == ["flood-km"]
            assert await here.is_done()
        if survived:
            break
    assert deaths >= 8


async def test_a_retry_of_which_nothing_was_done_is_checked_like_the_first_try(store: Store, tmp_path: Path) -> None:
    async with office(store, tmp_path) as here:
        again = replace(here.scope, request="one", is_retry=True)
        given = {**GIVEN, "remote_request_params": {"from": "1294", "url": "https://example.org"}}
        with pytest.raises(Invalid) as refused:
            await begin_recording(again, given, "http://127.0.0.1:9/none")
        assert list(refused.value.errors) == ["remote_request_params"]
        assert await here.view.find(CALLS, {}) == []


@pytest.mark.parametrize("name", ["msisdn", "name", "remote_request_params"])
async def test_what_is_wrong_with_a_request_is_said_before_anybody_is_called(
    store: Store, tmp_path: Path, name: str
) -> None:
    async with office(store, tmp_path) as here:
        given = {key: value for key, value in GIVEN.items() if key != name}
        with pytest.raises(Invalid) as refused:
            await begin_recording(here.scope, given, "http://127.0.0.1:9/none")
        assert list(refused.value.errors) == [name]
        assert await here.view.find(CALLS, {}) == []
