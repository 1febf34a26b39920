"""``POST /api/contacts/import``: contacts in bulk, in."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import pytest

from scfm.contacts_bulk import bulk_import
from scfm.contacts_bulk.bulk_import import import_slots
from scfm.contacts_bulk.import_contacts import ContactImport
from scfm.contacts_bulk.text_lines import Problem, Row
from scfm.errors import NotFound
from scfm.models.references import mark_deleting, unmark
from scfm.storage.store import Store
from tests.resources.imports import CSV, JSON_LINES, contacts, counts, send
from tests.server import REQUEST_SECONDS, Client, Server, wait_until

ALICE = "+252662345678"
BO = "+252662345679"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), {"PLATFORM_PROVIDER": "simulator"}) as server:
        yield server


# What comes of the lines


def test_csv_makes_contacts_whose_other_columns_are_metadata(api: Client) -> None:
    answer = send(api, f"name,msisdn,address.city,age\r\nAlice,252 662-345-678,Baidoa,5\r\n,{BO},,\r\n")
    assert (answer.status, answer.json) == (
        200,
        {"created": 2, "updated": 0, "unchanged": 0, "failed": 0, "errors": [], "errors_omitted": 0},
    )
    assert contacts(api) == {ALICE: {"name": "Alice", "address": {"city": "Baidoa"}, "age": "5"}, BO: {}}


def test_json_lines_make_contacts_as_any_create_does(api: Client) -> None:
    lines = [{"msisdn": ALICE, "metadata": {"age": 5, "tags": ["a"], "$set": {"x.y": None}}}, {"msisdn": BO, "id": 9}]
    assert counts(send(api, "\n".join(map(json.dumps, lines)), JSON_LINES)) == [2, 0, 0, 0]
    assert contacts(api) == {ALICE: lines[0]["metadata"], BO: {}}


def test_contacts_get_ids_and_times_in_the_order_of_the_lines(api: Client) -> None:
    numbers = [f"+25266{number:07d}" for number in (9000009, 3000003, 7000007)]
    send(api, "\n".join(["msisdn", *numbers]))
    found = api.get("/api/contacts").json
    assert [contact["msisdn"] for contact in found] == numbers
    assert all(contact["created_at"] == contact["updated_at"] for contact in found)
    made = api.post("/api/contacts", {"msisdn": "+252669999999"})
    assert made.json["id"] == found[-1]["id"] + 1


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (CSV, f"msisdn,name,a.b\n{ALICE},Alice,1\n{BO},Bo,2\n"),
        (JSON_LINES, f'{{"msisdn":"{ALICE}","metadata":{{"n":1.0}}}}\n{{"msisdn":"{BO}","metadata":{{"n":[1]}}}}'),
    ],
)
def test_a_second_run_changes_nothing(api: Client, kind: str, content: str) -> None:
    assert counts(send(api, content, kind)) == [2, 0, 0, 0]
    before = api.get("/api/contacts").json
    assert counts(send(api, content, kind)) == [0, 0, 2, 0]
    assert api.get("/api/contacts").json == before


def test_contacts_that_differ_are_updated_and_the_others_left_alone(api: Client) -> None:
    send(api, f"msisdn,name\n{ALICE},Alice\n{BO},Bo\n")
    before = api.get("/api/contacts").json
    assert counts(send(api, f"msisdn,name\n{ALICE},Alicia\n{BO},Bo\n+252662345680,Cy\n")) == [1, 1, 1, 0]
    alice, bo, _ = api.get("/api/contacts").json
    assert alice["metadata"] == {"name": "Alicia"}
    assert alice["updated_at"] > before[0]["updated_at"]
    assert alice["created_at"] == before[0]["created_at"]
    assert bo == before[1]


def test_every_bad_line_is_told_and_every_good_one_kept(api: Client) -> None:
    lines = [b"msisdn,name", b"345,x", ALICE.encode(), b",x", BO.encode() + b",\xff", BO.encode() + b",Bo,Bo"]
    answer = send(api, b"\n".join(lines))
    assert counts(answer) == [1, 0, 0, 4]
    assert answer.json["errors"] == [
        {"line": 2, "column": "msisdn", "reason": "is an invalid number", "value": "345"},
        {"line": 4, "column": "msisdn", "reason": "can't be blank", "value": None},
        {
            "line": 5,
            "column": "name",
            "reason": "is not valid UTF-8: save the file as UTF-8, "
            "or name its charset (Content-Type: text/csv; charset=windows-1252)",
            "value": None,
        },
        {"line": 6, "column": None, "reason": "has more cells than the header has columns", "value": None},
    ]
    assert contacts(api) == {ALICE: {}}


def test_a_line_that_would_make_metadata_too_large_is_bad_and_makes_nothing(api: Client) -> None:
    wide = {"msisdn": ALICE, "metadata": {str(number): "x" * 2_000 for number in range(900)}}
    halves = [{"msisdn": BO, "metadata": {f"{half}{number}": "x" * 1_000 for number in range(900)}} for half in "ab"]
    content = "".join(json.dumps(line) + "\n" for line in (wide, *halves, {"msisdn": BO, "metadata": {"c": 1}}))
    for created, unchanged in ((1, 0), (0, 2)):
        answer = send(api, content, JSON_LINES)
        assert (answer.json["created"], answer.json["unchanged"], answer.json["failed"]) == (created, unchanged, 2)
        assert {error["line"]: error["column"] for error in answer.json["errors"]} == {1: "metadata", 3: "metadata"}
    found = contacts(api)
    assert list(found) == [BO]
    assert (found[BO]["c"], len(found[BO])) == (1, 901)


def test_errors_beyond_a_thousand_are_counted_only(api: Client) -> None:
    answer = send(api, "msisdn\n" + "345\n" * 1500)
    assert counts(answer) == [0, 0, 0, 1500]
    assert [error["line"] for error in answer.json["errors"]] == list(range(2, 1002))
    assert answer.json["errors_omitted"] == 500


def test_later_lines_about_one_contact_are_updates(api: Client) -> None:
    content = f"msisdn,name,age\n{ALICE},Alice,5\n{ALICE},Alicia,\n{ALICE},Alicia,5\n"
    assert counts(send(api, content)) == [1, 1, 1, 0]
    assert contacts(api) == {ALICE: {"name": "Alicia", "age": "5"}}
    before = api.get("/api/contacts").json
    assert counts(send(api, content)) == [0, 0, 3, 0]
    assert api.get("/api/contacts").json == before


def test_what_is_stored_in_another_type_is_not_changed_by_the_same_text(api: Client) -> None:
    metadata = {"n": 5, "ok": True, "tags": ["a", 1], "f": 1.5, "none": None, "deep": {"n": 7}}
    api.post("/api/contacts", json={"msisdn": ALICE, "metadata": metadata})
    same = f'msisdn,n,ok,tags,f,none,deep.n\n{ALICE},5,true,"[""a"",1]",1.5,,7\n'
    assert counts(send(api, same)) == [0, 0, 1, 0]
    assert counts(send(api, f"msisdn,n,deep.n\n{ALICE},6,7\n")) == [0, 1, 0, 0]
    assert contacts(api) == {ALICE: {**metadata, "n": "6"}}


# How metadata joins what is there

OLD = {"name": "Alice", "address": {"city": "Baidoa", "zone": "5"}}


@pytest.mark.parametrize(
    ("kind", "mode", "expected"),
    [
        (CSV, "", {"name": "Alice", "address": {"city": "Xudur", "zone": "5"}}),
        (CSV, "?metadata_merge_mode=deep_merge", {"name": "Alice", "address": {"city": "Xudur", "zone": "5"}}),
        (CSV, "?metadata_merge_mode=merge", {"name": "Alice", "address": {"city": "Xudur"}}),
        (CSV, "?metadata_merge_mode=replace", {"address": {"city": "Xudur"}}),
        (JSON_LINES, "", {"name": "Alice", "address": {"city": "Xudur"}}),
        (JSON_LINES, "?metadata_merge_mode=deep_merge", {"name": "Alice", "address": {"city": "Xudur", "zone": "5"}}),
        (JSON_LINES, "?metadata_merge_mode=replace", {"address": {"city": "Xudur"}}),
    ],
)
def test_the_mode_says_how_metadata_joins(api: Client, kind: str, mode: str, expected: Any) -> None:
    api.post("/api/contacts", json={"msisdn": ALICE, "metadata": OLD})
    lines = {
        CSV: f"msisdn,address.city\n{ALICE},Xudur\n",
        JSON_LINES: json.dumps({"msisdn": ALICE, "metadata": {"address": {"city": "Xudur"}}}),
    }
    assert counts(send(api, lines[kind], kind, mode)) == [0, 1, 0, 0]
    assert contacts(api) == {ALICE: expected}


# What is refused as a whole


@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json", "text/plain", ""],
)
def test_another_content_type_is_refused_with_the_ones_that_are_taken(api: Client, kind: str) -> None:
    answer = send(api, f"msisdn\n{ALICE}\n", kind)
    assert answer.status == 422
    (message,) = answer.json["errors"]["content_type"]
    assert message == (
        "must be text/csv, application/vnd.openxmlformats-officedocument.spreadsheetml.sheet or application/x-ndjson"
        "; with curl: -H 'Content-Type: text/csv' --data-binary @contacts.csv"
    )
    assert contacts(api) == {}


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("Text/CSV; charset=UTF-8", 200),
        ('text/csv; charset="utf-8"', 200),
        ("text/csv; header=present; charset=utf-8", 200),
        ("text/csv; charset=utf-7", 422),
        ("text/csv; charset=", 422),
        ("application/jsonl", 200),
        ("application/json-lines", 200),
    ],
)
def test_a_content_type_may_be_spelt_in_many_ways(api: Client, kind: str, status: int) -> None:
    content = f'{{"msisdn":"{ALICE}"}}' if "json" in kind else f"msisdn\n{ALICE}\n"
    assert send(api, content, kind).status == status
    assert len(contacts(api)) == (status == 200)


def test_a_header_that_cannot_be_used_refuses_the_file(api: Client) -> None:
    answer = send(api, f"msisdn,a,a.b\n{ALICE},1,2\n")
    assert (answer.status, answer.json) == (422, {"errors": {"header": ["has both the columns a and a.b"]}})
    assert contacts(api) == {}


def test_an_empty_body_has_no_header_and_an_empty_list_of_lines_nothing_wrong(api: Client) -> None:
    assert send(api, "").status == 422
    assert counts(send(api, "", JSON_LINES)) == [0, 0, 0, 0]


def test_a_client_must_say_who_it_is_before_it_sends_anything(server: Server) -> None:
    with begin(server, {"Content-Length": "1000000", "Expect": "100-continue"}) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 401 ")


def test_more_than_a_gigabyte_is_refused_before_it_is_sent(server: Server, api: Client) -> None:
    headers = {"Content-Length": str((1 << 30) + 1), "Expect": "100-continue", **credentials(api)}
    with begin(server, headers) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_there_is_nothing_to_get(api: Client) -> None:
    assert api.get("/api/contacts/import").status == 404


# The stream


def begin(server: Server, headers: dict[str, str]) -> socket.socket:
    """A connection on which the head of an import has been sent."""
    head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "x", "Content-Type": CSV, **headers}.items())
    connection = socket.create_connection((server.host, server.port), timeout=REQUEST_SECONDS)
    connection.sendall(f"POST /api/contacts/import HTTP/1.1\r\n{head}\r\n".encode())
    return connection


def credentials(api: Client) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{api.token}:".encode()).decode()}


def many(count: int) -> bytes:
    return b"msisdn,name\n" + b"".join(b"+25261%07d,Name %d\n" % (number, number) for number in range(count))


def total(api: Client) -> int:
    return int(api.get("/api/contacts?per_page=1").headers["Total"])


def test_a_body_larger_than_that_of_other_requests_is_taken(api: Client) -> None:
    content = b"msisdn,note\n" + b"".join(b"+25261%07d,%s\n" % (number, b"x" * 60_000) for number in range(25))
    assert len(content) > 1 << 20
    assert counts(send(api, content)) == [25, 0, 0, 0]


def test_a_body_may_come_in_chunks_of_unknown_number(server: Server, api: Client) -> None:
    content = many(600)
    pieces = (content[start : start + 100] for start in range(0, len(content), 100))
    connection = HTTPConnection(server.host, server.port, timeout=REQUEST_SECONDS)
    headers = {"Content-Type": CSV, "Transfer-Encoding": "chunked", **credentials(api)}
    connection.request("POST", "/api/contacts/import", pieces, headers, encode_chunked=True)
    answer = connection.getresponse()
    assert json.loads(answer.read())["created"] == 600
    connection.close()


def test_what_has_come_before_the_connection_breaks_is_kept_and_a_second_run_adds_the_rest(
    server: Server, api: Client
) -> None:
    content = many(2000)
    with begin(server, {"Content-Length": str(len(content)), **credentials(api)}) as connection:
        connection.sendall(content[: len(content) // 2])
        kept = wait_until(lambda: total(api))
    assert kept >= bulk_import.BATCH_LINES
    assert all(metadata["name"] for metadata in contacts(api).values())
    created, updated, unchanged, _ = counts(send(api, content))
    assert (created + unchanged, updated) == (2000, 0)
    assert unchanged >= kept
    assert total(api) == 2000


# Tenancy and races


def test_each_account_has_contacts_of_its_own(server: Server, api: Client) -> None:
    stranger = server.client(server.create_account())
    send(stranger, f"msisdn,name\n{ALICE},Theirs\n")
    assert counts(send(api, f"msisdn,name\n{ALICE},Ours\n")) == [1, 0, 0, 0]
    assert contacts(stranger) == {ALICE: {"name": "Theirs"}}


def test_one_file_sent_four_times_at_once_makes_each_contact_once(api: Client) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: counts(send(api, many(800))), range(4)))
    assert [sum(column) for column in zip(*answers, strict=True)] == [800, 0, 2400, 0]
    assert total(api) == 800


ROWS = [Row(number, f"+25261{number:07d}", {}, 1) for number in range(200)]


async def account(store: Store) -> int:
    (number,) = await store.counters.ids("account").allocate(1)
    await store.all_tenants.insert("accounts", {"_id": number})
    return number


async def run(store: Store, number: int, metadata: dict[str, Any]) -> ContactImport:
    importing = ContactImport(store.for_account(number), "merge", import_slots())
    for row in ROWS:
        await importing.add(Row(row.line, row.msisdn, metadata, 1))
    await importing.flush()
    return importing


async def test_imports_that_change_the_same_contacts_at_once_lose_nothing_of_each_other(store: Store) -> None:
    number = await account(store)
    names = [f"name{position}" for position in range(5)]
    done = await asyncio.gather(*(run(store, number, {name: 1}) for name in names))
    found = await store.for_account(number).find("contacts", {})
    assert [contact["metadata"].keys() for contact in found] == [set(names)] * len(ROWS)
    assert sum(importing.tally.created for importing in done) == len(ROWS)
    assert all(sum(list(importing.tally.as_json().values())[:3]) == len(ROWS) for importing in done)


async def test_nothing_is_left_in_an_account_that_is_deleted_meanwhile(store: Store) -> None:
    number = await account(store)
    await store.all_tenants.remove("accounts", {"_id": number})
    with pytest.raises(NotFound):
        await run(store, number, {})
    assert await store.for_account(number).find("contacts", {}) == []


async def test_an_account_whose_deletion_is_given_up_keeps_its_new_contacts(store: Store) -> None:
    number = await account(store)
    token = await mark_deleting(store.all_tenants, "accounts", number)
    importing = asyncio.create_task(run(store, number, {}))
    view = store.for_account(number)
    while not await view.exists("contacts", {}):
        await asyncio.sleep(0)
    assert not importing.done()
    await unmark(store.all_tenants, "accounts", number, token)
    assert (await importing).tally.created == len(ROWS)
    assert len(await view.find("contacts", {})) == len(ROWS)


async def test_a_bad_line_is_refused_without_the_database(store: Store) -> None:
    importing = ContactImport(store.for_account(1), "merge", import_slots())
    await importing.add(Problem(3, "msisdn", "is an invalid number", "12"))
    told = {"line": 3, "column": "msisdn", "reason": "is an invalid number", "value": "12"}
    assert importing.tally.as_json()["errors"] == [told]
