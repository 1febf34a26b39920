"""Opt-outs: numbers that an account does not call, whoever has them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.resources.conftest import Documents, make, wait_for_outcomes
from tests.server import Client, wait_until

NUMBER, OTHER = "+252662345678", "+252662345679"
KEYS = ["id", "msisdn", "reason", "source", "metadata", "created_at", "updated_at", "account_id"]


def test_an_opt_out_is_made_shown_changed_and_taken_away(api: Client) -> None:
    made = api.post("/api/opt_outs", {"msisdn": "252 66-(2)-345-678", "reason": "asked by letter", "source": "flow"})
    assert (made.status, list(made.json)) == (201, KEYS)
    assert made.headers["Location"] == f"/api/opt_outs/{made.json['id']}"
    own = api.get("/api/account").json["id"]
    assert [made.json[name] for name in KEYS[1:5]] == [NUMBER, "asked by letter", "api", {}]
    assert made.json["account_id"] == own
    path = f"/api/opt_outs/{made.json['id']}"
    assert api.get(path).json == made.json
    assert api.patch(path, {"msisdn": OTHER, "metadata[by]": "Alice", "reason": ""}).status == 204
    changed = api.get(path).json
    assert (changed["msisdn"], changed["metadata"], changed["source"]) == (OTHER, {"by": "Alice"}, "api")
    assert (api.delete(path).status, api.get(path).status) == (204, 404)


@pytest.mark.parametrize(
    ("given", "message"),
    [({}, "can't be blank"), ({"msisdn": ""}, "can't be blank"), ({"msisdn": "345"}, "is an invalid number")],
)
def test_an_opt_out_needs_a_number(api: Client, given: dict[str, str], message: str) -> None:
    answer = api.post("/api/opt_outs", given)
    assert (answer.status, answer.json) == (422, {"errors": {"msisdn": [message]}})
    assert answer.hints is not None and "msisdn" in answer.hints
    assert api.get("/api/opt_outs").json == []


def test_a_national_number_is_one_of_the_accounts_country(api: Client) -> None:
    assert api.patch("/api/account", {"default_country": "KH"}).status == 204
    make(api, "/api/opt_outs", msisdn="012 345 678")
    assert [one["msisdn"] for one in api.get("/api/opt_outs?q[msisdn]=12345678").json] == ["+85512345678"]


def test_a_number_is_opted_out_once_in_an_account(api: Client, stranger: Client) -> None:
    make(api, "/api/opt_outs", msisdn=NUMBER)
    second = make(api, "/api/opt_outs", msisdn=OTHER)
    taken = {"errors": {"msisdn": ["has already been taken"]}}
    assert api.post("/api/opt_outs", {"msisdn": "+252 662 345 678"}).json == taken
    assert api.patch(f"/api/opt_outs/{second}", {"msisdn": NUMBER}).json == taken
    make(stranger, "/api/opt_outs", msisdn=NUMBER)


def test_of_many_that_opt_a_number_out_at_the_same_time_one_succeeds(api: Client) -> None:
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: api.post("/api/opt_outs", {"msisdn": NUMBER}).status, range(16)))
    assert sorted(answers) == [201] + 15 * [422]
    assert len(api.get("/api/opt_outs").json) == 1


def test_opt_outs_are_listed_in_pages_and_filtered(api: Client) -> None:
    numbers = [f"+25266234568{digit}" for digit in range(5)]
    for number in numbers:
        make(api, "/api/opt_outs", msisdn=number, reason="asked", metadata={"by": number[-1]})
    listed = api.get("/api/opt_outs?per_page=2&page=2")
    assert (listed.headers["Total"], [one["msisdn"] for one in listed.json]) == ("5", numbers[2:4])
    for query, found in (
        (f"q[msisdn]={numbers[3][1:]}", numbers[3:4]),
        ("q[reason]=asked", numbers),
        ("q[source]=flow,import", []),
        ("q[metadata][by]=4", numbers[4:]),
        ("q[created_at_after]=2018-01-01", numbers),
        ("q[id]=0", []),
    ):
        assert [one["msisdn"] for one in api.get(f"/api/opt_outs?{query}").json] == found, query


def test_an_opt_out_outlives_the_contact(api: Client) -> None:
    contact = make(api, "/api/contacts", msisdn=NUMBER)
    make(api, "/api/opt_outs", msisdn=NUMBER)
    assert api.delete(f"/api/contacts/{contact}").status == 204
    assert [one["msisdn"] for one in api.get("/api/opt_outs").json] == [NUMBER]
    make(api, "/api/contacts", msisdn=NUMBER)


def participant(api: Client, number: str, **callout: object) -> tuple[int, int]:
    """A callout with one participation, of a new contact; their ids."""
    callout_id = make(api, "/api/callouts", **callout)
    contact = make(api, "/api/contacts", msisdn=number)
    return callout_id, make(api, f"/api/callouts/{callout_id}/callout_participations", contact_id=contact)


def test_a_call_to_the_number_is_canceled_whenever_it_is_queued(api: Client) -> None:
    _, participation = participant(api, NUMBER)
    path = f"/api/callout_participations/{participation}/phone_calls"
    opt_out = make(api, "/api/opt_outs", msisdn=NUMBER)
    call = make(api, path, remote_request_params={"from": "345", "url": "http://127.0.0.1:9/"})
    assert api.post(f"/api/phone_calls/{call}/phone_call_events", {"event": "queue"}).status == 201
    shown = wait_until(lambda: ended(api, call))
    assert (shown["status"], shown["remote_error_message"]) == ("canceled", "opted out")
    assert shown["remotely_queued_at"] is None
    assert api.delete(f"/api/opt_outs/{opt_out}").status == 204
    assert api.get(f"/api/phone_calls/{call}").json == shown
    another = make(api, path, remote_request_params={"from": "345", "url": "http://127.0.0.1:9/"})
    assert api.post(f"/api/phone_calls/{another}/phone_call_events", {"event": "queue"}).status == 201
    assert wait_until(lambda: ended(api, another))["remote_error_message"] != "opted out"


def ended(api: Client, call: int) -> dict[str, object] | None:
    shown: dict[str, object] = api.get(f"/api/phone_calls/{call}").json
    return shown if shown["status"] != "queued" else None


def test_what_waits_for_a_paused_callout_is_canceled_as_well(api: Client) -> None:
    callout_id, participation = participant(api, NUMBER)
    for event in ("start", "pause"):
        assert api.post(f"/api/callouts/{callout_id}/callout_events", {"event": event}).status == 201
    path = f"/api/callout_participations/{participation}/phone_calls"
    call = make(api, path, remote_request_params={"from": "345", "url": "http://127.0.0.1:9/"})
    assert api.post(f"/api/phone_calls/{call}/phone_call_events", {"event": "queue"}).status == 201
    make(api, "/api/opt_outs", msisdn=NUMBER)
    shown = wait_until(lambda: ended(api, call))
    assert (shown["status"], shown["remote_error_message"]) == ("canceled", "opted out")


def test_open_participations_are_marked_and_settled_ones_are_not(api: Client, database: Documents) -> None:
    outcomes = ["pending", "waiting", "reached", "unreached"]
    found = {}
    for outcome in outcomes:
        callout_id = make(api, "/api/callouts")
        contact = api.get(f"/api/contacts?q[msisdn]={NUMBER[1:]}").json or [{"id": make_contact(api)}]
        path = f"/api/callouts/{callout_id}/callout_participations"
        found[outcome] = make(api, path, contact_id=contact[0]["id"])
        wait_for_outcomes(database)
        database["callout_participations"].update_one({"_id": found[outcome]}, {"$set": {"outcome": outcome}})
    emergency = make(api, "/api/callouts")
    path = f"/api/callouts/{emergency}/callout_participations"
    over = make(api, path, contact_id=contact[0]["id"])
    plan = {"plan": {"audience": {}, "emergency": {"reason": "dam", "severity": "extreme"}}}
    database["callouts"].update_one({"_id": emergency}, {"$set": plan})
    database["callout_participations"].update_one({"_id": over}, {"$set": {"outcome": "pending"}})
    opt_out = make(api, "/api/opt_outs", msisdn=NUMBER)
    wait_until(lambda: not database["opt_outs"].count_documents({"_id": opt_out, "_settle_from": {"$exists": True}}))
    marked = database["callout_participations"].find({"_opted_out": {"$exists": True}, "msisdn": NUMBER})
    assert {one["_id"] for one in marked} & {*found.values(), over} == {found["pending"], found["waiting"]}


def test_who_is_opted_out_is_excluded_and_stays_so(api: Client) -> None:
    _, before = participant(api, NUMBER)
    opt_out = make(api, "/api/opt_outs", msisdn=NUMBER)
    assert wait_until(lambda: settled(api, before)) == ("excluded", "opted_out")
    # Who comes into a callout later is so once a call to him was canceled.
    callout = make(api, "/api/callouts")
    (contact,) = api.get(f"/api/contacts?q[msisdn]={NUMBER[1:]}").json
    after = make(api, f"/api/callouts/{callout}/callout_participations", contact_id=contact["id"])
    path = f"/api/callout_participations/{after}/phone_calls"
    call = make(api, path, remote_request_params={"from": "345", "url": "http://127.0.0.1:9/"})
    assert api.post(f"/api/phone_calls/{call}/phone_call_events", {"event": "queue"}).status == 201
    assert wait_until(lambda: settled(api, after)) == ("excluded", "opted_out")
    assert api.delete(f"/api/opt_outs/{opt_out}").status == 204
    assert settled(api, before) == settled(api, after) == ("excluded", "opted_out")


def settled(api: Client, participation: int) -> tuple[str, str] | None:
    shown = api.get(f"/api/callout_participations/{participation}").json
    return (shown["outcome"], shown["outcome_reason"]) if shown["outcome"] not in ("pending", "calling") else None


def make_contact(api: Client) -> int:
    return make(api, "/api/contacts", msisdn=NUMBER)


def test_a_request_that_is_sent_again_makes_no_second_opt_out(api: Client) -> None:
    key = {"Idempotency-Key": "opt-out-1"}
    first = api.post("/api/opt_outs", {"msisdn": NUMBER}, headers=key)
    again = api.post("/api/opt_outs", {"msisdn": NUMBER}, headers=key)
    assert (first.status, again.status, again.json) == (201, 201, first.json)
