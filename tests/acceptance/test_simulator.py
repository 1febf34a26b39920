"""The simulator's REST API, seen through the Twilio library and through bare HTTP."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from twilio.base.exceptions import TwilioRestException

from scfm.cli.simulator import add_arguments, simulator_of
from scfm.errors import StartError
from scfm.runtime import open_files
from scfm.simulator.callee import Callee, CalleeRule, Directory
from scfm.simulator.carrier import QUICK, SEED
from scfm.simulator.faults import Faults
from scfm.simulator.scenario import read_rules
from scfm.simulator.simulator import Simulator
from tests.acceptance.simulators import HELLO, SID, TOKEN, create, refusal, running, until

pytestmark = pytest.mark.gen_test

SLOW = 1.0


async def fetch(url: str, user: tuple[str, str] | None = None, **request: Any) -> HTTPResponse:
    """The answer to a bare HTTP request, whatever its status."""
    if user is not None:
        request |= {"auth_username": user[0], "auth_password": user[1]}
    client = AsyncHTTPClient(force_instance=True)
    try:
        return await client.fetch(url, raise_error=False, **request)
    finally:
        client.close()


async def test_a_call_is_queued_then_answered_then_completed() -> None:
    async with running() as (simulator, client):
        call = await create(client)
        assert (call.status, call.direction) == ("queued", "outbound-api")
        assert (call.to, call._from, call.price) == ("+252662345678", "1234", None)
        assert call.sid.startswith("CA") and len(call.sid) == 34
        assert datetime.now(UTC) - call.date_created < timedelta(seconds=5)
        await until(lambda: simulator.carrier.calls.find(SID, call.sid).ended)
        ended = await asyncio.to_thread(client.calls(call.sid).fetch)
        assert (ended.status, ended.duration) == ("completed", "2")
        assert ended.start_time <= ended.end_time


async def test_numbers_of_the_usa_are_formatted_as_twilio_does() -> None:
    async with running() as (_, client):
        call = await create(client, to="(500) 555-0010")
        assert (call.to, call.to_formatted) == ("+15005550010", "(500) 555-0010")


async def test_some_are_busy_some_do_not_answer_some_cannot_be_reached() -> None:
    async with running(life_size=0.001) as (simulator, client):
        wanted = {"+15005550011": "busy", "+15005550012": "no-answer", "+15005550013": "failed"}
        sids = {(await create(client, to=number)).sid: status for number, status in wanted.items()}
        await until(lambda: all(call.ended for call in simulator.carrier.calls))
        assert {call.sid: call.status for call in simulator.carrier.calls} == sids
        assert {call.duration for call in simulator.carrier.calls} == {0}


async def test_a_callee_who_takes_longer_than_the_timeout_does_not_answer() -> None:
    async with running(callees=[CalleeRule(Callee(after=20.0))], life_size=0.001) as (simulator, client):
        call = await create(client, timeout=10)
        await until(lambda: simulator.carrier.calls.find(SID, call.sid).ended)
        assert simulator.carrier.calls.find(SID, call.sid).status == "no-answer"


async def test_the_same_seed_gives_the_same_outcomes_and_most_answer() -> None:
    numbers = [f"+85512{number:06}" for number in range(2000)]
    first, again, other = (Directory((), seed) for seed in (7, 7, 8))
    outcomes = [first.callee(number).outcome for number in numbers]
    assert outcomes == [again.callee(number).outcome for number in numbers]
    assert outcomes != [other.callee(number).outcome for number in numbers]
    assert set(outcomes) == {"answered", "busy", "no-answer", "failed"}
    assert 0.87 < outcomes.count("answered") / len(outcomes) < 0.93


@pytest.mark.parametrize("number", ["+252662345678", "+252662345679", "+252662345680", "+252662345681"])
async def test_the_people_of_the_guides_answer(number: str) -> None:
    assert Directory((), SEED).callee(number).outcome == "answered"


@pytest.mark.parametrize(
    ("parameters", "code", "message"),
    [
        ({"to": "", "from_": "1", "url": "http://h/"}, 21201, "No 'To' number is specified"),
        ({"to": "+252662345678", "from_": "", "url": "http://h/"}, 21213, "No 'From' number is specified"),
        ({"to": "+252662345678", "from_": "1"}, 21205, "Url parameter is required."),
        ({"to": "+252662345678", "from_": "1", "url": "nonsense"}, 21205, "Url is not a valid URL: nonsense"),
        (
            {"to": "345", "from_": "1", "url": "http://h/"},
            21211,
            "The phone number you are attempting to call, 345, is not valid.",
        ),
    ],
)
async def test_a_request_that_twilio_would_refuse_is_refused_in_its_words(
    parameters: dict[str, str], code: int, message: str
) -> None:
    async with running() as (simulator, client):
        error = await refusal(client, **parameters)
        assert (error.status, error.code, error.msg) == (400, code, f"Unable to create record: {message}")
        assert list(simulator.carrier.calls) == []
        assert simulator.ledger.requests[0].code == code


@pytest.mark.parametrize(("last", "code"), [(1, 21217), (2, 21214), (3, 21215), (4, 21216)])
async def test_the_test_numbers_of_twilio_are_refused_as_there(last: int, code: int) -> None:
    async with running() as (_, client):
        assert (await refusal(client, to=f"+1500555000{last}", from_="1", twiml=HELLO)).code == code


async def test_wrong_credentials_are_refused() -> None:
    async with running(account_sid=SID, auth_token="another") as (simulator, client):
        error = await refusal(client, to="+252662345678", from_="1", twiml=HELLO)
        assert (error.status, error.code, error.msg) == (401, 20003, "Unable to create record: Authenticate")
        assert simulator.ledger.requests[0].code == 20003


@pytest.mark.parametrize("user", [None, ("ACother", TOKEN), (SID, "")])
async def test_the_user_name_must_be_the_account_and_the_password_not_empty(user: Any) -> None:
    async with running() as (simulator, _):
        answer = await fetch(f"{simulator.base_url}/2010-04-01/Accounts/{SID}/Calls.json", user)
        assert answer.code == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="Twilio API"'
        assert json.loads(answer.body) == {
            "code": 20003,
            "message": "Authenticate",
            "more_info": "https://www.twilio.com/docs/errors/20003",
            "status": 401,
        }


async def test_what_is_not_there_is_not_found() -> None:
    async with running() as (simulator, client):
        with pytest.raises(TwilioRestException) as raised:
            await asyncio.to_thread(client.calls("CA" + "0" * 32).fetch)
        assert (raised.value.status, raised.value.code) == (404, 20404)
        answer = await fetch(f"{simulator.base_url}/api/2010-04-01/Accounts//Calls.json", method="POST", body="")
        words = "The requested resource /2010-04-01/Accounts//Calls.json was not found"
        assert (answer.code, json.loads(answer.body)["message"]) == (404, words)


async def test_what_cannot_be_done_with_an_address_is_said_in_the_words_of_twilio() -> None:
    async with running() as (simulator, _):
        answer = await fetch(f"{simulator.base_url}/2010-04-01/Accounts/{SID}/Calls.json", method="DELETE")
        assert (answer.code, json.loads(answer.body)["code"]) == (405, 20004)
        assert answer.headers["Content-Type"] == "application/json"
        assert "Server" not in answer.headers


async def test_a_form_may_be_in_parts_but_must_make_sense() -> None:
    async with running() as (simulator, _):
        url = f"{simulator.base_url}/2010-04-01/Accounts/{SID}/Calls.json"
        parts = {name: (None, value) for name, value in {"To": "345", "From": "1", "Twiml": HELLO}.items()}
        made = await asyncio.to_thread(requests.post, url, files=parts, auth=(SID, TOKEN), timeout=120)
        assert (made.status_code, made.json()["code"]) == (400, 21211)
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        assert (await fetch(url, (SID, TOKEN), method="POST", body="nonsense", headers=headers)).code == 400


async def test_a_form_that_is_too_large_is_refused() -> None:
    async with running() as (simulator, _):
        url = f"{simulator.base_url}/2010-04-01/Accounts/{SID}/Calls.json"
        answer = await fetch(url, (SID, TOKEN), method="POST", body="To=" + "1" * (1 << 20))
        assert (answer.code, simulator.ledger.requests) == (413, [])


async def test_another_account_does_not_see_the_call() -> None:
    async with running() as (simulator, client):
        call = await create(client)
        account, other = f"{simulator.base_url}/2010-04-01/Accounts/other", ("other", TOKEN)
        assert (await fetch(f"{account}/Calls/{call.sid}.json", other)).code == 404
        assert json.loads((await fetch(f"{account}/Calls.json", other)).body)["calls"] == []


async def test_a_path_prefix_is_accepted_as_somleng_has_one() -> None:
    async with running() as (_, client):
        client.api.base_url += "/api"
        call = await create(client)
        assert (await asyncio.to_thread(client.calls(call.sid).fetch)).sid == call.sid


async def test_calls_are_listed_newest_first_page_by_page() -> None:
    async with running() as (_, client):
        sids = [(await create(client, to=f"+2526623456{number}")).sid for number in (10, 11, 12)]
        listed = [call.sid for call in await asyncio.to_thread(client.calls.list, page_size=2)]
        assert listed == sids[::-1]


async def test_calls_are_found_by_number_status_and_time() -> None:
    async with running(life_size=SLOW) as (simulator, client):
        first = await create(client, to="+252662345610")
        second = await create(client, to="+252662345611")
        await until(lambda: simulator.carrier.calls.find(SID, second.sid).started)
        yesterday = datetime.now(UTC) - timedelta(days=1)

        async def found(**query: Any) -> list[str]:
            return [call.sid for call in await asyncio.to_thread(client.calls.list, **query)]

        assert await found(to="+252662345610") == [first.sid]
        assert await found(from_="1234", status="completed") == []
        assert await found(start_time_after=yesterday) == [second.sid, first.sid]
        assert await found(start_time_before=yesterday) == []
        assert await found(end_time_after=yesterday) == []


async def test_a_call_that_was_not_dialled_yet_has_no_start_time_to_be_found_by() -> None:
    async with running(life_size=SLOW) as (_, client):
        call = await create(client)
        assert call.start_time is None
        yesterday = datetime.now(UTC) - timedelta(days=1)
        assert await asyncio.to_thread(client.calls.list, start_time_after=yesterday) == []


async def test_a_ringing_call_is_canceled_and_never_answered() -> None:
    async with running(life_size=SLOW) as (simulator, client):
        call = await create(client)
        assert (await asyncio.to_thread(client.calls(call.sid).update, status="canceled")).status == "queued"
        await until(lambda: simulator.carrier.calls.find(SID, call.sid).ended)
        assert simulator.carrier.calls.find(SID, call.sid).status == "canceled"


async def test_an_answered_call_is_hung_up_but_only_once() -> None:
    async with running(callees=[CalleeRule(Callee(after=0.0))]) as (simulator, client):
        call = await create(client, twiml="<Response><Pause length='2000'/></Response>")
        kept = simulator.carrier.calls.find(SID, call.sid)
        await until(lambda: kept.status == "in-progress")
        await asyncio.to_thread(client.calls(call.sid).update, status="completed")
        await until(lambda: kept.ended)
        assert kept.status == "completed"
        with pytest.raises(TwilioRestException) as raised:
            await asyncio.to_thread(client.calls(call.sid).update, status="completed")
        assert (raised.value.status, raised.value.code) == (400, 21220)


async def test_an_answered_call_is_sent_to_another_document() -> None:
    async with running(callees=[CalleeRule(Callee(after=0.0))]) as (simulator, client):
        call = await create(client, twiml="<Response><Pause length='2000'/></Response>")
        await until(lambda: simulator.carrier.calls.find(SID, call.sid).status == "in-progress")
        await asyncio.to_thread(client.calls(call.sid).update, twiml=HELLO)
        await until(lambda: simulator.carrier.calls.find(SID, call.sid).ended)
        said = simulator.carrier.transcript(call.sid).events("say")
        assert [entry["text"] for entry in said] == ["Water is rising"]


async def test_a_document_elsewhere_is_never_fetched_and_the_call_completes() -> None:
    async with running() as (simulator, client):
        call = await create(client, twiml=None, url="http://demo.twilio.com/docs/voice.xml")
        await until(lambda: simulator.carrier.calls.find(SID, call.sid).ended)
        assert simulator.carrier.calls.find(SID, call.sid).status == "completed"
        page = json.loads((await fetch(f"{simulator.base_url}/transcripts/{call.sid}.json")).body)
        assert [entry["event"] for entry in page["transcript"]] == ["warning", "say", "hangup"]


async def test_the_ledger_counts_every_request_and_is_also_a_file(tmp_path: Path) -> None:
    async with running(ledger=tmp_path / "ledger.jsonl") as (simulator, client):
        for _ in range(2):
            await create(client)
        await refusal(client, to="345", from_="1", twiml=HELLO)
        await until(lambda: all(call.ended for call in simulator.carrier.calls))
        assert simulator.ledger.accepted_by_number() == {"+252662345678": 2}
        page = json.loads((await fetch(f"{simulator.base_url}/ledger.json")).body)
        assert [entry["accepted"] for entry in page["requests"]] == [True, True, False]
        assert [call["status"] for call in page["calls"]] == ["completed", "completed"]
        lines = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
        assert sorted(line["kind"] for line in lines) == ["outcome"] * 2 + ["request"] * 3


@pytest.mark.parametrize(
    ("fault", "rings"),
    [("drop_before", 0), ("drop_after", 1), ("timeout", 1), ("malformed", 1), ("error_after", 1)],
)
async def test_a_request_that_gets_no_good_answer_may_still_ring(fault: str, rings: int) -> None:
    faults = Faults.parse(f"{fault}=1,timeout_seconds=0.1")
    async with running(faults=faults) as (simulator, client):
        with pytest.raises((requests.RequestException, TwilioRestException, ValueError)):
            await create(client)
        assert [request.fault for request in simulator.ledger.requests] == [fault]
        assert len(list(simulator.carrier.calls)) == rings


async def test_too_many_requests_say_when_to_come_back_and_ring_nobody() -> None:
    async with running(faults=Faults(throttle=1.0, retry_after=2)) as (simulator, _):
        url = f"{simulator.base_url}/2010-04-01/Accounts/{SID}/Calls.json"
        form = urlencode({"To": "+252662345678", "From": "1", "Twiml": HELLO})
        answer = await fetch(url, (SID, TOKEN), method="POST", body=form)
        assert (answer.code, answer.headers["Retry-After"]) == (429, "2")
        assert json.loads(answer.body)["code"] == 20429
        assert list(simulator.carrier.calls) == []


async def test_a_slow_answer_is_a_good_answer() -> None:
    async with running(faults=Faults(slow=1.0, slow_seconds=0.05)) as (_, client):
        assert (await create(client)).status == "queued"


async def test_stopping_lets_go_of_an_answer_that_would_never_come() -> None:
    async with running(faults=Faults(timeout=1.0, timeout_seconds=3600)) as (simulator, client):
        waiting = asyncio.ensure_future(create(client))
        await until(lambda: list(simulator.carrier.calls))
        await simulator.stop()
        with pytest.raises(requests.ConnectionError):
            await waiting


async def test_the_fault_plan_depends_on_the_seed_alone() -> None:
    faults = Faults.parse("drop_before=0.1, throttle=0.1, callback_lost=0.5")
    drawn = [faults.of_request(3, number) for number in range(1000)]
    assert drawn == [faults.of_request(3, number) for number in range(1000)]
    assert drawn != [faults.of_request(4, number) for number in range(1000)]
    assert 60 < drawn.count("drop_before") < 140 and 750 < drawn.count(None) < 850


@pytest.mark.parametrize("text", ["dropped=0.1", "slow=much", "slow=0.6,timeout=0.6", "slow=-1", "slow=nan"])
async def test_a_fault_plan_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(StartError, match="faults: "):
        Faults.parse(text)


async def test_callees_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "callees.json"
    path.write_text('[{"prefix": "+855", "digits": ["1", null]}, {"number": "+15551234567", "outcome": "busy"}]')
    assert read_rules(path) == (
        CalleeRule(Callee(digits=("1", None)), prefix="+855"),
        CalleeRule(Callee(outcome="busy"), number="+15551234567"),
    )


@pytest.mark.parametrize(
    "text",
    ["{}", "[1]", "[{}]", '[{"number": 1}]', '[{"number": "+1", "prefix": "+1"}]', "nonsense"]
    + [
        f'[{{"prefix": "+1", {entry}}}]'
        for entry in ('"outcome": "gone"', '"digit": 1', '"digits": "12"', '"after": "x"', '"digits": [1]')
    ]
    + ['[{"pattern": "("}]'],
)
async def test_callees_that_make_no_sense_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "callees.json").write_text(text)
    with pytest.raises(StartError, match=r"callees\.json"):
        read_rules(tmp_path / "callees.json")


async def test_a_port_that_is_taken_is_a_clear_message() -> None:
    async with running() as (simulator, _):
        port = int(simulator.base_url.rpartition(":")[2])
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}"):
            await Simulator().start(port)


async def test_the_command_may_open_many_files_and_runs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    callees = tmp_path / "callees.json"
    callees.write_text('[{"prefix": "+252", "digits": ["1"], "after": 0}]')
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    program = (
        "import argparse, resource, sys; from scfm.cli.simulator import add_arguments, simulator_of, run\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (64, {most}))\n"
        "parser = argparse.ArgumentParser(); add_arguments(parser); sys.exit(run(parser.parse_args()))"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, "--port", "0", "--callees", str(callees)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ},
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        assert line.startswith("simulator listening on http://127.0.0.1:")
        url = line.split()[-1]
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (min(open_files.WANTED, most), most)
        assert json.loads((await fetch(f"{url}/ledger.json")).body) == {"requests": [], "calls": []}
        gather = "<Response><Gather numDigits='1'><Say>Press 1</Say></Gather></Response>"
        form = urlencode({"To": "+252662345678", "From": "1", "Twiml": gather})
        made = await fetch(f"{url}/2010-04-01/Accounts/{SID}/Calls.json", (SID, TOKEN), method="POST", body=form)
        transcript = f"{url}/transcripts/{json.loads(made.body)['sid']}.json"
        async with asyncio.timeout(120):
            while b"pressed" not in (page := (await fetch(transcript)).body):
                await asyncio.sleep(0.01)
        assert [entry["event"] for entry in json.loads(page)["transcript"]][:3] == ["say", "gather", "pressed"]
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_the_command_has_quick_defaults() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = parser.parse_args(["--faults", "slow=0.1"])
    assert (options.port, options.callees, options.ledger) == (4010, None, None)
    carrier = simulator_of(options).carrier
    assert (carrier.seed, carrier.life_size, carrier.faults) == (SEED, QUICK, Faults(slow=0.1))
