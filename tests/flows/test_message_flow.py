"""CallFlowLogic::Message: what a callout's metadata holds, in the person's language, twice, and key 1."""

from __future__ import annotations

from typing import Any

import pytest

from scfm.twiml.flow import CalloutView, CallView, ContactView, FlowSettings, Turn, answer
from scfm.twiml.interpreter import parse
from scfm.twiml.message import MAX_SPOKEN_MESSAGE, NOTHING_TO_SAY, Message, message_problem
from scfm.twiml.rehearsal import Rehearsal, rehearse
from scfm.twiml.twiml_rules import twiml_problems

BY_LANGUAGE = {"km-KH": "\u1791\u17b9\u1780", "en": "Water is rising."}
FLOOD = "https://audio.example.org/flood.wav"
NO_FLOOD = "there is no audio file 'flood': send it to /api/audio_files, or name one"


def heard(call: Rehearsal) -> list[str]:
    return [verb.text for turn in call.turns for verb in turn.verbs if verb.name in ("Say", "Play")]


@pytest.mark.parametrize(
    ("metadata", "language", "words"),
    [
        ({"message": "Water."}, None, "Water."),
        ({"message": "Water."}, "en", "Water."),
        ({"message": BY_LANGUAGE}, "en", "Water is rising."),
        ({"message": BY_LANGUAGE}, None, BY_LANGUAGE["km-KH"]),
        ({"message": BY_LANGUAGE}, "fr", BY_LANGUAGE["km-KH"]),
        ({"message": BY_LANGUAGE}, ["en"], BY_LANGUAGE["km-KH"]),
        ({"message": {"km": " ", "en": "Water."}}, "km", "Water."),
        ({"message": "Water.", "audio": FLOOD}, None, FLOOD),
        ({"audio": {"km": FLOOD, "en": FLOOD + "?en"}}, "en", FLOOD + "?en"),
        ({"message": "Water.", "audio": "flood"}, None, "Water."),
    ],
)
def test_it_says_the_message_twice_in_the_language_of_the_contact(
    metadata: dict[str, Any], language: Any, words: str
) -> None:
    call = rehearse(Message, callout=metadata, contact={"language": language}, digits=["", ""])
    assert heard(call) == [words, words]
    assert (call.problem, call.ending, call.replies.acknowledged) == (None, "The flow hung up.", False)


def test_the_provider_is_told_a_language_that_names_a_region() -> None:
    assert 'language="km-KH"' in rehearse(Message, callout={"message": BY_LANGUAGE}).twiml[0]
    assert "language" not in rehearse(Message, callout={"message": BY_LANGUAGE}, contact={"language": "en"}).twiml[0]


@pytest.mark.parametrize("letter", ["x", "&", "\u1791", "\U0001f30a"])
def test_a_long_message_is_said_in_parts_that_a_provider_takes(letter: str) -> None:
    (document,) = rehearse(Message, callout={"message": letter * (1 << 18)}).twiml
    assert twiml_problems(document) == []
    said = "".join(verb.text for gather in parse(document) for verb in gather.nested)
    assert said == letter * 2 * MAX_SPOKEN_MESSAGE


@pytest.mark.parametrize("digits", [["1"], ["", "1"]])
def test_key_1_acknowledges(digits: list[str]) -> None:
    call = rehearse(Message, callout={"message": "Water."}, digits=digits)
    assert call.replies.acknowledged and call.problem is None


def test_another_key_hears_it_again() -> None:
    call = rehearse(Message, callout={"message": "Water."}, digits=["7", "1"])
    assert call.replies.acknowledged and len(call.turns) == 3


@pytest.mark.parametrize("metadata", [None, {}, {"message": ""}, {"message": {}}, {"message": 5}, {"audio": "flood"}])
def test_with_nothing_to_say_the_person_hears_the_apology(metadata: dict[str, Any] | None) -> None:
    call = rehearse(Message, callout=metadata)
    assert call.said("Something went wrong")
    assert isinstance(call.fault, LookupError)


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"message": "Water."}, None),
        ({"audio": {"km": FLOOD}}, None),
        ({}, NOTHING_TO_SAY),
        ({"message": {"en": None}}, NOTHING_TO_SAY),
        ({"audio": {"km": "flood-km", "en": "audio:flood-km"}}, None),
        ({"message": "Water.", "audio": "flood"}, NO_FLOOD),
        ({"audio": {"km": "flood-km", "en": "flood"}}, NO_FLOOD),
    ],
)
def test_what_keeps_a_callout_from_it_is_said_before(metadata: dict[str, Any], problem: str | None) -> None:
    assert message_problem(metadata, {"flood-km": "/audio/1.wav"}) == problem


@pytest.mark.parametrize(
    ("audio", "language", "played"),
    [
        ("flood-km", None, "/audio/1.wav"),
        ({"km": "flood-km", "en": "audio:flood-en"}, "en", "/audio/2.mp3"),
        ({"km": "flood-km", "en": "flood"}, "en", "/audio/1.wav"),
        ({"km": "flood-km", "en": FLOOD}, "en", FLOOD),
    ],
)
@pytest.mark.parametrize("server", ["https://scfm.example.org", "https://example.org/a/path"])
def test_an_audio_file_is_played_from_where_the_provider_asks(
    audio: Any, language: str | None, played: str, server: str
) -> None:
    turn = Turn(
        event_id=1,
        url=f"{server}/api/remote_phone_call_events",
        details={},
        call=CallView(1, "+1", "outbound-api", callout=CalloutView(1, {"audio": audio})),
        contact=ContactView(1, "+1", {"language": language}),
        settings=FlowSettings(audio={"flood-km": "/audio/1.wav", "flood-en": "/audio/2.mp3"}),
    )
    url = played if played == FLOOD else server + played
    assert [verb.text for verb in parse(answer(Message, turn))[0].nested] == [url]
