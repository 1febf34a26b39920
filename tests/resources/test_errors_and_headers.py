"""What every answer has, and what each kind of error looks like."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.resources.conftest import Documents, make
from tests.server import Answer, Client, Server, wait_until

ALICE = "+252662345678"
FRESH, NO_CACHE = "max-age=0, private, must-revalidate", "no-cache"
JSON = "application/json; charset=utf-8"
SECURITY = {
    "X-Frame-Options": "SAMEORIGIN",
    "X-XSS-Protection": "1; mode=block",
    "X-Content-Type-Options": "nosniff",
}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TOO_LARGE = b"x" * 100_001

Ask = Callable[[Client], Answer]

# Every kind of answer: how to get it, its status, its Cache-Control, its Content-Type.
ANSWERS: dict[str, tuple[Ask, int, str, str | None]] = {
    "list": (lambda api: api.get("/api/contacts"), 200, FRESH, JSON),
    "head": (lambda api: api.head("/api/contacts"), 200, FRESH, JSON),
    "created": (lambda api: api.post("/api/callouts"), 201, FRESH, JSON),
    "updated": (lambda api: api.patch("/api/account"), 204, NO_CACHE, None),
    "bad request": (lambda api: api.get("/api/contacts?a=%zz"), 400, NO_CACHE, JSON),
    "no token": (lambda api: api.server.request("GET", "/api/contacts", token=""), 401, NO_CACHE, None),
    "unknown token": (lambda api: api.server.request("GET", "/api/contacts", token="no"), 401, NO_CACHE, None),
    "no super admin": (lambda api: api.get("/api/accounts"), 401, NO_CACHE, None),
    "unknown id": (lambda api: api.get("/api/contacts/999999"), 404, NO_CACHE, JSON),
    "unknown path": (lambda api: api.get("/nowhere"), 404, NO_CACHE, JSON),
    "unknown verb": (lambda api: api.delete("/api/contacts"), 404, NO_CACHE, JSON),
    "too large": (lambda api: api.post("/api/contacts", body=TOO_LARGE), 413, NO_CACHE, JSON),
    "invalid": (lambda api: api.post("/api/contacts"), 422, NO_CACHE, JSON),
    "document": (lambda api: api.get("/api/openapi.json"), 200, FRESH, JSON),
    "page": (lambda api: api.get("/api/docs"), 200, FRESH, "text/html; charset=utf-8"),
    "first page": (lambda api: api.get("/"), 200, FRESH, JSON),
    "other site": (
        lambda api: api.post("/api/callouts", headers={"Sec-Fetch-Site": "cross-site"}),
        403,
        NO_CACHE,
        JSON,
    ),
    "encoded": (lambda api: api.post("/api/callouts", headers={"Content-Encoding": "br"}), 415, NO_CACHE, JSON),
    "health": (lambda api: api.get("/health"), 200, FRESH, JSON),
}


@pytest.mark.parametrize(("ask", "status", "cache", "kind"), ANSWERS.values(), ids=ANSWERS.keys())
def test_every_answer_has_the_headers(api: Client, ask: Ask, status: int, cache: str, kind: str | None) -> None:
    answer = ask(api)
    assert answer.status == status
    assert {name: answer.headers[name] for name in SECURITY} == SECURITY
    assert answer.headers["Cache-Control"] == cache
    assert answer.headers["Content-Type"] == kind
    assert re.fullmatch(r"\d+\.\d{6}", answer.headers["X-Runtime"])
    assert UUID.fullmatch(answer.headers["X-Request-Id"])
    assert answer.headers["Server"] is None
    if kind is not None:
        assert re.fullmatch(r'W/"[0-9a-f]{32}"', answer.headers["ETag"])


@pytest.mark.parametrize("sane", ["abc", "A-b_9@x", "x" * 255])
def test_a_sane_request_id_is_the_clients(api: Client, sane: str) -> None:
    assert api.get("/api/account", headers={"X-Request-Id": sane}).headers["X-Request-Id"] == sane


@pytest.mark.parametrize("odd", ["", "a b", "a;b", "a/b", "é", "x" * 256, "<script>"])
def test_an_odd_request_id_is_replaced(api: Client, odd: str) -> None:
    assert UUID.fullmatch(api.get("/api/account", headers={"X-Request-Id": odd}).headers["X-Request-Id"])


# Errors


NOT_FOUND = {"status": 404, "error": "Not Found"}
BAD_REQUEST = {"status": 400, "error": "Bad Request"}


@pytest.mark.parametrize(
    "path",
    [
        "//",
        "/api/contact",
        "/API/contacts",
        "/api/contacts/1/2",
        "/api/contacts/0",
        "/api/contacts/-1",
        "/api/contacts/01",
        "/api/contacts/1.0",
        "/api/contacts/one",
        "/api/contacts/%00",
        "/api/contacts/1%20",
        "/api/contacts/1.xml",
        "/api/contacts/9223372036854775807",
        "/api/contacts/99999999999999999999999",
        "/api/account/1",
        "/api/batch_operations/1/preview/callouts",
        "/api/contacts/999999/callouts",
    ],
)
def test_what_is_not_there_is_not_found(api: Client, path: str) -> None:
    answer = api.get(path)
    assert (answer.status, answer.json) == (404, NOT_FOUND)


@pytest.mark.parametrize("verb", ["OPTIONS", "TRACE", "POST", "PROPFIND", "BREW"])
def test_a_verb_that_a_path_lacks_is_not_found(api: Client, verb: str) -> None:
    path = f"/api/contacts/{make(api, '/api/contacts', msisdn=ALICE)}"
    answer = api.server.request(verb, path, token=api.token)
    assert (answer.status, answer.json) == (404, NOT_FOUND)
    assert answer.headers["Allow"] is None


@pytest.mark.parametrize("suffix", ["", "/", ".json", ".json/"])
@pytest.mark.parametrize("path", ["/api/contacts", "/api/contacts/1", "/api/contacts/1/callouts", "/api/account"])
def test_a_path_may_end_in_json_or_in_a_slash(api: Client, path: str, suffix: str) -> None:
    path = path.replace("1", str(make(api, "/api/contacts", msisdn=ALICE)))
    answer = api.get(path + suffix)
    assert (answer.status, answer.json) == (200, api.get(path).json)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", "application/json"),
        (b"NaN", "application/json"),
        (b'{"a": "\\ud800"}', "application/json"),
        (b"\xff", "application/json"),
        (b"a=1&a[b]=2", "application/x-www-form-urlencoded"),
        (b"a=%zz", "application/x-www-form-urlencoded"),
        (b"a=%ff", "application/x-www-form-urlencoded"),
        (b"nonsense", "multipart/form-data; boundary=x"),
        (b"nonsense", "multipart/form-data"),
    ],
)
def test_a_malformed_body_is_a_bad_request_and_makes_nothing(api: Client, body: bytes, kind: str) -> None:
    answer = api.post("/api/callouts", body=body, headers={"Content-Type": kind})
    assert (answer.status, answer.json) == (400, BAD_REQUEST)
    assert api.get("/api/callouts").json == []


@pytest.mark.parametrize("query", ["a=%zz", "a=%ff", "a=1&a[b]=2", "a[]=1&a[b]=2"])
@pytest.mark.parametrize("verb", ["GET", "PATCH", "DELETE"])
def test_a_malformed_query_is_a_bad_request_whatever_the_verb(api: Client, verb: str, query: str) -> None:
    path = f"/api/contacts/{make(api, '/api/contacts', msisdn=ALICE)}"
    answer = api.server.request(verb, f"{path}?{query}", token=api.token)
    assert (answer.status, answer.json) == (400, BAD_REQUEST)
    assert api.get(path).status == 200


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"metadata": {str(number): 1 for number in range(1000)}}, "too many parameters (maximum is 1000)"),
        ({"metadata": {"a": "x" * 65_537}}, "a parameter is too long (maximum is 65536 bytes)"),
        ({"metadata": {"x" * 65_537: "a"}}, "a parameter is too long (maximum is 65536 bytes)"),
    ],
)
def test_a_bound_that_is_passed_is_named_and_nothing_is_stored(api: Client, given: Any, reason: str) -> None:
    answer = api.post("/api/callouts", json=given)
    assert (answer.status, answer.json) == (400, BAD_REQUEST | {"message": reason})
    assert api.get("/api/callouts").json == []


def test_a_value_nested_too_deeply_is_refused(api: Client) -> None:
    answer = api.post("/api/callouts", {"metadata" + "[a]" * 32: "1"})
    assert answer.json["message"] == "parameters are nested too deeply (maximum is 32 levels)"


def test_a_body_that_is_too_large_is_refused_however_it_comes(server: Server, api: Client) -> None:
    too_large = {"status": 413, "error": "Request Entity Too Large"}
    assert api.post("/api/callouts", body=TOO_LARGE).json == too_large
    credentials = base64.b64encode(f"{api.token}:".encode()).decode()
    connection = HTTPConnection(server.host, server.port)
    chunks = (b"x" * 10_000 for _ in range(11))
    connection.request(
        "POST", "/api/callouts", chunks, {"Authorization": f"Basic {credentials}"}, encode_chunked=True
    )
    assert connection.getresponse().status == 413
    connection.close()
    assert api.get("/api/callouts").json == []


def test_a_failure_of_ours_tells_the_client_nothing_and_the_log_everything(
    server: Server, api: Client, database: Documents
) -> None:
    number = make(
        api, "/api/batch_operations", type="BatchOperation::PhoneCallQueue", skip_validate_preview_presence=1
    )
    database["batch_operations"].update_one({"_id": number}, {"$set": {"type": "BatchOperation::Unknown"}})
    answer = api.get(f"/api/batch_operations/{number}/preview/phone_calls", headers={"X-Request-Id": "broken-1"})
    assert (answer.status, answer.json) == (500, {"status": 500, "error": "Internal Server Error"})
    assert {name: answer.headers[name] for name in SECURITY} == SECURITY
    wait_until(lambda: "KeyError" in server.output())
    log = "\n".join(server.stderr)
    assert "broken-1" in log
    assert "Traceback" in log


# Credentials


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "credentials",
    [
        lambda token: basic(f"{token}:"),
        lambda token: basic(f"{token}:any password: with colons"),
        basic,
        lambda token: basic(f"{token}:").replace("Basic", "bAsIc"),
        lambda token: f"Bearer {token}",
        lambda token: f"bearer  {token}",
    ],
)
def test_a_token_comes_as_user_name_or_as_bearer(api: Client, credentials: Callable[[str], str]) -> None:
    answer = api.server.request("GET", "/api/account", token="", headers={"Authorization": credentials(api.token)})
    assert answer.status == 200


@pytest.mark.parametrize(
    "credentials",
    [
        lambda token: "",
        lambda token: token,
        lambda token: "Basic",
        lambda token: "Basic not base64",
        lambda token: basic(f":{token}"),
        lambda token: basic(f" {token}:"),
        lambda token: basic(f"{token.upper()}:"),
        lambda token: basic(f"{token[:-1]}:"),
        lambda token: "Bearer",
        lambda token: f"Token {token}",
    ],
)
def test_other_credentials_are_refused_with_a_challenge(api: Client, credentials: Callable[[str], str]) -> None:
    answer = api.server.request("GET", "/api/account", token="", headers={"Authorization": credentials(api.token)})
    assert (answer.status, answer.json) == (401, None)
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="scfm", error="invalid_token"')


def test_a_token_in_the_url_lets_nobody_in(api: Client) -> None:
    for name in ("access_token", "token"):
        assert api.server.request("GET", f"/api/account?{name}={api.token}", token="").status == 401


def test_who_is_no_super_admin_gets_no_challenge(api: Client) -> None:
    answer = api.get("/api/accounts")
    assert (answer.status, answer.json, answer.headers["WWW-Authenticate"]) == (401, None, None)


def test_without_credentials_nothing_is_told_of_what_there_is(api: Client) -> None:
    path = f"/api/contacts/{make(api, '/api/contacts', msisdn=ALICE)}"
    there, missing = (api.server.request("GET", one, token="") for one in (path, "/api/contacts/999999"))
    assert (there.status, there.json) == (missing.status, missing.json) == (401, None)
    assert api.server.request("POST", "/api/contacts", body=b"{", token="").status == 401


# What need not be sent again


@pytest.mark.parametrize("path", ["/api/contacts", "/api/contacts/1", "/api/account", "/api/contacts/1/callouts"])
@pytest.mark.parametrize("verb", ["GET", "HEAD"])
def test_what_has_not_changed_is_not_sent_again(api: Client, verb: str, path: str) -> None:
    path = path.replace("1", str(make(api, "/api/contacts", msisdn=ALICE)))
    etag = api.get(path).headers["ETag"]
    for asked in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        answer = api.server.request(verb, path, token=api.token, headers={"If-None-Match": asked})
        assert (answer.status, answer.json, answer.headers["ETag"]) == (304, None, etag)
        assert answer.headers["Cache-Control"] == FRESH
    other = api.server.request(verb, path, token=api.token, headers={"If-None-Match": 'W/"other"'})
    assert other.status == 200


def test_a_change_changes_the_etag(api: Client) -> None:
    path = f"/api/contacts/{make(api, '/api/contacts', msisdn=ALICE)}"
    etag = api.get(path).headers["ETag"]
    assert api.patch(path, {"metadata[a]": "1"}).status == 204
    assert api.get(path, headers={"If-None-Match": etag}).status == 200


def test_a_condition_is_for_reading_only(api: Client) -> None:
    path = f"/api/contacts/{make(api, '/api/contacts', msisdn=ALICE)}"
    etag = api.get(path).headers["ETag"]
    assert api.patch(path, {"metadata[a]": "1"}, headers={"If-None-Match": etag}).status == 204
    assert api.post("/api/callouts", headers={"If-None-Match": "*"}).status == 201


@pytest.mark.parametrize("path", ["/api/contacts?per_page=1", "/api/contacts/1", "/api/account", "/api/docs"])
def test_head_is_get_without_the_body(api: Client, path: str) -> None:
    path = path.replace("/1", f"/{make(api, '/api/contacts', msisdn=ALICE)}")
    make(api, "/api/contacts", msisdn="+252662345679")
    get, head = api.get(path), api.head(path)
    assert (head.status, head.json) == (get.status, None)
    for name in ("Content-Type", "Content-Length", "ETag", "Cache-Control", "Total", "Per-Page", "Link"):
        assert head.headers[name] == get.headers[name], name
