"""Ending calls: by an event of the call, by the stop of a callout, by a hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flows.phone_line import environment, outbound, participation, place_call, standstill
from tests.server import Answer, Client, Server, wait_until

OWN = "/api/account/account_events"
FINAL = ("canceled", "completed")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose carrier takes every call, and lets it ring until it is hung up."""
    folder: Path = tmp_path_factory.mktemp("cancel")
    with standstill() as provider, Server(folder / "data", environment(provider)) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Client:
    return server.new_account()


def cancel(client: Client, call: str) -> Answer:
    return client.post(f"{call}/phone_call_events", {"event": "cancel"})


def over(client: Client, call: str) -> Any:
    """The call as it is shown once the carrier has ended it; it is fetched, as no report comes."""
    shown = client.get(call).json
    if shown["status"] in ("remotely_queued", "in_progress"):
        client.post(f"{call}/phone_call_events", {"event": "queue_remote_fetch"})
    return shown if shown["status"] in FINAL else None


def test_a_call_that_waits_is_canceled_and_shows_nothing_new(client: Client) -> None:
    assert client.post(OWN, {"event": "hold"}).status == 201
    call = place_call(client, participation(client, "+252662370001"))
    before = client.get(call).json
    answer = cancel(client, call)
    assert (answer.status, answer.headers["Location"]) == (201, call)
    assert answer.json == client.get(call).json
    assert answer.json == {**before, "status": "canceled", "updated_at": answer.json["updated_at"]}
    again = cancel(client, call)
    assert (again.status, again.hints) == (422, {"event": "a phone call that is canceled can take no event"})
    assert client.post(OWN, {"event": "release"}).status == 201


def test_a_call_that_rings_is_hung_up_at_the_provider(client: Client) -> None:
    call, _ = outbound(client, "+252662370002")
    answer = cancel(client, call)
    assert answer.status == 201 and answer.json["status"] in ("remotely_queued", "in_progress")
    assert wait_until(lambda: over(client, call))["remote_error_message"] is None


def test_a_cancel_that_is_sent_again_is_one(client: Client) -> None:
    assert client.post(OWN, {"event": "hold"}).status == 201
    call = place_call(client, participation(client, "+252662370003"))
    key = {"Idempotency-Key": "cancel-1"}
    first = client.post(f"{call}/phone_call_events", {"event": "cancel"}, headers=key)
    again = client.post(f"{call}/phone_call_events", {"event": "cancel"}, headers=key)
    assert (first.status, again.status, again.json) == (201, 201, first.json)


def test_nobody_cancels_anothers_call(client: Client, server: Server) -> None:
    call, _ = outbound(client, "+252662370004")
    assert cancel(server.new_account(), call).status == 404


def test_a_stop_hangs_up_only_if_it_is_told_to(client: Client) -> None:
    for number, told in (("+252662370005", {}), ("+252662370006", {"hang_up": "true"})):
        call, _ = outbound(client, number)
        part = client.get(call).json["callout_participation_id"]
        callout = client.get(f"/api/callout_participations/{part}").json["callout_id"]
        stopped = client.post(f"/api/callouts/{callout}/callout_events", {"event": "stop", **told})
        assert (stopped.status, stopped.json["status"]) == (201, "stopped")
        if told:
            wait_until(lambda call=call: over(client, call))
        else:
            assert client.get(call).json["status"] not in FINAL


def test_a_hold_that_hangs_up_ends_what_rings(client: Client) -> None:
    call, _ = outbound(client, "+252662370007")
    held = client.post(OWN, json={"event": "hold", "hang_up": True})
    assert held.status == 201 and "_hang_up" not in held.json
    waiting = place_call(client, participation(client, "+252662370008"))
    wait_until(lambda: over(client, call))
    assert client.get(waiting).json["status"] == "queued"


@pytest.mark.parametrize("value", ["yes", 1, {"a": 1}, ["true"], "1"])
def test_hang_up_is_true_or_false(client: Client, value: object) -> None:
    answer = client.post(OWN, json={"event": "hold", "hang_up": value})
    assert (answer.status, answer.json) == (422, {"errors": {"hang_up": ["is not included in the list"]}})
    assert answer.hints == {"hang_up": "one of: true, false"}
    assert client.get("/api/account").json["calls_held_at"] is None


@pytest.mark.parametrize("value", [False, "false", "", None])
def test_hang_up_may_be_false(client: Client, value: object) -> None:
    assert client.post(OWN, json={"event": "hold", "hang_up": value}).status == 201
    assert client.post(OWN, json={"event": "release", "hang_up": value}).status == 201


def test_no_other_event_hangs_up(client: Client) -> None:
    callout = f"/api/callouts/{client.post('/api/callouts').json['id']}"
    refused = {"errors": {"hang_up": ["is only taken by stop and hold"]}}
    for path, event in ((f"{callout}/callout_events", "start"), (OWN, "release")):
        answer = client.post(path, {"event": event, "hang_up": "true"})
        assert (answer.status, answer.json) == (422, refused)
    assert client.get(callout).json["status"] == "initialized"
