"""A client reaches nothing of another account: by no route, no id, no reference and no filter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from twilio.request_validator import RequestValidator

from scfm.handlers.routes import routes
from scfm.models.registry import RESOURCES
from tests.resources.conftest import Documents, make
from tests.server import Answer, Client, Server, wait_until
from tests.sounds import sound, upload

MISSING = 999_999_999
SID, AUTH_TOKEN = "ACtenancy0000000000000000000000001", "the-victims-auth-token"
EVENTS = "/api/remote_phone_call_events"

TEMPLATES = sorted(spec.name for spec in routes() if spec.name is not None)
MEMBERS = [path for path in TEMPLATES if "{id}" in path]
COLLECTIONS = {resource.collection for resource in RESOURCES}
LISTS = [path for path in TEMPLATES if path.rpartition("/")[2] in COLLECTIONS]
VERBS = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE")
# What would do something at every route, if it got through.
BODY = {
    "msisdn": "+15550009999",
    "metadata": {"stolen": True},
    "event": "queue",
    "email": "thief@example.org",
    "password": "long enough",
    "type": "BatchOperation::CalloutPopulation",
    "remote_request_params": {"from": "1234"},
}


@dataclass
class World:
    """Everything that one account may have; ``ids`` by collection."""

    client: Client
    account_id: int
    number: str
    ids: dict[str, list[int]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def victim(server: Server, database: Documents) -> World:
    return populated(server, database, "+15550001111", SID)


@pytest.fixture(scope="module")
def thief(server: Server, database: Documents) -> World:
    return populated(server, database, "+15550002222", "ACtenancy0000000000000000000000002")


@pytest.fixture(autouse=True)
def untouched(victim: World, thief: World, database: Documents) -> Iterator[None]:
    """Whatever a test does, of the victim's documents it changes none."""
    before = dump(database, victim)
    yield
    assert dump(database, victim) == before


def populated(server: Server, database: Documents, number: str, sid: str) -> World:
    api = server.new_account()
    account = api.get("/api/account").json["id"]
    assert api.patch("/api/account", {"twilio_account_sid": sid, "twilio_auth_token": AUTH_TOKEN}).status == 204
    callout = make(api, "/api/callouts")
    contact = make(api, "/api/contacts", msisdn=number, metadata={"secret": "s3"})
    params = {"remote_request_params": {"from": "1234"}}
    make(api, f"/api/callouts/{callout}/batch_operations", type="BatchOperation::CalloutPopulation")
    participation = make(api, f"/api/callouts/{callout}/callout_participations", contact_id=contact)
    make(api, "/api/batch_operations", type="BatchOperation::PhoneCallCreate", parameters=params)
    make(api, f"/api/callout_participations/{participation}/phone_calls", **params)
    make(api, "/api/batch_operations", type="BatchOperation::PhoneCallQueue")
    make(api, "/api/batch_operations", type="BatchOperation::PhoneCallQueueRemoteFetch")
    make(api, "/api/users", email=f"user{account}@example.org", password="long enough")
    endpoint = make(api, "/api/webhook_endpoints", url="http://127.0.0.1:9/", event_types=["opt_out.created"])
    assert api.patch(f"/api/webhook_endpoints/{endpoint}", {"status": "disabled"}).status == 204
    make(api, "/api/opt_outs", msisdn=number)
    assert upload(api, sound()).status == 201
    definition = {"languages": ["en"], "start": "end", "steps": {"end": {"say": {"en": "Go."}, "hang_up": True}}}
    make(api, f"/api/call_flows/{make(api, '/api/call_flows', name='flood', definition=definition)}/publish")
    wait_until(lambda: not database["opt_outs"].count_documents({"_settle_from": {"$exists": True}}))
    ring(server, sid, number)
    world = World(api, account, number, {"accounts": [account]})
    for collection in {collection_of(path) for path in MEMBERS} - {"accounts"}:
        world.ids[collection] = [one["id"] for one in api.get(f"/api/{collection}").json]
    return world


def ring(server: Server, sid: str, number: str) -> None:
    """Somebody calls in."""
    form = {"AccountSid": sid, "CallSid": f"CA{sid}", "Direction": "inbound", "From": number, "CallStatus": "ringing"}
    assert report(server, form, AUTH_TOKEN).status == 201


def report(server: Server, form: dict[str, str], auth_token: str) -> Answer:
    signature = RequestValidator(auth_token).compute_signature(f"{server.url}{EVENTS}", form)
    return server.request("POST", EVENTS, form=form, headers={"X-Twilio-Signature": signature}, token="")


def dump(database: Documents, world: World) -> dict[str, list[dict[str, Any]]]:
    """Every document of the account, in every collection, and the account, but for when its tokens were used."""
    found = {
        name: list(database[name].find({"account_id": world.account_id}, {"last_used_at": 0}).sort("_id"))
        for name in database.list_collection_names()
    }
    return found | {"accounts": list(database["accounts"].find({"_id": world.account_id}))}


def same(one: Answer, other: Answer) -> bool:
    return (one.status, one.json) == (other.status, other.json)


def collection_of(path: str) -> str:
    return path.split("/")[2]


def test_the_victim_has_something_of_everything(victim: World) -> None:
    # Deliveries are listed under their endpoint alone.
    assert all(victim.ids.values()) and {*victim.ids, "webhook_deliveries"} == COLLECTIONS


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("path", MEMBERS)
def test_anothers_id_is_an_id_that_does_not_exist(path: str, verb: str, victim: World, thief: World) -> None:
    server, token = thief.client.server, thief.client.token
    body = BODY if verb.startswith("P") else None
    missing = server.request(verb, path.replace("{id}", str(MISSING)), json=body, token=token)
    # Accounts are a super admin's alone.
    assert missing.status == 404 or (missing.status, collection_of(path)) == (401, "accounts")
    for number in victim.ids[collection_of(path)]:
        tried = server.request(verb, path.replace("{id}", str(number)), json=body, token=token)
        assert same(tried, missing)
        assert tried.headers.get("Total") is None


@pytest.mark.parametrize("path", LISTS)
def test_a_list_has_and_counts_only_ones_own(path: str, victim: World, thief: World) -> None:
    for number in thief.ids[collection_of(path)]:
        query = f"account_id={victim.account_id}&q[account_id]={victim.account_id}&per_page=1000"
        listed = thief.client.get(f"{path.replace('{id}', str(number))}?{query}")
        if listed.status != 200:
            assert listed.status in (401, 404)
            continue
        ids = [one["id"] for one in listed.json]
        assert listed.headers["Total"] == str(len(ids))
        assert not set(ids) & set(victim.ids[path.rpartition("/")[2]])


@pytest.mark.parametrize("name", ["contact", "callout"])
def test_a_reference_to_anothers_document_is_one_to_nothing(name: str, victim: World, thief: World) -> None:
    def refer(number: Any) -> Answer:
        if name == "contact":
            path = f"/api/callouts/{thief.ids['callouts'][0]}/callout_participations"
            return thief.client.post(path, json={"contact_id": number})
        form = {"type": "BatchOperation::CalloutPopulation", "callout_id": number}
        return thief.client.post("/api/batch_operations", json=form)

    tried = refer(victim.ids[f"{name}s"][0])
    assert (tried.status, tried.json) == (422, {"errors": {name: ["must exist"]}})
    for nothing in (MISSING, "nonsense", None, [], {}, True, -1, 1.5, "1,2", 2**70):
        assert same(tried, refer(nothing)), nothing


@pytest.mark.parametrize(
    ("collection", "form"),
    [
        ("contacts", {"msisdn": "+15550003333"}),
        ("callouts", {}),
        ("access_tokens", {}),
        ("users", {"email": "own@example.org", "password": "long enough"}),
    ],
)
def test_an_account_id_says_nothing_to_a_client(
    collection: str, form: dict[str, Any], victim: World, thief: World, database: Documents
) -> None:
    path, named = f"/api/{collection}", {"account_id": victim.account_id}
    number = make(thief.client, f"{path}?account_id={victim.account_id}", **form, **named)
    assert thief.client.patch(f"{path}/{number}", json={**named, "metadata": {"a": 1}}).status == 204
    stored = database[collection].find_one({"_id": number})
    assert stored is not None and stored["account_id"] == thief.account_id
    assert thief.client.delete(f"{path}/{number}?account_id={victim.account_id}").status == 204


@pytest.mark.parametrize("name", ["callout_id", "contact_id", "phone_call_id", "callout_participation_id"])
def test_a_reference_that_may_not_be_set_is_ignored(name: str, victim: World, thief: World) -> None:
    form = {name: victim.ids[f"{name[:-3]}s"][0], "id": MISSING, "metadata": {"tried": name}}
    for collection in ("contacts", "callouts", "callout_participations", "phone_calls", "remote_phone_call_events"):
        path = f"/api/{collection}/{thief.ids[collection][0]}"
        before = thief.client.get(path).json
        if collection == "phone_calls":
            form["remote_request_params"] = before["remote_request_params"]
        assert thief.client.patch(path, json=form).status == 204
        changed = {key for key, value in thief.client.get(path).json.items() if value != before[key]}
        assert changed <= {"metadata", "updated_at"}


@pytest.mark.parametrize(
    ("collection", "filters"),
    [
        ("contacts", "q[msisdn]={number}"),
        ("callout_participations", "q[contact_id]={contact}"),
        ("callout_participations", "q[callout_id]={callout}&q[has_phone_calls]=true"),
        ("callout_participations", "q[msisdn]={number}&q[no_phone_calls_or_last_attempt]=created"),
        ("phone_calls", "q[callout_participation_id]={participation}"),
        ("phone_calls", "q[contact_id]={contact}"),
        ("phone_calls", f"q[remote_call_id]=CA{SID}"),
        ("remote_phone_call_events", "q[phone_call_id]={call}"),
        ("remote_phone_call_events", f"q[details][CallSid]=CA{SID}"),
    ],
)
def test_a_filter_finds_nothing_of_anothers(collection: str, filters: str, victim: World, thief: World) -> None:
    named = {
        "number": victim.number.replace("+", "%2B"),
        "contact": victim.ids["contacts"][0],
        "callout": victim.ids["callouts"][0],
        "participation": victim.ids["callout_participations"][0],
        "call": ",".join(map(str, victim.ids["phone_calls"])),
    }
    query = re.sub(r"{(\w+)}", lambda match: str(named[match[1]]), filters)
    own = victim.client.get(f"/api/{collection}?{query}")
    assert own.json and own.headers["Total"] == str(len(own.json))
    tried = thief.client.get(f"/api/{collection}?{query}")
    assert (tried.json, tried.headers["Total"]) == ([], "0")


def test_a_population_draws_from_ones_own_contacts_only(victim: World, thief: World) -> None:
    path = f"/api/callouts/{thief.ids['callouts'][0]}/batch_operations"
    for filters in ({"msisdn": victim.number}, {"id": victim.ids["contacts"]}, {}):
        parameters = {"contact_filter_params": filters}
        number = make(thief.client, path, type="BatchOperation::CalloutPopulation", parameters=parameters)
        run(thief.client, number)
        for listed in (f"{number}/preview/contacts", f"{number}/contacts"):
            contacts = thief.client.get(f"/api/batch_operations/{listed}")
            ids = {one["id"] for one in contacts.json}
            assert not ids & set(victim.ids["contacts"])
            assert contacts.headers["Total"] == str(len(ids))


@pytest.mark.parametrize("kind", ["PhoneCallCreate", "PhoneCallQueue", "PhoneCallQueueRemoteFetch"])
def test_an_operation_over_anothers_calls_has_nothing_to_do(kind: str, victim: World, thief: World) -> None:
    walks = "callout_participations" if kind == "PhoneCallCreate" else "phone_calls"
    filters: list[dict[str, Any]] = [
        {"callout_participation_filter_params": {"contact_id": victim.ids["contacts"][0]}},
        {"callout_participation_filter_params": {"callout_id": victim.ids["callouts"]}},
        {"callout_participation_filter_params": {"msisdn": victim.number, "has_phone_calls": "true"}},
    ]
    if walks == "phone_calls":
        filters.append({"phone_call_filter_params": {"contact_id": victim.ids["contacts"][0]}})
        filters.append({"phone_call_filter_params": {"remote_call_id": f"CA{SID}"}})
    for one in filters:
        params = {"remote_request_params": {"from": "1234"}} if walks == "callout_participations" else {}
        form = {"type": f"BatchOperation::{kind}", "parameters": {**params, **one}}
        refused = thief.client.post("/api/batch_operations", json=form)
        assert refused.json == {"errors": {f"{walks}_preview": ["can't be blank"]}}
        number = make(thief.client, "/api/batch_operations", **form, skip_validate_preview_presence=True)
        run(thief.client, number)
        for listed in (f"{number}/preview/{walks}", f"{number}/phone_calls"):
            answer = thief.client.get(f"/api/batch_operations/{listed}")
            assert (answer.json, answer.headers["Total"]) == ([], "0")


def run(api: Client, number: int) -> None:
    path = f"/api/batch_operations/{number}"
    assert api.post(f"{path}/batch_operation_events", {"event": "queue"}).status == 201
    wait_until(lambda: api.get(path).json["status"] == "finished")


def test_what_must_be_unique_in_an_account_may_be_in_two(victim: World, stranger: Client) -> None:
    assert stranger.post("/api/contacts", {"msisdn": victim.number}).status == 201
    assert stranger.post("/api/contacts", {"msisdn": victim.number}).status == 422


def test_a_webhook_signed_by_one_account_reaches_no_other(victim: World, thief: World, server: Server) -> None:
    assert thief.client.patch("/api/account", {"twilio_auth_token": "thief-auth-token"}).status == 204
    form = {"AccountSid": SID, "CallSid": f"CA{SID}", "Direction": "inbound", "From": victim.number}
    assert report(server, form, "thief-auth-token").status == 403
