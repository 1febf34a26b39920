"""What events and changes leave for the one who carries a plan out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.resources.conftest import Documents, make
from tests.server import Client, Server

CONTACT = "+252662345678"


@pytest.fixture(scope="module")
def api(server: Server) -> Client:
    return server.new_account()


@pytest.fixture
def callout(api: Client) -> int:
    return make(api, "/api/callouts", plan={"audience": {}})


def fire(api: Client, callout: int, *events: str) -> None:
    for event in events:
        assert api.post(f"/api/callouts/{callout}/callout_events", form={"event": event}).status == 201


def run_of(database: Documents, callout: int) -> dict[str, Any] | None:
    found = database.callouts.find_one({"_id": callout})
    assert found is not None
    return found.get("_run")


def set_run(database: Documents, callout: int, **run: Any) -> None:
    database.callouts.update_one({"_id": callout}, {"$set": {f"_run.{name}": value for name, value in run.items()}})


def asked_for(run: dict[str, Any] | None) -> dict[str, Any]:
    """The run without its times, which must be there."""
    assert run is not None
    assert isinstance(run.pop("due"), datetime)
    assert isinstance(run.pop("started_at"), datetime)
    return run


def test_the_start_of_a_plan_asks_for_its_audience(api: Client, database: Documents, callout: int) -> None:
    assert run_of(database, callout) is None

    fire(api, callout, "start")

    run = run_of(database, callout)
    assert run is not None
    assert run["due"] == run["started_at"]
    assert asked_for(run) == {"review": 0, "audience": 0}
    assert "_run" not in api.get(f"/api/callouts/{callout}").json


@pytest.mark.parametrize("events", [["start"], ["start", "stop"], ["start", "stop", "resume"]])
def test_without_a_plan_nothing_is_carried_out(api: Client, database: Documents, events: list[str]) -> None:
    unplanned = make(api, "/api/callouts")

    fire(api, unplanned, *events)

    assert run_of(database, unplanned) is None


@pytest.mark.parametrize("events", [["stop"], ["pause", "resume"], ["pause", "stop"], ["stop", "resume"]])
def test_a_stop_and_a_resume_look_at_everybody_again(
    api: Client, database: Documents, callout: int, events: list[str]
) -> None:
    fire(api, callout, "start", *events[:-1])
    set_run(database, callout, audience=5, holder="x")
    database.callouts.update_one({"_id": callout}, {"$unset": {"_run.due": "", "_run.review": ""}})

    fire(api, callout, events[-1])

    assert asked_for(run_of(database, callout)) == {"review": 0, "audience": 5, "holder": "x"}


def test_a_changed_plan_looks_at_everybody_again_and_a_like_one_does_not(
    api: Client, database: Documents, callout: int
) -> None:
    fire(api, callout, "start")
    database.callouts.update_one({"_id": callout}, {"$unset": {"_run.audience": "", "_run.review": ""}})
    before = run_of(database, callout)

    for unchanged in ({"plan": {"audience": {}, "priority": 5}}, {"metadata": {"a": 1}}):
        assert api.patch(f"/api/callouts/{callout}", json=unchanged).status == 204
    assert run_of(database, callout) == before

    assert api.patch(f"/api/callouts/{callout}", json={"plan": {"audience": {}, "priority": 1}}).status == 204
    assert asked_for(run_of(database, callout)) == {"review": 0}


def test_a_plan_that_was_stopped_before_its_start_is_started_by_its_resume(
    api: Client, database: Documents, callout: int
) -> None:
    contact = make(api, "/api/contacts", msisdn=CONTACT)
    participation = make(api, f"/api/callouts/{callout}/callout_participations", contact_id=contact)
    call = make(
        api, f"/api/callout_participations/{participation}/phone_calls", remote_request_params={"from": "1294"}
    )
    database.phone_calls.update_one({"_id": call}, {"$set": {"status": "in_progress"}})

    fire(api, callout, "stop")
    run = run_of(database, callout)
    assert run is not None
    assert ("review" in run, "audience" in run, "started_at" in run) == (True, False, False)

    fire(api, callout, "resume")
    assert asked_for(run_of(database, callout)) == {"review": 0, "audience": 0}
