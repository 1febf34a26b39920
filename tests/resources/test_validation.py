"""What is refused, with every message at once, and what is ignored."""

from __future__ import annotations

from typing import Any

import pytest

from tests.resources.conftest import FLOWS, make
from tests.server import Client, Server

ALICE, BOB = "+252662345678", "+252662345679"
FLOW = FLOWS.split(",")[0]
PARAMS = {"from": "1234"}
BLANK, INVALID, TAKEN = "can't be blank", "is an invalid number", "has already been taken"
NOT_IN_LIST, MUST_EXIST, NO_NUMBER = "is not included in the list", "must exist", "is not a number"
TOO_LARGE = "has a number that is too large to store"
POPULATION, CREATE, QUEUE, FETCH = (
    f"BatchOperation::{name}"
    for name in ("CalloutPopulation", "PhoneCallCreate", "PhoneCallQueue", "PhoneCallQueueRemoteFetch")
)


class Place:
    """An account with one of everything, which no test changes. Paths name them: ``{callout}``."""

    def __init__(self, server: Server) -> None:
        api = self.api = server.new_account()
        self.ids: dict[str, Any] = {"stranger": make(server.new_account(), "/api/contacts", msisdn=ALICE)}
        self.ids["contact"] = make(api, "/api/contacts", msisdn=ALICE, metadata={"name": "Alice"})
        self.ids["other"] = make(api, "/api/contacts", msisdn=BOB)
        self.ids["callout"] = make(api, "/api/callouts")
        part = f"/api/callouts/{self.ids['callout']}/callout_participations"
        self.ids["participation"] = make(api, part, contact_id=self.ids["contact"])
        calls = f"/api/callout_participations/{self.ids['participation']}/phone_calls"
        self.ids["call"] = make(api, calls, remote_request_params=PARAMS)
        operation = {"type": CREATE, "parameters": {"remote_request_params": PARAMS}}
        self.ids["operation"] = make(api, "/api/batch_operations", **operation)

    def send(self, request: str, given: Any) -> Any:
        verb, path = request.format(**self.ids).split()
        given = {
            name: self.ids.get(value, value) if isinstance(value, str) else value for name, value in given.items()
        }
        return self.api.server.request(verb, path, json=given, token=self.api.token)


@pytest.fixture(scope="module")
def place(server: Server) -> Place:
    return Place(server)


CONTACTS, CONTACT = "POST /api/contacts", "PATCH /api/contacts/{contact}"
CALLOUTS, CALLOUT = "POST /api/callouts", "PATCH /api/callouts/{callout}"
PARTICIPATIONS = "POST /api/callouts/{callout}/callout_participations"
PARTICIPATION = "PATCH /api/callout_participations/{participation}"
CALLS, CALL = "POST /api/callout_participations/{participation}/phone_calls", "PATCH /api/phone_calls/{call}"
OPERATIONS, OPERATION = "POST /api/batch_operations", "PATCH /api/batch_operations/{operation}"
POPULATIONS = "POST /api/callouts/{callout}/batch_operations"

REFUSED: list[tuple[str, dict[str, Any], dict[str, list[str]]]] = [
    *[(CONTACTS, {"msisdn": value}, {"msisdn": [BLANK]}) for value in (None, "", " ", "+", "abc", True, [1], {})],
    *[
        (CONTACTS, {"msisdn": value}, {"msisdn": [INVALID]})
        for value in ("345", 5, 2.5, "252123456", "+25266234567812345")
    ],
    (CONTACTS, {}, {"msisdn": [BLANK]}),
    (CONTACTS, {"msisdn": "252 66-(2)-345-678"}, {"msisdn": [TAKEN]}),
    (CONTACTS, {"msisdn": "3", "metadata": {"n": 2**63}}, {"msisdn": [INVALID], "metadata": [TOO_LARGE]}),
    (CONTACT, {"msisdn": None}, {"msisdn": [BLANK]}),
    (CONTACT, {"msisdn": ""}, {"msisdn": [BLANK]}),
    (CONTACT, {"msisdn": BOB}, {"msisdn": [TAKEN]}),
    (CONTACT, {"msisdn": "345", "metadata": {"n": -(2**63) - 1}}, {"msisdn": [INVALID], "metadata": [TOO_LARGE]}),
    *[(CALLOUTS, {"call_flow_logic": value}, {"call_flow_logic": [NOT_IN_LIST]}) for value in ("", "Nope", 5, True)],
    *[(CALLOUT, {"call_flow_logic": value}, {"call_flow_logic": [NOT_IN_LIST]}) for value in ("", FLOW.lower())],
    *[
        (PARTICIPATIONS, {"contact_id": value}, {"contact": [MUST_EXIST]})
        for value in (None, "", "x", 1.5, True, [1])
    ],
    (PARTICIPATIONS, {"contact_id": "stranger"}, {"contact": [MUST_EXIST]}),
    (PARTICIPATIONS, {"contact_id": 999_999_999}, {"contact": [MUST_EXIST]}),
    (PARTICIPATIONS, {"contact_id": "contact"}, {"contact_id": [TAKEN], "msisdn": [TAKEN]}),
    (PARTICIPATIONS, {"contact_id": "contact", "msisdn": BOB}, {"contact_id": [TAKEN]}),
    (PARTICIPATIONS, {"contact_id": "other", "msisdn": ALICE}, {"msisdn": [TAKEN]}),
    (
        PARTICIPATIONS,
        {"msisdn": "345", "call_flow_logic": "Nope"},
        {"contact": [MUST_EXIST], "msisdn": [INVALID], "call_flow_logic": [NOT_IN_LIST]},
    ),
    (PARTICIPATION, {"msisdn": None}, {"msisdn": [BLANK]}),
    (
        PARTICIPATION,
        {"msisdn": "3", "call_flow_logic": ""},
        {"msisdn": [INVALID], "call_flow_logic": [NOT_IN_LIST]},
    ),
    *[(CALLS, {"remote_request_params": value}, {"remote_request_params": [BLANK]}) for value in (None, {}, "", [1])],
    *[
        (CALLS, {"remote_request_params": {name: "1"}}, {"remote_request_params": [NOT_IN_LIST]})
        for name in ("from_", "From", "bogus", "$where", "")
    ],
    (
        CALLS,
        {"msisdn": "3", "call_flow_logic": "Nope"},
        {"msisdn": [INVALID], "call_flow_logic": [NOT_IN_LIST], "remote_request_params": [BLANK]},
    ),
    (CALL, {"remote_request_params": {}}, {"remote_request_params": [BLANK]}),
    (
        CALL,
        {"remote_request_params": {"bogus": 1}, "msisdn": ""},
        {"remote_request_params": [NOT_IN_LIST], "msisdn": [BLANK]},
    ),
    *[
        (OPERATIONS, {"type": value}, {"type": [BLANK]})
        for value in (None, "", "x", "PhoneCallQueue", "BatchOperation::Base", 1, [QUEUE], {"a": QUEUE})
    ],
    (POPULATIONS, {}, {"type": [BLANK]}),
    (OPERATIONS, {"metadata": {"n": 2**64}}, {"type": [BLANK], "metadata": [TOO_LARGE]}),
    *[(OPERATIONS, {"type": POPULATION, "callout_id": value}, {"callout": [MUST_EXIST]}) for value in (None, "x", 0)],
    (OPERATIONS, {"type": CREATE}, {"remote_request_params": [BLANK]}),
    (OPERATIONS, {"type": CREATE, "parameters": {}}, {"remote_request_params": [BLANK]}),
    *[
        (OPERATIONS, {"type": QUEUE, "parameters": {"limit": value}}, {"limit": [NO_NUMBER]})
        for value in ("", "x", -1, "1.5", 1.5, True, [1], {}, "1" * 19, "١")
    ],
    (
        OPERATIONS,
        {
            "type": CREATE,
            "parameters": {
                "remote_request_params": {"bogus": 1},
                "max": "x",
                "max_per_period": "x",
                "max_per_period_hours": "x",
                "max_per_period_timestamp_attribute": "x",
            },
        },
        {
            "remote_request_params": [NOT_IN_LIST],
            "max": [NO_NUMBER],
            "max_per_period": [NO_NUMBER],
            "max_per_period_hours": [NO_NUMBER],
            "max_per_period_timestamp_attribute": [NOT_IN_LIST],
        },
    ),
    (
        OPERATIONS,
        {"type": CREATE, "parameters": {"remote_request_params": PARAMS, "callout_filter_params": {"status": ""}}},
        {"callout_participations_preview": [BLANK]},
    ),
    *[
        (
            OPERATIONS,
            {"type": kind, "parameters": {"phone_call_filter_params": {"status": ""}}},
            {"phone_calls_preview": [BLANK]},
        )
        for kind in (QUEUE, FETCH)
    ],
    (OPERATIONS, {"type": QUEUE, "parameters": {"limit": 0}}, {"phone_calls_preview": [BLANK]}),
    (OPERATION, {"parameters": {"limit": "x"}}, {"limit": [NO_NUMBER], "remote_request_params": [BLANK]}),
]


@pytest.mark.parametrize(("request_", "given", "errors"), REFUSED)
def test_every_field_that_fails_is_named(place: Place, request_: str, given: Any, errors: dict[str, Any]) -> None:
    answer = place.send(request_, given)
    assert (answer.status, answer.json) == (422, {"errors": errors})


@pytest.mark.parametrize("request_", sorted({request for request, _, _ in REFUSED if request.startswith("POST")}))
def test_nothing_that_was_refused_has_been_made(place: Place, request_: str) -> None:
    path = request_.format(**place.ids).split()[1]
    there = {"contacts": 2, "callouts": 1, "callout_participations": 1, "phone_calls": 1, "batch_operations": 1}
    known = 0 if request_ == POPULATIONS else there[path.rpartition("/")[2]]
    assert place.api.get(path).headers["Total"] == str(known)


# Fields that only the server sets, and values that say nothing.
IGNORED: list[tuple[str, dict[str, Any]]] = [
    (CONTACT, {"id": 7, "account_id": 1, "created_at": "2018-01-01", "updated_at": None, "unknown": {"a": 1}}),
    (CONTACT, {"metadata": "text"}),
    (CONTACT, {"metadata": None, "metadata_merge_mode": "replace"}),
    (CONTACT, {"metadata": [], "metadata_merge_mode": "replace"}),
    (CONTACT, {"metadata": 5}),
    (CONTACT, {"msisdn": {"a": 1}}),
    (CONTACT, {"_id": 7, "_version": 7, "_deleting": True, "$set": {"msisdn": BOB}}),
    (CALLOUT, {"status": "running", "account_id": 1, "call_flow_logic": None}),
    (CALLOUT, {"call_flow_logic": ["x"]}),
    (PARTICIPATION, {"contact_id": 1, "callout_id": 1, "callout_population_id": 1}),
    (CALL, {"status": "completed", "contact_id": 1, "remote_call_id": "CA1", "remote_response": {"a": 1}}),
    (CALL, {"remote_request_params": None}),
    (CALL, {"remote_request_params": "x", "remote_queue_response": {"a": 1}, "remotely_queued_at": "2018-01-01"}),
    (CALL, {"create_batch_operation_id": 1, "queue_batch_operation_id": 1, "callout_participation_id": 1}),
    (OPERATION, {"type": QUEUE, "status": "finished", "callout_id": 1}),
    (OPERATION, {"metadata": "x"}),
]


@pytest.mark.parametrize(("request_", "given"), IGNORED)
def test_what_a_client_may_not_set_is_ignored(place: Place, request_: str, given: Any) -> None:
    path = request_.format(**place.ids).split()[1]
    before = place.api.get(path).json
    assert place.send(request_, given).status == 204
    assert place.api.get(path).json == before


def test_an_update_that_changes_nothing_is_no_update(api: Client) -> None:
    path = f"/api/contacts/{make(api, '/api/contacts', msisdn=ALICE, metadata={'a': 1})}"
    before = api.get(path).json
    assert api.patch(path, json={"msisdn": "252662345678", "metadata": {"a": 1}}).status == 204
    assert api.get(path).json == before
    assert api.patch(path, json={"metadata": {"a": True}}).status == 204
    assert api.get(path).json["metadata"] == {"a": True}


NAMES = ["$where", "$", "a.b", ".", "", "\0", "%", "%2E", "_id", "__proto__", "é", "a b", "[]", "\n"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_given_back_exactly_and_can_be_found(api: Client, name: str) -> None:
    metadata = {name: {name: "deep"}, "top": 1}
    number = make(api, "/api/callouts", metadata=metadata)
    assert api.get(f"/api/callouts/{number}").json["metadata"] == metadata
    merged = {"metadata": {name: {"more": None}}, "metadata_merge_mode": "deep_merge"}
    assert api.patch(f"/api/callouts/{number}", json=merged).status == 204
    assert api.get(f"/api/callouts/{number}").json["metadata"] == {**metadata, name: {name: "deep", "more": None}}
    for value, found in (("deep", 1), ("other", 0)):
        answer = api.get("/api/callouts", json={"q": {"metadata": {name: {name: value}}}})
        assert answer.headers["Total"] == str(found)


@pytest.mark.parametrize(
    "value", [0, -1, 2**63 - 1, -(2**63), 1.5, 1e300, -0.0, True, None, "", [], {}, [[1, {}], None]]
)
def test_json_values_keep_their_types(api: Client, value: Any) -> None:
    number = make(api, "/api/callouts", metadata={"value": value})
    found = api.get(f"/api/callouts/{number}").json["metadata"]["value"]
    assert repr(found) == repr(value)


def test_form_values_stay_strings(api: Client) -> None:
    answer = api.post("/api/callouts", {"metadata[n]": "5", "metadata[b]": "true", "metadata[l][]": "1"})
    assert answer.json["metadata"] == {"n": "5", "b": "true", "l": ["1"]}


@pytest.mark.parametrize("mode", ["merge", "deep_merge"])
def test_metadata_cannot_be_merged_beyond_a_bound(api: Client, mode: str) -> None:
    path = f"/api/callouts/{make(api, '/api/callouts')}"
    statuses = []
    for part in range(14):
        metadata = {f"{part}-{number}": "x" * 30_000 for number in range(3)}
        statuses.append(api.patch(path, json={"metadata": metadata, "metadata_merge_mode": mode}).status)
    assert statuses == [204] * 11 + [422] * 3
    refused = api.patch(path, json={"metadata": {"last": "x" * 65_000}, "metadata_merge_mode": mode})
    assert refused.json == {"errors": {"metadata": ["is too long (maximum is 1048576 bytes)"]}}
    assert api.patch(path, json={"metadata": {}, "metadata_merge_mode": "replace"}).status == 204


BODIES = [(b"", True), (b"null", True), (b"[]", True), (b"5", True), (b'"x"', True), (b"{}", True), (b" ", False)]


@pytest.mark.parametrize(("body", "read"), BODIES)
def test_a_json_body_that_is_no_object_says_nothing(api: Client, body: bytes, read: bool) -> None:
    answer = api.post("/api/callouts?metadata[a]=1", body=body, headers={"Content-Type": "application/json"})
    assert answer.status == (201 if read else 400)
    assert not read or answer.json["metadata"] == {"a": "1"}


@pytest.mark.parametrize("kind", ["text/plain", "text/xml", "application/octet-stream", "nonsense"])
def test_a_body_of_an_unknown_type_says_nothing(api: Client, kind: str) -> None:
    answer = api.post("/api/callouts", body=b"metadata[a]=1", headers={"Content-Type": kind})
    assert (answer.status, answer.json["metadata"]) == (201, {})


def test_a_query_wins_over_the_body_name_by_name(api: Client) -> None:
    given = {"msisdn": BOB, "metadata": {"a": 1, "b": 2}}
    made = api.post(f"/api/contacts?msisdn={ALICE.replace('+', '%2B')}&metadata[a]=3", json=given)
    assert (made.json["msisdn"], made.json["metadata"]) == (ALICE, {"a": "3"})


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_the_mode_and_the_metadata_does_not_matter(api: Client, order: int) -> None:
    path = f"/api/callouts/{make(api, '/api/callouts', metadata={'a': 1})}"
    form = [("metadata[b]", "2"), ("metadata_merge_mode", "replace")][::order]
    assert api.patch(path, form).status == 204
    assert api.get(path).json["metadata"] == {"b": "2"}


@pytest.mark.parametrize("mode", [None, "", "nonsense", "REPLACE", ["replace"], {"a": "replace"}, 5])
def test_an_unknown_mode_means_merge(api: Client, mode: Any) -> None:
    path = f"/api/callouts/{make(api, '/api/callouts', metadata={'a': {'b': 1}, 'c': 1})}"
    assert api.patch(path, json={"metadata": {"a": {"d": 2}}, "metadata_merge_mode": mode}).status == 204
    assert api.get(path).json["metadata"] == {"a": {"d": 2}, "c": 1}
