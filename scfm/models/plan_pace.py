"""How fast the calls of a plan leave, and which limit that is: the plan's, its account's or the server's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scfm.models.plan import Plan

SPEED = "the speed of the server"
# One account leaves a fourth of the calls in flight to the others.
SHARE_FOR_OTHERS = 4


@dataclass(frozen=True)
class ServerPace:
    """What the server allows, and what it was seen to do.

    ``calls_per_second``, ``calls_in_flight``: its limits; a rate of 0 is none. ``call_seconds``: what a call costs
    it. ``request_seconds``: for how long a call is in flight, which is until the provider has accepted it.
    """

    calls_per_second: float
    calls_in_flight: int
    call_seconds: float
    request_seconds: float


@dataclass(frozen=True)
class Pace:
    """How many calls leave in a second, and the name of the limit that is reached first, for people."""

    calls_per_second: float
    limited_by: str


def pace_of(plan: Plan | None, account_settings: Mapping[str, Any], server: ServerPace) -> Pace:
    """The pace of a plan of the account with these settings, or of calls without one, if nothing else is called."""
    return min(_limits(plan, account_settings, server), key=lambda pace: pace.calls_per_second)


def _limits(plan: Plan | None, account_settings: Mapping[str, Any], server: ServerPace) -> Iterator[Pace]:
    """Each limit as the pace that it allows; of those that are alike the plan's comes first."""
    account = account_settings.get
    for whose, rate, in_flight in (
        ("plan", plan and plan.calls_per_second, plan and plan.calls_in_flight),
        ("account", account("calls_per_second"), account("calls_in_flight")),
        ("server", server.calls_per_second, max_of_one_account(server.calls_in_flight)),
    ):
        if rate:
            yield Pace(rate, f"calls_per_second of the {whose}")
        if in_flight:
            yield Pace(in_flight / server.request_seconds, f"calls_in_flight of the {whose}")
    yield Pace(1 / server.call_seconds, SPEED)


def max_of_one_account(calls_in_flight: int) -> int:
    """How many of the server's calls in flight one account may have, however slow its provider is."""
    return max(1, calls_in_flight - -(-calls_in_flight // SHARE_FOR_OTHERS))
