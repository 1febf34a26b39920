"""What it takes to check the definition of a call flow: the server does nothing else meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.ground import Ground
from benchmarks.measure import Figure, Plan
from scfm.twiml.definition import MAX_STEPS
from scfm.twiml.definition_checks import Known, check_definition

ABOUT = "checks of a call flow's definition"
ROUNDS = 20
LANGUAGES = ("km", "en", "fr")
GROUP = 5
KNOWN = Known(audio=[f"step-{number}" for number in range(MAX_STEPS)], dial_allow_list=["+85512345678"])


def seconds(plan: Plan) -> float:
    return 0.03 * plan.of(ROUNDS, 2) * plan.repeat


def measure(_: Ground, plan: Plan) -> Iterator[Figure]:
    """The processor's time of a check, in ms: of a survey, and of one menu after the other."""
    for name, definition in (("a survey", survey(MAX_STEPS)), ("menus alone", menus(MAX_STEPS))):
        runs = tuple(_check(definition, plan.of(ROUNDS, 2)) for _ in range(plan.repeat))
        yield Figure(f"Check a definition, {name}", "ms", runs, MAX_STEPS, goal="≤ 20")


def _check(definition: Any, rounds: int) -> float:
    began = time.process_time()
    for _ in range(rounds):
        assert not check_definition(definition, KNOWN).errors
    return (time.process_time() - began) * 1000 / rounds


def survey(steps: int) -> dict[str, Any]:
    """A definition of so many steps: in turn a menu, a recording, a question, and two that only say something."""
    made = {_name(number): _survey_step(number, steps) for number in range(steps - 1)}
    return {"languages": [*LANGUAGES], "start": _name(0), "steps": {**made, "end": {"hang_up": True}}}


def menus(steps: int) -> dict[str, Any]:
    """A definition of so many steps, all but the last of which are menus."""
    made = {_name(number): {**_played(number), "menu": _menu(number, steps)} for number in range(steps - 1)}
    return {"languages": [*LANGUAGES], "start": _name(0), "steps": {**made, "end": {"hang_up": True}}}


def _survey_step(number: int, steps: int) -> dict[str, Any]:
    following = _following(number, steps)
    if number % GROUP == 0:
        return {**_played(number), "menu": _menu(number, steps)}
    if number % GROUP == 1:
        return {**_played(number), "record": {"as": f"recording-{number % 40}", "max_seconds": 60}, "next": following}
    if number % GROUP == 2:
        ask = {"as": f"number-{number % 40}", "max_digits": 3, "next": following, "otherwise": "end"}
        return {**_said(number), "ask": ask}
    return {**_said(number), "set": {f"step-{number % 40}": True}, "next": following}


def _menu(number: int, steps: int) -> dict[str, Any]:
    digits = {"1": _following(number, steps), "2": "end", "3": _name(number)}
    return {"digits": digits, "repeat": 3, "timeout": 7, "otherwise": "end"}


def _played(number: int) -> dict[str, Any]:
    said = {"en": f"Question {number}. Press 1 or 2.", "fr": f"Question {number}. Tapez 1 ou 2."}
    return {"play": {"km": f"audio:step-{number}"}, "or_say": said}


def _said(number: int) -> dict[str, Any]:
    text = "{contact.metadata.name}: " + f"this is text {number}"
    return {"say": dict.fromkeys(LANGUAGES, text)}


def _name(number: int) -> str:
    return f"step-{number}"


def _following(number: int, steps: int) -> str:
    return "end" if number + 2 >= steps else _name(number + 1)
