"""Whose a webhook is: who has signed it decides, and what is written in it proves nothing."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from scfm.runtime.secret_keys import open_box
from tests.flows.phone_line import PATH, SID, PhoneLine, environment, new_sid, outbound, signature, standstill
from tests.server import Answer, Client, Server, wait_until

TOKEN = "the-servers-own-token"
OUTBOUND = {"Direction": "outbound-api", "From": "345"}
_sids = itertools.count(1)
_numbers = itertools.count(252663000001)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("owner")
    with standstill() as provider, Server(folder / "data", environment(provider, TOKEN)) as server:
        yield server


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Any]:
    """The server's database, as another process sees it."""
    socket = str((server.data_dir / "mongod.sock").resolve()).replace("/", "%2F")
    with MongoClient[dict[str, Any]](f"mongodb://{socket}/?directConnection=true") as client:
        yield client.scfm


def shared(server: Server) -> PhoneLine:
    """The provider's side of the server's own credentials."""
    return PhoneLine(server, token=TOKEN)


def an_account_sid() -> str:
    return f"AC{next(_sids):032x}".replace("0", "b", 8)


def a_number() -> str:
    return f"+{next(_numbers)}"


def set_credentials(client: Client, sid: str | None, token: str | None) -> None:
    assert client.patch("/api/account", json={"twilio_account_sid": sid, "twilio_auth_token": token}).status == 204


def calls(client: Client) -> Any:
    return client.get("/api/phone_calls?per_page=1000").json


def sids(client: Client) -> set[str]:
    return {call["remote_call_id"] for call in calls(client)}


def assert_refused(answer: Answer) -> None:
    assert (answer.status, answer.json) == (403, "Twilio Request Validation Failed.")


# A sid is a name, and no proof


@pytest.mark.parametrize("token", ["a-token-of-its-own", None])
def test_who_writes_the_servers_sid_down_gets_nothing_of_the_shared_line(
    server: Server, stranger: Client, token: str | None
) -> None:
    set_credentials(stranger, SID, token)
    call_sid, first = new_sid(), server.client()
    assert shared(server).report(call_sid, From=a_number()).status == 201
    assert call_sid in sids(first)
    assert calls(stranger) == [] == stranger.get("/api/contacts").json
    set_credentials(stranger, None, None)


def test_an_account_that_has_the_servers_sid_and_token_gets_who_calls_in_and_nobody_elses_calls(
    server: Server, api: Client, stranger: Client
) -> None:
    set_credentials(api, SID, TOKEN)
    set_credentials(stranger, None, None)
    path, placed = outbound(stranger, a_number())
    inbound = new_sid()
    assert shared(server).report(inbound).status == 201
    assert shared(server).report(placed, CallStatus="completed", **OUTBOUND).status == 201
    assert stranger.get(path).json["status"] == "completed"
    assert (sids(api), sids(stranger)) == ({inbound}, {placed})
    set_credentials(api, None, None)


def test_who_writes_anothers_sid_down_first_does_not_keep_him_from_it(api: Client, stranger: Client) -> None:
    sid, call_sid = an_account_sid(), new_sid()
    set_credentials(stranger, sid, "the-thiefs-own")
    set_credentials(api, sid, "the-right-one")
    line, forged = (PhoneLine(api.server, sid, token) for token in ("the-right-one", "the-thiefs-own"))
    assert line.report(call_sid).status == 201
    assert sids(api) == {call_sid}
    # The other one speaks for himself alone.
    forged.report(call_sid, CallStatus="completed")
    assert [call["status"] for call in calls(api)] == ["in_progress"]
    assert line.report(call_sid, CallStatus="completed").status == 201
    assert [call["status"] for call in calls(api)] == ["completed"]
    assert_refused(PhoneLine(api.server, sid, "neither").report())


def test_what_somebody_forges_under_a_calls_id_takes_no_report_from_it(server: Server, stranger: Client) -> None:
    client = server.client()
    set_credentials(stranger, an_account_sid(), "his-own")
    path, call_sid = outbound(client, "+252662341001")
    sid = stranger.get("/api/account").json["twilio_account_sid"]
    assert PhoneLine(server, sid, "his-own").report(call_sid).status == 201
    told = {"CallStatus": "completed", "To": "+252662341001", **OUTBOUND}
    assert shared(server).report(call_sid, **told).status == 201
    assert client.get(path).json["status"] == "completed"
    assert [call["status"] for call in calls(stranger)] == ["in_progress"]


def test_of_accounts_with_one_sid_and_one_token_a_known_call_decides_and_else_the_oldest(
    api: Client, stranger: Client
) -> None:
    sid = an_account_sid()
    older, newer = sorted((api, stranger), key=lambda one: one.get("/api/account").json["id"])
    set_credentials(newer, sid, "shared")
    line, first, second = PhoneLine(api.server, sid, "shared"), new_sid(), new_sid()
    assert line.report(first).status == 201
    set_credentials(older, sid, "shared")
    assert line.report(second).status == 201
    assert line.report(first, CallStatus="completed").status == 201
    assert (sids(newer), sids(older)) == ({first}, {second})
    assert [call["status"] for call in calls(newer)] == ["completed"]


def test_two_hundred_accounts_with_one_sid_and_different_tokens_are_told_apart(server: Server, database: Any) -> None:
    sid = an_account_sid()
    account = database.accounts.find_one()
    known = [one["_id"] for one in database.accounts.find({}, ["_id"])]
    others = [
        {**account, "_id": 100_000 + number, "twilio_account_sid": sid, "twilio_auth_token": f"token-{number}"}
        for number in range(199)
    ]
    database.accounts.insert_many(others)
    try:
        for number in (0, 100, 198):
            call_sid = new_sid()
            assert PhoneLine(server, sid, f"token-{number}").report(call_sid).status == 201
            assert database.phone_calls.find_one({"remote_call_id": call_sid})["account_id"] == 100_000 + number
        assert_refused(PhoneLine(server, sid, "token-199").report())
    finally:
        database.accounts.delete_many({"_id": {"$nin": known}})


def test_an_upgrade_drops_the_indexes_that_made_a_sid_one_accounts_own(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        for _ in range(2):
            socket = str((server.data_dir / "mongod.sock").resolve()).replace("/", "%2F")
            with MongoClient[dict[str, Any]](f"mongodb://{socket}/?directConnection=true") as client:
                accounts = client.scfm.accounts
                names = {index["name"] for index in accounts.list_indexes()}
                assert not names & {"unique_twilio_account_sid", "unique_somleng_account_sid"}
                assert {"twilio_account_sid", "somleng_account_sid"} <= names
                for name in ("twilio_account_sid", "somleng_account_sid"):
                    accounts.drop_index(name)
                    only = {name: {"$gt": ""}}
                    accounts.create_index(name, name=f"unique_{name}", unique=True, partialFilterExpression=only)
            server.restart()
        for client in (server.new_account(twilio_account_sid="AC1"), server.new_account(twilio_account_sid="AC1")):
            assert client.get("/api/account").json["twilio_account_sid"] == "AC1"


# Credentials that were replaced


@pytest.mark.parametrize(
    "change",
    [
        {"twilio_auth_token": "new"},
        {"twilio_account_sid": "AC-another"},
        {"twilio_auth_token": None},
        {"twilio_account_sid": None, "twilio_auth_token": None},
        {"twilio_account_sid": "AC-another", "twilio_auth_token": "new"},
    ],
)
def test_replaced_credentials_check_the_webhooks_of_calls_placed_with_them_and_no_others(
    api: Client, stranger: Client, change: dict[str, Any]
) -> None:
    sid = an_account_sid()
    set_credentials(api, sid, "old")
    set_credentials(stranger, sid, "old")
    line, call_sid, number = PhoneLine(api.server, sid, "old"), new_sid(), a_number()
    owner = min((api, stranger), key=lambda one: int(one.get("/api/account").json["id"]))
    other = stranger if owner is api else api
    set_credentials(other, None, None)
    path, placed = outbound(owner, number)
    assert line.report(call_sid).status == 201
    assert owner.patch("/api/account", json=change).status == 204
    for known in (call_sid, placed):
        told = OUTBOUND if known == placed else {}
        assert line.report(known, CallStatus="completed", **told).status == 201
    assert {call["status"] for call in calls(owner)} == {"completed"}
    assert owner.get(path).json["remote_status"] == "completed"
    assert_refused(line.report())
    assert_refused(line.report(To=number, **OUTBOUND))
    if change.get("twilio_auth_token") == "new":
        new = PhoneLine(api.server, change.get("twilio_account_sid", sid), "new")
        assert new.report(call_sid, CallStatus="completed").status == 201
        # A call that has come since is not one of those.
        since = new_sid()
        assert new.report(since).status == 201
        assert_refused(line.report(since, CallStatus="completed"))
    assert calls(other) == []


def test_replaced_credentials_are_forgotten_after_a_day_and_but_ten_are_kept(
    server: Server, api: Client, database: Any
) -> None:
    sid, call_sid, number = an_account_sid(), new_sid(), api.get("/api/account").json["id"]
    set_credentials(api, sid, "token-0")
    assert PhoneLine(server, sid, "token-0").report(call_sid).status == 201
    for change in range(1, 13):
        set_credentials(api, sid, f"token-{change}")
    kept = database.accounts.find_one({"_id": number})["_former_credentials"]
    unseal = open_box("", "", server.data_dir).unseal
    assert [unseal(one["token"]) for one in kept] == [f"token-{change}" for change in range(2, 12)]
    told = {"CallStatus": "ringing"}
    assert_refused(PhoneLine(server, sid, "token-1").report(call_sid, **told))
    assert PhoneLine(server, sid, "token-2").report(call_sid, **told).status == 201
    yesterday = {"$dateSubtract": {"startDate": "$$NOW", "unit": "hour", "amount": 25}}
    aged = {"$map": {"input": "$_former_credentials", "in": {"$mergeObjects": ["$$this", {"at": yesterday}]}}}
    database.accounts.update_one({"_id": number}, [{"$set": {"_former_credentials": aged}}])
    wait_until(lambda: PhoneLine(server, sid, "token-2").report(call_sid, **told).status == 403)
    server.restart()
    wait_until(lambda: "_former_credentials" not in database.accounts.find_one({"_id": number}))


# What is written into the log


def warnings(server: Server) -> list[str]:
    return [line for line in list(server.stderr) if "webhook" in line]


def test_each_webhook_that_is_refused_leaves_a_line_that_says_why_and_no_secret(server: Server) -> None:
    server.restart()
    before, number = len(warnings(server)), "+855123456789"
    line, forged = shared(server), PhoneLine(server, token="a-forgers-token")
    unknown = PhoneLine(server, sid="ACnobody")
    assert_refused(forged.report(From=number))
    assert_refused(unknown.report(From=number))
    assert_refused(line.send(line.fields(), headers={"X-Twilio-Signature": ""}))
    assert_refused(line.send(line.fields(), headers={"Content-Type": "application/json"}))
    assert line.report(Direction="outbound-api", From=number, To=number).status == 422
    path = f"{PATH}?secret=s3cret&number={number}"
    headers = {"X-Twilio-Signature": signature(server.url + PATH, {})}
    assert_refused(line.send({"AccountSid": number, "CallSid": number}, path, headers=headers))
    wait_until(lambda: len(warnings(server)) >= before + 6)
    lines = warnings(server)[before:]
    for reason in (
        f"webhook refused with 403: its signature was not made with the auth token of the server (AccountSid {SID}",
        "webhook refused with 403: no account has its AccountSid with an auth token (AccountSid ACnobody",
        "webhook refused with 403: it has no X-Twilio-Signature",
        "webhook refused with 403: its body is no form",
        "webhook refused with 422: Phone call must exist",
        f"as sent to {server.url}{PATH})",
    ):
        assert any(reason in one for one in lines), (reason, lines)
    for secret in (TOKEN, "s3cret", "forgers", "855123456789"):
        assert not any(secret in one for one in lines), (secret, lines)


def test_a_flood_of_forged_webhooks_is_few_lines_and_few_looks_into_the_database(
    server: Server, api: Client, database: Any
) -> None:
    sid, before, began = an_account_sid(), len(warnings(server)), time.monotonic()
    server.restart()
    set_credentials(api, sid, "its-own")
    forged = PhoneLine(server, sid, "a-forgers")
    database.command("profile", 2)
    try:
        for _ in range(60):
            assert_refused(forged.report())
    finally:
        database.command("profile", 0)
    looks = database["system.profile"].count_documents({"ns": f"{database.name}.accounts"})
    database.drop_collection("system.profile")
    seconds = time.monotonic() - began
    assert looks < 10 + 4 * seconds
    assert len([line for line in warnings(server)[before:] if "refused with 403" in line]) <= 5 * (1 + seconds // 10)
    assert PhoneLine(server, sid, "its-own").report().status == 201
