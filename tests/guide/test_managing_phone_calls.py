"""The guide's chapter "Managing Phone Calls", with Twilio as the provider."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.guide.provider import INVALID_FROM, REFUSAL, Provider
from tests.guide.scenes import (
    FLOW,
    PARAMS,
    URL,
    callout,
    contact,
    ids,
    in_status,
    listed,
    made,
    participation,
    phone_call,
    sent,
)
from tests.guide.shapes import TIME, keys
from tests.server import Client, wait_until

LONG_FLOW = "CallFlowLogic::AvfCapom::CapomLong"
NOT_AN_EVENT = {"errors": {"event": ["is not included in the list"]}}
REFUSED = {"remote_request_params[from]": INVALID_FROM}


def fetched(api: Client, provider: Provider, remote_status: str, status: str) -> dict[str, object]:
    """A call that was sent and fetched, once it has this status again."""
    call = sent(api)
    provider.statuses[call["remote_call_id"]] = remote_status
    path = f"/api/phone_calls/{call['id']}"
    queued = made(api, f"{path}/phone_call_events", {"event": "queue_remote_fetch"})
    assert queued["status"] == "remote_fetch_queued"
    wait_until(lambda: api.get(path).json["status"] != "remote_fetch_queued")
    found = in_status(api, call, status)
    assert isinstance(found, dict)
    return found


def test_a_new_phone_call_belongs_to_its_participation(api: Client) -> None:
    alice = participation(api)
    answer = api.post(f"/api/callout_participations/{alice['id']}/phone_calls", PARAMS)
    assert answer.status == 201
    assert list(answer.json) == keys("phone_calls")
    assert answer.json["callout_participation_id"] == alice["id"]
    assert (answer.json["contact_id"], answer.json["msisdn"]) == (alice["contact_id"], alice["msisdn"])
    assert answer.json["status"] == "created"
    assert answer.json["remote_request_params"] == {"from": "1234", "url": URL}
    assert answer.headers["Location"] == f"/api/phone_calls/{answer.json['id']}"


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({}, "can't be blank"),
        ({"remote_request_params": ""}, "can't be blank"),
        ({**PARAMS, "remote_request_params[colour]": "red"}, "is not included in the list"),
        ({**PARAMS, "remote_request_params[from_]": "1234"}, "is not included in the list"),
        ({**PARAMS, "remote_request_params[StatusCallback]": URL}, "is not included in the list"),
    ],
)
def test_the_remote_request_params_must_be_the_providers(api: Client, form: dict[str, str], message: str) -> None:
    answer = api.post(f"/api/callout_participations/{participation(api)['id']}/phone_calls", form)
    assert (answer.status, answer.json) == (422, {"errors": {"remote_request_params": [message]}})


def test_an_update_replaces_the_remote_request_params_whole(api: Client) -> None:
    path = f"/api/phone_calls/{phone_call(api, **{'remote_request_params[method]': 'GET'})['id']}"
    assert api.patch(path, {"remote_request_params[from]": "345"}).status == 204
    assert api.get(path).json["remote_request_params"] == {"from": "345"}
    assert api.patch(path, {"metadata[note]": "late"}).status == 204
    assert api.get(path).json["remote_request_params"] == {"from": "345"}


def test_a_participation_may_have_many_phone_calls(api: Client) -> None:
    alice = participation(api)
    calls = [phone_call(api, alice) for _ in range(3)]
    phone_call(api)
    assert listed(api, f"/api/callout_participations/{alice['id']}/phone_calls") == ids(*calls)
    assert listed(api, f"/api/phone_calls?q[callout_participation_id]={alice['id']}") == ids(*calls)
    assert listed(api, f"/api/phone_calls?q[contact_id]={alice['contact_id']}") == ids(*calls)
    assert len(listed(api, "/api/phone_calls")) == 4


def test_a_created_phone_call_can_be_deleted(api: Client) -> None:
    path = f"/api/phone_calls/{phone_call(api)['id']}"
    assert api.delete(path).status == 204
    assert api.get(path).status == 404


def test_a_phone_call_that_was_sent_cannot_be_deleted(api: Client) -> None:
    call = sent(api)
    answer = api.delete(f"/api/phone_calls/{call['id']}")
    message = "Cannot delete record because status is remotely_queued"
    assert (answer.status, answer.json) == (422, {"errors": {"base": [message]}})


def test_a_queued_phone_call_is_sent_to_its_own_number(api: Client, provider: Provider) -> None:
    alice = participation(api)
    call = phone_call(api, alice, **{"remote_request_params[to]": "+252660000000"})
    answer = api.post(f"/api/phone_calls/{call['id']}/phone_call_events", {"event": "queue"})
    assert (answer.status, answer.json["status"]) == (201, "queued")
    assert answer.headers["Location"] == f"/api/phone_calls/{call['id']}"
    in_status(api, call, "remotely_queued")
    forms = [form for form in provider.requests if form["To"] == alice["msisdn"]]
    assert forms == [{"To": alice["msisdn"], "From": "1234", "Url": URL}]


def test_an_accepted_phone_call_keeps_what_the_provider_said(api: Client, provider: Provider) -> None:
    call = sent(api)
    remote = provider.calls[call["remote_call_id"]]
    assert (call["remote_status"], call["remote_direction"]) == ("queued", "outbound-api")
    assert call["remote_queue_response"] == {k: v for k, v in remote.items() if v is not None}
    assert call["remote_response"] == {}
    assert call["remote_error_message"] is None
    assert TIME.fullmatch(call["remotely_queued_at"])


def test_a_refused_phone_call_is_errored_with_the_providers_words(api: Client, provider: Provider) -> None:
    alice = participation(api)
    call = phone_call(api, alice, **REFUSED)
    made(api, f"/api/phone_calls/{call['id']}/phone_call_events", {"event": "queue"})
    errored = in_status(api, call, "errored")
    assert errored["remote_error_message"] == f"Unable to create record: {REFUSAL}"
    assert errored["remote_call_id"] is None
    assert TIME.fullmatch(errored["remotely_queued_at"])
    assert sum(form["To"] == alice["msisdn"] for form in provider.requests) == 1


def test_a_phone_call_once_sent_is_never_sent_again(api: Client, provider: Provider) -> None:
    accepted = sent(api)
    refused = phone_call(api, **REFUSED)
    made(api, f"/api/phone_calls/{refused['id']}/phone_call_events", {"event": "queue"})
    in_status(api, refused, "errored")
    for call in (accepted, refused):
        answer = api.post(f"/api/phone_calls/{call['id']}/phone_call_events", {"event": "queue"})
        assert (answer.status, answer.json) == (422, NOT_AN_EVENT)
    assert provider.rung(accepted["msisdn"]) == 1


def test_another_phone_call_can_be_made_instead(api: Client, provider: Provider) -> None:
    alice = participation(api)
    refused = phone_call(api, alice, **REFUSED)
    made(api, f"/api/phone_calls/{refused['id']}/phone_call_events", {"event": "queue"})
    in_status(api, refused, "errored")
    sent(api, phone_call(api, alice))
    assert provider.rung(alice["msisdn"]) == 1


def test_many_who_queue_a_phone_call_at_once_ring_once(api: Client, provider: Provider) -> None:
    call = phone_call(api)
    path = f"/api/phone_calls/{call['id']}/phone_call_events"
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: api.post(path, {"event": "queue"}).status, range(6)))
    assert sorted(answers) == [201, 422, 422, 422, 422, 422]
    in_status(api, call, "remotely_queued")
    assert provider.rung(call["msisdn"]) == 1


@pytest.mark.parametrize("event", ["queue_remote_fetch", "complete", ""])
def test_a_created_phone_call_can_only_be_queued(api: Client, event: str) -> None:
    call = phone_call(api)
    answer = api.post(f"/api/phone_calls/{call['id']}/phone_call_events", {"event": event})
    assert (answer.status, answer.json) == (422, NOT_AN_EVENT)
    assert api.get(f"/api/phone_calls/{call['id']}").json == call


@pytest.mark.parametrize(
    ("remote_status", "status"),
    [
        ("ringing", "in_progress"),
        ("in-progress", "in_progress"),
        ("busy", "busy"),
        ("failed", "failed"),
        ("no-answer", "not_answered"),
        ("canceled", "canceled"),
        ("completed", "completed"),
        ("queued", "remotely_queued"),
        ("initiated", "remotely_queued"),
    ],
)
def test_a_fetch_moves_the_phone_call_on(api: Client, provider: Provider, remote_status: str, status: str) -> None:
    call = fetched(api, provider, remote_status, status)
    assert call["remote_status"] == remote_status
    assert call["remote_response"] == {**dict_of(call["remote_queue_response"]), "status": remote_status}
    assert dict_of(call["remote_queue_response"])["status"] == "queued"


def test_a_call_in_progress_can_be_fetched_again(api: Client, provider: Provider) -> None:
    call = fetched(api, provider, "in-progress", "in_progress")
    provider.statuses[str(call["remote_call_id"])] = "completed"
    made(api, f"/api/phone_calls/{call['id']}/phone_call_events", {"event": "queue_remote_fetch"})
    in_status(api, call, "completed")


def test_a_call_whose_outcome_is_final_cannot_be_fetched(api: Client, provider: Provider) -> None:
    call = fetched(api, provider, "completed", "completed")
    path = f"/api/phone_calls/{call['id']}/phone_call_events"
    answer = api.post(path, {"event": "queue_remote_fetch"})
    assert (answer.status, answer.json) == (422, NOT_AN_EVENT)


def test_a_fetch_that_fails_says_so_and_leaves_the_status(api: Client, provider: Provider) -> None:
    call = sent(api)
    provider.forget(call["remote_call_id"])
    made(api, f"/api/phone_calls/{call['id']}/phone_call_events", {"event": "queue_remote_fetch"})
    found = in_status(api, call, "remotely_queued")
    assert "was not found" in found["remote_error_message"]
    assert found["remote_call_id"] == call["remote_call_id"]


def test_a_phone_call_shows_its_own_call_flow_or_inherits_it(api: Client) -> None:
    flood = callout(api, call_flow_logic=FLOW)
    plain, special = participation(api, flood), participation(api, flood, call_flow_logic=LONG_FLOW)
    calls = [
        phone_call(api, plain),
        phone_call(api, special),
        phone_call(api, special, call_flow_logic=FLOW),
        phone_call(api),
    ]
    shown = [FLOW, LONG_FLOW, FLOW, None]
    assert [call["call_flow_logic"] for call in calls] == shown
    assert [call["call_flow_logic"] for call in api.get("/api/phone_calls").json] == shown
    assert listed(api, f"/api/phone_calls?q[call_flow_logic]={FLOW}") == ids(calls[2])


def test_the_call_flow_must_be_registered(api: Client) -> None:
    answer = api.patch(f"/api/phone_calls/{phone_call(api)['id']}", {"call_flow_logic": "CallFlowLogic::Unheard"})
    assert (answer.status, answer.json) == (
        422,
        {"errors": {"call_flow_logic": ["is not included in the list"]}},
    )


def test_phone_calls_are_filtered(api: Client) -> None:
    waiting, done = phone_call(api), sent(api)
    path = "/api/phone_calls"
    assert listed(api, f"{path}?q[status]=created") == ids(waiting)
    assert listed(api, f"{path}?q[status]=created,remotely_queued") == ids(waiting, done)
    assert listed(api, f"{path}?q[remote_call_id]={done['remote_call_id']}") == ids(done)
    assert listed(api, f"{path}?q[remote_status]=queued&q[remote_direction]=outbound-api") == ids(done)
    assert listed(api, f"{path}?q[msisdn]={waiting['msisdn'][1:]}") == ids(waiting)
    assert listed(api, f"{path}?q[remote_request_params][from]=1234") == ids(waiting, done)
    assert listed(api, f"{path}?q[remote_queue_response][price]=0") == ids(done)
    assert listed(api, f"{path}?q[remotely_queued_at_or_after]={done['remotely_queued_at']}") == ids(done)
    assert listed(api, f"{path}?q[remotely_queued_at_after]={done['remotely_queued_at']}") == []


def test_a_sent_phone_call_is_listed_under_its_callout_and_contact(api: Client) -> None:
    flood, alice = callout(api), contact(api)
    call = phone_call(api, participation(api, flood, alice))
    assert listed(api, f"/api/callouts/{flood['id']}/phone_calls?q[status]=created") == ids(call)
    assert listed(api, f"/api/contacts/{alice['id']}/phone_calls?q[status]=completed") == []
    assert listed(api, f"/api/phone_calls/{call['id']}/remote_phone_call_events") == []


def test_another_account_can_neither_see_nor_queue_a_phone_call(
    api: Client, stranger: Client, provider: Provider
) -> None:
    call = phone_call(api)
    path = f"/api/phone_calls/{call['id']}"
    assert listed(stranger, "/api/phone_calls") == []
    assert stranger.get(path).status == 404
    assert stranger.patch(path, PARAMS).status == 404
    assert stranger.delete(path).status == 404
    assert stranger.post(f"{path}/phone_call_events", {"event": "queue"}).status == 404
    assert api.get(path).json == call


def dict_of(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value
