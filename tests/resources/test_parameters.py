"""How the parameters of a request are read: the names of Rails, the kinds of bodies, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scfm.errors import BadRequest, TooLarge
from scfm.handlers.forms import FORM
from scfm.handlers.parameter_limits import Limits
from scfm.handlers.parameters import JSON, parse_parameters

MULTIPART = "multipart/form-data; boundary=frontier"
SMALL = Limits(body=400, depth=3, fields=4, value=10)


def form(text: str) -> dict[str, Any]:
    return parse_parameters("", text.encode(), FORM)


def from_json(text: str | bytes) -> dict[str, Any]:
    return parse_parameters("", text.encode() if isinstance(text, str) else text, JSON)


def multipart(*parts: tuple[str, str]) -> bytes:
    """A body of (Content-Disposition parameters, content) parts."""
    texts = (f"--frontier\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n" for head, content in parts)
    return "".join((*texts, "--frontier--\r\n")).encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("msisdn=%2B252662345678", {"msisdn": "+252662345678"}),
        ("metadata[name]=Alice", {"metadata": {"name": "Alice"}}),
        ("metadata%5Bname%5D=Alice", {"metadata": {"name": "Alice"}}),
        ("[metadata][name]=Bob&[metadata][gender]=m", {"metadata": {"name": "Bob", "gender": "m"}}),
        ("a[b][c]=1", {"a": {"b": {"c": "1"}}}),
        ("list[]=x&list[]=y", {"list": ["x", "y"]}),
        ("a[list][]=x&a[list][]=y", {"a": {"list": ["x", "y"]}}),
        ("list[][k]=1&list[][j]=2&list[][k]=3", {"list": [{"k": "1", "j": "2"}, {"k": "3"}]}),
        ("list[][k][x]=1&list[][k][y]=2&list[][k][x]=3", {"list": [{"k": {"x": "1", "y": "2"}}, {"k": {"x": "3"}}]}),
        ("list[][k][]=1&list[][k][]=2", {"list": [{"k": ["1", "2"]}]}),
        ("list[]=x&list[][k]=1&list[]=y", {"list": ["x", {"k": "1"}, "y"]}),
        ("list[][]=x&list[][]=y", {"list": [["x"], ["y"]]}),
        ("list[][k]=1&list[][]=x", {"list": [{"k": "1"}, ["x"]]}),
        ("list[]", {"list": [None]}),
        ("list[][]", {"list": [None]}),
        ("a[0]=x", {"a": {"0": "x"}}),
        ("a=1&a=2", {"a": "2"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=1;b=2", {"a": "1;b=2"}),
        ("a=1&  b=2&&c=3&", {"a": "1", "b": "2", "c": "3"}),
        ("a=x+y%2Bz", {"a": "x y+z"}),
        ("a=%00", {"a": "\0"}),
        ("a=é", {"a": "é"}),
        ("a=", {"a": ""}),
        ("a", {"a": None}),
        ("a&a[b]=1", {"a": {"b": "1"}}),
        ("", {}),
        ("=1&[]=2&[[=3", {}),
    ],
)
def test_a_form_is_read_as_rails_reads_it(text: str, expected: dict[str, Any]) -> None:
    assert form(text) == expected
    assert parse_parameters(text.encode().decode("latin-1"), b"", "") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a[b=1", {"a": {"b": "1"}}),
        ("a[=1", {"a[": "1"}),
        ("a]=1", {"a": "1"}),
        ("a]b=1", {"a": {"b": "1"}}),
        ("a[b]c=1", {"a": {"b": {"c": "1"}}}),
        ("a[]b=1", {"a": [{"b": "1"}]}),
        ("a[][b]c=1", {"a": [{"b": {"c": "1"}}]}),
        ("a[[b]]=1", {"a": {"b": "1"}}),
        ("a[ ]=1", {"a": {" ": "1"}}),
        ("a[b\nc]=1", {"a": {"b\nc": "1"}}),
    ],
)
def test_odd_brackets_mean_what_they_mean_to_rack(text: str, expected: dict[str, Any]) -> None:
    assert form(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a=1&a[b]=2",
        "a[b]=2&a=1",
        "a[b]=2&a",
        "a[]=1&a=2",
        "a=&a[]=2",
        "a[]=1&a[b]=2",
        "a[b]=1&a[]=2",
        "a[b]=1&a[b][c]=2",
        "a[][b]=1&a[][b][c]=2",
        "a[[]=1",
        "a[][=1",
        "a=%zz",
        "a=%4",
        "%=1",
        "a=%ff",
        "a=%ed%a0%80",
        "%c3[b]=1",
    ],
)
def test_a_form_that_cannot_be_read_is_a_bad_request_without_a_reason(text: str) -> None:
    for request in [("", text.encode(), FORM), (text, b"", "")]:
        with pytest.raises(BadRequest) as refused:
            parse_parameters(*request)
        assert not str(refused.value)


def test_raw_bytes_that_are_no_utf_8_are_a_bad_request() -> None:
    with pytest.raises(BadRequest):
        parse_parameters("", b"a=\xff", FORM)
    with pytest.raises(BadRequest):
        parse_parameters("a=\xff", b"", "")


def test_json_values_keep_their_types() -> None:
    values: dict[str, Any] = {
        "i": 1,
        "f": 1.5,
        "t": True,
        "n": None,
        "s": "1",
        "l": [1, None, {"a": []}],
        "o": {},
        "big": 10**40,
    }
    assert from_json(json.dumps(values)) == values


def test_the_last_of_two_equal_names_in_json_counts() -> None:
    assert from_json('{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize(
    ("text", "value"), [("[1, 2]", [1, 2]), ("3", 3), ('"x"', "x"), ("null", None), ('[{"a": 1}]', [{"a": 1}])]
)
def test_json_that_is_no_object_comes_under_json(text: str, value: object) -> None:
    assert from_json(text) == {"_json": value}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{]",
        '{"a": 1,}',
        "{'a': 1}",
        " ",
        '{"a": 1} x',
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        r'{"a": "\ud800"}',
        r'{"\udfff": 1}',
        r'{"a": ["\ud800"]}',
        '{"a": "\t"}',
        '"open',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'\xef\xbb\xbf\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16-le"),
    ],
)
def test_malformed_json_is_a_bad_request_without_a_reason(text: str | bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        from_json(text)
    assert not str(refused.value)


def test_a_surrogate_pair_is_one_character() -> None:
    assert from_json(r'{"a": "\ud83d\ude00"}') == {"a": "😀"}


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/hal+json"]
)
def test_every_json_type_is_json(content_type: str) -> None:
    assert parse_parameters("", b'{"a": 1}', content_type) == {"a": 1}


@pytest.mark.parametrize("content_type", ["", FORM, f"{FORM}; charset=UTF-8", FORM.upper()])
def test_a_body_without_a_type_is_a_form(content_type: str) -> None:
    assert parse_parameters("", b"a=1", content_type) == {"a": "1"}


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/octet-stream", "nonsense"])
def test_a_body_of_another_type_is_ignored(content_type: str) -> None:
    assert parse_parameters("b=2", b"\xff a=%zz", content_type) == {"b": "2"}


@pytest.mark.parametrize("content_type", ["", FORM, JSON, MULTIPART, "text/plain"])
def test_an_empty_body_has_no_parameters(content_type: str) -> None:
    assert parse_parameters("", b"", content_type) == {}


@pytest.mark.parametrize(("body", "content_type"), [(b"a[x]=1&c=3", FORM), (b'{"a": {"x": "1"}, "c": "3"}', JSON)])
def test_the_query_wins_over_the_body_name_by_name_at_the_top_level(body: bytes, content_type: str) -> None:
    assert parse_parameters("a[y]=2", body, content_type) == {"a": {"y": "2"}, "c": "3"}


def test_the_text_parts_of_a_multipart_body_are_parameters() -> None:
    body = multipart(
        ('name="msisdn"', "+252662345678"),
        ('name="metadata[name]"', "Alice & Bob = %zz + é\r\n--front"),
        ("name=plain", ""),
        ('name="list[][k]"', "1"),
        ('name="list[][j]"', "2"),
        ('name="list[][k]"', "3"),
        (r'name="quo\"te\\d"', "q"),
    )
    assert parse_parameters("", body, MULTIPART) == {
        "msisdn": "+252662345678",
        "metadata": {"name": "Alice & Bob = %zz + é\r\n--front"},
        "plain": "",
        "list": [{"k": "1", "j": "2"}, {"k": "3"}],
        'quo"te\\d': "q",
    }


def test_the_files_of_a_multipart_body_are_ignored() -> None:
    body = multipart(('name="a"', "1"), ('name="f"; filename="x.bin"', "z" * 100_000), ('name="g"; filename=""', ""))
    assert parse_parameters("", body, MULTIPART) == {"a": "1"}


def test_a_multipart_body_may_have_a_preamble_other_headers_a_quoted_boundary_and_an_epilogue() -> None:
    part = b'--f r\r\nContent-Type: text/plain\r\ncontent-disposition: form-data; NAME="a"\r\n\r\n1\r\n'
    assert parse_parameters("", b"hello\r\n" + part + b"--f r--bye", 'multipart/form-data; boundary="f r"') == {
        "a": "1"
    }


@pytest.mark.parametrize(
    "body",
    [
        b"nonsense",
        b"--frontier\r\n",
        b'--frontier\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n',
        b'--frontier\r\nContent-Disposition: form-data; name="a"\r\n1\r\n--frontier--',
        b'--frontierless\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--frontier--',
        b"--frontier\r\nContent-Type: text/plain\r\n\r\n1\r\n--frontier--",
        b"--frontier\r\nContent-Disposition: form-data\r\n\r\n1\r\n--frontier--",
        b'--frontier\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--frontier--',
    ],
)
def test_a_malformed_multipart_body_is_a_bad_request_without_a_reason(body: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_parameters("", body, MULTIPART)
    assert not str(refused.value)


def test_a_multipart_body_without_a_boundary_is_a_bad_request() -> None:
    with pytest.raises(BadRequest):
        parse_parameters("", multipart(('name="a"', "1")), "multipart/form-data")


def test_a_body_over_the_limit_is_too_large_whatever_its_type() -> None:
    for content_type in (FORM, JSON, MULTIPART, "text/plain"):
        with pytest.raises(TooLarge):
            parse_parameters("", b"x" * 401, content_type, SMALL)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"a[b][c]=1", FORM),
        (b"a[][b]=1", FORM),
        (b"a=1&b=2&c=3&d=4", FORM),
        (b"a=1234567890", FORM),
        (b"a=%31%32%33%34%35%36%37%38%39%30", FORM),
        (b"1234567890=a", FORM),
        (b'{"a": {"b": {"c": 1}}}', JSON),
        (b'{"a": [1, 2, 3]}', JSON),
        (b'{"a": "1234567890"}', JSON),
        (b'{"a": "[[[[{"}', JSON),
        (multipart(('name="a"', "1234567890")), MULTIPART),
        (multipart(*[(f'name="{name}"', "1") for name in "abcd"]), MULTIPART),
    ],
)
def test_what_is_just_within_the_bounds_is_taken(body: bytes, content_type: str) -> None:
    assert parse_parameters("", body, content_type, SMALL)


@pytest.mark.parametrize(
    ("body", "content_type", "word"),
    [
        (b"a[b][c][d]=1", FORM, "deep"),
        (b"a[][b][c]=1", FORM, "deep"),
        (b"a[][b][]=1", FORM, "deep"),
        (b'{"a": {"b": {"c": {}}}}', JSON, "deep"),
        (b"[[[]]]", JSON, "deep"),
        (b"[[[[", JSON, "deep"),
        (b"a=1&b=2&c=3&d=4&e=5", FORM, "too many"),
        (b"a[b]=1&a[c]=2&a[d]=3&a[e]=4", FORM, "too many"),
        (b'{"a": {"b": 1, "c": 2, "d": 3, "e": 4}}', JSON, "too many"),
        (b"[1, 2, 3, 4]", JSON, "too many"),
        (multipart(*[(f'name="{name}"', "1") for name in "abcde"]), MULTIPART, "too many"),
        (b"a=12345678901", FORM, "too long"),
        ("a=ééééé1".encode(), FORM, "too long"),
        (b"a=" + b"%31" * 11, FORM, "too long"),
        (b"12345678901=a", FORM, "too long"),
        (b'{"a": "12345678901"}', JSON, "too long"),
        (b'{"12345678901": 1}', JSON, "too long"),
        (multipart(('name="a"', "12345678901")), MULTIPART, "too long"),
    ],
)
def test_what_passes_a_bound_is_a_bad_request_that_says_which(body: bytes, content_type: str, word: str) -> None:
    with pytest.raises(BadRequest, match=word) as refused:
        parse_parameters("", body, content_type, SMALL)
    assert str(refused.value)


def test_the_fields_of_the_query_and_the_body_count_together() -> None:
    with pytest.raises(BadRequest, match="too many"):
        parse_parameters("a=1&b=2&c=3", b"d=4&e=5", FORM, SMALL)


def test_a_number_of_more_than_800_digits_is_refused() -> None:
    assert from_json("1" * 800) == {"_json": int("1" * 800)}
    for text in ("1" * 801, "0." + "1" * 800):
        with pytest.raises(BadRequest, match="too long"):
            from_json(text)
