"""Opt-outs in bulk."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.resources.conftest import Documents, make
from tests.server import Answer, Client, wait_until

FILE = """msisdn,reason,by.letter
+252662390001,moved,1
+252662390002,,
not a number,asked,
+252 662 390 001,again,
"""


def send(api: Client, body: str, kind: str = "text/csv", **headers: str) -> Answer:
    return api.post("/api/opt_outs/import", body=body.encode(), headers={"Content-Type": kind, **headers})


def shown(api: Client) -> list[tuple[Any, ...]]:
    return [(one["msisdn"], one["source"], one["reason"], one["metadata"]) for one in api.get("/api/opt_outs").json]


def test_a_file_opts_numbers_out_and_leaves_those_that_are(api: Client, database: Documents) -> None:
    make(api, "/api/opt_outs", msisdn="+252662390002", reason="by phone")
    answer = send(api, FILE)
    assert answer.status == 200
    assert answer.json == {
        "created": 1,
        "updated": 0,
        "unchanged": 2,
        "failed": 1,
        "errors": [{"line": 4, "column": "msisdn", "reason": "can't be blank", "value": "not a number"}],
        "errors_omitted": 0,
    }
    wanted = [
        ("+252662390002", "api", "by phone", {}),
        ("+252662390001", "import", "moved", {"by": {"letter": "1"}}),
    ]
    assert shown(api) == wanted
    assert send(api, FILE).json["unchanged"] == 3
    assert shown(api) == wanted
    wait_until(lambda: not database["opt_outs"].count_documents({"_settle_from": {"$exists": True}}))


def test_a_call_to_an_imported_number_does_not_leave(api: Client) -> None:
    contact = make(api, "/api/contacts", msisdn="+252662390003")
    callout = make(api, "/api/callouts")
    part = make(api, f"/api/callouts/{callout}/callout_participations", contact_id=contact)
    assert api.post("/api/account/account_events", {"event": "hold"}).status == 201
    call = make(api, f"/api/callout_participations/{part}/phone_calls", remote_request_params={"from": "1"})
    assert api.post(f"/api/phone_calls/{call}/phone_call_events", {"event": "queue"}).status == 201
    assert send(api, "msisdn\n+252662390003\n").json["created"] == 1
    path = f"/api/phone_calls/{call}"
    wait_until(lambda: api.get(path).json["remote_error_message"] == "opted out")
    assert api.get(path).json["status"] == "canceled"


def test_json_lines_have_a_text_for_a_reason(api: Client) -> None:
    good = '{"msisdn": "+252662390004", "metadata": {"reason": "asked", "n": 1}}\n'
    answer = send(api, good + '{"msisdn": "+252662390005", "metadata": {"reason": 5}}\n', "application/x-ndjson")
    assert answer.json["errors"] == [{"line": 2, "column": "reason", "reason": "must be a text", "value": None}]
    assert shown(api) == [("+252662390004", "import", "asked", {"n": 1})]


@pytest.mark.parametrize("kind", ["application/pdf", "text/html"])
def test_a_file_of_another_kind_opts_nobody_out(api: Client, kind: str) -> None:
    assert send(api, FILE, kind).status == 422
    assert shown(api) == []


def test_an_import_that_is_sent_again_with_its_key_gets_the_first_answer(api: Client) -> None:
    key = {"Idempotency-Key": "opt-outs-1"}
    first, again = send(api, FILE, **key), send(api, FILE, **key)
    assert first.json == again.json and again.headers["Idempotent-Replayed"] == "true"


def test_of_imports_at_the_same_time_each_number_is_opted_out_once(api: Client) -> None:
    lines = "msisdn\n" + "".join(f"+2526623910{number:02}\n" for number in range(50))
    with ThreadPoolExecutor(4) as clients:
        answers = [answer.json for answer in clients.map(lambda _: send(api, lines), range(4))]
    assert sum(answer["created"] for answer in answers) == 50
    assert sum(answer["unchanged"] for answer in answers) == 150
    assert api.get("/api/opt_outs?per_page=1").headers["Total"] == "50"
