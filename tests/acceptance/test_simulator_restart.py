"""A simulator that is started again knows its calls, and goes on with those that its end has cut off."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from scfm.errors import StartError
from scfm.simulator import journal as module
from scfm.simulator.callee import Callee, CalleeRule, by_chance
from scfm.simulator.journal import Journal
from scfm.simulator.simulator import Simulator
from tests.acceptance.simulators import SID, TOKEN, application, until
from tests.server import Server, wait_until

NUMBER = "+252662345678"
ANSWERS_AND_STAYS = CalleeRule(Callee(after=0.0, digits=(None,)))
IS_BUSY = CalleeRule(Callee(outcome="busy", after=0.0))
RINGS_FOR_EVER = CalleeRule(Callee(after=50_000.0))
SLOWLY = 0.001


@asynccontextmanager
async def running(path: Path, *rules: CalleeRule, **options: Any) -> AsyncIterator[tuple[Simulator, Client]]:
    """A simulator that keeps its calls in PATH, and a client of it."""
    options = {"life_size": SLOWLY, **options}
    simulator = Simulator(callees=rules, journal=Journal.open(path), **options)
    http = TwilioHttpClient(timeout=120)
    client = Client(SID, TOKEN, http_client=http)
    client.api.base_url = await simulator.start()
    simulator.carrier.resume()
    try:
        yield simulator, client
    finally:
        http.session.close()
        await simulator.stop()


async def create(client: Client, **parameters: Any) -> str:
    """A call; its sid."""
    form = {"to": NUMBER, "from_": "1234", "twiml": "<Response/>", **parameters}
    return str((await asyncio.to_thread(client.calls.create, **form)).sid)


async def test_ended_calls_are_listed_and_fetched_as_before(tmp_path: Path) -> None:
    path = tmp_path / "state" / "calls.jsonl"
    async with running(path) as (simulator, client):
        for number in range(5):
            await create(client, to=f"+25266234567{number}")
        await until(lambda: all(call.ended for call in simulator.carrier.calls))
        before = [call.as_json() for call in simulator.carrier.calls]
    async with running(path) as (simulator, client):
        assert [call.as_json() for call in simulator.carrier.calls] == before
        listed = await asyncio.to_thread(client.calls.list)
        assert [call.sid for call in listed] == [call["sid"] for call in reversed(before)]
        fetched = await asyncio.to_thread(client.calls(before[0]["sid"]).fetch)
        assert fetched.status == before[0]["status"]
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("rule", "afterwards", "reached", "ended", "last"),
    [
        (RINGS_FOR_EVER, ANSWERS_AND_STAYS, "ringing", "completed", "6"),
        (RINGS_FOR_EVER, IS_BUSY, "ringing", "busy", "5"),
        (ANSWERS_AND_STAYS, IS_BUSY, "in-progress", "completed", "3"),
    ],
)
async def test_a_call_that_was_cut_off_goes_on_and_its_end_is_told_once(
    rule: CalleeRule, afterwards: CalleeRule, reached: str, ended: str, last: str, tmp_path: Path
) -> None:
    """Who had been answered has hung up; a phone that rang rings again. No number of a callback comes twice."""
    path = tmp_path / "calls.jsonl"
    with application() as (url, told):
        wanted = {"status_callback": url, "status_callback_event": ["initiated", "ringing", "answered", "completed"]}
        async with running(path, rule) as (simulator, client):
            stays = "<Response><Gather timeout='50000'/></Response>"
            sid = await create(client, twiml=stays, timeout=600, time_limit=60_000, **wanted)
            await until(lambda: [call.status for call in simulator.carrier.calls] == [reached])
        async with running(path, afterwards, life_size=0.0) as (simulator, client):
            await until(lambda: told and told[-1]["CallStatus"] == ended)
            assert (told[-1]["CallSid"], told[-1]["SequenceNumber"]) == (sid, last)
            assert (await asyncio.to_thread(client.calls(sid).fetch)).status == ended
            await until(lambda: all(call.task is None for call in simulator.carrier.calls))
        async with running(path, rule) as (simulator, _):
            assert all(call.task is None for call in simulator.carrier.calls)
    assert [report["CallStatus"] for report in told].count(ended) == 1


async def test_an_end_that_nobody_could_be_told_of_is_told_after_the_restart(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with application() as (url, told):
        async with running(path) as (simulator, client):
            sid = await create(client, status_callback=url, to="+15005550011")
            await until(lambda: told)
            await until(lambda: all(call.task is None for call in simulator.carrier.calls))
        lines = path.read_text().splitlines(keepends=True)
        assert json.loads(lines[-1]) == {"sid": sid, "told": True}
        path.write_text("".join(lines[:-1]))
        async with running(path):
            await until(lambda: len(told) == 2)
    assert {(report["CallSid"], report["CallStatus"], report["SequenceNumber"]) for report in told} == {
        (sid, "busy", "0")
    }


async def test_a_file_has_a_bound_and_the_newest_calls_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 20_000)
    path = tmp_path / "calls.jsonl"
    async with running(path) as (simulator, client):
        sids = [await create(client, to="+15005550011") for _ in range(150)]
        await until(lambda: all(call.ended for call in simulator.carrier.calls))
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 2 * 22_000
        assert (tmp_path / "calls.jsonl.1").exists()
    async with running(path) as (simulator, _):
        kept = [call.sid for call in simulator.carrier.calls]
        assert 10 < len(kept) < 150 and kept == sids[-len(kept) :]
        assert path.stat().st_size < 11_000 and not (tmp_path / "calls.jsonl.1").exists()


async def test_an_account_is_drawn_once_and_two_do_not_write_one_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "calls.jsonl"
    first = Journal.open(path)
    account = first.account()
    other = Journal.open(path)
    assert "another process's" in caplog.text and other.account() != account
    other.close()
    first.close()
    again = Journal.open(path)
    assert again.account() == account
    again.close()


@pytest.mark.parametrize("content", [b"\xff\xfe\0", b"# Notes\nnot ours\n", b"[1]\n", b'{"sid": "CA1"}\n'])
def test_a_file_of_another_kind_is_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(StartError, match=str(path)):
        Journal.open(path)
    assert path.read_bytes() == content


def test_a_folder_in_the_place_of_the_file_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="or remove it"):
        Journal.open(tmp_path)


LINES = [
    {"kind": module.KIND, "account": {"account_sid": SID, "auth_token": TOKEN}},
    *(
        {
            "sid": f"CA{number}",
            "account_sid": SID,
            "token": TOKEN,
            "to": NUMBER,
            "from": "1",
            "direction": "outbound-api",
            "request": number,
            "attempt": number,
            "created": float(number),
            "status": "queued",
        }
        for number in range(1, 4)
    ),
    {"sid": "CA2", "status": "busy", "started": 2.0, "ended": 2.5, "duration": 0, "callbacks": 0},
]
TEXT = b"".join(json.dumps(line).encode() + b"\n" for line in LINES)


@given(cut=st.integers(min_value=len(json.dumps(LINES[0])) + 1, max_value=len(TEXT)), junk=st.binary(max_size=40))
def test_a_file_that_was_cut_off_anywhere_gives_every_call_before(cut: int, junk: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "calls.jsonl"
        path.write_bytes(TEXT[:cut] + junk)
        for _ in range(2):  # as it was found, and as it was written then
            journal = Journal.open(path)
            whole = [json.loads(line)["sid"] for line in TEXT[:cut].split(b"\n")[1:-1]]
            assert {*dict.fromkeys(whole)} <= {call.sid for call in journal.calls()}
            assert journal.account() == (SID, TOKEN)
            journal.close()


# Chance


def test_a_redial_may_reach_whoever_did_not_answer_but_never_a_dead_number() -> None:
    numbers = [f"+85512{number:06}" for number in range(5000)]
    outcomes = {number: [by_chance(11, number, attempt).outcome for attempt in range(1, 21)] for number in numbers}
    assert outcomes == {n: [by_chance(11, n, attempt).outcome for attempt in range(1, 21)] for n in numbers}
    missed = [tries for tries in outcomes.values() if tries[0] in ("busy", "no-answer")]
    assert sum(tries[1] == "answered" for tries in missed) / len(missed) > 0.8
    never = [tries for tries in outcomes.values() if "answered" not in tries]
    assert all(set(tries) == {"failed"} for tries in never) and 0.005 < len(never) / len(numbers) < 0.015
    for attempt in range(20):
        shares = Counter(tries[attempt] for tries in outcomes.values())
        assert 0.88 < shares["answered"] / len(numbers) < 0.92


async def test_the_attempts_to_a_number_are_counted_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    for expected in ([1, 2], [1, 2, 3, 4]):
        async with running(path) as (simulator, client):
            for _ in range(2):
                await create(client)
            assert [call.attempt for call in simulator.carrier.calls] == expected


# In the server


def test_a_killed_server_knows_its_simulated_calls_again_and_none_stays_in_progress(tmp_path: Path) -> None:
    with Server(tmp_path / "data", {"PLATFORM_PROVIDER": "simulator"}) as server:
        api = server.client()
        assert api.post("/api/contacts", {"msisdn": NUMBER}).status == 201
        assert api.post("/api/callouts").status == 201
        assert api.post("/api/callouts/1/callout_participations", {"contact_id": "1"}).status == 201
        hook = f"{server.url}/api/remote_phone_call_events"
        params = {"from": "1234", "url": hook, "status_callback": hook}
        for number in range(1, 21):
            created = api.post("/api/callout_participations/1/phone_calls", json={"remote_request_params": params})
            assert created.status == 201
            assert api.post(f"/api/phone_calls/{number}/phone_call_events", {"event": "queue"}).status == 201
        wait_until(lambda: api.get("/api/phone_calls?q[status]=created,queued").json == [])
        port = server.port
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        server.options = (*server.options, "--port", str(port))
        server.start()
        final = "failed,busy,not_answered,canceled,completed"
        wait_until(lambda: len(api.get(f"/api/phone_calls?q[status]={final}").json) == 20)
