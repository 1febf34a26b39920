"""What is said of definitions of call flows: every error with its place, all at once, and what may be better."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scfm.twiml.definition import MAX_DEFINITION_BYTES, MAX_STEPS
from scfm.twiml.definition_checks import Known, check_definition
from scfm.twiml.definition_problems import MAX_PROBLEMS

FLOOD: Any = {
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
        "safe": {"set": {"safe": True}, "acknowledge": True, "say": {"km": "…", "en": "Thank you."}, "next": "end"},
        "help": {"record": {"as": "needs", "max_seconds": 60}, "next": "end"},
        "stop": {"opt_out": True, "say": {"en": "You will not be called again."}, "next": "end"},
        "end": {"hang_up": True},
    },
    "examples": [
        {"language": "en", "callee": ["1"], "hears": ["Thank you."], "answers": {"safe": True}, "acknowledged": True}
    ],
}
END = {"hang_up": True}
NO_AUDIO = "must be the name of an audio file, such as audio:flood-km, or a URL"
TALK = {"say": {"km": "…", "en": "Hello."}}


def flow(steps: Any, **more: Any) -> Any:
    """A flow of STEPS, which begins with the first of them and a step that says hello."""
    first = next(iter(steps))
    hello = {"hello": {**TALK, "next": first}} if first != "hello" else {}
    return {"languages": ["km", "en"], "start": "hello", "steps": {**hello, **steps}, **more}


def errors(definition: Any, **known: Any) -> list[str]:
    findings = check_definition(definition, Known(**known))
    assert not findings.errors or not findings.warnings
    return findings.errors


def changed(*path: Any, to: Any) -> Any:
    """FLOOD with something else at a place."""
    definition = json.loads(json.dumps(FLOOD))
    inner = definition
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = to
    return definition


def test_a_definition_without_errors_may_be_better() -> None:
    findings = check_definition(FLOOD, Known(audio=["flood-km", "flood-en"], dial_allow_list=[]))
    assert findings.errors == []
    assert findings.warnings == ['/steps/stop/say/km: is missing: who speaks "km" hears "en"']


@pytest.mark.parametrize("given", [None, 1, "text", [], [FLOOD], True])
def test_what_is_no_object_is_no_definition(given: Any) -> None:
    assert errors(given) == [": must be an object"]


def test_what_is_missing_is_told_by_its_own_name() -> None:
    assert errors({}) == [f"/{name}: can't be blank" for name in ("languages", "start", "steps")]
    assert errors(changed("steps", "help", to={"record": {}})) == [
        "/steps/help/record/as: can't be blank",
        "/steps/help/next: can't be blank: it names the step that follows",
    ]


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ({"menu": {"digits": {"1": "end"}}, "next": "end"}, "next: is not a key of a step with a menu"),
        ({"ask": {"as": "x", "next": "end"}, "next": "end"}, "next: is not a key of a step with ask"),
        ({"dial": "123", "hang_up": True}, "hang_up: is not a key of a step with dial"),
        ({"next": "end", "hang_up": True}, "hang_up: is not a key of a step with next"),
        ({"hang_up": True, "otherwise": "end"}, "otherwise: is not a key of a step with hang_up"),
        ({"hang_up": False}, "hang_up: must be true, or left out"),
        ({"menu": {"digits": {"1a": "end"}}}, "menu/digits/1a: must be 1 to 8 of the keys 0 to 9, * and #"),
        ({"menu": {"digits": {"1\n": "end"}}}, "menu/digits/1\n: must be 1 to 8 of the keys 0 to 9, * and #"),
        ({"menu": {"digits": {"1": "end"}, "repeat": 6}}, "menu/repeat: must be a whole number from 1 to 5"),
        ({"record": {"as": "a b"}, "next": "end"}, "record/as: must be a name of up to 64 letters, digits, - and _"),
        ({"play": {"km": "flood"}, "next": "end"}, f"play/km: {NO_AUDIO}"),
        ({"say": {"km": " "}, "next": "end"}, "say/km: can't be blank"),
    ],
)
def test_a_wrong_step_is_told_by_its_verb(step: Any, error: str) -> None:
    assert errors(flow({"x": step, "end": {"hang_up": True}})) == [f"/steps/x/{error}"]


def test_a_step_says_what_follows() -> None:
    assert errors(changed("steps", "safe", to=TALK)) == [
        "/steps/safe: must say what follows: one of menu, ask, record, dial, next and hang_up"
    ]


def test_a_misspelled_verb_is_told_with_the_one_that_was_meant() -> None:
    steps = {"x": {"menue": {"digits": {"1": "end"}}, "sey": {"en": "Hello."}}, "end": {"hang_up": True}}
    assert sorted(errors(flow(steps))) == [
        "/steps/x/menue: is not known here: did you mean menu?",
        "/steps/x/sey: is not known here: did you mean set?",
        "/steps/x: must say what follows: one of menu, ask, record, dial, next and hang_up",
    ]


def test_all_errors_are_told_at_once_in_the_order_of_the_definition() -> None:
    definition = changed("steps", "warning", "menu", "digits", "2", to="hlep")
    definition["steps"]["safe"]["say"]["fr"] = "Merci."
    definition["steps"]["help"]["record"]["max_seconds"] = 0
    definition["steps"]["end"]["x"] = 1
    definition["languages"].append("")
    definition["examples"][0]["callee"] = "1"
    assert errors(definition) == [
        "/languages/2: must be a language, such as km or en-GB",
        '/steps/warning/menu/digits/2: there is no step "hlep"',
        "/steps/help/record/max_seconds: must be a whole number from 1 to 3600",
        "/steps/end/x: is not a key of a step with hang_up",
        "/examples/0/callee: must be a list of what the person does",
    ]


def test_a_misspelt_target_is_one_error() -> None:
    assert errors(changed("steps", "warning", "menu", "digits", "2", to="hlep")) == [
        '/steps/warning/menu/digits/2: there is no step "hlep"'
    ]
    assert errors(changed("start", to="warming")) == ['/start: there is no step "warming"']


def test_a_step_that_nothing_leads_to_is_an_error() -> None:
    definition = changed("steps", "island", to={"next": "bridge"})
    definition["steps"]["bridge"] = {"menu": {"digits": {"1": "island", "2": "end"}}}
    assert errors(definition) == [
        f"/steps/{name}: is never reached: let a step lead to it, or take it away" for name in ("island", "bridge")
    ]


@pytest.mark.parametrize(
    ("steps", "place", "names"),
    [
        ({"a": {"next": "a"}}, "a/next", "a → a"),
        ({"a": {"next": "b"}, "b": {**TALK, "next": "c"}, "c": {"next": "b"}}, "c/next", "b → c → b"),
        ({"a": {"menu": {"digits": {"1": "b"}, "otherwise": "b"}}, "b": {"next": "a"}}, "b/next", "a → b → a"),
        ({"a": {"ask": {"as": "x", "next": "b", "otherwise": "a"}}, "b": END}, "a/ask/otherwise", "a → a"),
        ({"a": {"dial": "123", "next": "a"}}, "a/next", "a → a"),
        ({"a": {"record": {"as": "x", "otherwise": "a"}, "next": "b"}, "b": END}, "a/record/otherwise", "a → a"),
    ],
)
def test_a_call_that_goes_round_although_nobody_presses_anything_is_an_error(
    steps: Any, place: str, names: str
) -> None:
    told = f"goes round for ever if nothing is pressed ({names}): let it lead to a step that ends"
    assert errors(flow(steps)) == [f"/steps/{place}: {told}"]


def test_a_long_round_is_told_once_and_in_short() -> None:
    steps = {f"s{number}": {"next": f"s{(number + 1) % 9}"} for number in range(9)}
    told = "goes round for ever if nothing is pressed (s0 → s1 → s2 → s3 → s4 → … → s0)"
    assert errors(flow(steps)) == [f"/steps/s8/next: {told}: let it lead to a step that ends"]


@pytest.mark.parametrize(
    "steps",
    [
        {"a": {**TALK, "menu": {"digits": {"1": "a", "2": "b"}, "otherwise": "b"}}, "b": {"hang_up": True}},
        {"a": {**TALK, "menu": {"digits": {"1": "a"}}}},
        {"a": {**TALK, "ask": {"as": "x", "next": "b"}}, "b": {"next": "a"}},
        {"a": {**TALK, "record": {"as": "x"}, "next": "b"}, "b": {"next": "a"}},
    ],
)
def test_a_round_that_somebody_presses_or_speaks_is_none(steps: Any) -> None:
    assert errors(flow(steps)) == []


def test_a_language_in_which_nothing_is_said_is_an_error() -> None:
    definition = changed("languages", to=["so", "km", "en", "fr"])
    assert errors(definition) == [
        f'/languages/{at}: no step says or plays anything in "{name}": add it, or take the language away'
        for at, name in ((0, "so"), (3, "fr"))
    ]


def test_a_language_is_there_once() -> None:
    assert errors(changed("languages", to=["km", "en", "km"])) == [
        '/languages/2: is there already: "km" is one language'
    ]


def test_a_prompt_in_no_language_of_the_flow_is_an_error() -> None:
    assert errors(changed("steps", "safe", "say", "fr", to="Merci.")) == [
        '/steps/safe/say/fr: is in a language that nobody hears: add "fr" to languages'
    ]


def test_an_audio_file_that_is_not_there_is_an_error_unless_a_text_is_said_instead() -> None:
    assert errors(FLOOD, audio=[]) == [
        '/steps/warning/play/km: there is no audio file "flood-km": add it, or an or_say'
    ]
    findings = check_definition(FLOOD, Known(audio=["flood-km"]))
    assert '/steps/warning/play/en: there is no audio file "flood-en": or_say is said' in findings.warnings
    several = changed("steps", "warning", "play", "km", to=["audio:flood-km", "audio:x", "https://example.org/x.wav"])
    assert errors(several, audio=["flood-km", "flood-en"]) == [
        '/steps/warning/play/km/1: there is no audio file "x": add it, or an or_say'
    ]
    assert errors(FLOOD, audio=None) == []


@pytest.mark.parametrize(
    "name", ["contact", "contact.name", "contact.metadata", "callout.id", "a.b", "", " ", "answers"]
)
def test_a_name_in_a_text_that_stands_for_nothing_is_an_error(name: str) -> None:
    (error,) = errors(changed("steps", "safe", "say", "en", to=f"Hello {{{name}}}, {{{{ and }}."))
    assert error.startswith(f'/steps/safe/say/en: "{{{name}}}" stands for nothing: use {{contact.msisdn}}, ')


def test_a_text_may_name_the_contact_the_callout_and_answers() -> None:
    text = "{contact.msisdn} {contact.metadata.a.b} {callout.metadata.ទន្លេ} {answers.needs} {answers.safe} {{ }"
    assert errors(changed("steps", "stop", "say", "en", to=text)) == []
    assert errors(changed("steps", "stop", "say", "en", to="{answers.saef}")) == [
        '/steps/stop/say/en: "{answers.saef}" stands for nothing: no step gives that answer, by as or by set'
    ]
    assert errors(changed("steps", "stop", "say", "en", to="{contact.msisdn")) == [
        "/steps/stop/say/en: has a { without a }: write {{ for a brace"
    ]


def test_keys_that_hide_one_another_are_an_error() -> None:
    told = 'begins with the key "1", so the two hide one another: use keys that begin otherwise'
    definition = changed(
        "steps", "warning", "menu", "digits", to={"12": "help", "1": "safe", "123": "stop", "2": "end"}
    )
    assert errors(definition) == [f"/steps/warning/menu/digits/{key}: {told}" for key in ("12", "123")]
    assert errors(changed("steps", "warning", "menu", "digits", to={"11": "help", "12": "safe", "2": "stop"})) == []


def test_a_number_that_may_not_be_dialled_is_an_error() -> None:
    definition = changed("steps", "help", to={"dial": "+85512345678", "next": "end"})
    assert errors(definition, dial_allow_list=["+85512345679"]) == [
        "/steps/help/dial: may not be dialled: have it added to the account's setting dial_allow_list"
    ]
    assert errors(definition, dial_allow_list=["+85512345678"]) == errors(definition) == []


def test_a_text_longer_than_a_provider_says_is_an_error() -> None:
    assert errors(changed("steps", "safe", "say", "km", to="ក" * 1366)) == [
        "/steps/safe/say/km: has 4098 bytes, and a provider says at most 4096 at once: divide it over two steps"
    ]
    assert errors(changed("steps", "safe", "say", "km", to="ក" * 1365)) == []


def test_a_definition_has_a_bound() -> None:
    steps = {f"s{number}": {"next": f"s{number + 1}"} for number in range(MAX_STEPS - 2)}
    full = flow({**steps, f"s{MAX_STEPS - 2}": {"hang_up": True}})
    assert len(full["steps"]) == MAX_STEPS
    assert errors(full) == []
    full["steps"]["hello"] = {**TALK, "menu": {"digits": {"1": "s0", "2": "one"}}}
    full["steps"]["one"] = {"hang_up": True}
    assert errors(full) == ["/steps: must have at most 200 steps: divide the flow in two"]
    large = changed("examples", 0, "callout", to={"metadata": {"x": "x" * MAX_DEFINITION_BYTES}})
    (error,) = errors(large)
    assert error.startswith("/examples: makes the definition 26")
    (error,) = errors("x" * MAX_DEFINITION_BYTES)
    assert error == ": is 262146 bytes of JSON, and it may have 262144: divide the flow in two"


@pytest.mark.parametrize("given", [{"a": {1, 2}}, {"a": "\ud800"}, {1: 2}, {"a": 1 << 70}])
def test_what_json_cannot_hold_is_no_definition(given: Any) -> None:
    (error,) = errors(given)
    assert error.startswith(": must be JSON: ")


def test_very_many_errors_are_counted() -> None:
    steps = {f"s{n}": {"menu": {"digits": {str(key): "x" for key in range(10, 16)}}} for n in range(150)}
    found = errors(flow(steps))
    assert len(found) == MAX_PROBLEMS + 1
    assert found[-1].endswith("is wrong, too, and so are 548 places after it")


def test_of_very_many_missing_targets_none_is_looked_for_among_the_steps() -> None:
    names = ["ab" * 30 + f"{number:04}" for number in range(MAX_STEPS - 1)]
    keys = [f"{key}" for key in range(10, 25)]
    steps = {name: {"menu": {"digits": {key: f"{name[:-4]}{key}{name[-4:]}" for key in keys}}} for name in names}
    found = errors(flow(steps))
    assert len(found) == MAX_PROBLEMS + 1
    assert all("there is no step" in error for error in found[:-1])


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ({**TALK, "play": {"km": "audio:x"}}, "say: must not stand beside play: make it or_say"),
        ({"or_say": {"km": "…"}}, "or_say: must stand beside play: make it say"),
        ({"set": {"large": 1 << 53}}, "set/large: must be a number of at most 9007199254740991: write it as a text"),
    ],
)
def test_what_a_call_could_not_say_or_keep_is_an_error(step: Any, error: str) -> None:
    assert errors(flow({"a": {**step, "hang_up": True}})) == [f"/steps/a/{error}"]


def test_an_answer_that_no_number_of_keys_gives_is_an_error() -> None:
    ask = {"as": "people", "min_digits": 4, "max_digits": 3, "next": "end"}
    steps = {"a": {**TALK, "ask": ask}, "end": {"hang_up": True}}
    assert errors(flow(steps)) == ["/steps/a/ask/min_digits: must be at most max_digits, which is 3"]


def test_a_flow_gives_no_more_answers_than_a_person_may_have() -> None:
    sets = [{f"a{number}": 1 for number in range(60)}, {f"b{number}": 1 for number in range(41)}]
    steps = {"a": {"set": sets[0], "next": "b"}, "b": {"set": sets[1], "hang_up": True}}
    assert errors(flow(steps)) == ["/steps/b/set/b40: is one answer too many: a flow has at most 100"]


def test_a_question_without_a_word_may_be_better() -> None:
    steps = {"a": {"menu": {"digits": {"1": "b"}}}, "b": {"ask": {"as": "x", "next": "a"}}}
    assert check_definition(flow(steps)).warnings == [
        f"/steps/{place}: asks without a word: add say or play" for place in ("a/menu", "b/ask")
    ]
