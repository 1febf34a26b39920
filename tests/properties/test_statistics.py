"""Statistics are what a walk over all participations finds, whoever writes, and whatever is asked meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from scfm.clock import iso
from scfm.contacts_bulk.metadata_path import metadata_path
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.models.call_lifecycle import CallStatus
from scfm.models.outcome import OUTCOMES
from scfm.models.plan_pace import Pace
from scfm.models.registry import counted_fields
from scfm.results.callout_statistics import CalloutStatistics
from scfm.results.group_statistics import GroupStatistics
from scfm.results.provider_state import ProviderState
from scfm.results.statistics_reader import StatisticsReader
from scfm.storage import block_tallies, block_watch, change_log, counter
from scfm.storage.errors import DuplicateKey
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from tests.conftest import DATABASE

BLOCK, PROCESSES, ROUNDS, ACTS = 4, 2, 12, 10
ACCOUNT, OURS, OTHER = 1, 1, 2
PEOPLE = 40
START = datetime(2026, 11, 29, 10, 41, tzinfo=UTC)
DISTRICTS = ("Stung Treng", "Kep", 5, "5", None, "", True)
DISTRICT = metadata_path("group_by", "metadata.place.district")
WAYS = (
    ("pending", None),
    ("calling", None),
    ("waiting", None),
    ("reached", None),
    ("acknowledged", None),
    ("unreached", "busy"),
    ("unreached", "not_answered"),
    ("excluded", "opted_out"),
    ("unknown", None),
)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (change_log, block_watch, block_tallies):
        monkeypatch.setattr(module, "BLOCK", BLOCK)
    monkeypatch.setattr(counter, "MAX_DIRTY_BLOCKS", 10)
    monkeypatch.setattr(block_tallies, "MAX_BLOCKS_AT_ONCE", 5)


async def never_held(account_id: int) -> bool:
    return False


class Street:
    """Some processes on one database, two callouts, and what has been asked of them and been acknowledged."""

    def __init__(self, seed: int, stores: list[Store]) -> None:
        self.random = random.Random(seed)
        self.stores = stores
        self.reader = StatisticsReader(lambda *_: Pace(1.0, "x"), lambda _: ProviderState(), never_held)
        self.begun, self.done = Counter[str](), Counter[str]()

    def view(self) -> TenantView:
        return self.random.choice(self.stores).for_account(ACCOUNT)

    async def begin(self) -> None:
        view = self.stores[0].for_account(ACCOUNT)
        await self.stores[0].all_tenants.insert("accounts", {"_id": ACCOUNT, "settings": {}})
        for callout_id in (OURS, OTHER):
            await view.insert("callouts", {"_id": callout_id, "status": "running", "plan": None})
        for number in range(PEOPLE):
            await view.insert("contacts", {"msisdn": f"+1555{number:07}", "metadata": self.metadata()}, "contact")

    def metadata(self) -> Document:
        place = {"district": self.random.choice(DISTRICTS)}
        return self.random.choice([{"place": place}, {"place": place}, {"place": "Kep"}, {}])

    def outcome(self) -> Document:
        outcome, reason = self.random.choice(WAYS)
        statuses = self.random.choices([status.value for status in CallStatus], k=self.random.randrange(4))
        calls = [
            {
                "status": status,
                "placed": self.random.choice([None, START + timedelta(minutes=self.random.randrange(200))]),
                "answered": status == "completed",
                "duration": self.random.choice([None, 7]),
            }
            for status in statuses
        ]
        moments = [call["placed"] for call in calls if call["placed"]]
        return {
            "outcome": outcome,
            "outcome_reason": reason,
            "attempts": len(calls),
            "last_attempt_at": max(moments, default=None),
            "_first_attempt_at": min(moments, default=None),
            "_calls": calls,
        }

    async def act(self, *, contacts_alone: bool) -> None:
        others = () if contacts_alone else (self.join, self.settle, self.settle_many, self.leave, self.look)
        await self.random.choice([self.move, self.look, *others])()

    async def join(self) -> None:
        self.begun["join"] += 1
        contact_id = self.random.randrange(1, PEOPLE + 1)
        own = self.outcome() if self.random.random() < 0.7 else {}  # an older version has stored none
        callout_id = self.random.choice((OURS, OURS, OURS, OTHER))
        msisdn = f"+1666{self.random.randrange(10**7):07}"
        document = {"callout_id": callout_id, "contact_id": contact_id, "msisdn": msisdn, **own}
        try:
            await self.view().insert("callout_participations", document, "callout_participation")
        except DuplicateKey:
            self.begun["join"] -= 1
        else:
            self.done["join"] += callout_id == OURS

    def some(self) -> Document:
        return {"_id": self.random.randrange(1, 80)}

    async def settle(self) -> None:
        await self.view().update_one("callout_participations", self.some(), {"$set": self.outcome()})

    async def settle_many(self) -> None:
        updates = [(self.some(), {"$set": self.outcome()}) for _ in range(5)]
        await self.view().bulk_update("callout_participations", updates)

    async def move(self) -> None:
        contact_id = self.random.randrange(1, PEOPLE + 1)
        await self.view().update_one("contacts", {"_id": contact_id}, {"$set": {"metadata": self.metadata()}})

    async def leave(self) -> None:
        if self.random.random() < 0.3:
            self.begun["leave"] += 1
            await self.view().remove("callout_participations", self.some())

    async def look(self) -> None:
        done = self.done["join"]
        statistics = await self.reader.by_group(self.view(), OURS, DISTRICT)
        people = statistics["people"]
        assert people["total"] == sum(people[outcome] for outcome in OUTCOMES)
        assert done - self.begun["leave"] <= people["total"] <= self.begun["join"]
        for group in statistics["groups"]:
            assert group["people"]["total"] == sum(group["people"][outcome] for outcome in OUTCOMES) > 0
        assert sum(group["people"]["total"] for group in statistics["groups"]) == people["total"]

    async def check(self) -> None:
        for store in self.stores:
            view = store.for_account(ACCOUNT)
            found = await view.find("callout_participations", {"callout_id": OURS})
            contacts = {contact["_id"]: contact for contact in await view.find("contacts", {})}
            statistics = await self.reader.by_group(view, OURS, DISTRICT)
            check_people(statistics, found)
            check_calls(statistics, found)
            check_groups(statistics["groups"], found, contacts)


def check_people(statistics: CalloutStatistics, found: list[Document]) -> None:
    outcomes = Counter(one.get("outcome", "pending") for one in found)
    assert statistics["people"] == {"total": len(found), **{outcome: outcomes[outcome] for outcome in OUTCOMES}}
    assert statistics["reasons"] == Counter(one["outcome_reason"] for one in found if one.get("outcome_reason"))
    attempts = Counter(str(one.get("attempts", 0)) for one in found)
    assert Counter(statistics["attempts"]) == attempts
    assert list(statistics["attempts"]) == [str(number) for number in range(len(statistics["attempts"]))]
    first = [one["_first_attempt_at"] for one in found if one.get("_first_attempt_at")]
    last = [one["last_attempt_at"] for one in found if one.get("last_attempt_at")]
    assert statistics["first_attempt_at"] == iso(min(first, default=None))
    assert statistics["last_attempt_at"] == iso(max(last, default=None))


def check_calls(statistics: CalloutStatistics, found: list[Document]) -> None:
    calls = [call for one in found for call in one.get("_calls", [])]
    statuses = Counter(call["status"] for call in calls)
    assert statistics["calls"] == {status.value: statuses[status.value] for status in CallStatus}
    assert statistics["talk_seconds"] == sum(call["duration"] or 0 for call in calls)
    placed = Counter(call["placed"] for call in calls if call["placed"])
    answered = Counter(call["placed"] for call in calls if call["placed"] and call["answered"])
    minutes = [(iso(minute), placed[minute], answered[minute]) for minute in sorted(placed)[-120:]]
    assert statistics["calls_per_minute"] == minutes


def check_groups(groups: list[GroupStatistics], found: list[Document], contacts: dict[int, Any]) -> None:
    expected: defaultdict[str | None, Counter[str]] = defaultdict(Counter)
    for one in found:
        place = contacts[one["contact_id"]]["metadata"].get("place")
        value = place.get("district") if isinstance(place, dict) else None
        text = None if value in (None, "") else "true" if value is True else str(value)
        expected[text][one.get("outcome", "pending")] += 1
    assert {group["value"]: +Counter(group["people"]) for group in groups} == {
        value: Counter({"total": outcomes.total()}) + outcomes for value, outcomes in expected.items()
    }
    unreached = [group["people"]["unreached"] for group in groups]
    assert unreached == sorted(unreached, reverse=True)


@pytest.fixture
def opened(io_loop: IOLoop, mongod: PrivateMongod, store: Store) -> Callable[[], Store]:
    return lambda: Store.open(mongod.uri, DATABASE, counted_fields())


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_statistics_are_exact(opened: Callable[[], Store], seed: int) -> None:
    street = Street(seed, [opened() for _ in range(PROCESSES)])
    await street.begin()
    try:
        for turn in range(ROUNDS):
            await asyncio.gather(*(street.act(contacts_alone=turn % 2 == 1) for _ in range(ACTS)))
            await street.check()
    finally:
        for store in street.stores:
            with suppress(Exception):
                await store.close()
