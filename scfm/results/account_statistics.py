"""The statistics of an account: its people and their calls by day and by callout."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple, TypedDict

from scfm.errors import Invalid
from scfm.models.call_lifecycle import CALL_STATUSES
from scfm.models.filters import moment_of
from scfm.results.callout_statistics import CALLS_OF_PEOPLE, ONE_A_PERSON, optional
from scfm.results.people import OUTCOME_OF, People, people_by_outcome
from scfm.storage.block_tallies import Tallied, Tally, TallyKey
from scfm.storage.query import Document, Query

PEOPLE_OF_ACCOUNT: Final = Query("callout_participations")
# The newest callouts that are listed.
MAX_CALLOUTS_SHOWN: Final = 10_000


class DayStatistics(TypedDict):
    """One day, in UTC."""

    date: str
    people: People
    calls: dict[str, int]


class CalloutPeople(TypedDict):
    """The people of one callout."""

    id: int
    people: People


class AccountStatistics(TypedDict):
    """The sums, and what they are made of; only days and callouts that have somebody."""

    people: People
    calls: dict[str, int]
    days: list[DayStatistics]
    callouts: list[CalloutPeople]


class DayRange(NamedTuple):
    """The days from the first to the last, both of which belong to it; None for no limit."""

    first: date | None
    last: date | None

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and (self.first or date.min) <= day <= (self.last or date.max)


def day_range(parameters: dict[str, Any]) -> DayRange:
    """The days that ``from`` and ``to`` name, a date or a time each; raises Invalid."""
    days: dict[str, date | None] = {}
    for name in ("from", "to"):
        moment, _ = moment_of(parameters.get(name))
        if moment is None and parameters.get(name) not in (None, ""):
            raise Invalid({name: ["must be a date, such as 2026-11-29"]})
        days[name] = moment.date() if moment else None
    found = DayRange(days["from"], days["to"])
    if found.first and found.last and found.first > found.last:
        raise Invalid({"to": ["must not be before from"]})
    return found


def _read(group: Document) -> Iterator[tuple[TallyKey, int]]:
    yield ("people", group["callout"], group["day"], group["outcome"]), group["people"]
    if group["status"] is not None:
        yield ("calls", group["placed"] or group["day"], group["status"]), group["calls"]


def _day(moment: Any) -> Document:
    return {"$dateTrunc": {"date": moment, "unit": "day"}}


# A person counts on the day of the last attempt, or, without one, on that on which the participation was made; a call
# on the day on which it was placed, or, if it was not, on its person's.
ACCOUNT_TALLY: Final = Tally(
    name="account",
    index={"account_id": 1, "_id": 1},
    stages=(CALLS_OF_PEOPLE,),
    by={
        "callout": optional("callout_id", 0),
        "day": _day({"$ifNull": ["$last_attempt_at", "$created_at", datetime(1970, 1, 1, tzinfo=UTC)]}),
        "outcome": OUTCOME_OF,
        "status": optional("_calls.status"),
        "placed": {"$ifNull": [_day("$_calls.placed"), None]},
    },
    values={"people": ONE_A_PERSON, "calls": {"$sum": 1}},
    read=_read,
)


def account_statistics_of(tallied: Tallied, days: DayRange) -> AccountStatistics:
    """What ACCOUNT_TALLY has found, of some days."""
    people: defaultdict[date, Counter[str]] = defaultdict(Counter)
    calls: defaultdict[date, Counter[str]] = defaultdict(Counter)
    callouts: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for key, count in tallied.counts.items():
        if key[0] == "people":
            _, callout_id, day, outcome = key
            if day.date() in days:
                people[day.date()][outcome] += count
                callouts[callout_id][outcome] += count
        elif key[1].date() in days:
            calls[key[1].date()][key[2]] += count
    return {
        "people": people_by_outcome(sum(people.values(), Counter[str]())),
        "calls": _calls(sum(calls.values(), Counter[str]())),
        "days": [
            {"date": day.isoformat(), "people": people_by_outcome(people[day]), "calls": _calls(calls[day])}
            for day in sorted({*people, *calls})
        ],
        "callouts": [
            {"id": callout_id, "people": people_by_outcome(callouts[callout_id])}
            for callout_id in sorted(callouts)[-MAX_CALLOUTS_SHOWN:]
        ],
    }


def _calls(statuses: Counter[str]) -> dict[str, int]:
    return {status: statuses[status] for status in CALL_STATUSES}
