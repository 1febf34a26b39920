"""A process that handles a webhook is ended between any two of its steps; the webhook is delivered again.

Whatever the step: there is one event, its flow has made one step, and every later delivery gets the same answer.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping

import pytest

from scfm.calls import deliveries
from scfm.calls.account_flows import AccountFlows
from scfm.calls.call_event import CallEvent
from scfm.calls.handle_call_event import handle_call_event
from scfm.calls.sender import Owner, Sender
from scfm.storage.store import Store
from scfm.twiml.flow import FlowSettings
from scfm.twiml.registry import Registry
from tests.flows.odd_flows import Tally
from tests.workers.background import account
from tests.workers.mortal import Life, MortalStore, live

MAX_STEPS = 60
# Before each step of many a death takes long: make deaths tries all.
EVERY = int(os.environ.get("DEATHS_EVERY", "3"))
FLOWS = Registry({Tally.name: Tally}, Tally)
CALLERS = {"number": "+252662343001", "anonymous": "anonymous"}


async def calls_with(_: int) -> bool:
    return True


class Line:
    """The provider's side of one call."""

    def __init__(self, store: Store, account_id: int, call_sid: str, caller: str) -> None:
        self.store = store
        self.view = store.for_account(account_id)
        self.sender = Sender(frozenset({account_id}), False, {}, Owner(account_id), calls_with)
        self.fields = {"CallSid": call_sid, "CallStatus": "in-progress", "Direction": "inbound", "From": caller}

    async def deliver(self, token: str | None, key: str, store: Store | None = None) -> str:
        """A webhook with a key that was pressed; its answer."""
        details = {**self.fields, "Digits": key}
        where = store or self.store
        event = CallEvent.read(self.sender, details, "https://a.example", token)
        return await handle_call_event(where, AccountFlows(where, FLOWS, FlowSettings()), event)

    async def deliver_until_death(self, token: str, key: str, ends_at: int) -> Life:
        """The same, to a process that dies at that step; its life."""
        life = Life(ends_at)
        mortal = MortalStore.within(self.store, life)

        async def handle() -> None:
            await self.deliver(token, key, mortal)

        await live(handle(), life)
        return life

    async def check(self, *keys: str) -> None:
        """There is an event for each key, and each was written down once."""
        (call,) = await self.view.find("phone_calls", {"remote_call_id": self.fields["CallSid"]})
        events = await self.view.find("remote_phone_call_events", {"phone_call_id": call["_id"]})
        assert sorted(one["details"]["Digits"] for one in events) == sorted(keys)
        kept: list[Mapping[str, object]] = [call]
        if call["contact_id"] is not None:
            kept.append(await self.view.get("contacts", call["contact_id"]))
        for one in kept:
            memories = one["metadata"]["call_flow_data"]  # type: ignore[index]
            assert sorted(memories["Tally"]["keys"]) == sorted(keys)


@pytest.mark.parametrize("known", [False, True], ids=["first report", "known call"])
@pytest.mark.parametrize("caller", CALLERS.values(), ids=CALLERS)
async def test_a_process_that_handles_a_webhook_may_die_at_any_step(store: Store, caller: str, known: bool) -> None:
    await account(store)
    (owner,) = await store.all_tenants.find("accounts", {})
    for step in range(1, MAX_STEPS):
        number = caller if caller == "anonymous" else f"{caller[:-3]}{step:03}"
        line, before = Line(store, owner["_id"], f"CA{step}", number), ["0"] if known else []
        if known:
            await line.deliver(None, "0")
        life = await line.deliver_until_death("token-" + str(step), "1", step)
        answers = {await line.deliver("token-" + str(step), "1") for _ in range(2)}
        assert len(answers) == 1
        await line.check(*before, "1")
        if not life.over:
            break
    assert not life.over and step > 5


async def test_two_processes_that_die_one_after_the_other_make_one_step(store: Store) -> None:
    await account(store)
    (owner,) = await store.all_tenants.find("accounts", {})
    calls = itertools.count(1)
    for first, second in itertools.product(range(1, 30, 3), range(1, 30, 4)):
        number = next(calls)
        line = Line(store, owner["_id"], f"CA{number}", f"+252662{number:06}")
        for ends_at in (first, second):
            await line.deliver_until_death("token", "1", ends_at)
        assert await line.deliver("token", "1") == await line.deliver("token", "1")
        await line.check("1")
        await store.all_tenants.update_many(deliveries.EVENT_COLLECTION, {}, {"$unset": {deliveries.FIELD: ""}})


async def test_what_else_happens_between_death_and_the_second_delivery_is_kept(store: Store) -> None:
    """Other webhooks of the call and of the contact's other call, more than a document has marks for."""
    await account(store)
    (owner,) = await store.all_tenants.find("accounts", {})
    keys = [str(key) for key in range(10, 10 + 2 * deliveries.MAX_TURN_MARKS)]
    for step in range(1, MAX_STEPS, EVERY):
        number = f"+252662344{step:03}"
        line = Line(store, owner["_id"], f"CA{step}", number)
        await line.deliver(None, "0")
        life = await line.deliver_until_death(f"token-{step}", "1", step)
        for key in keys:
            await line.deliver(f"{step}-{key}", key)
        assert await line.deliver(f"token-{step}", "1") == await line.deliver(f"token-{step}", "1")
        await line.check("0", "1", *keys)
        if not life.over:
            break
    assert not life.over and step > 5


async def test_a_process_that_makes_room_for_marks_may_die_at_any_step(store: Store) -> None:
    await account(store)
    (owner,) = await store.all_tenants.find("accounts", {})
    before = [str(key) for key in range(deliveries.MAX_TURN_MARKS)]
    for step in range(1, MAX_STEPS, EVERY):
        line = Line(store, owner["_id"], f"CA{step}", f"+252662345{step:03}")
        answers = [await line.deliver(f"{step}-{key}", key) for key in before]
        life = await line.deliver_until_death(f"token-{step}", "99", step)
        again = [await line.deliver(f"{step}-{key}", key) for key in before]
        assert again == answers
        assert await line.deliver(f"token-{step}", "99") == await line.deliver(f"token-{step}", "99")
        await line.check(*before, "99")
        if not life.over:
            break
    assert not life.over and step > 5
