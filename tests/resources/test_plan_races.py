"""A plan is changed while an event moves its callout: who comes second sees what the first has done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from scfm.errors import Invalid
from scfm.models.account import ACCOUNTS
from scfm.models.callout import CALLOUTS, Callouts
from scfm.models.callout_run import RUN
from scfm.models.draft import Draft
from scfm.models.fields import Rules
from scfm.models.scope import Client, Scope
from scfm.storage.query import Document
from scfm.storage.store import Store

AUDIENCE = {"contact_filter_params": {"metadata": {"district": "Stung Treng"}}}

Interruption = Callable[[], Awaitable[object]]


class Interrupted(Callouts):
    """Callouts that somebody else changes once between reading and writing."""

    def __init__(self, interruption: Interruption) -> None:
        self._interruption: Interruption | None = interruption

    async def complete(self, scope: Scope, draft: Draft) -> None:
        await super().complete(scope, draft)
        await self._interrupt()

    async def event_changes(self, scope: Scope, document: Document, event: str) -> Document:
        changes = await super().event_changes(scope, document, event)
        await self._interrupt()
        return changes

    async def _interrupt(self) -> None:
        interruption, self._interruption = self._interruption, None
        if interruption is not None:
            await interruption()


async def own_scope(store: Store) -> Scope:
    """That of a new account."""
    asking = Client(1, 1)
    account = (await ACCOUNTS.create(Scope(store.all_tenants, Rules(), asking), {}))["_id"]
    return Scope(store.for_account(account), Rules(), asking)


async def planned(scope: Scope, *events: str, **plan: object) -> int:
    """The id of a callout with a plan that these events have moved."""
    callout: int = (await CALLOUTS.create(scope, {"plan": {"audience": {}, **plan}}))["_id"]
    for event in events:
        await CALLOUTS.fire(scope, callout, event)
    return callout


async def test_a_start_that_was_overtaken_by_a_change_starts_the_changed_plan(store: Store) -> None:
    scope = await own_scope(store)
    callout = await planned(scope)
    late = Interrupted(lambda: CALLOUTS.update(scope, callout, {"plan": None}))

    started = await late.fire(scope, callout, "start")

    assert (started["status"], started["plan"], started.get(RUN)) == ("running", None, None)


async def test_a_change_that_was_overtaken_by_the_start_is_refused(store: Store) -> None:
    scope = await own_scope(store)
    callout = await planned(scope)
    late = Interrupted(lambda: CALLOUTS.fire(scope, callout, "start"))

    with pytest.raises(Invalid) as refused:
        await late.update(scope, callout, {"plan": {"audience": AUDIENCE}})

    assert refused.value.errors == {"plan": ["/audience: cannot be changed any more: the callout is running"]}
    assert (await scope.view.get("callouts", callout))["plan"]["audience"] == {}


async def test_of_a_change_and_an_event_of_a_running_plan_both_count(store: Store) -> None:
    scope = await own_scope(store)
    callout = await planned(scope, "start")
    late = Interrupted(lambda: CALLOUTS.fire(scope, callout, "pause"))

    changed = await late.update(scope, callout, {"plan": {"audience": {}, "priority": 9}})

    assert (changed["status"], changed["plan"]["priority"]) == ("paused", 9)
