"""A process that keeps what a person has replied is ended between any two of its steps; the webhook comes again."""

from __future__ import annotations

from scfm.calls import deliveries
from scfm.calls.account_flows import AccountFlows
from scfm.calls.call_event import CallEvent
from scfm.calls.handle_call_event import handle_call_event
from scfm.calls.sender import Owner, Sender
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.declaration import initial_fields
from scfm.models.outcome import ACKNOWLEDGED_AT, MARK, OPTED_OUT_AT
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.twiml.flow import FlowSettings
from scfm.twiml.registry import Registry
from tests.flows.odd_flows import Replying
from tests.workers.background import account, queued_calls
from tests.workers.mortal import Life, MortalStore, live
from tests.workers.webhooks import calls_with

MAX_STEPS = 80
FLOWS = Registry({Replying.name: Replying}, Replying)


async def participation(store: Store, account_id: int, number: int) -> None:
    """The person with that number, who is on the phone."""
    msisdn = f"+25266246{number:04}"
    common = {"account_id": account_id, "msisdn": msisdn, "metadata": {}, "_version": 1}
    view = store.for_account(account_id)
    contact = (await view.insert("contacts", common, "contact"))["_id"]
    links = {"callout_id": 1, "contact_id": contact, "call_flow_logic": None}
    made = await view.insert(
        "callout_participations",
        {**initial_fields(CALLOUT_PARTICIPATIONS), **common, **links},
        "callout_participation",
    )
    told = {"status": "in_progress", "remote_call_id": f"CA{number}", "_work": {}, "remote_direction": "outbound-api"}
    links = {"callout_participation_id": made["_id"], "callout_id": 1, "contact_id": contact}
    await queued_calls(store, account_id, [msisdn], **told, **links)


async def press(store: Store, account_id: int, number: int, keys: str, token: str) -> str:
    """A webhook of that person's call."""
    sender = Sender(frozenset({account_id}), False, {}, Owner(account_id), calls_with)
    told = {"CallStatus": "in-progress", "Direction": "outbound-api", "To": f"+25266246{number:04}", "Digits": keys}
    event = CallEvent.read(sender, {"CallSid": f"CA{number}", **told}, "https://a.example", token)
    return await handle_call_event(store, AccountFlows(store, FLOWS, FlowSettings()), event)


async def kept(store: Store, number: int) -> Document:
    (found,) = await store.all_tenants.find("callout_participations", {"msisdn": f"+25266246{number:04}"})
    return found


async def presses_until_death(store: Store, owner: int, step: int, keys: str) -> Life:
    """A process takes the first report of KEYS by the person of that number, and dies at that step; its life."""
    life = Life(step)
    mortal = MortalStore.within(store, life)

    async def handle() -> None:
        await press(mortal, owner, step, keys, f"first-{step}")

    await live(handle(), life)
    return life


async def test_a_process_that_keeps_replies_may_die_at_any_step(store: Store) -> None:
    owner = await account(store)
    for step in range(1, MAX_STEPS):
        await participation(store, owner, step)
        life = await presses_until_death(store, owner, step, "1")
        answers = {await press(store, owner, step, "1", f"first-{step}") for _ in range(2)}
        assert len(answers) == 1
        found = await kept(store, step)
        assert found["answers"] == {"keys": "1", "key-1": "1"}
        assert found[ACKNOWLEDGED_AT] and MARK in found and OPTED_OUT_AT not in found
        # What comes later counts, however often the first comes again.
        await press(store, owner, step, "9", f"second-{step}")
        await press(store, owner, step, "1", f"first-{step}")
        again = await kept(store, step)
        assert again["answers"] == {"keys": "9", "key-1": "1", "key-2": "9"}
        assert again[ACKNOWLEDGED_AT] == found[ACKNOWLEDGED_AT] and again[OPTED_OUT_AT]
        if not life.over:
            break
    assert not life.over and step > 10


async def test_more_replies_than_a_document_has_marks_for_are_kept_once(store: Store) -> None:
    owner = await account(store)
    await participation(store, owner, 1)
    keys = [str(key) for key in range(10, 12 + deliveries.MAX_TURN_MARKS)]
    for key in keys:
        await press(store, owner, 1, key, f"token-{key}")
    for key in keys:
        await press(store, owner, 1, key, f"token-{key}")
    found = await kept(store, 1)
    numbered = {f"key-{number}": key for number, key in enumerate(keys, 1)}
    assert found["answers"] == {"keys": keys[-1], **numbered}


async def test_a_process_that_opts_a_number_out_may_die_at_any_step(store: Store) -> None:
    owner = await account(store)
    for step in range(1, MAX_STEPS):
        await participation(store, owner, step)
        life = await presses_until_death(store, owner, step, "9")
        for _ in range(2):
            await press(store, owner, step, "9", f"first-{step}")
        (made,) = await store.all_tenants.find("opt_outs", {"msisdn": f"+25266246{step:04}"})
        assert (made["source"], made["account_id"], made["reason"]) == ("flow", owner, None)
        assert (await kept(store, step))[OPTED_OUT_AT]
        # Taken away, it does not come back with the same webhook, but with the next.
        await store.all_tenants.remove("opt_outs", {"_id": made["_id"]})
        await press(store, owner, step, "9", f"first-{step}")
        assert not await store.all_tenants.exists("opt_outs", {})
        await press(store, owner, step, "9", f"second-{step}")
        assert await store.all_tenants.remove("opt_outs", {}) == 1
        if not life.over:
            break
    assert not life.over and step > 10
