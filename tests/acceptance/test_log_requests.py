"""The id of a request is in the lines of all that the request has caused, also in the background and after a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.alerts import REQUEST, import_contacts
from tests.server import Server, wait_until

ENVIRONMENT = {"PLATFORM_PROVIDER": "simulator", "LOG_LEVEL": "debug", "LOG_FORMAT": "json"}


def lines(server: Server, request_id: str | None) -> list[dict[str, Any]]:
    """The lines of a request, or, for None, of none."""
    found = (json.loads(line) for line in list(server.stderr))
    return [line for line in found if line["request_id"] == request_id]


def statuses(server: Server, request_id: str) -> list[str]:
    """What phone calls became, in order, by lines of a request."""
    return [
        line["becomes"]
        for line in lines(server, request_id)
        if line["logger"] == "scfm.status" and line["collection"] == "phone_calls" and line["becomes"]
    ]


def post(server: Server, path: str, request_id: str, **fields: Any) -> Any:
    answer = server.request("POST", path, json=fields, headers={"X-Request-Id": request_id})
    assert answer.status == 201, answer
    return answer.json


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), ENVIRONMENT) as server:
        import_contacts(server, 3)
        yield server


def test_a_queued_call_is_sent_for_the_request_that_queued_it(server: Server) -> None:
    callout = post(server, "/api/callouts", "made")["id"]
    path = f"/api/callouts/{callout}/callout_participations"
    participation = post(server, path, "made", contact_id=1)["id"]
    path = f"/api/callout_participations/{participation}/phone_calls"
    own = {**REQUEST, "url": f"{server.url}/api/remote_phone_call_events"}
    call = post(server, path, "made", remote_request_params=own)["id"]
    post(server, f"/api/phone_calls/{call}/phone_call_events", "queued-1", event="queue")
    wait_until(lambda: "remotely_queued" in statuses(server, "queued-1"))
    assert statuses(server, "queued-1")[0] == "queued"
    # A webhook is a request of its own, and of the account of its call.
    wait_until(lambda: any(line.get("route") == "/api/remote_phone_call_events" for line in every(server)))
    webhook = next(line for line in every(server) if line.get("route") == "/api/remote_phone_call_events")
    assert (webhook["account_id"], webhook["status"]) == (1, 201)
    # Nothing of all that is shown.
    assert not any(name.startswith("_") for name in server.request("GET", f"/api/phone_calls/{call}").json)


def test_a_batch_operation_and_the_calls_that_it_queues_are_of_its_request_also_after_a_kill(server: Server) -> None:
    callout = post(server, "/api/callouts", "made")["id"]
    population = {"type": "BatchOperation::CalloutPopulation"}
    run(server, f"/api/callouts/{callout}/batch_operations", "populated", **population)
    create = {"type": "BatchOperation::PhoneCallCreate", "parameters": {"remote_request_params": REQUEST}}
    run(server, "/api/batch_operations", "created", **create)
    held = server.request("POST", "/api/account/account_events", json={"event": "hold"})
    assert held.status == 201, held
    run(server, "/api/batch_operations", "queued-2", type="BatchOperation::PhoneCallQueue")
    for request_id in ("populated", "created", "queued-2"):
        wait_until(lambda request_id=request_id: len(work(server, request_id)) == 2)
        begun, finished = work(server, request_id)
        assert begun.endswith("begins") and "has finished" in finished
    server.kill()
    server.stderr.clear()
    server.start()
    released = server.request("POST", "/api/account/account_events", json={"event": "release"})
    assert released.status == 201, released
    wait_until(lambda: statuses(server, "queued-2").count("remotely_queued") >= 3)


def test_a_plan_is_carried_out_for_the_request_that_started_it(server: Server) -> None:
    plan = {"audience": {}, "remote_request_params": {"from": "1234"}, "retry": {"max_attempts": 1}}
    flow = {"call_flow_logic": "CallFlowLogic::Message", "metadata": {"message": "Go up the hill"}}
    callout = post(server, "/api/callouts", "made", plan=plan, **flow)["id"]
    post(server, f"/api/callouts/{callout}/callout_events", "started", event="start")
    wait_until(lambda: "remotely_queued" in statuses(server, "started"))
    first = next(line for line in lines(server, "started") if line["logger"] == "scfm.http")
    assert (first["callout_id"], first["event"], first["becomes"]) == (callout, "start", "running")


def test_what_the_background_does_for_nobody_names_no_request(server: Server) -> None:
    assert {line["logger"] for line in lines(server, None)} <= {"scfm.status", "scfm.work", "scfm"}
    assert all(line["request_id"] for line in every(server) if line["logger"] == "scfm.http")


def work(server: Server, request_id: str) -> list[str]:
    """What the jobs have said of a request's work."""
    return [line["message"] for line in lines(server, request_id) if line["logger"] == "scfm.work"]


def every(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in list(server.stderr)]


def run(server: Server, path: str, request_id: str, **fields: Any) -> None:
    """Make a batch operation, queue it by a request with that id, and wait until it has finished."""
    path = f"/api/batch_operations/{post(server, path, 'made', **fields)['id']}"
    post(server, f"{path}/batch_operation_events", request_id, event="queue")
    wait_until(lambda: server.request("GET", path).json["status"] == "finished")
