"""The flow of a definition: steps, questions, answers, languages, texts; and what moves nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import pytest

from scfm.twiml.definition import Definition
from scfm.twiml.definition_flow import DefinitionFlow, definition_flow
from scfm.twiml.definition_text import CUT_OFF, MAX_FILLED_TEXT
from scfm.twiml.flow import CalloutView, CallView, ContactView, FlowSettings, Turn, answer, render
from scfm.twiml.rehearsal import rehearse
from scfm.twiml.twiml_rules import twiml_problems

URL = "https://alerts.example.org/api/remote_phone_call_events"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
AUDIO = {"flood-km": "/audio/aa.wav", "again": "/audio/bb.wav"}
MEKONG = CalloutView(3, {"river": "Mekong"})
GO_ON = f"<Redirect>{URL}</Redirect>"


class Line:
    """A call in which a test sends one webhook after another."""

    def __init__(
        self,
        flow: type[DefinitionFlow],
        contact: ContactView | None = None,
        callout: CalloutView | None = MEKONG,
        settings: FlowSettings | None = None,
    ) -> None:
        self.flow = flow
        self.contact = contact or ContactView(2, "+85512345678", {"language": "en", "district": "Kandal"})
        self.callout = callout
        self.settings = settings or FlowSettings()
        self.contact_memory: dict[str, Any] = {}
        self.call_memory: dict[str, Any] = {}
        self.answers: dict[str, Any] = {}
        self.acknowledged = self.opted_out = False
        self.events = 0

    def turn(self, event: int = 0, **details: str) -> str:
        """The inside of the document that answers a webhook: the next one, or the one that is EVENT."""
        self.events += not event
        turn = Turn(
            event_id=event or self.events,
            url=URL,
            details=details,
            call=CallView(1, self.contact.msisdn, "outbound-api", callout=self.callout),
            contact=self.contact,
            settings=self.settings,
            contact_memory=self.contact_memory,
            call_memory=self.call_memory,
            answers=self.answers if self.callout else {},
        )
        text = answer(self.flow, turn).removeprefix(DECLARATION)
        self.contact_memory, self.call_memory = turn.contact_memory, turn.call_memory
        self.answers |= turn.replies.answers
        self.acknowledged |= turn.replies.acknowledged
        self.opted_out |= turn.replies.opted_out
        return text.removeprefix("<Response>").removesuffix("</Response>")

    def press(self, digits: str, event: int = 0) -> str:
        return self.turn(event, Digits=digits)

    @property
    def memories(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.contact_memory, self.call_memory


def flow(steps: Mapping[str, Any], start: str = "a", version: int = 1, **more: Any) -> type[DefinitionFlow]:
    definition = {"languages": ["en"], "start": start, "steps": steps, **more}
    return definition_flow("Flood", cast(Definition, definition), version, AUDIO)


def one(step: Mapping[str, Any], **line: Any) -> Line:
    """A call whose first step is STEP; it may lead to ``b``, which says bye, and to ``end``, which hangs up."""
    rest = {"b": {"say": {"en": "Bye"}, "hang_up": True}, "end": {"hang_up": True}}
    return Line(flow({"a": step, **rest}), **line)


MENU = {"say": {"en": "Press 1"}, "menu": {"digits": {"1": "b"}, "repeat": 2, "timeout": 7, "otherwise": "end"}}
GATHER = '<Gather numDigits="1" timeout="7"><Say>Press 1</Say></Gather>'
BYE = "<Say>Bye</Say><Hangup />"

WARNING = {
    "languages": ["km", "en"],
    "language_from": "metadata.language",
    "start": "warning",
    "steps": {
        "warning": {
            "play": {"km": "audio:flood-km", "en": "audio:flood-en"},
            "or_say": {"en": "Flood warning for {contact.metadata.district}."},
            "menu": {
                "digits": {"1": "safe", "2": "help", "9": "stop"},
                "repeat": 2,
                "timeout": 7,
                "otherwise": "end",
            },
        },
        "safe": {
            "set": {"safe": True},
            "acknowledge": True,
            "say": {"km": "\u17a2\u179a\u1782\u17bb\u178e", "en": "Thank you."},
            "next": "end",
        },
        "help": {"record": {"as": "needs", "max_seconds": 60}, "next": "end"},
        "stop": {"opt_out": True, "say": {"en": "You will not be called again."}, "next": "end"},
        "end": {"hang_up": True},
    },
}


def warned() -> Line:
    return Line(definition_flow("Flood", cast(Definition, WARNING), 4, AUDIO))


def test_a_key_leads_to_its_step_which_notes_and_says_its_own() -> None:
    call = warned()
    assert call.turn() == ('<Gather numDigits="1" timeout="7"><Say>Flood warning for Kandal.</Say></Gather>' + GO_ON)
    assert not (call.answers or call.acknowledged)
    assert call.press("1") == "<Say>Thank you.</Say><Hangup />"
    assert call.answers == call.contact_memory == {"safe": True}
    assert call.acknowledged and not call.opted_out


def test_a_recording_becomes_an_answer_and_an_opt_out_is_noted() -> None:
    call = warned()
    call.turn()
    assert call.press("2") == '<Record maxLength="60" />'
    assert call.turn(RecordingUrl="https://r.example/1", RecordingDuration="12", Digits="#") == "<Hangup />"
    needs = {"recording_url": "https://r.example/1", "seconds": 12}
    assert call.answers == call.contact_memory == {"needs": needs}
    other = warned()
    other.turn()
    assert other.press("9") == "<Say>You will not be called again.</Say><Hangup />"
    assert other.opted_out and not other.acknowledged


def test_the_state_and_the_version_are_in_the_calls_memory_alone() -> None:
    call = warned()
    call.turn()
    assert call.call_memory == {"version": 4, "step": "warning", "times": 1, "event": 1, "before": None}
    assert call.contact_memory == {}


def test_silence_repeats_a_question_and_then_leads_otherwise() -> None:
    call = one(MENU)
    assert [call.turn(), call.turn(), call.turn()] == [GATHER + GO_ON, GATHER + "<Hangup />", "<Hangup />"]


def test_a_wrong_key_counts_as_one_of_the_times() -> None:
    call = one(MENU)
    assert [call.turn(), call.press("5"), call.press("5")] == [GATHER + GO_ON, GATHER + "<Hangup />", "<Hangup />"]
    assert one({**MENU, "menu": {"digits": {"1": "b"}}}).turn() == (
        '<Gather numDigits="1"><Say>Press 1</Say></Gather>'
    )


def test_the_keys_of_a_menu_become_an_answer_if_it_names_one() -> None:
    call = one({**MENU, "menu": {"digits": {"1": "b"}, "as": "choice"}})
    call.turn()
    assert call.press("1") == BYE
    assert call.answers == {"choice": "1"}


@pytest.mark.parametrize(("pressed", "taken"), [("1", False), ("12", True), ("0123", True), ("01234", False)])
def test_an_answer_of_keys_has_as_many_as_are_asked_for(pressed: str, taken: bool) -> None:
    call = one({"ask": {"as": "age", "min_digits": 2, "max_digits": 4, "finish_on_key": "*", "next": "b"}})
    assert call.turn() == '<Gather finishOnKey="*" numDigits="4" />'
    assert call.press(pressed) == (BYE if taken else "<Hangup />")
    assert call.answers == ({"age": pressed} if taken else {})


def test_a_menu_takes_longer_keys_and_the_hash_key() -> None:
    call = one({"menu": {"digits": {"12": "b", "#": "b"}}})
    assert call.turn() == '<Gather finishOnKey="" numDigits="2" />'
    assert call.press("#") == BYE


def test_the_setting_says_how_long_to_wait_where_the_step_does_not() -> None:
    settings = FlowSettings(gather_timeout=12)
    assert 'timeout="12"' in one({"menu": {"digits": {"1": "b"}}}, settings=settings).turn()
    assert 'timeout="7"' in one(MENU, settings=settings).turn()


def test_a_recording_that_stays_empty_leads_otherwise_or_ends_the_call() -> None:
    call = one({"record": {"as": "x", "otherwise": "b"}, "next": "end"})
    assert [call.turn(), call.turn()] == ["<Record />" + GO_ON, BYE]
    assert call.answers == {}
    call = one({"record": {"as": "x"}, "next": "b"})
    assert [call.turn(), call.turn()] == ["<Record />", "<Hangup />"]


def test_a_recording_without_a_length_is_kept_without_one() -> None:
    call = one({"record": {"as": "x"}, "next": "b"})
    call.turn()
    assert call.turn(RecordingUrl="https://r.example/1", RecordingDuration="long", Digits="hangup") == BYE
    assert call.answers == {"x": {"recording_url": "https://r.example/1", "seconds": None}}


def test_a_step_goes_on_to_the_next_by_a_redirect() -> None:
    call = one({"say": {"en": "Hello"}, "next": "b"})
    assert [call.turn(), call.turn(), call.turn()] == ["<Say>Hello</Say>" + GO_ON, BYE, "<Hangup />"]


# Dialling


def test_a_number_is_dialled_while_the_account_allows_it() -> None:
    step = {"say": {"en": "Wait"}, "dial": "+85523456789", "next": "b"}
    allowed = one(step, settings=FlowSettings(dial_allow_list=["+855 23 456-789"]))
    assert [allowed.turn(), allowed.turn()] == [f"<Say>Wait</Say><Dial>+85523456789</Dial>{GO_ON}", BYE]
    refused = one(step, settings=FlowSettings(dial_allow_list=["+85523456780"]))
    assert [refused.turn(), refused.turn()] == [f"<Say>Wait</Say>{GO_ON}", BYE]
    assert one({"dial": "117"}, settings=FlowSettings(dial_allow_list=["117"])).turn() == "<Dial>117</Dial>"


def test_a_number_that_is_not_dialled_is_logged_and_seen_in_rehearsals(caplog: pytest.LogCaptureFixture) -> None:
    made = flow({"a": {"dial": "117"}})
    warning = "117 is not dialled: it is not in the account's dial_allow_list"
    assert rehearse(made).document()["transcript"] == [f"({warning})"]
    assert not caplog.messages
    render(made, Turn(1, URL, {}, CallView(5, "+1", "outbound-api"), ContactView(1, "+1")))
    assert caplog.messages == [f"flow Flood: {warning}: phone call 5"]


# Languages and texts

SPOKEN = {"km-KH": "K", "fr": "F"}


@pytest.mark.parametrize(
    ("language", "heard"),
    [
        ("km-KH", '<Say language="km-KH">K</Say>'),
        ("fr", "<Say>F</Say>"),
        ("fr-CA", "<Say>F</Say>"),
        (" FR ", "<Say>F</Say>"),
        ("km", '<Say language="km-KH">K</Say>'),
        ("fra", '<Say language="km-KH">K</Say>'),
        ("", '<Say language="km-KH">K</Say>'),
        ("en", '<Say language="km-KH">K</Say>'),
        ("xx", '<Say language="km-KH">K</Say>'),
        (None, '<Say language="km-KH">K</Say>'),
        (["fr"], '<Say language="km-KH">K</Say>'),
    ],
)
def test_a_prompt_is_in_the_contacts_language_else_in_the_first_that_it_has(language: Any, heard: str) -> None:
    made = flow(
        {"a": {"say": SPOKEN, "hang_up": True}},
        languages=["en", "km-KH", "fr"],
        language_from="metadata.speaks.first",
    )
    contact = ContactView(2, "+1", {"speaks": {"first": language}})
    assert Line(made, contact).turn() == heard + "<Hangup />"


@pytest.mark.parametrize(
    ("language", "heard"),
    [
        ("km", "<Play>https://alerts.example.org/audio/aa.wav</Play>"),
        ("en", "<Say>Flood</Say>"),
        (
            "fr",
            "<Play>https://alerts.example.org/audio/bb.wav</Play><Play>https://files.example/f.mp3</Play>",
        ),
        ("es", "<Play>https://alerts.example.org/audio/aa.wav</Play>"),
    ],
)
def test_an_audio_is_played_where_there_is_one_else_the_text_is_said(language: str, heard: str) -> None:
    played = {"km": "audio:flood-km", "en": "audio:gone", "fr": ["audio:again", "https://files.example/f.mp3"]}
    step = {"play": played, "or_say": {"en": "Flood"}, "hang_up": True}
    made = flow({"a": step}, languages=["km", "en", "fr", "es"])
    assert Line(made, ContactView(2, "+1", {"language": language})).turn() == heard + "<Hangup />"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{contact.msisdn}!", "+85512345678!"),
        ("At {contact.metadata.place.village}", "At Prek"),
        ("{callout.metadata.river} {answers.people}", "Mekong 3"),
        ("{contact.metadata.count}/{contact.metadata.share}/{contact.metadata.whole}", "5/0.5/2"),
        ("{contact.metadata.yes} {contact.metadata.no}", "true false"),
        ("({contact.metadata.gone}{contact.metadata.place}{contact.metadata.list})", "()"),
        ("{contact.metadata.place.village.more}{answers.none}x", "x"),
        ("{{answers.people} }} {", "{answers.people} }} {"),
        ("{{{answers.people}", "{3"),
        ("<&>\u0000", "&lt;&amp;&gt;"),
    ],
)
def test_a_text_names_what_is_known(text: str, said: str) -> None:
    metadata = {"place": {"village": "Prek"}, "count": 5, "share": 0.5, "whole": 2.0, "yes": True, "no": False}
    call = one({"set": {"people": 3}, "say": {"en": text}, "hang_up": True})
    call.contact = ContactView(2, "+85512345678", {**metadata, "list": [1]})
    assert call.turn() == f"<Say>{said}</Say><Hangup />"


def test_a_text_of_which_nothing_is_left_is_not_said() -> None:
    assert one({"say": {"en": " {answers.none} "}, "hang_up": True}).turn() == "<Hangup />"
    assert one({"say": {"en": "{callout.metadata.river}"}, "hang_up": True}, callout=None).turn() == "<Hangup />"


@pytest.mark.parametrize(
    ("river", "lengths"),
    [
        ("x" * 4096, [4096]),
        ("water " * 1000, [4092, 1908]),
        ("\u1791\u17b9\u1780" * 1000, [4095, 4095, 810]),
        ("\U0001f30a" * 1025, [4096, 4]),
        (f"{'x' * 4096} y", [4096, 2]),
    ],
)
def test_a_text_that_is_too_long_when_it_is_filled_is_said_in_parts(river: str, lengths: list[int]) -> None:
    call = one({"say": {"en": "{callout.metadata.river}"}, "hang_up": True}, callout=CalloutView(1, {"river": river}))
    text = call.turn()
    assert twiml_problems(f"<Response>{text}</Response>") == []
    said = re.findall("<Say>(.*?)</Say>", text)
    assert [len(part.encode()) for part in said] == lengths
    assert "".join(said) == river


@pytest.mark.parametrize("letter", ["x", "&", "\u1791", "\U0001f30a"])
def test_a_long_value_that_is_named_often_is_cut_off(letter: str) -> None:
    step = {"say": {"en": "{callout.metadata.river}" * 150}, "hang_up": True}
    call = rehearse(flow({"a": step}), callout={"river": letter * (1 << 18)})
    assert call.problem is None
    assert twiml_problems(call.twiml[0]) == []
    assert "".join(verb.text for verb in call.turns[0].verbs) == letter * MAX_FILLED_TEXT
    assert call.turns[0].lines[0] == f"({CUT_OFF})"


def test_the_answers_of_earlier_calls_of_the_callout_are_known_those_of_others_are_not() -> None:
    call = one({"say": {"en": "{answers.people}."}, "hang_up": True})
    call.answers, call.contact_memory = {"people": "4"}, {"people": "9"}
    assert "<Say>4.</Say>" in call.turn()
    other = one({"say": {"en": "{answers.people}."}, "hang_up": True}, callout=None)
    other.contact_memory = {"people": "9"}
    assert "<Say>.</Say>" in other.turn()


@pytest.mark.parametrize("contact", [ContactView(2, "+85512345678"), ContactView(None, None)])
def test_a_call_of_no_callout_knows_its_answers(contact: ContactView) -> None:
    steps = {"a": {"ask": {"as": "step", "next": "b"}}, "b": {"say": {"en": "{answers.step}"}, "hang_up": True}}
    call = Line(flow(steps), contact, callout=None)
    call.turn()
    assert call.press("42") == "<Say>42</Say><Hangup />"
    assert call.call_memory["step"] == "b" and call.call_memory["answers"] == {"step": "42"}
    assert call.contact_memory == ({"step": "42"} if contact.id else {})


# What moves nothing


@pytest.mark.parametrize("status", ["initiated", "ringing", "in-progress", "completed"])
@pytest.mark.parametrize("turns", [0, 1, 2])
def test_a_status_callback_moves_nothing_and_says_nothing(status: str, turns: int) -> None:
    call = warned()
    for _ in range(turns):
        call.turn()
    before = call.memories
    callback = {"CallbackSource": "call-progress-events", "CallStatus": status, "Digits": "1"}
    assert call.turn(**callback) == "<Response />"
    assert call.memories == before and not call.acknowledged


def test_an_event_that_is_handled_again_comes_to_the_same() -> None:
    """Each turn of a call with all that a step may do, on the memories that the first time has left."""
    steps = {
        "a": {"say": {"en": "Hello"}, "acknowledge": True, "set": {"x": 1}, "next": "b"},
        "b": {"menu": {"digits": {"1": "c"}, "repeat": 2, "as": "key", "otherwise": "c"}},
        "c": {"record": {"as": "needs", "otherwise": "d"}, "next": "d"},
        "d": {"say": {"en": "{answers.key}"}, "opt_out": True, "hang_up": True},
    }
    call = Line(flow(steps))
    recording = {"RecordingUrl": "https://r.example/1", "RecordingDuration": "3"}
    sent: list[dict[str, str]] = [{}, {}, {"Digits": "7"}, {"Digits": "1"}, recording, {}]
    for event, details in enumerate(sent, 1):
        replies = dict(call.answers), call.acknowledged, call.opted_out
        first = call.turn(**details)
        after = call.memories, dict(call.answers), call.acknowledged, call.opted_out
        # What the person has replied is saved last, so it may be missing where the memories are there.
        call.answers, call.acknowledged, call.opted_out = replies
        assert call.turn(event, **details) == first
        assert (call.memories, call.answers, call.acknowledged, call.opted_out) == after
    assert call.answers == {"x": 1, "key": "1", "needs": {"recording_url": "https://r.example/1", "seconds": 3}}


def test_an_event_older_than_the_calls_last_moves_nothing() -> None:
    call = warned()
    call.events = 5
    call.turn()
    thanks = call.press("1")
    before = call.memories
    assert call.press("9", event=3) == thanks
    assert call.memories == before and not call.opted_out


def test_a_call_that_is_over_stays_so() -> None:
    call = one(MENU)
    for _ in range(4):
        call.turn()
    before = call.memories
    assert call.press("1") == "<Hangup />"
    assert call.memories == before


@pytest.mark.parametrize(
    "memory",
    [
        {"step": "gone", "times": 1, "event": 1},
        {"step": "a"},
        {"step": 5, "times": "x", "event": 1},
        {"step": "a", "times": 1, "event": "1"},
    ],
)
def test_a_state_that_cannot_be_begins_at_the_start(memory: dict[str, Any]) -> None:
    call = one(MENU)
    call.events, call.call_memory = 7, memory
    assert call.press("1") == GATHER + GO_ON
    assert call.call_memory["step"] == "a"


def test_a_call_that_is_told_all_at_once_leaves_no_state() -> None:
    for step in ({"say": {"en": "Flood"}, "hang_up": True}, {"say": {"en": "Flood"}, "next": "end"}):
        call = one(step)
        assert call.turn() == "<Say>Flood</Say><Hangup />"
        assert call.memories == ({}, {})
    call = one({"say": {"en": "Flood"}, "acknowledge": True, "hang_up": True})
    call.turn()
    assert call.call_memory["step"] == "a"


def test_what_was_noted_before_stays_in_the_contacts_memory() -> None:
    call = one({"set": {"safe": True}, "hang_up": True})
    call.contact_memory = {"former": {"x": 1}}
    call.turn()
    assert call.contact_memory == {"former": {"x": 1}, "safe": True}


def test_too_many_answers_are_an_apology_and_change_nothing() -> None:
    made = flow({"a": {"set": {f"n{number}": 1 for number in range(101)}, "hang_up": True}})
    turn = Turn(1, URL, {}, CallView(1, "+1", "outbound-api"), ContactView(1, "+1"))
    assert "Something went wrong" in render(made, turn)
    assert turn.call_memory == turn.contact_memory == {}


def test_each_version_is_a_class_of_its_own() -> None:
    first, second = (flow({"a": {"say": {"en": word}, "hang_up": True}}, version=v) for v, word in enumerate("AB", 1))
    assert (first.name, first.version) == ("Flood", 1) and (second.name, second.version) == ("Flood", 2)
    assert "A" in Line(first).turn() and "B" in Line(second).turn()
