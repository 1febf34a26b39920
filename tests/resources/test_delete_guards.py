"""What keeps a document from being deleted, which of several is named, and what is left of those who died halfway."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from scfm.clock import now
from scfm.errors import Invalid, Unavailable
from scfm.models import references
from scfm.models.account import ACCOUNTS
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.contact import CONTACTS
from scfm.models.fields import Rules
from scfm.models.references import DELETIONS
from scfm.models.scope import Client as Asking
from scfm.models.scope import Scope
from scfm.storage.store import Store
from scfm.workers.sweep_deletions import SweepDeletions
from tests.resources.conftest import Documents, make
from tests.server import Answer, Client

ALICE = "+252662345678"
PARAMS = {"remote_request_params": {"from": "1234"}}
SKIP = {"skip_validate_preview_presence": True}


def refused(answer: Answer) -> str:
    """What the record could not be deleted because of."""
    assert answer.status == 422, answer
    (message,) = answer.json["errors"]["base"]
    return str(message).removeprefix("Cannot delete record because ")


def called(api: Client) -> dict[str, str]:
    """A contact in a callout, with a phone call: the paths of each."""
    callout = make(api, "/api/callouts")
    contact = make(api, "/api/contacts", msisdn=ALICE)
    part = make(api, f"/api/callouts/{callout}/callout_participations", contact_id=contact)
    call = make(api, f"/api/callout_participations/{part}/phone_calls", **PARAMS)
    return {
        "callout": f"/api/callouts/{callout}",
        "contact": f"/api/contacts/{contact}",
        "participation": f"/api/callout_participations/{part}",
        "call": f"/api/phone_calls/{call}",
    }


def number_of(path: str) -> int:
    return int(path.rpartition("/")[2])


def test_a_chain_is_deleted_from_its_end(api: Client) -> None:
    paths = called(api)
    operation = f"/api/batch_operations/{make(api, '/api/batch_operations', type='BatchOperation::PhoneCallQueue')}"
    assert refused(api.delete(paths["contact"])) == "dependent callout participations exist"
    assert refused(api.delete(paths["callout"])) == "dependent callout participations exist"
    assert refused(api.delete(paths["participation"])) == "dependent phone calls exist"
    for name in ("call", "participation", "contact", "callout"):
        assert api.delete(paths[name]).status == 204, name
        assert api.get(paths[name]).status == 404
        assert api.delete(paths[name]).status == 404
    assert api.delete(operation).status == 204


def test_of_several_kinds_the_first_is_named(api: Client) -> None:
    paths = called(api)
    population = {"type": "BatchOperation::CalloutPopulation"}
    operation = make(api, f"{paths['callout']}/batch_operations", **population)
    assert refused(api.delete(paths["callout"])) == "dependent callout participations exist"
    assert api.delete(paths["call"]).status == api.delete(paths["participation"]).status == 204
    assert refused(api.delete(paths["callout"])) == "dependent batch operations exist"
    assert api.delete(f"/api/batch_operations/{operation}").status == api.delete(paths["callout"]).status == 204


def test_a_contact_that_called_in_is_kept_by_its_phone_call(api: Client, database: Documents) -> None:
    paths = called(api)
    change = {"$set": {"callout_participation_id": None, "callout_id": None}}
    database["phone_calls"].update_one({"_id": number_of(paths["call"])}, change)
    assert api.delete(paths["participation"]).status == 204
    assert refused(api.delete(paths["contact"])) == "dependent phone calls exist"


@pytest.mark.parametrize("status", ["queued", "remotely_queued", "errored", "in_progress", "completed"])
def test_a_call_that_is_not_new_says_so_unless_events_hold_it_first(
    api: Client, database: Documents, status: str
) -> None:
    path = called(api)["call"]
    database["phone_calls"].update_one({"_id": number_of(path)}, {"$set": {"status": status}})
    assert refused(api.delete(path)) == f"status is {status}"
    account = api.get("/api/account").json["id"]
    event = {"_id": number_of(path), "account_id": account, "phone_call_id": number_of(path)}
    database["remote_phone_call_events"].insert_one(event)
    assert refused(api.delete(path)) == "dependent remote phone call events exist"
    database["remote_phone_call_events"].delete_one({"_id": event["_id"]})


@pytest.mark.parametrize("link", ["create", "queue", "queue_remote_fetch"])
def test_an_operation_is_kept_by_what_it_made_or_queued(api: Client, database: Documents, link: str) -> None:
    call = called(api)["call"]
    number = make(api, "/api/batch_operations", type="BatchOperation::PhoneCallQueue", **SKIP)
    of_call = {"_id": number_of(call)}
    database["phone_calls"].update_one(of_call, {"$set": {f"{link}_batch_operation_id": number}})
    assert refused(api.delete(f"/api/batch_operations/{number}")) == "dependent phone calls exist"
    database["phone_calls"].update_one(of_call, {"$set": {f"{link}_batch_operation_id": None}})
    assert api.delete(f"/api/batch_operations/{number}").status == 204


@pytest.mark.parametrize("status", ["queued", "running"])
def test_an_operation_under_way_is_not_deleted(api: Client, database: Documents, status: str) -> None:
    number = make(api, "/api/batch_operations", type="BatchOperation::PhoneCallQueue", **SKIP)
    database["batch_operations"].update_one({"_id": number}, {"$set": {"status": status}})
    assert refused(api.delete(f"/api/batch_operations/{number}")) == f"status is {status}"


@pytest.mark.parametrize(
    "kinds",
    [
        ["access_tokens", "users", "contacts", "callouts", "batch_operations"],
        ["users", "contacts", "callouts", "batch_operations"],
        ["contacts", "callouts", "batch_operations"],
        ["callouts", "batch_operations"],
        ["batch_operations"],
        [],
    ],
)
async def test_an_account_is_kept_by_the_first_of_what_it_has(store: Store, kinds: list[str]) -> None:
    scope = Scope(store.all_tenants, Rules(), Asking(1, 1, super_admin=True))
    number = (await ACCOUNTS.create(scope, {}))["_id"]
    for kind in kinds:
        await store.for_account(number).insert(kind, {"account_id": number, "digest": kind, "email": kind}, kind)
    if not kinds:
        await references.delete(ACCOUNTS, scope, number)
        assert not await store.all_tenants.exists("accounts", {"_id": number})
        return
    with pytest.raises(Invalid) as refusal:
        await references.delete(ACCOUNTS, scope, number)
    message = f"Cannot delete record because dependent {kinds[0].replace('_', ' ')} exist"
    assert refusal.value.errors == {"base": [message]}
    assert await store.all_tenants.exists("accounts", {"_id": number, "_deleting": None})


# Processes that died halfway


async def furnished(store: Store) -> tuple[Scope, int, int]:
    """An account's scope, a contact and a callout of its own."""
    all_tenants = Scope(store.all_tenants, Rules(), Asking(1, 1))
    account = (await ACCOUNTS.create(all_tenants, {}))["_id"]
    scope = Scope(store.for_account(account), Rules(), Asking(account, 1))
    contact = await CONTACTS.create(scope, {"msisdn": ALICE})
    return scope, contact["_id"], (await CALLOUTS.create(scope, {}))["_id"]


async def take_part(scope: Scope, contact: int, callout: int) -> Any:
    return await CALLOUT_PARTICIPATIONS.create(scope, {"contact_id": contact}, callout_id=callout)


async def test_a_deletion_that_nobody_ends_is_forgotten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    scope, contact, callout = await furnished(store)
    monkeypatch.setattr(references, "DELETION_LEASE", timedelta(seconds=-1))
    token = await references.mark_deleting(scope.view, "contacts", contact)
    assert (await take_part(scope, contact, callout))["contact_id"] == contact
    # Should it go on after all, it finds its mark gone.
    assert await scope.view.remove("contacts", {"_id": contact, "_deleting.token": token}) == 0
    with pytest.raises(Invalid):
        await references.delete(CONTACTS, scope, contact)


async def test_who_meets_a_deletion_waits_for_its_end_and_not_for_ever(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope, contact, callout = await furnished(store)
    await references.mark_deleting(scope.view, "contacts", contact)
    for name, value in (("MAX_DELETION_LOOKS", 3), ("DELETION_LOOK_SECONDS", 0)):
        monkeypatch.setattr(references, name, value)
        monkeypatch.setattr(f"scfm.models.resource.{name}", value)
    with pytest.raises(Unavailable):
        await take_part(scope, contact, callout)
    assert not await scope.view.exists("callout_participations", {})
    with pytest.raises(Unavailable):
        await references.delete(CONTACTS, scope, contact)


async def test_a_reference_stored_by_who_died_before_looking_is_swept_away(store: Store) -> None:
    scope, contact, callout = await furnished(store)
    await references.delete(CONTACTS, scope, contact)
    view = scope.view
    late = {"contact_id": contact, "callout_id": callout, "msisdn": ALICE, "call_flow_logic": None, "metadata": {}}
    await view.insert("callout_participations", late, "callout_participation")
    job = SweepDeletions(store)
    assert await job.claim(10) == []  # a request of that time may still be under way
    await store.all_tenants.update_many(DELETIONS, {}, {"$set": {"due": now() - timedelta(seconds=1)}})
    (item,) = await job.claim(10)
    await job.process(item)
    assert not await view.exists("callout_participations", {})
    assert await job.claim(10) == []


async def test_a_sweep_leaves_what_was_not_deleted_after_all(store: Store) -> None:
    scope, contact, callout = await furnished(store)
    participation = await take_part(scope, contact, callout)
    await references.record_deletion(scope.view, "token", "contacts", contact)
    await store.all_tenants.update_many(DELETIONS, {}, {"$set": {"due": now() - timedelta(seconds=1)}})
    job = SweepDeletions(store)
    for item in await job.claim(10):
        await job.process(item)
    assert await scope.view.exists("callout_participations", {"_id": participation["_id"]})
