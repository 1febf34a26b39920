"""Contacts as lines: what is written is read, and however the bytes are cut, they say the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scfm.contacts_bulk import text_lines
from scfm.contacts_bulk.columns import Columns
from scfm.contacts_bulk.csv_format import CsvReader, csv_line
from scfm.contacts_bulk.json_lines import JsonLinesReader, json_line
from scfm.contacts_bulk.table import column_of, path_of
from scfm.contacts_bulk.text_lines import Problem, Reader, Row, cell_text
from scfm.errors import Invalid
from scfm.handlers.parameter_limits import Limits
from scfm.models.merge import merge
from scfm.models.texts import stored_form

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
# Names and values that formats have trouble with come often.
AWKWARD = st.sampled_from(
    [
        *("", ".", "\\", "a.b", "msisdn", "a", "b", '"', "\r", "\n", "\r\n", ",", " ", "5", "null", ";", "\t"),
        *(
            "MSISDN",
            " msisdn",
            "ms\u00adisdn",
            "sep=;",
            "e\u0301",
            "\u212b",
            "\u0301",
            "\u200b",
            "a\u00a0",
            "\ufeff.",
        ),
    ]
)
NAME = AWKWARD | TEXT
NUMBER = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
SCALAR = st.none() | st.booleans() | NUMBER | AWKWARD | TEXT
JSON = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=3))
METADATA = st.dictionaries(NAME, JSON, max_size=4)
FEW_NAMES = st.recursive(SCALAR, lambda inner: st.dictionaries(st.sampled_from("ab."), inner, max_size=2))
# Contacts that have some columns in common, as values in one and as objects in another.
ALIKE = st.dictionaries(st.sampled_from("ab."), FEW_NAMES, max_size=2)
CONTACTS = st.lists(METADATA | ALIKE, max_size=5).map(
    lambda found: [{"msisdn": f"+25266234567{number}", "metadata": one} for number, one in enumerate(found)]
)
CUTS = st.lists(st.integers(0, 300), max_size=5)
FORMAT = st.sampled_from([CsvReader, JsonLinesReader])


def cut(content: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    places = [0, *sorted(min(place, len(content)) for place in cuts), len(content)]
    return (content[start:end] for start, end in pairwise(places))


def read(reader: Reader, content: bytes, cuts: Iterable[int] = ()) -> list[Row | Problem] | str:
    """All that the reader finds, or, where the whole is unfit, why."""
    try:
        found = [one for chunk in cut(content, cuts) for one in reader.feed(chunk)] + list(reader.end())
        return [one for one in found if one is not None]
    except Invalid as invalid:
        return str(invalid)


def rows(reader: Reader, content: bytes) -> list[Row]:
    found = read(reader, content)
    assert isinstance(found, list)
    assert all(isinstance(one, Row) for one in found), found
    return [one for one in found if isinstance(one, Row)]


def as_csv(contacts: list[dict[str, Any]]) -> bytes:
    columns = Columns()
    for contact in contacts:
        columns.add(contact["metadata"])
    lines = [[contact["msisdn"], *map(cell_text, columns.values(contact["metadata"]))] for contact in contacts]
    return b"".join(map(csv_line, [["msisdn", *columns.names], *lines]))


def as_json_lines(contacts: list[dict[str, Any]]) -> bytes:
    return b"".join(map(json_line, contacts))


def tidied(stored: Any) -> Any:
    """Metadata whose texts are as imports store them; one of blanks alone is an empty cell, which says nothing."""
    if isinstance(stored, dict):
        return {name: tidied(value) for name, value in stored.items()}
    return stored_form(stored) or stored if isinstance(stored, str) else stored


@given(CONTACTS)
def test_csv_read_back_changes_nothing_but_blanks_and_forms(contacts: list[dict[str, Any]]) -> None:
    found = rows(CsvReader(), as_csv(contacts))
    assert [row.msisdn for row in found] == [contact["msisdn"] for contact in contacts]
    for row, contact in zip(found, contacts, strict=True):
        stored = contact["metadata"]
        once = merge(stored, row.metadata_beside(stored), "deep_merge")
        # An object that stands in one cell, as another contact has a text there, stays as it is.
        assert repr(tidied(once)) == repr(tidied(stored))
        assert repr(merge(once, row.metadata_beside(once), "deep_merge")) == repr(once)


FLAT = st.dictionaries(NAME, TEXT.filter(stored_form), min_size=1, max_size=4)


@given(st.dictionaries(NAME, TEXT.filter(stored_form) | FLAT, max_size=4))
def test_csv_carries_texts_whole_but_for_blanks_and_forms(metadata: dict[str, Any]) -> None:
    (row,) = rows(CsvReader(), as_csv([{"msisdn": "+252662345678", "metadata": metadata}]))
    assert row.metadata_beside({}) == tidied(metadata)


@given(CONTACTS)
def test_json_lines_carry_everything_whole(contacts: list[dict[str, Any]]) -> None:
    found = rows(JsonLinesReader(), as_json_lines(contacts))
    assert repr([{"msisdn": row.msisdn, "metadata": row.metadata} for row in found]) == repr(contacts)


@given(st.lists(NAME, min_size=1, max_size=4))
def test_every_path_has_a_column_of_its_own(path: list[str]) -> None:
    column = column_of(tuple(path))
    assert path_of(column) == tuple(path)
    assert column.strip().lower() not in ("", "msisdn")


MESSY = st.lists(
    st.sampled_from(
        [b'"', b'""', b",", b";", b"\n", b"\r\n", b"\r", b"\xff", b"+252662345678", b"name", b"{", b"}", b"\xc3\xa9"]
    ),
    max_size=30,
).map(b"".join)


@given(FORMAT, st.sampled_from([b"", b"msisdn,name\n", b"sep=;\nmsisdn;name\r\n", b"name,msisdn\r"]), MESSY, CUTS)
def test_the_cuts_of_the_stream_do_not_matter(
    reader: Callable[[], Reader], header: bytes, content: bytes, cuts: list[int]
) -> None:
    assert read(reader(), header + content, cuts) == read(reader(), header + content)


@given(FORMAT, st.binary(max_size=200), CUTS)
def test_no_bytes_break_a_reader(reader: Callable[[], Reader], content: bytes, cuts: list[int]) -> None:
    read(reader(), b"msisdn,name\n" + content, cuts)


# No line of these can be read as a quoted cell that goes on over the next ones.
BAD_LINE = st.sampled_from(
    [b"345,Bo", b",Bo", b"+252662345679,a,b", b"+252662345679,\xff", b'+252662345679,"a"b', b"x\ry"]
)


@given(st.lists(BAD_LINE | st.just(b"+252662345678,Alice"), max_size=12))
def test_bad_lines_take_no_good_ones_with_them(lines: list[bytes]) -> None:
    found = read(CsvReader(), b"msisdn,name\n" + b"".join(line + b"\n" for line in lines))
    assert isinstance(found, list)
    assert [one.line for one in found] == list(range(2, len(lines) + 2))
    assert [isinstance(one, Row) for one in found] == [line.endswith(b"Alice") for line in lines]


@pytest.mark.parametrize("around", [0, 1000])
def test_a_quote_that_is_never_closed_costs_its_own_line_only(around: int) -> None:
    good = [b"+252662345678,Alice"] * around
    content = b"\n".join([b"msisdn,name", *good, b'+252662345679,"Bo', *good])
    found = read(CsvReader(), content)
    assert isinstance(found, list)
    assert [one.line for one in found if isinstance(one, Problem)] == [around + 2]
    assert len(found) == 2 * around + 1


def test_a_stray_quote_inside_a_cell_is_kept() -> None:
    found = rows(CsvReader(), b'msisdn,height\n+252662345678,5\'11"\n+252662345679,6\'\n+252662345680,"6\'1"""\n')
    assert [row.metadata["height"] for row in found] == ["5'11\"", "6'", "6'1\""]


def test_a_line_is_named_by_where_its_record_starts() -> None:
    found = read(CsvReader(), b'msisdn,"a\nname"\r\n\r\n+252662345678,"two\r\nlines"\r\n345,x')
    assert isinstance(found, list)
    assert found == [
        Row(4, "+252662345678", {"a\nname": "two\r\nlines"}, 28, text=True),
        Problem(6, "msisdn", "is an invalid number", "345"),
    ]


def test_a_line_that_is_too_long_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_lines, "MAX_LINE", 40)
    content = b"msisdn,name\n+252662345678,Alice\n+252662345679," + b"x" * 40 + b"\n+252662345680,Bo\n"
    for cuts in ([], list(range(0, 200, 7))):
        found = read(CsvReader(), content, cuts)
        assert isinstance(found, list)
        assert [(one.line, isinstance(one, Row)) for one in found] == [(2, True), (3, False), (4, True)]


def test_the_bounds_are_those_of_a_request() -> None:
    limits = Limits()
    assert (
        limits.depth,
        limits.fields,
        limits.value,
    ) == (text_lines.MAX_DEPTH, text_lines.MAX_FIELDS, text_lines.MAX_TEXT)


@pytest.mark.parametrize(
    ("header", "messages"),
    [
        ("", ["must have a column msisdn; it has no columns"]),
        ("name|msisdn", ["must have a column msisdn; its columns are: name|msisdn"]),
        ("name;phone,a", ["must have a column msisdn; its columns are: name;phone, a"]),
        (
            ",".join(map(str, range(21))),
            [f"must have a column msisdn; its columns are: {', '.join(map(str, range(20)))}, …"],
        ),
        ("msisdn,a,a", ["has the column a twice"]),
        ("msisdn,Msisdn", ["has the column msisdn twice"]),
        ("msisdn,a, a ", ["has the column a twice"]),
        ("msisdn,\u00e9,e\u0301", ["has the column e\u0301 twice"]),
        ("msisdn,a.b,a,a.c", ["has both the columns a and a.b", "has both the columns a and a.c"]),
        ("msisdn," + "a." * 32, [f"has the column {'a.' * 32}, which is nested too deeply (maximum is 31 levels)"]),
        ("msisdn," + ",".join(map(str, range(1000))), ["has too many columns (maximum is 1000)"]),
        ('msisdn,"a', ["is not valid CSV: a quote is out of place or never closed"]),
        ('msisdn,"a\n"\rname', ["is not valid CSV: a carriage return stands outside quotes"]),
        ("msisdn," + "x" * 70_000, ["has names that are too long (maximum is 65536 characters in all)"]),
        ("msisdn" + "," * 17_000, ["has too many columns (maximum is 1000)"]),
    ],
)
def test_a_bad_header_says_why(header: str, messages: list[str]) -> None:
    with pytest.raises(Invalid) as invalid:
        list(read_strictly(header.encode() + b"\n"))
    assert invalid.value.errors == {"header": messages}


def test_a_header_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(Invalid) as invalid:
        list(read_strictly(b"msisdn,\xff\n"))
    (message,) = invalid.value.errors["header"]
    assert message.startswith("is not valid UTF-8: save the file as UTF-8, or name its charset")


def read_strictly(content: bytes) -> Iterator[Row | Problem | None]:
    reader = CsvReader()
    yield from reader.feed(content)
    yield from reader.end()


def test_columns_are_those_that_hold_values_in_the_order_in_which_they_come() -> None:
    contacts = [
        {"msisdn": "+252662345678", "metadata": {"name": "Alice", "address": {"city": "Baidoa"}, "none": None}},
        {"msisdn": "+252662345679", "metadata": {"a.b": [1, "x"], "name": {}, "address": {"zone": 5}, "ok": True}},
        {"msisdn": "+252662345680", "metadata": {"msisdn": "x", "ok": {"since": 2018}}},
    ]
    assert as_csv(contacts).decode().split("\r\n") == [
        "msisdn,name,address.city,a\\.b,address.zone,ok,\\msisdn",
        "+252662345678,Alice,Baidoa,,,,",
        '+252662345679,,,"[1,""x""]",5,true,',
        '+252662345680,,,,,"{""since"":2018}",x',
        "",
    ]
