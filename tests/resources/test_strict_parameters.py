"""What a batch operation does not understand in its parameters is refused, with its place, and rings nobody."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_plus

import pytest

from scfm.clock import now
from scfm.models.batch_operations.parameters import MISPLACED
from tests.resources.conftest import Documents, make
from tests.resources.refused_parameters import (
    BODIES,
    CALLOUT_STATUSES,
    CREATE,
    FETCH,
    FORMS,
    OWN,
    PARAMS,
    POPULATION,
    QUEUE,
)
from tests.server import Client, wait_until


class Village:
    """Three contacts in a running callout, each with a phone call."""

    def __init__(self, api: Client) -> None:
        self.api = api
        self.callout = make(api, "/api/callouts")
        for number in range(3):
            contact = make(api, "/api/contacts", msisdn=f"+25266234567{number}")
            part = make(api, f"/api/callouts/{self.callout}/callout_participations", contact_id=contact)
            make(api, f"/api/callout_participations/{part}/phone_calls", **PARAMS)
        self.operations = {
            kind: make(api, self.path(kind), type=kind, parameters=PARAMS if kind == CREATE else {})
            for kind in (POPULATION, CREATE, QUEUE, FETCH)
        }

    def path(self, kind: str) -> str:
        """Where an operation of that type is created."""
        if kind == POPULATION:
            return f"/api/callouts/{self.callout}/batch_operations"
        return "/api/batch_operations"

    def total(self, path: str) -> int:
        return int(self.api.get(path).headers["Total"])


@pytest.fixture(scope="module")
def village(server: Any) -> Village:
    return Village(server.new_account())


def refused(village: Village, kind: str, **body: Any) -> list[Any]:
    """The errors with which an operation is neither created nor changed."""
    before = village.total("/api/batch_operations")
    created = village.api.post(village.path(kind), **body)
    assert created.status == 422, created
    assert village.total("/api/batch_operations") == before
    path = f"/api/batch_operations/{village.operations[kind]}"
    stored = village.api.get(path).json
    updated = village.api.patch(path, **body)
    assert (updated.status, updated.json) == (422, created.json)
    assert village.api.get(path).json == stored
    return [created.json["errors"]]


@pytest.mark.parametrize(("kind", "written", "sentence"), FORMS)
def test_a_form_that_is_not_understood_is_refused(village: Village, kind: str, written: str, sentence: str) -> None:
    fields = [f"type={quote_plus(kind)}", f"parameters{written}"]
    if kind == CREATE:
        fields.append("parameters[remote_request_params][from]=1234")
    body = "&".join(fields).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    (errors,) = refused(village, kind, body=body, headers=headers)
    assert list(errors) == ["parameters"]
    (error,) = errors["parameters"]
    assert error == sentence or error.endswith(f": {sentence}")


@pytest.mark.parametrize(("kind", "parameters", "sentence"), BODIES)
def test_a_json_body_that_is_not_understood_is_refused(
    village: Village, kind: str, parameters: Any, sentence: str
) -> None:
    if kind == CREATE:
        parameters = {**PARAMS, **parameters}
    (errors,) = refused(village, kind, json={"type": kind, "parameters": parameters})
    assert list(errors) == ["parameters"]
    (error,) = errors["parameters"]
    assert error.endswith(sentence)


@pytest.mark.parametrize(("parameters", "errors"), OWN)
@pytest.mark.parametrize("kind", [CREATE, QUEUE])
def test_a_limit_that_is_none_is_refused_under_its_own_name(
    village: Village, kind: str, parameters: Any, errors: Any
) -> None:
    given = {**parameters, **(PARAMS if kind == CREATE else {})}
    assert refused(village, kind, json={"type": kind, "parameters": given}) == [errors]


def test_everything_that_is_wrong_is_said_at_once(village: Village) -> None:
    parameters = {
        "limits": 1,
        "limit": "x",
        "remote_request_params": {"colour": "red"},
        "callout_filter_params": {"status": "quued", "colour": "red"},
        "callout_participation_filter_params": {"has_phone_calls": "maybe"},
    }
    answer = village.api.post("/api/batch_operations", json={"type": CREATE, "parameters": parameters})
    assert answer.status == 422
    assert answer.json["errors"].keys() == {"parameters", "limit", "remote_request_params"}
    assert sorted(answer.json["errors"]["parameters"]) == [
        "/callout_filter_params/colour: is not a filter of callouts",
        f'/callout_filter_params/status: "quued" is not a status of callouts {CALLOUT_STATUSES}',
        "/callout_participation_filter_params/has_phone_calls: must be true or false",
        f"/limits: is not a parameter of {CREATE}",
    ]


def test_what_the_type_has_is_understood(village: Village) -> None:
    api, contacts = village.api, village.api.get("/api/contacts").json
    ids = [one["id"] for one in contacts]
    for wanted, found in (
        ({"id": ids[0]}, ids[:1]),
        ({"id": f"{ids[0]} ,{ids[2]}"}, [ids[0], ids[2]]),
        ({"id": [ids[1], str(ids[2])]}, ids[1:]),
        ({"id": ""}, []),
        ({"msisdn": 252662345670}, ids[:1]),
        ({"metadata": {"village": None}}, ids),
        ({"created_at_after": "2018-05-19", "updated_at_before": " 9999-12-31T00:00:00Z"}, ids),
        ({}, ids),
    ):
        parameters = {"contact_filter_params": wanted}
        number = make(api, village.path(POPULATION), type=POPULATION, parameters=parameters)
        preview = api.get(f"/api/batch_operations/{number}/preview/contacts").json
        assert [one["id"] for one in preview] == found
    for kind in (QUEUE, FETCH):
        parameters = {"callout_filter_params": {"id": village.callout}, "skip_validate_preview_presence": "true"}
        number = make(api, "/api/batch_operations", type=kind, parameters=parameters)
        assert village.total(f"/api/batch_operations/{number}/preview/phone_calls") == 3
    parameters = {"callout_filter_params": {"id": 99999}, "skip_validate_preview_presence": True}
    number = make(api, "/api/batch_operations", type=QUEUE, parameters=parameters)
    assert village.total(f"/api/batch_operations/{number}/preview/phone_calls") == 0


def test_numbers_are_read_by_the_country_of_the_account(server: Any) -> None:
    api = server.new_account(default_country="KH")
    numbers = [make(api, "/api/contacts", msisdn=f"01234567{n}") for n in range(2)]
    path = f"/api/callouts/{make(api, '/api/callouts')}/batch_operations"
    parameters = {"contact_filter_params": {"msisdn": "012 345 671"}}
    operation = make(api, path, type=POPULATION, parameters=parameters)
    preview = f"/api/batch_operations/{operation}/preview/contacts"
    assert [one["id"] for one in api.get(preview).json] == numbers[1:]
    # Without the country it is no number: as nobody knows what it meant, it takes nobody.
    assert api.patch("/api/account", {"default_country": ""}).status == 204
    error = '/contact_filter_params/msisdn: "012 345 671" is not a phone number'
    for answer in (api.get(preview), api.post(path, json={"type": POPULATION, "parameters": parameters})):
        assert (answer.status, answer.json) == (422, {"errors": {"parameters": [error]}})


# Operations that an older version has stored.


def stored(database: Documents, village: Village, kind: str, **fields: Any) -> str:
    """The path of an operation of which an older version understood only a part."""
    number = make(village.api, village.path(kind), type=kind, parameters=PARAMS if kind == CREATE else {})
    parameters = {**(PARAMS if kind == CREATE else {}), "limits": "1"}
    database["batch_operations"].update_one({"_id": number}, {"$set": {"parameters": parameters, **fields}})
    return f"/api/batch_operations/{number}"


@pytest.mark.parametrize("kind", [POPULATION, CREATE, QUEUE, FETCH])
def test_a_stored_operation_that_is_not_understood_does_nothing(
    village: Village, database: Documents, kind: str
) -> None:
    errors = {"errors": {"parameters": [f"/limits: is not a parameter of {kind}"]}}
    preview = {POPULATION: "contacts", CREATE: "callout_participations"}.get(kind, "phone_calls")
    for status, event in (("preview", "queue"), ("finished", "requeue")):
        path = stored(database, village, kind, status=status)
        answer = village.api.post(f"{path}/batch_operation_events", {"event": event})
        assert (answer.status, answer.json) == (422, errors)
        shown = village.api.get(f"{path}/preview/{preview}")
        assert (shown.status, shown.json) == (422, errors)
        assert village.api.get(path).json["status"] == status
        # It can be read, renamed and put right.
        assert village.api.patch(path, {"metadata[name]": "old"}).status == 204
        right = PARAMS if kind == CREATE else {"skip_validate_preview_presence": True}
        assert village.api.patch(path, json={"parameters": right}).status == 204
        assert village.api.get(f"{path}/preview/{preview}").status == 200


@pytest.mark.parametrize("kind", [POPULATION, CREATE, QUEUE, FETCH])
def test_a_queued_run_that_is_not_understood_is_set_aside(village: Village, database: Documents, kind: str) -> None:
    before = {name: village.total(f"/api/{name}") for name in ("callout_participations", "phone_calls")}
    waiting = {"status": "queued", "_work": {"due": now()}}
    path = stored(database, village, kind, **waiting)
    wait_until(lambda: village.api.get(path).json["status"] == "finished")
    failure = f"parameters /limits: is not a parameter of {kind}"
    assert village.api.get(path).json["metadata"] == {"failure": failure}
    assert {name: village.total(f"/api/{name}") for name in before} == before
    assert village.total("/api/phone_calls?q[status]=created") == before["phone_calls"]


@pytest.mark.parametrize(
    "name",
    [
        "paramaters[contact_filter_params][metadata][village]",
        "prameters[contact_filter_params][metadata][village]",
        "parameter[contact_filter_params][metadata][village]",
        "Parameters[contact_filter_params][metadata][village]",
        "parameters [contact_filter_params][metadata][village]",
        "parameters.contact_filter_params.metadata.village",
        "parameters%5Bcontact_filter_params%5D[village]",
        "contact_filter_params[metadata][village]",
        "contact-filter-params[metadata][village]",
        "filters[village]",
        "q[metadata][village]",
        "limit",
        "limits",
        "max",
        "max_per_periods",
    ],
)
def test_what_is_meant_for_the_parameters_and_stands_beside_them_is_refused(api: Client, name: str) -> None:
    path = f"/api/callouts/{make(api, '/api/callouts')}/batch_operations"
    outer = name.partition("[")[0]
    refused = api.post(path, {"type": POPULATION, name: "1"})
    assert refused.status == 422
    assert refused.json["errors"] == {"parameters": [f'"{outer}" {MISPLACED}']}
    assert api.get(path).json == []
    operation = api.post(path, {"type": POPULATION}).json["id"]
    refused = api.patch(f"/api/batch_operations/{operation}", {name: "1", "metadata[a]": "b"})
    assert (refused.status, refused.json["errors"]) == (422, {"parameters": [f'"{outer}" {MISPLACED}']})
    assert api.get(f"/api/batch_operations/{operation}").json["metadata"] == {}


def test_other_unknown_fields_of_an_operation_are_ignored(api: Client) -> None:
    path = f"/api/callouts/{make(api, '/api/callouts')}/batch_operations"
    ignored = {"id": "7", "status": "finished", "account_id": "9", "created_at": "2018-05-19", "foo[bar]": "1"}
    made = api.post(path, {"type": POPULATION, "metadata[filter]": "x", "metadata_merge_mode": "merge", **ignored})
    assert made.status == 201
    assert api.patch(f"/api/batch_operations/{made.json['id']}", ignored).status == 204
