"""Who answers a call: by the rules given, by Twilio-like magic numbers, else by chance, anew at each call."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scfm.errors import StartError
from scfm.simulator.chance import lot

ANSWERED, BUSY, NO_ANSWER, FAILED = "answered", "busy", "no-answer", "failed"
# What no phone rings for: the request to place the call is refused.
INVALID_NUMBER, FORBIDDEN = "invalid", "forbidden"
CALLEE_OUTCOMES = (ANSWERED, BUSY, NO_ANSWER, FAILED, INVALID_NUMBER, FORBIDDEN)


@dataclass(frozen=True, slots=True)
class Callee:
    """What somebody does when the phone rings. Times are seconds of life; the simulator runs them faster.

    ``outcome``: one of CALLEE_OUTCOMES. ``after``: how long it rings first. ``digits`` and ``speech``: what is
    pressed and said at the first Gather, the second, and so on; None, or nothing left, is silence.
    ``recordings``: how many seconds are spoken at each Record; 0, or nothing left, is silence.
    ``hangs_up_at``: the number of the document (from 1) at whose first Gather, Record, Redirect or end the
    callee hangs up. ``machine``: an answering machine has the call. ``sip``: the SIP response code of a call
    that failed (RFC 3261, 21), told in its last status callback.
    """

    outcome: str = ANSWERED
    after: float = 4.0
    digits: tuple[str | None, ...] = ()
    speech: tuple[str | None, ...] = ()
    recordings: tuple[float, ...] = ()
    hangs_up_at: int | None = None
    machine: bool = False
    sip: int | None = None

    def __post_init__(self) -> None:
        if self.outcome not in CALLEE_OUTCOMES:
            raise StartError(f"callee: outcome must be one of {', '.join(CALLEE_OUTCOMES)}, not {self.outcome!r}")


@dataclass(frozen=True, slots=True)
class CalleeRule:
    """Who answers: for one ``number``, for all with a ``prefix``, or for all that a ``pattern`` matches.

    ``callee`` has the first call; ``later`` the second, the third, and so on, the last of them all that follow.
    """

    callee: Callee
    number: str | None = None
    prefix: str | None = None
    pattern: str | None = None
    later: tuple[Callee, ...] = ()

    def at(self, attempt: int) -> Callee:
        """Who has the ``attempt``-th call to a number, from 1."""
        attempts = (self.callee, *self.later)
        return attempts[min(attempt, len(attempts)) - 1]

    def covers(self, msisdn: str) -> bool:
        """Whether the rule is for this number (E.164)."""
        if self.number is not None:
            return msisdn == self.number
        if self.prefix is not None:
            return msisdn.startswith(self.prefix)
        return self.pattern is None or re.fullmatch(self.pattern, msisdn) is not None


# What is drawn first for a number that cannot be reached at all.
DEAD = 99
# How many of a hundred calls that are answered a machine has.
MACHINES = 5
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
        self._named = {rule.number: rule for rule in reversed(rules) if rule.number is not None}
        self._seed = seed

    def callee(self, msisdn: str, attempt: int = 1) -> Callee:
        """Who has this number, at the ``attempt``-th call to it. A rule for the very number wins over the others."""
        rule_for_number = self._named.get(msisdn)
        if rule_for_number is not None:
            return rule_for_number.at(attempt)
        for rule in self._rules:
            if rule.covers(msisdn):
                return rule.at(attempt)
        return MAGIC_CALLEES.get(msisdn) or by_chance(self._seed, msisdn, attempt)


def by_chance(seed: int, msisdn: str, attempt: int = 1) -> Callee:
    """Of a hundred calls 90 are answered, 5 are not, 3 are busy, 2 fail; whoever answers presses 1 or 2.

    Each call to a number has a chance of its own, but one number in a hundred is dead, and every call to it fails.
    Of those that are answered a machine has five in a hundred.
    """
    first = lot(seed, "callee", msisdn)
    drawn = first if attempt == 1 or first % 100 == DEAD else lot(seed, "callee", msisdn, attempt)
    percent, rest = drawn % 100, drawn // 100
    if percent >= 90:
        dead = percent == DEAD
        outcome = NO_ANSWER if percent < 95 else BUSY if percent < 98 else FAILED
        return Callee(outcome=outcome, sip=(404 if dead else 503) if outcome == FAILED else None)
    if lot(seed, "machine", msisdn, attempt) % 100 < MACHINES:
        return Callee(after=2.0 + rest % 9, machine=True)
    presses = tuple("12"[rest >> turn & 1] for turn in range(40))
    return Callee(after=2.0 + rest % 9, digits=presses, recordings=(4.0,) * 20)
