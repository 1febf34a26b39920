"""What must hold of a simulated campaign, whatever happened: each violation in words, with the call or person."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from scfm.models.outcome import OPEN_OUTCOMES
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView
from scfm.workers.outcome_repair import differs
from scfm.workers.outcome_writer import changes_of, derive_all, read_participations
from scfm.workers.reconciler import LOST
from tests.workers.campaign import History
from tests.workers.campaign_carrier import Left
from tests.workers.campaign_run import CampaignRun

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


async def violations(run: CampaignRun) -> list[str]:
    """Everything that is wrong with what a campaign has come to."""
    found = list(run.violations)
    for index, history in enumerate(run.histories):
        left = [one for one in run.carrier.left if one.callout == index]
        found += violations_of_calls(left, history)
        people = await run.view.find("callout_participations", {"callout_id": run.callouts[index]})
        lost_calls = await run.view.find("phone_calls", {"remote_error_message": LOST})
        found += _of_people(people, lost_calls, run, index)
    return found + await wrong_outcomes(run.view, run.clock.moment)


async def wrong_outcomes(view: TenantView, moment: datetime) -> list[str]:
    """What the repair would change: the outcomes that are not those which are derived anew."""
    people = await read_participations(view, {})
    derived = await derive_all(view, people)
    return [
        f"{changes_of(one, derived[one['_id']])} is not stored of {one}"
        for one in people
        if differs(one, derived[one["_id"]], moment)
    ]


def violations_of_calls(left: Sequence[Left], history: History) -> Iterator[str]:
    """What is wrong with the calls of a callout that left, in the order in which they did."""
    attempts: Counter[str] = Counter()
    open_until: dict[str, float] = defaultdict(float)
    for one in left:
        plans = _in_force(history.plans, one.since)
        yield from _too_early_or_late(one, plans)
        if not one.by_hand:
            if attempts[one.msisdn] >= max(plan["retry"]["max_attempts"] for plan in plans):
                yield f"one attempt too many: {one}"
            if one.since > history.acknowledged.get(one.msisdn, one.since):
                yield f"after an acknowledgement: {one}"
        attempts[one.msisdn] += 1
        if one.since > history.opted_out.get(one.msisdn, one.since) and plans[0]["emergency"] is None:
            yield f"after an opt-out: {one}"
        if one.since < open_until[one.msisdn]:
            yield f"while another call is open: {one}"
        if one.taken:
            open_until[one.msisdn] = one.ends
        statuses = set(_in_force(history.statuses, one.since))
        if not one.by_hand and "running" not in statuses:
            yield f"while the callout is {statuses}: {one}"
        if one.by_hand and statuses <= {"paused", "stopped"}:
            yield f"by hand, while the callout is {statuses}: {one}"


def _in_force(history: Sequence[tuple[float, Any]], since: float) -> list[Any]:
    """What was so at that moment; all of what it was changed from and to in just that moment."""
    before = max((moment for moment, _ in history if moment < since), default=None)
    last = [value for moment, value in history if moment == before]
    return [*last[-1:], *(value for moment, value in history if moment == since)]


def _too_early_or_late(one: Left, plans: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if all(
        plan["emergency"] is None and plan["window"] is not None and not is_inside(plan["window"], one.at)
        for plan in plans
    ):
        yield f"outside the window: {one}"
    if all(plan["starts_at"] is not None and one.at < datetime.fromisoformat(plan["starts_at"]) for plan in plans):
        yield f"before starts_at: {one}"
    if all(plan["not_after"] is not None and one.at > datetime.fromisoformat(plan["not_after"]) for plan in plans):
        yield f"after not_after: {one}"


def is_inside(window: Mapping[str, Any], moment: datetime) -> bool:
    """Whether the clocks of the window's zone show one of its minutes at MOMENT."""
    local = moment.astimezone(ZoneInfo(window["time_zone"])).replace(tzinfo=None, fold=0, second=0, microsecond=0)
    days = frozenset(DAYS.index(day) for day in window["days"])
    closed = frozenset(map(date.fromisoformat, window["except"]))
    return any(
        local in _minutes(window["from"], window["to"], day)
        for day in (local.date() - DAY, local.date())
        if day.weekday() in days and day not in closed
    )


@lru_cache(maxsize=512)
def _minutes(opens: str, closes: str, day: date) -> frozenset[datetime]:
    """The minutes that clocks show from when it opens on a DAY until it closes, one by one."""
    minute = datetime.fromisoformat(f"{day} {opens}")
    found = set()
    while True:
        found.add(minute)
        minute += MINUTE
        if f"{minute:%H:%M}" == closes.replace("24:00", "00:00"):
            return frozenset(found)


def _of_people(
    people: Sequence[Document], lost_calls: Sequence[Document], run: CampaignRun, index: int
) -> Iterator[str]:
    """Nobody is forgotten, and each has been called as often as he shows."""
    for person in people:
        if person["outcome"] in OPEN_OUTCOMES or "_due" in person or "_settle" in person:
            yield f"forgotten: {person}"
        left = [one for one in run.carrier.left if one.callout == index and one.msisdn == person["msisdn"]]
        # A process may die between the line in its journal and the request: nobody knows, so it counts.
        lost = sum(call["callout_participation_id"] == person["_id"] for call in lost_calls)
        if not sum(one.taken for one in left) <= person["attempts"] <= len(left) + lost:
            yield f"{len(left)} calls left, and {lost} were lost: {person}"
    missing = set(run.campaign.msisdns[: run.campaign.audience]) - {person["msisdn"] for person in people}
    if missing and run.histories[index].statuses[-1][1] == "completed":
        yield f"not in the callout: {missing}"
