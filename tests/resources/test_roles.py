"""Roles: what they are, who has which, and what is refused to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from scfm.models.roles import Role
from tests.resources.conftest import Documents
from tests.server import Client, Server, wait_until

FORBIDDEN = {"status": 403, "error": "Forbidden"}
NOT_IN_LIST = {"role": ["is not included in the list"]}


def with_role(server: Server, api: Client, role: str | None) -> Client:
    """The account as a token of that role sees it."""
    return server.client(api.post("/api/access_tokens", json={"role": role}).json["token"])


def test_each_role_may_do_what_those_before_it_may() -> None:
    assert [[one.includes(other) for other in Role] for one in Role] == [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, True],
    ]


@pytest.mark.parametrize("role", [None, *Role])
def test_a_token_and_a_user_may_have_a_role(api: Client, role: str | None) -> None:
    token = api.post("/api/access_tokens", json={"role": role}).json
    api.post("/api/users", json={"email": f"{uuid4()}@b.org", "password": "secret12"})  # an admin, who stays
    user = api.post("/api/users", json={"email": f"{uuid4()}@b.org", "password": "secret12", "role": role}).json
    assert (token["role"], user["role"]) == (role, role)
    for path in (f"/api/access_tokens/{token['id']}", f"/api/users/{user['id']}"):
        assert api.get(path).json["role"] == role
        assert api.patch(path, json={"role": "viewer"}).status == 204
        assert api.get(path).json["role"] == "viewer"


@pytest.mark.parametrize("role", ["", "Admin", "root", 1, True, [], ["admin"], {"a": "viewer"}])
def test_another_role_is_refused_and_not_ignored(api: Client, role: Any) -> None:
    user = {"email": f"{uuid4()}@b.org", "password": "secret12", "role": role}
    for answer in (api.post("/api/access_tokens", json={"role": role}), api.post("/api/users", json=user)):
        assert (answer.status, answer.json["errors"]) == (422, NOT_IN_LIST)
        assert answer.hints == {"role": "one of: viewer, operator, approver, admin"}


def test_a_viewer_sees_and_changes_nothing(server: Server, api: Client) -> None:
    contact = api.post("/api/contacts", json={"msisdn": "+252662345678"}).json
    viewer = with_role(server, api, "viewer")
    path = f"/api/contacts/{contact['id']}"
    assert viewer.get(path).status == viewer.get("/api/users").status == 200
    for answer in (
        viewer.post("/api/contacts", json={"msisdn": "+252662345679"}),
        viewer.patch(path, json={"metadata": {"a": 1}}),
        viewer.delete(path),
        viewer.post("/api/access_tokens", json={"role": "admin"}),
        viewer.patch("/api/account", json={"metadata": {"a": 1}}),
    ):
        assert (answer.status, answer.json) == (403, FORBIDDEN)
    assert api.get("/api/contacts").json == [contact]


def test_an_operator_changes_all_but_what_is_for_admins(server: Server, api: Client) -> None:
    operator = with_role(server, api, "operator")
    assert operator.post("/api/contacts", json={"msisdn": "+252662345678"}).status == 201
    assert operator.post("/api/account/account_events", json={"event": "hold"}).status == 201
    for answer in (
        operator.post("/api/users", json={}),
        operator.post("/api/access_tokens"),
        operator.patch("/api/account", json={"calls_per_second": 5}),
    ):
        assert (answer.status, answer.json) == (403, FORBIDDEN)


def test_a_role_that_is_changed_holds_at_once(server: Server, api: Client) -> None:
    made = api.post("/api/access_tokens", json={"role": "viewer"}).json
    client = server.client(made["token"])
    assert client.post("/api/callouts").status == 403
    assert api.patch(f"/api/access_tokens/{made['id']}", json={"role": "operator"}).status == 204
    assert client.post("/api/callouts").status == 201
    assert api.patch(f"/api/access_tokens/{made['id']}", json={"role": "viewer"}).status == 204
    assert client.post("/api/callouts").status == 403


def test_a_viewer_of_a_super_admin_is_a_viewer(server: Server) -> None:
    viewer = with_role(server, server.client(), "viewer")
    assert viewer.get("/api/accounts").status == 200
    assert viewer.post("/api/accounts").json == FORBIDDEN
    assert viewer.post("/api/server/server_events", json={"event": "hold"}).json == FORBIDDEN


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("2018-01-01T00:00:00Z", "must be in the future"),
        ("tomorrow", "must be a time, such as 2026-11-30T07:00:00+07:00"),
        ("2999-01-01", "must be a time, such as 2026-11-30T07:00:00+07:00"),
        (4102444800, "must be a time, such as 2026-11-30T07:00:00+07:00"),
    ],
)
def test_a_token_expires_in_the_future(api: Client, given: Any, message: str) -> None:
    answer = api.post("/api/access_tokens", json={"expires_at": given})
    assert (answer.status, answer.json["errors"]) == (422, {"expires_at": [message]})


def test_an_expired_token_is_refused(server: Server, api: Client, database: Documents) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="milliseconds")
    made = api.post("/api/access_tokens", {"expires_at": soon}).json
    assert made["expires_at"] == soon.replace("+00:00", "Z")
    client = server.client(made["token"])
    assert client.get("/api/account").status == 200
    past = datetime.now(UTC) - timedelta(seconds=1)
    database["access_tokens"].update_one({"_id": made["id"]}, {"$set": {"expires_at": past}})
    wait_until(lambda: client.get("/api/account").status == 401)  # when it is looked for again
    path = f"/api/access_tokens/{made['id']}"
    same = api.get(path).json["expires_at"]
    assert api.patch(path, json={"expires_at": same, "metadata": {"a": 1}}).status == 204
    assert client.get("/api/account").status == 401
    assert api.patch(path, json={"expires_at": None}).status == 204
    assert client.get("/api/account").status == 200


def test_a_token_expires_while_it_is_remembered(server: Server, api: Client) -> None:
    """Its client asks all the time, so that it is known without a look into the database."""
    until = datetime.now(UTC) + timedelta(seconds=1)
    made = api.post("/api/access_tokens", json={"expires_at": until.isoformat()}).json
    client = server.client(made["token"])
    wait_until(lambda: client.get("/api/account").status == 401)
    assert datetime.now(UTC) < until + timedelta(seconds=1.5)


def test_a_token_shows_the_minute_of_its_last_use(server: Server, api: Client, database: Documents) -> None:
    made = api.post("/api/access_tokens").json
    path = f"/api/access_tokens/{made['id']}"
    assert made["last_used_at"] is None
    began = datetime.now(UTC).replace(second=0, microsecond=0)
    assert server.client(made["token"]).get("/api/account").status == 200
    wait_until(lambda: api.get(path).json["last_used_at"])
    used = datetime.fromisoformat(api.get(path).json["last_used_at"])
    assert began <= used <= datetime.now(UTC)
    assert (used.second, used.microsecond) == (0, 0)
    assert api.get(path).json["updated_at"] == made["updated_at"]
