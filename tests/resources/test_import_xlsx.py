"""``POST /api/contacts/import``: workbooks (XLSX)."""

from __future__ import annotations

import datetime
import io
import zipfile
from collections.abc import Callable, Iterable
from typing import Any

import openpyxl
import pytest

from scfm.contacts_bulk import xlsx_reader
from tests.resources.imports import CSV, NFC, NFD, XLSX, contacts, counts, refused, send
from tests.server import Client

ALICE = "+252662345678"
BO = "+252662345679"
NUMBER = 85512345678


def workbook(*rows: Iterable[Any], **others: list[list[Any]]) -> bytes:
    """A workbook with a sheet Contacts of these rows, and OTHERS after it, by their names."""
    book = openpyxl.Workbook()
    first = book.active
    assert first is not None
    first.title = "Contacts"
    for row in rows:
        first.append(list(row))
    for name, more in others.items():
        sheet = book.create_sheet(name)
        for row in more:
            sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def changed(content: bytes, part: str, change: Callable[[bytes], bytes]) -> bytes:
    """The workbook with one part of the archive changed."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name == part else old.read(name))
    return made.getvalue()


BOOK = "xl/workbook.xml"
SHEET = "xl/worksheets/sheet1.xml"


@pytest.mark.parametrize(
    "kind", [XLSX, CSV, "text/csv; charset=utf-8", "application/octet-stream", "application/zip"]
)
def test_a_workbook_is_known_by_its_first_bytes(api: Client, kind: str) -> None:
    content = workbook(["MSISDN\u00a0", " name", "address.city"], [NUMBER, "Alice ", NFD], [BO])
    answer = send(api, content, kind)
    assert answer.json == {
        "created": 2,
        "updated": 0,
        "unchanged": 0,
        "failed": 0,
        "errors": [],
        "errors_omitted": 0,
    }
    assert contacts(api) == {f"+{NUMBER}": {"name": "Alice", "address": {"city": NFC}}, BO: {}}
    assert counts(send(api, content, kind)) == [0, 0, 2, 0]


@pytest.mark.parametrize("stored", ["85512345678", "85512345678.0", "8.5512345678E10", "8.5512345678E+010"])
def test_a_number_is_that_number_however_it_is_stored(api: Client, stored: str) -> None:
    content = workbook(["msisdn"], [NUMBER])
    content = changed(content, SHEET, lambda xml: xml.replace(b"<v>85512345678</v>", f"<v>{stored}</v>".encode()))
    assert counts(send(api, content, XLSX)) == [1, 0, 0, 0]
    assert list(contacts(api)) == [f"+{NUMBER}"]


def test_cells_are_what_a_spreadsheet_shows(api: Client) -> None:
    day, moment = datetime.datetime(2018, 5, 19), datetime.datetime(2018, 5, 19, 6, 49, 24)
    values = {
        "int": 5,
        "whole": 5.0,
        "float": 0.1 + 0.2,
        "long": 123456789012345678,
        "yes": True,
        "no": False,
        "day": day,
        "moment": moment,
        "time": datetime.time(6, 49),
        "span": datetime.timedelta(hours=26),
        "text": "=x",
        "lines": "a\nb",
        "empty": None,
        "blank": "  ",
    }
    content = workbook(["msisdn", *values], [NUMBER, *values.values()])
    content = changed(
        content,
        SHEET,
        lambda xml: xml.replace(b"<f>x</f><v></v>", b"<f>x</f><v>4</v>").replace(
            b"<f>x</f><v />", b"<f>x</f><v>4</v>"
        ),
    )
    assert counts(send(api, content, XLSX)) == [1, 0, 0, 0]
    assert contacts(api)[f"+{NUMBER}"] == {
        "int": "5",
        "whole": "5",
        "float": "0.3",
        "long": "123456789012346000",
        "yes": "true",
        "no": "false",
        "day": "2018-05-19",
        "moment": "2018-05-19T06:49:24",
        "time": "06:49:00",
        "span": "PT93600S",
        "text": "4",
        "lines": "a\nb",
    }


def test_errors_and_formulas_without_a_result_are_told_by_row_and_column(api: Client) -> None:
    content = workbook(
        ["msisdn", "name", None],
        [NUMBER, "#N/A"],
        [],
        [BO, "=A1"],
        ["#REF!", "x"],
        [ALICE, "y", "#DIV/0!"],
        [ALICE, "z"],
    )
    answer = send(api, content, XLSX)
    assert counts(answer) == [1, 0, 0, 4]
    assert answer.json["errors"] == [
        {"line": 2, "column": "name", "reason": "holds the error #N/A", "value": None},
        {
            "line": 4,
            "column": "name",
            "reason": "holds a formula without a result: open the workbook, and save it again",
            "value": None,
        },
        {"line": 5, "column": "msisdn", "reason": "holds the error #REF!", "value": None},
        {"line": 6, "column": "column 3", "reason": "holds the error #DIV/0!", "value": None},
    ]
    assert contacts(api) == {ALICE: {"name": "z"}}


def test_empty_rows_and_columns_are_passed_over(api: Client) -> None:
    rows: list[list[Any]] = [[], [None, " "], ["msisdn", None, "name", None], *[[None, "", "  "]] * 1000]
    content = workbook(*rows, [NUMBER, None, "Alice"], *[[]] * 1000, ["345", None, "Bo"])
    answer = send(api, content, XLSX)
    assert counts(answer) == [1, 0, 0, 1]
    assert answer.json["errors"][0]["line"] == 2005


def test_the_first_sheet_is_read_or_the_one_that_is_named(api: Client) -> None:
    content = workbook(["msisdn", "from"], [ALICE, "first"], Second=[["msisdn", "from"], [BO, "second"]])
    assert counts(send(api, content, XLSX)) == [1, 0, 0, 0]
    assert counts(send(api, content, XLSX, "?sheet=second")) == [1, 0, 0, 0]
    assert contacts(api) == {ALICE: {"from": "first"}, BO: {"from": "second"}}


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_a_hidden_sheet_is_read_only_if_it_is_named_or_alone(api: Client, state: str) -> None:
    content = workbook(["msisdn", "from"], [ALICE, "hidden"], Second=[["msisdn", "from"], [BO, "shown"]])
    hidden = changed(content, BOOK, lambda xml: xml.replace(b'state="visible"', f'state="{state}"'.encode(), 1))
    assert counts(send(api, hidden, XLSX)) == [1, 0, 0, 0]
    assert contacts(api) == {BO: {"from": "shown"}}
    assert counts(send(api, hidden, XLSX, "?sheet=Contacts")) == [1, 0, 0, 0]
    assert contacts(api) == {ALICE: {"from": "hidden"}, BO: {"from": "shown"}}
    none_shown = changed(content, BOOK, lambda xml: xml.replace(b'state="visible"', f'state="{state}"'.encode()))
    assert counts(send(api, none_shown, XLSX)) == [0, 0, 1, 0]


def test_a_sheet_that_there_is_not_is_refused_with_those_that_there_are(api: Client) -> None:
    content = workbook(["msisdn"], [ALICE], Second=[])
    errors = refused(api, send(api, content, XLSX, "?sheet=Third"))
    assert errors == {"sheet": ["is not in the workbook, which has: Contacts, Second"]}
    errors = refused(api, send(api, f"msisdn\n{ALICE}\n", CSV, "?sheet=Contacts"))
    assert errors == {"sheet": ["cannot be chosen: the file is no workbook"]}


def test_a_damaged_workbook_changes_nothing(api: Client) -> None:
    content = workbook(["msisdn"], *[[NUMBER + row] for row in range(2000)])
    for damage in (
        lambda xml: xml[:-500],
        lambda xml: xml.replace(b"</row>", b"</rwo>", 1),
        lambda _: b"",
        lambda _: b"\xff",
    ):
        (message,) = refused(api, send(api, changed(content, SHEET, damage), XLSX))["file"]
        assert "cannot be read" in message
    (message,) = refused(api, send(api, content[:-100], XLSX))["file"]
    assert "damaged or incomplete" in message


def test_entities_do_not_grow_and_read_no_files(api: Client) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + b"".join(
        b'<!ENTITY %c "%s">' % (98 + level, b"&%c;" % (97 + level) * 10) for level in range(9)
    )
    for doctype, entity in (
        (bomb + b"]>", b"&j;"),
        (b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>', b"&a;"),
    ):
        content = changed(
            workbook(["msisdn", "name"], [NUMBER, 5]),
            SHEET,
            lambda xml, doctype=doctype, entity=entity: doctype + xml.replace(b"<v>5</v>", b"<v>" + entity + b"</v>"),
        )
        answer = send(api, content, XLSX)
        assert answer.status == 422 or "root" not in str(contacts(api))
        assert len(str(contacts(api))) < 1000


def test_an_archive_that_unpacks_to_too_much_is_refused(api: Client) -> None:
    filling = b" " * (xlsx_reader.MAX_UNPACKED + 1)
    content = changed(workbook(["msisdn"], [ALICE]), SHEET, lambda xml: xml + filling)
    assert len(content) < 1 << 20
    (message,) = refused(api, send(api, content, XLSX))["file"]
    assert "too large" in message


def test_a_row_far_down_or_a_cell_far_out_takes_no_room(api: Client) -> None:
    content = changed(
        workbook(["msisdn", "name"], [ALICE, "Alice"]),
        SHEET,
        lambda xml: xml.replace(b'r="B2"', b'r="XFD1000000"').replace(b'<row r="2"', b'<row r="1000000"'),
    )
    answer = send(api, content, XLSX)
    assert counts(answer) == [0, 0, 0, 1]
    assert answer.json["errors"] == [
        {"line": 1000000, "column": None, "reason": "has more cells than the header has columns", "value": None}
    ]


def test_texts_may_be_shared_by_cells_as_spreadsheets_write_them(api: Client) -> None:
    texts = ["MSISDN", "name", "Zo\u00eb\u00a0", BO]
    content = changed(
        workbook(["x"]),
        SHEET,
        lambda _: (
            b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
            b'<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>'
            b'<row r="2"><c r="A2"><v>8.5512345678E10</v></c><c r="B2" t="s"><v>2</v></c></row>'
            b'<row r="3"><c r="A3" t="s"><v>3</v></c><c r="B3" t="s"><v>2</v></c></row>'
            b"</sheetData></worksheet>"
        ),
    )
    made = io.BytesIO(content)
    with zipfile.ZipFile(made, "a") as archive:
        shared = "".join(f"<si><t>{text}</t></si>" for text in texts)
        namespace = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
        archive.writestr("xl/sharedStrings.xml", f'<sst xmlns="{namespace}">{shared}</sst>')
    kind = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    part = b'<Override PartName="/xl/sharedStrings.xml" ContentType="' + kind + b'"/></Types>'
    content = changed(made.getvalue(), "[Content_Types].xml", lambda xml: xml.replace(b"</Types>", part))
    assert counts(send(api, content, XLSX)) == [2, 0, 0, 0]
    assert contacts(api) == {f"+{NUMBER}": {"name": "Zo\u00eb"}, BO: {"name": "Zo\u00eb"}}
