"""Hints beside the errors of a 422: a sentence that says what would be taken."""

from __future__ import annotations

from typing import Any

import pytest

from tests.resources.conftest import FLOWS, make
from tests.server import Client, wait_until

NUMBER = "+252662345678"
NOT_IN_LIST = ["is not included in the list"]


def refused(api: Client, path: str, **given: Any) -> Any:
    """The hints of a refusal, each of which has an error."""
    answer = api.post(path, json=given)
    assert answer.status == 422, answer
    assert answer.hints is None or set(answer.hints) <= set(answer.json["errors"])
    return answer.hints


def test_an_event_that_is_refused_names_those_that_are_possible(api: Client) -> None:
    path = f"/api/callouts/{make(api, '/api/callouts')}/callout_events"
    # There is nothing yet that could be stopped.
    assert refused(api, path, event="pause") == {"event": "a callout that is initialized can take: start"}
    assert api.post(path, json={"event": "start"}).status == 201
    for event in ("start", "jump", None, 5, ["start"]):
        assert refused(api, path, event=event) == {"event": "a callout that is running can take: pause, stop"}


def test_a_call_that_is_done_with_can_take_no_event(api: Client) -> None:
    callout = make(api, "/api/callouts")
    contact = make(api, "/api/contacts", msisdn=NUMBER)
    participation = make(api, f"/api/callouts/{callout}/callout_participations", contact_id=contact)
    params = {"from": "1234", "url": "http://127.0.0.1:9/none"}
    call = make(api, f"/api/callout_participations/{participation}/phone_calls", remote_request_params=params)
    path = f"/api/phone_calls/{call}/phone_call_events"
    assert refused(api, path, event="jump") == {"event": "a phone call that is created can take: queue, cancel"}
    for event in ("queue_remote_fetch", "queue"):
        api.post(path, json={"event": event})
    wait_until(lambda: api.get(f"/api/phone_calls/{call}").json["status"] == "errored")  # nobody has credentials
    assert refused(api, path, event="queue") == {"event": "a phone call that is errored can take no event"}


@pytest.mark.parametrize("flow", ["Nope", "", "CallFlowLogic::AvfCapom::CapomLong"])
def test_a_call_flow_that_is_not_registered_names_those_that_are(api: Client, flow: str) -> None:
    hints = refused(api, "/api/callouts", call_flow_logic=flow)
    assert all(name in hints["call_flow_logic"] for name in [*FLOWS.split(","), "REGISTERED_CALL_FLOW_LOGIC"])


@pytest.mark.parametrize("kind", [None, "", "PhoneCallQueue", 5])
def test_a_type_that_there_is_not_names_those_there_are(api: Client, kind: object) -> None:
    hints = refused(api, "/api/batch_operations", type=kind)
    assert hints["type"].startswith("one of: BatchOperation::CalloutPopulation, BatchOperation::PhoneCallCreate, ")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("from_", "from_ is no parameter of a call: did you mean from"),
        ("StatusCallback", "StatusCallback is no parameter of a call: did you mean status_callback"),
        ("machine_detect", "did you mean machine_detection"),
        ("zzzzzz", "zzzzzz is no parameter of a call"),
        ("x" * 1000, "x" * 40 + " is no parameter of a call"),
    ],
)
def test_an_unknown_request_parameter_is_named_with_what_may_be_meant(api: Client, name: str, words: str) -> None:
    given = {"type": "BatchOperation::PhoneCallCreate", "skip_validate_preview_presence": True}
    hints = refused(api, "/api/batch_operations", **given, parameters={"remote_request_params": {name: "1"}})
    assert any(words in sentence for sentence in hints.values())


@pytest.mark.parametrize(
    ("given", "country", "words"),
    [
        ({}, "", "such as +252662345678"),
        ({"msisdn": "banana"}, "", "such as +252662345678"),
        ({"msisdn": "012 345 678"}, "", "set the account's default_country"),
        ({"msisdn": "12"}, "KH", "as it is dialled within KH"),
        ({"msisdn": "+1"}, "KH", "such as +252662345678"),
    ],
)
def test_a_number_that_is_none_comes_with_one_that_is(
    api: Client, given: dict[str, str], country: str, words: str
) -> None:
    assert api.patch("/api/account", {"default_country": country}).status == 204
    assert words in refused(api, "/api/contacts", **given)["msisdn"]


def test_other_refusals_say_what_would_be_taken(api: Client) -> None:
    answer = api.patch("/api/account", {"platform_provider_name": "nexmo", "calls_per_second": "0"})
    assert answer.hints == {"platform_provider_name": "one of: twilio, somleng, simulator"}
    callout = make(api, "/api/callouts")
    assert "GET /api/contacts" in refused(api, f"/api/callouts/{callout}/callout_participations")["contact"]
    queue = refused(api, "/api/batch_operations", type="BatchOperation::PhoneCallQueue")
    assert "skip_validate_preview_presence" in queue["phone_calls_preview"]
    population = refused(api, "/api/batch_operations", type="BatchOperation::CalloutPopulation")
    assert "/api/callouts/1/batch_operations" in population["callout"]


def test_an_error_that_explains_itself_has_no_hint(api: Client) -> None:
    make(api, "/api/contacts", msisdn=NUMBER)
    assert refused(api, "/api/contacts", msisdn=NUMBER) is None


def test_a_refusal_that_is_told_again_has_its_hints(api: Client) -> None:
    key = {"Idempotency-Key": "again"}
    first, second = (api.post("/api/contacts", {"msisdn": "banana"}, headers=key) for _ in range(2))
    assert second.headers["Idempotent-Replayed"] == "true"
    assert first.hints == second.hints is not None
