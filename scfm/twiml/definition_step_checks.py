"""Checks of the steps of a definition, each by itself: keys, numbers, answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from scfm.twiml.definition import DEFAULT_MAX_DIGITS, DEFAULT_MIN_DIGITS, FlowStep
from scfm.twiml.definition_problems import DefinitionProblem
from scfm.twiml.flow import FlowSettings
from scfm.twiml.replies import MAX_ANSWERS

# The largest whole number that every reader of JSON keeps as it is (RFC 8259, 6).
MAX_WHOLE_NUMBER = (1 << 53) - 1


def step_problems(name: str, step: FlowStep, dial_allow_list: Collection[str] | None) -> Iterator[DefinitionProblem]:
    """What is wrong with the step NAME, but for what it says and where it leads."""
    if "menu" in step:
        for key, hidden_by in _hidden_keys(step["menu"]["digits"]):
            sentence = (
                f'begins with the key "{hidden_by}", so the two hide one another: use keys that begin otherwise'
            )
            yield ("steps", name, "menu", "digits", key), sentence
    if "ask" in step:
        least = step["ask"].get("min_digits", DEFAULT_MIN_DIGITS)
        most = step["ask"].get("max_digits", DEFAULT_MAX_DIGITS)
        if least > most:
            yield ("steps", name, "ask", "min_digits"), f"must be at most max_digits, which is {most}"
    if "dial" in step and dial_allow_list is not None and not _may_dial(step["dial"], dial_allow_list):
        sentence = "may not be dialled: have it added to the account's setting dial_allow_list"
        yield ("steps", name, "dial"), sentence
    for answer, value in step.get("set", {}).items():
        if isinstance(value, int | float) and not abs(value) <= MAX_WHOLE_NUMBER:
            yield (
                ("steps", name, "set", answer),
                f"must be a number of at most {MAX_WHOLE_NUMBER}: write it as a text",
            )


def answer_names(step: FlowStep) -> Iterator[tuple[tuple[str, ...], str]]:
    """The answers that a step may give: where in the step the name of each is, and the name."""
    yield from ((("set", name), name) for name in step.get("set", {}))
    verbs: Mapping[str, Any] = step
    for verb in ("menu", "ask", "record"):
        if verb in verbs and "as" in verbs[verb]:
            yield (verb, "as"), verbs[verb]["as"]


def answer_problems(steps: Mapping[str, FlowStep]) -> Iterator[DefinitionProblem]:
    """The answers that are more than a person can have."""
    known: set[str] = set()
    for name, step in steps.items():
        for place, answer in answer_names(step):
            known.add(answer)
            if len(known) > MAX_ANSWERS:
                yield ("steps", name, *place), f"is one answer too many: a flow has at most {MAX_ANSWERS}"
                return


def _may_dial(number: str, dial_allow_list: Collection[str]) -> bool:
    """As it is looked at in the call."""
    return FlowSettings(dial_allow_list=dial_allow_list).may_dial(number)


def _hidden_keys(digits: Collection[str]) -> Iterator[tuple[str, str]]:
    """Keys that begin with other keys of the menu, and the shortest of those."""
    for key in digits:
        beginnings = (key[:length] for length in range(1, len(key)))
        hidden_by = next((one for one in beginnings if one in digits), None)
        if hidden_by is not None:
            yield key, hidden_by
