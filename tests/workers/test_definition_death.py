"""A process that answers a call through a definition is ended between any two of its steps, at each webhook."""

from __future__ import annotations

from scfm.calls.account_flows import AccountFlows
from scfm.calls.call_event import CallEvent
from scfm.calls.handle_call_event import handle_call_event
from scfm.calls.sender import Owner, Sender
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.declaration import initial_fields
from scfm.models.outcome import ACKNOWLEDGED_AT, OPTED_OUT_AT
from scfm.storage.store import Store
from scfm.twiml.flow import FlowSettings
from scfm.twiml.registry import Registry
from tests.flows.walked_flows import ANSWERS, SAID, STEPS, WalkedNeeds
from tests.workers.background import account, queued_calls
from tests.workers.mortal import Life, MortalStore, live
from tests.workers.webhooks import calls_with

MAX_STEPS = 80
FLOWS = Registry({WalkedNeeds.name: WalkedNeeds}, WalkedNeeds)


async def ring(store: Store, owner: int, number: int) -> None:
    """The person with that number is on the phone, in a call of a callout."""
    msisdn, view = f"+25266247{number:04}", store.for_account(owner)
    common = {"account_id": owner, "msisdn": msisdn, "metadata": {}, "_version": 1}
    contact = (await view.insert("contacts", common, "contact"))["_id"]
    callout = (await view.insert("callouts", {**initial_fields(CALLOUTS), "account_id": owner}, "callout"))["_id"]
    links = {"callout_id": callout, "contact_id": contact, "call_flow_logic": None}
    person = {**initial_fields(CALLOUT_PARTICIPATIONS), **common, **links}
    made = (await view.insert("callout_participations", person, "callout_participation"))["_id"]
    told = {"status": "in_progress", "remote_call_id": f"CA{number}", "_work": {}, "remote_direction": "outbound-api"}
    await queued_calls(store, owner, [msisdn], **told, **links, callout_participation_id=made)


async def deliver(store: Store, owner: int, number: int, turn: int) -> str:
    """The webhook of a turn of that person's call."""
    sender = Sender(frozenset({owner}), False, {}, Owner(owner), calls_with)
    told = {"CallStatus": "in-progress", "Direction": "outbound-api", "To": f"+25266247{number:04}"}
    details = {"CallSid": f"CA{number}", **told, **STEPS[turn]}
    event = CallEvent.read(sender, details, "https://a.example", f"token-{number}-{turn}")
    return await handle_call_event(store, AccountFlows(store, FLOWS, FlowSettings()), event)


async def deliver_until_death(store: Store, owner: int, number: int, turn: int) -> Life:
    """The same, to a process that dies at the step of that number; its life."""
    life = Life(number)
    mortal = MortalStore.within(store, life)

    async def handle() -> None:
        await deliver(mortal, owner, number, turn)

    await live(handle(), life)
    return life


async def test_a_process_that_answers_a_call_may_die_at_any_step_of_each_webhook(store: Store) -> None:
    owner, died = await account(store), True
    for number in range(1, MAX_STEPS):
        if not died:
            break
        await ring(store, owner, number)
        died = False
        for turn, words in enumerate(SAID):
            life = await deliver_until_death(store, owner, number, turn)
            died = died or life.over
            assert words in await deliver(store, owner, number, turn)
        await check(store, number)
    assert not died and number > 10


async def check(store: Store, number: int) -> None:
    """The call has left all that was answered, once."""
    view, msisdn = store.all_tenants, {"msisdn": f"+25266247{number:04}"}
    (call,) = await view.find("phone_calls", msisdn)
    (contact,) = await view.find("contacts", msisdn)
    (person,) = await view.find("callout_participations", msisdn)
    (opt_out,) = await view.find("opt_outs", msisdn)
    assert len(await view.find("remote_phone_call_events", {"phone_call_id": call["_id"]})) == len(STEPS)
    assert contact["metadata"]["call_flow_data"] == {WalkedNeeds.name: ANSWERS}
    state = call["metadata"]["call_flow_data"][WalkedNeeds.name]
    assert (state["step"], state["version"], "answers" in state) == ("bye", 1, False)
    assert person["answers"] == ANSWERS
    assert person[ACKNOWLEDGED_AT] and person[OPTED_OUT_AT] and opt_out["source"] == "flow"
