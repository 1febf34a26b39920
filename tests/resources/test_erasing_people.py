"""``DELETE /api/contacts/1?purge=true`` and ``GET /api/contacts/1/export``: who may, and what they answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server import Client, Server, wait_until

NUMBER = "+252662345678"
SIMULATOR = {"PLATFORM_PROVIDER": "simulator", "STATUS_CHECK": "always", "STATUS_CHECK_SECONDS": "0.2"}
REQUEST = {"from": "1294"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), SIMULATOR) as server:
        yield server


def made(answer: Any) -> Any:
    assert answer.status == 201, answer
    return answer.json


def with_role(server: Server, api: Client, role: str) -> Client:
    token = api.post("/api/access_tokens", json={"role": role})
    return server.client(made(token)["token"])


def called(server: Server, api: Client) -> dict[str, Any]:
    """A contact who has been called, by number and id."""
    contact = made(api.post("/api/contacts", json={"msisdn": NUMBER, "metadata": {"name": "Sokha"}}))
    callout = made(api.post("/api/callouts", json={}))
    path = f"/api/callouts/{callout['id']}/callout_participations"
    participation = made(api.post(path, json={"contact_id": contact["id"]}))
    url = f"{server.url}/api/remote_phone_call_events"
    params = {"remote_request_params": {**REQUEST, "url": url, "status_callback": url}}
    call = made(api.post(f"/api/callout_participations/{participation['id']}/phone_calls", json=params))
    made(api.post(f"/api/phone_calls/{call['id']}/phone_call_events", json={"event": "queue"}))
    over = {"completed", "busy", "not_answered", "failed"}
    path = f"/api/callout_participations/{participation['id']}"
    wait_until(lambda: api.get(f"/api/phone_calls/{call['id']}").json["status"] in over)
    wait_until(lambda: api.get(path).json["outcome"] in ("reached", "unreached"))
    return {
        "contact": contact["id"],
        "callout": callout["id"],
        "participation": participation["id"],
        "call": call["id"],
    }


def test_a_person_is_exported_and_erased_and_the_counts_stay(server: Server, api: Client) -> None:
    ids = called(server, api)
    person, statistics = f"/api/contacts/{ids['contact']}", f"/api/callouts/{ids['callout']}/statistics"
    exported = api.get(f"{person}/export")
    assert exported.status == 200
    assert exported.headers["Content-Disposition"] == f'attachment; filename="contact-{ids["contact"]}.json"'
    content = exported.json
    assert content["contact"] == api.get(person).json
    assert [one["id"] for one in content["callout_participations"]] == [ids["participation"]]
    assert [one["id"] for one in content["phone_calls"]] == [ids["call"]]
    assert content["remote_phone_call_events"] and content["opt_outs"] == content["recordings"] == []
    assert "create" in {one["action"] for one in content["audit_events"]}
    (read,) = api.get("/api/audit_events?q[action]=export").json
    assert read["subject"] == {"type": "contact", "id": ids["contact"]}
    before = api.get(statistics).json
    erasing = api.delete(f"{person}?purge=true")
    assert (erasing.status, erasing.json) == (202, {"id": ids["contact"], "status": "erasing"})
    wait_until(lambda: api.get(person).status == 404)
    assert api.delete(f"{person}?purge=true").status == 404
    after = api.get(statistics).json
    counted = ("people", "reasons", "calls", "attempts", "talk_seconds", "first_attempt_at", "calls_per_minute")
    assert {name: before[name] for name in counted} == {name: after[name] for name in counted}
    participation = api.get(f"/api/callout_participations/{ids['participation']}").json
    assert [participation[name] for name in ("contact_id", "msisdn", "metadata", "answers")] == [None, None, {}, {}]
    call = api.get(f"/api/phone_calls/{ids['call']}").json
    assert [call[name] for name in ("contact_id", "msisdn", "remote_request_params")] == [None, None, {}]
    (row,) = api.get(f"/api/callouts/{ids['callout']}/results?format=jsonl").json.splitlines()
    assert json.loads(row)["contact_id"] is None and json.loads(row)["msisdn"] is None
    everything = [
        api.get(f"/api/{name}").json for name in ("audit_events", "phone_calls", "remote_phone_call_events")
    ]
    assert NUMBER[1:] not in str(everything) and "Sokha" not in str(everything)
    # Nobody can be called for it any more, and the number is free.
    params = {"remote_request_params": REQUEST}
    again = api.post(f"/api/callout_participations/{ids['participation']}/phone_calls", json=params)
    assert (again.status, again.json) == (422, {"errors": {"contact": ["must exist"]}})
    operation = {"type": "BatchOperation::PhoneCallCreate", "parameters": params}
    nobody = api.post("/api/batch_operations", json=operation)
    assert (nobody.status, [*nobody.json["errors"]]) == (422, ["callout_participations_preview"])
    assert made(api.post("/api/contacts", json={"msisdn": NUMBER}))["id"] != ids["contact"]


def test_erasing_is_for_admins_and_the_export_for_operators(server: Server, api: Client, stranger: Client) -> None:
    contact = made(api.post("/api/contacts", json={"msisdn": NUMBER}))["id"]
    path = f"/api/contacts/{contact}"
    operator, viewer = with_role(server, api, "operator"), with_role(server, api, "viewer")
    assert operator.delete(f"{path}?purge=true").status == 403
    assert viewer.get(f"{path}/export").status == viewer.delete(f"{path}?purge=true").status == 403
    assert operator.get(f"{path}/export").status == 200
    assert stranger.get(f"{path}/export").status == stranger.delete(f"{path}?purge=true").status == 404
    wrong = api.delete(f"{path}?purge=yes")
    assert (wrong.status, wrong.json) == (422, {"errors": {"purge": ["must be true or false"]}})
    assert api.get(path).status == 200
    assert operator.delete(f"{path}?purge=false").status == 204


def test_a_stored_answer_of_the_person_is_gone_for_whoever_repeats_the_request(api: Client) -> None:
    request: dict[str, Any] = {"json": {"msisdn": NUMBER}, "headers": {"Idempotency-Key": "once"}}
    contact = made(api.post("/api/contacts", **request))["id"]
    assert api.delete(f"/api/contacts/{contact}?purge=true").status == 202
    wait_until(lambda: api.get(f"/api/contacts/{contact}").status == 404)
    assert (gone := api.post("/api/contacts", **request)).status == 410 and gone.json["error"] == "Gone"
    assert api.get("/api/contacts").json == []


def test_people_who_are_erased_while_an_alert_runs_are_not_waited_for(server: Server, api: Client) -> None:
    lines = b"".join(b'{"msisdn": "+25566000%04d"}\n' % number for number in range(40))
    headers = {"Content-Type": "application/x-ndjson"}
    assert api.post("/api/contacts/import", body=lines, headers=headers).status == 200
    people = [contact["id"] for page in (1, 2) for contact in api.get(f"/api/contacts?page={page}").json]
    plan = {"audience": {}, "remote_request_params": REQUEST, "retry": {"max_attempts": 2, "delays": [1]}}
    fields = {
        "plan": plan,
        "call_flow_logic": "CallFlowLogic::Message",
        "metadata": {"message": "A flood is coming."},
    }
    callout = made(api.post("/api/callouts", json=fields))["id"]
    path = f"/api/callouts/{callout}"
    made(api.post(f"{path}/callout_events", json={"event": "start"}))
    erased = people[::5]
    for contact in erased:
        assert api.delete(f"/api/contacts/{contact}?purge=true").status == 202
    wait_until(lambda: api.get(path).json["status"] == "completed")
    wait_until(lambda: all(api.get(f"/api/contacts/{contact}").status == 404 for contact in erased))
    counted = api.get(f"{path}/statistics").json["people"]
    assert counted["total"] == len(people) == sum(counted.values()) - counted["total"]
    assert counted["pending"] == counted["calling"] == counted["waiting"] == 0
    joined = [one for page in (1, 2) for one in api.get(f"{path}/callout_participations?page={page}").json]
    assert sum(one["contact_id"] is None for one in joined) == len(erased)
