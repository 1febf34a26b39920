"""The two surveys as definitions give the same TwiML as the classes, on every path."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from scfm.twiml.avf_capom import CapomLong, CapomShort
from scfm.twiml.definition import CalleeItem
from scfm.twiml.definition_checks import Findings, check_definition
from scfm.twiml.definition_flow import DefinitionFlow
from scfm.twiml.definition_paths import callee_choices, check_paths
from scfm.twiml.flow import Flow
from scfm.twiml.rehearsal import Rehearsal, rehearse
from tests.flows.capom_definitions import LONG_SURVEY, SHORT_SURVEY

SURVEYS = [pytest.param(CapomShort, SHORT_SURVEY, id="short"), pytest.param(CapomLong, LONG_SURVEY, id="long")]


class Both:
    """A call of a class and the same call of its definition. Both must have been answered with the same TwiML."""

    def __init__(self, of_class: Rehearsal, of_definition: Rehearsal) -> None:
        assert of_class.twiml == of_definition.twiml
        assert of_class.ending == of_definition.ending
        assert of_class.problem is of_definition.problem is None
        self.of_class, self.of_definition = of_class, of_definition

    @property
    def state(self) -> tuple[str, str] | None:
        """All that decides how the two go on; None where the call is over."""
        if self.of_class.go_on is None:
            return None
        return self.of_class.contact_memory["status"], self.of_definition.call_memory["step"]

    def choices(self) -> list[CalleeItem]:
        """All that the callee can do here, but for hanging up: every key, silence, or a recording."""
        flow, step = self.of_definition.flow, self.of_definition.call_memory["step"]
        assert issubclass(flow, DefinitionFlow)
        return ["#", *callee_choices(flow.steps[step])]

    def after(self, item: CalleeItem) -> Both:
        assert self.of_class.go_on is not None and self.of_definition.go_on is not None
        return Both(self.of_class.go_on(item), self.of_definition.go_on(item))


def begun(of_class: type[Flow], of_definition: type[Flow]) -> Both:
    return Both(rehearse(of_class), rehearse(of_definition))


def walked(call: Both) -> dict[tuple[str, str], list[tuple[str, str] | None]]:
    """Where each answer leads, in each state that can be reached; None is the end of the call."""
    led: dict[tuple[str, str], list[tuple[str, str] | None]] = {}
    begun = [call]
    while begun:
        call = begun.pop()
        if call.state is not None and call.state not in led:
            after = [call.after(item) for item in call.choices()]
            led[call.state] = [one.state for one in after]
            begun.extend(after)
    return led


def paths(led: dict[tuple[str, str], list[Any]], start: tuple[str, str] | None) -> int:
    """How many paths there are, hang-ups at each question included, if one ends where it comes to a state again."""

    @cache
    def count(state: Any) -> int:
        if state is None:
            return 1
        return 1 + sum(1 if after == state else count(after) for after in led[state])

    return count(start)


@pytest.mark.parametrize(
    ("of_class", "of_definition", "states", "number"),
    [
        pytest.param(CapomShort, SHORT_SURVEY, 9, 41_761, id="short"),
        pytest.param(CapomLong, LONG_SURVEY, 22, 787_802_001_601, id="long"),
    ],
)
def test_all_paths_give_the_same_twiml_wrong_keys_at_each_question_included(
    of_class: type[Flow], of_definition: type[Flow], states: int, number: int
) -> None:
    """How a call goes on from a state does not depend on how it was reached: what leads there is walked at once."""
    call = begun(of_class, of_definition)
    led = walked(call)
    assert (len(led), paths(led, call.state)) == (states, number)


def right_answers(call: Both) -> Iterator[Both]:
    """All calls in which no wrong key is pressed, one by one."""
    yield call
    if call.state is not None:
        for item in call.choices():
            if item not in ("#", "0", *"3456789*"):
                yield from right_answers(call.after(item))


@pytest.mark.parametrize(
    ("of_class", "of_definition", "number"),
    [pytest.param(CapomShort, SHORT_SURVEY, 27, id="short"), pytest.param(CapomLong, LONG_SURVEY, 3531, id="long")],
)
def test_each_path_without_wrong_keys_gives_the_same_twiml(
    of_class: type[Flow], of_definition: type[Flow], number: int
) -> None:
    assert sum(1 for _ in right_answers(begun(of_class, of_definition))) == number


@pytest.mark.parametrize(("of_class", "of_definition"), SURVEYS)
def test_the_answers_are_kept_that_the_class_forgets(of_class: type[Flow], of_definition: type[Flow]) -> None:
    keys = ["1", "1", "250", {"record": 5}, "1"] if of_class is CapomShort else ["2", {"record": 5}]
    both = Both(rehearse(of_class, keys), rehearse(of_definition, keys))
    assert both.of_class.ending == "The flow hung up."
    assert {"recording_url", "seconds"} == set(list(both.of_definition.replies.answers.values())[-1])


@pytest.mark.parametrize(("of_class", "of_definition"), SURVEYS)
def test_the_definitions_stand_the_check_of_a_publish(of_class: type[Flow], of_definition: Any) -> None:
    assert check_definition(of_definition.definition) == Findings([], [])
    checked = check_paths(of_definition)
    assert checked.errors == [] and checked.left_out is None
