"""Audit events: who did what, from where, and what it changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from tests.resources.conftest import Documents, make
from tests.resources.imports import send
from tests.server import Client, Server, wait_until

KEYS = ["id", "created_at", "actor", "action", "subject", "changes", "request_id", "address", "account_id"]
PASSWORD = "secret12"


def events(api: Client, query: str = "") -> list[dict[str, Any]]:
    """The account's audit events that fit, without those of how the test's account was made."""
    answer = api.get(f"/api/audit_events?per_page=1000{query}")
    assert answer.status == 200, answer
    return [one for one in answer.json if one["subject"]["type"] != "account" or one["action"] != "create"]


def told(api: Client, query: str = "") -> list[tuple[str, str, dict[str, Any]]]:
    """Of each event what happened, to what kind, and the changes."""
    return [
        (one["action"], one["subject"]["type"], one["changes"])
        for one in events(api, query)
        if one["subject"]["type"] != "access_token"
    ]


def token_of(server: Server, api: Client, **fields: Any) -> tuple[Client, int]:
    made = api.post("/api/access_tokens", json=fields).json
    return server.client(made["token"]), made["id"]


def test_an_event_says_who_did_what_to_what_and_from_where(server: Server, api: Client) -> None:
    alice, token_id = token_of(server, api)
    contact = alice.post("/api/contacts", json={"msisdn": "+252662345678"}, headers={"X-Request-Id": "r-1"})
    (event,) = events(api, "&q[subject][type]=contact")
    assert list(event) == KEYS
    assert event["actor"] == {"type": "access_token", "id": token_id}
    assert event["subject"] == {"type": "contact", "id": contact.json["id"]}
    assert (event["action"], event["request_id"], event["address"]) == ("create", "r-1", "127.0.0.1")
    assert event["changes"] == {"msisdn": [None, "+252662345678"]}
    assert event["account_id"] == contact.json["account_id"]
    assert api.get(f"/api/audit_events/{event['id']}").json == event


def test_what_is_changed_and_deleted_is_told_before_and_after(api: Client) -> None:
    contact = make(api, "/api/contacts", msisdn="+252662345678", metadata={"a": {"b": 1, "c": 2}, "d": 3})
    path = f"/api/contacts/{contact}"
    assert api.patch(path, json={"metadata": {"a": {"b": 5, "c": 2}}}).status == 204
    assert api.patch(path, json={"metadata": {}}).status == 204  # nothing changes
    assert api.patch(path, json={"msisdn": "12"}).status == 422
    assert api.delete(path).status == 204
    assert told(api) == [
        (
            "create",
            "contact",
            {"msisdn": [None, "+252662345678"], "metadata": [None, {"a": {"b": 1, "c": 2}, "d": 3}]},
        ),
        ("update", "contact", {"metadata": [{"a": {"b": 1}}, {"a": {"b": 5}}]}),
        (
            "delete",
            "contact",
            {"msisdn": ["+252662345678", None], "metadata": [{"a": {"b": 5, "c": 2}, "d": 3}, None]},
        ),
    ]


def test_events_of_a_callout_tell_its_status(api: Client) -> None:
    callout = make(api, "/api/callouts")
    for event in ("start", "pause", "resume", "stop"):
        make(api, f"/api/callouts/{callout}/callout_events", event=event)
    assert api.post(f"/api/callouts/{callout}/callout_events", json={"event": "start"}).status == 422
    assert [(action, changes["status"]) for action, _, changes in told(api)] == [
        ("create", [None, "initialized"]),
        ("start", ["initialized", "running"]),
        ("pause", ["running", "paused"]),
        ("resume", ["paused", "running"]),
        ("stop", ["running", "stopped"]),
    ]


def test_an_emergency_stands_in_the_log_with_its_reason(api: Client) -> None:
    make(api, "/api/contacts", msisdn="+252662345678")
    emergency = {"reason": "the dam has broken", "severity": "extreme"}
    params = {"from": "1294", "url": "http://127.0.0.1:1/", "status_callback": "http://127.0.0.1:1/"}
    plan = {"audience": {}, "remote_request_params": params, "emergency": emergency}
    path = f"/api/callouts/{make(api, '/api/callouts', plan={**plan, 'emergency': None})}"
    assert api.patch(path, json={"plan": plan}).status == 204
    credentials = {"twilio_account_sid": "AC1", "twilio_auth_token": "9f8e7d6c5b4a39281706f5e4d3c2b1a0"}
    assert api.patch("/api/account", credentials).status == 204
    make(api, "/api/account/account_events", event="hold")
    make(api, f"{path}/callout_events", event="start")
    changes = {action: changes for action, kind, changes in told(api) if kind == "callout"}
    assert changes["update"] == {"plan": [{"emergency": None}, {"emergency": emergency}]}
    assert changes["start"]["emergency"] == [None, emergency]


def test_no_secret_is_told(api: Client, database: Documents) -> None:
    secrets = ("9f8e7d6c5b4a39281706f5e4d3c2b1a0", PASSWORD, "other-secret34")
    credentials = {"twilio_account_sid": "AC1", "twilio_auth_token": secrets[0], "twilio_signing_key": secrets[2]}
    assert api.patch("/api/account", json=credentials).status == 204
    user = make(api, "/api/users", email=f"a{id(api)}@b.org", password=PASSWORD)
    assert api.patch(f"/api/users/{user}", json={"password": secrets[2]}).status == 204
    token = api.post("/api/access_tokens").json
    assert api.delete(f"/api/access_tokens/{token['id']}").status == 204
    logged = events(api)
    for secret in (*secrets, token["token"]):
        assert secret not in str(logged)
    own = api.get("/api/account").json["id"]
    for document in (*database["users"].find({"account_id": own}), *database["access_tokens"].find()):
        for hidden in ("password_hash", "digest"):
            assert document.get(hidden, "-none-") not in str(logged)
    by_kind = {(one["action"], one["subject"]["type"]): one["changes"] for one in logged}
    assert by_kind["update", "account"]["twilio_auth_token"] == [None, "(secret)"]
    assert by_kind["update", "user"] == {"password": ["(secret)", "(secret)"]}
    assert by_kind["delete", "access_token"]["token"] == ["(secret)", None]


def test_a_large_value_is_told_by_its_size(api: Client) -> None:
    contact = make(api, "/api/contacts", msisdn="+252662345678", metadata={"text": "x" * 50_000})
    (event,) = events(api, f"&q[subject][id]={contact}&q[subject][type]=contact")
    assert event["changes"]["metadata"] == [None, "(cut: 50011 bytes)"]


def test_the_log_is_only_added_to(api: Client) -> None:
    make(api, "/api/contacts", msisdn="+252662345678")
    path = f"/api/audit_events/{events(api)[0]['id']}"
    before = api.get(path).json
    for answer in (
        api.delete(path),
        api.patch(path, json={"action": "none"}),
        api.post("/api/audit_events", json={}),
    ):
        assert answer.status == 404
    assert api.get(path).json == before


def test_events_are_filtered(server: Server, api: Client) -> None:
    alice, token_id = token_of(server, api)
    contact = make(alice, "/api/contacts", msisdn="+252662345678")
    assert api.patch(f"/api/contacts/{contact}", json={"metadata": {"a": 1}}).status == 204
    first, second = events(api, "&q[subject][type]=contact")
    for query, found in (
        (f"q[actor][id]={token_id}&q[actor][type]=access_token&q[subject][type]=contact", [first]),
        ("q[action]=update,delete", [second]),
        (f"q[subject][id]={contact}&q[subject][type]=contact", [first, second]),
        (f"q[id]={second['id']}", [second]),
        (f"q[request_id]={first['request_id']}", [first]),
        ("q[actor][type]=user", []),
        ("q[created_at_before]=2018-01-01", []),
        ("q[address]=10.0.0.1", []),
        ("q[subject]=contact&q[action]=update", [second]),
    ):
        assert events(api, f"&{query}") == found, query


def test_an_account_sees_its_own_events_and_none_of_anothers(api: Client, stranger: Client) -> None:
    make(api, "/api/contacts", msisdn="+252662345678")
    (event,) = events(api, "&q[subject][type]=contact")
    assert events(stranger, "&q[subject][type]=contact") == []
    assert stranger.get(f"/api/audit_events/{event['id']}").status == 404


def test_what_a_super_admin_does_to_an_account_stands_in_both(server: Server, api: Client) -> None:
    account, admin = api.get("/api/account").json["id"], server.client()
    assert admin.patch(f"/api/accounts/{account}", json={"metadata": {"a": 1}}).status == 204
    query = f"&q[subject][type]=account&q[subject][id]={account}&q[action]=update"
    (mine,), (theirs,) = events(api, query), events(admin, query)
    assert {**mine, "id": 0, "account_id": 0} == {**theirs, "id": 0, "account_id": 0}
    assert (mine["account_id"], mine["changes"]) == (account, {"metadata": [{}, {"a": 1}]})


def test_a_hold_and_a_refused_role_are_told(server: Server, api: Client) -> None:
    viewer, token_id = token_of(server, api, role="viewer")
    assert viewer.post("/api/account/account_events", json={"event": "hold"}).status == 403
    for event in ("hold", "release"):
        assert api.post("/api/account/account_events", json={"event": event}).status == 201
    refused, hold, release = events(api, "&q[subject][type]=account&q[action]=role_refused,hold,release")
    assert (refused["action"], refused["actor"]["id"]) == ("role_refused", token_id)
    assert refused["changes"] == {
        "role": [None, "viewer"],
        "needed": [None, "operator"],
        "route": [None, "POST /api/account/account_events"],
    }
    assert hold["changes"]["calls_held_at"][1] is not None
    assert release["changes"]["calls_held_at"] == [None, None]


def test_who_is_refused_again_and_again_is_told_less_and_less_often_with_how_often(
    server: Server, api: Client
) -> None:
    viewer, token_id = token_of(server, api, role="viewer")
    another, _ = token_of(server, api, role="viewer")
    for _ in range(25):
        assert viewer.post("/api/callouts").status == 403
    assert viewer.post("/api/contacts", json={}).status == another.post("/api/callouts").status == 403
    refused = events(api, "&q[action]=role_refused")
    times = [(one["changes"]["route"][1], one["changes"].get("times", [None, 1])[1]) for one in refused]
    assert times == [
        ("POST /api/callouts", 1),
        ("POST /api/callouts", 9),
        ("POST /api/contacts", 1),
        ("POST /api/callouts", 1),
    ]
    assert [one["actor"]["id"] == token_id for one in refused] == [True, True, True, False]


def test_an_import_is_one_event_with_its_tally(api: Client) -> None:
    lines = b"msisdn\n252662345678\n252662345679\n12\n"
    assert send(api, lines).status == 200
    tally = {"created": [None, 2], "updated": [None, 0], "unchanged": [None, 0], "failed": [None, 1]}
    assert told(api) == [("import", "contact", tally)]
    assert send(api, "a\n1\n").status == 422
    assert len(told(api)) == 1  # nothing was stored


def fill(api: Client, count: int) -> None:
    assert send(api, "msisdn\n" + "".join(f"2526623{number:05}\n" for number in range(count))).status == 200


def test_who_reads_a_hundred_numbers_is_told(server: Server, api: Client) -> None:
    fill(api, 150)
    viewer, _ = token_of(server, api, role="viewer")
    alice, token_id = token_of(server, api)
    assert len(viewer.get("/api/contacts?per_page=150").json) == 150
    assert api.get("/api/contacts?per_page=99").status == 200
    assert events(api, "&q[action]=read,export") == []
    assert alice.get("/api/contacts?per_page=150&q[msisdn]=").status == 200
    assert alice.get("/api/contacts?per_page=120&q[metadata][a]").status == 200
    (read,) = events(api, "&q[action]=read")
    assert read["actor"]["id"] == token_id
    assert read["changes"] == {"q": [None, {"metadata": {"a": None}}], "numbers": [None, 120]}
    assert told_numbers(api) == [120]


def test_who_reads_on_in_small_pages_is_told_of_twice_as_many_each_time(api: Client) -> None:
    fill(api, 150)
    for pages, told in ((3, []), (1, [120]), (6, [120]), (1, [120, 210]), (13, [120, 210]), (1, [120, 210, 420])):
        for page in range(pages):
            assert len(api.get(f"/api/contacts?page={page % 5 + 1}&per_page=30").json) == 30
        assert told_numbers(api) == told
    assert api.get("/api/contacts?per_page=100").status == 200  # so many at once are always an event
    assert told_numbers(api) == [120, 210, 420, 100]


def test_who_reads_numbers_one_by_one_is_told(server: Server, api: Client) -> None:
    fill(api, 95)
    viewer, _ = token_of(server, api, role="viewer")
    contacts = api.get("/api/contacts?per_page=95").json
    for contact in contacts[:5]:
        assert told_numbers(api) == []
        path = f"/api/contacts/{contact['id']}"
        assert [one.status for one in (api.get(path), viewer.get(path), api.head(path))] == [200] * 3
    assert told_numbers(api) == [100]


def test_who_counts_by_a_value_reads_the_numbers_among_the_values(api: Client) -> None:
    lines = "".join(f"2526623{number:05},2526624{number:05},{number % 7}\n" for number in range(120))
    assert send(api, f"msisdn,second,district\n{lines}").status == 200
    callout = make(api, "/api/callouts")
    populated = make(
        api,
        f"/api/callouts/{callout}/batch_operations",
        type="BatchOperation::CalloutPopulation",
    )
    assert (
        api.post(f"/api/batch_operations/{populated}/batch_operation_events", json={"event": "queue"}).status == 201
    )
    wait_until(lambda: api.get(f"/api/batch_operations/{populated}").json["status"] == "finished")
    for path, query in (("contacts/fields", "path"), (f"callouts/{callout}/statistics", "group_by")):
        assert api.get(f"/api/{path}?{query}=metadata.district").status == 200
        assert told_numbers(api) == ([] if query == "path" else [120])
        assert api.get(f"/api/{path}?{query}=metadata.second").status == 200
    reads = events(api, "&q[action]=read")
    assert reads[0]["changes"] == {"path": [None, "metadata.second"], "numbers": [None, 120]}
    assert reads[1]["changes"]["group_by"] == [None, "metadata.second"]


def told_numbers(api: Client) -> list[int]:
    """How many numbers each ``read`` event tells."""
    return [event["changes"]["numbers"][1] for event in events(api, "&q[action]=read")]


def test_an_export_is_told_before_it_is_sent(api: Client) -> None:
    callout = make(api, "/api/callouts")
    for path in ("/api/contacts/export?q[msisdn]=252662345678", f"/api/callouts/{callout}/results?format=jsonl"):
        assert api.get(path).status == 200
    first, second = events(api, "&q[action]=export")
    assert first["changes"] == {"file": [None, "contacts.csv"], "q": [None, {"msisdn": "252662345678"}]}
    assert second["subject"] == {"type": "callout", "id": callout}


def test_a_repeated_request_is_told_once(api: Client) -> None:
    for _ in range(3):
        key = {"Idempotency-Key": "one"}
        assert api.post("/api/contacts", json={"msisdn": "+252662345678"}, headers=key).status == 201
    assert [action for action, _, _ in told(api)] == ["create"]


def test_of_many_that_create_the_same_one_is_told(api: Client) -> None:
    with ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda _: api.post("/api/contacts", json={"msisdn": "+252662345678"}), range(24)))
    assert [action for action, _, _ in told(api)] == ["create"]


@pytest.mark.parametrize("many", [40])
def test_every_document_that_is_created_at_once_has_its_event(api: Client, many: int) -> None:
    with ThreadPoolExecutor(8) as clients:
        made = list(
            clients.map(lambda number: make(api, "/api/contacts", msisdn=f"+2526623{number:05}"), range(many))
        )
    assert sorted(one["subject"]["id"] for one in events(api, "&q[subject][type]=contact")) == sorted(made)


def test_what_a_command_makes_is_told(server: Server) -> None:
    admin = server.client(server.create_account())
    made = {(one["action"], one["subject"]["type"]): one for one in admin.get("/api/audit_events").json}
    assert made.keys() == {("create", "account"), ("create", "access_token")}
    for event in made.values():
        assert event["actor"] == {"type": "command", "id": None, "name": "create-account"}
        assert event["address"] is event["request_id"] is None


def test_who_signs_in_is_told_and_who_is_refused(server: Server, api: Client) -> None:
    email = f"{uuid4()}@b.org"
    user = make(api, "/api/users", email=email, password=PASSWORD)
    anybody, query = server.client(""), "&q[subject][type]=user&q[action]=sign_in,sign_in_refused,sign_out"
    headers = {"X-Request-Id": "r-2"}
    assert anybody.post("/session", json={"email": email, "password": "wrong123"}, headers=headers).status == 401
    assert events(api, query)[0]["actor"] == {"type": "user", "id": user, "email": email}
    signed_in = anybody.post("/session", json={"email": email.upper(), "password": PASSWORD})
    cookie = {"Cookie": str(signed_in.headers["Set-Cookie"]).partition(";")[0]}
    token = {"X-CSRF-Token": signed_in.json["csrf_token"]}
    assert anybody.post("/api/callouts", json={}, headers={**cookie, **token}).status == 201
    assert anybody.delete("/session", headers={**cookie, **token}).status == 204
    told_of = events(api, query)
    assert [one["action"] for one in told_of] == ["sign_in_refused", "sign_in", "sign_out"]
    assert (told_of[0]["request_id"], told_of[0]["address"]) == ("r-2", "127.0.0.1")
    assert "wrong123" not in str(told_of)
    (made,) = events(api, "&q[subject][type]=callout")
    assert made["actor"] == {"type": "user", "id": user, "email": email}
    nobody = f"{uuid4()}@b.org"
    assert anybody.post("/session", json={"email": nobody, "password": PASSWORD}).status == 401
    assert anybody.post("/session", json={"email": f"pass {nobody[:8]}", "password": "1"}).status == 401
    assert nobody[:8] not in str([event for event in events(server.client()) if "@" not in str(event["actor"])])
    (refused,) = events(server.client(), f"&q[actor][email]={nobody}")
    assert (refused["action"], refused["actor"]["id"], refused["subject"]["id"]) == ("sign_in_refused", None, None)


def test_users_made_and_passwords_set_by_commands_are_told(server: Server) -> None:
    email = f"{uuid4()}@b.org"
    for arguments in (("create-user", email, "--role", "viewer"), ("set-password", email)):
        done = server.run(*arguments, given=f"{PASSWORD}\n")
        assert done.returncode == 0, done.stderr
    found = server.client().get("/api/users?per_page=1000").json
    user = next(one["id"] for one in found if one["email"] == email)
    made, changed = events(server.client(), f"&q[subject][type]=user&q[subject][id]={user}")
    assert (made["actor"]["name"], made["action"], made["changes"]["role"]) == (
        "create-user",
        "create",
        [None, "viewer"],
    )
    assert (changed["actor"]["name"], changed["action"]) == ("set-password", "update")
    assert changed["changes"]["password"] == ["(secret)", "(secret)"]


def test_a_viewer_sees_the_log_with_masked_numbers(server: Server, api: Client) -> None:
    contact = make(api, "/api/contacts", msisdn="+252662345678", metadata={"phone": "+252662345679"})
    viewer, _ = token_of(server, api, role="viewer")
    (event,) = events(viewer, f"&q[subject][type]=contact&q[subject][id]={contact}")
    masked = {"msisdn": [None, "+•••••••••678"], "metadata": [None, {"phone": "+•••••••••679"}]}
    assert (event["changes"], event["address"]) == (masked, "127.0.0.1")
