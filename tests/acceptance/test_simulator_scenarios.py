"""Scenarios say who answers at which attempt, numbers that nobody calls are refused, and machines are told apart."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from pathlib import Path

import pytest

from scfm.cli.simulator import add_arguments, simulator_of
from scfm.errors import StartError
from scfm.simulator.callee import Callee, CalleeRule, Directory
from scfm.simulator.faults import Faults
from scfm.simulator.scenario import read_scenario
from tests.acceptance.simulators import application, create, refusal, running, until

pytestmark = pytest.mark.gen_test


async def test_a_scenario_says_who_answers_at_which_attempt(tmp_path: Path) -> None:
    path = tmp_path / "scenario.json"
    attempts = [{"outcome": "busy"}, {"outcome": "no-answer"}, {"digits": ["1"], "machine": True}]
    people = [{"number": "+252662345678", "attempts": attempts}, {"prefix": "+252", "outcome": "invalid"}]
    path.write_text(json.dumps({"people": people, "seed": 5, "life_size": 0.5, "faults": "slow=0.25"}))
    directory = Directory(read_scenario(path).people, 0)
    found = [directory.callee("+252662345678", attempt) for attempt in (1, 2, 3, 4, 50)]
    assert [callee.outcome for callee in found] == ["busy", "no-answer", "answered", "answered", "answered"]
    assert found[2:] == [Callee(digits=("1",), machine=True)] * 3
    assert directory.callee("+252662345679", 7).outcome == "invalid"
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    carrier = simulator_of(parser.parse_args(["--scenario", str(path), "--life-size", "1"])).carrier
    assert (carrier.seed, carrier.life_size, carrier.faults) == (5, 1.0, Faults(slow=0.25))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[]", "an object is wanted"),
        ("{", "line 1"),
        ('{"poeple": []}', "poeple is unknown in a scenario; there are people, seed, life_size, faults"),
        ('{"people": {}}', "people cannot be {}"),
        ('{"seed": "7"}', "seed cannot be '7'"),
        ('{"life_size": true}', "life_size cannot be True"),
        ('{"faults": "often"}', "faults: often is unknown"),
        ('{"people": [{"number": "+1", "attempts": []}]}', "attempts must be a list of objects, one at least"),
        ('{"people": [{"number": "+1", "attempts": [1]}]}', "attempts must be a list of objects, one at least"),
        ('{"people": [{"number": "+1", "attempts": [{"outcome": "asleep"}]}]}', "outcome must be one of"),
        ('{"people": [{"number": "+1", "outcome": "busy", "attempts": [{}]}]}', "belongs into them: outcome"),
        ('{"people": [{"number": "+1", "machine": 1}]}', "machine cannot be 1"),
        ('{"people": [{"number": "+1", "sip": 200}]}', "sip cannot be 200"),
    ],
)
async def test_a_scenario_that_cannot_be_read_says_why(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "scenario.json"
    path.write_text(content)
    with pytest.raises(StartError, match=re.escape(told)) as error:
        read_scenario(path)
    assert str(path) in str(error.value)


async def test_a_person_of_a_scenario_does_at_each_attempt_what_it_says() -> None:
    person = CalleeRule(Callee(outcome="no-answer"), number="+252662345678", later=(Callee(outcome="busy"), Callee()))
    async with running(callees=[person]) as (simulator, client):
        for ended in ("no-answer", "busy", "completed", "completed"):
            sid = (await create(client)).sid
            await until(lambda: all(call.ended for call in simulator.carrier.calls))
            assert (await asyncio.to_thread(client.calls(sid).fetch)).status == ended


async def test_numbers_that_no_carrier_calls_are_refused_as_by_twilio() -> None:
    rules = [
        CalleeRule(Callee(outcome="invalid"), number="+252662345678"),
        CalleeRule(Callee(outcome="forbidden"), number="+252662345679"),
    ]
    async with running(callees=rules) as (simulator, client):
        for number, code in (("+252662345678", 21211), ("+252662345679", 21215)):
            assert (await refusal(client, to=number, from_="1234", twiml="<Response/>")).code == code
        assert list(simulator.carrier.calls) == []


@pytest.mark.parametrize(("sip", "told"), [(404, "404"), (None, None)])
async def test_a_call_that_fails_tells_why(sip: int | None, told: str | None) -> None:
    with application() as (url, reports):
        async with running(callees=[CalleeRule(Callee(outcome="failed", sip=sip))]) as (_, client):
            await create(client, status_callback=url)
            await until(lambda: reports)
    assert (reports[0]["CallStatus"], reports[0].get("SipResponseCode")) == ("failed", told)


@pytest.mark.parametrize(
    ("callee", "detection", "told"),
    [
        (Callee(after=0.0), "Enable", "human"),
        (Callee(after=0.0, machine=True), "Enable", "machine_start"),
        (Callee(after=0.0, machine=True), "DetectMessageEnd", "machine_end_beep"),
        (Callee(after=0.0, machine=True), None, None),
    ],
)
async def test_what_has_answered_is_told_where_that_is_asked_for(
    callee: Callee, detection: str | None, told: str | None
) -> None:
    wanted = {"machine_detection": detection} if detection else {}
    with application() as (url, reports):
        async with running(callees=[CalleeRule(callee)]) as (_, client):
            sid = (await create(client, url=url, twiml="", status_callback=url, **wanted)).sid
            await until(lambda: len(reports) == 2)
            assert (await asyncio.to_thread(client.calls(sid).fetch)).answered_by == told
    assert [report["CallStatus"] for report in reports] == ["in-progress", "completed"]
    assert [report.get("AnsweredBy") for report in reports] == [told, told]


async def test_what_has_answered_is_told_beside_a_call_that_goes_on() -> None:
    machine = CalleeRule(Callee(after=0.0, machine=True))
    with application("<Response><Pause length='600'/></Response>") as (url, reports):
        async with running(callees=[machine]) as (_, client):
            wanted = {"machine_detection": "Enable", "async_amd": "true", "async_amd_status_callback": url}
            await create(client, url=url, twiml="", **wanted)
            await until(lambda: len(reports) == 2)
    assert "AnsweredBy" not in reports[0]
    assert reports[1]["AnsweredBy"] == "machine_start"
    assert not {"CallStatus", "Direction"} & reports[1].keys()
