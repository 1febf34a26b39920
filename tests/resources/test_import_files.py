"""``POST /api/contacts/import``: files as people have them, written by many programs in many countries."""

from __future__ import annotations

import gzip
import io
import zipfile

import pytest

from tests.resources.imports import CSV, JSON_LINES, NFC, NFD, XLSX, contacts, counts, refused, send
from tests.server import Client

ALICE = "+252662345678"
BO = "+252662345679"
CY = "+252662345680"


# The header


@pytest.mark.parametrize(
    "name",
    [
        *("MSISDN", "Msisdn", "msisdn ", "\u00a0msisdn", "msisdn\u00a0", "\u200bmsisdn\u200b", "\ufeffmsisdn"),
        *("\u200emsisdn\u200f", "\u3000msisdn", "ms\u00adisdn", '"msisdn "', "MsIsDn\u2009\t"),
    ],
)
def test_the_numbers_column_is_known_whatever_its_case_and_the_blanks_around_it(api: Client, name: str) -> None:
    for order, content in enumerate((f"{name},name\n{ALICE},Alice\n", f"name,{name}\nAlice,{ALICE}\n")):
        assert counts(send(api, content)) == [1 - order, 0, order, 0]
    assert contacts(api) == {ALICE: {"name": "Alice"}}


@pytest.mark.parametrize("name", [" name", "name ", "\u00a0name\u00a0", "\ufeffname", "\u200bname\u3000", '" name"'])
def test_names_are_stored_without_the_blanks_around_them(api: Client, name: str) -> None:
    assert counts(send(api, f"msisdn,{name},address . city\n{ALICE},Alice,Baidoa\n")) == [1, 0, 0, 0]
    assert contacts(api) == {ALICE: {"name": "Alice", "address": {"city": "Baidoa"}}}


def test_the_case_of_other_names_counts(api: Client) -> None:
    send(api, f"msisdn,Name,name\n{ALICE},A,b\n")
    assert contacts(api) == {ALICE: {"Name": "A", "name": "b"}}


def test_a_backslash_keeps_a_blank(api: Client) -> None:
    send(api, f"msisdn,\\ name,name\\ \n{ALICE},a,b\n")
    assert contacts(api) == {ALICE: {" name": "a", "name ": "b"}}


@pytest.mark.parametrize("header", ["msisdn,name,,,", "msisdn,,name,  ,\u00a0", 'msisdn,name,"","",""'])
def test_columns_without_a_name_are_ignored_as_long_as_they_are_empty(api: Client, header: str) -> None:
    place = [name.strip() for name in header.split(",")].index("name")
    cells = [ALICE, *[""] * 4]
    cells[place] = "Alice"
    assert counts(send(api, f"{header}\n{','.join(cells)}\n{BO},\u00a0, ,,\n")) == [2, 0, 0, 0]
    assert contacts(api) == {ALICE: {"name": "Alice"}, BO: {}}


def test_a_value_in_a_column_without_a_name_is_an_error_that_names_the_column(api: Client) -> None:
    answer = send(api, f"msisdn,,name\n{ALICE},,Alice\n{BO},x,Bo\n{CY},,Cy,,,\n{CY},,Cy,,x\n")
    assert counts(answer) == [2, 0, 0, 2]
    assert answer.json["errors"] == [
        {"line": 3, "column": "column 2", "reason": "has a value here, but no name in the header", "value": "x"},
        {"line": 5, "column": None, "reason": "has more cells than the header has columns", "value": None},
    ]


def test_a_header_without_the_numbers_column_is_shown(api: Client) -> None:
    answer = send(api, f"phone,name\n{ALICE},Alice\n")
    assert refused(api, answer) == {"header": ["must have a column msisdn; its columns are: phone, name"]}
    assert "msisdn is the phone number" in answer.hints["header"]
    assert send(api, "msisdn,a,a\n").hints is None


# Rows


@pytest.mark.parametrize("empty", ["", ",", ",,,", " , ", "\u00a0,\u200b", '"",""', "\t"])
def test_a_thousand_empty_rows_are_passed_over(api: Client, empty: str) -> None:
    rows = f"{empty}\n" * 500
    answer = send(api, f"{rows}msisdn,name\n{rows}{ALICE},Alice\n{rows}345,x\n")
    assert counts(answer) == [1, 0, 0, 1]
    assert [error["line"] for error in answer.json["errors"]] == [1503]


def test_cells_are_trimmed_and_stored_composed(api: Client) -> None:
    content = f"msisdn,name,{NFD}\n {ALICE}\u00a0,\u00a0 Alice \u200b,{NFD} \n"
    assert counts(send(api, content)) == [1, 0, 0, 0]
    assert contacts(api) == {ALICE: {"name": "Alice", NFC: NFC}}
    assert counts(send(api, content)) == [0, 0, 1, 0]


def test_both_forms_of_a_village_are_one_for_a_filter(api: Client) -> None:
    send(api, f"msisdn,village\n{ALICE},{NFD}\n{BO},{NFC}\n{CY}, {NFC}\u00a0\n")
    assert {metadata["village"] for metadata in contacts(api).values()} == {NFC}


def test_a_stored_text_is_tidied_and_a_stored_list_kept(api: Client) -> None:
    metadata = {"village": f"{NFD} ", "list": [f"{NFD} "], "n": 5}
    api.post("/api/contacts", json={"msisdn": ALICE, "metadata": metadata})
    exported = api.get("/api/contacts/export").json
    assert counts(send(api, exported)) == [0, 1, 0, 0]
    assert contacts(api) == {ALICE: {**metadata, "village": NFC}}


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_end_as_they_do_on_any_system(api: Client, ending: str) -> None:
    content = ending.join(["msisdn,name", f"{ALICE},Alice", f'{BO},"B{ending}o"', "345,x", ""])
    answer = send(api, content)
    assert counts(answer) == [2, 0, 0, 1]
    assert answer.json["errors"][0]["line"] == 5
    assert contacts(api)[BO] == {"name": f"B{ending}o"}


# Separators


@pytest.mark.parametrize("separator", [";", "\t", ","])
@pytest.mark.parametrize("declared", [False, True])
def test_the_header_or_a_line_of_its_own_says_what_stands_between_cells(
    api: Client, separator: str, declared: bool
) -> None:
    first = f"sep={separator}\r\n" if declared else ""
    rows = [["name", "msisdn", "note"], ["Alice", ALICE, '"a,b;c\td"'], ["Bo", "345", ""]]
    answer = send(api, first + "".join(separator.join(row) + "\r\n" for row in rows))
    assert counts(answer) == [1, 0, 0, 1]
    assert answer.json["errors"][0]["line"] == 3 + declared
    assert contacts(api) == {ALICE: {"name": "Alice", "note": "a,b;c\td"}}


@pytest.mark.parametrize("first", ["sep=|", '"sep=|"', "SEP=|"])
def test_a_line_may_say_another_separator(api: Client, first: str) -> None:
    send(api, f"{first}\nmsisdn|name\n{ALICE}|A,B;C\n")
    assert contacts(api) == {ALICE: {"name": "A,B;C"}}


def test_the_separator_is_the_one_that_makes_a_column_of_the_number(api: Client) -> None:
    send(api, f"a;b;c,msisdn\n1;2;3,{ALICE}\n")
    assert contacts(api) == {ALICE: {"a;b;c": "1;2;3"}}


# Charsets

TEXT = f"msisdn,name,ville\n{ALICE},Zoë,São Tomé\n"
STORED = {ALICE: {"name": "Zoë", "ville": "São Tomé"}}


@pytest.mark.parametrize(
    ("charset", "mark", "kind"),
    [
        ("utf-8", b"", CSV),
        ("utf-8", b"\xef\xbb\xbf", CSV),
        ("utf-16-le", b"\xff\xfe", CSV),
        ("utf-16-be", b"\xfe\xff", CSV),
        ("utf-16-le", b"\xff\xfe", "text/csv; charset=utf-8"),
        ("utf-8", b"\xef\xbb\xbf", "text/csv; charset=windows-1252"),
        ("utf-16-le", b"\xff\xfe", "text/csv; charset=utf-16"),
        ("utf-16-le", b"", "text/csv; charset=UTF-16LE"),
        ("utf-16-be", b"", "text/csv; charset=utf-16be"),
        ("cp1252", b"", "text/csv; charset=windows-1252"),
        ("latin-1", b"", 'text/csv; charset="ISO-8859-1"'),
    ],
)
def test_the_byte_order_mark_or_the_content_type_says_the_charset(
    api: Client, charset: str, mark: bytes, kind: str
) -> None:
    assert counts(send(api, mark + TEXT.encode(charset), kind)) == [1, 0, 0, 0]
    assert contacts(api) == STORED
    lines = f'{{"msisdn":"{BO}","metadata":{{"name":"Zoë"}}}}\n'
    assert counts(send(api, mark + lines.encode(charset), kind.replace(CSV, JSON_LINES))) == [1, 0, 0, 0]


def test_a_spreadsheets_unicode_text_is_read(api: Client) -> None:
    """UTF-16 with tabs, which is what spreadsheets call so."""
    content = TEXT.replace(",", "\t").replace("\n", "\r\n")
    assert counts(send(api, content.encode("utf-16"))) == [1, 0, 0, 0]
    assert contacts(api) == STORED


def test_bytes_of_another_charset_are_an_error_that_says_what_to_do(api: Client) -> None:
    answer = send(api, f"msisdn,name\n{ALICE},Zoë\n{BO},Bo\n".encode("latin-1"))
    assert counts(answer) == [1, 0, 0, 1]
    assert answer.json["errors"][0]["reason"] == (
        "is not valid UTF-8: save the file as UTF-8, "
        "or name its charset (Content-Type: text/csv; charset=windows-1252)"
    )
    assert contacts(api) == {BO: {"name": "Bo"}}


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        (
            f"msisdn,name\n{ALICE},".encode() + b"\x81\n",
            "text/csv; charset=windows-1252",
            "is not valid windows-1252",
        ),
        (b"\xff\xfe" + f"msisdn,name\n{ALICE},Bo".encode("utf-16-le") + b"x", CSV, "is not valid UTF-16-LE"),
        (
            b"\xff\xfe" + f"msisdn,name\n{ALICE},".encode("utf-16-le") + b"\x00\xd8a\x00",
            CSV,
            "is not valid UTF-16-LE",
        ),
    ],
)
def test_what_the_charset_does_not_have_is_a_bad_line(api: Client, content: bytes, kind: str, reason: str) -> None:
    answer = send(api, content, kind)
    assert counts(answer) == [0, 0, 0, 1]
    assert answer.json["errors"] == [{"line": 2, "column": "name", "reason": reason, "value": None}]


def test_a_charset_that_is_not_read_is_refused(api: Client) -> None:
    errors = refused(api, send(api, TEXT, "text/csv; charset=koi8-r"))
    assert errors == {"content_type": ["must have the charset utf-8, utf-16, windows-1252 or iso-8859-1"]}


# What is no file of contacts


def archive(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name in names:
            file.writestr(name, "x" * 100)
    return content.getvalue()


OPEN_DOCUMENT = archive("mimetype").replace(b"x" * 100, b"application/vnd.oasis.opendocument.spreadsheet" + b" " * 54)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), "old Excel workbook (.xls) or has a password"),
        (b"%PDF-1.7\n" + b"x" * 2000, "PDF document"),
        (b"<!DOCTYPE html>\n<html><body>msisdn", "HTML page"),
        (b"\xef\xbb\xbf\n  <HTML><table><tr><td>msisdn", "HTML page"),
        (b'<?xml version="1.0"?><Workbook>', "XML document"),
        (b"{\\rtf1 msisdn}", "word processor"),
        (b"BEGIN:VCARD\r\nVERSION:3.0\r\nTEL:+252662345678\r\nEND:VCARD\r\n", "vCards"),
        (gzip.compress(TEXT.encode()), "gzip"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "picture"),
        (OPEN_DOCUMENT, "OpenDocument"),
        (archive("[Content_Types].xml", "content.xml"), "OpenDocument"),
        (archive("[Content_Types].xml", "word/document.xml"), "Word document"),
        (archive("[Content_Types].xml", "xl/workbook.bin"), "binary Excel workbook"),
        (archive("Index/Document.iwa"), "Numbers"),
        (archive("contacts.csv"), "ZIP archive: unpack it"),
        (archive("contacts.csv")[:60], "damaged or incomplete workbook"),
        (archive("[Content_Types].xml", "xl/workbook.xml"), "cannot be read"),
        (b"PK\x05\x06" + bytes(18), "empty ZIP archive"),
        (TEXT.encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (TEXT.encode("utf-32"), "UTF-16 without a byte order mark"),
        (f'{{"msisdn": "{ALICE}"}}\n'.encode(), "is JSON"),
        (f'[\n {{"msisdn": "{ALICE}"}}]'.encode(), "is JSON"),
    ],
)
def test_another_kind_of_file_is_refused_with_what_it_is(api: Client, content: bytes, said: str) -> None:
    (message,) = refused(api, send(api, content))["file"]
    assert said in message
    assert counts(send(api, TEXT)) == [1, 0, 0, 0]


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/vnd.ms-excel", XLSX])
def test_a_table_in_text_must_be_sent_as_one(api: Client, kind: str) -> None:
    errors = refused(api, send(api, TEXT, kind))
    assert errors == {"file": ["is no workbook: say what it is (Content-Type: text/csv or application/x-ndjson)"]}


def test_a_form_with_the_file_is_refused_with_how_to_send_it(api: Client) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="contacts.csv"\r\n\r\nmsisdn\r\n--x--\r\n'
    (message,) = refused(api, send(api, body, "multipart/form-data; boundary=x"))["content_type"]
    assert "--data-binary @contacts.csv" in message


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf", b"PK", b"\xff\xfe"])
def test_a_file_without_anything_has_no_header(api: Client, content: bytes) -> None:
    assert "header" in refused(api, send(api, content))


def test_the_told_bad_lines_are_bounded_by_bytes(api: Client) -> None:
    name = "\u17ea" * 80
    answer = send(api, f"msisdn,{name}\n" + f"{ALICE},{'x' * 70_000}\n" * 900)
    assert counts(answer) == [0, 0, 0, 900]
    told = answer.json["errors"]
    assert 500 < len(told) < 900
    assert answer.json["errors_omitted"] == 900 - len(told)
