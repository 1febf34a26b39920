"""A POST with an Idempotency-Key happens once, however often it is sent."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.resources.conftest import Documents, make
from tests.server import Answer, Client, Server, wait_until

ALICE, BOB = "+252662345678", "+252662345679"
OTHER_REQUEST = {"errors": {"idempotency_key": ["has already been used with another request"]}}
KEYS = "idempotency_keys"


@pytest.fixture
def key() -> dict[str, str]:
    """The header of a request that nobody has sent yet."""
    return {"Idempotency-Key": str(uuid4())}


def replayed(answer: Answer, first: Answer) -> bool:
    """Whether it is the first answer, given again; both must be the same but for that."""
    assert (answer.status, answer.json) == (first.status, first.json)
    for name in ("Location", "ETag", "Content-Type", "Cache-Control", "Content-Length"):
        assert answer.headers[name] == first.headers[name], name
    assert first.headers["Idempotent-Replayed"] is None
    return answer.headers["Idempotent-Replayed"] == "true"


def posts(api: Client) -> dict[str, dict[str, Any]]:
    """A body for every path that one may POST to, but the events."""
    callout = make(api, "/api/callouts")
    contact = make(api, "/api/contacts", msisdn=BOB)
    part = make(api, f"/api/callouts/{callout}/callout_participations", contact_id=contact)
    other = make(api, "/api/callouts")
    return {
        "/api/contacts": {"msisdn": ALICE},
        "/api/callouts": {},
        f"/api/callouts/{other}/callout_participations": {"contact_id": contact},
        f"/api/callouts/{callout}/batch_operations": {"type": "BatchOperation::CalloutPopulation"},
        f"/api/callout_participations/{part}/phone_calls": {"remote_request_params": {"from": "1"}},
        "/api/batch_operations": {"type": "BatchOperation::PhoneCallQueue", "skip_validate_preview_presence": True},
        "/api/users": {"email": f"{uuid4().hex}@example.org", "password": "long enough"},
    }


def test_every_creation_happens_once(api: Client) -> None:
    for path, given in posts(api).items():
        headers = {"Idempotency-Key": path}
        first = api.post(path, json=given, headers=headers)
        total = api.get(path).headers["Total"]
        assert first.status == 201, first
        assert replayed(api.post(path, json=given, headers=headers), first)
        assert api.get(path).headers["Total"] == total


def test_an_event_happens_once(api: Client, key: dict[str, str]) -> None:
    path = f"/api/callouts/{make(api, '/api/callouts')}"
    first = api.post(f"{path}/callout_events", {"event": "start"}, headers=key)
    assert first.status == 201
    assert api.post(f"{path}/callout_events", {"event": "pause"}).status == 201
    assert replayed(api.post(f"{path}/callout_events", {"event": "start"}, headers=key), first)
    assert api.get(path).json["status"] == "paused"


def test_an_account_is_made_once(server: Server, key: dict[str, str]) -> None:
    first = server.client().post("/api/accounts", {"metadata[a]": "1"}, headers=key)
    assert replayed(server.client().post("/api/accounts", {"metadata[a]": "1"}, headers=key), first)


def test_a_refusal_is_replayed_too(api: Client, key: dict[str, str]) -> None:
    first = api.post("/api/contacts", {"msisdn": ""}, headers=key)
    assert first.status == 422
    assert replayed(api.post("/api/contacts", {"msisdn": ""}, headers=key), first)
    path, headers = "/api/callouts/999999/callout_events", {"Idempotency-Key": "404"}
    missing = api.post(path, {"event": "start"}, headers=headers)
    assert missing.status == 404
    assert replayed(api.post(path, {"event": "start"}, headers=headers), missing)


def test_a_token_is_not_told_a_second_time(api: Client, key: dict[str, str], database: Documents) -> None:
    first = api.post("/api/access_tokens", headers=key)
    second = api.post("/api/access_tokens", headers=key)
    assert (second.status, second.json) == (201, {**first.json, "token": None})
    kept = database[KEYS].find_one({"account_id": api.get("/api/account").json["id"]})
    assert first.json["token"] not in str(kept)


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("/api/contacts", {"msisdn": BOB}),
        ("/api/contacts", {"msisdn": ALICE, "metadata": {"a": 1}}),
        ("/api/contacts", {}),
        ("/api/contacts?metadata[a]=1", {"msisdn": ALICE}),
        ("/api/callouts", {"msisdn": ALICE}),
        ("/api/contacts/", {"msisdn": ALICE}),
    ],
)
def test_a_key_is_for_one_request(api: Client, key: dict[str, str], path: str, given: Any) -> None:
    assert api.post("/api/contacts", json={"msisdn": ALICE}, headers=key).status == 201
    answer = api.post(path, json=given, headers=key)
    assert (answer.status, answer.json) == (422, OTHER_REQUEST)
    assert [one["msisdn"] for one in api.get("/api/contacts").json] == [ALICE]
    assert api.get("/api/callouts").json == []


def test_the_same_request_may_be_spelt_in_another_way(api: Client, key: dict[str, str]) -> None:
    first = api.post("/api/contacts", json={"msisdn": ALICE, "metadata": {"a": "1"}}, headers=key)
    assert replayed(api.post("/api/contacts", {"metadata[a]": "1", "msisdn": ALICE}, headers=key), first)
    boundary = f'--x\r\nContent-Disposition: form-data; name="msisdn"\r\n\r\n{ALICE}\r\n--x--\r\n'.encode()
    headers = {**key, "Content-Type": "multipart/form-data; boundary=x"}
    assert replayed(api.post("/api/contacts?metadata[a]=1", body=boundary, headers=headers), first)


def test_two_accounts_share_no_key(api: Client, stranger: Client, key: dict[str, str]) -> None:
    first = api.post("/api/contacts", {"msisdn": ALICE}, headers=key)
    other = stranger.post("/api/contacts", {"msisdn": BOB}, headers=key)
    assert (first.status, other.status) == (201, 201)
    assert other.headers["Idempotent-Replayed"] is None


def test_a_request_that_cannot_be_read_uses_up_no_key(api: Client, key: dict[str, str]) -> None:
    assert api.post("/api/contacts", body=b"a=%zz", headers=key).status == 400
    assert api.server.request("POST", "/api/contacts", token="", headers=key).status == 401
    assert api.post("/api/contacts", {"msisdn": ALICE}, headers=key).status == 201


@pytest.mark.parametrize("odd", ["", " ", "x" * 256, "é", "a\tb"])
def test_a_key_that_cannot_be_one_is_refused(api: Client, odd: str) -> None:
    answer = api.post("/api/contacts", {"msisdn": ALICE}, headers={"Idempotency-Key": odd})
    assert (answer.status, answer.json["error"]) == (400, "Bad Request")
    assert "Idempotency-Key" in answer.json["message"]
    assert api.get("/api/contacts").json == []


@pytest.mark.parametrize("name", ["x", "x" * 255, '"quoted"', "a b", "$where", "a.b", "~!@#%^&*()"])
def test_any_printable_key_will_do(api: Client, name: str) -> None:
    headers = {"Idempotency-Key": name}
    first = api.post("/api/callouts", headers=headers)
    assert replayed(api.post("/api/callouts", headers=headers), first)


def test_other_verbs_know_no_key(api: Client, key: dict[str, str]) -> None:
    path = f"/api/callouts/{make(api, '/api/callouts')}"
    for metadata in ({"a": "1"}, {"b": "2"}):
        assert api.patch(path, json={"metadata": metadata}, headers=key).status == 204
    assert api.get(path, headers=key).json["metadata"] == {"a": "1", "b": "2"}
    assert api.delete(path, headers=key).status == 204


def test_of_many_tries_at_once_one_is_carried_out(api: Client, key: dict[str, str]) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: api.post("/api/callouts", headers=key), range(20)))
    assert {answer.status for answer in answers} <= {201, 409}
    made = [answer for answer in answers if answer.status == 201]
    assert [answer.headers["Idempotent-Replayed"] for answer in made].count(None) == 1
    assert len({answer.json["id"] for answer in made}) == 1
    assert all(answer.json == {"status": 409, "error": "Conflict"} for answer in answers if answer.status == 409)
    assert api.get("/api/callouts").headers["Total"] == "1"


def record_of(database: Documents, api: Client) -> dict[str, Any]:
    """The one key that the account has used."""
    (record,) = database[KEYS].find({"account_id": api.get("/api/account").json["id"]})
    return record


def test_while_it_is_being_carried_out_another_try_is_a_conflict(
    api: Client, key: dict[str, str], database: Documents
) -> None:
    first = api.post("/api/callouts", headers=key)
    name = {"_id": record_of(database, api)["_id"]}
    running = {"until": datetime.now(UTC) + timedelta(seconds=60)}
    database[KEYS].update_one(name, {"$unset": {"answer": ""}, "$set": running})
    answer = api.post("/api/callouts", headers=key)
    assert (answer.status, answer.json) == (409, {"status": 409, "error": "Conflict"})
    assert answer.headers["Cache-Control"] == "no-cache"
    # The process that carried it out has died: what it had made already is what a new try is given.
    database[KEYS].update_one(name, {"$set": {"until": datetime.now(UTC) - timedelta(seconds=1)}})
    again = api.post("/api/callouts", headers=key)
    assert (again.status, again.json) == (201, first.json)
    assert api.get("/api/callouts").headers["Total"] == "1"
    assert replayed(api.post("/api/callouts", headers=key), again)


def test_a_request_of_a_dead_process_that_had_done_nothing_is_carried_out(
    api: Client, key: dict[str, str], database: Documents
) -> None:
    first = api.post("/api/callouts", headers=key)
    name = {"_id": record_of(database, api)["_id"]}
    over = {"until": datetime.now(UTC) - timedelta(seconds=1)}
    database[KEYS].update_one(name, {"$unset": {"answer": ""}, "$set": over})
    assert api.delete(f"/api/callouts/{first.json['id']}").status == 204
    again = api.post("/api/callouts", headers=key)
    assert (again.status, again.json["id"]) == (201, first.json["id"] + 1)


def test_a_dead_process_has_moved_a_callout_once(api: Client, key: dict[str, str], database: Documents) -> None:
    path = f"/api/callouts/{make(api, '/api/callouts')}/callout_events"
    assert api.post(path, {"event": "start"}, headers=key).status == 201
    name = {"_id": record_of(database, api)["_id"]}
    over = {"until": datetime.now(UTC) - timedelta(seconds=1)}
    database[KEYS].update_one(name, {"$unset": {"answer": ""}, "$set": over})
    again = api.post(path, {"event": "start"}, headers=key)
    assert (again.status, again.json["status"]) == (201, "running")


def test_a_key_is_kept_for_a_day(api: Client, key: dict[str, str], database: Documents) -> None:
    first = api.post("/api/callouts", headers=key)
    name = {"_id": record_of(database, api)["_id"]}
    for hours, again in ((23.9, False), (24.1, True)):
        made = datetime.now(UTC) - timedelta(hours=hours)
        database[KEYS].update_one(name, {"$set": {"created_at": made}})
        answer = api.post("/api/callouts", headers=key)
        assert (answer.json["id"] != first.json["id"]) is again
    (expiry,) = [one for one in database[KEYS].list_indexes() if "expireAfterSeconds" in one]
    assert (dict(expiry["key"]), expiry["expireAfterSeconds"]) == ({"created_at": 1}, 24 * 3600)


def test_a_key_outlives_a_kill_and_a_restart(settings: dict[str, str], tmp_path: Path, key: dict[str, str]) -> None:
    settings = {**settings, "MONGODB_DATABASE": "killed"}
    with Server(tmp_path / "data", settings) as server:
        first = server.client().post("/api/contacts", {"msisdn": ALICE}, headers=key)
        server.kill()
        server.start()
        assert replayed(server.client().post("/api/contacts", {"msisdn": ALICE}, headers=key), first)
        assert server.client().get("/api/contacts").headers["Total"] == "1"


@pytest.fixture(autouse=True, scope="module")
def without_the_killed(database: Documents) -> Iterator[None]:
    yield
    database.client.drop_database("killed")


# Imports, whose bodies are not held


def send(api: Client, lines: str, key: dict[str, str], query: str = "") -> Answer:
    headers = {**key, "Content-Type": "text/csv"}
    return api.post(f"/api/contacts/import{query}", body=lines.encode(), headers=headers)


def test_an_import_tells_a_second_try_what_the_first_has_done(api: Client, key: dict[str, str]) -> None:
    first = send(api, f"msisdn\n{ALICE}\n1\n", key)
    assert (first.json["created"], first.json["failed"]) == (1, 1)
    number = api.get("/api/contacts").json[0]["id"]
    assert api.delete(f"/api/contacts/{number}").status == 204
    assert replayed(send(api, f"msisdn\n{ALICE}\n1\n", key), first)
    assert api.get("/api/contacts").json == []


def test_an_import_under_the_key_of_another_stores_nothing(api: Client, key: dict[str, str]) -> None:
    assert send(api, f"msisdn\n{ALICE}\n", key).status == 200
    for lines, query in ((f"msisdn\n{BOB}\n", ""), (f"msisdn\n{ALICE}\n", "?metadata_merge_mode=replace")):
        answer = send(api, lines, key, query)
        assert (answer.status, answer.json) == (422, OTHER_REQUEST)
    assert [one["msisdn"] for one in api.get("/api/contacts").json] == [ALICE]


def test_an_import_that_was_refused_is_refused_again(api: Client, key: dict[str, str]) -> None:
    first = send(api, "name\nAlice\n", key)
    assert first.status == 422
    assert replayed(send(api, "name\nAlice\n", key), first)


def is_under_way_when_it_breaks_off(server: Server, api: Client, key: dict[str, str]) -> bool:
    """Begin an import under the key and hang up. False if another request had the key first, and was carried out."""
    credentials = base64.b64encode(f"{api.token}:".encode()).decode()
    head = (
        f"POST /api/contacts/import HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n"
        f"Idempotency-Key: {key['Idempotency-Key']}\r\nContent-Type: text/csv\r\nContent-Length: 1000\r\n\r\n"
    )
    with socket.create_connection((server.host, server.port)) as connection:
        connection.sendall(f"{head}msisdn\n{ALICE}\n".encode())
        return send(api, f"msisdn\n{ALICE}\n", key).status == 409


def test_an_import_that_broke_off_may_be_tried_again_at_once(server: Server) -> None:
    api = server.new_account()
    keys = ({"Idempotency-Key": str(uuid4())} for _ in range(50))
    key = next(key for key in keys if is_under_way_when_it_breaks_off(server, api, key))
    answer = wait_until(lambda: (found := send(api, f"msisdn\n{ALICE}\n", key)).status == 200 and found)
    assert answer.json["created"] + answer.json["unchanged"] == 1
