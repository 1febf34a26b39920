"""Who answered a call, for how long, and why the provider did not place it: what its webhooks and refusals tell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flows.phone_line import (
    SID,
    PhoneLine,
    call_with,
    environment,
    new_sid,
    outbound,
    participation,
    place_call,
    standstill,
)
from tests.server import Client, Server, wait_until

OUTBOUND = {"Direction": "outbound-api", "From": "345"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("answered")
    with standstill() as provider, Server(folder / "data", environment(provider)) as server:
        yield server


def told_of(call: Any) -> tuple[Any, Any, Any]:
    return call["answered_by"], call["duration"], call["error_code"]


def test_a_call_shows_at_its_end_who_answered_and_for_how_long(line: PhoneLine, client: Client) -> None:
    call_sid = new_sid()
    assert line.report(call_sid, CallStatus="ringing").status == 201
    call = call_with(client, call_sid)
    assert list(call)[-3:] == ["answered_by", "duration", "error_code"]
    assert told_of(call) == (None, None, None)
    assert line.report(call_sid, AnsweredBy="human", CallDuration="3").status == 201
    assert told_of(call_with(client, call_sid)) == ("human", None, None)
    assert line.report(call_sid, CallStatus="completed", CallDuration="31", Duration="1").status == 201
    ended = call_with(client, call_sid)
    assert told_of(ended) == ("human", 31, None)
    # The same again changes nothing, and no earlier report comes back.
    assert line.report(call_sid, CallStatus="completed", CallDuration="31", Duration="1").status == 201
    assert line.report(call_sid, CallStatus="in-progress", CallDuration="7", AnsweredBy="unknown").status == 201
    assert call_with(client, call_sid) == ended
    found = client.get("/api/phone_calls?q[answered_by]=human&q[remote_call_id]=" + call_sid).json
    assert [one["id"] for one in found] == [ended["id"]]


def test_how_long_a_call_took_may_be_told_after_its_end(line: PhoneLine, client: Client) -> None:
    path, call_sid = outbound(client, "+252662341301")
    told = {"To": "+252662341301", **OUTBOUND}
    assert line.report(call_sid, CallStatus="completed", SequenceNumber="3", **told).status == 201
    assert line.report(call_sid, CallStatus="completed", SequenceNumber="3", CallDuration="12", **told).status == 201
    assert line.report(call_sid, CallStatus="completed", SequenceNumber="4", CallDuration="13", **told).status == 201
    assert client.get(path).json["duration"] == 12


def test_a_call_that_nobody_answered_has_no_duration(line: PhoneLine, client: Client) -> None:
    call_sid = new_sid()
    assert line.report(call_sid, CallStatus="ringing").status == 201
    assert line.report(call_sid, CallStatus="no-answer", CallDuration="0", SipResponseCode="480").status == 201
    assert told_of(call_with(client, call_sid)) == (None, None, "SIP 480")


@pytest.mark.parametrize("status", ["in-progress", "completed"])
def test_asynchronous_detection_tells_at_any_time_who_answered(line: PhoneLine, client: Client, status: str) -> None:
    call_sid = new_sid()
    assert line.report(call_sid, CallStatus=status).status == 201
    detected = {"AccountSid": SID, "CallSid": call_sid, "MachineDetectionDuration": "2400"}
    for told, kept in [("unknown", "unknown"), ("machine_start", "machine_start"), ("human", "machine_start")]:
        assert line.send({**detected, "AnsweredBy": told}).status == 201
        call = call_with(client, call_sid)
        assert (call["answered_by"], call["remote_status"]) == (kept, status)


def test_an_outbound_call_that_fails_shows_the_code_of_the_error(line: PhoneLine, client: Client) -> None:
    path, call_sid = outbound(client, "+252662341302")
    told = {"To": "+252662341302", **OUTBOUND}
    assert line.report(call_sid, CallStatus="failed", ErrorCode="13224", SipResponseCode="404", **told).status == 201
    call = client.get(path).json
    assert (call["error_code"], call["remote_error_message"]) == ("13224", "13224 (SIP 404)")


@pytest.mark.parametrize(("number", "code"), [("+15005550001", "21217"), ("+15005550003", "21215")])
def test_a_number_that_the_carrier_refuses_at_once_shows_the_code(client: Client, number: str, code: str) -> None:
    path = place_call(client, participation(client, number))
    call = wait_until(lambda: errored(client, path))
    assert told_of(call) == (None, None, code)


def errored(client: Client, path: str) -> Any:
    call = client.get(path).json
    return call if call["status"] == "errored" else None
