"""What is written as a query, a form or JSON is read back the same; hostile requests cost next to nothing."""

from __future__ import annotations

import contextlib
import json
import re
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus, unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scfm.errors import BadRequest, ScfmError
from scfm.handlers.forms import FORM
from scfm.handlers.parameter_limits import Limits
from scfm.handlers.parameters import JSON, parse_parameters

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="[]"), min_size=1, max_size=10)
SCALAR = TEXT | st.none()


def elements(fields: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[Any]]:
    """Lists that forms can spell: an element that is an object begins with a field that all of them have."""
    return st.lists(st.builds(lambda first, rest: {"first": first, **rest}, TEXT, fields), min_size=1, max_size=3)


PARAMS = st.recursive(
    st.dictionaries(NAME, SCALAR, min_size=1, max_size=3),
    lambda inner: st.dictionaries(
        NAME, SCALAR | inner | st.lists(SCALAR, min_size=1, max_size=3) | elements(inner), min_size=1, max_size=3
    ),
    max_leaves=6,
)
JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def pairs(value: Any, name: str = "") -> Iterator[tuple[str, str | None]]:
    """The form fields that spell a nested value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from pairs(inner, f"{name}[{key}]" if name else key)
    elif isinstance(value, list):
        for inner in value:
            yield from pairs(inner, f"{name}[]")
    else:
        yield name, value


def encoded(params: dict[str, Any], quoted: Any) -> str:
    return "&".join(
        quoted(name) if value is None else f"{quoted(name)}={quoted(value)}" for name, value in pairs(params)
    )


@given(PARAMS)
def test_a_form_gives_back_what_was_put_into_it(params: dict[str, Any]) -> None:
    assert parse_parameters("", encoded(params, quote_plus).encode(), FORM) == params


@given(PARAMS)
def test_a_query_gives_back_what_was_put_into_it(params: dict[str, Any]) -> None:
    assert parse_parameters(encoded(params, quote), b"", "") == params


@given(st.dictionaries(TEXT, JSON_VALUE, max_size=4), st.booleans())
def test_json_gives_back_what_was_put_into_it(params: dict[str, Any], escaped: bool) -> None:
    read = parse_parameters("", json.dumps(params, ensure_ascii=escaped).encode(), JSON)
    assert json.dumps(read) == json.dumps(params)  # 1, 1.0 and true are equal, but not the same


@given(st.dictionaries(NAME, TEXT, min_size=1, max_size=3))
def test_a_multipart_body_gives_back_what_was_put_into_it(params: dict[str, str]) -> None:
    usable = {name: value for name, value in params.items() if not {"\r", "\n"} & set(name)}
    parts = []
    for name, value in usable.items():
        escaped = name.replace("\\", r"\\").replace('"', r"\"")
        parts.append(f'--x7\r\nContent-Disposition: form-data; name="{escaped}"\r\n\r\n{value}\r\n')
    body = "".join((*parts, "--x7--\r\n")).encode()
    assert parse_parameters("", body, "multipart/form-data; boundary=x7") == usable


@given(PARAMS, PARAMS)
def test_the_query_wins_name_by_name(query: dict[str, Any], body: dict[str, Any]) -> None:
    assert parse_parameters(encoded(query, quote), json.dumps(body).encode(), JSON) == {**body, **query}


@settings(max_examples=300)
@given(
    st.text("ab[]=&+% 1\n", max_size=30) | st.text(st.characters(max_codepoint=255), max_size=30),
    st.binary(max_size=60) | st.text('[]{},:"\\ abu0123e.-ntrfls', max_size=40).map(str.encode),
    st.sampled_from([FORM, JSON, "multipart/form-data; boundary=a", "text/plain", ""]),
)
def test_whatever_comes_in_is_read_or_refused(query: str, body: bytes, content_type: str) -> None:
    with contextlib.suppress(ScfmError):
        json.dumps(parse_parameters(query, body, content_type), allow_nan=False).encode()


@settings(max_examples=500)
@given(st.text("%=+a4fG\n\r .-3D", max_size=12).map(str.encode))
def test_a_percent_sign_stands_before_two_hex_digits_or_is_refused(value: bytes) -> None:
    if re.search(rb"%(?![0-9A-Fa-f]{2})", value):
        with pytest.raises(BadRequest):
            parse_parameters("", b"name=" + value, FORM)
        return
    plain = unquote_to_bytes(value.replace(b"+", b" "))
    with contextlib.suppress(UnicodeDecodeError):
        wanted = plain.decode()
        assert parse_parameters("", b"name=" + value, FORM) == {"name": wanted}


def sized(text: bytes, prefix: bytes = b"") -> bytes:
    """As much of the repeated text as a body may hold."""
    size = Limits().body
    return (prefix + text * (size // len(text) + 1))[:size]


HOSTILE = {
    "ten thousand lists": (b"[" * 10_000 + b"]" * 10_000, JSON),
    "ten thousand objects": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, JSON),
    "a million brackets": (sized(b"["), JSON),
    "a million closing brackets": (sized(b"]"), JSON),
    "a list of empty lists": (sized(b"[],", b"["), JSON),
    "a list of empty strings": (sized(b'"",', b"["), JSON),
    "a million digits": (sized(b"1"), JSON),
    "many numbers of many digits": (b"[" + b",".join([b"9" * 800] * 900) + b"]", JSON),
    "half surrogate pairs": (b'{"a": "' + b"\\ud800" * 10_000 + b'"}', JSON),
    "a million NULs": (sized(b"\0"), JSON),
    "escaped NULs": (b"&".join([b"a%00" * 5_000 + b"=%00"] * 50), FORM),
    "conflicting names": (b"&".join([*[b"a[b][c]=1"] * 998, b"a[b]=1"]), FORM),
    "ten thousand levels in a name": (b"a" + b"[b]" * 10_000 + b"=1", FORM),
    "ten thousand lists in a name": (b"a" + b"[]" * 10_000 + b"=1", FORM),
    "a million brackets in a name": (sized(b"[", b"a"), FORM),
    "a million escaped brackets in a name": (sized(b"%5B", b"a"), FORM),
    "a million brackets in many names": (b"&".join([b"a" + b"]" * 65_000] * 16), FORM),
    "many names of many levels": (b"&".join([b"a" + b"[b]" * 21_000] * 16), FORM),
    "a million empty fields": (sized(b"&"), FORM),
    "many fields": (sized(b"a&"), FORM),
    "many parts": (
        sized(b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'),
        "multipart/form-data; boundary=b",
    ),
}


def best_seconds(body: bytes, content_type: str) -> float:
    def once() -> float:
        start = time.thread_time()  # what others do on the machine at the same time does not count
        with contextlib.suppress(BadRequest):
            parse_parameters("", body, content_type)
        return time.thread_time() - start

    return min(once() for _ in range(7))


def peak_bytes(body: bytes, content_type: str) -> int:
    tracemalloc.start()
    try:
        with contextlib.suppress(BadRequest):
            parse_parameters("", body, content_type)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("body", "content_type"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_body_costs_less_than_20_ms_and_10_mb(body: bytes, content_type: str) -> None:
    assert best_seconds(body, content_type) < 0.020
    assert peak_bytes(body, content_type) < 10_000_000
