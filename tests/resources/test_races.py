"""Whatever comes at the same time: one of a kind is made, no change is lost, and no reference is left to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

import pytest

from scfm.calls.create_inbound_call import create_inbound_call, find_contact
from scfm.calls.find_call import find_call
from scfm.calls.move_call import move_call
from scfm.calls.record_event import event_document, record_with_new_call
from scfm.contacts_bulk.bulk_import import import_slots
from scfm.contacts_bulk.import_contacts import ContactImport
from scfm.contacts_bulk.text_lines import Row
from scfm.errors import Invalid, NotFound
from scfm.models import references
from scfm.models import resource as resource_module
from scfm.models.access_token import ACCESS_TOKENS
from scfm.models.account import ACCOUNTS
from scfm.models.batch_operation import BATCH_OPERATIONS, TYPES
from scfm.models.batch_operations import create_missing, operation_links
from scfm.models.call_reports import reported_status
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.contact import CONTACTS
from scfm.models.declaration import initial_fields
from scfm.models.fields import Rules
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.references import insert_unconfirmed
from scfm.models.registry import RESOURCES
from scfm.models.remote_phone_call_event import REMOTE_PHONE_CALL_EVENTS
from scfm.models.resource import Resource
from scfm.models.scope import Client as Asking
from scfm.models.scope import Scope
from scfm.models.user import USERS
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from tests.resources.conftest import make
from tests.server import Answer, Client
from tests.workers.webhooks import webhook

AT_ONCE = 50
ROUNDS = 20
PARAMS = {"remote_request_params": {"from": "1234"}}
ALICE = "+252662345678"
INBOUND = {"CallSid": "CA2", "CallStatus": "ringing", "Direction": "inbound", "From": ALICE}
REPORT = {"CallSid": "CA1", "CallStatus": "ringing", "Direction": "outbound-api"}
# The runs here are of an operation that is not stored.
OF_OPERATIONS = {"callout_population_id", *operation_links.LINKS.values()}


# One of a kind


def at_once(ask: Callable[[int], Answer], times: int = AT_ONCE) -> list[Answer]:
    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(ask, range(times)))


def one_was_made(answers: Sequence[Answer], errors: dict[str, list[str]]) -> None:
    assert sorted(answer.status for answer in answers) == [201] + [422] * (len(answers) - 1)
    assert all(answer.json == {"errors": errors} for answer in answers if answer.status == 422)


def test_of_fifty_who_create_one_contact_one_succeeds(api: Client) -> None:
    spellings = [ALICE, "252 66-(2)-345-678", "00252662345678"]
    answers = at_once(lambda number: api.post("/api/contacts", json={"msisdn": spellings[number % 3]}))
    one_was_made(answers, {"msisdn": ["has already been taken"]})
    assert api.get("/api/contacts").headers["Total"] == "1"


def test_of_fifty_who_add_one_contact_to_a_callout_one_succeeds(api: Client) -> None:
    contact = make(api, "/api/contacts", msisdn=ALICE)
    path = f"/api/callouts/{make(api, '/api/callouts')}/callout_participations"
    answers = at_once(lambda _: api.post(path, json={"contact_id": contact}))
    assert sorted(answer.status for answer in answers) == [201] + [422] * (AT_ONCE - 1)
    refused = [answer.json["errors"] for answer in answers if answer.status == 422]
    assert all(errors.keys() <= {"contact_id", "msisdn"} for errors in refused)
    assert all(messages == ["has already been taken"] for errors in refused for messages in errors.values())
    assert api.get(path).headers["Total"] == "1"


def test_of_fifty_who_take_one_number_in_a_callout_one_succeeds(api: Client) -> None:
    contacts = [make(api, "/api/contacts", msisdn=f"+2526623450{number:02d}") for number in range(AT_ONCE)]
    path = f"/api/callouts/{make(api, '/api/callouts')}/callout_participations"
    answers = at_once(lambda number: api.post(path, json={"contact_id": contacts[number], "msisdn": ALICE}))
    one_was_made(answers, {"msisdn": ["has already been taken"]})


def test_of_five_who_register_one_address_one_succeeds(api: Client, stranger: Client) -> None:
    address = f"race{api.get('/api/account').json['id']}@example.org"
    spellings = [address, address.upper(), f" {address} "]

    def register(number: int) -> Answer:
        fields = {"email": spellings[number % 3], "password": "long enough"}
        return (api, stranger)[number % 2].post("/api/users", json=fields)

    one_was_made(at_once(register, 5), {"email": ["has already been taken"]})


@pytest.mark.parametrize("mode", ["merge", "deep_merge"])
def test_of_many_updates_of_one_document_none_is_lost(api: Client, mode: str) -> None:
    contact = make(api, "/api/contacts", msisdn=ALICE)

    def note(number: int) -> Answer:
        metadata = {f"key{number}": number} if mode == "merge" else {"a": {f"key{number}": number}}
        return api.patch(f"/api/contacts/{contact}", json={"metadata": metadata, "metadata_merge_mode": mode})

    assert {answer.status for answer in at_once(note, 20)} == {204}
    metadata = api.get(f"/api/contacts/{contact}").json["metadata"]
    assert (metadata if mode == "merge" else metadata["a"]) == {f"key{number}": number for number in range(20)}


# No reference to nothing: two at a time, in any order of their steps


class Turnstile:
    """Lets one of two who do something at the same time take the next step.

    The order is drawn from a seed; in some one is much faster than the other, in some they keep pace.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._pace = self._random.random()
        self._under_way = {0, 1}
        self._waiting: dict[int, list[asyncio.Future[None]]] = {0: [], 1: []}

    async def step(self, actor: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[actor].append(turn)
        self._next()
        await turn

    async def through(self, actor: int, deed: Awaitable[Any]) -> Any:
        try:
            return await deed
        except (Invalid, NotFound) as refused:
            return refused
        finally:
            self._under_way.remove(actor)
            self._next()

    def _next(self) -> None:
        """When all who are still under way wait, let one go."""
        waiting = [actor for actor, turns in self._waiting.items() if turns]
        if waiting and self._under_way == set(waiting):
            drawn = int(self._random.random() < self._pace)
            turns = self._waiting[drawn if drawn in waiting else waiting[0]]
            turns.pop(0).set_result(None)
            if turns:  # who takes two steps at a time may not take another before both are taken
                asyncio.get_running_loop().call_later(0.001, self._next)


class SteppingView(TenantView):
    """A view whose every round trip is a step."""

    turnstile: Turnstile
    actor: int


def _stepped(name: str) -> Any:
    operation = getattr(TenantView, name)

    async def step(self: SteppingView, *given: Any, **named: Any) -> Any:
        await self.turnstile.step(self.actor)
        return await operation(self, *given, **named)

    return step


READS = ("find_one", "find", "exists", "is_taken", "first_by", "all_with_references")
WRITES = ("update_batched", "insert", "insert_many", "update_one", "update_many", "remove")
for name in (*READS, *WRITES):
    setattr(SteppingView, name, _stepped(name))


def stepping(store: Store, account: int | None, turnstile: Turnstile, actor: int) -> TenantView:
    """The view of one account, or, for None, of all."""
    view = SteppingView(store.backend, account)
    view.turnstile, view.actor = turnstile, actor
    return view


@dataclass
class House:
    """An account with one of everything that the others may refer to; nothing of it is used by anything yet."""

    view: TenantView
    account: int
    contact: int
    callout: int
    operation: Document

    def scope(self, view: TenantView) -> Scope:
        return Scope(view, Rules(), Asking(self.account, 1, super_admin=True))

    @classmethod
    async def build(cls, store: Store, *, furnished: bool) -> House:
        all_tenants = Scope(store.all_tenants, Rules(), Asking(1, 1))
        account = (await ACCOUNTS.create(all_tenants, {}))["_id"]
        view = store.for_account(account)
        house = cls(view, account, 0, 0, {"_id": 0})
        if furnished:
            scope = house.scope(view)
            house.contact = (await CONTACTS.create(scope, {"msisdn": ALICE}))["_id"]
            house.callout = (await CALLOUTS.create(scope, {}))["_id"]
            house.operation = {"_id": account, "callout_id": house.callout, "parameters": PARAMS}
        return house

    async def participation(self, view: TenantView) -> Document:
        given = {"contact_id": self.contact}
        return await CALLOUT_PARTICIPATIONS.create(self.scope(view), given, callout_id=self.callout)

    async def phone_call(self, view: TenantView, participation: Document) -> Document:
        known = {name: participation[name] for name in ("callout_id", "contact_id")}
        known["callout_participation_id"] = participation["_id"]
        return await PHONE_CALLS.create(self.scope(view), dict(PARAMS), **known)

    async def contact_document(self) -> Document:
        return await self.view.get("contacts", self.contact)


@dataclass(frozen=True)
class Race:
    """What is deleted, and what is done to it meanwhile; both get the house, and what ``prepare`` made."""

    owner: Resource
    prepare: Callable[[House], Awaitable[Document]]
    deed: Callable[[House, Document, TenantView], Awaitable[Any]]
    # What is there when the deed was done: documents of a collection that name the owner in a field.
    collection: str
    field: str
    # Whether who does it is told when it cannot be done.
    told: bool = True


async def contact_of(house: House) -> Document:
    return await house.contact_document()


async def callout_of(house: House) -> Document:
    return await house.view.get("callouts", house.callout)


async def account_of(house: House) -> Document:
    return await house.view.get("accounts", house.account)


async def participation_of(house: House) -> Document:
    return await house.participation(house.view)


async def phone_call_of(house: House) -> Document:
    return await house.phone_call(house.view, await participation_of(house))


def empty_event(house: House, call: Document) -> Document:
    empty = initial_fields(REMOTE_PHONE_CALL_EVENTS)
    return {**empty, "phone_call_id": call["_id"]}


def create(resource: Resource, **given: Any) -> Callable[[House, Document, TenantView], Awaitable[Any]]:
    return lambda house, _, view: resource.create(house.scope(view), dict(given))


async def queue(house: House, subject: Document, owner: Resource, view: TenantView) -> None:
    await owner.fire(house.scope(view), subject["_id"], "queue")


async def delete(house: House, view: TenantView) -> None:
    await references.delete(CONTACTS, house.scope(view), house.contact)


async def event_of(view: TenantView, call: Document, details: dict[str, str]) -> Document:
    (number,) = await view.counters.ids(REMOTE_PHONE_CALL_EVENTS.kind).allocate(1)
    return event_document(webhook(view.account_id, details), call, "Flow", number)


async def report(_: House, call: Document, view: TenantView) -> None:
    event = await insert_unconfirmed(REMOTE_PHONE_CALL_EVENTS, view, await event_of(view, call, REPORT))
    await move_call(view, call, reported_status(REPORT), event)


async def call_in(_: House, __: Document, view: TenantView) -> None:
    contact = await find_contact(view, INBOUND["From"])
    call = (await create_inbound_call(view, webhook(view.account_id, INBOUND), "Flow", contact)).call
    event = await record_with_new_call(view, await event_of(view, call, INBOUND), call)
    if event is None:
        raise NotFound
    await move_call(view, call, reported_status(INBOUND), event)


async def import_contact(house: House, _: Document, view: TenantView) -> None:
    importing = ContactImport(view, "merge", import_slots())
    await importing.add(Row(1, ALICE, {}, 1))
    await importing.flush()


RACES = {
    "contact, participation": Race(
        CONTACTS, contact_of, lambda house, _, view: house.participation(view), "callout_participations", "contact_id"
    ),
    "callout, participation": Race(
        CALLOUTS, callout_of, lambda house, _, view: house.participation(view), "callout_participations", "callout_id"
    ),
    "callout, batch operation": Race(
        CALLOUTS,
        callout_of,
        lambda house, callout, view: BATCH_OPERATIONS.create(
            house.scope(view), {"type": operation_links.POPULATION}, callout_id=callout["_id"]
        ),
        "batch_operations",
        "callout_id",
    ),
    "contact, run of a population": Race(
        CONTACTS,
        contact_of,
        lambda house, contact, view: TYPES[operation_links.POPULATION].act(
            view, house.operation, [contact], asyncio.Lock()
        ),
        "callout_participations",
        "contact_id",
        told=False,
    ),
    "participation, phone call": Race(
        CALLOUT_PARTICIPATIONS,
        participation_of,
        lambda house, participation, view: house.phone_call(view, participation),
        "phone_calls",
        "callout_participation_id",
    ),
    "participation, run that creates calls": Race(
        CALLOUT_PARTICIPATIONS,
        participation_of,
        lambda house, participation, view: TYPES[operation_links.CREATE].act(
            view, house.operation, [participation], asyncio.Lock()
        ),
        "phone_calls",
        "callout_participation_id",
        told=False,
    ),
    "phone call, event of the provider": Race(
        PHONE_CALLS,
        phone_call_of,
        lambda house, call, view: REMOTE_PHONE_CALL_EVENTS.insert(view, empty_event(house, call)),
        "remote_phone_call_events",
        "phone_call_id",
    ),
    "phone call, report of the provider": Race(
        PHONE_CALLS,
        phone_call_of,
        report,
        "remote_phone_call_events",
        "phone_call_id",
    ),
    "account, new caller": Race(ACCOUNTS, account_of, call_in, "contacts", "account_id"),
    "account, access token": Race(ACCOUNTS, account_of, create(ACCESS_TOKENS), "access_tokens", "account_id"),
    "account, contact": Race(ACCOUNTS, account_of, create(CONTACTS, msisdn=ALICE), "contacts", "account_id"),
    "account, import": Race(ACCOUNTS, account_of, import_contact, "contacts", "account_id"),
    "account, callout": Race(ACCOUNTS, account_of, create(CALLOUTS), "callouts", "account_id"),
    "account, batch operation": Race(
        ACCOUNTS,
        account_of,
        create(BATCH_OPERATIONS, type=operation_links.QUEUE, skip_validate_preview_presence=True),
        "batch_operations",
        "account_id",
    ),
    "account, user": Race(
        ACCOUNTS, account_of, create(USERS, email="race@example.org", password="long enough"), "users", "account_id"
    ),
}


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for another looks again at once: the order is drawn, not timed."""
    for module in (references, resource_module, create_missing):
        monkeypatch.setattr(module, "DELETION_LOOK_SECONDS", 0)


async def test_a_caller_whose_contact_is_deleted_meanwhile_has_a_contact_and_a_call(store: Store) -> None:
    deleted = 0
    for seed in range(ROUNDS):
        house = await House.build(store, furnished=True)
        refused = await raced(store, house, seed, CONTACTS, house.contact, partial(called_in, house))
        contact = await house.view.find_one("contacts", {"msisdn": ALICE})
        call = await house.view.find_one("phone_calls", {"remote_call_id": "CA2"})
        event = await house.view.find_one("remote_phone_call_events", {"remote_call_id": "CA2"})
        assert contact and call and event
        assert (call["contact_id"], event["contact_id"], event["phone_call_id"]) == (
            contact["_id"],
            contact["_id"],
            call["_id"],
        )
        assert await house.view.list_of(REMOTE_PHONE_CALL_EVENTS.query()).count() == 1
        assert refused == [contact["_id"] == house.contact, False]
        deleted += contact["_id"] != house.contact
    assert await dangling(store) == []
    assert 0 < deleted < ROUNDS


async def test_a_call_of_a_contact_that_has_just_gone_is_taken_back_with_its_event(store: Store) -> None:
    house = await House.build(store, furnished=True)
    view = house.view
    contact = await find_contact(view, INBOUND["From"])
    assert contact is not None
    await delete(house, view)
    call = (await create_inbound_call(view, webhook(view.account_id, INBOUND), "Flow", contact)).call
    assert await record_with_new_call(view, await event_of(view, call, INBOUND), call) is None
    assert await view.find("phone_calls", {}) == await view.find("remote_phone_call_events", {}) == []
    await called_in(house, view)
    assert await dangling(store) == []
    assert await view.exists("remote_phone_call_events", {"remote_call_id": "CA2"})


async def called_in(house: House, view: TenantView) -> None:
    """As the webhook does it: what did not stand is tried again."""
    while True:
        known = await find_call(view, webhook(view.account_id, INBOUND))
        if known is not None:
            event = await insert_unconfirmed(
                REMOTE_PHONE_CALL_EVENTS, view, await event_of(view, known.call, INBOUND)
            )
            return await move_call(view, known.call, reported_status(INBOUND), event)
        with suppress(NotFound):
            return await call_in(house, {}, view)


async def raced(store: Store, house: House, seed: int, owner: Resource, number: int, deed: Any) -> list[bool]:
    """Delete a document while DEED is done to it; whether each was told that it could not be."""
    turnstile = Turnstile(seed)
    deleting = stepping(store, house.account if owner.tenant else None, turnstile, 0)
    doing = stepping(store, house.account, turnstile, 1)
    scope = house.scope(deleting)
    answers = await asyncio.gather(
        turnstile.through(0, references.delete(owner, scope, number)), turnstile.through(1, deed(doing))
    )
    return [isinstance(answer, Invalid | NotFound) for answer in answers]


async def dangling(store: Store) -> list[tuple[str, int, str]]:
    """Every reference to nothing: (collection, id, field)."""
    found = []
    for owner in RESOURCES:
        there = {one["_id"] for one in await store.all_tenants.find(owner.collection, {}, fields=["_id"])}
        for guard in owner.guards:
            for one in await store.all_tenants.find(guard.collection, {guard.field: {"$ne": None}}):
                if one[guard.field] not in there and guard.field not in OF_OPERATIONS:
                    found.append((guard.collection, one["_id"], guard.field))
    return found


@pytest.mark.parametrize("race", RACES.values(), ids=RACES.keys())
async def test_a_document_is_deleted_or_used_and_never_both(store: Store, race: Race) -> None:
    deleted = 0
    rounds = 2 if race.owner is ACCOUNTS and race.collection == "users" else ROUNDS
    for seed in range(rounds):
        house = await House.build(store, furnished=race.owner is not ACCOUNTS)
        subject = await race.prepare(house)
        refused = await raced(store, house, seed, race.owner, subject["_id"], partial(race.deed, house, subject))
        gone = not await store.all_tenants.exists(race.owner.collection, {"_id": subject["_id"]})
        used = await store.all_tenants.exists(race.collection, {race.field: subject["_id"]})
        assert (gone, used) == (not refused[0], refused[0]), seed
        assert refused[1] == (gone and race.told), seed
        deleted += gone
    assert await dangling(store) == []
    assert rounds < ROUNDS or 0 < deleted < rounds  # else the order would not matter


@pytest.mark.parametrize("owner", [PHONE_CALLS, BATCH_OPERATIONS], ids=["phone call", "batch operation"])
async def test_what_is_queued_is_not_deleted_and_what_is_deleted_not_queued(store: Store, owner: Resource) -> None:
    deleted = 0
    for seed in range(ROUNDS):
        house = await House.build(store, furnished=True)
        if owner is PHONE_CALLS:
            subject = await phone_call_of(house)
        else:
            given = {"type": operation_links.POPULATION, "callout_id": house.callout}
            subject = await BATCH_OPERATIONS.create(house.scope(house.view), given)
        number = subject["_id"]
        await raced(store, house, seed, owner, number, partial(queue, house, subject, owner))
        left = await house.view.find_one(owner.collection, {"_id": number})
        assert left is None or (left["status"], left.get("_deleting")) == ("queued", None), seed
        deleted += left is None
    assert 0 < deleted < ROUNDS


async def test_of_two_who_delete_one_document_one_succeeds(store: Store) -> None:
    for seed in range(20):
        house = await House.build(store, furnished=True)
        await raced(
            store,
            house,
            seed,
            CONTACTS,
            house.contact,
            partial(delete, house),
        )
        assert not await house.view.exists("contacts", {})
