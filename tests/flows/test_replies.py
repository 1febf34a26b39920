"""What the person on the phone replies, as a flow notes it: on the participation, once for each webhook."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twilio.twiml.voice_response import VoiceResponse

from scfm.twiml.flow import CallView, ContactView, Flow, Turn, render
from scfm.twiml.rehearsal import rehearse
from scfm.twiml.replies import MAX_ANSWERS, Replies
from tests.flows.odd_flows import Replying
from tests.flows.phone_line import PhoneLine, at_once, environment, new_sid, outbound, place_call, standstill
from tests.server import Answer, Client, Server, wait_until

HEADER = "I-Twilio-Idempotency-Token"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("replies")
    flows = {
        "REGISTERED_CALL_FLOW_LOGIC": "tests.flows.odd_flows:Replying",
        "DEFAULT_CALL_FLOW_LOGIC": "Replying",
    }
    with standstill() as provider, Server(folder / "data", environment(provider, **flows)) as server:
        yield server


class Person:
    """Somebody who is being called in a callout, and presses keys."""

    def __init__(self, line: PhoneLine, client: Client, number: str) -> None:
        self.line, self.client, self.number = line, client, number
        self.path, self.sid = outbound(client, number, "Replying")
        self.participation = f"/api/callout_participations/{client.get(self.path).json['callout_participation_id']}"

    def press(self, keys: str, token: str | None = None) -> Answer:
        fields = self.line.fields(self.sid, Direction="outbound-api", From="345", To=self.number, Digits=keys)
        return self.line.send(fields, headers={HEADER: token or secrets.token_hex(16)})

    @property
    def answers(self) -> Any:
        return self.client.get(self.participation).json["answers"]


def test_answers_are_kept_on_the_participation_and_found_there(line: PhoneLine, client: Client) -> None:
    person = Person(line, client, "+252662360001")
    assert person.answers == {}
    assert "0 before" in person.press("3").json
    assert "2 before" in person.press("1").json
    assert person.answers == {"keys": "1", "key-1": "3", "key-2": "1"}
    (found,) = client.get("/api/callout_participations?q[answers][key-1]=3&q[answers][keys]=1").json
    assert person.participation.endswith(f"/{found['id']}")


def test_a_webhook_that_comes_again_replies_once(line: PhoneLine, client: Client) -> None:
    person, token = Person(line, client, "+252662360002"), secrets.token_hex(16)
    first = person.press("1", token)
    assert person.press("2").status == 201
    answers = at_once(*[lambda: person.press("1", token)] * 8)
    assert {answer.json for answer in answers} == {first.json}
    assert person.answers == {"keys": "2", "key-1": "1", "key-2": "2"}


def test_webhooks_at_the_same_time_keep_all_replies(line: PhoneLine, client: Client) -> None:
    person = Person(line, client, "+252662360003")
    keys = [str(key) for key in range(10, 40)]  # more than a document has marks for
    assert {answer.status for answer in at_once(*[lambda key=key: person.press(key) for key in keys])} == {201}
    answers = person.answers
    assert sorted(value for name, value in answers.items() if name != "keys") == keys


def test_a_flow_that_raises_notes_nothing(line: PhoneLine, client: Client) -> None:
    person = Person(line, client, "+252662360004")
    assert "Something went wrong" in person.press("0").json
    assert person.answers == {}


def test_who_opts_out_on_the_phone_is_opted_out_of_the_account(line: PhoneLine, client: Client) -> None:
    person = Person(line, client, "+252662360005")
    assert person.press("9").status == 201
    (made,) = client.get("/api/opt_outs?q[msisdn]=252662360005").json
    assert (made["source"], made["reason"], made["metadata"]) == ("flow", None, {})
    another, _ = person.path, person.sid
    call = place_call(client, person.participation)
    shown = wait_until(lambda: ended(client, call))
    assert (shown["status"], shown["remote_error_message"]) == ("canceled", "opted out")
    assert client.get(another).json["status"] != "canceled"


def ended(client: Client, path: str) -> dict[str, Any] | None:
    shown: dict[str, Any] = client.get(path).json
    return shown if shown["status"] != "queued" else None


def test_a_webhook_that_comes_again_opts_out_once(line: PhoneLine, client: Client) -> None:
    person, token = Person(line, client, "+252662360006"), secrets.token_hex(16)
    find = "/api/opt_outs?q[msisdn]=252662360006"
    assert {answer.status for answer in at_once(*[lambda: person.press("9", token)] * 8)} == {201}
    (made,) = client.get(find).json
    assert client.delete(f"/api/opt_outs/{made['id']}").status == 204
    assert person.press("9", token).status == 201
    assert client.get(find).json == []


def test_an_opt_out_of_a_client_stays_as_it_is(line: PhoneLine, client: Client) -> None:
    person = Person(line, client, "+252662360007")
    given = client.post("/api/opt_outs", {"msisdn": person.number, "reason": "by letter"}).json
    assert person.press("9").status == 201
    assert client.get("/api/opt_outs?q[msisdn]=252662360007").json == [given]


def test_who_calls_in_opts_out_the_number_he_calls_from(line: PhoneLine, client: Client) -> None:
    sid, before = new_sid(), len(client.get("/api/opt_outs").json)
    for keys in ("9", "9"):
        assert line.report(sid, From="+252662360008", Digits=keys).status == 201
    assert line.report(From="anonymous", Digits="9").status == 201
    assert [one["source"] for one in client.get("/api/opt_outs?q[msisdn]=252662360008").json] == ["flow"]
    assert len(client.get("/api/opt_outs").json) == before + 1


def test_a_call_of_no_callout_replies_to_nobody(line: PhoneLine) -> None:
    sid = new_sid()
    for keys in ("1", "9", "5"):
        assert line.report(sid, Digits=keys).status == 201


def a_turn(**answers: Any) -> Turn:
    return Turn(1, "https://a.example", {}, CallView(1, "+1", "outbound-api"), ContactView(1, "+1"), answers=answers)


@pytest.mark.parametrize("name", ["", "a.b", "$set", "x" * 65, "é", "a b", None, 1, "a\n"])
def test_an_answer_has_a_plain_name(name: Any) -> None:
    with pytest.raises(ValueError, match="the name of an answer"):
        a_turn().answer(name, 1)


@pytest.mark.parametrize("value", ["x" * 9000, [[[[[[[[[1]]]]]]]]]])
def test_an_answer_is_bounded(value: Any) -> None:
    with pytest.raises(ValueError, match="an answer has at most"):
        a_turn().answer("big", value)


@pytest.mark.parametrize("value", [object(), {1: 2}, float("nan"), (1,), 2**60])
def test_an_answer_is_plain_json(value: Any) -> None:
    with pytest.raises(TypeError, match="plain JSON"):
        a_turn().answer("odd", value)


def test_a_person_has_so_many_answers_and_no_more() -> None:
    turn = a_turn(**{f"a{number}": 1 for number in range(MAX_ANSWERS)})
    turn.answer("a0", 2)
    with pytest.raises(ValueError, match="at most 100 answers"):
        turn.answer("another", 1)


def test_a_turn_shares_nothing_that_is_answered() -> None:
    turn, value = a_turn(), [1]
    turn.answer("list", value)
    value.append(2)
    assert turn.replies.answers == {"list": [1]}


class _Careless(Flow):
    def run(self) -> VoiceResponse:
        self.turn.acknowledge()
        self.turn.opt_out()
        self.turn.answer("a.b", 1)
        return VoiceResponse()


def test_a_turn_that_fails_has_no_replies() -> None:
    turn = a_turn()
    assert "Something went wrong" in render(_Careless, turn)
    assert turn.replies == Replies()


def test_a_rehearsal_shows_what_is_noted() -> None:
    call = rehearse(Asking, digits=["1"])
    assert call.replies == Replies(acknowledged=True, answers={"safe": True})
    assert "    notes: acknowledged\n".strip() in call.transcript()
    assert "notes: safe = true" in call.transcript()


class Asking(Flow):
    """Asks, and takes 1 as an acknowledgement."""

    def run(self) -> VoiceResponse:
        response = VoiceResponse()
        if self.turn.digits == "1":
            self.turn.acknowledge()
            self.turn.answer("safe", True)
            response.hangup()
        else:
            response.gather(num_digits=1).say("Press 1.")
        return response


def test_replies_of_another_kind_are_told_apart() -> None:
    assert not Replies()
    assert Replies().document() == {}
    both = Replies(acknowledged=True).and_then(Replies(opted_out=True, answers={"a": 1}))
    assert Replies.of(both.document()) == both == Replies(True, True, {"a": 1})
    assert rehearse(Replying, digits=["9"]).ending
