"""Contacts as lines of text, in and out: what the formats share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import orjson

from scfm.models import msisdn
from scfm.models.merge import merge
from scfm.models.texts import stored_form
from scfm.storage.query import Document

# Twice the largest body of any other request, so that every contact that one could make fits in a line.
MAX_LINE = 2 << 20
# A step passes over so many empty lines.
MAX_EMPTY_LINES = 1000
# The bounds of request parameters hold for a line too: levels of nesting, fields at all levels, bytes of one text.
MAX_DEPTH = 32
MAX_FIELDS = 1000
MAX_TEXT = 1 << 16
# Characters of a value that an error shows.
MAX_BAD_VALUE = 100

LINE_TOO_LONG = f"is longer than {MAX_LINE} bytes"
TEXT_TOO_LONG = f"has a text that is too long (maximum is {MAX_TEXT} bytes)"

_EMPTY = (b"", b"\r")
_ENDING = re.compile(rb'"|\n|\r(?=(.?))', re.DOTALL)


class Line(NamedTuple):
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

    def metadata_beside(self, stored: Document) -> Document:
        """The metadata, where text that says what is stored already is the stored value, of whatever type."""
        return _typed(self.metadata, stored) if self.text else self.metadata

    def joined_by(self, common: Document) -> Row:
        """The same line with what all lines of its file are given, which counts before what the line has."""
        return replace(self, metadata=merge(self.metadata, common, "deep_merge"))


@dataclass(frozen=True)
class Problem:
    """A bad line, and why nothing of it is kept.

    ``column`` is None where the line as a whole is bad. ``value`` is the beginning of what stands there, None where
    that is nothing, or no text.
    """

    line: int
    column: str | None
    reason: str
    value: str | None = None


class RowError(Exception):
    """Raised while a line is read; the arguments are the column, the reason, and the value, if it can be shown."""

    def __init__(self, column: str | None, reason: str, value: object = None) -> None:
        super().__init__(reason)
        self.column, self.reason, self.value = column, reason, value

    def at(self, line: int) -> Problem:
        """What is told of it to the client, with the number of its line."""
        # Half a surrogate pair, which a byte that is no text may have become, has no UTF-8.
        shown = cell_text(self.value)[:MAX_BAD_VALUE].encode("utf-8", "replace").decode()
        return Problem(line, self.column, self.reason, shown or None)


ReadStep = Row | Problem | None
"""What one step of reading yields; None for a step that finds no row, after which other tasks may run, too."""


class Reader(Protocol):
    """Reads contacts from a stream of bytes, however it is cut. Raises Invalid where the whole of it is unfit.

    Each step reads one line, or for a record of many lines one of these, so that it is bounded by the size of a line;
    the time of all is in proportion to the bytes.
    """

    def feed(self, chunk: bytes) -> Iterator[ReadStep]:
        """What the stream holds up to here. The iterator must be walked to its end."""

    def end(self) -> Iterator[ReadStep]:
        """What is left when the stream has ended."""

    @property
    def held_bytes(self) -> int:
        """How many bytes of the stream are in memory, as what follows them decides what they are."""


def cell_text(value: Any) -> str:
    """A value as text: a string is itself, null is empty, anything else is JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else orjson.dumps(value).decode()


def _typed(new: Document, stored: Document) -> Document:
    return {name: _typed_value(value, stored.get(name)) for name, value in new.items()}


def _typed_value(value: Any, stored: Any) -> Any:
    if isinstance(value, dict):
        return _typed(value, stored if isinstance(stored, dict) else {})
    if isinstance(stored, str):
        return value
    written = cell_text(stored)
    return stored if value in (written, stored_form(written)) else value


def read_phone_number(value: object, country: str | None) -> str:
    """The number in its one spelling, COUNTRY being the account's ``default_country``; raises RowError."""
    phone_number, messages = msisdn.check(value, country)
    if phone_number is None:
        raise RowError("msisdn", messages[0], value)
    return phone_number


class LineSplitter:
    """Cuts a stream of bytes into physical lines. A line that is too long is passed over, not held.

    Lines end in LF, with or without a CR before it, or, where the first line outside quotes does, in CR alone. Empty
    ones are passed over, unless ``keeps_empty``: then None stands for many of them.
    """

    keeps_empty = False

    def __init__(self) -> None:
        self.ending = b""
        self._number = 0
        self._rest = bytearray()
        self._length = 0
        # How far the first line was searched for its end, and whether that is inside quotes.
        self._searched = 0
        self._quoted = False

    def feed(self, chunk: bytes) -> Iterator[Line | None]:
        if not self.ending:
            self._rest += chunk
            self.ending = self._find_ending()
            if not self.ending:
                self._length = len(self._rest)
                return
            chunk = bytes(self._rest)
            self._rest.clear()
            self._length = 0
        *ended, rest = chunk.split(self.ending)
        for part in ended:
            if part in _EMPTY and not self._length and not self.keeps_empty:
                self._number += 1
                if self._number % MAX_EMPTY_LINES == 0:
                    yield None
                continue
            self._take(part + self.ending)
            yield self._line()
        self._take(rest)

    def end(self) -> Iterator[Line | None]:
        if self._length:
            yield self._line()

    @property
    def held_bytes(self) -> int:
        """The bytes of the line that has not ended."""
        return len(self._rest)

    def _find_ending(self) -> bytes:
        """The byte that ends the lines; nothing if that does not show yet."""
        for match in _ENDING.finditer(self._rest, self._searched):
            self._searched = match.start()
            if match[0] == b'"':
                self._quoted = not self._quoted
            elif b"\n" in (match[0], match[1]):
                return b"\n"
            elif not match[1]:
                return b""  # what follows the CR decides
            elif not self._quoted:
                return b"\r"
            self._searched = match.start() + 1
        self._searched = len(self._rest)
        return b"\n" if self._searched > MAX_LINE else b""

    def _take(self, part: bytes) -> None:
        self._length += len(part)
        if self._length <= MAX_LINE:
            self._rest += part
        else:
            self._rest.clear()

    def _line(self) -> Line:
        self._number += 1
        content = bytes(self._rest) if self._length <= MAX_LINE else None
        self._rest.clear()
        self._length = 0
        return Line(self._number, content)


def check_text(column: str, text: str) -> None:
    """Raise RowError for text that is too long; ValueError for text that cannot be encoded."""
    if not text.isascii():
        text.encode()
    if len(text) * 4 > MAX_TEXT and len(text.encode()) > MAX_TEXT:
        raise RowError(column, TEXT_TOO_LONG)
