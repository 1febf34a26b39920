"""What is corrected before a call leaves is what the call goes by, in two servers over one database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from scfm.embedded_mongod.mongod import PrivateMongod
from tests.guide.provider import Provider
from tests.server import Client, Server, wait_until

SID, TOKEN = "AC" + "4" * 32, "right"
DATABASE = "changes"
PARAMS = {"from": "345", "url": "http://127.0.0.1:9/flow"}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider(SID, TOKEN) as provider:
        yield provider


@pytest.fixture(scope="module")
def servers(
    mongod: PrivateMongod, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Server]]:
    """Two processes; the first knows the super admin's token."""
    told = {
        "MONGODB_URI": mongod.uri,
        "MONGODB_DATABASE": DATABASE,
        "TWILIO_CLIENT_REST_API_BASE_URL": provider.url,
        "SWEEP_SECONDS": "0.1",
    }
    folder: Path = tmp_path_factory.mktemp("data")
    with Server(folder / "one", told) as one, Server(folder / "other", told) as other:
        yield one, other
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        client.drop_database(DATABASE)


def made(api: Client, path: str, **fields: Any) -> int:
    answer = api.post(path, json=fields)
    assert answer.status == 201, answer
    return int(answer.json["id"])


def call_to(api: Client, number: str) -> tuple[int, int]:
    """A contact with that number, and a call to it that is not queued yet."""
    contact, callout = made(api, "/api/contacts", msisdn=number), made(api, "/api/callouts")
    part = made(api, f"/api/callouts/{callout}/callout_participations", contact_id=contact)
    return contact, made(api, f"/api/callout_participations/{part}/phone_calls", remote_request_params=PARAMS)


def queue(api: Client, call: int) -> None:
    answer = api.post(f"/api/phone_calls/{call}/phone_call_events", {"event": "queue"})
    assert answer.status == 201, answer


def ended(api: Client, call: int) -> dict[str, Any]:
    """The call, once it has left or never will."""

    def look() -> Any:
        found = api.get(f"/api/phone_calls/{call}").json
        return found if found["status"] != "queued" else None

    return dict(wait_until(look))


def test_credentials_that_were_just_corrected_are_those_that_call(
    servers: tuple[Server, Server], provider: Provider
) -> None:
    one, other = servers
    api = one.new_account()
    elsewhere = Client(other, api.token)
    for number, (queues, token) in enumerate([(api, None), (elsewhere, None), (api, "wrong"), (elsewhere, "wrong")]):
        before = {"twilio_account_sid": SID if token else "", "twilio_auth_token": token or ""}
        assert api.patch("/api/account", json=before).status == 204
        # Both processes have just seen what is about to change.
        for who in (api, elsewhere):
            _, call = call_to(api, f"+8551255600{number}{(api, elsewhere).index(who)}")
            queue(who, call)
            ended_or_waits(api, call)
        msisdn = f"+8551255601{number:02}"
        _, call = call_to(api, msisdn)
        assert api.patch("/api/account", json={"twilio_account_sid": SID, "twilio_auth_token": TOKEN}).status == 204
        queue(queues, call)
        assert ended(api, call)["status"] == "remotely_queued"
        assert provider.rung(msisdn) == 1


def ended_or_waits(api: Client, call: int) -> None:
    """The call was refused, or waits since the account has called before; or a process knew older credentials."""

    def look() -> Any:
        found = api.get(f"/api/phone_calls/{call}").json
        return found["status"] != "queued" or found["remote_error_message"]

    wait_until(look)


def test_the_corrected_number_rings_and_no_other(servers: tuple[Server, Server], provider: Provider) -> None:
    one, other = servers
    api = one.new_account(twilio_account_sid=SID, twilio_auth_token=TOKEN)
    elsewhere = Client(other, api.token)
    for number in range(6):
        old, new = f"+8551255620{number}", f"+8551255621{number}"
        contact, call = call_to(api, old)
        patches, queues = ((api, api), (api, elsewhere), (elsewhere, api))[number % 3]
        assert patches.patch(f"/api/contacts/{contact}", json={"msisdn": new}).status == 204
        queue(queues, call)
        found = ended(api, call)
        assert (found["status"], found["msisdn"]) == ("remotely_queued", new)
        assert (provider.rung(old), provider.rung(new)) == (0, 1)
        (part,) = api.get(f"/api/contacts/{contact}/callout_participations").json
        assert part["msisdn"] == new


def test_a_population_says_whom_it_left_out(servers: tuple[Server, Server]) -> None:
    one, _ = servers
    api = one.new_account()
    first, second = [made(api, "/api/contacts", msisdn=f"+8551255630{number}") for number in range(2)]
    callout = made(api, "/api/callouts")
    made(api, f"/api/callouts/{callout}/callout_participations", contact_id=first, msisdn="+85512556301")
    kind = {"type": "BatchOperation::CalloutPopulation", "parameters": {}}
    operation = made(api, f"/api/callouts/{callout}/batch_operations", **kind)
    preview = api.get(f"/api/batch_operations/{operation}/preview/contacts")
    assert [contact["id"] for contact in preview.json] == [first] and preview.headers["Total"] == "1"
    api.post(f"/api/batch_operations/{operation}/batch_operation_events", {"event": "queue"})

    def finished() -> Any:
        found = api.get(f"/api/batch_operations/{operation}").json
        return found if found["status"] == "finished" else None

    assert wait_until(finished)["metadata"] == {"skipped": {"number_taken": 1}}
    assert second not in [part["contact_id"] for part in api.get("/api/callout_participations").json]
