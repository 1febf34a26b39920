"""``POST /api/contacts/import?preview=true``, and the choice of the phone number's column."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scfm.contacts_bulk import import_preview
from scfm.contacts_bulk.bulk_import import import_slots
from scfm.contacts_bulk.import_preview import ContactPreview
from scfm.contacts_bulk.text_lines import Row
from scfm.storage.store import Store
from tests.resources.imports import CSV, JSON_LINES, XLSX, contacts, counts, refused, send
from tests.server import Client

ALICE = "+252662345678"
BO = "+252662345679"
PREVIEW = "?preview=true"


def preview(api: Client, content: str | bytes, kind: str = CSV, query: str = "") -> Any:
    """What an import would come to; nothing is stored."""
    before = contacts(api)
    answer = send(api, content, kind, PREVIEW + query)
    assert answer.status == 200, answer
    assert contacts(api) == before
    return answer.json


def test_a_preview_counts_and_stores_nothing(api: Client) -> None:
    send(api, f"msisdn,name\n{ALICE},Alice\n{BO},Bo\n")
    found = preview(api, f"msisdn,name\n{ALICE},Alice\n{BO},Bob\n+252662345680,Cy\n345,bad\n{BO},Bo\n")
    assert found == {
        "columns": [
            {"name": "msisdn", "field": "msisdn", "values": [ALICE, BO, "+252662345680"]},
            {"name": "name", "field": "metadata.name", "values": ["Alice", "Bob", "Cy"]},
        ],
        "msisdn_column": "msisdn",
        "guessed": False,
        "rows": 5,
        "created": 1,
        "updated": 1,
        "unchanged": 1,
        "repeated": 1,
        "failed": 1,
        "contacts": [
            {"line": 2, "msisdn": ALICE, "metadata": {"name": "Alice"}},
            {"line": 3, "msisdn": BO, "metadata": {"name": "Bob"}},
            {"line": 4, "msisdn": "+252662345680", "metadata": {"name": "Cy"}},
        ],
        "errors": [{"line": 5, "column": "msisdn", "reason": "is an invalid number", "value": "345"}],
        "errors_omitted": 0,
        "complete": True,
    }


def test_the_import_that_follows_does_what_the_preview_has_said(api: Client) -> None:
    send(api, f"msisdn,name\n{ALICE},Alice\n")
    lines = [f"+2526612{number:05d},{number}" for number in range(700)]
    content = "\n".join(["msisdn,name", f"{ALICE},A", *lines, *lines[:300], "1,x"])
    said = preview(api, content)
    assert [said[name] for name in ("created", "updated", "unchanged", "repeated", "failed")] == [700, 1, 0, 300, 1]
    assert counts(send(api, content)) == [700, 1, 300, 1]


def test_contacts_are_shown_as_they_would_be_stored_beside_what_is_there(api: Client) -> None:
    send(api, f"msisdn,name,address.city\n{ALICE},Alice,Baidoa\n")
    found = preview(api, f"msisdn,address.zone\n{ALICE},5\n")
    assert found["contacts"][0]["metadata"] == {"name": "Alice", "address": {"city": "Baidoa", "zone": "5"}}


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("Name,Phone number", "Alice,{}"),
        ("Nom;Téléphone du chef", "Alice;{}"),
        ("ឈ្មោះ\tលេខទូរស័ព្ទ", "Alice\t{}"),
        ("Name,Mobile No.,Age", "Alice,{},30"),
        ("Name,Số điện thoại", "Alice,{}"),
        ("Who,Where to,Year", "Alice,{},2024"),  # by its cells
        ("Phone (home),Whatsapp", ",{}"),  # of two, the one with numbers
    ],
)
def test_the_column_of_the_phone_number_is_guessed(api: Client, header: str, row: str) -> None:
    lines = [row.format(f"+25266234{number:04d}") for number in range(60)]
    found = preview(api, "\n".join([header, *lines]))
    assert found["guessed"], found
    assert (found["created"], found["failed"]) == (60, 0)
    assert found["contacts"][0]["msisdn"] == "+252662340000"
    named = send(api, "\n".join([header, *lines]), query=f"?msisdn_column={as_query(found['msisdn_column'])}")
    assert counts(named) == [60, 0, 0, 0]


def test_of_two_columns_without_numbers_the_one_that_is_surely_named_is_guessed(api: Client) -> None:
    """The country of the account may be missing: then there are none."""
    found = preview(api, "No.,Name,Phone\n1,Alice,012 345 678\n2,Bo,012 345 679\n")
    assert (found["msisdn_column"], found["guessed"], found["failed"]) == ("Phone", True, 2)


def as_query(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def test_a_preview_of_a_table_without_numbers_shows_its_columns(api: Client) -> None:
    found = preview(api, "name,age\nAlice,30\nBo,31\n")
    assert (found["msisdn_column"], found["guessed"], found["rows"], found["complete"]) == (None, False, 0, False)
    assert found["columns"][1] == {"name": "age", "field": None, "values": ["30", "31"]}


def test_an_import_guesses_nothing(api: Client) -> None:
    errors = refused(api, send(api, f"Phone,name\n{ALICE},Alice\n"))
    assert errors == {"header": ["must have a column msisdn; its columns are: Phone, name"]}


def test_the_column_of_the_phone_number_may_be_named(api: Client) -> None:
    content = f"Phone,msisdn\n{ALICE},other\n{BO},another\n"
    said = preview(api, content, query="&msisdn_column=Phone")
    assert (said["msisdn_column"], said["guessed"], said["created"]) == ("Phone", False, 2)
    assert counts(send(api, content, query="?msisdn_column=Phone")) == [2, 0, 0, 0]
    assert contacts(api) == {ALICE: {"msisdn": "other"}, BO: {"msisdn": "another"}}


@pytest.mark.parametrize("query", ["", "&preview=true"])
def test_a_column_that_is_not_there_is_refused(api: Client, query: str) -> None:
    answer = send(api, f"msisdn,name\n{ALICE},Alice\n", query=f"?msisdn_column=Phone{query}")
    assert refused(api, answer) == {"msisdn_column": ["is no column of the file; its columns are: msisdn, name"]}


@pytest.mark.parametrize(
    ("query", "kind", "errors"),
    [
        ("?msisdn_column=", CSV, {"msisdn_column": ["must be the name of a column"]}),
        ("?msisdn_column[]=x", CSV, {"msisdn_column": ["must be the name of a column"]}),
        ("?msisdn_column=x", JSON_LINES, {"msisdn_column": ["cannot be chosen: JSON lines have no columns"]}),
        ("?preview=perhaps", CSV, {"preview": ["must be true or false"]}),
    ],
)
def test_what_is_not_understood_is_refused(api: Client, query: str, kind: str, errors: Any) -> None:
    assert refused(api, send(api, f"msisdn\n{ALICE}\n", kind, query)) == errors


def test_a_column_that_is_named_twice_is_refused(api: Client) -> None:
    answer = send(api, f"Phone,Phone\n{ALICE},1\n", query="?preview=true&msisdn_column=Phone")
    assert refused(api, answer) == {"header": ["has the column Phone twice"]}


def test_json_lines_have_no_columns(api: Client) -> None:
    found = preview(api, json.dumps({"msisdn": ALICE, "metadata": {"a": [1]}}), JSON_LINES)
    assert (found["columns"], found["msisdn_column"], found["created"]) == ([], None, 1)
    assert found["contacts"] == [{"line": 1, "msisdn": ALICE, "metadata": {"a": [1]}}]


def test_what_is_wrong_with_a_file_is_said_in_a_preview_too(api: Client) -> None:
    assert "file" in refused(api, send(api, b"%PDF-1.7 ...", CSV, PREVIEW))
    assert "file" in refused(api, send(api, b"PK\x03\x04 no workbook", XLSX, PREVIEW))
    assert "header" in refused(api, send(api, f"Phone,name,name\n{ALICE},a,b\n", CSV, PREVIEW))


def test_names_and_cells_in_odd_encodings_are_shown_as_text(api: Client) -> None:
    latin = f"T\xe9l\xe9phone,Pr\xe9nom\n{ALICE},Zo\xe9\n".encode("latin-1")
    assert refused(api, send(api, latin, CSV, PREVIEW))["header"][0].startswith("is not valid UTF-8")
    found = preview(api, latin, CSV + "; charset=windows-1252")
    assert found["columns"][1] == {"name": "Prénom", "field": "metadata.Prénom", "values": ["Zoé"]}
    mixed = f"Phone,name\n{ALICE},".encode() + b"Zo\xe9\n"
    found = preview(api, mixed)
    assert (found["failed"], found["columns"][1]["values"]) == (1, ["Zo?"])
    utf16 = f"Phone\tname\r\n{ALICE}\tZoé\r\n".encode("utf-16")
    assert preview(api, utf16)["contacts"][0]["metadata"] == {"name": "Zoé"}


def test_bad_lines_of_a_preview_are_in_their_order_and_bounded(api: Client) -> None:
    content = "\n".join(["Phone,name", *(f"{number},x" for number in range(1200)), f'{ALICE},"open'])
    found = preview(api, content)
    assert (found["failed"], len(found["errors"]), found["errors_omitted"]) == (1201, 1000, 201)
    assert [error["line"] for error in found["errors"]] == sorted(error["line"] for error in found["errors"])


async def test_repeated_numbers_are_looked_for_among_so_many(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_preview, "MAX_NUMBERS", 1)
    previewed = ContactPreview(store.for_account(1), "merge", import_slots())
    for line, number in enumerate((ALICE, ALICE, BO, BO), start=1):
        await previewed.add(Row(line, number, {}, 1))
        await previewed.flush()
    assert previewed.held_bytes == import_preview.NUMBER_BYTES
    found = previewed.as_json()
    assert (found["repeated"], found["created"], found["complete"]) == (1, 3, False)


def test_opt_outs_have_no_preview(api: Client) -> None:
    body, headers = b"msisdn\n+252662345678\n", {"Content-Type": CSV}
    answer = api.post("/api/opt_outs/import?preview=true", body=body, headers=headers)
    assert answer.status == 422
    assert answer.json["errors"] == {"preview": ["is there for contacts alone"]}
    assert api.get("/api/opt_outs").json == []


def test_every_line_is_given_what_the_query_says(api: Client) -> None:
    send(api, f"msisdn,list\n{ALICE},old\n")
    query = "?metadata[list]=Flood+2026&metadata[place][zone]=5&metadata[call_flow_data][x]=1"
    content = f"msisdn,list,place.city\n{ALICE},other,Baidoa\n{BO},,\n"
    expected = {"list": "Flood 2026", "place": {"city": "Baidoa", "zone": "5"}}
    assert preview(api, content, query=query.replace("?", "&"))["contacts"][0]["metadata"] == expected
    assert counts(send(api, content, query=query)) == [1, 1, 0, 0]
    assert contacts(api) == {ALICE: expected, BO: {"list": "Flood 2026", "place": {"zone": "5"}}}
    assert counts(send(api, content, query=query)) == [0, 0, 2, 0]


def test_what_every_line_is_given_must_be_an_object(api: Client) -> None:
    assert refused(api, send(api, f"msisdn\n{ALICE}\n", query="?metadata=x")) == {"metadata": ["must be an object"]}
