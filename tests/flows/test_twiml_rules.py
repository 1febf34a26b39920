"""What a provider takes in a document, and what it does not."""

from __future__ import annotations

import pytest

from scfm.twiml.flow import apology
from scfm.twiml.twiml_rules import twiml_problems


def problems(inside: str) -> list[str]:
    return twiml_problems(f"<Response>{inside}</Response>")


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<Hangup/>",
        '<Say language="km-KH" loop="0" voice="Polly.Amy">Water &amp; wind</Say>',
        "<Play>https://files.example/a.wav</Play>",
        '<Play digits="1w2"/>',
        '<Gather numDigits="3" timeout="7" finishOnKey="" input="dtmf speech"><Pause length="2"/></Gather>',
        '<Gather timeout="auto" action="https://a.example/x" method="GET"/>',
        '<Record maxLength="14400" finishOnKey="1234567890*#" playBeep="false"/>',
        "<Dial>+85512345678</Dial><Redirect method='POST'>https://a.example/x?y=1</Redirect>",
        '<Reject reason="busy"/>',
    ],
)
def test_what_twilio_documents_is_taken(inside: str) -> None:
    assert problems(inside) == []


def test_the_apology_is_taken() -> None:
    assert twiml_problems(apology()) == []


@pytest.mark.parametrize(
    ("inside", "problem"),
    [
        ("<Speak>Hi</Speak>", "<Speak> may not stand in <Response>"),
        ("<Gather><Record/></Gather>", "<Record> may not stand in <Gather>"),
        ('<Hangup reason="x"/>', "<Hangup> has no attribute reason"),
        ('<Gather numDigits="0"/>', "<Gather> has numDigits='0', which is none of its values"),
        ('<Gather finishOnKey="12"/>', "<Gather> has finishOnKey='12', which is none of its values"),
        ('<Record maxLength="14401"/>', "<Record> has maxLength='14401', which is none of its values"),
        ('<Say language="km">Hi</Say>', "<Say> has language='km', which is none of its values"),
        ("<Say> </Say>", "<Say> has the text '', which is none of its values"),
        ("<Play>flood.wav</Play>", "<Play> has the text 'flood.wav', which is none of its values"),
        ("<Play/>", "<Play> plays nothing"),
        ("<Dial>police</Dial>", "<Dial> has the text 'police', which is none of its values"),
        ("<Redirect/>", "<Redirect> has the text '', which is none of its values"),
        (f"<Say>{'x' * 4097}</Say>", "<Say> has 4097 bytes, and a provider says at most 4096 at once"),
        (f"<Say>{'x' * 65536}</Say>", "the document has 65568 bytes, and a provider takes at most 65536"),
    ],
)
def test_what_else_stands_in_a_document_is_told(inside: str, problem: str) -> None:
    assert problems(inside) == [problem]


def test_what_is_no_document_is_told() -> None:
    assert twiml_problems("<Other/>") == ["the answer is a <Other> document, not a <Response>"]
    assert twiml_problems("Hello")[0].startswith("the answer is not XML: ")
