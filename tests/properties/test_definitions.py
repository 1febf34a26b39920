"""Random definitions: right ones have no errors, broken ones one where they are broken; whatever comes, a finding.

``make definitions`` tries 10,000 of them.
"""

from __future__ import annotations

import copy
import os
import time
from random import Random
from typing import Any

import pytest

from scfm.schemas import pointer
from scfm.twiml.definition_checks import check_definition
from scfm.twiml.definition_diagram import diagram
from scfm.twiml.definition_problems import MAX_PROBLEMS
from tests.flows.random_definitions import BREAKS, KNOWN, right_definition

DEFINITIONS = int(os.environ.get("DEFINITIONS", "400"))
NEVER_REACHED = ": is never reached: let a step lead to it, or take it away"


@pytest.mark.parametrize("tenth", range(10))
def test_a_random_definition_is_right(tenth: int) -> None:
    for seed in range(tenth, DEFINITIONS // 2, 10):
        definition = right_definition(Random(seed))
        assert check_definition(definition, KNOWN).errors == [], (seed, definition)
        assert diagram(definition).startswith("flowchart TD\n")


@pytest.mark.parametrize("breaking", BREAKS, ids=lambda breaking: breaking.__name__)
def test_a_broken_definition_is_refused_where_it_is_broken(breaking: Any) -> None:
    broken = 0
    for seed in range(DEFINITIONS // 2 // len(BREAKS) + 1):
        random = Random(seed)
        definition = right_definition(random, random.choice([3, 8, 20, 60]))
        place = breaking(random, definition)
        if place is None:
            continue
        broken += 1
        before = copy.deepcopy(definition)
        errors = check_definition(definition, KNOWN).errors
        assert definition == before
        told = pointer(place)
        assert any(error.startswith(f"{told}: ") for error in errors), (seed, told, errors)
        # What is reached no more because of it is told, too.
        assert not [
            e for e in errors if not e.startswith((f"{told}: ", f"{told}/")) and not e.endswith(NEVER_REACHED)
        ]
    assert broken


def test_no_value_is_too_odd_for_a_finding() -> None:
    for seed in range(DEFINITIONS):
        random = Random(seed)
        definition: Any = right_definition(random, random.choice([1, 3, 8]))
        for _ in range(random.randint(1, 5)):
            definition = mixed_up(random, definition)
        findings = check_definition(definition, KNOWN)
        assert all(isinstance(line, str) and ": " in line for line in findings.errors + findings.warnings)
        assert findings.errors == [] or findings.warnings == []


END = {"end": {"hang_up": True}}
LARGE: dict[str, Any] = {
    "keys": {"a": {"menu": {"digits": {f"x{number}": "end" for number in range(17_000)}}}},
    "steps": {f"s{number}": {} for number in range(20_000)},
    "targets": {
        f"s{number}": {"menu": {"digits": {f"{key:04}": f"s{number}-{key}" for key in range(60)}}}
        for number in range(190)
    },
    "long targets": {f"s{number}": {"next": f"{number}{'x' * 1200}"} for number in range(190)},
    "braces": {"a": {"say": {"en": "{" * 250_000}, "next": "end"}},
    "placeholders": {"a": {"say": {"en": "{x}" * 80_000}, "next": "end"}},
    "answers": {"a": {"set": {f"a{number}": 1 for number in range(20_000)}, "next": "end"}},
    "files": {"a": {"play": {"en": ["audio:x"] * 20_000}, "next": "end"}},
}


@pytest.mark.parametrize("steps", LARGE.values(), ids=LARGE)
def test_what_is_wrong_very_often_is_told_soon(steps: dict[str, Any]) -> None:
    """A tenth of a second; a minute where each error is looked for among all others."""
    assert_told_soon({"languages": ["en"], "start": next(iter(steps)), "steps": {**steps, **END}})


@pytest.mark.parametrize("language", [lambda n: {"a": n}, lambda n: n if n % 2 else str(n), lambda n: f"a-{n:07}"])
def test_very_many_languages_are_refused_soon(language: Any) -> None:
    assert_told_soon({"languages": [language(number) for number in range(18_000)], "start": "end", "steps": END})


def assert_told_soon(definition: Any) -> None:
    began = time.process_time()
    errors = check_definition(definition, KNOWN).errors
    assert time.process_time() - began < 5
    assert 0 < len(errors) <= MAX_PROBLEMS + 1


def mixed_up(random: Random, value: Any) -> Any:
    """VALUE with something at a random place inside it put in place of another such thing."""
    parts = list(all_parts(value))
    odd = [None, True, 0, -1, 1e308, "", " ", "\n", "a" * 300, "{", "\u0000", [], {}, [[]], {"": {"": []}}]
    return put(random, value, copy.deepcopy(random.choice([*parts, *odd])))


def all_parts(value: Any) -> Any:
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from all_parts(inner)


def put(random: Random, value: Any, new: Any) -> Any:
    """NEW somewhere in VALUE; sometimes under a name that is not there yet."""
    if not isinstance(value, dict | list) or not value or random.random() < 0.15:
        return new
    if isinstance(value, list):
        at = random.randrange(len(value))
        return [put(random, one, new) if number == at else one for number, one in enumerate(value)]
    name = random.choice(list(value))
    if random.random() < 0.1:
        return {**value, random.choice(["x", "", "a/b~c", "menu", "hang_up", "1\n"]): new}
    return {**value, name: put(random, value[name], new)}
