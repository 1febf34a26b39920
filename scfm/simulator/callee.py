"""Who answers a call: by the rules given, by Twilio-like magic numbers, else by chance, anew at each call."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scfm.errors import StartError
from scfm.simulator.chance import lot

ANSWERED, BUSY, NO_ANSWER, FAILED = "answered", "busy", "no-answer", "failed"
OUTCOMES = (ANSWERED, BUSY, NO_ANSWER, FAILED)


@dataclass(frozen=True, slots=True)
class Callee:
    """What somebody does when the phone rings. Times are seconds of life; the simulator runs them faster.

    ``outcome``: one of OUTCOMES. ``after``: how long it rings first. ``digits`` and ``speech``: what is
    pressed and said at the first Gather, the second, and so on; None, or nothing left, is silence.
    ``recordings``: how many seconds are spoken at each Record; 0, or nothing left, is silence.
    ``hangs_up_at``: the number of the document (from 1) at whose first Gather, Record, Redirect or end the
    callee hangs up.
    """

    outcome: str = ANSWERED
    after: float = 4.0
    digits: tuple[str | None, ...] = ()
    speech: tuple[str | None, ...] = ()
    recordings: tuple[float, ...] = ()
    hangs_up_at: int | None = None

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise StartError(f"callee: outcome must be one of {', '.join(OUTCOMES)}, not {self.outcome!r}")


@dataclass(frozen=True, slots=True)
class CalleeRule:
    """Who answers: for one ``number``, for all with a ``prefix``, or for all that a ``pattern`` matches."""

    callee: Callee
    number: str | None = None
    prefix: str | None = None
    pattern: str | None = None

    def covers(self, msisdn: str) -> bool:
        """Whether the rule is for this number (E.164)."""
        if self.number is not None:
            return msisdn == self.number
        if self.prefix is not None:
            return msisdn.startswith(self.prefix)
        return self.pattern is None or re.fullmatch(self.pattern, msisdn) is not None


# What is drawn first for a number that cannot be reached at all.
DEAD = 99
# Beside Twilio's own test numbers (+15005550001 to 0006): these answer in a known way, whatever the seed.
MAGIC_CALLEES: Mapping[str, Callee] = {
    "+15005550010": Callee(digits=("1",) * 20, speech=("yes",) * 20, recordings=(4.0,) * 20),
    "+15005550011": Callee(outcome=BUSY),
    "+15005550012": Callee(outcome=NO_ANSWER),
    "+15005550013": Callee(outcome=FAILED),
    "+15005550014": Callee(hangs_up_at=1),
    "+15005550015": Callee(),
}


class Directory:
    """Finds the callee of a number: the first rule that covers it, else the magic numbers, else chance."""

    def __init__(self, rules: Sequence[CalleeRule], seed: int) -> None:
        self._rules = [rule for rule in rules if rule.number is None]
        self._named = {rule.number: rule.callee for rule in reversed(rules) if rule.number is not None}
        self._seed = seed

    def callee(self, msisdn: str, attempt: int = 1) -> Callee:
        """Who has this number, at the ``attempt``-th call to it. A rule for the very number wins over the others."""
        named = self._named.get(msisdn)
        if named is not None:
            return named
        for rule in self._rules:
            if rule.covers(msisdn):
                return rule.callee
        return MAGIC_CALLEES.get(msisdn) or by_chance(self._seed, msisdn, attempt)


def by_chance(seed: int, msisdn: str, attempt: int = 1) -> Callee:
    """Of a hundred calls 90 are answered, 5 are not, 3 are busy, 2 fail; whoever answers presses 1 or 2.

    Each call to a number has a chance of its own, but one number in a hundred is dead, and every call to it fails.
    """
    first = lot(seed, "callee", msisdn)
    drawn = first if attempt == 1 or first % 100 == DEAD else lot(seed, "callee", msisdn, attempt)
    percent, rest = drawn % 100, drawn // 100
    if percent >= 90:
        return Callee(outcome=NO_ANSWER if percent < 95 else BUSY if percent < 98 else FAILED)
    presses = tuple("12"[rest >> turn & 1] for turn in range(40))
    return Callee(after=2.0 + rest % 9, digits=presses, recordings=(4.0,) * 20)


def read_rules(path: Path) -> tuple[CalleeRule, ...]:
    """The rules in a JSON file: a list of objects, each a number, prefix or pattern and a callee's fields.

    ``[{"prefix": "+855", "digits": ["1", null]}, {"number": "+15551234567", "outcome": "busy"}]``.
    Raises StartError, which names the file and what is wrong in it.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(entries, list):
            raise StartError("a list of rules is wanted")
        return tuple(_rule(entry) for entry in entries)
    except (OSError, ValueError, StartError) as error:
        raise StartError(f"callees: {path}: {error}") from error


def _rule(entry: Any) -> CalleeRule:
    """One rule from its JSON object. Raises StartError."""
    if not isinstance(entry, dict):
        raise StartError(f"a rule must be an object, not {entry!r}")
    applies_to = {key: entry[key] for key in ("number", "prefix", "pattern") if key in entry}
    if len(applies_to) != 1 or not all(isinstance(value, str) for value in applies_to.values()):
        raise StartError(f"a rule needs one number, prefix or pattern, a text: {entry}")
    _compile(applies_to.get("pattern", ""))
    return CalleeRule(callee=_callee({key: entry[key] for key in entry if key not in applies_to}), **applies_to)


def _compile(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise StartError(f"the pattern {pattern!r} cannot be read: {error}") from error


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
}
