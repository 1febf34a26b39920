"""Where an event leads: every status and every event of every resource that has them, as a table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from tests.resources.conftest import Documents, make
from tests.server import Client, Server

REFUSED = {"errors": {"event": ["is not included in the list"]}}
CALL_STATUSES = [
    "created",
    "queued",
    "remotely_queued",
    "errored",
    "remote_fetch_queued",
    "failed",
    "in_progress",
    "busy",
    "not_answered",
    "canceled",
    "completed",
]

# From (status, event) to the status that follows. What is not here is refused.
TABLES: dict[str, tuple[list[str], list[str], dict[tuple[str, str], str]]] = {
    "callout": (
        ["initialized", "running", "paused", "stopped"],
        ["start", "pause", "resume", "stop"],
        {
            ("initialized", "start"): "running",
            ("running", "pause"): "paused",
            ("paused", "resume"): "running",
            ("stopped", "resume"): "running",
            ("running", "stop"): "stopped",
            ("paused", "stop"): "stopped",
        },
    ),
    "batch_operation": (
        ["preview", "queued", "running", "finished"],
        ["queue", "requeue", "start", "finish"],
        {("preview", "queue"): "queued", ("finished", "requeue"): "queued"},
    ),
    "phone_call": (
        CALL_STATUSES,
        ["queue", "queue_remote_fetch", "cancel", "queue_remote", "complete"],
        {
            ("created", "queue"): "queued",
            ("remotely_queued", "queue_remote_fetch"): "remote_fetch_queued",
            ("in_progress", "queue_remote_fetch"): "remote_fetch_queued",
            ("created", "cancel"): "canceled",
            ("queued", "cancel"): "canceled",
            # These are hung up at the provider, and its report says what they became.
            ("remotely_queued", "cancel"): "remotely_queued",
            ("in_progress", "cancel"): "in_progress",
            ("remote_fetch_queued", "cancel"): "remote_fetch_queued",
        },
    ),
}
CASES = [
    (kind, status, event, arrows.get((status, event)))
    for kind, (statuses, events, arrows) in TABLES.items()
    for status, event in product(statuses, events)
]
# What is no event, however it is written.
NO_EVENTS = [{}, {"event": None}, {"event": ""}, {"event": "START"}, {"event": ["start"]}, {"event": {"start": 1}}]


@pytest.fixture(scope="module")
def numbers() -> dict[str, int]:
    """One of each kind, made once; a test gives it the status that it needs."""
    return {}


@pytest.fixture(scope="module")
def api(server: Server) -> Client:
    return server.new_account()


def one_of(api: Client, numbers: dict[str, int], kind: str) -> int:
    if not numbers:
        callout = numbers["callout"] = make(api, "/api/callouts")
        population = {
            "type": "BatchOperation::CalloutPopulation",
            "parameters": {"contact_filter_params": {"msisdn": ""}},
        }
        numbers["batch_operation"] = make(api, f"/api/callouts/{callout}/batch_operations", **population)
        contact = make(api, "/api/contacts", msisdn="+252662345678")
        part = make(api, f"/api/callouts/{callout}/callout_participations", contact_id=contact)
        params = {"remote_request_params": {"from": "1234"}}
        numbers["phone_call"] = make(api, f"/api/callout_participations/{part}/phone_calls", **params)
    return numbers[kind]


@pytest.mark.parametrize(("kind", "status", "event", "target"), CASES)
def test_an_event_leads_where_the_table_says_or_nowhere(
    api: Client, numbers: dict[str, int], database: Documents, kind: str, status: str, event: str, target: str | None
) -> None:
    number = one_of(api, numbers, kind)
    remote = {"remote_call_id": "CA1"} if kind == "phone_call" else {}
    # Without a date on which it is due, the background leaves it alone.
    database[f"{kind}s"].update_one({"_id": number}, {"$set": {"status": status, **remote}, "$unset": {"_work": ""}})
    path = f"/api/{kind}s/{number}"
    answer = api.post(f"{path}/{kind}_events", {"event": event})
    if target is None:
        assert (answer.status, answer.json) == (422, REFUSED)
        assert api.get(path).json["status"] == status
    else:
        assert (answer.status, answer.json["id"], answer.json["status"]) == (201, number, target)
        assert answer.headers["Location"] == path
        assert answer.json.keys() == api.get(path).json.keys()


@pytest.mark.parametrize("kind", TABLES)
def test_what_is_no_event_is_refused(api: Client, numbers: dict[str, int], kind: str) -> None:
    path = f"/api/{kind}s/{one_of(api, numbers, kind)}/{kind}_events"
    for given in NO_EVENTS:
        answer = api.post(path, json=given)
        assert (answer.status, answer.json) == (422, REFUSED), given


def test_an_event_of_another_kind_is_not_found(api: Client, numbers: dict[str, int]) -> None:
    number = one_of(api, numbers, "callout")
    assert api.post(f"/api/callouts/{number}/phone_call_events", {"event": "queue"}).status == 404
    assert api.post("/api/callouts/999999/callout_events", {"event": "start"}).status == 404
    assert api.get(f"/api/callouts/{number}/callout_events").status == 404


def test_a_call_without_a_remote_call_cannot_be_fetched(
    api: Client, numbers: dict[str, int], database: Documents
) -> None:
    number = one_of(api, numbers, "phone_call")
    change = {"status": "remotely_queued", "remote_call_id": None}
    database["phone_calls"].update_one({"_id": number}, {"$set": change, "$unset": {"_work": ""}})
    answer = api.post(f"/api/phone_calls/{number}/phone_call_events", {"event": "queue_remote_fetch"})
    assert (answer.status, answer.json) == (422, REFUSED)


@pytest.mark.parametrize("status", CALL_STATUSES)
def test_a_callout_that_was_never_started_can_be_stopped_while_calls_of_it_wait_or_go_on(
    api: Client, database: Documents, status: str
) -> None:
    callout = make(api, "/api/callouts")
    contact = make(api, "/api/contacts", msisdn=f"+25266300{CALL_STATUSES.index(status):04}")
    part = make(api, f"/api/callouts/{callout}/callout_participations", contact_id=contact)
    params = {"remote_request_params": {"from": "1234"}}
    number = make(api, f"/api/callout_participations/{part}/phone_calls", **params)
    database["phone_calls"].update_one({"_id": number}, {"$set": {"status": status}})
    answer = api.post(f"/api/callouts/{callout}/callout_events", {"event": "stop"})
    if status in ("queued", "remotely_queued", "remote_fetch_queued", "in_progress"):
        assert (answer.status, answer.json["status"]) == (201, "stopped")
    else:
        assert (answer.status, answer.json["errors"]) == (422, REFUSED["errors"])
        assert api.get(f"/api/callouts/{callout}").json["status"] == "initialized"


def test_a_stop_of_a_callout_that_was_never_started_cancels_what_is_queued(api: Client, database: Documents) -> None:
    callout = make(api, "/api/callouts")
    contact = make(api, "/api/contacts", msisdn="+252663009999")
    part = make(api, f"/api/callouts/{callout}/callout_participations", contact_id=contact)
    params = {"remote_request_params": {"from": "1234"}}
    number = make(api, f"/api/callout_participations/{part}/phone_calls", **params)
    # Queued, and not due yet.
    later = datetime.now(UTC) + timedelta(hours=1)
    database["phone_calls"].update_one({"_id": number}, {"$set": {"status": "queued", "_work": {"due": later}}})
    assert api.post(f"/api/callouts/{callout}/callout_events", {"event": "stop"}).status == 201
    assert api.get(f"/api/phone_calls/{number}").json["status"] == "canceled"
