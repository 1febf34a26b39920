"""Users: their addresses, their passwords, and what a password costs the others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from argon2 import PasswordHasher

from tests.resources.conftest import Documents, make
from tests.server import Client, Server

KEYS = [
    "id",
    "account_id",
    "metadata",
    "email",
    "created_at",
    "updated_at",
    "invitation_token",
    "invitation_created_at",
    "invitation_sent_at",
    "invitation_accepted_at",
    "invitation_limit",
    "invited_by_id",
    "invitations_count",
    "role",
]
BLANK, INVALID, TAKEN = "can't be blank", "is invalid", "has already been taken"
SHORT, LONG = "is too short (minimum is 6 characters)", "is too long (maximum is 128 characters)"
PASSWORD = "correct horse"


def address() -> str:
    return f"{uuid4().hex}@example.org"


def test_a_new_user_has_these_fields_in_this_order(api: Client) -> None:
    email = address()
    answer = api.post("/api/users", json={"email": email, "password": PASSWORD, "metadata": {"a": 1}, "id": 5})
    user = answer.json
    assert (answer.status, list(user)) == (201, KEYS)
    assert answer.headers["Location"] == f"/api/users/{user['id']}"
    assert user["account_id"] == api.get("/api/account").json["id"]
    assert (user["email"], user["metadata"], user["invitations_count"]) == (email, {"a": 1}, 0)
    assert [user[name] for name in KEYS[6:12]] == [None] * 6
    assert api.get(f"/api/users/{user['id']}").json == user


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        ({}, {"email": [BLANK], "password": [BLANK]}),
        ({"email": None, "password": None}, {"email": [BLANK], "password": [BLANK]}),
        ({"email": " ", "password": " " * 8}, {"email": [BLANK], "password": [BLANK]}),
        ({"email": ["a@b"], "password": ["long enough"]}, {"email": [BLANK], "password": [BLANK]}),
        ({"email": "alice", "password": "12345"}, {"email": [INVALID], "password": [SHORT]}),
        ({"email": "a b@c", "password": "x" * 129}, {"email": [INVALID], "password": [LONG]}),
        ({"email": "a@b@c", "password": PASSWORD}, {"email": [INVALID]}),
        ({"email": "@b", "password": PASSWORD}, {"email": [INVALID]}),
        ({"email": "a@", "password": PASSWORD}, {"email": [INVALID]}),
        ({"email": "a@b\n@c", "password": PASSWORD}, {"email": [INVALID]}),
        ({"email": "x" * 255 + "@b", "password": PASSWORD}, {"email": [INVALID]}),
    ],
)
def test_a_user_needs_an_address_and_a_password(api: Client, given: Any, errors: Any) -> None:
    answer = api.post("/api/users", json=given)
    assert (answer.status, answer.json) == (422, {"errors": errors})
    assert api.get("/api/users").json == []


@pytest.mark.parametrize("password", ["123456", "x" * 128, "é" * 128, 12345678, " 12345"])
def test_a_password_of_6_to_128_characters_will_do(api: Client, password: Any) -> None:
    assert api.post("/api/users", json={"email": address(), "password": password}).status == 201


def test_an_address_is_one_whatever_its_case_and_the_spaces_around_it(api: Client, stranger: Client) -> None:
    email = address()
    user = api.post("/api/users", {"email": f"  {email.upper()}\n", "password": PASSWORD}).json
    assert user["email"] == email
    for client in (api, stranger):
        answer = client.post("/api/users", {"email": email.title(), "password": "short"})
        assert (answer.status, answer.json) == (422, {"errors": {"email": [TAKEN], "password": [SHORT]}})


def test_a_password_is_kept_as_a_slow_salted_hash_and_shown_nowhere(api: Client, database: Documents) -> None:
    numbers = [make(api, "/api/users", email=address(), password=PASSWORD) for _ in range(2)]
    one, other = (database["users"].find_one({"_id": number}) for number in numbers)
    assert one is not None
    assert other is not None
    assert one["password_hash"].startswith("$argon2id$")
    assert one["password_hash"] != other["password_hash"]
    assert PasswordHasher().verify(one["password_hash"], PASSWORD)
    assert PASSWORD not in str(one)
    assert "argon2" not in str(api.get("/api/users").json)


def test_an_update_changes_what_is_given(api: Client, database: Documents) -> None:
    path = f"/api/users/{make(api, '/api/users', email=address(), password=PASSWORD)}"
    email = address()
    assert api.patch(path, json={"email": email.upper(), "metadata": {"a": 1}}).status == 204
    assert (api.get(path).json["email"], api.get(path).json["metadata"]) == (email, {"a": 1})
    kept = database["users"].find_one({"email": email})
    assert kept is not None
    assert PasswordHasher().verify(kept["password_hash"], PASSWORD)
    assert api.patch(path, {"password": "another one"}).status == 204
    changed = database["users"].find_one({"email": email})
    assert changed is not None
    assert PasswordHasher().verify(changed["password_hash"], "another one")


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        ({"email": None}, {"email": [BLANK]}),
        ({"email": ""}, {"email": [BLANK]}),
        ({"email": "alice", "password": ""}, {"email": [INVALID], "password": [BLANK]}),
        ({"password": "12345"}, {"password": [SHORT]}),
    ],
)
def test_an_update_must_keep_the_rules(api: Client, given: Any, errors: Any) -> None:
    path = f"/api/users/{make(api, '/api/users', email=address(), password=PASSWORD)}"
    before = api.get(path).json
    answer = api.patch(path, json=given)
    assert (answer.status, answer.json) == (422, {"errors": errors})
    assert api.get(path).json == before


def test_a_user_is_deleted_and_the_address_is_free_again(api: Client, stranger: Client) -> None:
    email = address()
    path = f"/api/users/{make(api, '/api/users', email=email, password=PASSWORD)}"
    assert stranger.delete(path).status == stranger.get(path).status == 404
    assert api.delete(path).status == 204
    assert api.get(path).status == 404
    assert stranger.post("/api/users", {"email": email, "password": PASSWORD}).status == 201


def test_a_super_admin_may_name_the_account(server: Server, api: Client) -> None:
    number = api.get("/api/account").json["id"]
    given = {"email": address(), "password": PASSWORD, "account_id": number}
    user = server.client().post("/api/users", json=given).json
    assert user["account_id"] == number
    assert [one["id"] for one in api.get("/api/users").json] == [user["id"]]
    assert [one["id"] for one in server.client().get(f"/api/users?account_id={number}").json] == [user["id"]]
    assert server.client().get(f"/api/users/{user['id']}").status == 404
    nobody = server.client().post("/api/users", json={**given, "email": address(), "account_id": 999_999})
    assert nobody.json == {"errors": {"account": ["must exist"]}}


def test_while_passwords_are_hashed_the_others_are_answered(api: Client) -> None:
    """Were they hashed in the event loop, hardly more than one answer would come between two of them."""
    with ThreadPoolExecutor(6) as pool:
        users = [pool.submit(api.post, "/api/users", {"email": address(), "password": PASSWORD}) for _ in range(6)]
        answers = 0
        while not all(user.done() for user in users):
            assert api.get("/health").status == 200
            answers += 1
    assert {user.result().status for user in users} == {201}
    assert answers > 2 * len(users)
