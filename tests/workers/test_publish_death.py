"""A process that publishes, renames or deletes a call flow is ended between any two of its steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from scfm.errors import Invalid, NotFound
from scfm.models import call_flow_publication, references
from scfm.models.call_flow import CALL_FLOWS
from scfm.models.call_flow_publication import publish
from scfm.models.call_flow_version import VERSIONS
from scfm.models.callout import CALLOUTS
from scfm.models.fields import Rules
from scfm.models.scope import Client, Scope
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.twiml.flow import FlowSettings
from tests.workers.background import account
from tests.workers.mortal import dies

MAX_STEPS = 80
SETTINGS = FlowSettings()


def saying(words: str) -> Document:
    """A definition that says WORDS and hangs up."""
    return {"languages": ["en"], "start": "hello", "steps": {"hello": {"say": {"en": words}, "hang_up": True}}}


def scope(store: Store, account_id: int, **request: Any) -> Scope:
    return Scope(store.for_account(account_id), Rules(), Client(account_id, 1), **request)


async def versions(here: Scope, flow_id: int) -> list[str]:
    """What the versions of a flow say, the oldest first; each is there."""
    flow = await here.view.get("call_flows", flow_id)
    stored = {one["_id"]: one for one in await here.view.find("call_flow_versions", {"call_flow_id": flow_id})}
    assert [one["version"] for one in flow[VERSIONS]] == list(range(1, len(flow[VERSIONS]) + 1))
    assert flow["version"] == (len(flow[VERSIONS]) or None)
    return [stored[one["document"]]["definition"]["steps"]["hello"]["say"]["en"] for one in flow[VERSIONS]]


def publishing(owner: int, flow: int, request: str) -> Callable[[Store], Awaitable[Any]]:
    return lambda store: publish(scope(store, owner, request=request), flow, SETTINGS)


async def test_a_publish_is_done_or_not_wherever_its_process_dies(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_flow_publication, "LEFTOVER_AGE", timedelta(0))
    owner = await account(store)
    for step in range(1, MAX_STEPS):
        here = scope(store, owner)
        flow = (await CALL_FLOWS.create(here, {"name": f"flow-{step}", "definition": saying("one")}))["_id"]
        await publish(here, flow, SETTINGS)
        await CALL_FLOWS.update(here, flow, {"definition": saying("two")})
        request = f"publish-{step}"
        life = await dies(store, step, publishing(owner, flow, request))
        assert await versions(here, flow) in (["one"], ["one", "two"])
        # The client sends it again, and so does another who is late.
        retry = replace(here, request=request, is_retry=True)
        for _ in range(2):
            assert (await publish(retry, flow, SETTINGS))["version"] == 2
        assert await versions(here, flow) == ["one", "two"]
        # What was left behind goes with the next publish.
        await CALL_FLOWS.update(here, flow, {"definition": saying("three")})
        await publish(here, flow, SETTINGS)
        assert await versions(here, flow) == ["one", "two", "three"]
        assert len(await here.view.find("call_flow_versions", {"call_flow_id": flow})) == 3
        if not life.over:
            break
    assert not life.over and step > 8


async def test_a_flow_is_deleted_with_its_versions_wherever_its_process_dies(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "DELETION_LEASE", timedelta(0))
    owner = await account(store)
    for step in range(1, MAX_STEPS):
        here = scope(store, owner)
        flow = (await CALL_FLOWS.create(here, {"name": f"flow-{step}", "definition": saying("one")}))["_id"]
        await publish(here, flow, SETTINGS)
        life = await dies(
            store, step, lambda mortal, flow=flow: references.delete(CALL_FLOWS, scope(mortal, owner), flow)
        )
        try:
            await references.delete(CALL_FLOWS, here, flow)
        except NotFound:  # it was done
            await references.remove_dangling(CALL_FLOWS, here.view, flow)  # as the sweep does
        assert not await here.view.exists("call_flows", {"_id": flow})
        assert await here.view.find("call_flow_versions", {"call_flow_id": flow}) == []
        if not life.over:
            break
    assert not life.over and step > 8


async def test_a_rename_is_done_or_not_and_never_beside_who_names_the_flow(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "DELETION_LEASE", timedelta(0))
    owner = await account(store)
    for step in range(1, MAX_STEPS):
        here = scope(store, owner)
        old, new = f"flow-{step}", f"renamed-{step}"
        flow = (await CALL_FLOWS.create(here, {"name": old, "definition": saying("one")}))["_id"]
        await publish(here, flow, SETTINGS)
        life = await dies(
            store,
            step,
            lambda mortal, flow=flow, new=new: CALL_FLOWS.update(scope(mortal, owner), flow, {"name": new}),
        )
        name = (await here.view.get("call_flows", flow))["name"]
        assert name in (old, new)
        await CALLOUTS.create(here, {"call_flow_logic": name})
        with pytest.raises(Invalid):
            await CALLOUTS.create(here, {"call_flow_logic": new if name == old else old})
        with pytest.raises(Invalid):
            await CALL_FLOWS.update(here, flow, {"name": "another"})
        if not life.over:
            break
    assert not life.over and step > 8
