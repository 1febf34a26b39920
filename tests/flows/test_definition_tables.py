"""The diagram of a definition, and the table of its prompts and languages."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from scfm.twiml.definition_coverage import coverage, coverage_table
from scfm.twiml.definition_diagram import diagram
from scfm.twiml.definition_flow import definition_flow
from scfm.twiml.flow import CallView, ContactView, Turn, answer
from tests.flows.random_definitions import AUDIO, right_definition

FLOOD: Any = {
    "languages": ["km", "en"],
    "start": "warning",
    "steps": {
        "warning": {
            "play": {"km": "audio:flood-km", "en": ["audio:flood", "audio:river"]},
            "or_say": {"en": "Flood warning for {contact.metadata.district}."},
            "menu": {"digits": {"1": "safe", "2": "help", "3": "safe", "*": "end"}, "otherwise": "end"},
        },
        "safe": {"set": {"safe": True}, "acknowledge": True, "say": {"en": "Thank you."}, "next": "number"},
        "number": {"ask": {"as": "people", "next": "office"}},
        "help": {"record": {"as": "needs", "otherwise": "office"}, "next": "end"},
        "office": {"dial": "+85512345678"},
        "end": {"opt_out": True, "hang_up": True},
    },
}


def test_a_diagram_has_a_node_a_step_and_an_arrow_a_way() -> None:
    assert diagram(FLOOD).splitlines() == [
        "flowchart TD",
        '    start(("start")) --> s0',
        '    s0{{"warning<br/>audio:flood-km"}}',
        '    s1["safe<br/>Thank you.<br/>safe = true<br/>acknowledge"]',
        '    s2[/"number"/]',
        '    s3[/"help"/]',
        '    s4[["office<br/>dial +85512345678"]]',
        '    s5(["end<br/>opt_out"])',
        '    s0 -- "1, 3" --> s1',
        '    s0 -- "2" --> s3',
        '    s0 -- "*, otherwise" --> s5',
        "    s1 --> s2",
        '    s2 -- "answered" --> s4',
        '    s2 -- "otherwise" --> over',
        '    s3 -- "recorded" --> s5',
        '    s3 -- "otherwise" --> s4',
        "    s4 --> over",
        '    over(("end of the call"))',
    ]


def test_a_diagram_reads_no_text_as_a_part_of_itself() -> None:
    text = 'a "quoted" & <b>text</b> #35; `--> s1\n' + "x" * 100
    steps = {"end": {"say": {"en": text}, "set": {"subgraph": '"]'}, "hang_up": True}}
    lines = diagram({"languages": ["en"], "start": "end", "steps": steps}).splitlines()  # type: ignore[typeddict-item]
    assert lines[2:] == [
        '    s0(["end<br/>a #quot;quoted#quot; #amp; #lt;b#gt;text#lt;/b#gt; #35;35; #96;--#gt; s1'
        f' {"x" * 21}…<br/>subgraph = #quot;]"])'
    ]


def test_a_table_says_what_is_heard_in_each_language() -> None:
    table = coverage(FLOOD, ["flood-km", "flood"])
    assert table == {
        "prompts": 2,
        "languages": {"km": 1, "en": 2},
        "steps": [
            {
                "step": "warning",
                "heard": {"km": {"by": "play", "language": "km"}, "en": {"by": "or_say", "language": "en"}},
            },
            {"step": "safe", "heard": {"km": {"by": "say", "language": "en"}, "en": {"by": "say", "language": "en"}}},
        ],
    }
    assert coverage_table(table).splitlines() == [
        "step     km           en",
        "warning  play         say",
        "safe     (say in en)  say",
        "         1 of 2       2 of 2",
    ]


def test_a_table_counts_audio_files_that_are_not_looked_up_as_there() -> None:
    assert coverage(FLOOD)["steps"][0]["heard"]["en"] == {"by": "play", "language": "en"}
    nothing = coverage({**FLOOD, "languages": ["km"]}, [])
    assert nothing["steps"][0]["heard"] == {"km": None}
    assert nothing["languages"] == {"km": 0}
    assert "warning  nothing" in coverage_table(nothing)


@pytest.mark.parametrize("seed", range(20))
def test_a_table_says_what_a_call_hears(seed: int) -> None:
    random = Random(seed)
    definition: Any = right_definition(random, random.choice([1, 3, 8]))
    audio = {name: f"/audio/{number}.wav" for number, name in enumerate(AUDIO) if random.random() < 0.5}
    flow = definition_flow("flood", definition, 1, audio)
    heard = next(
        step["heard"] for step in coverage(definition, audio)["steps"] if step["step"] == definition["start"]
    )
    for language in definition["languages"]:
        metadata = {"language": language, "person": {"tongue": language}}
        turn = Turn(
            event_id=1,
            url="https://scfm.example/api/remote_phone_call_events",
            details={},
            call=CallView(1, "+85512345678", "outbound-api"),
            contact=ContactView(1, "+85512345678", metadata),
        )
        twiml, told = answer(flow, turn), heard[language]
        assert ("<Play>" in twiml) is (told is not None and told["by"] == "play")
