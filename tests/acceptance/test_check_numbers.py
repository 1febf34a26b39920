"""``scfm check-numbers``: what older versions stored otherwise than it would be read today."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from scfm.embedded_mongod.mongod import PrivateMongod
from tests.server import Client, Server

Documents = Database[dict[str, Any]]


@pytest.fixture
def database(mongod: PrivateMongod) -> Iterator[Documents]:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        yield client["numbers"]
        client.drop_database("numbers")


@pytest.fixture
def server(mongod: PrivateMongod, database: Documents, tmp_path: Path) -> Iterator[Server]:
    environment = {"MONGODB_URI": mongod.uri, "MONGODB_DATABASE": database.name}
    with Server(tmp_path / "data", environment) as server:
        yield server


def contact(api: Client, msisdn: str) -> int:
    made = api.post("/api/contacts", json={"msisdn": msisdn})
    assert made.status == 201, made
    return int(made.json["id"])


def old_contacts(api: Client, database: Documents, *msisdns: str) -> list[int]:
    """Contacts as an older version stored them."""
    numbers = [contact(api, f"+2526623450{position:02d}") for position in range(len(msisdns))]
    for number, msisdn in zip(numbers, msisdns, strict=True):
        database["contacts"].update_one({"_id": number}, {"$set": {"msisdn": msisdn}})
    return numbers


def lines(checked: subprocess.CompletedProcess[str]) -> list[str]:
    assert "Traceback" not in checked.stderr, checked.stderr
    return checked.stdout.splitlines()


def dump(database: Documents) -> dict[str, list[Any]]:
    """All that is stored, but for what a server that rests writes down of itself."""
    names = sorted(set(database.list_collection_names()) - {"counters"})
    return {
        name: [
            *database[name].find({}, {"last_used_at": 0}, sort=[("_id", 1)]),  # of tokens, stored beside requests
            str(database[name].index_information()),
        ]
        for name in names
    }


def test_a_database_without_such_numbers_ends_with_status_0_beside_its_server_and_without_it(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    with server:
        contact(server.client(), "+85512345678")
        beside = server.run("check-numbers")
    alone = server.run("check-numbers")
    assert beside.returncode == alone.returncode == 0
    assert lines(beside) == lines(alone)
    assert lines(alone) == [
        "1 contacts, 0 callout participations, 0 phone calls looked at: 0 would be read otherwise today, "
        "0 pairs of contacts would be one"
    ]


def test_every_contact_that_would_be_read_otherwise_has_its_line_and_nothing_changes(
    server: Server, database: Documents
) -> None:
    api, stranger = server.new_account(), server.new_account()
    account = api.get("/api/account").json["id"]
    present = contact(api, "+85512345678")
    contact(stranger, "+79123456789")
    russian, short, zero, one_zero, two_zeros = old_contacts(
        api, database, "+789123456789", "+25512", "+855012345678", "+855077777777", "+8550077777777"
    )
    before = dump(database)
    checked = server.run("check-numbers")
    assert dump(database) == before
    assert checked.returncode == 1
    assert lines(checked) == [
        f"contact {russian} of account {account}: +789123456789 would be +79123456789",
        f"contact {short} of account {account}: +25512 is an invalid number",
        f"contact {zero} of account {account}: +855012345678 would be +85512345678",
        f"contact {one_zero} of account {account}: +855077777777 would be +85577777777",
        f"contact {two_zeros} of account {account}: +8550077777777 would be +85577777777",
        f"contacts {present} and {zero} of account {account} would both be +85512345678",
        f"contacts {one_zero} and {two_zeros} of account {account} would both be +85577777777",
        "7 contacts, 0 callout participations, 0 phone calls looked at: "
        "5 would be read otherwise today, 2 pairs of contacts would be one",
    ]


def test_participations_and_the_calls_that_have_not_left_are_looked_at_too(
    server: Server, database: Documents
) -> None:
    api = server.new_account()
    account, person = api.get("/api/account").json["id"], contact(api, "+85512345678")
    callout = api.post("/api/callouts").json["id"]
    path = f"/api/callouts/{callout}/callout_participations"
    participation = api.post(path, json={"contact_id": person}).json["id"]
    asked = {"remote_request_params": {"from": "1234", "url": "http://example.org", "method": "GET"}}
    path = f"/api/callout_participations/{participation}/phone_calls"
    waiting, gone = (api.post(path, json=asked).json["id"] for _ in range(2))
    for collection in ("callout_participations", "phone_calls"):
        database[collection].update_many({}, {"$set": {"msisdn": "+855012345678"}})
    database["phone_calls"].update_one({"_id": gone}, {"$set": {"status": "completed"}})
    checked = server.run("check-numbers")
    assert checked.returncode == 1
    assert lines(checked)[:-1] == [
        f"callout participation {participation} of account {account}: +855012345678 would be +85512345678",
        f"phone call {waiting} of account {account}: +855012345678 would be +85512345678",
    ]


def test_a_national_number_that_was_stored_as_a_foreign_one_is_found_by_the_default_country(
    server: Server, database: Documents
) -> None:
    api, without = server.new_account(default_country="SO"), server.new_account()
    account = api.get("/api/account").json["id"]
    (lost, australian), _ = old_contacts(api, database, "+615555555", "+61412345678"), contact(without, "+615555555")
    assert lines(server.run("check-numbers"))[:-1] == [
        f"contact {lost} of account {account}: +615555555 is no valid number; "
        "without its + it would be +252615555555 (SO)"
    ]
    assert australian
