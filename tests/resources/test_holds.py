"""Holds: what is asked and answered. That no call leaves is in tests/workers and tests/acceptance."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server import Client, Server

REFUSED = {"errors": {"event": ["is not included in the list"]}}
OWN = "/api/account/account_events"


@pytest.fixture
def admin(server: Server) -> Iterator[Client]:
    """A super admin; whatever a test does, the whole server is not held after it."""
    admin = server.client()
    yield admin
    assert admin.post("/api/server/server_events", {"event": "release"}).status == 201


def test_an_account_holds_and_releases_its_calls_and_may_do_so_again(api: Client) -> None:
    assert api.get("/api/account").json["calls_held_at"] is None
    held = api.post(OWN, {"event": "hold"})
    assert (held.status, held.headers["Location"]) == (201, "/api/account")
    assert held.json == api.get("/api/account").json
    assert list(held.json)[-1] == "calls_held_at" and held.json["calls_held_at"] is not None
    again = api.post(OWN, {"event": "hold"})
    assert (again.status, again.json) == (201, held.json)
    for _ in range(2):
        released = api.post(OWN, {"event": "release"})
        assert (released.status, released.json["calls_held_at"]) == (201, None)
    assert api.get("/api/account").json == released.json


@pytest.mark.parametrize("event", ["pause", "", None, ["hold"], {"hold": 1}])
def test_another_event_is_refused_and_says_which_there_are(api: Client, admin: Client, event: object) -> None:
    for client, path in ((api, OWN), (admin, "/api/server/server_events")):
        answer = client.post(path, json={"event": event})
        assert (answer.status, answer.json) == (422, REFUSED)
        assert answer.hints == {"event": "one of: hold, release"}
    assert api.get("/api/account").json["calls_held_at"] is None
    assert admin.get("/api/server").json["calls_held_at"] is None


def test_calls_held_at_is_set_by_nothing_else(api: Client) -> None:
    assert api.patch("/api/account", {"calls_held_at": "2026-11-29T00:00:00Z"}).status == 204
    assert api.get("/api/account").json["calls_held_at"] is None
    assert api.post(OWN, {"event": "hold"}).status == 201
    assert api.patch("/api/account", json={"calls_held_at": None, "metadata": {"a": 1}}).status == 204
    assert api.get("/api/account").json["calls_held_at"] is not None


def test_a_super_admin_holds_any_account(api: Client, admin: Client, stranger: Client) -> None:
    own = api.get("/api/account").json["id"]
    path = f"/api/accounts/{own}/account_events"
    held = admin.post(path, {"event": "hold"})
    assert (held.status, held.headers["Location"]) == (201, f"/api/accounts/{own}")
    assert api.get("/api/account").json == held.json
    assert stranger.get("/api/account").json["calls_held_at"] is None
    assert stranger.post(path, {"event": "release"}).status == 401
    assert admin.post("/api/accounts/999999999/account_events", {"event": "hold"}).status == 404
    assert admin.post(path, {"event": "release"}).json["calls_held_at"] is None


def test_the_whole_server_is_held_by_super_admins_and_each_hold_is_lifted_where_it_was_made(
    api: Client, admin: Client
) -> None:
    for path in ("/api/server", "/api/server/server_events"):
        refused = api.get(path) if path == "/api/server" else api.post(path, {"event": "hold"})
        assert (refused.status, refused.json) == (401, None)
    assert list(admin.get("/api/server").json) == ["version", "calls_held_at"]
    held = admin.post("/api/server/server_events", {"event": "hold"})
    assert (held.status, held.headers["Location"]) == (201, "/api/server")
    assert held.json == admin.get("/api/server").json and held.json["calls_held_at"] is not None
    assert admin.post("/api/server/server_events", {"event": "hold"}).json == held.json
    assert api.get("/api/account").json["calls_held_at"] is None
    assert api.post(OWN, {"event": "hold"}).status == api.post(OWN, {"event": "release"}).status == 201
    assert admin.get("/api/server").json == held.json
    assert api.post(OWN, {"event": "hold"}).status == 201
    assert admin.post("/api/server/server_events", {"event": "release"}).json["calls_held_at"] is None
    assert api.get("/api/account").json["calls_held_at"] is not None
