"""Accounts: managed by super admins, and each its own client's to look at and to set up."""

from __future__ import annotations

from typing import Any

import pytest

from tests.resources.conftest import make
from tests.server import Client, Server

KEYS = [
    "id",
    "metadata",
    "settings",
    "twilio_account_sid",
    "somleng_account_sid",
    "twilio_auth_token",
    "somleng_auth_token",
    "permissions",
    "created_at",
    "updated_at",
    "twilio_signing_key",
    "calls_held_at",
]
TOKEN = "0123456789abcdef"


@pytest.fixture
def admin(server: Server) -> Client:
    return server.client()


def test_a_new_account_has_nothing(admin: Client) -> None:
    answer = admin.post("/api/accounts")
    account = answer.json
    assert (answer.status, list(account)) == (201, KEYS)
    assert answer.headers["Location"] == f"/api/accounts/{account['id']}"
    assert [account[name] for name in KEYS[1:8]] == [{}, {}, None, None, None, None, []]
    assert admin.get(f"/api/accounts/{account['id']}").json == account


def test_an_account_is_made_with_all_that_may_be_set(admin: Client) -> None:
    given = {
        "metadata": {"name": "Red Cross"},
        "twilio_account_sid": "AC-test_accounts",
        "twilio_auth_token": TOKEN,
        "somleng_account_sid": "somleng-test_accounts",
        "somleng_auth_token": "short",
        "platform_provider_name": "somleng",
    }
    account = admin.post("/api/accounts", json=given).json
    assert account["metadata"] == given["metadata"]
    assert account["settings"] == {"platform_provider_name": "somleng"}
    assert account["twilio_account_sid"] == given["twilio_account_sid"]
    assert account["somleng_account_sid"] == given["somleng_account_sid"]
    assert account["twilio_auth_token"] == "********cdef"
    assert account["somleng_auth_token"] == "********"


def test_an_auth_token_is_shown_nowhere(api: Client, admin: Client) -> None:
    assert api.patch("/api/account", {"twilio_auth_token": TOKEN}).status == 204
    number = api.get("/api/account").json["id"]
    for client, path in ((api, "/api/account"), (admin, f"/api/accounts/{number}"), (admin, "/api/accounts")):
        assert TOKEN not in str(client.get(f"{path}?per_page=1000").json)
    assert api.get("/api/account").json["twilio_auth_token"] == "********cdef"


def test_permissions_cannot_be_had_over_http(api: Client, admin: Client) -> None:
    given = {"permissions": ["super_admin"], "settings": {"permissions": ["super_admin"]}}
    assert admin.post("/api/accounts", json=given).json["permissions"] == []
    assert api.patch("/api/account", json=given).status == 204
    account = api.get("/api/account").json
    assert (account["permissions"], account["settings"]) == ([], {})
    assert admin.patch(f"/api/accounts/{account['id']}", json=given).status == 204
    assert api.get("/api/accounts").status == 401
    assert admin.get("/api/account").json["permissions"] == ["super_admin"]


@pytest.mark.parametrize("sid", ["AC/1", "AC 1", "AC?", "AC\n1", "é", "x" * 65, "../x"])
@pytest.mark.parametrize("name", ["twilio_account_sid", "somleng_account_sid"])
def test_a_sid_must_be_safe_in_a_path(api: Client, name: str, sid: str) -> None:
    answer = api.patch("/api/account", json={name: sid})
    assert (answer.status, answer.json) == (422, {"errors": {name: ["is invalid"]}})


def test_a_sid_is_a_name_that_several_accounts_may_have(api: Client, stranger: Client, admin: Client) -> None:
    for name in ("twilio_account_sid", "somleng_account_sid"):
        sid = f"shared-{api.get('/api/account').json['id']}"
        for client in (api, stranger):
            assert client.patch("/api/account", {name: f" {sid}\n"}).status == 204
            assert client.get("/api/account").json[name] == sid
        assert admin.post("/api/accounts", {name: sid}).status == 201


@pytest.mark.parametrize("name", ["twilio_auth_token", "somleng_auth_token"])
@pytest.mark.parametrize("token", ["a b", "a\tb", "a\nb", "a\0b", "a\u00a0b", "a\u200bb", "\x7fab", "a\u2028b"])
def test_a_token_has_no_blanks_and_no_control_characters_in_it(api: Client, name: str, token: str) -> None:
    assert api.patch("/api/account", {name: f" \t{TOKEN}\n"}).status == 204
    answer = api.patch("/api/account", json={name: token})
    assert (answer.status, answer.json) == (422, {"errors": {name: ["is invalid"]}})
    answer = api.patch("/api/account", json={name: "x" * 257})
    assert answer.json == {"errors": {name: ["is too long (maximum is 256 characters)"]}}
    assert api.get("/api/account").json[name] == "********cdef"
    assert api.patch("/api/account", json={name: " \n"}).status == 204
    assert api.get("/api/account").json[name] is None


def test_credentials_that_were_replaced_are_shown_nowhere(api: Client, admin: Client) -> None:
    number = api.get("/api/account").json["id"]
    for token in ("first-secret-token", "second-secret-token", ""):
        assert (
            api.patch("/api/account", {"twilio_account_sid": "AC-former", "twilio_auth_token": token}).status == 204
        )
    for client, path in ((api, "/api/account"), (admin, f"/api/accounts/{number}")):
        shown = client.get(path).json
        assert list(shown) == KEYS
        assert "secret" not in str(shown)


def test_every_setting_that_fails_is_named(api: Client) -> None:
    given = {
        "platform_provider_name": "pigeon",
        "twilio_account_sid": "a/b",
        "calls_per_second": 0,
        "calls_in_flight": 1.5,
    }
    assert api.patch("/api/account", json=given).json == {
        "errors": {
            "platform_provider_name": ["is not included in the list"],
            "calls_per_second": ["must be a number greater than 0"],
            "calls_in_flight": ["must be a whole number greater than 0"],
            "twilio_account_sid": ["is invalid"],
        }
    }


@pytest.mark.parametrize("name", ["twilio", "somleng", "simulator"])
def test_a_provider_is_chosen_and_given_up(api: Client, name: str) -> None:
    assert api.patch("/api/account", {"platform_provider_name": name}).status == 204
    assert api.get("/api/account").json["settings"] == {"platform_provider_name": name}
    assert api.patch("/api/account", {"platform_provider_name": ""}).status == 204
    assert api.get("/api/account").json["settings"] == {}


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("twilio_account_sid", "", None),
        ("twilio_account_sid", None, None),
        ("twilio_account_sid", ["x"], "AC-kept"),
        ("somleng_auth_token", "", None),
        ("somleng_auth_token", {"a": 1}, "********cdef"),
    ],
)
def test_empty_text_clears_and_what_is_no_text_is_ignored(api: Client, name: str, given: Any, kept: Any) -> None:
    api.patch("/api/account", {"twilio_account_sid": "AC-kept", "somleng_auth_token": TOKEN})
    assert api.patch("/api/account", json={name: given}).status == 204
    assert api.get("/api/account").json[name] == kept
    assert api.patch("/api/account", json={"twilio_account_sid": None}).status == 204


def test_a_clients_own_account_can_be_fetched_and_updated_and_nothing_else(api: Client) -> None:
    number = api.get("/api/account").json["id"]
    assert api.put("/api/account", {"metadata[a]": "1"}).status == 204
    assert (api.get("/api/account").json["id"], api.get("/api/account").json["metadata"]) == (number, {"a": "1"})
    assert api.delete("/api/account").status == api.post("/api/account").status == 404


def test_accounts_are_managed_by_super_admins_alone(api: Client) -> None:
    number = api.get("/api/account").json["id"]
    for verb, path in [
        ("GET", "/api/accounts"),
        ("POST", "/api/accounts"),
        ("GET", f"/api/accounts/{number}"),
        ("PATCH", f"/api/accounts/{number}"),
        ("DELETE", f"/api/accounts/{number}"),
        ("GET", f"/api/accounts/{number}/users"),
        ("GET", f"/api/accounts/{number}/access_tokens"),
        ("GET", "/api/accounts/999999"),
    ]:
        answer = api.server.request(verb, path, token=api.token)
        assert (answer.status, answer.json) == (401, None), path


def test_a_super_admin_sees_what_is_an_accounts_and_no_more(api: Client, admin: Client) -> None:
    number = api.get("/api/account").json["id"]
    contact = make(api, "/api/contacts", msisdn="+252662345678")
    assert [one["token"] for one in admin.get(f"/api/accounts/{number}/access_tokens").json] == [None]
    assert admin.get(f"/api/accounts/{number}/users").json == []
    assert admin.get("/api/accounts/999999/users").status == 404
    assert admin.get(f"/api/contacts/{contact}").status == 404
    assert admin.get(f"/api/accounts/{number}/contacts").status == 404


def test_an_updated_account_keeps_what_was_not_given(api: Client, admin: Client) -> None:
    number = api.get("/api/account").json["id"]
    path = f"/api/accounts/{number}"
    assert admin.patch(path, json={"metadata": {"a": 1}, "twilio_auth_token": TOKEN}).status == 204
    assert admin.patch(path, json={"metadata": {"b": 2}, "platform_provider_name": "twilio"}).status == 204
    account = admin.get(path).json
    assert account["metadata"] == {"a": 1, "b": 2}
    assert account["twilio_auth_token"] == "********cdef"
