"""Contacts as lines of text, in and out: what the formats share, and JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import orjson

from scfm.models import msisdn
from scfm.models.fields import Wrong, check_json
from scfm.models.merge import without_memory
from scfm.models.query import Document

# Twice the largest body of any other request, so that every contact that one could make fits in a line.
LONGEST_LINE = 2 << 20
# The bounds of request parameters hold for a line too: levels of nesting, fields at all levels, bytes of one text.
DEPTH = 32
FIELDS = 1000
LONGEST_TEXT = 1 << 16

TOO_LONG = f"is longer than {LONGEST_LINE} bytes"
TEXT_TOO_LONG = f"has a text that is too long (maximum is {LONGEST_TEXT} bytes)"
NOT_UTF8 = "is not valid UTF-8"
NOT_JSON = "is not valid JSON"
NOT_AN_OBJECT = "must be an object"

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Line:
    """A physical line with its end. ``content`` is None where it is longer than a line may be."""

    number: int
    content: bytes | None


@dataclass(frozen=True)
class Row:
    """A good line: ``msisdn`` is normalised. ``size``: its bytes. ``text``: the format knows no types."""

    line: int
    msisdn: str
    metadata: Document
    size: int
    text: bool = False

    def beside(self, stored: Document) -> Document:
        """The metadata, where text that says what is stored already is the stored value, of whatever type."""
        return _typed(self.metadata, stored) if self.text else self.metadata


@dataclass(frozen=True)
class Problem:
    """A bad line, and why nothing of it is kept. ``column`` is None where the line as a whole is bad."""

    line: int
    column: str | None
    reason: str


class Bad(Exception):
    """Raised while a line is read; the arguments are the column and the reason."""

    def __init__(self, column: str | None, reason: str) -> None:
        super().__init__(reason)
        self.column, self.reason = column, reason

    def at(self, line: int) -> Problem:
        return Problem(line, self.column, self.reason)


class Reader(Protocol):
    """Reads contacts from a stream of bytes, however it is cut. Raises Invalid where the whole of it is unfit."""

    def feed(self, chunk: bytes) -> Iterator[Row | Problem]:
        """What the stream holds up to here. The iterator must be walked to its end."""

    def end(self) -> Iterator[Row | Problem]:
        """What is left when the stream has ended."""


def cell(value: Any) -> str:
    """A value as text: a string is itself, null is empty, anything else is JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else orjson.dumps(value).decode()


def _typed(new: Document, stored: Document) -> Document:
    return {name: _typed_value(value, stored.get(name)) for name, value in new.items()}


def _typed_value(value: Any, stored: Any) -> Any:
    if isinstance(value, dict):
        return _typed(value, stored if isinstance(stored, dict) else {})
    return stored if value == cell(stored) else value


def phone_number(value: object, country: str | None) -> str:
    """The number in its one spelling, COUNTRY being the account's ``default_country``; raises Bad."""
    number, messages = msisdn.check(value, country)
    if number is None:
        raise Bad("msisdn", messages[0])
    return number


class Lines:
    """Cuts a stream of bytes into physical lines. A line that is too long is passed over, not held."""

    def __init__(self) -> None:
        self._number = 0
        self._rest = bytearray()
        self._length = 0

    def feed(self, chunk: bytes) -> Iterator[Line]:
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            self._take(part + b"\n")
            yield self._line()
        self._take(rest)

    def end(self) -> Iterator[Line]:
        if self._length:
            yield self._line()

    def _take(self, part: bytes) -> None:
        self._length += len(part)
        if self._length <= LONGEST_LINE:
            self._rest += part
        else:
            self._rest.clear()

    def _line(self) -> Line:
        self._number += 1
        content = bytes(self._rest) if self._length <= LONGEST_LINE else None
        if self._number == 1 and content is not None:
            content = content.removeprefix(BOM)
        self._rest.clear()
        self._length = 0
        return Line(self._number, content)


class JsonLinesReader:
    """One JSON object a line: ``{"msisdn": "+252662345678", "metadata": {…}}``; other names in it are ignored."""

    def __init__(self, country: str | None = None) -> None:
        """``country``: the account's ``default_country``."""
        self._lines = Lines()
        self._country = country

    def feed(self, chunk: bytes) -> Iterator[Row | Problem]:
        yield from self._read(self._lines.feed(chunk))

    def end(self) -> Iterator[Row | Problem]:
        yield from self._read(self._lines.end())

    def _read(self, lines: Iterator[Line]) -> Iterator[Row | Problem]:
        for line in lines:
            if line.content is None or line.content.strip():
                try:
                    yield _contact(line, self._country)
                except Bad as bad:
                    yield bad.at(line.number)


def json_line(shown: Mapping[str, Any]) -> bytes:
    """A contact, as answers show it, as one line."""
    return orjson.dumps(shown) + b"\n"


def _contact(line: Line, country: str | None) -> Row:
    if line.content is None:
        raise Bad(None, TOO_LONG)
    found = _object(line.content)
    number = phone_number(found.get("msisdn"), country)
    return Row(line.number, number, _metadata(found.get("metadata")), len(line.content))


def _object(content: bytes) -> Document:
    try:
        found = json.loads(content.decode(), parse_float=_finite, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise Bad(None, NOT_UTF8) from None
    except (ValueError, RecursionError):
        raise Bad(None, NOT_JSON) from None
    if not isinstance(found, dict):
        raise Bad(None, NOT_AN_OBJECT)
    return found


def _metadata(value: Any) -> Document:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Bad("metadata", NOT_AN_OBJECT)
    metadata = without_memory(value)
    try:
        _check_bounds({"metadata": metadata})
        check_json(metadata)
    except Wrong as wrong:
        raise Bad("metadata", wrong.args[0]) from None
    except ValueError:
        raise Bad("metadata", NOT_JSON) from None
    return metadata


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(digits)
    return number


def _no_constant(name: str) -> NoReturn:
    """For NaN and the infinities, which Python would read and JSON (RFC 8259) does not know."""
    raise ValueError(name)


def _check_bounds(value: Any) -> None:
    """Raise Bad for what a request's parameters may not be either; ValueError for a lone surrogate."""
    level, fields = [value], 0
    for _ in range(DEPTH + 1):
        level = [inner for one in level for inner in _inside(one)]
        fields += len(level)
        if fields > FIELDS:
            raise Bad("metadata", f"has too many fields (maximum is {FIELDS})")
        if not level:
            return
    raise Bad("metadata", f"is nested too deeply (maximum is {DEPTH} levels)")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, str):
        check_text("metadata", value)
    if isinstance(value, dict):
        for name in value:
            check_text("metadata", name)
        return list(value.values())
    return value if isinstance(value, list) else []


def check_text(column: str, text: str) -> None:
    """Raise Bad for text that is too long; ValueError for text that cannot be encoded."""
    if not text.isascii():
        text.encode()
    if len(text) * 4 > LONGEST_TEXT and len(text.encode()) > LONGEST_TEXT:
        raise Bad(column, TEXT_TOO_LONG)
