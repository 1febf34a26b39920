"""Webhook endpoints and their deliveries as clients see them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from scfm.endpoint_client.signature import endpoint_signature
from scfm.models.webhook_event import EVENT_TYPES
from tests.resources.conftest import Documents, make
from tests.resources.test_roles import with_role
from tests.server import Client, Server, wait_until

KEYS = [
    *("id", "url", "event_types", "status", "disabled_reason", "secret", "metadata", "created_at", "updated_at"),
    "account_id",
]
DELIVERY_KEYS = [
    *("id", "webhook_endpoint_id", "webhook_id", "event_type", "status", "attempts", "next_attempt_at", "body"),
    *("created_at", "updated_at", "account_id"),
]
NUMBER = "+252662345678"
PATH = "/api/webhook_endpoints"
NO_HTTP = "must be an https URL: http is for addresses within WEBHOOK_ALLOWED_NETWORKS"
NOT_PUBLIC = "leads to an address that is not public: see WEBHOOK_ALLOWED_NETWORKS"


class Hook(ThreadingHTTPServer):
    """Somebody who is told: what came, and the status of its answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.status = 204
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hook?key=1"


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))
        self.send_response(self.server.status)
        if self.server.status != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """The test looks at what came."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.05,))
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def told(hook: Hook) -> list[str]:
    """The types of the events that came, in order."""
    return [orjson.loads(body)["type"] for _, body in hook.got]


def test_an_endpoint_is_made_shown_changed_and_taken_away(api: Client, hook: Hook) -> None:
    made = api.post(PATH, json={"url": hook.url, "metadata": {"for": "the dashboard"}})
    assert (made.status, list(made.json)) == (201, KEYS)
    path = f"{PATH}/{made.json['id']}"
    assert made.headers["Location"] == path
    assert (made.json["event_types"], made.json["status"]) == (list(EVENT_TYPES), "enabled")
    assert made.json["secret"].startswith("whsec_")
    # The secret is shown once.
    shown = api.get(path).json
    assert shown == {**made.json, "secret": None}
    assert api.get(PATH).json == [shown]
    assert api.patch(path, {"event_types[]": "account.held", "metadata[a]": "1", "secret": "whsec_x"}).status == 204
    changed = api.get(path).json
    assert changed["event_types"] == ["account.held"]
    assert changed["metadata"] == {"for": "the dashboard", "a": "1"}
    assert api.patch(path, json={"event_types": None}).status == 204
    assert api.get(path).json["event_types"] == list(EVENT_TYPES)
    assert (api.delete(path).status, api.get(path).status) == (204, 404)


@pytest.mark.parametrize(
    ("given", "name", "message"),
    [
        ({}, "url", "can't be blank"),
        ({"url": " "}, "url", "can't be blank"),
        ({"url": "example.org"}, "url", "must be an https URL, such as https://example.org/alerts"),
        ({"url": "https://a b.example/"}, "url", "must be an https URL, such as https://example.org/alerts"),
        ({"url": "https://10.0.0.1/"}, "url", NOT_PUBLIC),
        ({"url": "https://[::1]/"}, "url", NOT_PUBLIC),
        ({"url": f"https://1.1.1.1/{'x' * 2000}"}, "url", "is too long (maximum is 2000 characters)"),
        (
            {"url": "http://1.1.1.1/"},
            "url",
            NO_HTTP,
        ),
        ({"event_types": ["callout.begun"]}, "event_types", "is not included in the list"),
        ({"event_types": []}, "event_types", "can't be blank"),
        ({"event_types": {"a": 1}}, "event_types", "is not included in the list"),
        ({"event_types": [["callout.started"]]}, "event_types", "is not included in the list"),
        ({"event_types": 5}, "event_types", "is not included in the list"),
        ({"status": "off"}, "status", "is not included in the list"),
        ({"status": ["enabled"]}, "status", "is not included in the list"),
    ],
)
def test_what_is_wrong_with_an_endpoint_is_told(api: Client, given: Any, name: str, message: str) -> None:
    answer = api.post(PATH, json={"url": "http://127.0.0.1:9/", **given} if name != "url" else given)
    assert (answer.status, answer.json) == (422, {"errors": {name: [message]}})
    assert api.get(PATH).json == []


def test_an_account_has_no_more_than_some_endpoints(api: Client) -> None:
    for number in range(20):
        make(api, PATH, url=f"http://127.0.0.1:9/{number}")
    answer = api.post(PATH, json={"url": "http://127.0.0.1:9/"})
    assert answer.json == {"errors": {"base": ["an account has at most 20 webhook endpoints"]}}
    assert answer.status == 422


def test_endpoints_are_listed_in_pages_and_filtered(api: Client) -> None:
    ids = [make(api, PATH, url=f"http://127.0.0.1:9/{number}", metadata={"n": number}) for number in range(3)]
    assert api.patch(f"{PATH}/{ids[1]}", {"status": "disabled"}).status == 204
    listed = api.get(f"{PATH}?per_page=2&page=2")
    assert (listed.headers["Total"], [one["id"] for one in listed.json]) == ("3", ids[2:])
    for query, found in (
        ("q[status]=disabled", ids[1:2]),
        ("q[metadata][n]=2", ids[2:]),
        ("q[event_types]=account.held", ids),
        ("q[url]=http://127.0.0.1:9/0", ids[:1]),
        ("q[disabled_reason]=was disabled by a client", ids[1:2]),
    ):
        assert [one["id"] for one in api.get(f"{PATH}?{query.replace(' ', '%20')}").json] == found, query


def test_only_admins_change_endpoints_and_others_look(server: Server, api: Client, hook: Hook) -> None:
    endpoint = make(api, PATH, url=hook.url)
    make(api, "/api/opt_outs", msisdn=NUMBER)
    (delivery,) = wait_until(lambda: api.get(f"{PATH}/{endpoint}/deliveries").json)
    again = f"{PATH}/{endpoint}/deliveries/{delivery['id']}/redeliver"
    for role in ("viewer", "operator", "approver"):
        other = with_role(server, api, role)
        assert other.post(PATH, json={"url": hook.url}).status == 403
        assert other.patch(f"{PATH}/{endpoint}", {"status": "disabled"}).status == 403
        assert other.delete(f"{PATH}/{endpoint}").status == 403
        assert (other.post(f"{PATH}/{endpoint}/rotate").status, other.post(again).status) == (403, 403)
        assert other.get(f"{PATH}/{endpoint}").status == 200
        (seen,) = other.get(f"{PATH}/{endpoint}/deliveries").json
        masked = "+•••••••••678" if role == "viewer" else NUMBER
        assert seen["body"]["data"]["msisdn"] == masked


def test_another_accounts_endpoint_is_not_there(api: Client, stranger: Client, hook: Hook) -> None:
    endpoint = make(api, PATH, url=hook.url)
    own = make(stranger, PATH, url=hook.url)
    make(api, "/api/opt_outs", msisdn=NUMBER)
    (delivery,) = wait_until(lambda: api.get(f"{PATH}/{endpoint}/deliveries").json)
    for path in (f"{PATH}/{endpoint}", f"{PATH}/{endpoint}/deliveries"):
        assert stranger.get(path).status == 404
    for parent in (endpoint, own):
        assert stranger.post(f"{PATH}/{parent}/deliveries/{delivery['id']}/redeliver").status == 404
    assert stranger.post(f"{PATH}/{endpoint}/rotate").status == 404
    assert stranger.get(f"{PATH}/{own}/deliveries").json == []
    second = make(api, PATH, url=hook.url)
    assert api.post(f"{PATH}/{second}/deliveries/{delivery['id']}/redeliver").status == 404


def test_the_secret_is_shown_once_also_to_who_repeats_the_request(
    api: Client, hook: Hook, database: Documents
) -> None:
    given = {"json": {"url": hook.url}, "headers": {"Idempotency-Key": "once"}}
    first, second = api.post(PATH, **given), api.post(PATH, **given)
    assert (second.status, second.headers["Idempotent-Replayed"]) == (201, "true")
    assert second.json == {**first.json, "secret": None}
    rotated = [api.post(f"{PATH}/{first.json['id']}/rotate", headers={"Idempotency-Key": "again"}) for _ in range(2)]
    assert [one.status for one in rotated] == [201, 201]
    secrets = {first.json["secret"], rotated[0].json["secret"]}
    assert len(secrets) == 2 and rotated[1].json["secret"] is None
    stored = repr(list(database["webhook_endpoints"].find())) + repr(list(database["idempotency_keys"].find()))
    assert not any(secret in stored for secret in secrets)


def test_a_process_that_died_after_it_made_a_secret_shows_it_to_the_next_try(
    api: Client, database: Documents
) -> None:
    given = {"json": {"url": "http://127.0.0.1:9/"}, "headers": {"Idempotency-Key": "cut off"}}
    made = api.post(PATH, **given)

    def forget_answer() -> None:
        account = made.json["account_id"]
        change = {"$unset": {"answer": "", "body": ""}, "$set": {"until": made_at}}
        database["idempotency_keys"].update_many({"account_id": account}, change)

    made_at = database["webhook_endpoints"].find_one({"_id": made.json["id"]})["created_at"]  # type: ignore[index]
    forget_answer()
    assert api.post(PATH, **given).json == made.json
    assert len(api.get(PATH).json) == 1
    path, key = f"{PATH}/{made.json['id']}/rotate", {"headers": {"Idempotency-Key": "turned"}}
    rotated = api.post(path, **key).json
    forget_answer()
    again = api.post(path, **key).json
    assert (again["secret"], rotated["secret"] != made.json["secret"]) == (rotated["secret"], True)


def test_what_is_changed_is_audited_without_the_secret(api: Client, hook: Hook) -> None:
    made = api.post(PATH, json={"url": hook.url, "event_types": ["opt_out.created"]}).json
    path = f"{PATH}/{made['id']}"
    secret = api.post(f"{path}/rotate").json["secret"]
    api.patch(path, {"status": "disabled"})
    api.delete(path)
    answer = api.get("/api/audit_events?q[subject][type]=webhook_endpoint")
    assert [event["action"] for event in answer.json] == ["create", "rotate", "update", "delete"]
    changes = [event["changes"] for event in answer.json]
    assert changes[0]["secret"] == [None, "(secret)"] and changes[0]["url"] == [None, hook.url]
    assert changes[1] == {"secret": ["(secret)", "(secret)"]}
    assert changes[2] == {
        "status": ["enabled", "disabled"],
        "disabled_reason": [None, "was disabled by a client"],
    }
    assert secret not in repr(answer.json) and made["secret"] not in repr(answer.json)


def test_what_happens_is_told_with_every_attempt_kept(api: Client, hook: Hook) -> None:
    made = api.post(PATH, json={"url": hook.url}).json
    hook.status = 500
    opt_out = api.post("/api/opt_outs", {"msisdn": NUMBER, "reason": "asked"}).json
    path = f"{PATH}/{made['id']}/deliveries"
    wait_until(lambda: api.get(path).json and api.get(path).json[0]["attempts"])
    (failed,) = api.get(path).json
    assert list(failed) == DELIVERY_KEYS
    assert (failed["status"], failed["event_type"], failed["webhook_endpoint_id"]) == (
        "pending",
        "opt_out.created",
        made["id"],
    )
    assert failed["body"] == {"type": "opt_out.created", "timestamp": opt_out["created_at"], "data": opt_out}
    (attempt,) = failed["attempts"]
    assert list(attempt) == ["at", "response_code", "error", "duration", "answer"]
    assert (attempt["response_code"], attempt["error"]) == (500, "answered 500")
    assert failed["next_attempt_at"] > attempt["at"]
    hook.status = 204
    again = api.post(f"{path}/{failed['id']}/redeliver")
    assert (again.status, again.json["status"]) == (201, "pending")
    wait_until(lambda: api.get(f"{path}?q[status]=delivered").json)
    assert len(hook.got) == 2
    body = hook.got[1][1]
    first, named = ({name.lower(): value for name, value in headers.items()} for headers, _ in hook.got)
    assert named["webhook-id"] == failed["webhook_id"] == first["webhook-id"]
    signed = endpoint_signature(made["secret"], named["webhook-id"], int(named["webhook-timestamp"]), body)
    assert named["webhook-signature"] == signed
    for query, found in (
        ("q[event_type]=account.held", 0),
        (f"q[webhook_id]={failed['webhook_id']}", 1),
        ("q[status]=failed,pending", 0),
        ("q[created_at_after]=2018-01-01", 1),
        ("q[next_attempt_at]", 1),
    ):
        assert len(api.get(f"{path}?{query}").json) == found, query
    (event,) = api.get("/api/audit_events?q[subject][type]=webhook_delivery").json
    assert (event["action"], event["subject"]["id"]) == ("redeliver", failed["id"])
    assert api.patch(f"{PATH}/{made['id']}", {"status": "disabled"}).status == 204
    refused = api.post(f"{path}/{failed['id']}/redeliver")
    assert refused.json == {"errors": {"base": ["the webhook endpoint is disabled: enable it first"]}}


def test_events_of_callouts_and_of_the_account_are_told(api: Client, hook: Hook) -> None:
    make(api, PATH, url=hook.url)
    callout = make(api, "/api/callouts")
    for event in ("start", "pause", "resume", "stop"):
        assert api.post(f"/api/callouts/{callout}/callout_events", {"event": event}).status == 201
    for event in ("hold", "hold", "release"):
        assert api.post("/api/account/account_events", {"event": event}).status == 201
    wait_until(lambda: len(hook.got) >= 5)
    bodies = sorted((orjson.loads(body) for _, body in hook.got), key=lambda body: body["timestamp"])
    assert [(body["type"], body["data"].get("status")) for body in bodies] == [
        ("callout.started", "running"),
        ("callout.paused", "paused"),
        ("callout.started", "running"),
        ("callout.stopped", "stopped"),
        ("account.held", None),
    ]
    assert bodies[4]["data"]["calls_held_at"] == bodies[4]["timestamp"]
    assert list(bodies[0]["data"]) == list(api.get(f"/api/callouts/{callout}").json)
    assert {body["timestamp"] for body in bodies[:1]} == {bodies[0]["data"]["updated_at"]}


def test_an_endpoint_is_told_what_it_asks_for(api: Client, hook: Hook) -> None:
    make(api, PATH, url=hook.url, event_types=["account.held", "callout.stopped"])
    make(api, "/api/opt_outs", msisdn=NUMBER)
    callout = make(api, "/api/callouts")
    for event in ("start", "stop"):
        assert api.post(f"/api/callouts/{callout}/callout_events", {"event": event}).status == 201
    api.post("/api/account/account_events", {"event": "hold"})
    wait_until(lambda: len(hook.got) >= 2)
    assert sorted(told(hook)) == ["account.held", "callout.stopped"]


def test_what_happened_is_told_by_nobody_where_there_is_no_endpoint(api: Client, database: Documents) -> None:
    make(api, "/api/opt_outs", msisdn=NUMBER)
    account = api.get("/api/account").json["id"]
    waiting = {"account_id": account, "_to_tell": {"$exists": True}}
    wait_until(lambda: not database["opt_outs"].count_documents(waiting))
    assert database["webhook_deliveries"].count_documents({"account_id": account}) == 0


def test_an_import_of_opt_outs_is_told(api: Client, hook: Hook) -> None:
    make(api, PATH, url=hook.url)
    lines = "msisdn,reason\n" + "".join(f"+25266234{number:04},asked\n" for number in range(20))
    answer = api.post("/api/opt_outs/import", body=lines.encode(), headers={"Content-Type": "text/csv"})
    assert (answer.status, answer.json["created"]) == (200, 20), answer
    wait_until(lambda: len(hook.got) >= 20)
    assert {orjson.loads(body)["data"]["source"] for _, body in hook.got} == {"import"}


def test_deliveries_go_with_their_endpoint(api: Client, hook: Hook, database: Documents) -> None:
    endpoint = make(api, PATH, url=hook.url)
    make(api, "/api/opt_outs", msisdn=NUMBER)
    wait_until(lambda: api.get(f"{PATH}/{endpoint}/deliveries?q[status]=delivered").json)
    assert api.delete(f"{PATH}/{endpoint}").status == 204
    assert database["webhook_deliveries"].count_documents({"webhook_endpoint_id": endpoint}) == 0


def test_an_account_with_an_endpoint_is_not_deleted(server: Server, api: Client) -> None:
    make(api, PATH, url="http://127.0.0.1:9/")
    super_admin = server.client()
    account = api.get("/api/account").json["id"]
    for token in super_admin.get(f"/api/accounts/{account}/access_tokens").json:
        assert super_admin.delete(f"/api/access_tokens/{token['id']}?account_id={account}").status == 204
    answer = super_admin.delete(f"/api/accounts/{account}")
    message = "Cannot delete record because dependent webhook endpoints exist"
    assert (answer.status, answer.json) == (422, {"errors": {"base": [message]}})
