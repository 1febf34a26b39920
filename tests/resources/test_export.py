"""``GET /api/contacts/export``: contacts in bulk, out."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from scfm.embedded_mongod.mongod import PrivateMongod
from tests.server import REQUEST_SECONDS, Answer, Client, Server

ALICE = "+252662345678"
BO = "+252662345679"
CSV = "text/csv; charset=utf-8"
JSON_LINES = "application/x-ndjson"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), {"PLATFORM_PROVIDER": "simulator"}) as server:
        yield server


@pytest.fixture
def api(server: Server) -> Client:
    """The server as a new account sees it, with two contacts."""
    api = server.new_account()
    make(api, ALICE, {"name": "Alice", "address": {"city": "Baidoa"}, "age": 5})
    make(api, BO, {"name": 'B "o"', "tags": ["a", 1], "none": None, "": "x"})
    return api


def make(api: Client, msisdn: str, metadata: dict[str, Any]) -> None:
    assert api.post("/api/contacts", json={"msisdn": msisdn, "metadata": metadata}).status == 201


def export(api: Client, query: str = "", **headers: str) -> Answer:
    return api.get("/api/contacts/export" + query, headers=headers)


def send(api: Client, content: str, kind: str) -> list[int]:
    answer = api.post("/api/contacts/import", body=content.encode(), headers={"Content-Type": kind})
    return list(answer.json.values())[:4]


def test_for_a_spreadsheet_nothing_is_a_formula(api: Client) -> None:
    formulas = {"=a": "=HYPERLINK(0)", "b": "+1", "c": "-1", "d": "@x", "e": "\tx", "name": "ទឹក"}
    make(api, "+252662345680", formulas)
    query = "?q[metadata][name]=%E1%9E%91%E1%9E%B9%E1%9E%80"
    whole = export(api, query).json
    assert whole.splitlines() == ["msisdn,=a,b,c,d,e,name", "+252662345680,=HYPERLINK(0),+1,-1,@x,\tx,ទឹក"]
    shown = export(api, query + "&spreadsheet=true").json
    assert shown.removeprefix("\ufeff").splitlines() == [
        "msisdn,'=a,b,c,d,e,name",
        "+252662345680,'=HYPERLINK(0),'+1,'-1,'@x,'\tx,ទឹក",
    ]
    assert shown.startswith("\ufeff")
    assert export(api, "?spreadsheet=perhaps").status == 422


def test_csv_has_a_column_for_each_value_in_the_order_in_which_they_come(api: Client) -> None:
    answer = export(api)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == CSV
    assert answer.headers["Content-Disposition"] == 'attachment; filename="contacts.csv"'
    assert answer.headers["Cache-Control"] == "max-age=0, private, must-revalidate"
    assert answer.headers["X-Request-Id"]
    assert answer.json.split("\r\n") == [
        "msisdn,name,address.city,age,tags,\\",
        f"{ALICE},Alice,Baidoa,5,,",
        f'{BO},"B ""o""",,,"[""a"",1]",x',
        "",
    ]


def test_json_lines_are_the_contacts_as_lists_show_them(api: Client) -> None:
    answer = export(api, "?format=jsonl")
    assert answer.headers["Content-Type"] == JSON_LINES
    assert [json.loads(line) for line in answer.json.splitlines()] == api.get("/api/contacts").json


@pytest.mark.parametrize(("chosen", "kind"), [("csv", CSV), ("jsonl", JSON_LINES)])
def test_what_is_exported_is_imported_without_a_change(api: Client, chosen: str, kind: str) -> None:
    before = api.get("/api/contacts").json
    assert send(api, export(api, f"?format={chosen}").json, kind) == [0, 0, 2, 0]
    assert api.get("/api/contacts").json == before


@pytest.mark.parametrize(("chosen", "kind"), [("csv", CSV), ("jsonl", JSON_LINES)])
def test_an_account_may_be_carried_over_to_another(server: Server, api: Client, chosen: str, kind: str) -> None:
    other = server.client(server.create_account())
    content = export(api, f"?format={chosen}").json
    assert send(other, content, kind) == [2, 0, 0, 0]
    assert export(other, f"?format={chosen}").json.count("\n") == content.count("\n")
    if chosen == "csv":
        assert export(other).json == content
    else:
        assert [one["metadata"] for one in other.get("/api/contacts").json] == [
            one["metadata"] for one in api.get("/api/contacts").json
        ]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("*/*", CSV), ("text/csv", CSV), ("application/x-ndjson", JSON_LINES), ("application/jsonl, */*", JSON_LINES)],
)
def test_the_client_may_say_what_it_accepts(api: Client, accept: str, kind: str) -> None:
    assert export(api, Accept=accept).headers["Content-Type"] == kind
    assert export(api, "?format=jsonl", Accept=accept).headers["Content-Type"] == JSON_LINES


@pytest.mark.parametrize("query", ["?format=xml", "?format=", "?format[]=csv"])
def test_another_format_is_refused(api: Client, query: str) -> None:
    answer = export(api, query)
    assert (answer.status, answer.json) == (422, {"errors": {"format": ["is not included in the list: csv, jsonl"]}})


def test_filters_apply_to_the_columns_too(api: Client) -> None:
    assert export(api, "?q[metadata][age]=5").json == f"msisdn,name,address.city,age\r\n{ALICE},Alice,Baidoa,5\r\n"
    assert export(api, f"?q[msisdn]={BO[1:]}&format=jsonl").json.count("\n") == 1


def test_nothing_to_export_is_a_header_or_nothing(api: Client) -> None:
    assert export(api, "?q[msisdn]=nobody").json == "msisdn\r\n"
    empty = export(api, "?q[msisdn]=nobody&format=jsonl")
    assert (empty.status, empty.json) == (200, None)


def test_an_account_exports_its_own_contacts_only(server: Server, api: Client) -> None:
    assert export(server.client(server.create_account())).json == "msisdn\r\n"
    assert server.request("GET", "/api/contacts/export", token="").status == 401


def test_head_has_the_headers_alone(api: Client) -> None:
    answer = api.head("/api/contacts/export")
    assert (answer.status, answer.headers["Content-Type"], answer.json) == (200, CSV, None)


def test_more_columns_than_an_import_takes_are_refused(api: Client) -> None:
    make(api, "+252662345680", {f"a{number}": "x" for number in range(500)})
    make(api, "+252662345681", {f"b{number}": "x" for number in range(500)})
    answer = export(api)
    reason = "would have too many columns (maximum is 1000); jsonl has no such limit"
    assert (answer.status, answer.json) == (422, {"errors": {"format": [reason]}})
    assert export(api, "?format=jsonl").json.count("\n") == 4


def test_a_value_in_one_contact_and_an_object_in_another_share_a_column(api: Client) -> None:
    make(api, "+252662345680", {"name": {"first": "Cy"}})
    assert '"{""first"":""Cy""}"' in export(api).json
    assert send(api, export(api).json, CSV) == [0, 0, 3, 0]


def test_an_export_that_is_cut_off_does_not_look_like_a_whole_one(tmp_path: Path) -> None:
    with PrivateMongod.start(tmp_path / "mongod") as mongod, Server(tmp_path, {"MONGODB_URI": mongod.uri}) as server:
        api = server.client()
        lines = "msisdn\n" + "".join(f"+25261{number:07d}\n" for number in range(1000))
        assert send(api, lines, CSV)[0] == 1000
        with MongoClient[dict[str, Any]](mongod.uri) as client:
            unfit = {"metadata": {"photo": b"no JSON can hold this"}}
            client["scfm"]["contacts"].update_one({"_id": 900}, {"$set": unfit})
        connection = http.client.HTTPConnection(server.host, server.port, timeout=REQUEST_SECONDS)
        connection.request(
            "GET", "/api/contacts/export?format=jsonl", headers={"Authorization": f"Bearer {api.token}"}
        )
        answer = connection.getresponse()
        assert answer.status == 200
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            answer.read()
        connection.close()
