"""Webhooks of a definition's call that come twice, at once, late, or from nobody that we know."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.flows.phone_line import (
    PhoneLine,
    at_once,
    call_with,
    contact_of,
    environment,
    new_sid,
    outbound,
    standstill,
)
from tests.flows.walked_flows import ANSWERS, RECORDING, REGISTERED, SAID, STEPS
from tests.server import Answer, Client, Server

FLOW, TOKEN = "WalkedNeeds", "I-Twilio-Idempotency-Token"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with standstill() as provider:
        told = environment(provider, REGISTERED_CALL_FLOW_LOGIC=REGISTERED, DEFAULT_CALL_FLOW_LOGIC=FLOW)
        with Server(tmp_path_factory.mktemp("turns") / "data", told) as server:
            yield server


def deliver(line: PhoneLine, call_sid: str, token: str, sender: str, step: dict[str, str]) -> Answer:
    return line.send(line.fields(call_sid, From=sender, **step), headers={TOKEN: token})


def memory(document: Any) -> Any:
    return document["metadata"].get("call_flow_data", {}).get(FLOW, {})


@pytest.mark.parametrize("copies", [1, 3])
def test_webhooks_that_come_at_once_are_one_step_each(line: PhoneLine, client: Client, copies: int) -> None:
    call_sid, sender = new_sid(), f"+25266234300{copies}"
    tokens, first = [secrets.token_hex(16) for _ in STEPS], []
    for token, step in zip(tokens, STEPS, strict=True):
        posts = [lambda t=token, s=step: deliver(line, call_sid, t, sender, s) for _ in range(copies)]
        answers = at_once(*posts)
        assert len({answer.json for answer in answers}) == 1
        first.append(answers[0].json)
    assert all(words in twiml for words, twiml in zip(SAID, first, strict=True))
    assert memory(contact_of(client, sender)) == ANSWERS
    before = memory(call_with(client, call_sid))
    assert (before["version"], before["step"]) == (1, "bye")
    again = [
        deliver(line, call_sid, token, sender, step).json
        for token, step in reversed(list(zip(tokens, STEPS, strict=True)))
    ]
    assert again[::-1] == first
    assert memory(call_with(client, call_sid)) == before
    assert memory(contact_of(client, sender)) == ANSWERS


def test_late_status_callbacks_move_nothing_and_say_nothing(line: PhoneLine, client: Client) -> None:
    call_sid, sender = new_sid(), "+252662343011"
    for number, step in enumerate(STEPS):
        line.send(line.fields(call_sid, From=sender, **step))
        before = memory(call_with(client, call_sid)), memory(contact_of(client, sender))
        for status in ("ringing", "in-progress"):
            callback = {"CallbackSource": "call-progress-events", "CallStatus": status, "SequenceNumber": str(number)}
            late = line.send(line.fields(call_sid, From=sender, Digits="1", **callback))
            assert late.json.endswith("<Response />")
        assert (memory(call_with(client, call_sid)), memory(contact_of(client, sender))) == before
    assert before[1] == ANSWERS


def test_a_callback_that_is_the_first_of_a_call_does_not_begin_it(line: PhoneLine, client: Client) -> None:
    path, call_sid = outbound(client, "+252662343021", FLOW)
    fields = {"Direction": "outbound-api", "From": "345", "To": "+252662343021"}
    callback = {"CallbackSource": "call-progress-events", "CallStatus": "ringing", "SequenceNumber": "1"}
    assert line.report(call_sid, **fields, **callback).json.endswith("<Response />")
    assert memory(client.get(path).json) == {}
    assert "Hello, +252662343021 of ." in line.report(call_sid, **fields).json


def test_what_a_caller_without_a_number_answers_is_kept_with_the_call(line: PhoneLine, client: Client) -> None:
    call_sid = new_sid()
    heard = [line.send(line.fields(call_sid, From="anonymous", **step)).json for step in STEPS]
    assert all(words in twiml for words, twiml in zip(SAID, heard, strict=True))
    kept = memory(call_with(client, call_sid))
    assert kept["answers"] == ANSWERS
    assert (kept["step"], kept["version"]) == ("bye", 1)


def test_no_client_can_move_a_call_or_take_an_answer_back(line: PhoneLine, client: Client) -> None:
    path, call_sid = outbound(client, "+252662343031", FLOW)
    fields = {"Direction": "outbound-api", "From": "345", "To": "+252662343031"}
    for step in STEPS[:3]:
        line.report(call_sid, **fields, **step)
    contact = contact_of(client, "+252662343031")
    moved = {"call_flow_data": {FLOW: {"version": 9, "step": "bye", "event": 10**9, "people": "1"}}}
    for document in (path, f"/api/contacts/{contact['id']}"):
        changed = client.patch(document, json={"metadata": moved, "metadata_merge_mode": "replace"})
        assert changed.status == 204, changed
    assert memory(client.get(path).json)["step"] == "needs"
    assert memory(contact_of(client, "+252662343031")) == {"called": True, "people": "12"}
    assert "again?" in line.report(call_sid, **fields, **RECORDING).json
