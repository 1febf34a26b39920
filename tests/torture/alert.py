"""An alert with a plan as a trial: drawn from its seed, with who answers which call, and what is done meanwhile."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from scfm.simulator.callee import BUSY, FAILED, INVALID_NUMBER, NO_ANSWER, Callee, CalleeRule
from scfm.simulator.faults import Faults
from tests.torture.plan import OF_CALLBACKS, OF_REQUESTS, Blow

PEOPLE = (40, 90)
BLOWS = (2, 4)
DEEDS = (1, 3)
KINDS = ("kill server", "kill mongod", "cut line")
DEEDS_AND_WEIGHTS: Mapping[str, int] = {
    "pause": 2,
    "stop": 2,
    "hold account": 3,
    "hold server": 2,
    "opt out": 3,
}
# What becomes of a call, and how often.
CALLEES: Mapping[Callee, int] = {
    Callee(after=2.0, digits=("1",)): 30,
    Callee(after=3.0): 20,
    Callee(outcome=BUSY, after=1.0): 20,
    Callee(outcome=NO_ANSWER): 15,
    Callee(outcome=FAILED): 8,
    Callee(after=1.0, machine=True): 5,
    Callee(outcome=INVALID_NUMBER): 2,
}
RETRY_REASONS = ("busy", "not_answered", "failed", "not_acknowledged")
ZONES = ("UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Chatham", "Australia/Lord_Howe")
# Before a window closes so many seconds go by, at the least; a call that is due then has so many to leave.
MIN_OPEN_SECONDS, AFTER_OPENING_SECONDS = 4.0, 8.0
# How many seconds of a life real ones are.
LIFE_SIZE = 0.02


@dataclass(frozen=True)
class Deed:
    """What a client does after so many seconds, and for how many; ``people``: whom it opts out, by index."""

    after: float
    kind: str
    seconds: float
    people: tuple[int, ...]
    hang_up: bool


@dataclass(frozen=True)
class Alert:
    """``plan`` is what the seed says of it; ``starts_after``, ``ends_after``: seconds, None for no such bound.

    ``zone``: where there is one, the plan has a window that closes for the minute to come. ``scripts``: by person,
    who has the first call, the second, and so on; the last has all that follow.
    """

    seed: int
    plan: Mapping[str, Any]
    starts_after: float | None
    ends_after: float | None
    zone: str | None
    scripts: tuple[tuple[Callee, ...], ...]
    faults: Faults
    blows: tuple[Blow, ...]
    deeds: tuple[Deed, ...]

    @classmethod
    def of(cls, seed: int) -> Alert:
        """The alert of this seed; every sixth has a window."""
        chance = random.Random(seed)
        people = chance.randint(*PEOPLE)
        rate = chance.choice((None, 20, 30, 50))
        plan: dict[str, Any] = {
            "retry": {
                "max_attempts": chance.choice((1, 2, 3, 3, 4)),
                "delays": chance.choice(([1], [1, 2], [2, 1])),
                "on": sorted(chance.sample(RETRY_REASONS, chance.randint(1, 4))),
            },
            "calls_per_second": rate,
            "calls_in_flight": chance.choice((None, 5, 20)),
            "priority": chance.randint(0, 9),
            "acknowledge": chance.random() < 0.5,
            "answering_machine": chance.choice(("play", "hang_up", "retry")),
        }
        zone = chance.choice(ZONES) if seed % 6 == 0 else None
        return cls(
            seed=seed,
            plan=plan,
            starts_after=chance.uniform(1, 3) if chance.random() < 0.3 else None,
            ends_after=chance.uniform(6, 12) if zone is None and chance.random() < 0.3 else None,
            zone=zone,
            scripts=tuple(_script(chance) for _ in range(people)),
            faults=_faults(chance),
            blows=tuple(_blow(chance, kind) for kind in chance.choices(KINDS, (3, 2, 2), k=chance.randint(*BLOWS))),
            deeds=tuple(_deed(chance, people) for _ in range(chance.randint(*DEEDS))),
        )

    def rules(self, numbers: list[str]) -> list[CalleeRule]:
        """Who answers at these numbers, which are those of the people."""
        return [
            CalleeRule(number=number, callee=script[0], later=script[1:])
            for number, script in zip(numbers, self.scripts, strict=True)
        ]

    def plan_at(self, moment: datetime) -> dict[str, Any]:
        """The plan as a client gives it at that moment."""
        plan = {"audience": {}, "remote_request_params": {"from": "1294", "timeout": "20"}, **self.plan}
        if self.starts_after is not None:
            plan["starts_at"] = (moment + timedelta(seconds=self.starts_after)).isoformat()
        if self.ends_after is not None:
            plan["not_after"] = (moment + timedelta(seconds=self.ends_after)).isoformat()
        if self.zone is not None:
            closes = next_minute(moment + timedelta(seconds=MIN_OPEN_SECONDS))
            there = closes.astimezone(ZoneInfo(self.zone))
            opens = there + timedelta(minutes=1)
            plan["window"] = {"time_zone": self.zone, "from": f"{opens:%H:%M}", "to": f"{there:%H:%M}"}
            # So slow that somebody is left when it closes.
            open_seconds = (closes - moment).total_seconds() + AFTER_OPENING_SECONDS
            plan["calls_per_second"] = round(len(self.scripts) / open_seconds, 3)
        return plan


def next_minute(moment: datetime) -> datetime:
    """The first full minute that is not before the moment, in UTC."""
    return datetime.fromtimestamp(-(-moment.timestamp() // 60) * 60, UTC)


def _script(chance: random.Random) -> tuple[Callee, ...]:
    return tuple(chance.choices(list(CALLEES), list(CALLEES.values()), k=chance.randint(1, 4)))


def _faults(chance: random.Random) -> Faults:
    """As in other trials, but half as many requests go wrong: a plan calls people several times."""
    shares = {name: chance.uniform(0, most / 2) for name, most in OF_REQUESTS.items()}
    shares |= {name: chance.uniform(0, most) for name, most in OF_CALLBACKS.items()}
    return Faults(**shares, timeout_seconds=1.5, slow_seconds=0.15, retry_after=chance.uniform(0.1, 0.6))


def _blow(chance: random.Random, kind: str) -> Blow:
    return Blow(chance.uniform(0.1, 2.0), kind, chance.randrange(100), chance.uniform(0.1, 0.7))


def _deed(chance: random.Random, people: int) -> Deed:
    return Deed(
        after=chance.uniform(0.1, 1.5),
        kind=chance.choices(list(DEEDS_AND_WEIGHTS), list(DEEDS_AND_WEIGHTS.values()))[0],
        seconds=chance.uniform(1.5, 3.0),
        people=tuple(chance.sample(range(people), 5)),
        hang_up=chance.random() < 0.3,
    )
