"""The plan of a callout: what is taken, how it is shown, what is refused, and what may be changed when."""

from __future__ import annotations

from typing import Any

import pytest

from tests.resources.conftest import Documents, make
from tests.resources.test_plan import DEFAULTS
from tests.server import Client, Server

HOURS = {"time_zone": "Asia/Phnom_Penh", "from": "07:00", "to": "20:00"}
EVERY_DAY = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
FULL = {
    "audience": {"contact_filter_params": {"metadata": {"district": "Stung Treng"}}},
    "remote_request_params": {"from": "1294", "timeout": 30},
    "retry": {"max_attempts": 3, "delays": [300, 900], "on": ["busy", "not_acknowledged"]},
    "window": {**HOURS, "days": ["sat", "sun"], "except": ["2026-04-14"]},
    "starts_at": "2026-11-29T18:00:00+07:00",
    "not_after": "2026-11-30T18:00:00Z",
    "priority": 9,
    "calls_per_second": 2.5,
    "calls_in_flight": 10,
    "answering_machine": "retry",
    "acknowledge": True,
    "inline_twiml": True,
    "emergency": {"reason": "The dam breaks.", "severity": "extreme"},
}
CHANGES = {
    "retry": {"max_attempts": 5, "delays": [60], "on": ["busy"]},
    "window": {**HOURS, "days": EVERY_DAY, "except": []},
    "not_after": "2030-01-01T00:00:00Z",
    "priority": 0,
    "calls_per_second": 1.5,
    "calls_in_flight": 3,
}
STARTED = ["running", "paused", "stopped"]


@pytest.fixture(scope="module")
def api(server: Server) -> Client:
    return server.new_account()


@pytest.fixture
def path(api: Client) -> str:
    """Where a new callout is, whose plan has nothing but defaults."""
    return f"/api/callouts/{make(api, '/api/callouts', plan={'audience': {}})}"


def set_status(database: Documents, path: str, status: str) -> None:
    database.callouts.update_one({"_id": int(path.rpartition("/")[2])}, {"$set": {"status": status}})


def test_a_callout_has_no_plan_unless_one_is_given(api: Client) -> None:
    shown = api.post("/api/callouts").json

    assert list(shown.items())[-3:] == [("plan", None), ("completed_at", None), ("approval", None)]


@pytest.mark.parametrize("given", [{"audience": {}}, FULL], ids=["the least", "everything"])
def test_a_plan_is_shown_as_it_was_given_with_its_defaults(api: Client, given: Any) -> None:
    shown = api.post("/api/callouts", json={"plan": given}).json["plan"]

    assert list(shown.items()) == list({**DEFAULTS, **given}.items())


def test_a_change_replaces_the_plan_whole_and_null_takes_it_away(api: Client, path: str) -> None:
    assert api.patch(path, json={"plan": FULL}).status == 204
    assert api.patch(path, json={"plan": {"audience": {}, "priority": 1}}).status == 204
    assert api.patch(path, json={"metadata": {"a": 1}}).status == 204
    assert api.get(path).json["plan"] == {**DEFAULTS, "priority": 1}

    assert api.patch(path, json={"plan": None}).status == 204
    assert api.get(path).json["plan"] is None


def test_texts_of_a_form_count_as_what_they_spell(api: Client, path: str) -> None:
    form = [
        ("plan[audience][contact_filter_params][metadata][zip]", "0012"),
        ("plan[remote_request_params][from]", "1294"),
        ("plan[retry][max_attempts]", "3"),
        ("plan[retry][delays][]", "300"),
        ("plan[retry][delays][]", " 900 "),
        ("plan[starts_at]", ""),
        ("plan[calls_per_second]", "0.5"),
        ("plan[calls_in_flight]", "null"),
        ("plan[acknowledge]", "true"),
    ]

    assert api.patch(path, form=form).status == 204
    assert api.get(path).json["plan"] == {
        **DEFAULTS,
        "audience": {"contact_filter_params": {"metadata": {"zip": "0012"}}},
        "remote_request_params": {"from": "1294"},
        "retry": {"max_attempts": 3, "delays": [300, 900], "on": ["busy", "not_answered", "failed"]},
        "calls_per_second": 0.5,
        "acknowledge": True,
    }
    assert api.patch(path, form={"plan": ""}).status == 204
    assert api.get(path).json["plan"] is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"audience": {"filter": {}}}, "/audience/filter: is not a key of an audience"),
        (
            {"audience": {"contact_filter_params": {"district": "x"}}},
            "/audience/contact_filter_params/district: is not a filter of contacts",
        ),
        (
            {"audience": {"follow_up": {"callout_id": 987654321, "q": {}}}},
            "/audience/follow_up/callout_id: must exist",
        ),
        ({"remote_request_params": {"From": "1"}}, "/remote_request_params/From: is not included in the list"),
        ({"retry": {"max_attempts": 11}}, "/retry/max_attempts: must be at most 10"),
        ({"retry": {"max_attempts": "3"}}, "/retry/max_attempts: must be a whole number"),
        ({"retry": {"max_attempts": True}}, "/retry/max_attempts: must be a whole number"),
        ({"retry": {"delays": [60, 0]}}, "/retry/delays/1: must be at least 1"),
        (
            {"window": {**HOURS, "time_zone": "../UTC"}},
            "/window/time_zone: must be a time zone of the IANA database, such as Asia/Phnom_Penh",
        ),
        ({"window": {**HOURS, "from": "07:00\n"}}, "/window/from: must be a time from 00:00 to 23:59"),
        ({"window": {**HOURS, "to": "07:00"}}, "/window/to: must not be the same as from"),
        ({"window": {**HOURS, "except": ["2026-02-29"]}}, "/window/except/0: must be a date such as 2026-04-14"),
        (
            {"starts_at": "2026-11-30T07:00:00"},
            "/starts_at: must be a time with an offset, such as 2026-11-30T07:00:00+07:00",
        ),
        (
            {"starts_at": "2026-11-30T07:00:00+07:00", "not_after": "2026-11-30T00:00:00Z"},
            "/not_after: must be after starts_at",
        ),
        ({"calls_per_second": 0}, "/calls_per_second: must be greater than 0"),
        ({"acknowledge": "true"}, "/acknowledge: must be true or false"),
        ({"emergency": {"reason": " ", "severity": "minor"}}, "/emergency/reason: can't be blank"),
    ],
)
def test_what_is_wrong_is_refused_and_its_place_is_named(api: Client, given: Any, message: str) -> None:
    answer = api.post("/api/callouts", json={"plan": {"audience": {}, **given}})

    assert (answer.status, answer.json["errors"]) == (422, {"plan": [message]})


def test_everything_that_is_wrong_is_said_at_once_and_changes_nothing(api: Client, path: str) -> None:
    before = api.get(path).json
    given = {"retries": 3, "a/b~c": 1, "window": {"to": "07:00"}, "priority": 11}

    answer = api.patch(path, json={"plan": given, "call_flow_logic": "Nothing", "metadata": {"a": 1}})

    assert sorted(answer.json["errors"]) == ["call_flow_logic", "plan"]
    assert sorted(answer.json["errors"]["plan"]) == [
        "/audience: can't be blank",
        "/a~1b~0c: is not a key of a plan",
        "/priority: must be at most 9",
        "/retries: is not a key of a plan",
        "/window/from: can't be blank",
        "/window/time_zone: can't be blank",
    ]
    assert answer.hints["plan"] == "what a plan may hold: GET /api/schemas/plan.json"
    assert api.get(path).json == before


@pytest.mark.parametrize("status", STARTED)
def test_the_pace_of_a_plan_may_be_changed_once_it_has_started(
    api: Client, database: Documents, path: str, status: str
) -> None:
    set_status(database, path, status)

    assert api.patch(path, json={"plan": {"audience": {}, **CHANGES}}).status == 204
    assert api.get(path).json["plan"] == {**DEFAULTS, **CHANGES}


@pytest.mark.parametrize("status", STARTED)
def test_nothing_else_of_a_plan_may_be_changed_once_it_has_started(
    api: Client, database: Documents, path: str, status: str
) -> None:
    set_status(database, path, status)

    answer = api.patch(path, json={"plan": {**FULL, **CHANGES}})

    names = [name for name in DEFAULTS if name not in CHANGES]
    refused = [f"/{name}: cannot be changed any more: the callout is {status}" for name in names]
    assert (answer.status, answer.json["errors"]) == (422, {"plan": refused})
    assert api.get(path).json["plan"] == DEFAULTS


@pytest.mark.parametrize("status", [*STARTED, "completed"])
def test_a_plan_is_neither_given_nor_taken_away_after_the_start(
    api: Client, database: Documents, path: str, status: str
) -> None:
    unplanned = f"/api/callouts/{make(api, '/api/callouts')}"
    for started in (path, unplanned):
        set_status(database, started, status)

    for refused in (api.patch(path, json={"plan": None}), api.patch(unplanned, json={"plan": {"audience": {}}})):
        assert refused.status == 422
        assert f"the callout is {status}" in refused.json["errors"]["plan"][0]
    assert api.patch(path, json={"plan": {"audience": {}}}).status == 204
    assert api.patch(unplanned, json={"plan": None}).status == 204


def test_a_completed_callout_stays_as_it_is(api: Client, database: Documents, path: str) -> None:
    set_status(database, path, "completed")

    changed = api.patch(path, json={"plan": {"audience": {}, "priority": 1}})

    assert changed.json["errors"] == {"plan": ["cannot be changed any more: the callout is completed"]}
    for event in ("start", "pause", "resume", "stop"):
        assert api.post(f"{path}/callout_events", form={"event": event}).status == 422
