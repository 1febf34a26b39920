"""Which flow a call has: the registered one, else the version of the account's call flow that it began with."""

from __future__ import annotations

from typing import Any, cast

import pytest

from scfm.calls.account_flows import AccountFlows
from scfm.models.call_flow import CALL_FLOWS
from scfm.models.call_flow_publication import publish
from scfm.models.dial_allow_list import DIAL_ALLOW_LIST
from scfm.models.fields import Rules
from scfm.models.merge import FLOW_MEMORY
from scfm.models.scope import Client, Scope
from scfm.models.stored_documents import PhoneCallDocument
from scfm.storage.store import Store
from scfm.twiml.application import Application, Unregistered
from scfm.twiml.definition_flow import DefinitionFlow
from scfm.twiml.flow import Flow, FlowSettings
from scfm.twiml.message import Message
from scfm.twiml.registry import Registry
from tests.workers.background import account

REGISTRY = Registry.from_setting("")


def saying(words: str, dial: str | None = None) -> dict[str, Any]:
    """A definition that says WORDS, and then hangs up or dials a number."""
    step = {"say": {"en": words}, **({"dial": dial} if dial else {"hang_up": True})}
    return {"languages": ["en"], "start": "hello", "steps": {"hello": step}}


class Office:
    """An account with a call flow, and one process that takes its turns."""

    def __init__(self, store: Store, account_id: int) -> None:
        self.store = store
        self.account_id = account_id
        self.scope = Scope(store.for_account(account_id), Rules(frozenset(REGISTRY.names)), Client(account_id, 1))
        self.flows = AccountFlows(store, REGISTRY, FlowSettings())

    async def publish(self, words: str, name: str = "flood", dial: str | None = None) -> None:
        """Publish a version that says WORDS, as another process does."""
        flow = await self.scope.view.first_by("call_flows", "name", name)
        if flow is None:
            given = {"name": name, "definition": saying(words, dial)}
            flow = await CALL_FLOWS.create(self.scope, given)
        else:
            await CALL_FLOWS.update(self.scope, flow["_id"], {"definition": saying(words, dial)})
        await publish(self.scope, flow["_id"], await self.flows.settings(self.account_id))

    async def flow_of(self, name: str | None = "flood", version: int | None = None) -> type[Flow]:
        """The flow of a call, which has begun with a VERSION unless it is None."""
        memory = {} if version is None else {"version": version, "step": "hello", "times": 1, "event": 1}
        call = {"metadata": {FLOW_MEMORY: {name: memory}}}
        return (await self.flows.of_call(self.account_id, name, cast(PhoneCallDocument, call))).flow

    async def words_of(self, version: int | None = None) -> str:
        """What the version says."""
        flow = await self.flow_of(version=version)
        assert issubclass(flow, DefinitionFlow)
        return flow.definition["steps"]["hello"]["say"]["en"]


async def office(store: Store) -> Office:
    return Office(store, await account(store))


def silent(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on nobody may ask the database."""

    def asked(*_: object) -> None:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(store.database, "collection", asked)
    monkeypatch.setattr(store.database, "run_at_once", asked)


@pytest.mark.parametrize("name", [None, ""])
async def test_for_a_registered_flow_the_database_is_not_asked(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    here = await office(store)
    silent(store, monkeypatch)
    assert await here.flow_of(name, version=7) is Application


async def test_message_knows_the_accounts_audio_files_which_are_asked_for_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, other = await office(store), await office(store)
    for one, path in ((here, "/audio/1.wav"), (other, "/audio/2.wav")):
        file = {"_id": one.account_id, "name": "flood", "url": path}
        await store.for_account(one.account_id).insert("audio_files", file)
    chosen = await here.flows.of_call(here.account_id, Message.name)
    assert (chosen.flow, chosen.settings.audio) == (Message, {"flood": "/audio/1.wav"})
    silent(store, monkeypatch)
    assert (await here.flows.of_call(here.account_id, Message.name)).settings.audio == chosen.settings.audio


async def test_a_call_that_has_not_begun_gets_the_newest_version(store: Store) -> None:
    here = await office(store)
    await here.publish("one")
    await here.publish("two")
    assert await here.words_of() == "two"
    chosen = await here.flow_of()
    assert (chosen.name, cast(type[DefinitionFlow], chosen).version) == ("flood", 2)


async def test_a_call_stays_on_the_version_that_it_began_with(store: Store) -> None:
    here = await office(store)
    await here.publish("one")
    assert await here.words_of(version=1) == "one"
    await here.publish("two")
    assert await here.words_of(version=1) == "one"
    # This process does not know yet that there is another.
    assert await here.words_of() == "one"
    assert await here.words_of(version=2) == "two"
    assert await here.words_of() == "two"


async def test_what_is_known_is_not_asked_for_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    here = await office(store)
    await here.publish("one")
    first = await here.flow_of()
    silent(store, monkeypatch)
    assert await here.flow_of() is first
    assert await here.flow_of(version=1) is first


async def test_a_flow_that_was_prepared_is_there_for_the_first_call(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await office(store)
    await here.publish("one")
    await here.flows.prepare(here.account_id, "flood")
    silent(store, monkeypatch)
    assert await here.words_of() == "one"


async def test_what_this_process_has_published_is_seen_at_once(store: Store) -> None:
    here = await office(store)
    await here.publish("one")
    assert await here.words_of() == "one"
    await here.publish("two")
    here.flows.forget(here.account_id)
    assert await here.words_of() == "two"


async def test_a_flow_that_is_gone_fails_and_a_new_one_of_its_name_is_another(store: Store) -> None:
    here = await office(store)
    assert await here.flow_of() is Unregistered
    await here.publish("one")
    assert await here.words_of() == "one"
    await here.scope.view.remove("call_flows", {"name": "flood"})
    here.flows.forget()
    assert await here.flow_of() is Unregistered
    assert await here.flow_of(version=1) is Unregistered
    await here.publish("anew")
    assert await here.words_of(version=1) == "anew"
    assert await here.flow_of(version=2) is Unregistered


async def test_a_draft_is_no_flow_and_no_version_is_another_accounts(store: Store) -> None:
    here, there = await office(store), await office(store)
    await CALL_FLOWS.create(here.scope, {"name": "flood", "definition": saying("draft")})
    assert await here.flow_of() is Unregistered
    await there.publish("theirs")
    assert await here.flow_of() is Unregistered
    assert await there.words_of() == "theirs"


async def test_a_version_that_this_release_cannot_read_fails_alone(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    here = await office(store)
    await here.publish("one")
    await here.publish("two")
    newest = (await here.scope.view.find("call_flow_versions", {}, sort=(("published_at", -1),)))[0]
    await here.scope.view.update_one("call_flow_versions", {"_id": newest["_id"]}, {"$set": {"definition.steps": 7}})
    assert await here.flow_of() is Unregistered
    assert f"version 2 of call flow flood of account {here.account_id}" in caplog.text
    assert await here.words_of(version=1) == "one"


async def test_a_flow_that_dials_knows_the_numbers_that_its_account_allows_now(store: Store) -> None:
    here = await office(store)
    number = "+85512345678"
    await store.all_tenants.update_one(
        "accounts", {"_id": here.account_id}, {"$set": {f"settings.{DIAL_ALLOW_LIST}": [number]}}
    )
    await here.publish("one", name="hotline", dial=number)
    await here.publish("two")
    settings = (await here.flows.of_call(here.account_id, "hotline")).settings
    assert settings.may_dial(number)
    assert not (await here.flows.of_call(here.account_id, "flood")).settings.may_dial(number)
    await store.all_tenants.update_one(
        "accounts", {"_id": here.account_id}, {"$set": {f"settings.{DIAL_ALLOW_LIST}": []}}
    )
    here.flows.forget()
    assert not (await here.flows.of_call(here.account_id, "hotline")).settings.may_dial(number)
