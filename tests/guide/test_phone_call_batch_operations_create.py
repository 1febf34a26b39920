"""The guide's chapter "Phone Call Batch Operations (Create)"."""

from __future__ import annotations

import pytest

from tests.guide.provider import Provider
from tests.guide.scenes import (
    FLOW,
    NESTED_PARAMS,
    URL,
    callout,
    contact,
    ids,
    listed,
    operation,
    participation,
    phone_call,
    run,
    running_callout,
)
from tests.server import Client

TYPE = {"type": "BatchOperation::PhoneCallCreate"}
RUNNING = {"parameters[callout_filter_params][status]": "running"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "can't be blank"),
        (RUNNING, "can't be blank"),
        (
            {**NESTED_PARAMS, "parameters[remote_request_params][colour]": "red"},
            "is not included in the list",
        ),
    ],
)
def test_it_must_be_able_to_create_phone_calls(api: Client, parameters: dict[str, str], message: str) -> None:
    participation(api, running_callout(api))
    answer = api.post("/api/batch_operations", {**TYPE, **parameters})
    assert (answer.status, answer.json) == (422, {"errors": {"remote_request_params": [message]}})


def test_an_update_must_give_the_remote_request_params_again(api: Client) -> None:
    participation(api, running_callout(api))
    path = f"/api/batch_operations/{operation(api, 'PhoneCallCreate', NESTED_PARAMS)['id']}"
    answer = api.patch(path, RUNNING)
    assert (answer.status, answer.json) == (422, {"errors": {"remote_request_params": ["can't be blank"]}})
    assert api.patch(path, {**NESTED_PARAMS, **RUNNING}).status == 204
    assert api.get(path).json["parameters"] == {
        "remote_request_params": {"from": "1234", "url": URL},
        "callout_filter_params": {"status": "running"},
    }


def test_it_must_find_a_participation(api: Client) -> None:
    participation(api)
    answer = api.post("/api/batch_operations", {**TYPE, **NESTED_PARAMS, **RUNNING})
    blank = {"callout_participations_preview": ["can't be blank"]}
    assert (answer.status, answer.json) == (422, {"errors": blank})


def test_it_need_not_find_a_participation_if_told_so(api: Client) -> None:
    skip = {"skip_validate_preview_presence": "true"}
    assert api.post("/api/batch_operations", {**TYPE, **NESTED_PARAMS, **skip}).status == 201


def test_the_preview_shows_who_would_be_called(api: Client, stranger: Client) -> None:
    first, second = participation(api), participation(api, running_callout(api))
    participation(stranger)
    path = f"/api/batch_operations/{operation(api, 'PhoneCallCreate', NESTED_PARAMS)['id']}"
    assert listed(api, f"{path}/preview/callout_participations") == ids(first, second)
    assert listed(api, f"{path}/preview/contacts") == [first["contact_id"], second["contact_id"]]
    api.patch(path, {**NESTED_PARAMS, **RUNNING})
    assert listed(api, f"{path}/preview/callout_participations") == ids(second)
    assert listed(api, f"{path}/preview/contacts") == [second["contact_id"]]
    assert api.get(f"{path}/preview/phone_calls").status == 404


def test_participations_can_be_filtered_too(api: Client) -> None:
    flood = running_callout(api)
    _, wanted = participation(api, flood), participation(api, flood)
    only = {"parameters[callout_participation_filter_params][contact_id]": str(wanted["contact_id"])}
    creation = operation(api, "PhoneCallCreate", {**NESTED_PARAMS, **RUNNING, **only})
    path = f"/api/batch_operations/{creation['id']}"
    assert listed(api, f"{path}/preview/callout_participations") == ids(wanted)


def test_only_those_who_were_not_called_can_be_taken(api: Client) -> None:
    flood = running_callout(api)
    called, uncalled = participation(api, flood), participation(api, flood)
    phone_call(api, called)
    only = {"parameters[callout_participation_filter_params][has_phone_calls]": "false"}
    creation = operation(api, "PhoneCallCreate", {**NESTED_PARAMS, **only})
    run(api, creation)
    (call,) = api.get(f"/api/batch_operations/{creation['id']}/phone_calls").json
    assert call["callout_participation_id"] == uncalled["id"]


def test_a_run_creates_a_phone_call_for_each_and_rings_nobody(api: Client, provider: Provider) -> None:
    flood = running_callout(api, call_flow_logic=FLOW)
    people = [participation(api, flood) for _ in range(3)]
    participation(api)
    creation = operation(api, "PhoneCallCreate", {**NESTED_PARAMS, **RUNNING})
    run(api, creation)
    path = f"/api/batch_operations/{creation['id']}"
    calls = api.get(f"{path}/phone_calls").json
    assert [call["callout_participation_id"] for call in calls] == ids(*people)
    for call, person in zip(calls, people, strict=True):
        assert (call["contact_id"], call["msisdn"]) == (person["contact_id"], person["msisdn"])
        assert call["status"] == "created"
        assert call["create_batch_operation_id"] == creation["id"]
        assert call["remote_request_params"] == {"from": "1234", "url": URL}
        assert call["call_flow_logic"] == FLOW
        assert provider.rung(call["msisdn"]) == 0
    assert listed(api, f"{path}/callout_participations") == ids(*people)
    assert listed(api, f"{path}/contacts") == [person["contact_id"] for person in people]


def test_a_limit_holds_for_the_preview_and_the_run(api: Client) -> None:
    flood = callout(api)
    people = [participation(api, flood) for _ in range(3)]
    creation = operation(api, "PhoneCallCreate", {**NESTED_PARAMS, "parameters[limit]": "2"})
    path = f"/api/batch_operations/{creation['id']}"
    preview = api.get(f"{path}/preview/callout_participations")
    assert (ids(*preview.json), preview.headers["Total"]) == (ids(*people[:2]), "2")
    run(api, creation)
    assert len(listed(api, f"{path}/phone_calls")) == 2


def test_a_requeue_creates_what_is_new_and_nothing_twice(api: Client) -> None:
    flood = callout(api)
    participation(api, flood)
    creation = operation(api, "PhoneCallCreate", NESTED_PARAMS)
    path = f"/api/batch_operations/{creation['id']}/phone_calls"
    run(api, creation)
    first = listed(api, path)
    run(api, creation, "requeue")
    assert listed(api, path) == first
    participation(api, flood)
    run(api, creation, "requeue")
    assert len(listed(api, path)) == 2


def test_many_participations_get_a_phone_call_each(api: Client) -> None:
    flood = callout(api)
    people = [participation(api, flood, contact(api)) for _ in range(30)]
    creation = operation(api, "PhoneCallCreate", NESTED_PARAMS)
    run(api, creation)
    answer = api.get(f"/api/batch_operations/{creation['id']}/phone_calls?per_page=100")
    assert [call["callout_participation_id"] for call in answer.json] == ids(*people)


def test_an_operation_with_phone_calls_cannot_be_deleted(api: Client) -> None:
    participation(api)
    creation = operation(api, "PhoneCallCreate", NESTED_PARAMS)
    run(api, creation)
    answer = api.delete(f"/api/batch_operations/{creation['id']}")
    message = "Cannot delete record because dependent phone calls exist"
    assert (answer.status, answer.json) == (422, {"errors": {"base": [message]}})
