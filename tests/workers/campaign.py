"""A campaign out of a seed: people, what becomes of each attempt to call them, a plan, and what happens meanwhile.

Nothing here looks at the program that is tested: the same seed gives the same campaign in each version of it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

# Zones with and without summer time, in both hemispheres, with whole, half and quarter hours; that of Lord Howe
# changes by half an hour.
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Santiago",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Phnom_Penh",
    "UTC",
)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
RETRY_REASONS = ("busy", "not_answered", "failed", "errored", "not_acknowledged")
# What may become of an attempt, and how often.
ENDINGS: Mapping[str, int] = {
    "answered": 30,
    "busy": 20,
    "no-answer": 20,
    "failed": 8,
    "acknowledged": 10,
    "machine": 6,
    "opts out": 2,
    "invalid": 2,
    "lost": 2,
    "not taken": 2,
}
DEEDS: Mapping[str, int] = {
    "pause": 3,
    "stop": 3,
    "resume": 4,
    "change the plan": 3,
    "opt out": 3,
    "join": 3,
    "call by hand": 3,
    "clock forward": 1,
    "clock back": 1,
}


class Deed(NamedTuple):
    """What somebody does AFTER so long to a CALLOUT, or to a PERSON in it, both by index.

    ``plan``: what to change the plan to. ``by``: how far to set the clock. ``turns``: how many turns of the event
    loop it waits for, so that it comes in the midst of what the processes do.
    """

    after: timedelta
    name: str
    callout: int
    person: int
    plan: Mapping[str, Any]
    by: timedelta
    turns: int


@dataclass(frozen=True)
class Campaign:
    """``scripts``: by callout and person, what becomes of the attempts; the last repeats.

    The people after the first ``audience`` join later. ``lives``: of the process that dies, how many steps it lives,
    each time. ``processes``: how many there are.
    """

    seed: int
    begins: datetime
    msisdns: Sequence[str]
    audience: int
    plans: Sequence[Mapping[str, Any]]
    scripts: Sequence[Sequence[Sequence[str]]]
    deeds: Sequence[Deed]
    processes: int
    lives: Sequence[int]

    @classmethod
    def of(cls, seed: int) -> Campaign:
        chance = random.Random(seed)
        zone = chance.choice(ZONES)
        begins = _begin(chance, zone)
        audience, later = chance.randint(1, 6), chance.randint(0, 2)
        callouts = chance.choice((1, 1, 1, 2))
        people = audience + later
        return cls(
            seed=seed,
            begins=begins,
            msisdns=[f"+8551{seed % 10_000:04}{number:04}" for number in range(people)],
            audience=audience,
            plans=[_plan(chance, zone, begins) for _ in range(callouts)],
            scripts=[[_script(chance) for _ in range(people)] for _ in range(callouts)],
            deeds=_deeds(chance, zone, begins, callouts, people),
            processes=chance.choice((1, 2)),
            lives=[chance.randint(1, 600) for _ in range(chance.choice((0, 0, 1, 2, 3)))],
        )


@dataclass
class History:
    """What was true of a callout from when on, by elapsed seconds, and since when a person was not to be called."""

    statuses: list[tuple[float, str]] = field(default_factory=list)
    plans: list[tuple[float, Mapping[str, Any]]] = field(default_factory=list)
    acknowledged: dict[str, float] = field(default_factory=dict)
    opted_out: dict[str, float] = field(default_factory=dict)


@lru_cache(maxsize=64)
def changes_of(zone: str, year: int) -> Sequence[datetime]:
    """The hours of a year, in UTC, within which the clocks of the zone are changed."""
    found, there = [], ZoneInfo(zone)
    moment = datetime(year, 1, 1, tzinfo=UTC)
    while moment.year == year:
        if moment.astimezone(there).utcoffset() != (moment + DAY).astimezone(there).utcoffset():
            hour = moment
            while hour.astimezone(there).utcoffset() == (hour + HOUR).astimezone(there).utcoffset():
                hour += HOUR
            found.append(hour)
        moment += DAY
    return found


def _begin(chance: random.Random, zone: str) -> datetime:
    """A moment, most often less than two days before a change of the clocks."""
    year = chance.randint(2027, 2036)
    changes = changes_of(zone, year)
    if not changes or chance.random() < 0.2:
        return datetime(year, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(365 * 24 * 60))
    return chance.choice(changes) - timedelta(minutes=chance.randrange(48 * 60))


def _plan(chance: random.Random, zone: str, begins: datetime) -> dict[str, Any]:
    plan: dict[str, Any] = {
        "retry": _retry(chance),
        "priority": chance.randint(0, 9),
        "acknowledge": chance.random() < 0.3,
        "answering_machine": chance.choice(("play", "hang_up", "retry")),
    }
    if chance.random() < 0.7:
        plan["window"] = _window(chance, zone, begins)
    starts_at = begins
    if chance.random() < 0.3:
        starts_at += _while(chance, 2 * DAY)
        plan["starts_at"] = _moment(chance, starts_at, zone)
    if chance.random() < 0.4:
        plan["not_after"] = _moment(chance, starts_at + HOUR / 6 + _while(chance, 4 * DAY), zone)
    if chance.random() < 0.1:
        plan["emergency"] = {"reason": "flood", "severity": "severe"}
    if chance.random() < 0.2:
        plan["calls_in_flight"] = chance.randint(1, 3)
    return plan


def _retry(chance: random.Random) -> dict[str, Any]:
    delays = [chance.choice((1, 30, 60, 600, 3600, 7200, 86400)) for _ in range(chance.randint(1, 3))]
    reasons = sorted(chance.sample(RETRY_REASONS, chance.randint(0, 5)))
    return {"max_attempts": chance.choice((1, 2, 2, 3, 4, 6)), "delays": delays, "on": reasons}


def _window(chance: random.Random, zone: str, begins: datetime) -> dict[str, Any]:
    """Hours that often begin or end where clocks are changed, or span midnight."""
    first = chance.choice(
        (chance.randrange(24 * 60), chance.randrange(60, 4 * 60), chance.randrange(20 * 60, 24 * 60))
    )
    last = (first + chance.choice((15, 30, 45, 60, 180, 600, 1200))) % (24 * 60)
    days = sorted(chance.sample(DAYS, chance.choice((2, 5, 7, 7, 7))), key=DAYS.index)
    closed = [f"{begins + number * DAY:%Y-%m-%d}" for number in range(3) if chance.random() < 0.1]
    return {"time_zone": zone, "days": days, "from": _time(first), "to": _time(last), "except": closed}


def _time(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _while(chance: random.Random, longest: timedelta) -> timedelta:
    """Up to LONGEST, more often short."""
    return timedelta(seconds=int(longest.total_seconds() * chance.random() ** 3))


def _moment(chance: random.Random, moment: datetime, zone: str) -> str:
    """As RFC 3339 has it, by the zone's clock or by that of UTC."""
    return moment.astimezone(ZoneInfo(chance.choice((zone, "UTC")))).isoformat()


def _script(chance: random.Random) -> list[str]:
    return chance.choices(list(ENDINGS), list(ENDINGS.values()), k=chance.randint(1, 4))


def _deeds(chance: random.Random, zone: str, begins: datetime, callouts: int, people: int) -> list[Deed]:
    deeds = []
    for name in chance.choices(list(DEEDS), list(DEEDS.values()), k=chance.choice((0, 1, 2, 4, 8))):
        deeds.append(
            Deed(
                after=_while(chance, DAY),
                name=name,
                callout=chance.randrange(callouts),
                person=chance.randrange(people),
                plan=_plan(chance, zone, begins),
                by=HOUR / 60 + _while(chance, 6 * HOUR),
                turns=chance.choice((0, 10, 50, 200)),
            )
        )
    return sorted(deeds, key=lambda deed: deed.after)
