"""What has fired in a day, compared with what should have, and whether a process has grown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

# How often Prometheus evaluates the rules, and how finely it is asked what has fired.
STEP_SECONDS = 1
# An incident is over when its alerts are seen to be; Prometheus tells of it so much later at most.
SEEN_SECONDS = 3.0
# Growth that is none: so great a share of what there was, and so much.
GROWTH_SHARE = 0.10


class Firing(NamedTuple):
    """An alert fired from BEGAN to ENDED, in seconds since 1970."""

    alert: str
    began: float
    ended: float


@dataclass
class Incident:
    """What went wrong on purpose from BEGAN on; ENDED: its alerts were resolved, or should have been.

    Each alert in ``must`` fires meanwhile, those in ``may`` can, and no other does.
    """

    name: str
    must: frozenset[str]
    may: frozenset[str]
    began: float = 0.0
    ended: float = 0.0

    def explains(self, firing: Firing) -> bool:
        """Whether that alert may fire then, for this."""
        expected = firing.alert in self.must | self.may
        return expected and firing.began >= self.began and firing.ended <= self.ended + SEEN_SECONDS


def firings(series: Iterable[Mapping[str, Any]]) -> list[Firing]:
    """The alerts in Prometheus' answer to a query of ``ALERTS`` over a time, whatever else their labels are."""
    moments: dict[str, set[float]] = {}
    for one in series:
        moments.setdefault(one["metric"]["alertname"], set()).update(float(moment) for moment, _ in one["values"])
    return sorted((found for alert, at in moments.items() for found in _together(alert, sorted(at))), key=_began)


def _began(firing: Firing) -> float:
    return firing.began


def _together(alert: str, moments: Sequence[float]) -> Iterator[Firing]:
    began = moments[0]
    for before, moment in zip(moments, [*moments[1:], float("inf")], strict=True):
        if moment - before > 2 * STEP_SECONDS:
            yield Firing(alert, began, before)
            began = moment


def wrong_alerts(fired: Sequence[Firing], incidents: Sequence[Incident]) -> Iterator[str]:
    """What did not fire and should have, and what fired and should not."""
    for incident in incidents:
        missing = incident.must - {firing.alert for firing in fired if incident.explains(firing)}
        yield from (f"{alert} did not fire, or not for this alone: {incident.name}" for alert in sorted(missing))
    for firing in fired:
        if not any(incident.explains(firing) for incident in incidents):
            yield f"{firing.alert} fired for {firing.ended - firing.began:.0f} s from {firing.began:.0f} on"


class Growth(NamedTuple):
    """The medians of a figure in the second and in the last quarter of a time, and its slope in the second half."""

    before: float
    after: float
    slope: float

    def is_flat(self, allowed: float) -> bool:
        """Whether it has grown by no more than GROWTH_SHARE and ALLOWED."""
        return self.after <= self.before * (1 + GROWTH_SHARE) + allowed


def growth(samples: Sequence[tuple[float, float]]) -> Growth:
    """Of what was measured at moments (seconds), evenly; the slope is by the hour."""
    quarter = len(samples) // 4
    second, last, half = samples[quarter : 2 * quarter], samples[-quarter:], samples[2 * quarter :]
    slope = statistics.linear_regression(*zip(*half, strict=True)).slope
    return Growth(*(statistics.median(value for _, value in part) for part in (second, last)), slope * 3600)
