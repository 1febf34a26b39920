"""When a callout that runs may end, by how its calls went of late."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Self

from scfm.models.outcome import OPEN_OUTCOMES
from scfm.models.plan import Plan
from scfm.models.plan_pace import Pace
from scfm.models.stored_documents import CalloutDocument
from scfm.results.people import counted
from scfm.storage.block_tallies import Tallied

# The rate of calls is that of the last minutes, and of less only if there are no more.
RATE_SECONDS: Final = 300.0
MIN_RATE_SECONDS: Final = 10.0
# Nobody waits for an end that is farther away.
MAX_SECONDS_LEFT: Final = 366 * 86_400.0


class Progress(NamedTuple):
    """``calls_left``: how many calls are still to be made, if they go as those before.

    ``placed``: the calls a second that were placed of late, 0 where that cannot be told; ``possible``: that may be.
    """

    calls_left: float
    placed: float
    possible: float

    @classmethod
    def of(cls, tallied: Tallied, pace: Pace, moment: datetime) -> Self:
        """By what CALLOUT_TALLY has found at MOMENT."""
        settled = attempts = 0
        left: list[tuple[int, int]] = []
        for (outcome, _reason, number), count in counted(tallied.counts, "people"):
            if outcome in OPEN_OUTCOMES:
                left.append((number, count))
            else:
                settled += count
                attempts += number * count
        usual = attempts / settled if settled else 1.0
        calls_left = sum(max(1.0, usual - number) * count for number, count in left)
        return cls(calls_left, _placed(tallied, moment), pace.calls_per_second)


def _placed(tallied: Tallied, moment: datetime) -> float:
    """The calls a second that were placed of late; 0 where that cannot be told."""
    if tallied.first is None:
        return 0.0
    since = max(tallied.first, moment - timedelta(seconds=RATE_SECONDS)).replace(second=0, microsecond=0)
    placed = sum(count for (minute,), count in counted(tallied.counts, "placed") if minute >= since)
    seconds = (moment - max(since, tallied.first)).total_seconds()
    return placed / seconds if seconds >= MIN_RATE_SECONDS else 0.0


def expected_end(callout: CalloutDocument, progress: Progress, moment: datetime) -> datetime | None:
    """When everybody will have been called, to the minute; None for a callout that does not run, or if unknown.

    A plan calls on by itself, as fast as it may until it is seen how fast that is, and while its window is open. It
    calls nobody after its ``not_after``.
    """
    plan = Plan.of(callout)
    rate = progress.placed or (progress.possible if plan is not None else 0)
    if callout["status"] != "running" or rate <= 0 or progress.calls_left <= 0:
        return None
    seconds = progress.calls_left / rate
    if seconds > MAX_SECONDS_LEFT:
        return None
    if plan is None:
        end: datetime | None = moment + timedelta(seconds=seconds)
    else:
        end = _end_of_plan(plan, seconds, moment)
    if end is None:
        return None
    return datetime.fromtimestamp(math.ceil(max(end, moment).timestamp() / 60) * 60, UTC)


def _end_of_plan(plan: Plan, seconds: float, moment: datetime) -> datetime | None:
    begin = moment if plan.starts_at is None else max(moment, plan.starts_at)
    end: datetime | None = begin + timedelta(seconds=seconds)
    if plan.window is not None and plan.emergency is None:
        end = plan.window.after_open_seconds(begin, seconds, plan.not_after)
    return min(filter(None, (end, plan.not_after)), default=None)
