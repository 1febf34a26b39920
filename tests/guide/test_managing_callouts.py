"""The guide's chapters "Managing Callouts" and "More about Callouts"."""

from __future__ import annotations

import pytest

from tests.guide.scenes import FLOW, callout, contact, ids, listed, made, participation, phone_call, population
from tests.guide.shapes import keys
from tests.server import Client

EVENTS_TO = {"initialized": (), "running": ("start",), "paused": ("start", "pause"), "stopped": ("start", "stop")}
ALLOWED = {
    ("initialized", "start"): "running",
    ("running", "pause"): "paused",
    ("running", "stop"): "stopped",
    ("paused", "resume"): "running",
    ("paused", "stop"): "stopped",
    ("stopped", "resume"): "running",
}
EVENTS = ("start", "pause", "resume", "stop", "queue", "")
NOT_AN_EVENT = {"errors": {"event": ["is not included in the list"]}}


def callout_in(api: Client, status: str) -> str:
    """The path of a callout that has come to this status."""
    path = f"/api/callouts/{callout(api)['id']}"
    for event in EVENTS_TO[status]:
        made(api, f"{path}/callout_events", {"event": event})
    assert api.get(path).json["status"] == status
    return path


def test_a_new_callout_is_initialized_and_has_no_call_flow(api: Client) -> None:
    answer = api.post("/api/callouts")
    assert answer.status == 201
    assert list(answer.json) == keys("callouts")
    assert answer.json["status"] == "initialized"
    assert answer.json["call_flow_logic"] is None
    assert answer.headers["Location"] == f"/api/callouts/{answer.json['id']}"


@pytest.mark.parametrize(("status", "event"), ALLOWED)
def test_an_event_changes_the_status(api: Client, status: str, event: str) -> None:
    path = callout_in(api, status)
    answer = api.post(f"{path}/callout_events", {"event": event})
    assert answer.status == 201
    assert answer.json["status"] == ALLOWED[status, event]
    assert answer.headers["Location"] == path
    assert api.get(path).json == answer.json


@pytest.mark.parametrize(("status", "event"), [(s, e) for s in EVENTS_TO for e in EVENTS if (s, e) not in ALLOWED])
def test_an_event_that_does_not_fit_the_status_is_refused(api: Client, status: str, event: str) -> None:
    path = callout_in(api, status)
    answer = api.post(f"{path}/callout_events", {"event": event})
    assert (answer.status, answer.json) == (422, NOT_AN_EVENT)
    assert api.get(path).json["status"] == status


def test_only_an_event_changes_the_status(api: Client) -> None:
    path = callout_in(api, "initialized")
    assert api.patch(path, {"status": "running", "metadata[name]": "Flood"}).status == 204
    found = api.get(path).json
    assert (found["status"], found["metadata"]) == ("initialized", {"name": "Flood"})


def test_the_call_flow_must_be_registered(api: Client) -> None:
    path = callout_in(api, "initialized")
    answer = api.patch(path, {"call_flow_logic": "CallFlowLogic::Unheard"})
    assert (answer.status, answer.json) == (
        422,
        {"errors": {"call_flow_logic": ["is not included in the list"]}},
    )
    assert api.patch(path, {"call_flow_logic": FLOW}).status == 204
    assert api.get(path).json["call_flow_logic"] == FLOW


def test_a_call_flow_can_be_taken_away(api: Client) -> None:
    path = f"/api/callouts/{callout(api, call_flow_logic=FLOW)['id']}"
    assert api.patch(path, json={"call_flow_logic": None}).status == 204
    assert api.get(path).json["call_flow_logic"] is None


def test_callouts_are_filtered_by_their_status(api: Client) -> None:
    paths = {status: callout_in(api, status) for status in EVENTS_TO}
    ids_ = {status: int(path.rpartition("/")[2]) for status, path in paths.items()}
    assert listed(api, "/api/callouts?q[status]=running") == [ids_["running"]]
    assert listed(api, "/api/callouts?q[status]=stopped,%20paused") == [ids_["paused"], ids_["stopped"]]
    assert listed(api, "/api/callouts?q[status]=") == []
    assert listed(api, "/api/callouts?q[status]=flooded") == []


def test_callouts_are_filtered_by_their_call_flow_and_metadata(api: Client) -> None:
    flood = made(api, "/api/callouts", {"call_flow_logic": FLOW, "metadata[name]": "Flood"})
    made(api, "/api/callouts", {"metadata[name]": "Fire"})
    assert listed(api, f"/api/callouts?q[call_flow_logic]={FLOW}") == ids(flood)
    assert listed(api, "/api/callouts?q[metadata][name]=Flood") == ids(flood)


def test_callouts_are_filtered_by_the_day_they_were_made(api: Client) -> None:
    flood = callout(api)
    day = flood["created_at"][:10]
    assert listed(api, f"/api/callouts?q[created_at_or_after]={day}") == ids(flood)
    assert listed(api, f"/api/callouts?q[created_at_or_before]={day}") == ids(flood)
    assert listed(api, f"/api/callouts?q[created_at_after]={day}") == []
    assert listed(api, f"/api/callouts?q[created_at_before]={flood['created_at']}") == []
    assert listed(api, "/api/callouts?q[created_at_before]=yesterday") == ids(flood)


def test_a_callout_lists_what_belongs_to_it(api: Client) -> None:
    flood, alice = callout(api), contact(api)
    participant = participation(api, flood, alice)
    call = phone_call(api, participant)
    people = population(api, flood)
    phone_call(api)
    path = f"/api/callouts/{flood['id']}"
    assert listed(api, f"{path}/contacts") == ids(alice)
    assert listed(api, f"{path}/callout_participations") == ids(participant)
    assert listed(api, f"{path}/phone_calls") == ids(call)
    assert listed(api, f"{path}/batch_operations") == ids(people)
    assert listed(api, f"{path}/remote_phone_call_events") == []


def test_an_unused_callout_can_be_deleted(api: Client) -> None:
    path = callout_in(api, "running")
    assert api.delete(path).status == 204
    assert api.get(path).status == 404
    assert api.get(f"{path}/contacts").status == 404


def test_a_callout_with_participations_cannot_be_deleted(api: Client) -> None:
    flood = callout(api)
    participation(api, flood)
    population(api, flood)
    answer = api.delete(f"/api/callouts/{flood['id']}")
    message = "Cannot delete record because dependent callout participations exist"
    assert (answer.status, answer.json) == (422, {"errors": {"base": [message]}})


def test_a_callout_with_batch_operations_cannot_be_deleted(api: Client) -> None:
    flood = callout(api)
    population(api, flood)
    answer = api.delete(f"/api/callouts/{flood['id']}")
    message = "Cannot delete record because dependent batch operations exist"
    assert (answer.status, answer.json) == (422, {"errors": {"base": [message]}})


def test_another_account_cannot_start_a_callout(api: Client, stranger: Client) -> None:
    path = callout_in(api, "initialized")
    assert stranger.post(f"{path}/callout_events", {"event": "start"}).status == 404
    assert api.get(path).json["status"] == "initialized"
