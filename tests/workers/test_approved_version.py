"""The calls of an approved callout stay on the flow, and on the version, that was approved."""

from __future__ import annotations

from typing import Any

from scfm.calls.account_flows import AccountFlows
from scfm.calls.find_call import read_call
from scfm.models.call_flow import CALL_FLOWS
from scfm.models.call_flow_publication import publish
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.contact import CONTACTS
from scfm.models.fields import Rules
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.roles import Role
from scfm.models.scope import Client, Scope
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.twiml.definition_flow import DefinitionFlow
from scfm.twiml.flow import FlowSettings
from scfm.twiml.registry import Registry
from tests.workers.background import account

SETTINGS = FlowSettings()


def saying(words: str) -> Document:
    return {"languages": ["en"], "start": "hello", "steps": {"hello": {"say": {"en": words}, "hang_up": True}}}


def words_of(flow: type[Any]) -> str:
    assert issubclass(flow, DefinitionFlow)
    return str(flow.definition["steps"]["hello"]["say"]["en"])


async def test_a_call_says_what_was_approved_whatever_is_published_or_named_later(store: Store) -> None:
    owner = await account(store)
    rules = Rules(frozenset(Registry.from_setting("").flows))
    scopes = [
        Scope(store.for_account(owner), rules, Client(owner, number, role=Role.APPROVER, approval_required=True))
        for number in (1, 2)
    ]
    writer, approver = scopes
    names = ("flood", "other")
    ids = [(await CALL_FLOWS.create(writer, {"name": name, "definition": saying(name)}))["_id"] for name in names]
    for flow in ids:
        await publish(writer, flow, SETTINGS)
    callout = (await CALLOUTS.create(writer, {"plan": {"audience": {}}, "call_flow_logic": "flood"}))["_id"]
    contact = (await CONTACTS.create(writer, {"msisdn": "+252662345678"}))["_id"]
    given = {"contact_id": contact, "call_flow_logic": "other"}
    participation = await CALLOUT_PARTICIPATIONS.create(writer, given, callout_id=callout)
    known = {"callout_participation_id": participation["_id"], "callout_id": callout, "contact_id": contact}
    call = (await PHONE_CALLS.create(writer, {"remote_request_params": {"from": "1"}}, **known))["_id"]
    flows = AccountFlows(store, Registry.from_setting(""), SETTINGS)

    async def heard() -> str:
        found = await read_call(writer.view, "_id", call)
        assert found is not None
        flows.forget(owner)
        return words_of((await flows.of_call(owner, found.flow, found.call, found.callout)).flow)

    assert await heard() == "other"
    await CALLOUTS.fire(writer, callout, "submit")
    await CALLOUTS.fire(approver, callout, "approve")
    assert await heard() == "flood"
    await CALL_FLOWS.update(writer, ids[0], {"definition": saying("newer")})
    await publish(writer, ids[0], SETTINGS)
    assert await heard() == "flood"
