"""``GET /api/callouts/1/statistics`` and ``GET /api/statistics``: what clients see of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.resources.conftest import Documents, make, wait_for_outcomes
from tests.server import Client, wait_until

OUTCOMES = ("pending", "calling", "waiting", "reached", "acknowledged", "unreached", "excluded", "unknown")
NAMES = [
    *("people", "reasons", "calls", "attempts", "talk_seconds", "started_at", "first_attempt_at", "last_attempt_at"),
    *("completed_at", "expected_end_at", "calls_per_minute", "limited_by", "health"),
]
STATUSES = [
    *("created", "queued", "remotely_queued", "in_progress", "busy", "failed", "not_answered", "canceled"),
    *("completed", "errored", "remote_fetch_queued"),
]
NUMBERS = iter(range(10_000))


@pytest.fixture
def callout_id(api: Client) -> int:
    return make(api, "/api/callouts")


def person(api: Client, callout_id: int, **metadata: Any) -> int:
    """A new participation of a new contact; its id."""
    contact_id = make(api, "/api/contacts", msisdn=f"+25266235{next(NUMBERS):04}", metadata=metadata)
    return make(api, f"/api/callouts/{callout_id}/callout_participations", contact_id=contact_id)


def statistics(api: Client, callout_id: int, query: str = "") -> Any:
    answer = api.get(f"/api/callouts/{callout_id}/statistics{query}")
    assert answer.status == 200, answer
    return answer.json


def test_a_new_callout_has_nobody_and_everything_at_zero(api: Client, callout_id: int) -> None:
    found = statistics(api, callout_id)
    assert list(found) == NAMES
    assert found["people"] == dict.fromkeys(("total", *OUTCOMES), 0)
    assert list(found["people"]) == ["total", *OUTCOMES]
    assert sorted(found["calls"]) == sorted(STATUSES)
    assert set(found["calls"].values()) == {0}
    assert (found["reasons"], found["attempts"], found["talk_seconds"]) == ({}, {"0": 0}, 0)
    assert found["calls_per_minute"] == []
    for name in NAMES[5:10]:
        assert found[name] is None
    assert found["limited_by"] is None
    assert found["health"] == {"provider": "ok", "provider_last_at": None, "webhook_last_at": None}


def test_people_are_counted_at_once_and_the_etag_changes_with_them(api: Client, callout_id: int) -> None:
    path = f"/api/callouts/{callout_id}/statistics"
    person(api, callout_id)
    first = api.get(path)
    assert (first.json["people"]["total"], first.json["people"]["pending"]) == (1, 1)
    assert first.json["attempts"] == {"0": 1}
    etag = first.headers["ETag"]
    assert api.get(path, headers={"If-None-Match": etag}).status == 304
    participation_id = person(api, callout_id)
    second = api.get(path, headers={"If-None-Match": etag})
    assert (second.status, second.json["people"]["total"]) == (200, 2)
    assert api.delete(f"/api/callout_participations/{participation_id}").status == 204
    assert api.get(path).headers["ETag"] == etag


def test_calls_count_by_their_status_until_they_are_deleted(api: Client, callout_id: int) -> None:
    participation_id = person(api, callout_id)
    path = f"/api/callout_participations/{participation_id}/phone_calls"
    call_id = make(api, path, remote_request_params={"from": "1234", "url": "https://example.org/voice.xml"})
    wait_until(lambda: statistics(api, callout_id)["calls"]["created"] == 1)
    assert statistics(api, callout_id)["people"]["pending"] == 1
    assert api.delete(f"/api/phone_calls/{call_id}").status == 204
    wait_until(lambda: statistics(api, callout_id)["calls"]["created"] == 0)


def test_the_first_start_is_shown_also_after_others(api: Client, callout_id: int) -> None:
    for event in ("start", "pause", "resume", "stop", "resume"):
        make(api, f"/api/callouts/{callout_id}/callout_events", event=event)
        if event == "start":
            started_at = statistics(api, callout_id)["started_at"]
            assert started_at is not None
    assert statistics(api, callout_id)["started_at"] == started_at


def test_a_held_account_shows(api: Client, callout_id: int) -> None:
    assert api.post("/api/account/account_events", {"event": "hold"}).status == 201
    wait_until(lambda: statistics(api, callout_id)["health"]["provider"] == "held")
    person(api, callout_id)
    make(api, f"/api/callouts/{callout_id}/callout_events", event="start")
    assert statistics(api, callout_id)["limited_by"] == "calls are held"


def test_groups_are_by_the_contacts_as_they_are_now(api: Client, callout_id: int) -> None:
    districts: tuple[Any, ...] = ("Kep", "Kep", "Stung Treng", 7, "7", True, None, "")
    for district in districts:
        person(api, callout_id, district=district)
    person(api, callout_id)
    found = statistics(api, callout_id, "?group_by=metadata.district")
    assert list(found) == [*NAMES, "groups"]
    groups = {group["value"]: group["people"]["total"] for group in found["groups"]}
    assert groups == {"Kep": 2, "Stung Treng": 1, "7": 2, "true": 1, None: 3}
    (contact,) = api.get("/api/contacts?q[metadata][district]=Stung+Treng").json
    assert api.patch(f"/api/contacts/{contact['id']}", json={"metadata": {"district": "Kep"}}).status == 204
    found = statistics(api, callout_id, "?group_by=metadata.district")
    assert {group["value"]: group["people"]["total"] for group in found["groups"]}["Kep"] == 3


def test_a_path_may_have_any_name(api: Client, callout_id: int) -> None:
    person(api, callout_id, **{"a.b": {"$c": "d"}, "e": [1], "f": {"g": "h"}})
    for path, value in (("a\\.b.$c", "d"), ("e", "[1]"), ("f.g", "h"), ("f.g.i", None), ("e.0", None), ("", None)):
        (group,) = statistics(api, callout_id, f"?group_by=metadata.{path}")["groups"]
        assert (group["value"], group["people"]["total"]) == (value, 1), path


@pytest.mark.parametrize(
    "written", ["district", "metadata", "contact.x", "metadata.call_flow_data", "metadata.call_flow_data.x.y", ""]
)
def test_what_is_no_path_in_the_metadata_is_refused(api: Client, callout_id: int, written: str) -> None:
    answer = api.get(f"/api/callouts/{callout_id}/statistics?group_by={written}")
    assert (answer.status, list(answer.json["errors"])) == (422, ["group_by"])
    assert api.get(f"/api/callouts/{callout_id}/statistics?group_by[a]=b").status == 422


def test_of_many_groups_the_smallest_are_one_and_the_most_unreached_come_first(
    api: Client, callout_id: int, database: Documents
) -> None:
    lines = "".join(
        f'{{"msisdn": "+2526624{number:05}", "metadata": {{"d": "{number // 2}"}}}}\n' for number in range(402)
    )
    content = {"Content-Type": "application/x-ndjson"}
    assert api.post("/api/contacts/import", body=lines.encode(), headers=content).status == 200
    population = make(api, f"/api/callouts/{callout_id}/batch_operations", type="BatchOperation::CalloutPopulation")
    make(api, f"/api/batch_operations/{population}/batch_operation_events", event="queue")
    wait_until(lambda: statistics(api, callout_id)["people"]["total"] == 402)
    (contact,) = api.get("/api/contacts?q[msisdn]=252662400300").json
    (participation,) = api.get(f"/api/contacts/{contact['id']}/callout_participations").json
    # As a person whom no call reaches: announced, as the server changes it.
    path = f"/api/callout_participations/{participation['id']}"
    wait_for_outcomes(database)
    database["callout_participations"].update_one({"_id": participation["id"]}, {"$set": {"outcome": "unreached"}})
    assert api.patch(path, json={"metadata": {"a": "b"}}).status == 204
    groups = statistics(api, callout_id, "?group_by=metadata.d")["groups"]
    assert len(groups) == 200
    assert groups[0]["value"] == "150"
    assert (groups[-1]["value"], groups[-1]["people"]["total"]) == ("(other)", 4)
    assert sum(group["people"]["total"] for group in groups) == 402


def test_an_account_sums_its_days_and_callouts(api: Client, database: Documents) -> None:
    callouts = [make(api, "/api/callouts") for _ in range(2)]
    first, second = person(api, callouts[0]), person(api, callouts[1])
    person(api, callouts[1])
    at = datetime(2026, 11, 1, 23, 59, tzinfo=UTC)
    calls = [{"status": "busy", "placed": at, "answered": False, "duration": None}]
    became = {"outcome": "unreached", "outcome_reason": "busy", "attempts": 1, "last_attempt_at": at, "_calls": calls}
    wait_for_outcomes(database)
    database["callout_participations"].update_one({"_id": first}, {"$set": became})
    for participation_id in (first, second):
        assert api.patch(f"/api/callout_participations/{participation_id}", json={"metadata": {"a": 1}}).status == 204
    found = api.get("/api/statistics").json
    assert list(found) == ["people", "calls", "days", "callouts"]
    assert (found["people"]["total"], found["people"]["unreached"], found["people"]["pending"]) == (3, 1, 2)
    assert found["calls"]["busy"] == 1
    assert [day["people"]["total"] for day in found["days"]] == [1, 2]
    assert found["days"][0]["date"] == "2026-11-01"
    assert [(one["id"], one["people"]["total"]) for one in found["callouts"]] == [(callouts[0], 1), (callouts[1], 2)]
    early = api.get("/api/statistics?from=2026-11-01&to=2026-11-01").json
    assert (early["people"]["total"], early["calls"]["busy"], len(early["callouts"])) == (1, 1, 1)
    assert api.get("/api/statistics?to=2026-10-31").json["people"]["total"] == 0
    later = api.get("/api/statistics?from=2026-11-02T00:00:00Z").json
    assert (later["people"]["total"], later["calls"]["busy"]) == (2, 0)


@pytest.mark.parametrize(
    ("query", "name"), [("from=x", "from"), ("to[a]=1", "to"), ("from=2026-11-02&to=2026-11-01", "to")]
)
def test_what_is_no_day_is_refused(api: Client, query: str, name: str) -> None:
    answer = api.get(f"/api/statistics?{query}")
    assert (answer.status, list(answer.json["errors"])) == (422, [name])


@pytest.fixture
def strangers_callout(stranger: Client) -> Iterator[int]:
    yield make(stranger, "/api/callouts")


def test_another_accounts_figures_are_not_there(api: Client, stranger: Client, strangers_callout: int) -> None:
    person(stranger, strangers_callout, district="Kep")
    for path in ("statistics", "progress", "statistics?group_by=metadata.district"):
        assert api.get(f"/api/callouts/{strangers_callout}/{path}").status == 404
    assert api.get("/api/statistics").json["people"]["total"] == 0
    assert api.get("/api/callouts/0/statistics").status == 404
