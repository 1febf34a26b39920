"""What is known beforehand: files that say who answers, at which attempt, and what goes wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scfm.errors import StartError
from scfm.simulator.callee import Callee, CalleeRule
from scfm.simulator.faults import Faults


@dataclass(frozen=True)
class Scenario:
    """``people``: who answers. The others are the simulator's, and None where the file does not name them."""

    people: tuple[CalleeRule, ...] = ()
    seed: int | None = None
    life_size: float | None = None
    faults: Faults | None = None


def read_rules(path: Path) -> tuple[CalleeRule, ...]:
    """The rules in a JSON file: a list of objects, each a number, prefix or pattern and a callee's fields.

    ``[{"prefix": "+855", "digits": ["1", null]}, {"number": "+15551234567", "outcome": "busy"}]``. In place of the
    callee's fields ``attempts`` may have a list of such, for the first call to the number, the second, and so on.
    Raises StartError, which names the file and what is wrong in it.
    """
    try:
        return _rules(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, StartError) as error:
        raise StartError(f"callees: {path}: {error}") from error


def read_scenario(path: Path) -> Scenario:
    """The scenario in a JSON file: ``{"people": [...], "seed": 7, "life_size": 0.1, "faults": "throttle=0.05"}``.

    ``people`` is a list of rules as in ``read_rules``; the others may be left out. Raises StartError, which names the
    file and what is wrong in it.
    """
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(given, dict):
            raise StartError('an object is wanted: {"people": [...]}')
        if unknown := given.keys() - _SCENARIO_SHAPES.keys():
            raise StartError(f"{min(unknown)} is unknown in a scenario; there are {', '.join(_SCENARIO_SHAPES)}")
        for key, value in given.items():
            if not _SCENARIO_SHAPES[key](value):
                raise StartError(f"{key} cannot be {value!r}")
        return Scenario(
            _rules(given.get("people", [])),
            given.get("seed"),
            given.get("life_size"),
            Faults.parse(given["faults"]) if "faults" in given else None,
        )
    except (OSError, ValueError, StartError) as error:
        raise StartError(f"scenario: {path}: {error}") from error


def _rules(entries: Any) -> tuple[CalleeRule, ...]:
    if not isinstance(entries, list):
        raise StartError("a list of rules is wanted")
    return tuple(_rule(entry) for entry in entries)


def _rule(entry: Any) -> CalleeRule:
    """One rule from its JSON object. Raises StartError."""
    if not isinstance(entry, dict):
        raise StartError(f"a rule must be an object, not {entry!r}")
    applies_to = {key: entry[key] for key in ("number", "prefix", "pattern") if key in entry}
    if len(applies_to) != 1 or not all(isinstance(value, str) for value in applies_to.values()):
        raise StartError(f"a rule needs one number, prefix or pattern, a text: {entry}")
    try:
        re.compile(applies_to.get("pattern", ""))
    except re.error as error:
        raise StartError(f"the pattern {applies_to['pattern']!r} cannot be read: {error}") from error
    script = {key: entry[key] for key in entry if key not in applies_to}
    attempts = script.pop("attempts", [script])
    if script and attempts != [script]:
        raise StartError(f"what is beside attempts belongs into them: {', '.join(sorted(script))}")
    if not isinstance(attempts, list) or not attempts or not all(isinstance(one, dict) for one in attempts):
        raise StartError(f"attempts must be a list of objects, one at least, not {attempts!r}")
    first, *later = (_callee(dict(one)) for one in attempts)
    return CalleeRule(callee=first, later=tuple(later), **applies_to)


def _callee(script: dict[str, Any]) -> Callee:
    """A callee from the fields in a file. Raises StartError."""
    for key, value in script.items():
        if key not in _SHAPES:
            raise StartError(f"{key} is unknown in a callee; there are {', '.join(_SHAPES)}")
        if not _SHAPES[key](value):
            raise StartError(f"{key} cannot be {value!r}")
        if isinstance(value, list):
            script[key] = tuple(value)
    return Callee(**script)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 86400


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(text is None or isinstance(text, str) for text in value)


_SHAPES: Mapping[str, Callable[[Any], bool]] = {
    "outcome": lambda value: isinstance(value, str),
    "after": _is_number,
    "digits": _is_texts,
    "speech": _is_texts,
    "recordings": lambda value: isinstance(value, list) and all(_is_number(seconds) for seconds in value),
    "hangs_up_at": lambda value: value is None or (type(value) is int and value > 0),
    "machine": lambda value: isinstance(value, bool),
    "sip": lambda value: value is None or (type(value) is int and 300 <= value < 700),
}
_SCENARIO_SHAPES: Mapping[str, Callable[[Any], bool]] = {
    "people": lambda value: isinstance(value, list),
    "seed": lambda value: type(value) is int,
    "life_size": lambda value: type(value) in (int, float) and 0 <= value <= 1000,
    "faults": lambda value: isinstance(value, str),
}
