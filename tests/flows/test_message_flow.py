"""CallFlowLogic::Message: what a callout's metadata holds, in the person's language, twice, and key 1."""

from __future__ import annotations

from typing import Any

import pytest

from scfm.twiml.message import NOTHING_TO_SAY, Message, message_problem
from scfm.twiml.rehearsal import Rehearsal, rehearse

BY_LANGUAGE = {"km-KH": "\u1791\u17b9\u1780", "en": "Water is rising."}
FLOOD = "https://audio.example.org/flood.wav"


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
    call = rehearse(Message, callout=metadata, contact={"language": language})
    assert heard(call) == [words, words]
    assert (call.problem, call.ending, call.replies.acknowledged) == (None, "The flow hung up.", False)


def test_the_provider_is_told_a_language_that_names_a_region() -> None:
    assert 'language="km-KH"' in rehearse(Message, callout={"message": BY_LANGUAGE}).twiml[0]
    assert "language" not in rehearse(Message, callout={"message": BY_LANGUAGE}, contact={"language": "en"}).twiml[0]


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
        ({"message": "Water.", "audio": "flood"}, "there is no audio 'flood': metadata.audio must be a URL"),
    ],
)
def test_what_keeps_a_callout_from_it_is_said_before(metadata: dict[str, Any], problem: str | None) -> None:
    assert message_problem(metadata) == problem
