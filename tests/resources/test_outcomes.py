"""Outcomes of people: shown at the end of a participation, found by filters, and kept whatever is done by hand."""

from __future__ import annotations

from typing import Any

from tests.resources.conftest import Documents, make
from tests.server import Client, wait_until

FIRST, SECOND = "+252662345678", "+252662345679"
PARAMS = {"from": "345", "url": "http://127.0.0.1:9/"}
NEW = {
    "outcome": "pending",
    "outcome_reason": None,
    "attempts": 0,
    "next_attempt_at": None,
    "last_attempt_at": None,
    "answers": {},
}


def person(api: Client, callout_id: int, number: str = FIRST) -> tuple[int, int]:
    """A new contact, and its participation in the callout; their ids."""
    contact = make(api, "/api/contacts", msisdn=number)
    return contact, make(api, f"/api/callouts/{callout_id}/callout_participations", contact_id=contact)


def new_call(api: Client, participation: int) -> int:
    return make(api, f"/api/callout_participations/{participation}/phone_calls", remote_request_params=PARAMS)


def becomes(api: Client, participation: int, *expected: Any) -> dict[str, Any]:
    """Wait until the participation has this outcome, reason and number of attempts; it, as it is shown then."""

    def shown() -> dict[str, Any] | None:
        found: dict[str, Any] = api.get(f"/api/callout_participations/{participation}").json
        return found if [found[name] for name in list(NEW)[: len(expected)]] == [*expected] else None

    return dict(wait_until(shown))


def found_by(api: Client, query: str) -> list[int]:
    listed = api.get(f"/api/callout_participations?{query}")
    ids = [one["id"] for one in listed.json]
    assert listed.headers["Total"] == str(len(ids))
    return ids


def calls_in(api: Client, callout_id: int) -> dict[str, int]:
    """The calls of a callout, as its statistics count them: those that there are any of."""
    calls = api.get(f"/api/callouts/{callout_id}/statistics").json["calls"]
    return {status: count for status, count in calls.items() if count}


def test_a_new_participation_has_an_outcome_at_its_end(api: Client) -> None:
    _, participation = person(api, make(api, "/api/callouts"))
    shown = api.get(f"/api/callout_participations/{participation}").json
    assert dict(list(shown.items())[-len(NEW) :]) == NEW


def test_what_a_client_gives_for_an_outcome_is_ignored(api: Client) -> None:
    _, participation = person(api, make(api, "/api/callouts"))
    given = {"outcome": "reached", "attempts": "7", "last_attempt_at": "2018-05-19"}
    assert api.patch(f"/api/callout_participations/{participation}", given).status == 204
    assert becomes(api, participation, "pending", None, 0)["last_attempt_at"] is None


def test_an_outcome_follows_a_call_and_is_found_by_filters(api: Client) -> None:
    callout_id = make(api, "/api/callouts")
    _, called = person(api, callout_id)
    _, other = person(api, callout_id, SECOND)
    before = api.get(f"/api/callout_participations/{called}").json["updated_at"]
    call = new_call(api, called)
    wait_until(lambda: calls_in(api, callout_id) == {"created": 1})
    assert api.post(f"/api/phone_calls/{call}/phone_call_events", {"event": "queue"}).status == 201
    shown = becomes(api, called, "unreached", "errored", 1)
    assert shown["last_attempt_at"] == api.get(f"/api/phone_calls/{call}").json["remotely_queued_at"]
    assert shown["updated_at"] == before
    day = shown["last_attempt_at"][:10]
    for query, ids in (
        ("q[outcome]=unreached", [called]),
        ("q[outcome]=pending,unreached", [called, other]),
        ("q[outcome_reason]=errored", [called]),
        ("q[outcome_reason]", [other]),
        ("q[attempts]=0", [other]),
        ("q[attempts]=1,2", [called]),
        (f"q[last_attempt_at]={shown['last_attempt_at']}", [called]),
        (f"q[last_attempt_at]={day}", [called]),
        ("q[last_attempt_at]", [other]),
        ("q[next_attempt_at]", [called, other]),
        ("q[last_attempt_at_before]=2018-05-19", []),
        ("q[outcome]=reeched", []),
    ):
        assert found_by(api, query) == ids, query
    assert calls_in(api, callout_id) == {"errored": 1}


def test_a_call_that_is_deleted_is_counted_no_more(api: Client) -> None:
    callout_id = make(api, "/api/callouts")
    _, participation = person(api, callout_id)
    call = new_call(api, participation)
    wait_until(lambda: calls_in(api, callout_id) == {"created": 1})
    assert api.delete(f"/api/phone_calls/{call}").status == 204
    wait_until(lambda: calls_in(api, callout_id) == {})
    assert api.delete(f"/api/callout_participations/{participation}").status == 204


def test_calls_made_by_a_batch_operation_are_counted(api: Client) -> None:
    callout_id = make(api, "/api/callouts")
    person(api, callout_id)
    parameters = {"callout_filter_params": {"id": str(callout_id)}, "remote_request_params": PARAMS}
    run(api, type="BatchOperation::PhoneCallCreate", parameters=parameters)
    wait_until(lambda: calls_in(api, callout_id) == {"created": 1})


def run(api: Client, path: str = "/api/batch_operations", **fields: Any) -> None:
    """Run a batch operation to its end."""
    operation = make(api, path, **fields)
    assert api.post(f"/api/batch_operations/{operation}/batch_operation_events", {"event": "queue"}).status == 201
    wait_until(lambda: api.get(f"/api/batch_operations/{operation}").json["status"] == "finished")


def test_a_number_that_another_has_excludes_and_another_number_brings_back(api: Client) -> None:
    callout_id = make(api, "/api/callouts")
    person(api, callout_id)
    contact, participation = person(api, callout_id, SECOND)
    # A second contact cannot have the number of the first, but a participation can: it keeps it from the contact.
    taken = "+252662345670"
    _, third = person(api, callout_id, "+252662345671")
    assert api.patch(f"/api/callout_participations/{third}", {"msisdn": taken}).status == 204
    assert api.patch(f"/api/contacts/{contact}", {"msisdn": taken}).status == 204
    becomes(api, participation, "excluded", "duplicate_number", 0)
    assert found_by(api, "q[outcome]=excluded") == [participation]
    assert api.patch(f"/api/callout_participations/{participation}", {"msisdn": "+252662345672"}).status == 204
    becomes(api, participation, "pending", None, 0)


def test_a_number_that_is_free_again_brings_back(api: Client) -> None:
    callout_id = make(api, "/api/callouts")
    contact, participation = person(api, callout_id)
    _, other = person(api, callout_id, SECOND)
    taken = "+252662345670"
    assert api.patch(f"/api/callout_participations/{other}", {"msisdn": taken}).status == 204
    assert api.patch(f"/api/contacts/{contact}", {"msisdn": taken}).status == 204
    becomes(api, participation, "excluded", "duplicate_number", 0)
    assert api.patch(f"/api/contacts/{contact}", {"msisdn": "+252662345673"}).status == 204
    becomes(api, participation, "pending", None, 0)


def test_who_joins_a_plan_that_runs_is_due(api: Client, database: Documents) -> None:
    plan = {"audience": {"contact_filter_params": {"id": "999999999"}}, "starts_at": "2999-01-01T00:00:00Z"}
    callout_id = make(api, "/api/callouts", plan=plan)
    database["callouts"].update_one({"_id": callout_id}, {"$set": {"status": "paused"}})
    _, joined = person(api, callout_id)
    shown = becomes(api, joined, "pending", None, 0, "2999-01-01T00:00:00.000Z")
    assert found_by(api, f"q[next_attempt_at]={shown['next_attempt_at']}") == [joined]
    make(api, "/api/contacts", msisdn=SECOND)
    run(api, f"/api/callouts/{callout_id}/batch_operations", type="BatchOperation::CalloutPopulation")
    wait_until(lambda: len(found_by(api, "q[next_attempt_at]=2999-01-01")) == 2)
    due = {"callout_id": callout_id, "_due": {"$exists": True}, "_attempt": 1}
    assert database["callout_participations"].count_documents(due) == 2
