"""The webhook against a real server: who may speak, what is kept, and where a call moves."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from pymongo import MongoClient

from tests.flows.phone_line import (
    FORM,
    PATH,
    SID,
    PhoneLine,
    call_with,
    contact_of,
    environment,
    new_sid,
    outbound,
    signature,
    standstill,
)
from tests.server import Answer, Client, Server, wait_until

PUBLIC_URL = "https://alerts.example.org/scfm"
REFUSAL = "Twilio Request Validation Failed."
OUTBOUND = {"Direction": "outbound-api", "From": "345"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("webhook")
    with standstill() as provider:
        settings = {
            "PUBLIC_URL": PUBLIC_URL + "/",
            "REGISTERED_CALL_FLOW_LOGIC": "tests.flows.odd_flows:Failing,tests.flows.odd_flows:Tally",
        }
        with Server(folder / "data", environment(provider, **settings)) as server:
            yield server


@pytest.fixture
def line(server: Server) -> PhoneLine:
    return PhoneLine(server, public_url=PUBLIC_URL)


def total(client: Client, path: str = PATH) -> int:
    return int(client.get(f"{path}?per_page=1").headers["Total"])


def everything(client: Client) -> tuple[int, int, int]:
    return total(client), total(client, "/api/phone_calls"), total(client, "/api/contacts")


def newest_event(client: Client) -> Any:
    number = total(client)
    return client.get(f"{PATH}?per_page=1&page={number}").json[0]


def assert_refused(answer: Answer) -> None:
    assert answer.status == 403
    assert answer.json == REFUSAL


# Who may speak


def test_a_report_that_is_signed_for_the_public_url_is_answered_with_twiml(line: PhoneLine) -> None:
    answer = line.report()
    assert answer.status == 201
    assert answer.headers.get_content_type() == "application/xml"
    assert "Thanks for trying our documentation. Enjoy!" in answer.json


def test_the_query_of_the_url_is_signed_with_it(line: PhoneLine) -> None:
    path = f"{PATH}?flood=%2Friver+1&empty="
    assert line.send(line.fields(), path).status == 201
    assert_refused(line.send(line.fields(), path, headers={"X-Twilio-Signature": signature(PUBLIC_URL + PATH, {})}))


def test_a_report_that_is_signed_for_the_address_behind_the_proxy_is_refused(server: Server, client: Client) -> None:
    before = everything(client)
    assert_refused(PhoneLine(server).report())
    assert everything(client) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Twilio-Signature": ""},
        {"X-Twilio-Signature": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
        {"X-Twilio-Signature": "\xe9"},
    ],
)
def test_without_the_right_signature_nothing_is_stored(
    line: PhoneLine, client: Client, headers: dict[str, str]
) -> None:
    before = everything(client)
    assert_refused(line.send(line.fields(), headers=headers))
    assert everything(client) == before


@pytest.mark.parametrize("sid", ["AC" + "2" * 32, "", "6fa459ea-ee8a-3ca4-894e-db77e160355e", "$ne", "\0"])
def test_an_account_that_is_unknown_is_refused(server: Server, client: Client, sid: str) -> None:
    before = everything(client)
    assert_refused(PhoneLine(server, sid=sid, public_url=PUBLIC_URL).report())
    assert everything(client) == before


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "", "application/x-www-form-urlencodedish"]
)
def test_a_body_that_is_no_form_is_refused(line: PhoneLine, client: Client, content_type: str) -> None:
    fields = line.fields()
    body = json.dumps(fields).encode() if "json" in content_type else urlencode(fields).encode()
    before = everything(client)
    for signed in (fields, {}):
        headers = {"Content-Type": content_type, "X-Twilio-Signature": signature(PUBLIC_URL + PATH, signed)}
        assert_refused(line.send(fields, body=body, headers=headers))
    assert everything(client) == before


def test_an_accounts_own_credentials_win_over_the_servers(server: Server, client: Client) -> None:
    own = server.client(server.create_account())
    sid = "AC" + "3" * 32
    assert own.patch("/api/account", {"twilio_account_sid": sid, "twilio_auth_token": "its-own"}).status == 204
    before = everything(client)
    assert_refused(PhoneLine(server, sid=sid, public_url=PUBLIC_URL).report())
    assert PhoneLine(server, sid, "its-own", PUBLIC_URL).report().status == 201
    assert everything(own) == (1, 1, 1)
    assert everything(client) == before


def test_a_token_that_another_process_has_changed_counts_at_once(server: Server, client: Client) -> None:
    own = server.client(server.create_account())
    sid = "AC" + "4" * 32
    assert own.patch("/api/account", {"twilio_account_sid": sid, "twilio_auth_token": "the-old-one"}).status == 204
    old, new = (PhoneLine(server, sid, token, PUBLIC_URL) for token in ("the-old-one", "the-new-one"))
    assert old.report().status == 201
    socket = str((server.data_dir / "mongod.sock").resolve()).replace("/", "%2F")
    with MongoClient[dict[str, Any]](f"mongodb://{socket}/?directConnection=true") as other:
        other.scfm.accounts.update_one({"twilio_account_sid": sid}, {"$set": {"twilio_auth_token": "the-new-one"}})
    assert new.report().status == 201
    assert_refused(old.report())


def test_what_a_client_changes_of_its_sid_counts_at_once(server: Server) -> None:
    own = server.client(server.create_account())
    for number in range(3):
        sid = f"AC5{number:031}"
        line = PhoneLine(server, sid, "its-own", PUBLIC_URL)
        assert_refused(line.report())
        assert own.patch("/api/account", {"twilio_account_sid": sid, "twilio_auth_token": "its-own"}).status == 204
        assert line.report().status == 201


def test_a_sid_that_does_not_begin_with_ac_is_one_of_somleng(server: Server) -> None:
    own = server.client(server.create_account())
    sid = "0213d485-12cb-4d0d-9cb1-966546240a57"
    assert own.patch("/api/account", {"somleng_account_sid": sid, "somleng_auth_token": "somlengs"}).status == 204
    assert PhoneLine(server, sid, "somlengs", PUBLIC_URL).report().status == 201
    assert everything(own) == (1, 1, 1)


def test_a_client_who_takes_the_servers_sid_for_its_own_cannot_speak_for_others(
    server: Server, client: Client
) -> None:
    _, call_sid = outbound(client, "+252662340001")
    thief = server.client(server.create_account())
    assert thief.patch("/api/account", {"twilio_account_sid": SID, "twilio_auth_token": "the-thiefs"}).status == 204
    before = everything(client)
    forged = PhoneLine(server, token="the-thiefs", public_url=PUBLIC_URL)
    assert forged.report(call_sid, CallStatus="completed", To="+252662340001", **OUTBOUND).status == 422
    assert everything(client) == before
    # And the others go on being heard.
    true = PhoneLine(server, public_url=PUBLIC_URL)
    assert true.report(call_sid, CallStatus="completed", To="+252662340001", **OUTBOUND).status == 201
    assert call_with(client, call_sid)["status"] == "completed"
    assert thief.patch("/api/account", {"twilio_account_sid": "", "twilio_auth_token": ""}).status == 204


def test_accounts_that_share_the_servers_credentials_hear_of_their_own_calls(
    server: Server, client: Client, line: PhoneLine
) -> None:
    other = server.client(server.create_account())
    _, call_sid = outbound(other, "+252662340002")
    before = everything(client)
    assert line.report(call_sid, To="+252662340002", **OUTBOUND).status == 201
    assert total(other) == 1
    assert everything(client) == before


# What is kept


def test_an_inbound_call_shows_in_all_lists_of_the_account(line: PhoneLine, client: Client) -> None:
    call_sid = new_sid()
    assert line.report(call_sid, From="+252662340010").status == 201
    call = call_with(client, call_sid)
    contact = contact_of(client, "+252662340010")
    assert (call["status"], call["remote_direction"], call["remote_status"]) == (
        "in_progress",
        "inbound",
        "in-progress",
    )
    assert (call["msisdn"], call["contact_id"]) == ("+252662340010", contact["id"])
    assert call["call_flow_logic"] == "CallFlowLogic::Application"
    assert call["callout_participation_id"] is None
    assert client.get(f"/api/contacts/{contact['id']}/phone_calls").json == [call]
    (event,) = client.get(f"/api/phone_calls/{call['id']}/remote_phone_call_events").json
    assert client.get(f"/api/contacts/{contact['id']}/remote_phone_call_events").json == [event]
    assert client.get(f"{PATH}/{event['id']}").json == event
    assert event in client.get(f"{PATH}?q[remote_direction]=inbound&q[phone_call_id]={call['id']}").json
    assert (event["remote_call_id"], event["call_flow_logic"]) == (call_sid, "CallFlowLogic::Application")


def test_an_outbound_call_and_its_events_show_under_its_participation_and_callout(
    line: PhoneLine, client: Client
) -> None:
    path, call_sid = outbound(client, "+252662340011", "Tally")
    assert line.report(call_sid, To="+252662340011", Digits="7", **OUTBOUND).status == 201
    call = client.get(path).json
    events = client.get(f"{path}/remote_phone_call_events").json
    assert [event["call_flow_logic"] for event in events] == ["Tally"]
    participation = client.get(f"/api/callout_participations/{call['callout_participation_id']}").json
    for parent in (
        f"callout_participations/{participation['id']}",
        f"callouts/{participation['callout_id']}",
        f"contacts/{call['contact_id']}",
    ):
        assert client.get(f"/api/{parent}/remote_phone_call_events").json == events


def test_whatever_the_provider_sends_is_kept_untouched(line: PhoneLine, client: Client) -> None:
    extra = {
        "RecordingUrl": "https://api.example.org/2010-04-01/Accounts/AC1/Recordings/RE1",
        "RecordingSid": "RE1",
        "RecordingDuration": "12",
        "SpeechResult": "  ទឹក  ",
        "Digits": "",
        "$where": "1",
        "$set": "2",
        "a.b.c": "3",
        "a[b][c]": "4",
        "a[]": "5",
        "a": "6",
        "[": "7",
        "": "8",
        "nul\0name": "nul\0value",
        "%24gt": "9",
        "__proto__": "10",
        "_id": "11",
        "🌊": "💧",
    }
    call_sid = new_sid()
    sent = line.fields(call_sid) | extra
    assert line.send(sent).status == 201
    event = newest_event(client)
    assert event["details"] == sent
    assert event["metadata"] == {}
    found = client.get(f"{PATH}?{urlencode({'q[details][RecordingSid]': 'RE1', 'q[details][CallSid]': call_sid})}")
    assert found.json == [event]


def test_a_field_with_two_values_keeps_the_last(line: PhoneLine, client: Client) -> None:
    assert line.send({**line.fields(), "Event": ["first", "second"]}).status == 201
    assert newest_event(client)["details"]["Event"] == "second"


def test_a_multipart_form_is_as_good(line: PhoneLine, client: Client) -> None:
    sent = line.fields() | {"SpeechResult": "ទឹក", "a.b[$c]": "1", "Empty": ""}
    body = b"".join(
        f'--x1\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in sent.items()
    )
    for content_type in ("multipart/form-data; boundary=x1", 'Multipart/Form-Data; charset=utf-8; boundary="x1"'):
        answer = line.send(sent, body=body + b"--x1--\r\n", headers={"Content-Type": content_type})
        assert answer.status == 201
        assert newest_event(client)["details"] == sent


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"CallSid=%ff%fe", 400),
        (b"CallSid=\xff", 400),
        (b"CallSid=%zz", 400),
        (b"&".join(b"f=x" for _ in range(10_000)), 400),
        (b"CallSid=" + b"x" * 100_000, 413),
        (b"x" * 100_000 + b"=CallSid", 413),
        (b"CallSid=" + b"x" * 2_000_000, 413),
    ],
)
def test_what_cannot_be_read_or_is_too_much_is_answered_with_an_error_at_once(
    line: PhoneLine, client: Client, server: Server, body: bytes, status: int
) -> None:
    before = everything(client)
    began = server.cpu_seconds()
    answer = line.send({}, body=body)
    assert (answer.status, answer.json["status"]) == (status, status)
    assert server.cpu_seconds() - began < 5
    assert everything(client) == before


def test_a_multipart_body_that_is_broken_is_an_error(line: PhoneLine) -> None:
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=x1"):
        assert line.send({}, body=b"--x1\r\nnonsense", headers={"Content-Type": content_type}).status == 400


@pytest.mark.parametrize(
    ("fields", "messages"),
    [
        ({"CallSid": ""}, ["Remote call can't be blank"]),
        ({"Direction": ""}, ["Remote direction can't be blank"]),
        ({"CallSid": "", "Direction": ""}, ["Remote call can't be blank", "Remote direction can't be blank"]),
        (OUTBOUND, ["Phone call must exist"]),
        ({"Direction": "sideways"}, ["Phone call must exist"]),
    ],
)
def test_an_event_that_cannot_be_is_refused_and_not_stored(
    line: PhoneLine, client: Client, fields: dict[str, str], messages: list[str]
) -> None:
    before = everything(client)
    answer = line.send(line.fields() | fields)
    assert answer.status == 422
    assert answer.headers.get_content_type() == "application/xml"
    errors = "".join(f"<error>{message}</error>" for message in messages)
    assert answer.json == f'<?xml version="1.0" encoding="UTF-8"?><errors>{errors}</errors>'
    assert everything(client) == before


# Where a call moves

TOLD = [("initiated", "0"), ("ringing", "1"), ("in-progress", "2"), ("completed", "3")]


@pytest.mark.parametrize("order", list(itertools.permutations(TOLD)))
def test_the_order_in_which_reports_come_does_not_matter_nor_how_often(
    line: PhoneLine, client: Client, order: list[tuple[str, str]]
) -> None:
    call_sid = new_sid()
    for said, sequence in [*order, *order[:2]]:
        assert line.report(call_sid, CallStatus=said, SequenceNumber=sequence).status == 201
    call = call_with(client, call_sid)
    assert (call["status"], call["remote_status"]) == ("completed", "completed")


@pytest.mark.parametrize(
    ("told", "status", "remote_status"),
    [
        (["ringing"], "in_progress", "ringing"),
        (["in-progress", "ringing"], "in_progress", "in-progress"),
        (["in-progress", "queued"], "in_progress", "in-progress"),
        (["completed", "ringing"], "completed", "completed"),
        (["completed", "completed"], "completed", "completed"),
        (["no-answer", "in-progress"], "not_answered", "no-answer"),
        (["busy", "completed"], "busy", "busy"),
        (["failed"], "failed", "failed"),
        (["canceled"], "canceled", "canceled"),
        (["in-progress", "out-of-this-world"], "in_progress", "out-of-this-world"),
    ],
)
def test_without_numbers_a_call_moves_forwards_only(
    line: PhoneLine, client: Client, told: list[str], status: str, remote_status: str
) -> None:
    call_sid = new_sid()
    for said in told:
        assert line.report(call_sid, CallStatus=said).status == 201
    call = call_with(client, call_sid)
    assert (call["status"], call["remote_status"]) == (status, remote_status)


def test_a_later_number_corrects_how_a_call_ended(line: PhoneLine, client: Client) -> None:
    call_sid = new_sid()
    for said, sequence in (("busy", "2"), ("completed", "3"), ("failed", "1"), ("in-progress", "4")):
        assert line.report(call_sid, CallStatus=said, SequenceNumber=sequence).status == 201
    assert call_with(client, call_sid)["status"] == "completed"


def test_a_report_without_a_number_does_not_let_an_earlier_one_overtake(line: PhoneLine, client: Client) -> None:
    call_sid = new_sid()
    told = [("initiated", "0"), ("in-progress", ""), ("in-progress", "2"), ("ringing", "1")]
    for said, sequence in told:
        fields = {"SequenceNumber": sequence} if sequence else {}
        assert line.report(call_sid, CallStatus=said, **fields).status == 201
    assert call_with(client, call_sid)["remote_status"] == "in-progress"


MIXED = [("initiated", "0"), ("ringing", "1"), ("in-progress", ""), ("completed", "3")]


@pytest.mark.parametrize("order", list(itertools.permutations(MIXED)))
def test_numbered_and_unnumbered_reports_move_a_call_forwards_only(
    line: PhoneLine, client: Client, order: list[tuple[str, str]]
) -> None:
    call_sid, seen = new_sid(), []
    for said, sequence in order:
        fields = {"SequenceNumber": sequence} if sequence else {}
        assert line.report(call_sid, CallStatus=said, **fields).status == 201
        seen.append(call_with(client, call_sid)["remote_status"])
    words = [said for said, _ in MIXED]
    assert seen == [max((said for said, _ in order[:count]), key=words.index) for count in range(1, len(order) + 1)]
    assert call_with(client, call_sid)["status"] == "completed"


def test_a_later_number_ends_a_call_that_goes_on_without_one(line: PhoneLine, client: Client) -> None:
    call_sid = new_sid()
    for said, sequence in (("initiated", "0"), ("in-progress", ""), ("ringing", "1"), ("busy", "2")):
        fields = {"SequenceNumber": sequence} if sequence else {}
        assert line.report(call_sid, CallStatus=said, **fields).status == 201
    call = call_with(client, call_sid)
    assert (call["status"], call["remote_status"]) == ("busy", "busy")


@pytest.mark.parametrize("sequence", ["", "-1", "x", "9" * 30, "１", "1\n"])
def test_a_number_that_is_none_is_passed_over(line: PhoneLine, client: Client, sequence: str) -> None:
    call_sid = new_sid()
    assert line.report(call_sid, CallStatus="completed", SequenceNumber=sequence).status == 201
    assert call_with(client, call_sid)["status"] == "completed"


def test_an_outbound_call_ends_as_the_provider_says(line: PhoneLine, client: Client) -> None:
    path, call_sid = outbound(client, "+252662340012")
    for said in ("ringing", "no-answer"):
        assert line.report(call_sid, CallStatus=said, To="+252662340012", **OUTBOUND).status == 201
    assert client.get(path).json["status"] == "not_answered"
    assert client.get(path).json["remote_status"] == "no-answer"


# A flow that fails


def test_a_flow_that_raises_apologises_and_breaks_nothing_else(
    server: Server, line: PhoneLine, client: Client
) -> None:
    path, call_sid = outbound(client, "+252662340013", "Failing")
    told = {"To": "+252662340013", **OUTBOUND}
    answer = line.report(call_sid, **told)
    assert answer.status == 201
    assert "<Say>Sorry." in answer.json and "<Hangup" in answer.json
    number = path.rpartition("/")[2]
    wait_until(lambda: any(f"flow Failing failed: phone call {number}, event" in one for one in list(server.stderr)))
    assert contact_of(client, "+252662340013")["metadata"] == {}
    assert len(client.get(f"{path}/remote_phone_call_events").json) == 1
    assert "well" in line.report(call_sid, Digits="1", **told).json
    assert line.report().status == 201


def test_get_and_head_are_the_clients_and_need_a_token(server: Server) -> None:
    assert server.request("GET", PATH, token="").status == 401
    assert server.request("HEAD", PATH, token="").status == 401
    assert server.request("PUT", PATH, token="", body=b"", headers={"Content-Type": FORM}).status == 404
