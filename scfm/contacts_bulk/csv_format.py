"""Contacts as CSV (RFC 4180), in and out: the rows of a ``Table``, as text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence

from scfm.contacts_bulk.charsets import Transcoder
from scfm.contacts_bulk.table import MAX_CELLS, MAX_NAME_CHARACTERS, TOO_LONG_NAMES
from scfm.contacts_bulk.table_reader import Table, TableRow
from scfm.contacts_bulk.text_lines import (
    LINE_TOO_LONG,
    MAX_LINE,
    Line,
    LineSplitter,
    ReadStep,
    RowError,
)
from scfm.errors import Invalid

# What may stand between cells. Spreadsheets write semicolons where a comma stands in numbers.
SEPARATORS = ",;\t"
# The first line by which a spreadsheet says what stands between cells.
_SEPARATOR_LINE = re.compile(r'"?sep=([^\w\s"\\]|\t)"?[\r\n]*\Z', re.IGNORECASE)

# Characters of the first line: names and what stands between them.
MAX_HEADER_CHARACTERS = MAX_NAME_CHARACTERS + MAX_CELLS

BAD_QUOTE = "is not valid CSV: a quote is out of place or never closed"
BARE_RETURN = "is not valid CSV: a carriage return stands outside quotes"

# The limit is the module's own; ours is the line's.
csv.field_size_limit(MAX_LINE + 1)


class _Record:
    """A record whose last cell, so far, is open: its lines as they are, and its cells."""

    def __init__(self, line: Line, cells: list[str]) -> None:
        self.first = line
        self.content = bytearray(line.content or b"")
        *self.cells, rest = cells
        # A cell may have a million lines.
        self.open = io.StringIO()
        self.open.write(rest)

    def go_on(self, line: Line, cells: list[str]) -> None:
        """Take a line in which the open cell goes on; its last cell is open."""
        self.content += line.content or b""
        first, *others = cells
        self.open.write(first)
        if others:
            self.cells += [self.open.getvalue(), *others[:-1]]
            self.open = io.StringIO()
            self.open.write(others[-1])

    def closed(self, line: Line, cells: list[str]) -> tuple[list[str], int]:
        """All cells and the size, with a line in which the open cell ends, and none is open at its end."""
        self.open.write(cells[0])
        return [*self.cells, self.open.getvalue(), *cells[1:]], len(self.content) + len(line.content or b"")

    def others(self, ending: bytes) -> Iterator[Line]:
        """The lines after the first."""
        number, start = self.first.number + 1, len(self.first.content or b"")
        while start < len(self.content):
            end = self.content.find(ending, start) + 1 or len(self.content)
            yield Line(number, bytes(self.content[start:end]))
            number, start = number + 1, end


class CsvReader:
    """Reads records, which may span lines. A bad record costs its first line only: reading goes on with the next.

    Each line is parsed by Python's csv module as it comes, inside an open cell with a quote in front. So a line is
    read twice at most: once as part of a record that turns out to be bad, and once by itself. It cannot be a third
    time, as a line that leaves an open cell open has quotes in pairs only, and so opens none when read by itself.
    """

    def __init__(self, table: Table | None = None, charset: str | None = None) -> None:
        self._text = Transcoder(charset)
        self._lines = LineSplitter()
        self._table = table or Table()
        # What stands between cells, and what a line of its own has said of that.
        self._separator = self._said = ""
        self._record: _Record | None = None

    def feed(self, chunk: bytes) -> Iterator[ReadStep]:
        for line in self._lines.feed(self._text.feed(chunk)):
            yield from self._take(line)

    def end(self) -> Iterator[ReadStep]:
        for line in self._lines.feed(self._text.end()):
            yield from self._take(line)
        for line in self._lines.end():
            yield from self._take(line)
        while self._record is not None:
            yield from self._give_up(BAD_QUOTE)
        yield from self._table.end()

    @property
    def held_bytes(self) -> int:
        open_record = len(self._record.content) if self._record is not None else 0
        return self._lines.held_bytes + open_record + self._table.held_bytes

    def _take(self, line: Line | None) -> Iterator[ReadStep]:
        if line is None:
            yield None
        elif line.content is None:
            yield from self._give_up(BAD_QUOTE)
            yield self._problem(RowError(None, LINE_TOO_LONG), line.number)
        elif self._record is None:
            yield from self._begin(line, line.content.decode("utf-8", "surrogateescape"))
        else:
            yield from self._go_on(self._record, line, line.content)

    def _begin(self, line: Line, text: str) -> Iterator[ReadStep]:
        """Read the first line of a record."""
        if not self._table.has_begun and not self._find_separator(line, text):
            yield None
            return
        try:
            cells, is_open = _cells(text, self._separator)
        except RowError as error:
            yield self._problem(error, line.number)
            return
        if is_open:
            self._record, self._lines.keeps_empty = _Record(line, cells), True
            yield None
        else:
            yield from self._row(line, cells, len(line.content or b""))

    def _go_on(self, record: _Record, line: Line, content: bytes) -> Iterator[ReadStep]:
        """Read a line inside an open cell."""
        if len(record.content) + len(content) > MAX_LINE:
            yield from self._give_up(BAD_QUOTE, line)
            return
        text = content.decode("utf-8", "surrogateescape")
        try:
            cells, is_open = ([text], True) if '"' not in text else _cells('"' + text, self._separator)
        except RowError as error:
            yield from self._give_up(error.reason, line)
            return
        if is_open:
            record.go_on(line, cells)
            yield None
            return
        self._record, self._lines.keeps_empty = None, False
        yield from self._row(record.first, *record.closed(line, cells))

    def _give_up(self, reason: str, last: Line | None = None) -> Iterator[ReadStep]:
        """The record that is open, if one is, is bad: read its lines after the first, and then LAST, once more."""
        record, self._record, self._lines.keeps_empty = self._record, None, False
        if record is None:
            return
        yield self._problem(RowError(None, reason), record.first.number)
        for line in record.others(self._lines.ending):
            yield from self._take(line)
        if last is not None:
            yield from self._take(last)

    def _find_separator(self, line: Line, text: str) -> bool:
        """Find what stands between cells, by the header, or by a line that says so; whether LINE is to be read on."""
        if line.number == 1 and (said := _SEPARATOR_LINE.match(text)):
            self._said = said[1]
            return False
        if len(text) > MAX_HEADER_CHARACTERS:
            raise Invalid({"header": [TOO_LONG_NAMES]})
        self._separator = self._said or _separator_of(text, self._table.number.is_called)
        return True

    def _row(self, line: Line, cells: Sequence[str], size: int) -> Iterator[ReadStep]:
        return self._table.take(TableRow(line.number, cells, size, self._text.problem))

    def _problem(self, error: RowError, line: int) -> ReadStep:
        if not self._table.has_begun:
            raise Invalid({"header": [error.reason]})
        return error.at(line)


def _cells(text: str, separator: str) -> tuple[list[str], bool]:
    """The cells of a line, and whether the last one is open at its end; raises RowError."""
    try:
        return next(csv.reader([text], delimiter=separator, strict=True), []), False
    except csv.Error as error:
        if "unexpected end of data" not in str(error):
            raise RowError(None, BARE_RETURN if "new-line" in str(error) else BAD_QUOTE) from None
    return _leniently(text, separator), True


def _separator_of(text: str, is_number: Callable[[str], bool]) -> str:
    """What stands between the cells of a header: what makes a cell of the phone number's name, else most cells."""
    rows = {separator: _leniently(text, separator) for separator in SEPARATORS}
    for separator, cells in rows.items():
        if any(map(is_number, cells)):
            return separator
    return max(rows, key=lambda separator: len(rows[separator]))


def _leniently(text: str, separator: str) -> list[str]:
    """The cells of a line, the last of which may be open; none where they cannot be told."""
    try:
        return next(csv.reader([text], delimiter=separator), [])
    except csv.Error:
        return []


def csv_line(cells: Sequence[str]) -> bytes:
    """One record, with its line end."""
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()
