"""All paths of a definition are walked; on each of them a rehearsal and a simulated phone are answered alike."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings

from scfm.twiml.definition import Definition
from scfm.twiml.definition_checks import check_definition
from scfm.twiml.definition_examples import rehearse_example
from scfm.twiml.definition_flow import DefinitionFlow, definition_flow
from scfm.twiml.definition_paths import PathWalk, check_paths
from scfm.twiml.flow import FlowSettings
from tests.flows import generated_flows
from tests.flows.phones import local, phoned
from tests.flows.test_definition_flow import WARNING
from tests.flows.walked_flows import EXAMPLE_DEFINITIONS

SETTINGS = FlowSettings(gather_timeout=4, dial_allow_list=[generated_flows.ALLOWED])


def flow(steps: Any, **more: Any) -> type[DefinitionFlow]:
    definition = {"languages": ["en"], "start": "a", "steps": steps, **more}
    return definition_flow("Flood", cast(Definition, definition), 1, {"flood": "/audio/aa.wav"})


def callees(made: type[DefinitionFlow]) -> list[Any]:
    return [list(path.callee) for path in PathWalk(made).paths()]


END = {"hang_up": True}
MENU = {"digits": {"1": "b", "2": "a"}, "repeat": 2, "otherwise": "b"}


def test_each_key_a_wrong_one_silence_and_hanging_up_is_tried_each_time_a_menu_is_said() -> None:
    made = flow({"a": {"say": {"en": "Hello"}, "menu": MENU}, "b": END})
    first = [[], ["1"], ["2"], ["0"], [None]]
    assert callees(made) == [*first, *(["0", *again] for again in (["1"], ["2"], ["0"], [None]))]


def test_a_menu_of_all_keys_has_no_wrong_one() -> None:
    digits = dict.fromkeys("0123456789*#", "b")
    assert callees(flow({"a": {"menu": {"digits": digits}}, "b": END})) == [[], *([key] for key in digits), [None]]


def test_a_number_is_tried_with_the_fewest_keys_the_most_too_few_and_none() -> None:
    ask = {"as": "age", "min_digits": 2, "max_digits": 4, "next": "b"}
    assert callees(flow({"a": {"ask": ask}, "b": END})) == [[], ["11"], ["1111"], ["1"], [None]]
    ask = {"as": "age", "max_digits": 1, "finish_on_key": "1", "next": "b"}
    assert callees(flow({"a": {"ask": ask}, "b": END})) == [[], ["2"], [None]]


def test_a_recording_is_tried_with_words_and_without() -> None:
    assert callees(flow({"a": {"record": {"as": "x"}, "next": "b"}, "b": END})) == [[], [{"record": 5}], [None]]


def test_a_path_ends_where_another_has_been_unless_texts_name_other_answers() -> None:
    ways = {"a": {"menu": {"digits": {"1": "b", "2": "b"}, "as": "x"}}, "c": END}
    asks = {"menu": {"digits": {"1": "c"}}}
    assert callees(flow({**ways, "b": asks}))[5:] == [["1", "1"], ["1", "0"], ["1", None]]
    named = flow({**ways, "b": {"say": {"en": "{answers.x}"}, **asks}})
    assert [one for one in callees(named) if len(one) == 2 and one[0] == "2"]


def test_the_paths_of_each_language_are_walked() -> None:
    made = flow({"a": {"say": {"en": "A", "km": "K"}, **END}}, languages=["en", "km"])
    assert [(path.language, path.call.said("K")) for path in PathWalk(made).paths()] == [("en", False), ("km", True)]


def test_a_flow_without_faults_is_fine_on_its_26_paths() -> None:
    made = definition_flow("Flood", cast(Definition, WARNING), 1, {"flood-km": "/audio/aa.wav"})
    assert check_paths(made) == (26, [], None)


def test_what_a_limit_leaves_out_is_said() -> None:
    steps: dict[str, Any] = {f"s{number}": {"menu": {"digits": {"1": f"s{number + 1}"}}} for number in range(4)}
    made = flow({**steps, "s4": {"say": {"en": "x"}, **END}, "b": END}, start="s0")
    walked, errors, left_out = check_paths(made, limit=5)
    assert (walked, errors) == (5, [])
    assert left_out == "5 paths were walked, and 5 more begin that were not; not heard: s3, s4"
    assert check_paths(made, limit=11).left_out == (
        "11 paths were walked, and 2 more begin that were not; every step was heard"
    )
    assert check_paths(made).left_out is None


def test_long_paths_are_walked_until_there_are_too_many_documents() -> None:
    steps: dict[str, Any] = {f"s{number}": {"say": {"en": "x"}, "next": f"s{number + 1}"} for number in range(198)}
    menu = {"digits": dict.fromkeys("1234567890", "s0"), "repeat": 5, "otherwise": "s0"}
    checked = check_paths(flow({"a": {"menu": menu}, **steps, "s198": {"menu": menu}}))
    assert checked.errors == []
    # Twenty are of the first menu, and those after it have 199 documents each.
    assert checked.walked < 40 and checked.left_out is not None


def test_what_a_provider_would_not_take_is_told_by_the_step() -> None:
    steps = {
        "a": {"say": {"en": "x"}, "next": "b/"},
        "b/": {"play": {"en": [f"https://files.example/{'x' * 7000}/{n}" for n in range(10)]}, **END},
    }
    assert check_paths(flow(steps)).errors == [
        "/steps/b~1: the document has 70439 bytes, and a provider takes at most 65536",
    ]


def test_a_call_that_fails_is_told_with_what_the_callee_did() -> None:
    many, why = {f"n{number}": 1 for number in range(101)}, "a person has at most 100 answers in a callout"
    made = flow({"a": {"menu": {"digits": {"1": "b"}}}, "b": {"set": many, **END}})
    assert check_paths(made).errors == [f'/steps/a: with the callee ["1"] in en, turn 2 raised ValueError: {why}']


def test_a_call_that_never_ends_is_told() -> None:
    made = flow({"a": {"say": {"en": "x"}, "next": "a"}})
    (error,) = check_paths(made).errors
    assert error == "/steps/a: with the callee [] in en, the flow never ends; it was stopped after turn 1000"


def own_loop() -> asyncio.Runner:
    """An event loop beside that of other tests: ``asyncio.run`` would forget theirs, unclosed."""
    return asyncio.Runner(loop_factory=asyncio.new_event_loop)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(generated_flows.definitions())
def test_a_hundred_flows_are_answered_alike_in_rehearsal_and_on_a_simulated_phone(definition: Definition) -> None:
    assert check_definition(definition).errors == []
    made = definition_flow("Made", definition, 1, generated_flows.AUDIO)
    assert check_paths(made, SETTINGS, 150).errors == []
    with own_loop() as loop:
        for path in PathWalk(made, SETTINGS).paths(30):
            again = rehearse_example(made, {"language": path.language, "callee": path.callee}, SETTINGS)
            assert again == path.call
            heard = loop.run(phoned(path, SETTINGS, {"language": path.language}))
            assert heard == [local(twiml) for twiml in path.call.twiml]


@pytest.mark.parametrize("name", EXAMPLE_DEFINITIONS)
def test_an_example_is_answered_alike_in_rehearsal_and_on_a_simulated_phone(name: str) -> None:
    example = definition_flow(name, EXAMPLE_DEFINITIONS[name], 1, {})
    paths = list(PathWalk(example, SETTINGS).paths())
    assert {path.language for path in paths} == set(example.definition["languages"])
    with own_loop() as loop:
        for path in paths:
            heard = loop.run(phoned(path, SETTINGS, {"language": path.language}))
            assert heard == [local(twiml) for twiml in path.call.twiml]
