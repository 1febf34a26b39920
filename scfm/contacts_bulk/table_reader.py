"""Takes the rows of a table in their order: the first is the header, and each of the others is a contact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from scfm.contacts_bulk.charsets import NOT_UTF8
from scfm.contacts_bulk.number_column import CALLED_MSISDN, NumberColumn
from scfm.contacts_bulk.table import Header
from scfm.contacts_bulk.text_lines import ReadStep, RowError
from scfm.errors import Invalid
from scfm.models.texts import trimmed

# The rows by which the phone number's column is guessed, and the bytes of them.
MAX_SAMPLE_ROWS: Final = 50
MAX_SAMPLE_BYTES: Final = 1 << 20


class TableRow(NamedTuple):
    """A row: the line on which it begins, its cells, its bytes, what an error says of a cell that is no text.

    ``bad``: what is wrong with cells, by their position.
    """

    line: int
    cells: Sequence[str]
    size: int
    not_text: str = NOT_UTF8
    bad: Mapping[int, str] = {}


class Table:
    """Reads rows; those that are empty are passed over.

    Where the phone number's column is to be guessed, the first rows wait until they are enough for that.
    """

    def __init__(self, country: str | None = None, number: NumberColumn = CALLED_MSISDN) -> None:
        """``country``: the account's ``default_country``."""
        self.country = country
        self.number = number
        self.header: Header | None = None
        # The header, and the rows that wait, or have waited.
        self.first_rows: list[TableRow] = []
        self._first_bytes = 0

    @property
    def has_begun(self) -> bool:
        """Whether the header has come."""
        return bool(self.first_rows)

    @property
    def held_bytes(self) -> int:
        """The bytes of the rows that wait."""
        return self._first_bytes if self.header is None else 0

    def take(self, row: TableRow) -> Iterator[ReadStep]:
        """What a row, and those that have waited with it, come to; raises Invalid for a header that is unfit."""
        if not row.bad and not any(map(trimmed, filter(None, row.cells))):
            yield None
        elif self.header is not None:
            yield self._read(self.header, row)
        else:
            self.first_rows.append(row)
            self._first_bytes += row.size
            is_full = len(self.first_rows) > MAX_SAMPLE_ROWS or self._first_bytes > MAX_SAMPLE_BYTES
            if is_full or not self.number.guess:
                yield from self._begin()
            else:
                yield None

    def end(self) -> Iterator[ReadStep]:
        """What the rows that wait come to, when there are no more; raises Invalid if there was no header."""
        if self.header is None:
            yield from self._begin()

    def _begin(self) -> Iterator[ReadStep]:
        names, *others = self.first_rows or [TableRow(0, [], 0)]
        if names.bad:
            raise Invalid({"header": [next(iter(names.bad.values()))]})
        sample = [row.cells for row in others]
        self.header = Header(names.cells, self.country, names.not_text, self.number, sample)
        for row in others:
            yield self._read(self.header, row)
        yield None

    @staticmethod
    def _read(header: Header, row: TableRow) -> ReadStep:
        try:
            for position, reason in row.bad.items():
                if position not in header.ignored:
                    raise RowError(header.name_of(position), reason)
            return header.contact_in(row.line, row.cells, row.size)
        except RowError as error:
            return error.at(row.line)
