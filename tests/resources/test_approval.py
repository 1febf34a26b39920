"""Approval: where an account wants it, an approver starts a plan who has neither written nor submitted it."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from scfm.models.plan_approval import APPROVAL_MACHINE
from tests.resources.conftest import Documents, make
from tests.server import Answer, Client, Server, wait_until

FIXED = "cannot be changed any more: approval is required"
FORBIDDEN = {"status": 403, "error": "Forbidden"}
KEYS = ["status", "submitted_by", "submitted_at", "decided_by", "decided_at", "digest"]
PLAN: dict[str, Any] = {"audience": {}, "remote_request_params": {"from": "1294"}}
DEFINITION: dict[str, Any] = {
    "languages": ["en"],
    "start": "warning",
    "steps": {"warning": {"say": {"en": "Flood."}, "next": "end"}, "end": {"hang_up": True}},
}


class House(NamedTuple):
    """An account that wants approval, whose calls are held: its admin, two who write, and two who approve."""

    admin: Client
    alice: Client
    bob: Client
    carol: Client
    dave: Client

    def callout(self, **fields: Any) -> str:
        """Where a new callout of Alice is."""
        return f"/api/callouts/{make(self.alice, '/api/callouts', **{'plan': PLAN, **fields})}"


@pytest.fixture(scope="module")
def house(server: Server) -> House:
    admin = server.new_account()
    credentials = {"twilio_account_sid": "AC1", "twilio_auth_token": "0123456789abcdef0123456789abcdef"}
    assert admin.patch("/api/account", {"approval_required": "true", **credentials}).status == 204
    make(admin, "/api/account/account_events", event="hold")
    make(admin, "/api/contacts", msisdn="+252662345678")
    roles = ("operator", "operator", "approver", "approver")
    tokens = [admin.post("/api/access_tokens", json={"role": role}).json["token"] for role in roles]
    return House(admin, *map(server.client, tokens))


def fire(client: Client, path: str, event: str) -> Answer:
    return client.post(f"{path}/callout_events", json={"event": event})


def moved(client: Client, path: str, event: str) -> dict[str, Any]:
    """The callout after an event that is possible."""
    answer = fire(client, path, event)
    assert answer.status == 201, answer
    shown: dict[str, Any] = answer.json
    return shown


def test_a_plan_is_submitted_and_then_started_by_who_approves_it(house: House) -> None:
    path = house.callout()
    shown = house.alice.get(path).json
    assert list(shown)[-1] == "approval" and shown["approval"] is None
    submitted = moved(house.bob, path, "submit")
    assert (submitted["status"], submitted["approval"]["status"]) == ("initialized", "submitted")
    assert list(submitted["approval"]) == KEYS
    assert submitted["approval"]["decided_by"] is submitted["approval"]["decided_at"] is None
    approved = moved(house.carol, path, "approve")
    assert (approved["status"], approved["approval"]["status"]) == ("running", "approved")
    assert approved["approval"]["digest"] == submitted["approval"]["digest"]
    assert re.fullmatch("access token [0-9]+", approved["approval"]["decided_by"])
    assert approved["approval"]["decided_at"] is not None
    for event, status in (("pause", "paused"), ("resume", "running"), ("stop", "stopped"), ("resume", "running")):
        assert moved(house.alice, path, event)["status"] == status


def test_nobody_starts_a_plan_without_approval(house: House) -> None:
    for path in (house.callout(), house.callout(plan=None)):
        for client in (house.alice, house.carol, house.admin):
            answer = fire(client, path, "start")
            assert (answer.status, answer.json["error"]) == (403, "Forbidden")
        assert house.alice.get(path).json["status"] == "initialized"


def test_only_approvers_decide(house: House) -> None:
    path = house.callout()
    moved(house.alice, path, "submit")
    for event in ("approve", "reject"):
        answer = fire(house.bob, path, event)
        assert (answer.status, answer.json) == (403, FORBIDDEN)
    assert house.alice.get(path).json["approval"]["status"] == "submitted"


def test_who_wrote_changed_or_submitted_a_plan_does_not_approve_it(house: House) -> None:
    path = f"/api/callouts/{make(house.carol, '/api/callouts', plan=PLAN)}"  # an approver has written it
    assert house.alice.patch(path, json={"metadata": {"a": 1}}).status == 204
    moved(house.alice, path, "submit")
    assert fire(house.carol, path, "approve").status == 403
    assert moved(house.dave, path, "approve")["status"] == "running"
    path = house.callout()
    assert house.carol.patch(path, json={"plan": {**PLAN, "priority": 1}}).status == 204
    moved(house.dave, path, "submit")
    for client in (house.carol, house.dave):  # one has changed it, one has submitted it
        assert fire(client, path, "approve").status == 403
    assert moved(house.admin, path, "approve")["status"] == "running"


def test_what_is_withdrawn_or_rejected_is_not_approved_before_it_is_submitted_again(house: House) -> None:
    path = house.callout()
    for event, by, status in (("withdraw", house.alice, None), ("reject", house.carol, "rejected")):
        moved(house.alice, path, "submit")
        approval = moved(by, path, event)["approval"]
        assert (approval and approval["status"]) == status
        for impossible in ("approve", "reject", "withdraw"):
            refused = fire(house.carol, path, impossible)
            assert (refused.status, refused.json) == (422, {"errors": {"event": ["is not included in the list"]}})
            assert refused.hints == {"event": "a callout that is initialized can take: submit"}
    moved(house.alice, path, "submit")
    assert moved(house.carol, path, "approve")["status"] == "running"


CHANGES: list[dict[str, Any]] = [
    {"plan": {**PLAN, "audience": {"contact_filter_params": {"metadata": {"district": "a"}}}}},
    {"plan": {**PLAN, "retry": {"max_attempts": 2}}},
    {"metadata": {"message": "Other."}},
    {"call_flow_logic": "CallFlowLogic::AvfCapom::CapomShort"},
]


@pytest.mark.parametrize("change", CHANGES, ids=["audience", "retry", "message", "flow"])
def test_what_has_changed_since_it_was_submitted_is_not_approved(house: House, change: dict[str, Any]) -> None:
    make(house.admin, "/api/contacts", msisdn=f"+25266234{5700 + CHANGES.index(change)}", metadata={"district": "a"})
    path = house.callout(metadata={"message": "Flood."})
    moved(house.alice, path, "submit")
    assert house.alice.patch(path, json=change).status == 204
    refused = fire(house.carol, path, "approve")
    assert (refused.status, refused.json) == (422, {"errors": {"plan": ["is not what was submitted any more"]}})
    assert refused.hints == {"plan": "submit it again, and look at it before it is approved"}
    assert house.alice.get(path).json["status"] == "initialized"
    moved(house.alice, path, "submit")
    assert moved(house.carol, path, "approve")["status"] == "running"


def test_a_flow_that_is_published_anew_is_submitted_anew(house: House, database: Documents) -> None:
    flow = make(house.alice, "/api/call_flows", name="flood", definition=DEFINITION)
    make(house.alice, f"/api/call_flows/{flow}/publish")
    path = house.callout(call_flow_logic="flood")
    moved(house.alice, path, "submit")
    other = {**DEFINITION, "steps": {**DEFINITION["steps"], "warning": {"say": {"en": "Fire."}, "next": "end"}}}
    assert house.alice.patch(f"/api/call_flows/{flow}", json={"definition": other}).status == 204
    make(house.alice, f"/api/call_flows/{flow}/publish")
    assert fire(house.carol, path, "approve").status == 422
    moved(house.alice, path, "submit")
    moved(house.carol, path, "approve")
    make(house.alice, f"/api/call_flows/{flow}/publish", version=1)
    stored = database["callouts"].find_one({"_id": int(path.rpartition("/")[2])})
    assert stored is not None and stored["_approved"] == {"flow": "flood", "version": 2}


def test_a_plan_with_a_blocker_is_not_submitted(house: House) -> None:
    path = house.callout(plan={**PLAN, "not_after": "2018-01-01T00:00:00Z"})
    answer = fire(house.alice, path, "submit")
    assert answer.status == 422 and "not_after" in answer.json["errors"]["plan"][0]
    answer = fire(house.alice, house.callout(plan=None), "submit")
    assert answer.json == {"errors": {"plan": ["can't be blank"]}}


def test_what_was_approved_stays_as_it_is(house: House) -> None:
    retry = {"max_attempts": 3, "delays": [60, 120], "on": ["busy", "failed"]}
    path = house.callout(plan={**PLAN, "retry": retry, "not_after": "2100-01-01T00:00:00Z"}, metadata={"a": 1})
    moved(house.alice, path, "submit")
    plan = moved(house.carol, path, "approve")["plan"]
    hours = {"time_zone": "Asia/Phnom_Penh", "from": "07:00", "to": "20:00"}
    for wider in (
        {"retry": {**retry, "max_attempts": 4}},
        {"retry": {**retry, "on": ["busy", "failed", "not_answered"]}},
        {"retry": {**retry, "delays": [60]}},
        {"not_after": None},
        {"not_after": "2100-01-02T00:00:00Z"},
        {"window": hours},
    ):
        answer = house.alice.patch(path, json={"plan": {**plan, **wider}})
        (name,) = wider
        assert answer.json == {"errors": {"plan": [f"/{name}: {FIXED}"]}}, wider
    for name, value in (("metadata", {"message": "x"}), ("call_flow_logic", "CallFlowLogic::AvfCapom::CapomShort")):
        answer = house.admin.patch(path, json={name: value})
        assert answer.json == {"errors": {name: [FIXED]}}
    for narrower in (
        {"retry": {"max_attempts": 2, "delays": [60, 180], "on": ["busy"]}},
        {"not_after": "2099-01-01T00:00:00Z"},
        {"priority": 9, "calls_per_second": 1.5, "calls_in_flight": 3},
    ):
        assert house.alice.patch(path, json={"plan": {**plan, **narrower}}).status == 204, narrower
        plan = house.alice.get(path).json["plan"]


def test_what_was_started_before_approval_was_required_is_not_widened(house: House, database: Documents) -> None:
    path = house.callout()
    database["callouts"].update_one({"_id": int(path.rpartition("/")[2])}, {"$set": {"status": "running"}})
    for change in ({"plan": {**PLAN, "retry": {"max_attempts": 2}}}, {"metadata": {"message": "Other."}}):
        assert house.alice.patch(path, json=change).status == 422
    assert house.alice.patch(path, json={"plan": {**PLAN, "priority": 1}}).status == 204
    database["callouts"].update_one({"_id": int(path.rpartition("/")[2])}, {"$set": {"status": "completed"}})
    assert house.alice.patch(path, json={"metadata": {"note": "Over."}}).status == 204


def test_what_was_stopped_before_it_was_started_is_not_started_by_its_resume(
    house: House, database: Documents
) -> None:
    path = house.callout()
    database["callouts"].update_one({"_id": int(path.rpartition("/")[2])}, {"$set": {"status": "stopped"}})
    assert fire(house.alice, path, "resume").status == 403


def test_no_call_leaves_around_approval(house: House) -> None:
    path = house.callout()
    contact = make(house.admin, "/api/contacts", msisdn="+252662345690")
    participation = make(house.alice, f"{path}/callout_participations", contact_id=contact)
    params = {"from": "1294", "url": "http://127.0.0.1:1/"}
    call = make(house.alice, f"/api/callout_participations/{participation}/phone_calls", remote_request_params=params)
    for client in (house.alice, house.admin):
        answer = client.post(f"/api/phone_calls/{call}/phone_call_events", json={"event": "queue"})
        assert (answer.status, answer.json["error"]) == (403, "Forbidden")
    operation = make(
        house.alice,
        "/api/batch_operations",
        type="BatchOperation::PhoneCallQueue",
        parameters={},
        skip_validate_preview_presence=True,
    )
    answer = house.alice.post(f"/api/batch_operations/{operation}/batch_operation_events", json={"event": "queue"})
    assert answer.status == 403
    assert house.alice.get(f"/api/phone_calls/{call}").json["status"] == "created"


def test_a_waiting_call_of_an_approved_plan_cannot_be_made_another(house: House, database: Documents) -> None:
    path = house.callout()
    contact = make(house.admin, "/api/contacts", msisdn="+252662345691")
    participation = make(house.alice, f"{path}/callout_participations", contact_id=contact)
    params = {"from": "1294", "url": "http://127.0.0.1:1/"}
    call = make(house.alice, f"/api/callout_participations/{participation}/phone_calls", remote_request_params=params)
    database["phone_calls"].update_one({"_id": call}, {"$set": {"status": "queued"}})
    for change in ({"remote_request_params": {"twiml": "<Response/>"}}, {"msisdn": "+252662345692"}):
        answer = house.alice.patch(f"/api/phone_calls/{call}", json=change)
        (name,) = change
        assert (answer.status, answer.json["errors"][name]) == (
            422,
            [FIXED],
        )
    assert house.alice.patch(f"/api/phone_calls/{call}", json={"metadata": {"a": 1}}).status == 204
    database["phone_calls"].update_one({"_id": call}, {"$set": {"status": "created"}})


@pytest.mark.parametrize("status", ["created", "queued"])
def test_the_call_of_a_recording_says_nothing_else(house: House, database: Documents, status: str) -> None:
    given = {"msisdn": "+252662345693", "name": f"siren-{status}", "remote_request_params": {"from": "1294"}}
    call = house.alice.post("/api/audio_files/record", json=given).json["phone_call_id"]
    database["phone_calls"].update_one({"_id": call}, {"$set": {"status": status}})
    for change in ({"remote_request_params": {"twiml": "<Response/>"}}, {"msisdn": "+252662345694"}):
        answer = house.alice.patch(f"/api/phone_calls/{call}", json=change)
        (name,) = change
        assert (answer.status, answer.json["errors"][name]) == (422, [FIXED])
    for elsewhere in ("url", "fallback_url"):
        params = {"from": "1294", elsewhere: "https://example.org/api/remote_phone_call_events"}
        answer = house.alice.post("/api/audio_files/record", json={**given, "remote_request_params": params})
        assert list(answer.json["errors"]) == ["remote_request_params"], elsewhere


def test_a_follow_up_is_approved_like_any_plan(house: House, database: Documents) -> None:
    path = house.callout()
    moved(house.alice, path, "submit")
    moved(house.carol, path, "approve")
    callout = int(path.rpartition("/")[2])
    wait_until(lambda: database["callout_participations"].count_documents({"callout_id": callout}))
    follow_up = house.alice.post(f"{path}/follow_ups", json={"q": {"attempts": "0"}})
    assert (follow_up.status, follow_up.json["approval"]) == (201, None)
    next_path = f"/api/callouts/{follow_up.json['id']}"
    assert fire(house.alice, next_path, "start").status == 403
    moved(house.alice, next_path, "submit")
    assert moved(house.carol, next_path, "approve")["status"] == "running"


def test_of_approvers_and_a_withdrawal_at_the_same_time_one_decides(house: House) -> None:
    for _ in range(8):
        path = house.callout()
        moved(house.alice, path, "submit")
        tried = [(house.carol, "approve"), (house.dave, "approve"), (house.alice, "withdraw"), (house.dave, "reject")]
        with ThreadPoolExecutor(4) as clients:
            begun = [(event, clients.submit(fire, client, path, event)) for client, event in tried]
            answers = [(event, answer.result()) for event, answer in begun]
        decided = [event for event, answer in answers if answer.status == 201]
        assert len(decided) == 1 and {answer.status for _, answer in answers} == {201, 422}
        shown = house.alice.get(path).json
        expected = {"approve": ("running", "approved"), "withdraw": ("initialized", None)}
        status = shown["approval"] and shown["approval"]["status"]
        assert (shown["status"], status) == expected.get(decided[0], ("initialized", "rejected"))


def test_approval_and_a_change_at_the_same_time_start_what_was_submitted(house: House) -> None:
    for _ in range(8):
        path = house.callout(metadata={"message": "Flood."})
        moved(house.alice, path, "submit")
        with ThreadPoolExecutor(2) as clients:
            approving = clients.submit(fire, house.carol, path, "approve")
            changing = clients.submit(house.alice.patch, path, json={"metadata": {"message": "Other."}})
        shown = house.alice.get(path).json
        if approving.result().status == 201:
            assert (changing.result().status, shown["metadata"]) == (422, {"message": "Flood."})
        else:
            assert (changing.result().status, shown["status"]) == (204, "initialized")


def test_callouts_that_wait_for_approval_are_found(house: House) -> None:
    path = house.callout()
    moved(house.alice, path, "submit")
    found = house.carol.get("/api/callouts?per_page=1000&q[approval][status]=submitted").json
    assert int(path.rpartition("/")[2]) in [one["id"] for one in found]
    assert {one["approval"]["status"] for one in found} == {"submitted"}


def test_what_happens_to_an_approval_is_in_the_log(house: House) -> None:
    path = house.callout(plan={**PLAN, "emergency": {"reason": "The dam breaks.", "severity": "extreme"}})
    moved(house.alice, path, "submit")
    fire(house.alice, path, "approve")
    moved(house.carol, path, "approve")
    subject = f"q[subject][type]=callout&q[subject][id]={path.rpartition('/')[2]}"
    logged = {one["action"]: one["changes"] for one in house.admin.get(f"/api/audit_events?{subject}").json}
    assert list(logged) == ["create", "submit", "approve"]
    assert logged["approve"]["emergency"] == [None, {"reason": "The dam breaks.", "severity": "extreme"}]
    assert logged["approve"]["approval"][1]["status"] == "approved"
    refused = house.admin.get("/api/audit_events?q[action]=role_refused&per_page=1000").json
    assert refused[-1]["changes"]["needed"] == [None, "approver"]


def test_an_account_that_wants_no_approval_has_no_such_events(api: Client) -> None:
    path = f"/api/callouts/{make(api, '/api/callouts')}"
    for event in ("submit", "withdraw", "approve", "reject"):
        refused = fire(api, path, event)
        assert (refused.status, refused.json) == (422, {"errors": {"event": ["is not included in the list"]}})
        assert refused.hints == {"event": "a callout that is initialized can take: start"}
    assert fire(api, path, "start").status == 201


@pytest.mark.parametrize(("given", "kept"), [("true", True), ("false", False), (True, True), (False, False)])
def test_the_setting_is_a_boolean(api: Client, given: Any, kept: bool) -> None:
    assert api.patch("/api/account", json={"approval_required": given}).status == 204
    assert api.get("/api/account").json["settings"]["approval_required"] is kept
    refused = api.patch("/api/account", json={"approval_required": "yes"})
    assert refused.json == {"errors": {"approval_required": ["must be true or false"]}}
    assert api.patch("/api/account", json={"approval_required": None}).status == 204
    assert "approval_required" not in api.get("/api/account").json["settings"]


DIAGRAM = re.compile(r"^    (\w+) --> (\w+): (\w+)$", re.MULTILINE)


def test_the_diagram_shows_every_event() -> None:
    text = (Path(__file__).parents[2] / "docs/architecture.md").read_text()
    section = text.partition("## The life of an approval")[2].partition("\n## ")[0]
    drawn = {(source, event, target) for source, target, event in DIAGRAM.findall(section)}
    arrows = APPROVAL_MACHINE.events.items()
    assert drawn == {(source, event, target) for event, known in arrows for source, target in known.items()}
