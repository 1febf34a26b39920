"""Single lines of JSON: which are contacts, and why others are not."""

from __future__ import annotations

import pytest

from scfm.contacts_bulk.json_lines import MAX_JSON_TOKENS, JsonLinesReader
from scfm.contacts_bulk.text_lines import Problem
from tests.properties.test_contact_lines import read, rows


def nested(depth: int) -> bytes:
    return b'{"msisdn":"+252662345678","metadata":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"msisdn":"+252662345678"', (None, "is not valid JSON")),
        (b'{"msisdn":"+252662345678","metadata":{"a":NaN}}', (None, "is not valid JSON")),
        (b'{"msisdn":"+252662345678","metadata":{"a":1e999}}', (None, "is not valid JSON")),
        (b'{"msisdn":"+252662345678","metadata":{"a":"\\ud800"}}', ("metadata", "is not valid JSON")),
        (b"[" * 40_000, (None, "is not valid JSON")),
        (
            b'{"msisdn":"\xff"}',
            (
                None,
                "is not valid UTF-8: save the file as UTF-8, "
                "or name its charset (Content-Type: text/csv; charset=windows-1252)",
            ),
        ),
        (
            b'{"msisdn":"+252662345678","x":[' + b"[]," * MAX_JSON_TOKENS + b"0]}",
            (None, "has too many values (maximum is 50000)"),
        ),
        (b"[]", (None, "must be an object")),
        (b'"+252662345678"', (None, "must be an object")),
        (b"{}", ("msisdn", "can't be blank")),
        (b'{"msisdn":true}', ("msisdn", "can't be blank", "true")),
        (b'{"msisdn":"345"}', ("msisdn", "is an invalid number", "345")),
        (b'{"msisdn":"+252662345678","metadata":[1]}', ("metadata", "must be an object")),
        (
            b'{"msisdn":"+252662345678","metadata":{"a":9223372036854775808}}',
            ("metadata", "has a number that is too large to store"),
        ),
        (nested(32), ("metadata", "is nested too deeply (maximum is 32 levels)")),
        (
            b'{"msisdn":"+252662345678","metadata":{"a":[' + b"1," * 1000 + b"1]}}",
            ("metadata", "has too many fields (maximum is 1000)"),
        ),
        (
            b'{"msisdn":"+252662345678","metadata":{"a":"' + b"x" * 65537 + b'"}}',
            ("metadata", "has a text that is too long (maximum is 65536 bytes)"),
        ),
    ],
)
def test_a_bad_line_of_json_says_why(line: bytes, problem: tuple[str | None, str] | tuple[str, str, str]) -> None:
    assert read(JsonLinesReader(), b"\n" + line + b"\n") == [Problem(2, *problem)]


@pytest.mark.parametrize(
    "line",
    [nested(31), b'{"msisdn":252662345678,"id":7,"metadata":null}', b'\t{"msisdn":"00252 662 345 678"}\r'],
)
def test_a_good_line_of_json_is_read(line: bytes) -> None:
    (row,) = rows(JsonLinesReader(), b"\xef\xbb\xbf" + line)
    assert (row.line, row.msisdn) == (1, "+252662345678")
