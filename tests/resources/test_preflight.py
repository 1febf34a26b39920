"""Preflight: what a plan would come to, said before anybody is called; and what keeps a plan from its start."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from scfm.clock import iso, now
from tests.resources.conftest import Documents, make
from tests.server import Answer, Client, Server

KEYS = [
    "audience",
    "excluded",
    "limited_by",
    "calls_per_second",
    "first_attempt_at",
    "last_first_attempt_at",
    "ends_at",
    "calls_at_most",
    "warnings",
    "blockers",
]
CREDENTIALS = {"twilio_account_sid": "AC1", "twilio_auth_token": "s3cret"}
FROM = {"remote_request_params": {"from": "1294"}}
LONG_AGO, LATER = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"


@pytest.fixture
def api(server: Server) -> Client:
    """An account with credentials, whose contacts nobody calls."""
    return server.new_account(**CREDENTIALS)


def add_contacts(api: Client, count: int, **metadata: Any) -> list[int]:
    known = int(api.get("/api/contacts?per_page=1").headers["Total"])
    return [
        make(api, "/api/contacts", msisdn=f"+85510{known + number:06d}", metadata=metadata) for number in range(count)
    ]


def callout_with(api: Client, plan: dict[str, Any] | None = None, **fields: Any) -> str:
    return f"/api/callouts/{make(api, '/api/callouts', plan={'audience': {}, **FROM, **(plan or {})}, **fields)}"


def report(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer
    assert list(answer.json) == KEYS
    told: dict[str, Any] = answer.json
    return told


def preflight(api: Client, plan: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return report(api.post(f"{callout_with(api, plan, **fields)}/preflight"))


def moment(written: str) -> datetime:
    return datetime.fromisoformat(written)


# What is counted and worked out


def test_an_account_s_own_limit_says_how_long_it_takes(server: Server) -> None:
    api = server.new_account(**CREDENTIALS, calls_per_second="0.5")
    add_contacts(api, 4)
    before = now()

    told = preflight(api, {"retry": {"max_attempts": 3, "delays": [60]}})

    first, last, end = (moment(told[name]) for name in KEYS[4:7])
    assert told["audience"] == 4
    assert told["excluded"] == {"opted_out": 0, "duplicate_number": 0}
    assert (told["limited_by"], told["calls_per_second"]) == ("calls_per_second of the account", 0.5)
    assert before <= first <= now()
    assert last - first == timedelta(seconds=3 * 2)
    # Each of three attempts rings for a minute, is settled in a second, and a minute later comes the next.
    assert end - last == timedelta(minutes=5, seconds=3)
    assert told["calls_at_most"] == 12
    assert told["blockers"] == []


@pytest.mark.parametrize(
    ("settings_of_account", "plan", "limited_by"),
    [
        ({}, {"calls_per_second": 2}, "calls_per_second of the plan"),
        ({"calls_per_second": "1"}, {"calls_per_second": 2}, "calls_per_second of the account"),
        ({"calls_per_second": "2"}, {"calls_per_second": 2}, "calls_per_second of the plan"),
        ({}, {"calls_in_flight": 1}, "calls_in_flight of the plan"),
        ({"calls_in_flight": "1"}, {}, "calls_in_flight of the account"),
        ({}, {}, "calls_in_flight of the server"),
    ],
)
def test_the_limit_that_is_reached_first_is_named(
    server: Server, settings_of_account: dict[str, str], plan: dict[str, Any], limited_by: str
) -> None:
    told = preflight(server.new_account(**CREDENTIALS, **settings_of_account), plan)

    assert told["limited_by"] == limited_by
    assert told["calls_per_second"] > 0


def test_the_audience_are_those_who_fit_and_those_who_are_in_the_callout_already(api: Client) -> None:
    add_contacts(api, 3, district="Stung Treng")
    (other,) = add_contacts(api, 1, district="Kratie")
    (both,) = add_contacts(api, 1, district="Stung Treng")
    path = callout_with(api, {"audience": {"contact_filter_params": {"metadata": {"district": "Stung Treng"}}}})
    for contact in (other, both):
        make(api, f"{path}/callout_participations", contact_id=contact)

    assert report(api.post(f"{path}/preflight"))["audience"] == 5
    everybody = report(api.post(f"{path}/preflight", json={"plan": {"audience": {}}}))
    assert everybody["audience"] == 5
    assert api.get(path).json["plan"]["audience"] != {}


def test_who_has_the_number_of_another_s_participation_is_excluded(api: Client) -> None:
    first, second, third = add_contacts(api, 3)
    number_of_second = api.get(f"/api/contacts/{second}").json["msisdn"]
    path = callout_with(api)
    make(api, f"{path}/callout_participations", contact_id=first, msisdn=number_of_second)

    told = report(api.post(f"{path}/preflight"))

    assert (told["audience"], told["excluded"]["duplicate_number"]) == (2, 1)
    only = {"audience": {"contact_filter_params": {"id": third}}}
    told = report(api.post(f"{path}/preflight", json={"plan": only}))
    assert (told["audience"], told["excluded"]["duplicate_number"]) == (2, 0)


@pytest.fixture
def opted_out(api: Client) -> list[int]:
    """Three contacts, of whom the second has opted out, and a number that nobody has."""
    contacts = add_contacts(api, 3)
    numbers = [api.get(f"/api/contacts/{contacts[1]}").json["msisdn"], "+85599999999"]
    for number in numbers:
        make(api, "/api/opt_outs", msisdn=number)
    return contacts


def test_who_has_opted_out_is_excluded_but_from_an_emergency(api: Client, opted_out: list[int]) -> None:
    path = callout_with(api)
    emergency = {"audience": {}, **FROM, "emergency": {"reason": "The dam breaks.", "severity": "extreme"}}

    told = report(api.post(f"{path}/preflight"))
    assert (told["audience"], told["excluded"]["opted_out"]) == (2, 1)
    make(api, f"{path}/callout_participations", contact_id=opted_out[1])
    told = report(api.post(f"{path}/preflight"))
    assert (told["audience"], told["excluded"]["opted_out"]) == (2, 1)

    told = report(api.post(f"{path}/preflight", json={"plan": emergency}))
    assert (told["audience"], told["excluded"]["opted_out"]) == (3, 0)
    assert "it is an emergency: 1 who have opted out are called all the same" in told["warnings"]


def test_the_audience_of_a_follow_up_are_contacts_of_the_other_callout(api: Client) -> None:
    add_contacts(api, 3)
    called = add_contacts(api, 2)
    first = callout_with(api)
    for contact in called:
        make(api, f"{first}/callout_participations", contact_id=contact)
    callout_id = int(first.rpartition("/")[2])

    for given, audience in (({}, 2), ({"contact_id": called[0]}, 1)):
        told = preflight(api, {"audience": {"follow_up": {"callout_id": callout_id, "q": given}}})
        assert told["audience"] == audience


def test_another_plan_is_looked_at_and_not_stored(api: Client) -> None:
    add_contacts(api, 1)
    path = callout_with(api)
    before = api.get(path).json

    wrong = api.post(f"{path}/preflight", form={"plan[audience][contact_filter_params][district]": "Kratie"})
    filtered = {"plan[audience][contact_filter_params][msisdn]": "+85510000000"}
    told = report(api.post(f"{path}/preflight", form=filtered))

    assert wrong.status == 422
    assert told["audience"] == 1
    assert api.get(path).json == before


def test_without_any_plan_there_is_nothing_to_look_at(api: Client) -> None:
    path = f"/api/callouts/{make(api, '/api/callouts')}"

    assert api.post(f"{path}/preflight").json == {"errors": {"plan": ["can't be blank"]}}
    assert api.post(f"{path}/preflight", json={"plan": {}}).json["errors"] == {"plan": ["/audience: can't be blank"]}
    assert report(api.post(f"{path}/preflight", json={"plan": {"audience": {}}}))["calls_at_most"] == 0
    assert api.post("/api/callouts/987654/preflight").status == 404


# What stands against a start


@pytest.mark.parametrize(
    ("plan", "fields", "blocker"),
    [
        (
            {"not_after": LONG_AGO},
            {},
            "not_after, 2020-01-01T00:00:00.000Z, is in the past: give a later one, or null",
        ),
        (
            {"starts_at": "2030-01-05T00:00:00Z", "not_after": "2030-01-06T00:00:00Z", "window": {
                "time_zone": "UTC", "from": "07:00", "to": "20:00", "days": ["fri"]}},
            {},
            "the window does not open before not_after, 2030-01-06T00:00:00.000Z: change either",
        ),
        (
            {},
            {"call_flow_logic": "CallFlowLogic::Message"},
            "the callout has nothing to say: its metadata has neither a message nor an audio for "
            "CallFlowLogic::Message; set metadata.message or metadata.audio",
        ),
        (
            {"inline_twiml": True},
            {"call_flow_logic": "CallFlowLogic::Message", "metadata": {"message": "Leave."}},
            "inline_twiml is not possible: CallFlowLogic::Message begins with a <Gather>, after which the server is "
            "asked for more; leave inline_twiml out, or change the flow",
        ),
    ],
)  # fmt: skip
def test_what_keeps_a_plan_from_its_start_is_said_by_preflight_and_by_start(
    api: Client, plan: dict[str, Any], fields: dict[str, Any], blocker: str
) -> None:
    add_contacts(api, 1)
    path = callout_with(api, plan, **fields)

    assert report(api.post(f"{path}/preflight"))["blockers"] == [blocker]
    refused = api.post(f"{path}/callout_events", form={"event": "start"})
    assert (refused.status, refused.json["errors"]) == (422, {"plan": [blocker]})
    assert api.get(path).json["status"] == "initialized"


def test_all_that_stands_against_a_start_is_said_at_once(server: Server, database: Documents) -> None:
    api = server.new_account()
    path = callout_with(api, {"not_after": LONG_AGO})
    gone = {"$set": {"call_flow_logic": "CallFlowLogic::Gone"}}
    database.callouts.update_one({"_id": int(path.rpartition("/")[2])}, gone)

    refused = api.post(f"{path}/callout_events", form={"event": "start"})

    assert refused.json["errors"]["plan"] == [
        "the audience is empty: no contact fits; import contacts, or choose others in audience",
        "not_after, 2020-01-01T00:00:00.000Z, is in the past: give a later one, or null",
        "CallFlowLogic::Gone is not registered: choose another call_flow_logic, or add it to "
        "REGISTERED_CALL_FLOW_LOGIC",
        "there are no credentials for Twilio: set twilio_account_sid and twilio_auth_token of the account, or the "
        "server's",
    ]


def test_an_audience_all_of_whom_have_opted_out_is_empty(api: Client, opted_out: list[int]) -> None:
    told = preflight(api, {"audience": {"contact_filter_params": {"id": opted_out[1]}}})

    assert told["blockers"] == ["the audience is empty: all who fit, 1, are excluded; choose others in audience"]
    assert (told["first_attempt_at"], told["last_first_attempt_at"], told["ends_at"]) == (None, None, None)


# What somebody should know


def test_a_plan_of_which_there_is_nothing_to_say_has_no_warnings(server: Server) -> None:
    api = server.new_account(**CREDENTIALS, calls_per_second="1")
    add_contacts(api, 2)
    own = {"from": "1294", "url": "https://example.org/flow", "status_callback": "https://example.org/status"}

    told = preflight(api, {"remote_request_params": own})

    assert (told["warnings"], told["blockers"]) == ([], [])


@pytest.mark.parametrize(
    ("plan", "warning"),
    [
        ({}, "people hear CallFlowLogic::Application, the documentation's example: choose another call_flow_logic"),
        ({}, "/api/remote_phone_call_events is local: Twilio cannot reach it; set PUBLIC_URL, or give another"),
        (
            {"remote_request_params": {"from": "1294", "url": "http://192.168.1.7/flow", "status_callback": "https://a.org"}},
            "http://192.168.1.7/flow is local: Twilio cannot reach it; set PUBLIC_URL, or give another",
        ),
        (
            {"remote_request_params": {}},
            "remote_request_params has no from, the number that calls: providers refuse a call without one",
        ),
        (
            {"retry": {"on": ["busy", "not_acknowledged"]}},
            "nobody is called again for not_acknowledged, as acknowledge is false: make it true, or leave that out",
        ),
        ({"calls_per_second": 0.000015}, "the first attempts alone take 2 d 7 h, which is more than 24 hours: raise "
                                        "calls_per_second of the plan"),
        ({}, "Twilio places 1 call per second unless it has agreed to more: 4 s for 4; set calls_per_second of the "
             "account to what it places for you"),
        ({"starts_at": LATER}, "it does not end within ten years"),
        (
            {"window": {"time_zone": "UTC", "from": "00:00", "to": "00:01", "days": ["mon"],
                        "except": ["2026-11-30"]}},
            "the window is closed now: it opens at 20",
        ),
    ],
)  # fmt: skip
def test_what_may_not_be_meant_is_a_warning_and_no_blocker(api: Client, plan: dict[str, Any], warning: str) -> None:
    add_contacts(api, 4)

    told = preflight(api, plan)

    assert any(warning in one for one in told["warnings"]), told["warnings"]
    assert told["blockers"] == []


def test_what_not_after_cuts_off_is_a_warning(api: Client) -> None:
    add_contacts(api, 4)
    end = iso(now() + timedelta(hours=1))

    retries = preflight(api, {"not_after": end, "retry": {"max_attempts": 2, "delays": [7200]}})
    people = preflight(api, {"not_after": end, "calls_per_second": 0.000001})

    limit = "raise calls_per_second of the plan, or not_after"
    assert f"it is not finished before not_after, {end}: 3 people are not called; {limit}" in people["warnings"]
    assert any("not all attempts are made" in one for one in retries["warnings"])
    assert people["ends_at"] == end


def test_what_the_provider_ignores_is_a_warning(server: Server) -> None:
    somleng = {"platform_provider_name": "somleng", "somleng_account_sid": "1", "somleng_auth_token": "s3cret"}
    api = server.new_account(**somleng)
    add_contacts(api, 1)

    told = preflight(api, {"answering_machine": "retry", "remote_request_params": {"from": "1", "timeout": "20"}})

    assert "Somleng ignores timeout of remote_request_params" in told["warnings"]
    assert any("does not tell whether a machine answers" in one for one in told["warnings"])


def test_calls_that_are_queued_already_leave_before(api: Client, database: Documents) -> None:
    account = api.get("/api/account").json["id"]
    add_contacts(api, 1)
    held = {"account_id": account, "status": "queued", "_work": {"held": True}}
    rows = [{"_id": 10_000_000 + account * 100 + place, **held} for place in range(20)]
    database.phone_calls.insert_many([{**row, "_rank": 4 if row["_id"] % 2 else 9} for row in rows])
    try:
        told = preflight(api, {"calls_per_second": 1})
    finally:
        database.phone_calls.delete_many({"_id": {"$in": [row["_id"] for row in rows]}})

    assert "10 calls of the account are queued already, and leave before" in told["warnings"]
    assert moment(told["first_attempt_at"]) - now() > timedelta(seconds=5)


def test_calls_that_are_held_do_not_leave(api: Client) -> None:
    add_contacts(api, 1)
    assert api.post("/api/account/account_events", form={"event": "hold"}).status == 201

    assert "the calls of the account are held: none leaves until they are released" in preflight(api)["warnings"]


def test_calls_do_not_leave_while_those_of_the_whole_server_are_held(api: Client, server: Server) -> None:
    add_contacts(api, 1)
    warning = "the calls of the whole server are held: none leaves until a super admin releases them"
    super_admin = server.client()
    assert super_admin.post("/api/server/server_events", form={"event": "hold"}).status == 201
    try:
        assert warning in preflight(api)["warnings"]
    finally:
        assert super_admin.post("/api/server/server_events", form={"event": "release"}).status == 201
    assert warning not in preflight(api)["warnings"]
