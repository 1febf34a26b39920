"""Phone numbers over HTTP: whoever reads one reads it alike, by the account's default country."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scfm.models.msisdn import BLANK, INVALID
from tests.flows.phone_line import PhoneLine
from tests.resources.conftest import Documents, make
from tests.server import Client, Server, wait_until

CALL = {"remote_request_params": {"from": "1234", "url": "http://example.org", "method": "GET"}}
TAKEN = "has already been taken"
WRITTEN = [
    ("85512345678.0", "+85512345678"),
    ("+855 0 12 345 678", "+85512345678"),
    ("+7 8 912 345 67 89", "+79123456789"),
    ("٨٥٥١٢٣٤٥٦٧٨", "+85512345678"),
    (85512345678.0, "+85512345678"),
    (85512345678, "+85512345678"),
]
REFUSED = [
    "+4930123456 ext. 12",
    "85512345678;9",
    "85512345678 or 9",
    "+85512345678+",
    "sip:855@12.34.56.78",
    "2.52E+11",
    85512345678.5,
]


@pytest.fixture
def khmer(server: Server) -> Client:
    """An account in Cambodia."""
    return server.new_account(default_country="kh")


def numbers(api: Client, path: str = "/api/contacts") -> list[str]:
    return [one["msisdn"] for one in api.get(path).json]


def callout(api: Client) -> str:
    return f"/api/callouts/{make(api, '/api/callouts')}"


@pytest.mark.parametrize(("sent", "stored"), WRITTEN)
def test_a_number_that_is_written_otherwise_is_the_same_contact(api: Client, sent: object, stored: str) -> None:
    contact = make(api, "/api/contacts", msisdn=sent)
    assert api.get(f"/api/contacts/{contact}").json["msisdn"] == stored
    assert api.post("/api/contacts", json={"msisdn": stored}).json == {"errors": {"msisdn": [TAKEN]}}


@pytest.mark.parametrize("sent", REFUSED)
def test_what_is_not_understood_is_refused_and_changes_nothing(api: Client, sent: object) -> None:
    refused = {"errors": {"msisdn": [INVALID]}}
    contact = make(api, "/api/contacts", msisdn="+85512345678")
    assert api.post("/api/contacts", json={"msisdn": sent}).json == refused
    assert api.patch(f"/api/contacts/{contact}", json={"msisdn": sent}).json == refused
    path = f"{callout(api)}/callout_participations"
    assert api.post(path, json={"contact_id": contact, "msisdn": sent}).json == refused
    participation = make(api, path, contact_id=contact)
    calls = f"/api/callout_participations/{participation}/phone_calls"
    assert api.post(calls, json={**CALL, "msisdn": sent}).json == refused
    csv = api.post(
        "/api/contacts/import", body=f'msisdn,name\n"{sent}",Bo\n'.encode(), headers={"Content-Type": "text/csv"}
    )
    lines = api.post(
        "/api/contacts/import",
        body=json.dumps({"msisdn": sent}).encode(),
        headers={"Content-Type": "application/x-ndjson"},
    )
    shown = sent if isinstance(sent, str) else json.dumps(sent)
    if isinstance(sent, str):
        assert csv.json["errors"] == [{"line": 2, "column": "msisdn", "reason": INVALID, "value": shown}]
    assert lines.json["errors"] == [{"line": 1, "column": "msisdn", "reason": INVALID, "value": shown}]
    assert numbers(api)[0] == "+85512345678"
    assert numbers(api, "/api/phone_calls") == []


def test_a_number_without_a_digit_is_not_taken_for_none(api: Client) -> None:
    contact = make(api, "/api/contacts", msisdn="+85512345678")
    path = f"{callout(api)}/callout_participations"
    refused = api.post(path, json={"contact_id": contact, "msisdn": "unknown"})
    assert refused.json == {"errors": {"msisdn": [BLANK]}}
    assert api.post(path, json={"contact_id": contact, "msisdn": " "}).json["msisdn"] == "+85512345678"


@pytest.mark.parametrize("written", ["012 345 678", "12345678", "012345678.0", "85512345678", "+855 12 345 678"])
def test_every_reader_takes_a_number_for_one_of_the_default_country(khmer: Client, written: str) -> None:
    stored = "+85512345678"
    contact = make(khmer, "/api/contacts", msisdn=written)
    for kind, body in (
        ("text/csv", f"msisdn,n\n{written},1\n"),
        ("application/x-ndjson", json.dumps({"msisdn": written})),
    ):
        done = khmer.post("/api/contacts/import", body=body.encode(), headers={"Content-Type": kind})
        assert (done.json["created"], done.json["failed"]) == (0, 0), done
    path = callout(khmer)
    participation = make(khmer, f"{path}/callout_participations", contact_id=contact, msisdn=written)
    call = make(khmer, f"/api/callout_participations/{participation}/phone_calls", **CALL, msisdn=written)
    asked = f"q[msisdn]={written.replace('+', '%2B').replace(' ', '%20')}"
    lists = ["/api/contacts", "/api/callout_participations", "/api/phone_calls"]
    lists += [f"{path}/contacts", f"{path}/callout_participations", f"/api/contacts/{contact}/phone_calls"]
    for one in lists:
        assert numbers(khmer, f"{one}?{asked}") == [stored]
    assert khmer.get(f"/api/phone_calls/{call}").json["msisdn"] == stored
    assert stored in str(khmer.get(f"/api/contacts/export?format=jsonl&{asked}").json)


def test_a_batch_operation_reads_the_numbers_of_its_filters_in_the_account_s_country(khmer: Client) -> None:
    for digit in range(3):
        make(khmer, "/api/contacts", msisdn=f"01234567{digit}")
    path = callout(khmer)
    wanted = {"contact_filter_params": {"msisdn": "012 345 671, 12345672"}}
    kind = "BatchOperation::CalloutPopulation"
    operation = f"/api/batch_operations/{make(khmer, f'{path}/batch_operations', type=kind, parameters=wanted)}"
    taken = ["+85512345671", "+85512345672"]
    assert numbers(khmer, f"{operation}/preview/contacts") == taken
    assert numbers(khmer, f"{operation}/preview/contacts?q[msisdn]=012345672") == taken[1:]
    assert khmer.post(f"{operation}/batch_operation_events", json={"event": "queue"}).status == 201
    wait_until(lambda: khmer.get(operation).json["status"] == "finished")
    assert numbers(khmer, f"{operation}/callout_participations") == taken
    among = {**CALL, "callout_participation_filter_params": {"msisdn": "012345672"}}
    create = make(khmer, "/api/batch_operations", type="BatchOperation::PhoneCallCreate", parameters=among)
    assert numbers(khmer, f"/api/batch_operations/{create}/preview/callout_participations") == taken[1:]


def test_a_caller_is_the_contact_of_the_default_country(server: Server) -> None:
    sid, token = "AC" + "7" * 32, "the-accounts-token"
    account = server.new_account(default_country="KH", twilio_account_sid=sid, twilio_auth_token=token)
    contact = make(account, "/api/contacts", msisdn="012345678")
    line = PhoneLine(server, sid, token)
    for caller in ("012345678", "+85512345678", "85512345678"):
        assert line.report(From=caller).status == 201
    calls = account.get("/api/phone_calls").json
    assert [(call["msisdn"], call["contact_id"]) for call in calls] == [("+85512345678", contact)] * 3
    # Whoever changes the account is believed at once.
    assert account.patch("/api/account", json={"default_country": "SO"}).status == 204
    assert line.report(From="615555555").status == 201
    assert account.get("/api/phone_calls").json[-1]["msisdn"] == "+252615555555"
    assert numbers(account) == ["+85512345678", "+252615555555"]


# The account's setting.


def test_the_default_country_is_shown_in_the_settings_and_believed_at_once(api: Client) -> None:
    def read() -> Any:
        made = api.post("/api/contacts", json={"msisdn": "615555555"}).json
        assert api.delete(f"/api/contacts/{made['id']}").status == 204
        return made["msisdn"]

    assert read() == "+615555555"
    assert api.patch("/api/account", {"default_country": "SO"}).status == 204
    assert api.get("/api/account").json["settings"] == {"default_country": "SO"}
    assert read() == "+252615555555"
    assert api.patch("/api/account", {"default_country": "au"}).status == 204
    assert api.get("/api/account").json["settings"] == {"default_country": "AU"}
    assert read() == "+615555555"
    for empty in ("", None):
        assert api.patch("/api/account", json={"default_country": "SO"}).status == 204
        assert api.patch("/api/account", json={"default_country": empty}).status == 204
        assert api.get("/api/account").json["settings"] == {}
        assert read() == "+615555555"


@pytest.mark.parametrize("written", ["UK", "KHM", "Cambodia", "855", "ZZ", "001", 855, True, "К"])
def test_what_is_no_country_is_refused_and_changes_nothing(api: Client, written: object) -> None:
    assert api.patch("/api/account", json={"default_country": "KH"}).status == 204
    answer = api.patch("/api/account", json={"default_country": written})
    message = "must be the two letters of a country (ISO 3166-1), such as KH"
    assert (answer.status, answer.json) == (422, {"errors": {"default_country": [message]}})
    assert api.get("/api/account").json["settings"] == {"default_country": "KH"}


# What older versions stored.


def test_a_number_that_was_stored_in_another_form_is_found_by_it_and_stays(api: Client, database: Documents) -> None:
    old = "+789123456789"
    contact = make(api, "/api/contacts", msisdn="+85512345678", metadata={"name": "Alice"})
    database["contacts"].update_one({"_id": contact}, {"$set": {"msisdn": old}})
    assert numbers(api, f"/api/contacts?q[msisdn]={old.replace('+', '%2B')}") == [old]
    assert api.patch(f"/api/contacts/{contact}", json={"metadata": {"name": "Bo"}}).status == 204
    assert numbers(api) == [old]
    assert numbers(api, "/api/contacts?q[msisdn]=789123456789") == []
    make(api, "/api/contacts", msisdn=old)
    assert numbers(api, f"/api/contacts?q[msisdn]={old.replace('+', '%2B')}") == [old, "+79123456789"]
