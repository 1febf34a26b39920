"""Access tokens: shown once, kept as a digest, taken away by who made them."""

from __future__ import annotations

import hashlib
import re

import pytest

from tests.resources.conftest import Documents
from tests.server import Client, Server

KEYS = ["id", "token", "created_at", "updated_at", "metadata", "role", "expires_at", "last_used_at"]
NOT_THE_CREATOR = {"errors": {"base": ["Cannot delete record because the destroyer is not the creator"]}}


@pytest.fixture
def admin(server: Server) -> Client:
    return server.client()


def account_of(api: Client) -> int:
    return int(api.get("/api/account").json["id"])


def test_a_token_is_shown_when_it_is_made_and_never_again(api: Client) -> None:
    answer = api.post("/api/access_tokens", {"metadata[name]": "laptop"})
    made = answer.json
    assert (answer.status, list(made)) == (201, KEYS)
    assert re.fullmatch(r"[0-9a-f]{64}", made["token"])
    assert answer.headers["Location"] == f"/api/access_tokens/{made['id']}"
    assert api.get(f"/api/access_tokens/{made['id']}").json == {**made, "token": None}
    assert [one["token"] for one in api.get("/api/access_tokens").json] == [None, None]


def test_only_a_digest_is_stored(api: Client, database: Documents) -> None:
    made = api.post("/api/access_tokens").json
    stored = database["access_tokens"].find_one({"_id": made["id"]})
    assert stored is not None
    assert stored["digest"] == hashlib.sha256(made["token"].encode()).hexdigest()
    assert made["token"] not in str(stored)


def test_a_token_lets_its_account_in_until_it_is_deleted(server: Server, api: Client) -> None:
    made = api.post("/api/access_tokens").json
    other = server.client(made["token"])
    assert account_of(other) == account_of(api)
    assert api.delete(f"/api/access_tokens/{made['id']}").status == 204
    assert other.get("/api/account").status == 401
    assert api.get(f"/api/access_tokens/{made['id']}").status == 404


def test_only_the_metadata_can_be_changed(server: Server, api: Client) -> None:
    made = api.post("/api/access_tokens", {"metadata[a]": "1"}).json
    path = f"/api/access_tokens/{made['id']}"
    given = {"token": "0" * 64, "digest": "0", "created_by_id": 1, "account_id": 1, "metadata": {"b": 2}}
    assert api.patch(path, json=given).status == 204
    assert api.get(path).json["metadata"] == {"a": "1", "b": 2}
    assert account_of(server.client(made["token"])) == account_of(api)


def test_who_did_not_make_a_token_cannot_delete_it(api: Client, admin: Client) -> None:
    (own,) = api.get("/api/access_tokens").json  # which the super admin has made
    answer = api.delete(f"/api/access_tokens/{own['id']}")
    assert (answer.status, answer.json) == (422, NOT_THE_CREATOR)
    assert api.get("/api/account").status == 200
    assert admin.delete(f"/api/access_tokens/{own['id']}?account_id={account_of(api)}").status == 204
    assert api.get("/api/account").status == 401


def test_a_token_is_made_by_an_account_and_not_by_another_of_its_tokens(server: Server, api: Client) -> None:
    first = api.post("/api/access_tokens").json
    second = server.client(first["token"]).post("/api/access_tokens").json
    assert server.client(second["token"]).delete(f"/api/access_tokens/{first['id']}").status == 204


def test_a_super_admin_may_name_the_account(api: Client, admin: Client) -> None:
    number = account_of(api)
    made = admin.post(f"/api/access_tokens?account_id={number}", json={"metadata": {"by": "admin"}}).json
    path = f"/api/access_tokens/{made['id']}"
    assert admin.get(path).status == 404
    assert admin.get(f"{path}?account_id={number}").json["metadata"] == {"by": "admin"}
    assert made["id"] in [one["id"] for one in admin.get(f"/api/access_tokens?account_id={number}").json]
    assert made["id"] not in [one["id"] for one in admin.get("/api/access_tokens?per_page=1000").json]
    assert admin.patch(path, json={"account_id": number, "metadata": {"x": 1}}).status == 204
    assert api.get(path).json["metadata"] == {"by": "admin", "x": 1}


@pytest.mark.parametrize("named", [999_999, 0, -1, "x", "", [1], True])
def test_an_account_that_does_not_exist_has_no_tokens(admin: Client, named: object) -> None:
    answer = admin.post("/api/access_tokens", json={"account_id": named})
    assert (answer.status, answer.json) == (422, {"errors": {"account": ["must exist"]}})
    assert admin.get("/api/access_tokens", json={"account_id": named}).json == []


def test_to_others_an_account_id_says_nothing(server: Server, api: Client) -> None:
    other = server.new_account()
    made = api.post("/api/access_tokens", json={"account_id": account_of(other)}).json
    assert account_of(server.client(made["token"])) == account_of(api)
    assert len(other.get("/api/access_tokens").json) == 1
    assert len(api.get(f"/api/access_tokens?account_id={account_of(other)}").json) == 2
