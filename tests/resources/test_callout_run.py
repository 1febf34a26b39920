"""What events and changes leave for the one who carries a plan out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from scfm.errors import Invalid
from scfm.models.account import ACCOUNTS
from scfm.models.callout import CALLOUTS
from scfm.models.fields import Rules
from scfm.models.scope import Client, Scope
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView


class House:
    """A callout, with a plan or without, of an account of its own. Nobody carries the plan out."""

    scope: Scope
    callout: int

    @classmethod
    async def build(cls, store: Store, plan: Document | None) -> House:
        house, asking = cls(), Client(1, 1)
        account = (await ACCOUNTS.create(Scope(store.all_tenants, Rules(), asking), {}))["_id"]
        house.scope = Scope(store.for_account(account), Rules(), asking)
        house.callout = (await CALLOUTS.create(house.scope, {"plan": plan}))["_id"]
        return house

    async def fire(self, *events: str) -> Document:
        """The callout after these events."""
        for event in events:
            fired = await CALLOUTS.fire(self.scope, self.callout, event)
        return fired

    async def update(self, given: Document) -> Document:
        return await CALLOUTS.update(self.scope, self.callout, given)

    async def set_run(self, removed: list[str], **run: Any) -> None:
        """Put the run where somebody who carries it out has left it."""
        update: Document = {"$unset": {f"_run.{name}": "" for name in removed}}
        if run:
            update["$set"] = {f"_run.{name}": value for name, value in run.items()}
        await self.scope.view.update_one("callouts", {"_id": self.callout}, update)


PLAN: Document = {"audience": {}}


def asked_for(callout: Document) -> dict[str, Any]:
    """The run without its times, which must be there."""
    run = dict(callout["_run"])
    assert isinstance(run.pop("due"), datetime)
    assert isinstance(run.pop("started_at"), datetime)
    return run


async def test_the_start_of_a_plan_asks_for_its_audience(store: Store) -> None:
    house = await House.build(store, PLAN)

    started = await house.fire("start")

    assert started["_run"]["due"] == started["_run"]["started_at"]
    assert asked_for(started) == {"review": 0, "audience": 0}
    assert "_run" not in CALLOUTS.show(started)


@pytest.mark.parametrize("events", [["start"], ["start", "stop"], ["start", "stop", "resume"]])
async def test_without_a_plan_nothing_is_carried_out(store: Store, events: list[str]) -> None:
    house = await House.build(store, None)

    assert "_run" not in await house.fire(*events)


@pytest.mark.parametrize("events", [["stop"], ["pause", "resume"], ["pause", "stop"], ["stop", "resume"]])
async def test_a_stop_and_a_resume_look_at_everybody_again(store: Store, events: list[str]) -> None:
    house = await House.build(store, PLAN)
    await house.fire("start", *events[:-1])
    await house.set_run(["due", "review"], audience=5, holder="x")

    assert asked_for(await house.fire(events[-1])) == {"review": 0, "audience": 5, "holder": "x"}


async def test_a_changed_plan_looks_at_everybody_again_and_a_like_one_does_not(store: Store) -> None:
    house = await House.build(store, PLAN)
    await house.fire("start")
    await house.set_run(["audience", "review"])

    for unchanged in ({"plan": {**PLAN, "priority": 5}}, {"metadata": {"a": 1}}):
        assert asked_for(await house.update(unchanged)) == {}
    assert asked_for(await house.update({"plan": {**PLAN, "priority": 1}})) == {"review": 0}


async def test_a_plan_that_was_stopped_before_its_start_is_started_by_its_resume(store: Store) -> None:
    house = await House.build(store, PLAN)
    ids = await house.scope.view.counters.ids("phone_call").allocate(1)
    under_way = {"_id": ids[0], "callout_id": house.callout, "status": "in_progress"}
    await house.scope.view.insert_many("phone_calls", [under_way])

    stopped = await house.fire("stop")
    assert ("review" in stopped["_run"], "audience" in stopped["_run"]) == (True, False)
    assert "started_at" not in stopped["_run"]

    assert asked_for(await house.fire("resume")) == {"review": 0, "audience": 0}


async def test_a_plan_that_something_stands_against_is_not_started(store: Store) -> None:
    house = await House.build(store, PLAN)

    async def blockers(view: TenantView, callout: Document) -> list[str]:
        return ["the audience is empty", "not_after is in the past"]

    house.scope = replace(house.scope, plan_blockers=blockers)
    with pytest.raises(Invalid) as refused:
        await house.fire("start")

    assert refused.value.errors == {"plan": ["the audience is empty", "not_after is in the past"]}
    assert (await house.scope.view.get("callouts", house.callout))["status"] == "initialized"
