"""Signing in: the session, its cookie and its token, what ends it, and what others try with it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from scfm.clock import now
from scfm.handlers.client import ClientHandler
from scfm.handlers.routes import routes
from tests.browser import COOKIE, Browser, cookies_of
from tests.resources.conftest import Documents
from tests.server import Client, Server, wait_until

PASSWORD = "correct horse"
FORBIDDEN = {"status": 403, "error": "Forbidden"}
ELSEWHERE = "https://evil.example.org"


@pytest.fixture
def email(api: Client) -> str:
    """That of an admin of the account."""
    return made_user(api)


@pytest.fixture
def browser(server: Server, email: str) -> Browser:
    """One that has signed in."""
    return signed_in(server, email)


@pytest.fixture
def other(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Another process on the same database."""
    with Server(tmp_path_factory.mktemp("other"), settings) as other:
        yield other


def made_user(api: Client, role: str | None = None) -> str:
    email = f"{uuid4().hex}@example.org"
    answer = api.post("/api/users", json={"email": email, "password": PASSWORD, "role": role})
    assert answer.status == 201, answer
    return email


def signed_in(server: Server, email: str, password: str = PASSWORD) -> Browser:
    browser = Browser(server)
    assert browser.sign_in(email, password).status == 201
    return browser


def user_id(browser: Browser) -> int:
    return int(browser.get("/session").json["user"]["id"])


# The session.


def test_who_signs_in_is_told_who_it_is_and_for_which_account(api: Client, server: Server, email: str) -> None:
    browser = Browser(server)
    answer = browser.sign_in(f" {email.upper()} ", PASSWORD)
    assert (answer.status, list(answer.json)) == (201, ["user", "account", "csrf_token"])
    users = api.get("/api/users").json
    assert answer.json["user"] in users and answer.json["user"]["email"] == email
    account = api.get("/api/account").json
    assert answer.json["account"] == {"id": account["id"], "settings": account["settings"]}
    again = browser.get("/session")
    assert (again.status, again.json) == (200, answer.json)
    for one in (answer, again):
        assert one.headers["Cache-Control"] == "no-store"
        assert "argon2" not in str(one.json) and browser.cookies[COOKIE] not in str(one.json)
    assert browser.request("HEAD", "/session").status == 200


@pytest.mark.parametrize("kind", ["json", "form"])
def test_a_form_will_do(server: Server, email: str, kind: str) -> None:
    given = {"email": email, "password": PASSWORD}
    answer = server.request("POST", "/session", token="", **{kind: given})  # type: ignore[arg-type]
    assert answer.status == 201


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        ({}, {"email": ["can't be blank"], "password": ["can't be blank"]}),
        ({"email": "a@b.org", "password": ""}, {"password": ["can't be blank"]}),
        ({"email": None, "password": PASSWORD}, {"email": ["can't be blank"]}),
        (
            {"email": {"$gt": ""}, "password": {"$gt": ""}},
            {"email": ["can't be blank"], "password": ["can't be blank"]},
        ),
    ],
)
def test_both_are_needed_as_texts(server: Server, given: Any, errors: Any) -> None:
    answer = server.request("POST", "/session", json=given, token="")
    assert (answer.status, answer.json) == (422, {"errors": errors})
    assert "Set-Cookie" not in answer.headers


def test_a_wrong_password_an_unknown_email_and_one_in_the_url_are_refused(server: Server, email: str) -> None:
    wrong = [{"email": email, "password": "wrong horse"}, {"email": f"x{email}", "password": PASSWORD}]
    answers = [server.request("POST", "/session", json=given, token="") for given in wrong]
    for answer in answers:
        assert (answer.status, answer.json, answer.headers["Set-Cookie"]) == (401, None, None)
    assert answers[0].headers.keys() == answers[1].headers.keys()
    in_url = server.request("POST", f"/session?email={email}&password=correct+horse", token="")
    assert in_url.status == 400
    assert server.request("POST", "/session", form={"email": "a@b.org", "password": "x" * 20_000}).status == 413


def test_the_api_works_by_cookie(server: Server, browser: Browser, api: Client) -> None:
    made = browser.post("/api/contacts", json={"msisdn": "+252662345678"}, headers={"Idempotency-Key": "one"})
    assert made.status == 201
    assert browser.get("/api/contacts").json == api.get("/api/contacts").json == [made.json]
    assert browser.request("PATCH", f"/api/contacts/{made.json['id']}", json={"metadata": {"a": 1}}).status == 204
    callout = browser.post("/api/callouts").json["id"]
    assert browser.get(f"/api/callouts/{callout}/statistics").status == 200
    assert browser.request("HEAD", f"/api/callouts/{callout}/progress").status == 200
    assert browser.delete(f"/api/contacts/{made.json['id']}").status == 204


def test_a_role_is_that_of_the_user(server: Server, api: Client) -> None:
    viewer = signed_in(server, made_user(api, "viewer"))
    assert viewer.get("/session").json["user"]["role"] == "viewer"
    answer = viewer.post("/api/contacts", json={"msisdn": "+252662345678"})
    assert (answer.status, answer.json) == (403, FORBIDDEN)


def test_only_a_digest_of_the_secret_is_stored(browser: Browser, database: Documents) -> None:
    secret, token = browser.cookies[COOKIE], browser.csrf_token
    kept = database["sessions"].find_one({"_id": hashlib.sha256(secret.encode()).hexdigest()})  # type: ignore[arg-type]
    assert kept is not None
    assert secret not in str(kept) and token not in str(kept)
    assert len(secret) >= 43  # 256 bits
    assert timedelta(hours=11.9) < kept["expires_at"] - now() <= timedelta(hours=12)


# The cookie.


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(server: Server, email: str) -> None:
    answer = Browser(server).sign_in(email, PASSWORD)
    (cookie,) = cookies_of(answer).values()
    assert (cookie.key, cookie["httponly"], cookie["samesite"]) == (COOKIE, True, "Strict")
    assert (cookie["path"], cookie["max-age"], cookie["domain"]) == ("/", "43200", "")
    assert cookie["secure"] == ""  # as PUBLIC_URL is not https


def test_it_is_secure_and_of_the_path_of_the_public_url(settings: dict[str, str], email: str, tmp_path: Path) -> None:
    with Server(tmp_path / "data", {**settings, "PUBLIC_URL": "https://alerts.example.org/scfm"}) as server:
        answer = Browser(server).sign_in(email, PASSWORD)
        cookie = cookies_of(answer)[COOKIE]
        assert (cookie["secure"], cookie["path"]) == (True, "/scfm")
        assert answer.headers["Location"] == "/scfm/session"
        for origin, status in (("https://alerts.example.org", 201), ("https://evil.example.org", 403)):
            assert Browser(server).sign_in(email, PASSWORD, headers={"Origin": origin}).status == status


def test_without_a_path_it_has_a_name_that_only_this_host_can_set(
    settings: dict[str, str], email: str, tmp_path: Path
) -> None:
    with Server(tmp_path / "data", {**settings, "PUBLIC_URL": "https://alerts.example.org"}) as server:
        browser = Browser(server)
        cookie = cookies_of(browser.sign_in(email, PASSWORD))[f"__Host-{COOKIE}"]
        # Else browsers refuse a cookie with that prefix.
        assert (cookie["secure"], cookie["path"], cookie["domain"], cookie["httponly"]) == (True, "/", "", True)
        assert browser.post("/api/callouts").status == 201
        planted = Browser(server)
        planted.cookies = {COOKIE: browser.cookies[f"__Host-{COOKIE}"]}
        assert planted.get("/session").status == 401
        assert browser.delete("/session").status == 204 and browser.cookies == {}


@pytest.mark.parametrize("secret", ["", "x", "x" * 4000, "%00", '"a b"', "é"])
def test_a_cookie_that_is_none_of_ours_is_refused(server: Server, secret: str) -> None:
    headers = {"Cookie": f"{COOKIE}={secret}".encode().decode("latin-1")}
    for path in ("/session", "/api/contacts"):
        assert server.request("GET", path, token="", headers=headers).status == 401


# What ends a session.


def test_who_signs_out_is_out_at_once_and_again_is_no_other_failure(browser: Browser) -> None:
    kept = dict(browser.cookies)
    answer = browser.delete("/session")
    assert (answer.status, answer.json, browser.cookies) == (204, None, {})
    taken_away = cookies_of(answer)[COOKIE]
    assert (taken_away["path"], taken_away["samesite"], taken_away["httponly"]) == ("/", "Strict", True)
    assert parsedate_to_datetime(taken_away["expires"]) < now()
    browser.cookies = kept
    assert browser.get("/session").status == browser.get("/api/contacts").status == 401
    assert browser.delete("/session").status == 401


def test_a_new_password_ends_all_sessions_of_the_user_and_no_others(api: Client, server: Server, email: str) -> None:
    browsers = [signed_in(server, email) for _ in range(2)]
    bystander = signed_in(server, made_user(api))
    path = f"/api/users/{user_id(browsers[0])}"
    assert api.patch(path, json={"metadata": {"a": 1}}).status == 204
    assert [one.get("/session").json["user"]["metadata"] for one in browsers] == [{"a": 1}] * 2
    assert api.patch(path, json={"password": "another horse"}).status == 204
    for one in browsers:
        assert one.get("/session").status == one.get("/api/contacts").status == 401
    assert bystander.get("/session").status == 200
    assert Browser(server).sign_in(email, PASSWORD).status == 401
    assert signed_in(server, email, "another horse").get("/session").status == 200


def test_a_deleted_user_is_out_and_another_role_holds_at_once(api: Client, server: Server, email: str) -> None:
    browser = signed_in(server, email)
    path = f"/api/users/{user_id(browser)}"
    assert browser.post("/api/callouts").status == 201
    assert api.patch(path, json={"role": "viewer"}).status == 204
    assert (browser.post("/api/callouts").status, browser.get("/api/callouts").status) == (403, 200)
    assert api.delete(path).status == 204
    assert browser.get("/session").status == browser.get("/api/callouts").status == 401


def test_other_processes_follow_soon(api: Client, server: Server, other: Server, email: str) -> None:
    browser = signed_in(server, email)
    there = Browser(other)
    there.cookies, there.csrf_token = browser.cookies, browser.csrf_token
    assert there.post("/api/callouts").status == 201
    path = f"/api/users/{user_id(browser)}"
    assert api.patch(path, json={"role": "viewer"}).status == 204
    wait_until(lambda: there.post("/api/callouts").status == 403)
    assert api.patch(path, json={"password": "another horse"}).status == 204
    wait_until(lambda: there.get("/session").status == 401)


def test_a_session_is_over_after_twelve_hours(browser: Browser, database: Documents, server: Server) -> None:
    user = user_id(browser)
    changed = database["sessions"].update_many({"user_id": user}, {"$set": {"expires_at": now()}})
    assert changed.modified_count == 1
    wait_until(lambda: browser.get("/session").status == 401)
    assert browser.get("/api/contacts").status == 401


def test_a_user_has_twenty_sessions_and_the_oldest_ends(
    api: Client, server: Server, email: str, database: Documents
) -> None:
    oldest, bystander = signed_in(server, email), signed_in(server, made_user(api))
    (kept,) = database["sessions"].find({"user_id": user_id(oldest)})
    more = [
        {**kept, "_id": f"{email}{number}", "created_at": kept["created_at"] + timedelta(milliseconds=number)}
        for number in range(1, 20)
    ]
    database["sessions"].insert_many(more)
    assert oldest.get("/session").status == 200
    newest = signed_in(server, email)
    wait_until(lambda: oldest.get("/session").status == 401)
    assert newest.get("/session").status == bystander.get("/session").status == 200
    left = {one["_id"] for one in database["sessions"].find({"user_id": kept["user_id"]})}
    assert len(left) == 20 and left > {one["_id"] for one in more}


# One's own password.

NEW_PASSWORD = "battery staple"


def changed(browser: Browser, password: str, new_password: Any, **options: Any) -> Any:
    given = {"password": password, "new_password": new_password}
    answer = browser.request("PATCH", "/session", json=given, **options)
    return answer.status, answer.json


@pytest.mark.parametrize("role", ["viewer", "admin"])
def test_a_user_of_any_role_changes_the_password_and_ends_the_other_sessions(
    api: Client, server: Server, role: str
) -> None:
    email = made_user(api, role)
    browser, elsewhere = signed_in(server, email), signed_in(server, email)
    bystander = signed_in(server, made_user(api))
    assert changed(browser, PASSWORD, NEW_PASSWORD) == (204, None)
    assert browser.get("/session").status == bystander.get("/session").status == 200
    assert browser.delete("/session").status == 204  # its token holds
    assert elsewhere.get("/session").status == elsewhere.get("/api/contacts").status == 401
    assert Browser(server).sign_in(email, PASSWORD).status == 401
    assert signed_in(server, email, NEW_PASSWORD).get("/session").status == 200


def test_other_processes_follow_a_user_who_changes_the_password(server: Server, other: Server, email: str) -> None:
    browser, elsewhere = signed_in(server, email), signed_in(server, email)
    assert changed(browser, PASSWORD, NEW_PASSWORD) == (204, None)
    for one, status in ((browser, 200), (elsewhere, 401)):
        there = Browser(other)
        there.cookies = one.cookies
        assert there.get("/session").status == status


def test_a_change_of_the_password_is_in_the_audit_log_without_it(api: Client, browser: Browser) -> None:
    user = user_id(browser)
    changed(browser, "wrong horse", NEW_PASSWORD)
    changed(browser, PASSWORD, NEW_PASSWORD)
    events = api.get(f"/api/audit_events?q[subject][type]=user&q[subject][id]={user}").json
    refused, done = events[-2:]
    assert [event["action"] for event in events[-2:]] == ["sign_in_refused", "update"]
    assert refused["actor"] == done["actor"] and done["actor"]["id"] == user
    assert done["changes"] == {"password": ["(secret)", "(secret)"]}
    assert NEW_PASSWORD not in str(events) and PASSWORD not in str(events)


@pytest.mark.parametrize(
    ("password", "new_password", "errors"),
    [
        ("", "", {"password": ["can't be blank"], "new_password": ["can't be blank"]}),
        ("wrong horse", NEW_PASSWORD, {"password": ["is wrong"]}),
        (PASSWORD, "short", {"new_password": ["is too short (minimum is 6 characters)"]}),
        (PASSWORD, "x" * 129, {"new_password": ["is too long (maximum is 128 characters)"]}),
        (PASSWORD, PASSWORD, {"new_password": ["is the present one"]}),
        (PASSWORD, {"$gt": ""}, {"new_password": ["can't be blank"]}),
    ],
)
def test_passwords_that_are_wrong_change_nothing(
    browser: Browser, server: Server, email: str, password: str, new_password: Any, errors: Any
) -> None:
    assert changed(browser, password, new_password) == (422, {"errors": errors})
    assert browser.get("/session").status == 200
    assert Browser(server).sign_in(email, PASSWORD).status == 201


def test_who_has_only_the_cookie_a_token_or_a_url_changes_no_password(
    browser: Browser, server: Server, api: Client, email: str
) -> None:
    query = f"?password=correct+horse&new_password={NEW_PASSWORD.replace(' ', '+')}"
    assert browser.request("PATCH", f"/session{query}").status == 400
    assert changed(browser, PASSWORD, NEW_PASSWORD, headers={"X-CSRF-Token": "x"})[0] == 403
    assert api.patch("/session", json={"password": PASSWORD, "new_password": NEW_PASSWORD}).status == 401
    assert Browser(server).sign_in(email, PASSWORD).status == 201


def test_the_present_password_is_guessed_no_more_often_than_at_sign_in(browser: Browser, server: Server) -> None:
    statuses = [changed(browser, "wrong horse", NEW_PASSWORD)[0] for _ in range(6)]
    assert statuses == [422] * 5 + [429]
    assert changed(browser, PASSWORD, NEW_PASSWORD)[0] == 429


def test_of_two_who_change_a_password_at_once_the_second_is_told_that_it_is_wrong(
    browser: Browser, server: Server, email: str
) -> None:
    browsers = [browser, signed_in(server, email)]
    with ThreadPoolExecutor(2) as pool:
        statuses = list(pool.map(lambda n: changed(browsers[n], PASSWORD, f"{NEW_PASSWORD} {n}")[0], (0, 1)))
    # The second finds its session ended, or the password changed.
    assert sorted(statuses)[0] == 204 and sorted(statuses)[1] in (401, 422)
    winner = statuses.index(204)
    assert browsers[winner].get("/session").status == 200 and browsers[1 - winner].get("/session").status == 401
    assert Browser(server).sign_in(email, f"{NEW_PASSWORD} {winner}").status == 201


# What others try.


def test_a_write_by_cookie_needs_the_sessions_own_token(browser: Browser, api: Client, server: Server) -> None:
    path = f"/api/contacts/{api.post('/api/contacts', {'msisdn': '+252662345678'}).json['id']}"
    stranger = signed_in(server, made_user(api))
    right = browser.csrf_token
    for token in (
        "",
        "x",
        right[:-1],
        right + "x",
        right.swapcase(),
        stranger.csrf_token,
        browser.cookies[COOKIE],
        "é",
    ):
        browser.csrf_token = token.encode().decode("latin-1")
        for method, target in (
            ("POST", "/api/contacts"),
            ("PATCH", path),
            ("PUT", path),
            ("DELETE", path),
            ("DELETE", "/session"),
        ):
            answer = browser.request(method, target, form={"msisdn": "+252662345679"})
            assert (answer.status, answer.json["error"]) == (403, "Forbidden"), (token, method)
            assert "X-CSRF-Token" in answer.json["message"]
        in_body = browser.request("POST", "/api/contacts", form={"msisdn": "+252662345679", "csrf_token": right})
        assert in_body.status == 403
    assert [one["msisdn"] for one in api.get("/api/contacts").json] == ["+252662345678"]
    assert browser.get("/session").status == 200


def test_no_route_is_written_to_by_a_cookie_alone(browser: Browser) -> None:
    """Every route of the table that a client writes to, whatever its role may do."""
    browser.csrf_token = ""
    wanted = [
        (verb, re.sub(r"[{]\w+[}]", "1", str(route.name)))
        for route in routes()
        if issubclass(route.handler_class, ClientHandler)
        for verb in str(route.kwargs.get("verbs", "GET")).split()
        if verb != "GET" and route.kwargs["roles"][verb] is not None
    ]
    assert len(wanted) > 40
    for verb, path in wanted:
        answer = browser.request(verb, path, json={})
        assert (answer.status, "X-CSRF-Token" in answer.json["message"]) == (403, True), (verb, path)


def test_a_new_sign_in_is_a_new_session_whatever_cookie_was_there(server: Server, email: str) -> None:
    """Session fixation: who has put a cookie of his own into the browser knows nothing of the session."""
    browser = Browser(server)
    browser.cookies[COOKIE] = "known-to-the-attacker"
    browser.sign_in(email, PASSWORD)
    first = browser.cookies[COOKIE]
    assert first != "known-to-the-attacker"
    token = browser.csrf_token
    browser.sign_in(email, PASSWORD)
    assert browser.cookies[COOKIE] != first and browser.csrf_token != token
    browser.cookies[COOKIE] = first
    assert browser.get("/session").status == 401  # the one before is over


def test_an_authorization_header_goes_before_the_cookie(browser: Browser, stranger: Client) -> None:
    path, account = "/api/account", stranger.get("/api/account").json["id"]
    assert browser.get(path, token=stranger.token).json["id"] == account
    assert browser.get(path, token="0" * 64).status == 401
    assert browser.get(path, headers={"Authorization": ""}).status == 401
    browser.csrf_token = ""
    assert browser.post("/api/contacts", form={"msisdn": "+252662345678"}, token=stranger.token).status == 201
    assert stranger.get("/session").status == 401  # a token has no session


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": ELSEWHERE}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ELSEWHERE, "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": ELSEWHERE, "Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": ELSEWHERE, "Sec-Fetch-Site": "same-origin"}, 201),  # a proxy has changed Host
        ({"Sec-Fetch-Site": "none"}, 201),
        ({}, 201),
    ],
)
def test_a_page_of_another_site_signs_nobody_in(
    server: Server, email: str, headers: dict[str, str], status: int
) -> None:
    form = {"email": email, "password": PASSWORD}
    assert server.request("POST", "/session", form=form, headers=headers, token="").status == status
    own = {"Origin": server.url}
    assert server.request("POST", "/session", form=form, headers=own, token="").status == 201


def test_an_email_is_kept_out_after_five_failures_and_the_others_are_not(
    server: Server, api: Client, email: str, database: Documents
) -> None:
    bystander = made_user(api)
    statuses = [Browser(server).sign_in(email, "wrong").status for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    answer = Browser(server).sign_in(email, PASSWORD)
    assert (answer.status, answer.json) == (429, {"status": 429, "error": "Too Many Requests"})
    assert 200 < int(answer.headers["Retry-After"]) <= 300
    assert Browser(server).sign_in(bystander, PASSWORD).status == 201
    forget_failures(database)
    assert Browser(server).sign_in(email, PASSWORD).status == 201


def forget_failures(database: Documents) -> None:
    """Those of other tests come from the same address."""
    database["sign_in_failures"].delete_many({})


@pytest.fixture(autouse=True)
def without_failures(database: Documents) -> None:
    forget_failures(database)
