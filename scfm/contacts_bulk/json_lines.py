"""Contacts as JSON lines, in and out: one object a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from scfm.contacts_bulk.charsets import Transcoder
from scfm.contacts_bulk.text_lines import (
    LINE_TOO_LONG,
    MAX_DEPTH,
    MAX_FIELDS,
    Line,
    LineSplitter,
    ReadStep,
    Row,
    RowError,
    check_text,
    read_phone_number,
)
from scfm.models.fields import FieldError, check_json
from scfm.models.merge import without_memory
from scfm.schemas.strict_json import finite, no_constant
from scfm.storage.query import Document

# Brackets, braces and commas of one line of JSON: Python's parser takes 10 ms for so many values.
MAX_JSON_TOKENS = 50_000

NOT_JSON = "is not valid JSON"
NOT_AN_OBJECT = "must be an object"
TOO_MANY_JSON_VALUES = f"has too many values (maximum is {MAX_JSON_TOKENS})"

# A text, or a character that stands around or between values. Possessive: no input makes it look at a byte twice.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|\[|\{|,', re.DOTALL)


class JsonLinesReader:
    """One JSON object a line: ``{"msisdn": "+252662345678", "metadata": {…}}``; other names in it are ignored."""

    def __init__(self, country: str | None = None, charset: str | None = None) -> None:
        """``country``: the account's ``default_country``."""
        self._text = Transcoder(charset)
        self._lines = LineSplitter()
        self._country = country

    def feed(self, chunk: bytes) -> Iterator[ReadStep]:
        return map(self._read, self._lines.feed(self._text.feed(chunk)))

    def end(self) -> Iterator[ReadStep]:
        yield from map(self._read, self._lines.feed(self._text.end()))
        yield from map(self._read, self._lines.end())

    @property
    def held_bytes(self) -> int:
        return self._lines.held_bytes

    def _read(self, line: Line | None) -> ReadStep:
        if line is None or (line.content is not None and not line.content.strip()):
            return None
        try:
            if line.content is None:
                raise RowError(None, LINE_TOO_LONG)
            found = _object(line.content, self._text.problem)
            msisdn = read_phone_number(found.get("msisdn"), self._country)
            return Row(line.number, msisdn, checked_metadata(found.get("metadata")), len(line.content))
        except RowError as error:
            return error.at(line.number)


def json_line(shown: Mapping[str, Any]) -> bytes:
    """A contact, as answers show it, as one line."""
    return orjson.dumps(shown) + b"\n"


def _object(content: bytes, not_text: str) -> Document:
    _check_tokens(content)
    try:
        found = json.loads(content.decode(), parse_float=finite, parse_constant=no_constant)
    except UnicodeDecodeError:
        raise RowError(None, not_text) from None
    except (ValueError, RecursionError):
        raise RowError(None, NOT_JSON) from None
    if not isinstance(found, dict):
        raise RowError(None, NOT_AN_OBJECT)
    return found


def _check_tokens(content: bytes) -> None:
    """Raise RowError for more values than the parser should take; those of texts do not count."""
    if sum(map(content.count, (b",", b"[", b"{"))) <= MAX_JSON_TOKENS:
        return
    tokens = texts = 0
    for match in _TOKEN.finditer(content):
        if content[match.start()] == ord('"'):
            texts += 1
        else:
            tokens += 1
        if tokens > MAX_JSON_TOKENS or texts > 2 * MAX_JSON_TOKENS:
            raise RowError(None, TOO_MANY_JSON_VALUES)


def checked_metadata(value: Any) -> Document:
    """The metadata that a client gives for a contact, without what only flows set; raises RowError."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RowError("metadata", NOT_AN_OBJECT)
    metadata = without_memory(value)
    try:
        _check_bounds({"metadata": metadata})
        check_json(metadata)
    except FieldError as error:
        raise RowError("metadata", error.args[0]) from None
    except ValueError:
        raise RowError("metadata", NOT_JSON) from None
    return metadata


def _check_bounds(value: Any) -> None:
    """Raise RowError for what a request's parameters may not be either; ValueError for a lone surrogate."""
    level, fields = [value], 0
    for _ in range(MAX_DEPTH + 1):
        level = [inner for one in level for inner in _inside(one)]
        fields += len(level)
        if fields > MAX_FIELDS:
            raise RowError("metadata", f"has too many fields (maximum is {MAX_FIELDS})")
        if not level:
            return
    raise RowError("metadata", f"is nested too deeply (maximum is {MAX_DEPTH} levels)")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, str):
        check_text("metadata", value)
    if isinstance(value, dict):
        for name in value:
            check_text("metadata", name)
        return list(value.values())
    return value if isinstance(value, list) else []
