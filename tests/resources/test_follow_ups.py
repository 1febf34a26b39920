"""Follow-ups: a new callout, with the same plan, for some of those who are in another."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.resources.conftest import Documents, make
from tests.server import Client, Server, wait_until

PLAN: dict[str, Any] = {
    "audience": {"contact_filter_params": {"metadata": {"district": "Kratie"}}},
    "remote_request_params": {"from": "1294"},
    "retry": {"max_attempts": 3, "delays": [60], "on": ["busy"]},
    "priority": 9,
    "not_after": "2999-01-01T00:00:00Z",
    "emergency": {"reason": "The dam breaks.", "severity": "extreme"},
}
FLOW = "CallFlowLogic::Message"


@pytest.fixture(scope="module")
def api(server: Server) -> Client:
    """An account with three contacts."""
    api = server.new_account(twilio_account_sid="AC1", twilio_auth_token="s3cret")
    for number in range(3):
        make(api, "/api/contacts", msisdn=f"+85510{number:06d}")
    return api


@pytest.fixture
def path(api: Client) -> str:
    """A callout of the first two contacts, who have said what they need."""
    path = f"/api/callouts/{make(api, '/api/callouts', plan=PLAN, call_flow_logic=FLOW, metadata={'message': 'Go.'})}"
    contacts = [contact["id"] for contact in api.get("/api/contacts").json]
    for contact, needs in zip(contacts, ("boat", "food"), strict=False):
        make(api, f"{path}/callout_participations", contact_id=contact, metadata={"needs": needs})
    return path


def callout_of(path: str) -> int:
    return int(path.rpartition("/")[2])


def test_a_follow_up_has_the_same_plan_flow_and_metadata_but_an_audience_of_its_own(api: Client, path: str) -> None:
    answer = api.post(f"{path}/follow_ups", json={"q": {"metadata": {"needs": "boat"}}})

    created = answer.json
    assert (answer.status, answer.headers["Location"]) == (201, f"/api/callouts/{created['id']}")
    followed = api.get(path).json
    audience = {"follow_up": {"callout_id": followed["id"], "q": {"metadata": {"needs": "boat"}}}}
    assert created["plan"] == {**followed["plan"], "audience": audience}
    assert created["call_flow_logic"] == FLOW
    assert created["metadata"] == {"message": "Go.", "follow_up_of": followed["id"]}
    assert (created["status"], created["completed_at"]) == ("initialized", None)
    assert api.get(f"/api/callouts/{created['id']}/callout_participations").json == []
    assert api.post(f"/api/callouts/{created['id']}/preflight").json["audience"] == 1


def test_a_follow_up_may_have_a_name_of_its_own(api: Client, path: str) -> None:
    created = api.post(
        f"{path}/follow_ups", json={"q": {}, "metadata": {"name": "Flood, again", "follow_up_of": 1}}
    ).json
    nameless = api.post(f"{path}/follow_ups", json={"q": {}, "metadata": "Flood"}).json

    assert created["metadata"] == {"message": "Go.", "name": "Flood, again", "follow_up_of": callout_of(path)}
    assert nameless["metadata"] == {"message": "Go.", "follow_up_of": callout_of(path)}


def test_a_follow_up_of_a_follow_up_names_the_one_before(api: Client, path: str) -> None:
    first = api.post(f"{path}/follow_ups", form={"q[metadata][needs]": "boat"}).json
    contact = api.get("/api/contacts").json[0]["id"]
    make(api, f"/api/callouts/{first['id']}/callout_participations", contact_id=contact)

    second = api.post(f"/api/callouts/{first['id']}/follow_ups?q[contact_id]={contact}").json

    assert second["metadata"]["follow_up_of"] == first["id"]
    assert second["plan"]["audience"]["follow_up"] == {"callout_id": first["id"], "q": {"contact_id": str(contact)}}


def test_a_not_after_that_has_passed_is_left_out(api: Client, database: Documents, path: str) -> None:
    passed = {"$set": {"plan.not_after": "2020-01-01T00:00:00Z"}}
    database.callouts.update_one({"_id": callout_of(path)}, passed)

    created = api.post(f"{path}/follow_ups", json={"q": {}}).json

    assert created["plan"]["not_after"] is None
    assert datetime.fromisoformat(api.post(f"/api/callouts/{created['id']}/preflight").json["ends_at"])


def test_without_filters_those_are_called_who_were_not_reached(api: Client, path: str) -> None:
    assert api.post(f"{path}/follow_ups").json == {"errors": {"q": ["matches nobody"]}}
    first = f"/api/callout_participations/{api.get(f'{path}/callout_participations').json[0]['id']}"
    call = make(api, f"{first}/phone_calls", remote_request_params={"from": "1294"})
    assert api.post(f"/api/phone_calls/{call}/phone_call_events", form={"event": "cancel"}).status == 201
    wait_until(lambda: api.get(first).json["outcome"] == "unreached")

    created = api.post(f"{path}/follow_ups").json

    assert created["plan"]["audience"]["follow_up"]["q"] == {"outcome": "unreached"}
    assert api.post(f"/api/callouts/{created['id']}/preflight").json["audience"] == 1


@pytest.mark.parametrize(
    ("q", "messages"),
    [
        ({"metadata": {"needs": "a doctor"}}, ["matches nobody"]),
        ({"needs": "boat"}, ["/needs: is not a filter of callout participations"]),
        ({"contact_id": "x"}, ['/contact_id: "x" is not an id']),
        ("unreached", ["must be an object"]),
    ],
)
def test_filters_that_fit_nobody_or_are_not_understood_are_refused(
    api: Client, path: str, q: Any, messages: list[str]
) -> None:
    known = api.get("/api/callouts").headers["Total"]

    answer = api.post(f"{path}/follow_ups", json={"q": q})

    assert (answer.status, answer.json) == (422, {"errors": {"q": messages}})
    assert api.get("/api/callouts").headers["Total"] == known


def test_a_callout_without_a_plan_is_not_followed_up(api: Client) -> None:
    unplanned = make(api, "/api/callouts")

    answer = api.post(f"/api/callouts/{unplanned}/follow_ups", json={"q": {}})

    assert (answer.status, answer.json) == (422, {"errors": {"plan": ["can't be blank"]}})
    assert "follow_up" in (answer.hints or {})["plan"]
    assert api.post("/api/callouts/987654321/follow_ups").status == 404


def test_a_request_that_is_sent_again_makes_one_follow_up(api: Client, path: str) -> None:
    def follow_up() -> Any:
        return api.post(f"{path}/follow_ups", json={"q": {}}, headers={"Idempotency-Key": f"again {path}"})

    assert follow_up().json["id"] == follow_up().json["id"]
