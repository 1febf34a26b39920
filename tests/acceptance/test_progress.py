"""``GET /api/callouts/1/progress``: the statistics of a callout as a stream, as browsers and curl read it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pymongo import MongoClient

from scfm.clock import now
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.handlers import statistics as handlers_of_statistics
from tests.browser import COOKIE, Browser
from tests.properties.test_shard_keys import ServerHere
from tests.server import REQUEST_SECONDS, Server

NUMBERS = count()
DATABASE_NAME, STOPPED, LET_OUT = "progress", "progress_stopped", "progress_let_out"


class Event(NamedTuple):
    """A server-sent event."""

    name: str
    event_id: str
    data: Any


@pytest.fixture(scope="module")
def settings(mongod: PrivateMongod) -> Iterator[dict[str, str]]:
    yield {"MONGODB_URI": mongod.uri, "MONGODB_DATABASE": DATABASE_NAME}
    with MongoClient[Any](mongod.uri) as client:
        for name in (DATABASE_NAME, STOPPED, LET_OUT):
            client.drop_database(name)


@pytest.fixture(scope="module")
def server(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), settings) as server:
        yield server


@contextmanager
def stream(
    server: Server, callout_id: int, last: str | None = None, credentials: Mapping[str, str] | None = None
) -> Iterator[HTTPResponse]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=REQUEST_SECONDS)
    headers = dict(credentials or {"Authorization": f"Bearer {server.token}"})
    headers |= {} if last is None else {"Last-Event-ID": last}
    try:
        connection.request("GET", f"/api/callouts/{callout_id}/progress", headers=headers)
        response = connection.getresponse()
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        yield response
    finally:
        connection.close()


def block(response: HTTPResponse) -> dict[str, str]:
    """The fields up to the next empty line; none at the end of the stream."""
    fields: dict[str, str] = {}
    while line := response.readline().decode():
        if line == "\n":
            return fields
        name, _, value = line.rstrip("\n").partition(":")
        fields[name] = value.strip()
    assert not fields, "cut off within an event"
    return {}


def event(response: HTTPResponse) -> Event | None:
    """The next event, after any comments; None at the end of the stream."""
    while fields := block(response):
        if set(fields) != {""}:
            assert set(fields) == {"event", "id", "data"}
            return Event(fields["event"], fields["id"], json.loads(fields["data"]))
    return None


def made(server: Server, path: str, **fields: Any) -> int:
    answer = server.request("POST", path, json=fields)
    assert answer.status == 201, answer
    return int(answer.json["id"])


def add_person(server: Server, callout_id: int) -> None:
    contact_id = made(server, "/api/contacts", msisdn=f"+25266236{next(NUMBERS):04}")
    made(server, f"/api/callouts/{callout_id}/callout_participations", contact_id=contact_id)


def statistics(server: Server, callout_id: int) -> Any:
    return server.request("GET", f"/api/callouts/{callout_id}/statistics").json


def test_the_statistics_come_at_once_and_when_they_change(server: Server) -> None:
    callout_id = made(server, "/api/callouts")
    with stream(server, callout_id) as response:
        first = event(response)
        assert first is not None
        assert (first.name, first.data) == ("statistics", statistics(server, callout_id))
        for total in (1, 2):
            add_person(server, callout_id)
            changed = event(response)
            assert changed is not None and changed.event_id != first.event_id
            assert changed.data["people"]["total"] == total
        assert changed.data == statistics(server, callout_id)


def test_who_has_the_newest_gets_nothing_until_it_changes(server: Server) -> None:
    callout_id = made(server, "/api/callouts")
    with stream(server, callout_id) as response:
        first = event(response)
        assert first is not None
    with stream(server, callout_id, first.event_id) as response:
        add_person(server, callout_id)
        changed = event(response)
        assert changed is not None and changed.data["people"]["total"] == 1
    with stream(server, callout_id, first.event_id) as response:
        assert event(response) == changed, "who has an old one gets the newest at once"


def test_all_readers_see_the_same(server: Server) -> None:
    callout_id = made(server, "/api/callouts")
    with stream(server, callout_id) as one, stream(server, callout_id) as other:
        assert event(one) == event(other)
        add_person(server, callout_id)
        assert event(one) == event(other)


def test_a_stream_ends_with_the_session_and_with_the_token_by_which_it_began(
    mongod: PrivateMongod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers_of_statistics, "COMMENT_SECONDS", 0.1)
    with ServerHere(tmp_path / "data", {"MONGODB_URI": mongod.uri, "MONGODB_DATABASE": LET_OUT}) as server:
        callout_id = made(server, "/api/callouts")
        user = made(server, "/api/users", email="a@example.org", password="correct horse")
        browser = Browser(server)
        assert browser.sign_in("a@example.org", "correct horse").status == 201
        token = server.request("POST", "/api/access_tokens").json
        by_cookie = {"Cookie": f"{COOKIE}={browser.cookies[COOKIE]}"}
        by_token = {"Authorization": f"Bearer {token['token']}"}
        ends = ((by_cookie, f"/api/users/{user}"), (by_token, f"/api/access_tokens/{token['id']}"))
        for credentials, path in ends:
            with stream(server, callout_id, credentials=credentials) as response, stream(server, callout_id) as other:
                assert event(response) is not None and block(response) == {"": ""}
                assert server.request("DELETE", path).status == 204
                assert event(response) is None
                assert block(other) and block(other) == {"": ""}


def test_a_comment_keeps_a_quiet_stream_open(server: Server) -> None:
    callout_id = made(server, "/api/callouts")
    with stream(server, callout_id) as response:
        assert event(response) is not None
        began = time.monotonic()
        assert block(response) == {"": ""}
        assert 14 < time.monotonic() - began < 60


def test_it_ends_after_the_callout_is_completed(server: Server, mongod: PrivateMongod) -> None:
    callout_id = made(server, "/api/callouts")
    with MongoClient[Any](mongod.uri) as client, stream(server, callout_id) as response:
        assert event(response) is not None
        completed = {"status": "completed", "completed_at": now()}
        client[DATABASE_NAME]["callouts"].update_one({"_id": callout_id}, {"$set": completed})
        last = event(response)
        assert last is not None and last.data["completed_at"] is not None
        assert event(response) is None
    with stream(server, callout_id) as response:
        assert event(response) == last
        assert event(response) is None
    with stream(server, callout_id, last.event_id) as response:
        assert event(response) is None


def test_it_ends_when_the_callout_is_deleted(server: Server) -> None:
    callout_id = made(server, "/api/callouts")
    with stream(server, callout_id) as response:
        assert event(response) is not None
        assert server.request("DELETE", f"/api/callouts/{callout_id}").status == 204
        assert event(response) is None


def test_head_has_no_body(server: Server) -> None:
    callout_id = made(server, "/api/callouts")
    answer = server.request("HEAD", f"/api/callouts/{callout_id}/progress")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")


def test_a_server_that_stops_ends_its_streams_at_once_and_whole(settings: dict[str, str], tmp_path: Path) -> None:
    with Server(tmp_path / "data", {**settings, "MONGODB_DATABASE": STOPPED}) as server:
        callout_id = made(server, "/api/callouts")
        with stream(server, callout_id) as one, stream(server, callout_id) as other:
            assert event(one) is not None and event(other) is not None
            assert server.terminate() == 0
            assert event(one) is None, "the last chunk has come, else this raises IncompleteRead"
            assert event(other) is None
        assert "did not finish their requests" not in server.output()
