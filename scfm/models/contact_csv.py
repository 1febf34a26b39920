"""Contacts as CSV (RFC 4180), in and out: a column ``msisdn``, and one for each value in the metadata.

A column's name is the path to its value: ``address.city``. A backslash takes the next character as it is: ``a\\.b``
is one name with a dot in it, ``\\msisdn`` is metadata of that name.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from scfm.errors import Invalid
from scfm.models.contact_lines import (
    DEPTH,
    FIELDS,
    LONGEST_LINE,
    NOT_UTF8,
    TOO_LONG,
    Bad,
    Line,
    Lines,
    Problem,
    Row,
    cell,
    check_text,
    phone_number,
)
from scfm.models.merge import FLOW_MEMORY
from scfm.models.query import Document

MSISDN = "msisdn"
# So much of a column's name an error tells.
NAME_SHOWN = 80
BAD_QUOTE = "is not valid CSV: a quote is out of place or never closed"
BARE_RETURN = "is not valid CSV: a carriage return stands outside quotes"
TOO_MANY_CELLS = "has more cells than the header has columns"
TOO_MANY_COLUMNS = f"would have too many columns (maximum is {FIELDS})"

Path = tuple[str, ...]

# The limit is the module's own; ours is the line's.
csv.field_size_limit(LONGEST_LINE)


def path_of(column: str) -> Path:
    """The path that a column's name stands for."""
    names, characters = [""], iter(column)
    for character in characters:
        if character == ".":
            names.append("")
        else:
            names[-1] += next(characters, "") if character == "\\" else character
    return tuple(names)


def column_of(path: Path) -> str:
    """The name of the column for a path, such that ``path_of`` gives the path back."""
    column = ".".join(name.replace("\\", "\\\\").replace(".", "\\.") for name in path)
    return "\\" + column if column in ("", MSISDN) else column


class Header:
    """The first line: which cell is the phone number, and where in the metadata the others belong.

    ``country`` is the account's ``default_country``. Raises Invalid, with everything that is wrong with it.
    """

    def __init__(self, names: Sequence[str], country: str | None = None) -> None:
        self.names = names
        self.country = country
        # The phone number's own path is empty: it leads nowhere in the metadata. Nor does a flow's memory, which is
        # in a file that was exported with it and which no file sets.
        self.paths = [() if name == MSISDN else path_of(name) for name in names]
        self.paths = [() if path[:1] == (FLOW_MEMORY,) else path for path in self.paths]
        if messages := list(self._wrong()):
            raise Invalid({"header": messages})
        self.msisdn = names.index(MSISDN)

    def _wrong(self) -> Iterator[str]:
        if MSISDN not in self.names:
            yield f"must have a column {MSISDN}, and commas between the columns"
        if len(self.names) > FIELDS:
            yield f"has too many columns (maximum is {FIELDS})"
            return
        taken: dict[Path, str] = {}
        for position, (name, path) in enumerate(zip(self.names, self.paths, strict=True), 1):
            if not name:
                yield f"has no name for column {position}"
            elif not path and name != MSISDN:
                continue
            elif path in taken:
                yield f"has the column {name[:NAME_SHOWN]} twice"
            else:
                taken[path] = name
        for path, name in taken.items():
            yield from _wrong_with(path, name, taken)

    def row(self, line: int, cells: Sequence[str], size: int) -> Row:
        """A line's cells as a contact; an empty cell says nothing. Raises Bad."""
        if len(cells) > len(self.names):
            raise Bad(None, TOO_MANY_CELLS)
        for name, text in zip(self.names, cells, strict=False):
            _check_cell(name[:NAME_SHOWN], text)
        number = phone_number(cells[self.msisdn] if len(cells) > self.msisdn else None, self.country)
        metadata: Document = {}
        for path, text in zip(self.paths, cells, strict=False):
            if text and path:
                _put(metadata, path, text)
        return Row(line, number, metadata, size, text=True)


def _wrong_with(path: Path, name: str, taken: Mapping[Path, str]) -> Iterator[str]:
    """What is wrong with a column's path among the others."""
    if len(path) >= DEPTH:
        yield f"has the column {name[:NAME_SHOWN]}, which is nested too deeply (maximum is {DEPTH - 1} levels)"
        return
    for depth in range(1, len(path)):
        if path[:depth] in taken:
            yield f"has both the columns {taken[path[:depth]][:NAME_SHOWN]} and {name[:NAME_SHOWN]}"


def _check_cell(name: str, text: str) -> None:
    try:
        check_text(name, text)
    except ValueError:
        raise Bad(name, NOT_UTF8) from None


def _put(metadata: Document, path: Path, text: str) -> None:
    for name in path[:-1]:
        metadata = metadata.setdefault(name, {})
    metadata[path[-1]] = text


class CsvReader:
    """Reads records, which may span lines. A bad record costs its first line only: reading goes on with the next.

    Python's csv module reads a record; the number of quotes only tells when to ask it, so that a record is
    not read again with every line that comes, and a stray quote holds up no more than one line's size.
    """

    def __init__(self, country: str | None = None) -> None:
        """``country``: the account's ``default_country``."""
        self._lines = Lines()
        self._country = country
        self._header: Header | None = None
        self._held: list[Line] = []
        self._size = 0
        self._open = False

    def feed(self, chunk: bytes) -> Iterator[Row | Problem]:
        for line in self._lines.feed(chunk):
            yield from self._take(line)

    def end(self) -> Iterator[Row | Problem]:
        for line in self._lines.end():
            yield from self._take(line)
        while self._held:
            yield from self._read_held()
        if self._header is None:
            Header([])

    def _take(self, line: Line) -> Iterator[Row | Problem]:
        if line.content is None:
            while self._held:
                yield from self._read_held()
            yield self._bad(Bad(None, TOO_LONG), line.number)
            return
        self._held.append(line)
        self._size += len(line.content)
        self._open ^= bool(line.content.count(b'"') % 2)
        if not self._open or self._size > LONGEST_LINE:
            yield from self._read_held()

    def _read_held(self) -> Iterator[Row | Problem]:
        """Read the record that the held lines begin with, and take those that do not belong to it once more."""
        held, self._held, self._size, self._open = self._held, [], 0, False
        lines = 1
        try:
            cells, lines = _record(held)
            if cells:
                yield from self._row(held[:lines], cells)
        except Bad as bad:
            yield self._bad(bad, held[0].number)
        for line in held[lines:]:
            yield from self._take(line)

    def _row(self, lines: Sequence[Line], cells: list[str]) -> Iterator[Row]:
        if self._header is None:
            for name in cells:
                _check_cell("header", name)
            self._header = Header(cells, self._country)
        else:
            yield self._header.row(lines[0].number, cells, sum(len(line.content or b"") for line in lines))

    def _bad(self, bad: Bad, line: int) -> Problem:
        if self._header is None:
            raise Invalid({"header": [bad.reason]})
        return bad.at(line)


def _record(lines: Sequence[Line]) -> tuple[list[str], int]:
    """The cells of the first record, and over how many lines it goes; raises Bad."""
    texts = ((line.content or b"").decode("utf-8", "surrogateescape") for line in lines)
    reader = csv.reader(texts, strict=True)
    try:
        return next(reader), reader.line_num
    except csv.Error as error:
        raise Bad(None, BARE_RETURN if "new-line" in str(error) else BAD_QUOTE) from None


class Columns:
    """The columns that contacts need: collect with ``add``, then write with ``header`` and ``lines``.

    Null and the empty object need none. What is an object in one contact and not in another is one column.
    """

    def __init__(self) -> None:
        self._paths: dict[Path, None] = {}
        self._final: list[Path] | None = None

    def add(self, metadata: Document) -> None:
        """Collect; raises Invalid where there are too many."""
        for path in _leaves(metadata, ()):
            self._paths[path] = None
        if len(self._paths) >= FIELDS:
            raise Invalid({"format": [TOO_MANY_COLUMNS + "; jsonl has no such limit"]})

    @property
    def paths(self) -> list[Path]:
        if self._final is None:
            known = self._paths
            self._final = [path for path in known if not any(path[:depth] in known for depth in range(1, len(path)))]
        return self._final

    def header(self) -> bytes:
        """The first line."""
        return _written([[MSISDN, *(column_of(path) for path in self.paths)]])

    def lines(self, contacts: Iterable[Document]) -> bytes:
        """A line for each contact."""
        return _written(
            [contact["msisdn"], *(cell(_at(contact["metadata"], path)) for path in self.paths)]
            for contact in contacts
        )


def _leaves(value: Document, path: Path) -> Iterator[Path]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _leaves(inner, (*path, name))
        elif inner is not None:
            yield (*path, name)


def _at(value: Any, path: Path) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return None if value == {} else value


def _written(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
