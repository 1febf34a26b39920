"""Who calls in without a number is answered like anybody; what reports of any other kind do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scfm.calls.caller import msisdn_of
from scfm.calls.flow_memory import joined
from tests.flows.phone_line import (
    PATH,
    SID,
    PhoneLine,
    call_with,
    contact_of,
    environment,
    events_of,
    new_sid,
    outbound,
    standstill,
)
from tests.server import Client, Server

SHORT = "CallFlowLogic::AvfCapom::CapomShort"
OUTBOUND = {"Direction": "outbound-api", "From": "345"}
EMPTY = '<?xml version="1.0" encoding="UTF-8"?><Response />'
WITHOUT_NUMBER = [
    *("anonymous", "Anonymous", "Restricted", "RESTRICTED", "Unavailable", "Unknown", "Private", "", " "),
    *("+266696687", "266696687", "+86282452253", "+8656696", "+7378742833", "+2562533"),
    *("client:alice", "client:855123456", "Client:85512345678", "sip:855@12.34.56.78", "sip:alice@+85512345678"),
    *("sip:85512345678@10.0.0.1", "sips:bob@example.org:5061", "SIP:+855x12345678@example.org", "sip:+@h", "sip:"),
    *("2442", "855@12.34.56.78", "2.52E+11", "whatsapp:+85512345678", "85512345678;9", "\0", "x" * 5000),
]
ADDRESSES = {
    "sip:+85512345678@example.org": "+85512345678",
    "sip:+85512345679@12.34.56.78:5060;transport=tcp": "+85512345679",
    "SIPS:%2B855-12-345-680;x=1:secret@example.org;user=phone": "+85512345680",
    "client:+85512345681": "+85512345681",
    "tel:+855-12-345-682": "+85512345682",
    "+85512345683": "+85512345683",
    "85512345684": "+85512345684",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("callers")
    with standstill() as provider:
        flows = {
            "DEFAULT_CALL_FLOW_LOGIC": SHORT,
            "REGISTERED_CALL_FLOW_LOGIC": "tests.flows.odd_flows:Tally,examples.flows:FloodWarning",
        }
        with Server(folder / "data", environment(provider, **flows)) as server:
            yield server


def contacts(client: Client) -> int:
    return int(client.get("/api/contacts?per_page=1").headers["Total"])


# Callers without a number


@pytest.mark.parametrize("sender", WITHOUT_NUMBER)
def test_who_has_no_number_is_answered_like_anybody_and_is_no_contact(
    line: PhoneLine, client: Client, sender: str
) -> None:
    before, call_sid = contacts(client), new_sid()
    answer = line.report(call_sid, From=sender)
    assert answer.status == 201
    assert "introduction" in answer.json
    call = call_with(client, call_sid)
    assert (call["msisdn"], call["contact_id"], call["status"]) == (None, None, "in_progress")
    assert (call["remote_direction"], call["call_flow_logic"]) == ("inbound", SHORT)
    (event,) = events_of(client, call)
    assert event["details"]["From"] == sender
    assert client.get(f"/api/phone_calls/{call['id']}").json == call
    assert call in client.get("/api/phone_calls?per_page=1000&q[status]=in_progress").json
    assert event in client.get(f"{PATH}?per_page=1000&q[remote_call_id]={call_sid}").json
    assert contacts(client) == before


@pytest.mark.parametrize(("sender", "number"), ADDRESSES.items())
def test_the_number_in_an_address_is_the_callers(line: PhoneLine, client: Client, sender: str, number: str) -> None:
    call_sid = new_sid()
    assert line.report(call_sid, From=sender).status == 201
    call, contact = call_with(client, call_sid), contact_of(client, number)
    assert (call["msisdn"], call["contact_id"]) == (number, contact["id"])


def test_a_number_is_read_by_the_default_country_of_the_account(server: Server) -> None:
    own = server.new_account(twilio_account_sid="AC-cambodia", twilio_auth_token="its-own", default_country="KH")
    line, call_sid = PhoneLine(server, "AC-cambodia", "its-own"), new_sid()
    assert line.report(call_sid, From="012345678").status == 201
    assert call_with(own, call_sid)["msisdn"] == "+85512345678"
    call_sid = new_sid()
    assert line.report(call_sid, From="+8656696").status == 201
    assert call_with(own, call_sid)["msisdn"] is None


def test_a_survey_goes_on_over_the_webhooks_of_a_call_and_each_call_has_its_own(
    line: PhoneLine, client: Client
) -> None:
    one, other = new_sid(), new_sid()
    steps = [{}, {}, {"Digits": "1"}, {"Digits": "2"}, {"RecordingUrl": "https://example.org/1"}, {"Digits": "1"}]
    heard = []
    for step in steps:
        heard.append(line.report(one, From="anonymous", **step).json)
        assert line.report(other, From="anonymous").status == 201
    states = [
        "playing_introduction",
        "gathering_received_transfer",
        "gathering_fee_paid",
        "recording_goods_purchased",
    ]
    states += ["gathering_safe_at_venue", "playing_completed_survey_message"]
    assert all(state in answer for state, answer in zip(states, heard, strict=True))
    memory = call_with(client, one)["metadata"]["call_flow_data"][SHORT]
    assert memory["status"] == states[-1]
    assert call_with(client, other)["metadata"]["call_flow_data"][SHORT]["status"] == states[1]
    assert len(events_of(client, call_with(client, one))) == len(steps)


def test_a_flow_that_uses_both_memories_works_with_the_calls_alone(line: PhoneLine, client: Client) -> None:
    call_sid = new_sid()
    assert line.report(call_sid, From="anonymous").status == 201
    path = f"/api/phone_calls/{call_with(client, call_sid)['id']}"
    for flow, digits, kept in (
        ("Tally", "12", {"keys": ["1", "2"]}),
        ("FloodWarning", "1", {"safe": True}),
    ):
        assert client.patch(path, {"call_flow_logic": flow}).status == 204
        for digit in digits:
            assert line.report(call_sid, From="anonymous", Digits=digit).status == 201
        assert call_with(client, call_sid)["metadata"]["call_flow_data"][flow] == kept


MEMORY = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2))


@given(MEMORY, MEMORY)
def test_what_one_of_two_memories_changes_is_what_both_become(before: dict[str, int], after: dict[str, int]) -> None:
    assert joined(before, before, after) == joined(before, after, before) == joined(before, after, after) == after


@given(st.text(max_size=30))
def test_no_from_raises_and_an_address_without_a_plus_is_never_a_number(text: str) -> None:
    msisdn_of(text, "KH")
    assert msisdn_of(f"client:{text.lstrip('+%')}", "KH") is None
    assert msisdn_of(f"sip:{text.lstrip('+%')}@85512345678", "KH") is None


def test_a_call_that_has_come_in_can_be_changed(line: PhoneLine, client: Client) -> None:
    for sender in ("anonymous", "+252662341100"):
        call_sid = new_sid()
        assert line.report(call_sid, From=sender).status == 201
        path = f"/api/phone_calls/{call_with(client, call_sid)['id']}"
        assert client.patch(path, {"metadata[note]": "called back"}).status == 204
        assert client.get(path).json["metadata"]["note"] == "called back"
        answer = client.patch(path, json={"remote_request_params": {}})
        assert answer.json == {"errors": {"remote_request_params": ["can't be blank"]}}
        answer = client.patch(path, json={"remote_request_params": {"form": "1"}, "call_flow_logic": "none"})
        assert sorted(answer.json["errors"]) == ["call_flow_logic", "remote_request_params"]


# Reports that take no turn


def test_a_report_without_a_direction_is_kept_and_takes_no_turn(line: PhoneLine, client: Client) -> None:
    number = "+252662341101"
    call_sid = new_sid()
    assert line.report(call_sid, From=number).status == 201
    before = contact_of(client, number)["metadata"]
    for extra in (
        {"AnsweredBy": "machine_end_beep", "MachineDetectionDuration": "4000"},
        {"RecordingSid": "RE1", "RecordingUrl": "https://example.org/RE1", "RecordingStatus": "completed"},
        {"Direction": ""},
    ):
        sent = {"AccountSid": SID, "CallSid": call_sid, **extra}
        answer = line.send(sent)
        assert (answer.status, answer.headers.get_content_type(), answer.json) == (201, "application/xml", EMPTY)
        event = events_of(client, call_with(client, call_sid))[-1]
        assert event["details"] == sent
        assert (event["remote_direction"], event["call_flow_logic"]) == ("inbound", SHORT)
    assert contact_of(client, number)["metadata"] == before
    assert call_with(client, call_sid)["status"] == "in_progress"
    assert line.send({"AccountSid": SID, "CallSid": call_sid, "CallStatus": "completed"}).json == EMPTY
    assert call_with(client, call_sid)["status"] == "completed"
    assert line.send({"AccountSid": SID, "CallSid": call_sid, "CallStatus": "ringing"}).json == EMPTY
    assert call_with(client, call_sid)["status"] == "completed"


def test_a_report_without_a_direction_of_a_call_that_was_placed(line: PhoneLine, client: Client) -> None:
    path, call_sid = outbound(client, "+252662341102")
    assert line.send({"AccountSid": SID, "CallSid": call_sid, "AnsweredBy": "human"}).json == EMPTY
    (event,) = events_of(client, client.get(path).json)
    assert event["remote_direction"] == client.get(path).json["remote_direction"]


def test_a_report_without_a_direction_of_an_unknown_call_is_refused(line: PhoneLine, client: Client) -> None:
    before = client.get(f"{PATH}?per_page=1").headers["Total"]
    answer = line.send({"AccountSid": SID, "CallSid": new_sid(), "RecordingSid": "RE1"})
    assert answer.status == 422
    assert "<error>Remote direction can't be blank</error>" in answer.json
    assert client.get(f"{PATH}?per_page=1").headers["Total"] == before


# Why a call failed


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"ErrorCode": "32005", "ErrorMessage": "No route", "SipResponseCode": "503"}, "32005: No route (SIP 503)"),
        ({"ErrorCode": "32005", "ErrorMessage": "No route"}, "32005: No route"),
        ({"ErrorCode": "32005", "SipResponseCode": "503"}, "32005 (SIP 503)"),
        ({"ErrorCode": "32005"}, "32005"),
        ({"ErrorMessage": "No route"}, "No route"),
        ({"SipResponseCode": "486"}, "SIP 486"),
        ({"ErrorMessage": "x" * 5000}, "x" * 1000),
        ({"ErrorCode": "", "ErrorMessage": " "}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("said", ["failed", "busy", "no-answer", "canceled"])
def test_why_a_call_failed_is_told(
    line: PhoneLine, client: Client, said: str, told: dict[str, str], message: str | None
) -> None:
    call_sid = new_sid()
    assert line.report(call_sid, CallStatus="ringing").status == 201
    assert line.report(call_sid, CallStatus=said, **told).status == 201
    assert call_with(client, call_sid)["remote_error_message"] == message
    # A later report that does not tell takes nothing away; one that has not failed tells nothing.
    assert line.report(call_sid, CallStatus=said).status == 201
    assert line.report(call_sid, CallStatus="completed", ErrorCode="1").status == 201
    call = call_with(client, call_sid)
    assert (call["remote_error_message"], call["remote_status"]) == (message, said)


def test_why_a_call_failed_may_be_told_later_and_by_a_lower_number(line: PhoneLine, client: Client) -> None:
    path, call_sid = outbound(client, "+252662341103")
    told = {"To": "+252662341103", **OUTBOUND}
    assert line.report(call_sid, CallStatus="failed", SequenceNumber="3", **told).status == 201
    assert client.get(path).json["remote_error_message"] is None
    assert line.report(call_sid, CallStatus="failed", SequenceNumber="2", ErrorCode="13224", **told).status == 201
    call = client.get(path).json
    assert (call["status"], call["remote_error_message"]) == ("failed", "13224")
    # And the numbers go on from the highest.
    assert line.report(call_sid, CallStatus="busy", SequenceNumber="3", ErrorCode="1", **told).status == 201
    assert client.get(path).json["status"] == "failed"


def test_what_is_not_an_outcome_of_the_call_explains_nothing(line: PhoneLine, client: Client) -> None:
    call_sid = new_sid()
    for said in ("ringing", "in-progress", "completed", "failed"):
        assert line.report(call_sid, CallStatus=said, SipResponseCode="200", ErrorCode="1").status == 201
    call = call_with(client, call_sid)
    assert (call["status"], call["remote_error_message"]) == ("completed", None)
