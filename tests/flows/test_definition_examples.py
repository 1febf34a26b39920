"""The examples of a definition: what they may expect of a call, and how it is told that one goes otherwise."""

from __future__ import annotations

from typing import Any, cast

import pytest

from scfm.twiml.definition import Definition
from scfm.twiml.definition_examples import MAX_TRANSCRIPT_TEXT, CheckedExamples, check_examples, rehearse_example
from scfm.twiml.definition_flow import definition_flow
from scfm.twiml.flow import FlowSettings
from scfm.twiml.rehearsal import MAX_TWIML_OF_CALL
from scfm.twiml.twiml_rules import MAX_TWIML_BYTES

DEFINITION: Any = {
    "languages": ["km", "en"],
    "language_from": "metadata.speaks.first",
    "start": "warning",
    "steps": {
        "warning": {
            "play": {"km": ["audio:flood", "https://files.example/help.mp3"]},
            "or_say": {"en": "Flood warning for {contact.metadata.district}. Press 1 if you are safe."},
            "menu": {"digits": {"1": "safe", "2": "help"}, "repeat": 2, "otherwise": "end"},
        },
        "safe": {"set": {"safe": True}, "acknowledge": True, "say": {"en": "Thank you."}, "next": "end"},
        "help": {"record": {"as": "needs"}, "next": "stop"},
        "stop": {"opt_out": True, "say": {"en": "Bye, {callout.metadata.by}."}, "hang_up": True},
        "end": {"hang_up": True},
    },
}


def check(*examples: Any) -> CheckedExamples:
    definition = cast(Definition, {**DEFINITION, "examples": examples})
    return check_examples(definition_flow("Flood", definition, 1, {"flood": "/audio/aa.wav"}))


SAFE = {"language": "en", "callee": ["1"]}
HELP = {"language": "en", "callee": ["2", {"record": 7}]}


@pytest.mark.parametrize(
    "example",
    [
        {"callee": []},
        SAFE,
        {**SAFE, "hears": ["Thank you."], "answers": {"safe": True}, "acknowledged": True, "opted_out": False},
        {**SAFE, "hears": ["Flood warning", "Press 1  if", "Thank"], "contact": {"metadata": {"district": "Takeo"}}},
        {**SAFE, "hears": ["for Takeo."], "contact": {"msisdn": "+1", "metadata": {"district": "Takeo"}}},
        {"callee": ["1"], "hears": ["audio:flood", "https://files.example/help.mp3", "Thank you."]},
        {"callee": [None, "1"], "hears": ["audio:flood", "audio:flood"]},
        {**HELP, "answers": {"needs": {"seconds": 7}, "safe": None}, "opted_out": True, "acknowledged": False},
        {**HELP, "callout": {"metadata": {"by": "Dara"}}, "hears": ["Bye, Dara."]},
        {"callee": [{"hang_up": True}], "acknowledged": False},
    ],
)
def test_an_example_that_goes_as_it_says_is_fine(example: Any) -> None:
    assert check(example) == ([], [])


@pytest.mark.parametrize(
    ("example", "error"),
    [
        ({**SAFE, "hears": ["Thanks."]}, '"Thanks." is not heard'),
        (
            {**SAFE, "hears": ["Thank you.", "Flood"]},
            '"Flood" is not heard after what stands before it',
        ),
        ({**SAFE, "hears": ["Thank", "Thank"]}, '"Thank" is not heard after what stands before it'),
        ({"callee": [], "hears": ["audio:flood", "audio:flood"]}, '"audio:flood" is not heard after'),
        ({"callee": [], "hears": ["audio:gone"]}, '"audio:gone" is not heard'),
        ({**SAFE, "answers": {"safe": 1}}, "the answer safe is true, not 1"),
        ({**SAFE, "answers": {"safe": None}}, "the answer safe is true, not null"),
        ({**HELP, "answers": {"safe": True}}, "the answer safe is null, not true"),
        (
            {**HELP, "answers": {"needs": {"seconds": 8}}},
            'the answer needs is {"recording_url": "https://scfm.example',
        ),
        ({**SAFE, "acknowledged": False}, "the call is acknowledged"),
        ({**HELP, "acknowledged": True}, "the call is not acknowledged"),
        ({**SAFE, "opted_out": True}, "the person does not opt out"),
        ({**HELP, "opted_out": False}, "the person opts out"),
    ],
)
def test_an_example_that_goes_otherwise_is_told(example: Any, error: str) -> None:
    errors, transcripts = check(SAFE, example)
    assert len(errors) == len(transcripts) == 1
    assert errors[0].startswith(f"/1: {error}")


def test_all_that_goes_otherwise_is_told_beside_the_transcript() -> None:
    wrong = {**SAFE, "hears": ["No"], "answers": {"safe": False}, "acknowledged": False}
    errors, (transcript,) = check(wrong)
    assert errors == [
        '/0: "No" is not heard',
        "/0: the answer safe is true, not false",
        "/0: the call is acknowledged",
    ]
    assert transcript.splitlines() == [
        '/0: expected {"language": "en", "hears": ["No"], "answers": {"safe": false}, "acknowledged": false}',
        "  says: Flood warning for . Press 1 if you are safe.",
        "  waits for an answer",
        "  > presses 1",
        "  Digits: 1",
        "  notes: acknowledged",
        "  notes: safe = true",
        "  says: Thank you.",
        "  hangs up",
        "  The flow hung up.",
    ]


def test_a_call_that_fails_is_told() -> None:
    steps = {"a": {"set": {f"n{number}": 1 for number in range(101)}, "hang_up": True}}
    definition: Any = {"languages": ["en"], "start": "a", "steps": steps, "examples": [{"callee": []}]}
    errors, _ = check_examples(definition_flow("Flood", definition, 1, {}))
    assert errors == ["/0: the call fails: turn 1 raised ValueError: a person has at most 100 answers in a callout"]


def test_the_longest_call_is_walked_to_its_end() -> None:
    steps: dict[str, Any] = {f"s{number}": {"say": {"en": "x"}, "next": f"s{number + 1}"} for number in range(199)}
    steps["s199"] = {"say": {"en": "Over"}, "hang_up": True}
    definition: Any = {"languages": ["en"], "start": "s0", "steps": steps}
    flow = definition_flow("Flood", {**definition, "examples": [{"callee": [], "hears": ["Over"]}]}, 1, {})
    assert check_examples(flow).errors == []


def test_examples_that_are_too_long_together_are_refused() -> None:
    steps: dict[str, Any] = {f"s{number}": {"say": {"en": "x"}, "next": f"s{number + 1}"} for number in range(199)}
    definition: Any = {"languages": ["en"], "start": "s0", "steps": {**steps, "s199": {"hang_up": True}}}
    examples = [{"callee": []}] * 100
    checked = check_examples(definition_flow("Flood", {**definition, "examples": examples}, 1, {}))
    assert checked.errors == [
        "/16: the examples before this one have 3000 turns already: give fewer, or shorter ones"
    ]


def test_what_is_heard_and_shown_of_long_calls_is_bounded() -> None:
    text = "{contact.metadata.story}"
    steps: dict[str, Any] = {f"s{number}": {"say": {"en": text}, "next": f"s{number + 1}"} for number in range(150)}
    steps["s150"] = {"menu": {"digits": {"1": "s0"}}}
    example = {"callee": ["1"] * 100, "contact": {"metadata": {"story": "x" * 8000}}, "hears": ["y"]}
    definition: Any = {"languages": ["en"], "start": "s0", "steps": steps, "examples": [example] * 3}
    flow = definition_flow("Flood", definition, 1, {})
    call = rehearse_example(flow, cast(Any, example))
    assert call.endless
    assert MAX_TWIML_OF_CALL < sum(map(len, call.twiml)) < MAX_TWIML_OF_CALL + MAX_TWIML_BYTES
    errors, transcripts = check_examples(flow)
    assert len(errors) == 6
    assert sum(map(len, transcripts)) == MAX_TRANSCRIPT_TEXT


def test_the_accounts_settings_count() -> None:
    definition: Any = {"languages": ["en"], "start": "a", "steps": {"a": {"dial": "117"}}}
    flow = definition_flow("Flood", definition, 1, {})
    assert "<Dial>" not in rehearse_example(flow, {"callee": []}).twiml[0]
    settings = FlowSettings(dial_allow_list=["117"])
    assert "<Dial>117</Dial>" in rehearse_example(flow, {"callee": []}, settings).twiml[0]
