"""What happens in a trial: drawn from its seed, so that a trial that went wrong can be repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass

from scfm.simulator.faults import Faults

PEOPLE = (80, 160)
BLOWS = (3, 5)
# At most these shares of the requests and callbacks go wrong in each way.
OF_REQUESTS = {
    "drop_before": 0.03,
    "throttle": 0.10,
    "drop_after": 0.06,
    "error_after": 0.06,
    "timeout": 0.03,
    "slow": 0.10,
    "malformed": 0.06,
}
OF_CALLBACKS = {"callback_lost": 0.1, "callback_doubled": 0.2, "callback_shuffled": 0.2}
EVENTS = ("initiated", "ringing", "answered", "completed")
KINDS = ("kill server", "kill mongod", "cut line", "pause callout")


@dataclass(frozen=True)
class Blow:
    """Something bad: after how many seconds, what, whom it hits, and how long it lasts."""

    after: float
    kind: str
    whom: int
    seconds: float


@dataclass(frozen=True)
class Plan:
    """A trial. ``rate`` and ``in_flight`` are the account's own limits, None for none.

    ``early``: the blows fall from the beginning, also on the requests of the client and on the batch operations,
    which takes a minute when a request dies under its name. Otherwise they fall once calls are queued.
    ``events``: those that the carrier is to report.
    """

    seed: int
    people: int
    faults: Faults
    rate: int | None
    in_flight: int | None
    blows: tuple[Blow, ...]
    early: bool
    events: tuple[str, ...]

    @classmethod
    def of(cls, seed: int) -> Plan:
        """The plan of this seed; the first blow always hits a server that is sending."""
        chance = random.Random(seed)
        shares = {name: chance.uniform(0, most) for name, most in (OF_REQUESTS | OF_CALLBACKS).items()}
        shares["callback_early"] = chance.choice((0.0, 0.3))
        faults = Faults(**shares, timeout_seconds=1.5, slow_seconds=0.15, retry_after=chance.uniform(0.1, 0.6))
        kinds = ["kill server", *chance.choices(KINDS, weights=(3, 2, 2, 1), k=chance.randint(*BLOWS) - 1)]
        blows = tuple(
            Blow(chance.uniform(0.1, 0.8), kind, chance.randrange(100), chance.uniform(0.1, 0.7)) for kind in kinds
        )
        return cls(
            seed=seed,
            people=chance.randint(*PEOPLE),
            faults=faults,
            rate=chance.choice((None, 60, 90, 150)),
            in_flight=chance.choice((None, 10, 25)),
            blows=blows,
            early=seed % 10 == 0,
            events=EVENTS if chance.random() < 0.3 else ("initiated", "completed"),
        )
