"""A webhook that is delivered more than once: one event, one step of the flow, and the first answer for all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from scfm.embedded_mongod.mongod import PrivateMongod
from tests.flows.phone_line import (
    PATH,
    SID,
    PhoneLine,
    at_once,
    call_with,
    contact_of,
    environment,
    new_sid,
    outbound,
    standstill,
)
from tests.server import Answer, Client, Server, wait_until

SHORT = "CallFlowLogic::AvfCapom::CapomShort"
HEADER = "I-Twilio-Idempotency-Token"
STEPS = [{}, {}, {"Digits": "1"}, {"Digits": "2"}, {"RecordingUrl": "https://example.org/1"}, {"Digits": "1"}]


def flows(default: str) -> dict[str, str]:
    return {
        "DEFAULT_CALL_FLOW_LOGIC": default,
        "REGISTERED_CALL_FLOW_LOGIC": f"{SHORT},tests.flows.odd_flows:Tally",
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("delivery")
    with standstill() as provider, Server(folder / "data", environment(provider, **flows(SHORT))) as server:
        yield server


@pytest.fixture(scope="module")
def pair(mongod: PrivateMongod, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Two processes on one database, whose flow writes every key down."""
    told = environment("http://127.0.0.1:9", **flows("Tally"), MONGODB_URI=mongod.uri, MONGODB_DATABASE="deliveries")
    folder = tmp_path_factory.mktemp("pair")
    with Server(folder / "one", told) as one, Server(folder / "other", told) as other:
        yield one, other


def a_token() -> str:
    return secrets.token_hex(16)


def deliver(line: PhoneLine, token: str, call_sid: str, **fields: str) -> Answer:
    return line.send(line.fields(call_sid, **fields), headers={HEADER: token})


def events(client: Client, call_sid: str) -> int:
    return int(client.get(f"{PATH}?per_page=1&q[remote_call_id]={call_sid}").headers["Total"])


@pytest.mark.parametrize("sender", ["+252662342001", "anonymous"])
def test_each_webhook_of_a_survey_may_come_twice(line: PhoneLine, client: Client, sender: str) -> None:
    call_sid, tokens, first = new_sid(), [a_token() for _ in STEPS], []
    for token, step in zip(tokens, STEPS, strict=True):
        answers = [deliver(line, token, call_sid, From=sender, **step) for _ in range(3)]
        assert [answer.status for answer in answers] == [201] * 3
        assert len({answer.json for answer in answers}) == 1
        first.append(answers[0].json)
    assert "completed_survey" in first[-1]
    assert events(client, call_sid) == len(STEPS)
    # In any order, later on.
    again = [
        deliver(line, token, call_sid, From=sender, **step).json for token, step in zip(tokens, STEPS, strict=True)
    ]
    assert again == first
    assert events(client, call_sid) == len(STEPS)
    kept = contact_of(client, sender) if sender != "anonymous" else call_with(client, call_sid)
    assert kept["metadata"]["call_flow_data"][SHORT]["status"] == "playing_completed_survey_message"


def test_a_delivery_is_known_after_many_others_and_after_a_restart(server: Server, line: PhoneLine) -> None:
    client, call_sid, first = server.client(), new_sid(), a_token()
    path, call_sid = outbound(client, "+252662342002", "Tally")
    told = {"Direction": "outbound-api", "From": "345", "To": "+252662342002"}
    answer = deliver(line, first, call_sid, Digits="1", **told)
    for digit in range(2, 40):
        assert deliver(line, a_token(), call_sid, Digits=str(digit), **told).status == 201
    server.restart()
    line = PhoneLine(server)
    assert deliver(line, first, call_sid, Digits="1", **told).json == answer.json
    keys = [str(digit) for digit in range(1, 40)]
    assert client.get(path).json["metadata"]["call_flow_data"]["Tally"]["keys"] == keys
    assert contact_of(client, "+252662342002")["metadata"]["call_flow_data"]["Tally"]["keys"] == keys
    assert events(client, call_sid) == 39


def test_a_delivery_is_named_by_its_token_and_its_account(server: Server, line: PhoneLine, client: Client) -> None:
    token, call_sid, other = a_token(), new_sid(), new_sid()
    first = deliver(line, token, call_sid)
    # The token names the delivery, whatever comes with it: nothing of this is kept.
    before = client.get("/api/phone_calls?per_page=1").headers["Total"]
    assert deliver(line, token, other, From="+252662342003", CallStatus="completed").json == first.json
    assert client.get("/api/phone_calls?per_page=1").headers["Total"] == before
    assert client.get(f"/api/phone_calls?q[remote_call_id]={other}").json == []
    assert call_with(client, call_sid)["status"] == "in_progress"
    own = server.new_account(twilio_account_sid="AC-deliveries", twilio_auth_token="its-own")
    assert deliver(PhoneLine(server, "AC-deliveries", "its-own"), token, other).status == 201
    assert events(own, other) == 1


def test_without_a_token_or_with_a_bad_signature_nothing_is_a_delivery(line: PhoneLine, client: Client) -> None:
    call_sid, token = new_sid(), a_token()
    for name in ("", token):
        headers = {HEADER: name, "X-Twilio-Signature": "bm90aGluZw=="}
        assert line.send(line.fields(call_sid), headers=headers).status == 403
    for _ in range(2):
        assert deliver(line, "", call_sid).status == 201
    assert events(client, call_sid) == 2
    assert deliver(line, token, call_sid).status == 201
    assert events(client, call_sid) == 3


@pytest.mark.parametrize("token", ["x" * 64, "x" * 65, "y" * 8000, "\xe9\xff", "$ne", "{}", "a b"])
def test_a_token_may_be_anything(line: PhoneLine, client: Client, token: str) -> None:
    call_sid = new_sid()
    for ending in ("", "", "1"):
        assert deliver(line, token + ending, call_sid).status == 201
    assert events(client, call_sid) == 2


def test_what_was_refused_is_looked_at_again(line: PhoneLine, client: Client) -> None:
    token, call_sid = a_token(), new_sid()
    assert deliver(line, token, call_sid, Direction="").status == 422
    assert deliver(line, token, call_sid).status == 201
    assert events(client, call_sid) == 1


def test_a_report_that_takes_no_turn_is_one_event_too(line: PhoneLine, client: Client) -> None:
    token, call_sid = a_token(), new_sid()
    assert line.report(call_sid).status == 201
    sent = {"AccountSid": SID, "CallSid": call_sid, "RecordingSid": "RE1"}
    answers = [line.send(sent, headers={HEADER: token}) for _ in range(3)]
    assert len({answer.json for answer in answers}) == 1
    assert events(client, call_sid) == 2


def test_what_is_kept_of_a_delivery_is_shown_nowhere_and_goes_after_a_day(server: Server) -> None:
    line, client, token, call_sid = PhoneLine(server), server.client(), a_token(), new_sid()
    assert deliver(line, token, call_sid).status == 201
    call = call_with(client, call_sid)
    for shown in (call, client.get(f"/api/contacts/{call['contact_id']}").json, client.get(PATH).json[-1]):
        assert not [name for name in shown if name.startswith("_")]
        assert token not in str(shown)
    socket = str((server.data_dir / "mongod.sock").resolve()).replace("/", "%2F")
    with MongoClient[dict[str, Any]](f"mongodb://{socket}/?directConnection=true") as other:
        kept = other.scfm.remote_phone_call_events
        yesterday = {"$dateSubtract": {"startDate": "$$NOW", "unit": "hour", "amount": 25}}
        assert kept.count_documents({"_delivery.token": token}) == 1
        kept.update_many({"_delivery": {"$exists": True}}, [{"$set": {"_delivery.at": yesterday}}])
        server.restart()
        wait_until(lambda: kept.count_documents({"_delivery": {"$exists": True}}) == 0)
    assert deliver(PhoneLine(server), token, call_sid).status == 201
    assert events(client, call_sid) == 2


# At the same time


def test_deliveries_at_the_same_time_are_one(line: PhoneLine, client: Client) -> None:
    for sender in ("+252662342010", "anonymous"):
        call_sid, token = new_sid(), a_token()
        answers = at_once(*[lambda: deliver(line, token, call_sid, From=sender)] * 12)  # noqa: B023
        assert {answer.status for answer in answers} == {201}
        assert len({answer.json for answer in answers}) == 1
        assert events(client, call_sid) == 1


def test_deliveries_to_two_processes_at_the_same_time_are_one(pair: tuple[Server, Server]) -> None:
    lines, client = [PhoneLine(server) for server in pair], pair[0].client()
    number, call_sids = "+252662342011", [new_sid(), new_sid()]
    # Two calls of one contact, whose memory both change; each webhook comes four times, twice to each process.
    sent = [(str(key), a_token(), call_sids[key % 2]) for key in range(8)]
    answers = at_once(
        *[
            lambda copy=copy, key=key, token=token, call_sid=call_sid: deliver(
                lines[copy % 2], token, call_sid, From=number, Digits=key
            )
            for copy in range(4)
            for key, token, call_sid in sent
        ]
    )
    assert {answer.status for answer in answers} == {201}
    for position, (key, token, call_sid) in enumerate(sent):
        copies = {answer.json for answer in answers[position :: len(sent)]}
        copies.add(deliver(lines[0], token, call_sid, From=number, Digits=key).json)
        assert len(copies) == 1, copies
    keys = [key for key, _, _ in sent]
    assert sorted(contact_of(client, number)["metadata"]["call_flow_data"]["Tally"]["keys"]) == keys
    for index, call_sid in enumerate(call_sids):
        kept = call_with(client, call_sid)["metadata"]["call_flow_data"]["Tally"]["keys"]
        assert sorted(kept) == keys[index::2]
        assert events(client, call_sid) == 4
