"""``GET /api/callouts/1/results``: what became of each person, as CSV, JSON lines and a workbook."""

from __future__ import annotations

import csv
import io
import json
import urllib.request
from datetime import UTC, datetime
from typing import Any

import openpyxl
import pytest

from scfm.models.outcome import OUTCOMES
from scfm.results import workbook_writer
from scfm.results.workbook_writer import WorkbookWriter
from tests.resources.conftest import Documents, make, wait_for_outcomes
from tests.server import Client, Server

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
AT = datetime(2026, 11, 29, 10, 41, 7, 250_000, tzinfo=UTC)
FIXED = ["outcome", "outcome_reason", "attempts", "first_attempt_at", "last_attempt_at", "duration"]
MADE = iter(range(10_000))


def person(api: Client, callout_id: int, metadata: dict[str, Any]) -> tuple[int, str]:
    """A participation of a new contact: its id, and the number."""
    msisdn = f"+25266234{next(MADE):04}"
    contact_id = make(api, "/api/contacts", msisdn=msisdn, metadata=metadata)
    return make(api, f"/api/callouts/{callout_id}/callout_participations", contact_id=contact_id), msisdn


def became(database: Documents, participation_id: int, **fields: Any) -> None:
    wait_for_outcomes(database)
    database["callout_participations"].update_one({"_id": participation_id}, {"$set": fields})


@pytest.fixture
def callout_id(api: Client) -> int:
    return make(api, "/api/callouts")


def results(api: Client, callout_id: int, query: str = "") -> Any:
    answer = api.get(f"/api/callouts/{callout_id}/results{query}")
    assert answer.status == 200
    return answer.json


def table(content: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content, newline="")))


def workbook(server: Server, api: Client, path: str) -> Any:
    request = urllib.request.Request(f"{server.url}{path}", headers={"Authorization": f"Bearer {api.token}"})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["Content-Type"] == XLSX
        return openpyxl.load_workbook(io.BytesIO(answer.read()))


def test_a_row_has_the_person_their_metadata_the_outcome_and_the_answers(
    api: Client, callout_id: int, database: Documents
) -> None:
    alice, number = person(api, callout_id, {"name": "Alice", "address": {"city": "Baidoa"}})
    bo, other = person(api, callout_id, {"name": "Bo", "age": 5})
    answers = {"safe": True, "needs": {"recording_url": "https://example.org/1", "seconds": 7}}
    became(
        database,
        alice,
        outcome="acknowledged",
        outcome_reason=None,
        attempts=2,
        _first_attempt_at=AT,
        last_attempt_at=AT.replace(minute=52),
        _duration=31,
        answers=answers,
    )
    became(database, bo, outcome="unreached", outcome_reason="busy", attempts=3)
    answer = api.get(f"/api/callouts/{callout_id}/results")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="callout-{callout_id}-results.csv"'
    header, *rows = table(answer.json)
    metadata, replies = (
        ["name", "address.city", "age"],
        ["answers.safe", "answers.needs.recording_url", "answers.needs.seconds"],
    )
    assert header == ["contact_id", "msisdn", *metadata, *FIXED, *replies]
    times = ["2026-11-29T10:41:07.250Z", "2026-11-29T10:52:07.250Z"]
    assert rows[0][1:] == [
        *(number, "Alice", "Baidoa", "", "acknowledged", "", "2", *times, "31"),
        *("true", "https://example.org/1", "7"),
    ]
    assert rows[1][1:] == [other, "Bo", "", "5", "unreached", "busy", "3", "", "", "", "", "", ""]
    first, second = map(json.loads, results(api, callout_id, "?format=jsonl").splitlines())
    assert list(first) == ["contact_id", "msisdn", "metadata", *FIXED, "answers"]
    assert first["answers"] == answers
    assert first["metadata"] == {"name": "Alice", "address": {"city": "Baidoa"}}
    assert (second["outcome"], second["outcome_reason"], second["attempts"]) == ("unreached", "busy", 3)


def test_a_workbook_has_the_same_rows_with_numbers_as_numbers_and_phone_numbers_as_texts(
    server: Server, api: Client, callout_id: int, database: Documents
) -> None:
    metadata = {
        "a": 'x < y & "z"',
        "b": -1.5,
        "c": "\x01\x0b_x0041_ é 😀",
        "d": 2**60,
        "e": True,
        "f": "  two\nlines ",
    }
    participation_id, number = person(api, callout_id, metadata)
    became(database, participation_id, attempts=2, answers={"safe": "1"})
    book = workbook(server, api, f"/api/callouts/{callout_id}/results?format=xlsx")
    header, row = book["Results"].iter_rows(values_only=True)
    cells = dict(zip(header, row, strict=True))
    assert (cells["msisdn"], cells["attempts"], cells["answers.safe"]) == (number, 2, "1")
    assert [cells[name] for name in "abdef"] == [metadata["a"], -1.5, str(2**60), "true", metadata["f"]]
    assert cells["c"] in (metadata["c"], "_x0001__x000B__x005F_x0041_ é 😀")
    assert cells["outcome_reason"] is None


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\t=1", "\r=1"])
def test_what_a_spreadsheet_takes_for_a_formula_becomes_text(
    server: Server, api: Client, callout_id: int, database: Documents, text: str
) -> None:
    participation_id, number = person(api, callout_id, {"=name": text, "plain": f"a{text}", "number": -5})
    became(database, participation_id, answers={"note": text})
    header, row = table(results(api, callout_id))
    cells = dict(zip(header, row, strict=True))
    assert cells["'=name"] == cells["answers.note"] == f"'{text}"
    assert (cells["msisdn"], cells["plain"], cells["number"]) == (number, f"a{text}", "-5")
    sheet = workbook(server, api, f"/api/callouts/{callout_id}/results?format=xlsx")["Results"]
    assert not [cell for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
    assert json.loads(results(api, callout_id, "?format=jsonl"))["answers"] == {"note": text}


def test_metadata_with_the_name_of_another_column_has_a_backslash_before_it(api: Client, callout_id: int) -> None:
    names = {"outcome": "a", "msisdn": "b", "contact_id": "c", "answers": {"x": "d"}, "answer": "e"}
    person(api, callout_id, names)
    header = table(results(api, callout_id))[0]
    assert header[2:7] == ["\\outcome", "\\msisdn", "\\contact_id", "\\answers.x", "answer"]
    assert len(set(header)) == len(header)


def test_filters_are_those_of_participations(api: Client, callout_id: int) -> None:
    person(api, callout_id, {"district": "A"})
    _, number = person(api, callout_id, {"town": "B"})
    assert [row[1] for row in table(results(api, callout_id, f"?q[msisdn]={number[1:]}"))] == ["msisdn", number]
    assert table(results(api, callout_id, f"?q[msisdn]={number[1:]}"))[0][2] == "town"
    assert len(table(results(api, callout_id, "?q[has_phone_calls]=false"))) == 3
    assert len(table(results(api, callout_id, "?q[outcome]=pending"))) == 3
    assert len(table(results(api, callout_id, "?q[outcome]=unreached,waiting"))) == 1


def test_nobody_is_a_header_an_empty_sheet_or_nothing(server: Server, api: Client, callout_id: int) -> None:
    assert table(results(api, callout_id)) == [["contact_id", "msisdn", *FIXED]]
    assert results(api, callout_id, "?format=jsonl") is None
    sheet = workbook(server, api, f"/api/callouts/{callout_id}/results?format=xlsx")["Results"]
    assert sheet.max_row == 1


def test_a_byte_order_mark_is_written_where_it_is_asked_for(api: Client, callout_id: int) -> None:
    assert results(api, callout_id, "?bom=true").startswith("\ufeffcontact_id")
    assert results(api, callout_id, "?bom=false").startswith("contact_id")


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("format=xls", {"format": ["is not included in the list: csv, jsonl, xlsx"]}),
        ("format[]=csv", {"format": ["is not included in the list: csv, jsonl, xlsx"]}),
        ("bom=yes", {"bom": ["must be true or false"]}),
        ("q[outcome]=unreach", {"q": [f'/outcome: "unreach" is not an outcome ({", ".join(OUTCOMES)})']}),
        ("q[outcom]=unreached", {"q": ["/outcom: is not a filter of callout participations"]}),
        ("q=unreached", {"q": ["must be an object"]}),
    ],
)
def test_what_is_not_understood_is_refused(api: Client, callout_id: int, query: str, errors: Any) -> None:
    answer = api.get(f"/api/callouts/{callout_id}/results?{query}")
    assert (answer.status, answer.json) == (422, {"errors": errors})


def test_another_accounts_callout_is_not_there(api: Client, stranger: Client, callout_id: int) -> None:
    assert stranger.get(f"/api/callouts/{callout_id}/results").status == 404
    assert api.get("/api/callouts/0/results").status == 404
    assert api.head(f"/api/callouts/{callout_id}/results").status == 200


def test_what_flows_remember_is_left_out(api: Client, callout_id: int, database: Documents) -> None:
    person(api, callout_id, {"name": "Alice"})
    memory = {"metadata.call_flow_data": {"Flow": {"secret": "x"}}}
    database["contacts"].update_many({"account_id": api.get("/api/account").json["id"]}, {"$set": memory})
    assert "secret" not in results(api, callout_id) + results(api, callout_id, "?format=jsonl")


def test_more_rows_than_a_sheet_may_have_go_on_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook_writer, "MAX_SHEET_ROWS", 4)
    writer = WorkbookWriter("Results", ["number", "text"])
    written = b""
    for number in range(7):
        writer.add([number, "x" * (workbook_writer.MAX_CHARACTERS + number)])
        written += writer.take()
    writer.close()
    book = openpyxl.load_workbook(io.BytesIO(written + writer.take()))
    assert book.sheetnames == ["Results", "Results 2", "Results 3"]
    rows = [row for sheet in book for row in sheet.iter_rows(min_row=2, values_only=True)]
    assert rows == [(number, "x" * workbook_writer.MAX_CHARACTERS) for number in range(7)]
    assert {sheet["A1"].value for sheet in book} == {"number"}
