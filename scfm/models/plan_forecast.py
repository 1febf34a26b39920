"""When a plan calls whom, and when it ends at the latest: worked out before it starts, from its limits alone.

The latest end is that of everybody taking all attempts. It is what a plan comes to if nobody answers; who answers the
first call makes it shorter. Calls leave in the order in which they are due, as ``workers/plan_runner`` queues them.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from datetime import datetime, timedelta

from scfm.models.plan import Plan

# People are looked at in so many groups, each of which takes its attempts one after the other.
MAX_GROUPS = 100
# Nobody plans beyond.
HORIZON = timedelta(days=3660)


@dataclass(frozen=True)
class Forecast:
    """What a plan comes to if nobody answers.

    ``first_attempt_at``, ``last_first_attempt_at``: when the first and the last person are called for the first time,
    None if nobody is. ``ends_at``: when everybody is settled; None if that is not within ten years, or nobody is to
    be called. ``uncalled``: how many people are not called at all before ``not_after``; ``cut_off``: whether somebody
    is called less often than the plan says, as ``not_after`` comes before.
    """

    first_attempt_at: datetime | None
    last_first_attempt_at: datetime | None
    ends_at: datetime | None
    uncalled: int = 0
    cut_off: bool = False


def forecast(
    plan: Plan, people: int, calls_per_second: float, attempt_seconds: float, moment: datetime, waiting: int = 0
) -> Forecast:
    """What PLAN comes to for so many PEOPLE, if it is started at MOMENT.

    An attempt ends ATTEMPT_SECONDS after it has left. WAITING calls leave before, at the same pace.
    """
    calls = _Calls(plan, calls_per_second, moment + HORIZON)
    duration = timedelta(seconds=attempt_seconds)
    free = moment + timedelta(seconds=min(waiting / calls_per_second, HORIZON.total_seconds()))
    sizes = _group_sizes(people, plan.retry.max_attempts)
    # The next attempt of each group: when it is due, its ordinal, the group, and when the attempt before has ended.
    queue = [(moment, 1, group, moment) for group in range(len(sizes))]
    first = last_first = None
    ends_at, uncalled, cut_off = moment, 0, False
    while queue:
        due, ordinal, group, ended = heapq.heappop(queue)
        size = sizes[group]
        begins = plan.next_moment(max(due, free))
        leaving = 0 if begins is None else calls.leaving(begins, size)
        if leaving < size:
            cut_off = True
            uncalled += size - leaving if ordinal == 1 else 0
            # An attempt that is due waits for its turn until nothing may leave; a later one is settled before.
            ends_at = max(ends_at, ended if plan.next_moment(due) is None else calls.latest)
        if begins is None or not leaving:
            continue
        last = calls.after(begins, leaving - 1) or calls.latest
        last = plan.next_moment(last) or last  # not when the window has just closed
        free = calls.after(begins, leaving) or calls.latest + timedelta.resolution
        if ordinal == 1:
            first, last_first = first or begins, max(last, last_first or last)
        ends_at = max(ends_at, last + duration)
        if ordinal < plan.retry.max_attempts:
            sizes[group] = leaving
            again = begins + duration + plan.retry.delay_after(ordinal)
            heapq.heappush(queue, (again, ordinal + 1, group, last + duration))
    ends = people > 0 and ends_at < moment + HORIZON
    return Forecast(first, last_first, ends_at if ends else None, uncalled, cut_off)


class _Calls:
    """How the calls of a plan leave, one after the other, in the hours in which they may.

    ``latest``: when nothing may leave any more.
    """

    def __init__(self, plan: Plan, calls_per_second: float, horizon: datetime) -> None:
        self._calls_per_second = calls_per_second
        self._window = None if plan.emergency else plan.window
        self.latest = horizon if plan.not_after is None else min(plan.not_after, horizon)

    def after(self, moment: datetime, calls: int) -> datetime | None:
        """When so many calls have left since MOMENT; None if that is not before ``latest``."""
        seconds = calls / self._calls_per_second
        if seconds > HORIZON.total_seconds():
            return None
        if self._window is None:
            end: datetime | None = moment + timedelta(seconds=seconds)
        else:
            end = self._window.after_open_seconds(moment, seconds, self.latest)
        return None if end is None or end > self.latest else end

    def leaving(self, moment: datetime, calls: int) -> int:
        """How many of so many calls, at least one, leave in time if the first of them leaves at MOMENT."""
        if moment > self.latest:
            return 0
        if self.after(moment, calls - 1) is not None:
            return calls
        if self._window is None:
            seconds = (self.latest - moment).total_seconds()
        else:
            seconds = self._window.seconds_open(moment, self.latest)
        return min(calls, int(seconds * self._calls_per_second) + 1)


def _group_sizes(people: int, max_attempts: int) -> list[int]:
    """The sizes of as few groups as are needed, which are alike."""
    groups = min(people, 1 if max_attempts == 1 else MAX_GROUPS)
    return [people // groups + (group < people % groups) for group in range(groups)]
