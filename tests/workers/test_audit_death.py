"""A process is ended between any two steps of what is audited: no event tells of what has not happened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scfm.errors import Invalid
from scfm.models import references
from scfm.models.audit_trail import AuditTrail, Origin
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.contact import CONTACTS
from scfm.models.fields import Rules
from scfm.models.roles import Role
from scfm.models.scope import Client, Scope
from scfm.storage.query import Document
from scfm.storage.store import Store
from tests.workers.background import account
from tests.workers.mortal import dies

MAX_STEPS = 60
NUMBER = "+252662345678"


def scope(store: Store, account_id: int, client: Client | None = None, **request: Any) -> Scope:
    asking = client or Client(account_id, 1)
    origin = Origin(account_id, {"type": "access_token", "id": asking.token_id}, request=request.get("request"))
    return Scope(store.for_account(account_id), Rules(), asking, audit=AuditTrail(store, origin), **request)


async def told(here: Scope, kind: str, document_id: int | None = None) -> list[str]:
    """What has been recorded of documents of a kind."""
    among: Document = {"subject.type": kind, **({} if document_id is None else {"subject.id": document_id})}
    return [one["action"] for one in await here.view.find("audit_events", among)]


async def test_what_is_created_is_told_once_wherever_the_process_dies(store: Store) -> None:
    for step in range(1, MAX_STEPS):
        owner = await account(store)
        here, request = scope(store, owner), f"create-{step}"
        life = await dies(
            store,
            step,
            lambda mortal, owner=owner, request=request: CONTACTS.create(
                scope(mortal, owner, request=request), {"msisdn": NUMBER}
            ),
        )
        there = len(await here.view.find("contacts", {}))
        assert len(await told(here, "contact")) <= there <= 1
        again = scope(store, owner, request=request, is_retry=True)
        for _ in range(2):
            contact = await CONTACTS.create(again, {"msisdn": NUMBER})
        assert await told(here, "contact", contact["_id"]) == ["create"]
        assert len(await told(here, "contact")) == 1
        if not life.over:
            break
    assert not life.over and step > 6


async def test_an_event_is_told_once_wherever_the_process_dies(store: Store) -> None:
    for step in range(1, MAX_STEPS):
        owner = await account(store)
        here, request = scope(store, owner), f"start-{step}"
        callout = (await CALLOUTS.create(here, {}))["_id"]
        life = await dies(
            store,
            step,
            lambda mortal, owner=owner, request=request, callout=callout: CALLOUTS.fire(
                scope(mortal, owner, request=request), callout, "start"
            ),
        )
        moved = (await here.view.get("callouts", callout))["status"] == "running"
        assert (await told(here, "callout")).count("start") <= moved
        await CALLOUTS.fire(scope(store, owner, request=request, is_retry=moved), callout, "start")
        assert await told(here, "callout") == ["create", "start"]
        if not life.over:
            break
    assert not life.over and step > 4


async def test_what_is_not_deleted_is_not_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in range(1, MAX_STEPS):
        owner = await account(store)
        here = scope(store, owner)
        contact = (await CONTACTS.create(here, {"msisdn": NUMBER}))["_id"]
        life = await dies(
            store,
            step,
            lambda mortal, owner=owner, contact=contact: references.delete(CONTACTS, scope(mortal, owner), contact),
        )
        gone = not await here.view.exists("contacts", {"_id": contact})
        assert (await told(here, "contact")).count("delete") <= gone
        assert life.over or (await told(here, "contact")).count("delete") == 1
        if not life.over:
            break
    assert not life.over and step > 6


async def test_what_is_taken_back_is_told_as_deleted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = await account(store)
    here = scope(store, owner)
    contact = (await CONTACTS.create(here, {"msisdn": NUMBER}))["_id"]
    callout = (await CALLOUTS.create(here, {}))["_id"]
    insert = references.insert_unconfirmed

    async def inserted(resource: Any, view: Any, document: Any) -> Document:
        stored = await insert(resource, view, document)
        await view.remove("contacts", {"_id": contact})  # somebody has deleted it just before
        return stored

    monkeypatch.setattr("scfm.models.resource.insert_unconfirmed", inserted)
    with pytest.raises(Invalid):
        await CALLOUT_PARTICIPATIONS.create(here, {"contact_id": contact}, callout_id=callout)
    assert await here.view.find("callout_participations", {}) == []
    assert await told(here, "callout_participation") == ["create", "delete"]


async def test_an_approval_starts_or_does_not_wherever_the_process_dies(store: Store) -> None:
    owner = await account(store)
    writer = Client(owner, 1, approval_required=True)
    approver = replace(writer, token_id=2, role=Role.APPROVER)
    for step in range(1, MAX_STEPS):
        here = scope(store, owner, writer)
        callout = (await CALLOUTS.create(here, {"plan": {"audience": {}}}))["_id"]
        await CALLOUTS.fire(here, callout, "submit")
        life = await dies(
            store,
            step,
            lambda mortal, callout=callout: CALLOUTS.fire(scope(mortal, owner, approver), callout, "approve"),
        )
        stored = await here.view.get("callouts", callout)
        started = stored["status"] == "running"
        assert (stored["approval"]["status"], "_approved" in stored, "_run" in stored) == (
            "approved" if started else "submitted",
            started,
            started,
        )
        if not life.over:
            break
        if not started:
            assert (await CALLOUTS.fire(scope(store, owner, approver), callout, "approve"))["status"] == "running"
    assert not life.over and step > 4
