"""A file of contacts as it arrives: its content type and its first bytes say how it is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from scfm.contacts_bulk import file_kinds
from scfm.contacts_bulk.charsets import charset_of
from scfm.contacts_bulk.csv_format import CsvReader
from scfm.contacts_bulk.json_lines import JsonLinesReader
from scfm.contacts_bulk.number_column import CALLED_MSISDN, NumberColumn
from scfm.contacts_bulk.table_reader import Table
from scfm.contacts_bulk.text_lines import Reader, ReadStep
from scfm.contacts_bulk.workbook import WorkbookReader
from scfm.errors import Invalid

CSV = "text/csv"
JSON_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines")
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# What programs say of a file that they do not know, or of every file that a spreadsheet may open: the file tells.
AMBIGUOUS_TYPES = ("application/octet-stream", "application/vnd.ms-excel", "application/zip")

_CHARSET = re.compile(r";\s*charset\s*=\s*(?:\"([^\"]*)\"|([^\s;\"]*))", re.IGNORECASE)

HOW = f"with curl: -H 'Content-Type: {CSV}' --data-binary @contacts.csv"
NOT_A_WORKBOOK = f"is no workbook: say what it is (Content-Type: {CSV} or {JSON_LINES[0]})"


class ContactFile:
    """Reads a file of CONTENT_TYPE; SHEET names the worksheet of a workbook, COUNTRY is the ``default_country``.

    NUMBER: which column of a table is the phone number; ``table`` has the rows, where the file is a table.

    Give every part to ``feed``, and then call ``finish`` and ``end``. The iterators must be walked to their ends: see
    ``Reader``. All raise Invalid for a file that cannot be read at all. ``close`` frees what it holds.
    """

    def __init__(
        self,
        content_type: str,
        sheet: Any = None,
        country: str | None = None,
        number: NumberColumn = CALLED_MSISDN,
    ) -> None:
        self.media_type = content_type.partition(";")[0].strip().lower()
        if self.media_type not in (CSV, *JSON_LINES, XLSX, *AMBIGUOUS_TYPES):
            raise Invalid({"content_type": [f"must be {CSV}, {XLSX} or {JSON_LINES[0]}; {HOW}"]})
        charset = _CHARSET.search(content_type)
        self._charset = charset_of((charset[1] or charset[2] or "").strip()) if charset else None
        if number.name is not None and self.media_type in JSON_LINES:
            raise Invalid({"msisdn_column": ["cannot be chosen: JSON lines have no columns"]})
        self.table = Table(country, number)
        self._country = country
        self._sheet = sheet
        # What has come as long as it is too little to tell, or all of a short file.
        self._start = b""
        self._reader: Reader | None = None

    @property
    def mode(self) -> str:
        """How its metadata joins what is stored, unless the client says otherwise.

        The columns of a table are single values, so an object keeps those that the file does not have.
        """
        return "merge" if self.media_type in JSON_LINES else "deep_merge"

    def feed(self, chunk: bytes) -> Iterator[ReadStep]:
        """What the file holds up to here."""
        if self._reader is None:
            self._start += chunk
            if len(self._start) < file_kinds.SIGNATURE_BYTES:
                return iter(())
            chunk = self._begin()
        assert self._reader is not None
        return self._reader.feed(chunk)

    async def finish(self) -> None:
        """Call it when the whole file has come."""
        if self._reader is None:
            self._start = self._begin()
        if isinstance(self._reader, WorkbookReader):
            self._reader.store(self._start)
            self._start = b""
            await self._reader.unpack()

    def end(self) -> Iterator[ReadStep]:
        """What is left."""
        assert self._reader is not None
        yield from self._reader.feed(self._start)
        yield from self._reader.end()

    @property
    def held_bytes(self) -> int:
        """How many bytes of it are in memory, beside what has been given."""
        return len(self._start) + (self._reader.held_bytes if self._reader is not None else 0)

    def close(self) -> None:
        """Free the temporary file of a workbook."""
        if isinstance(self._reader, WorkbookReader):
            self._reader.close()

    def _begin(self) -> bytes:
        """Choose how the file is read; the bytes that have come of it."""
        start, self._start = self._start, b""
        self._reader = self._reader_of(start)
        return start

    def _reader_of(self, start: bytes) -> Reader:
        file_kinds.check_kind(start, self._charset)
        if file_kinds.is_zip(start):
            if self.media_type in JSON_LINES:
                raise Invalid({"file": [f"is a workbook or another archive (Content-Type: {XLSX})"]})
            return WorkbookReader(self._sheet, self.table)
        if self._sheet is not None:
            raise Invalid({"sheet": ["cannot be chosen: the file is no workbook"]})
        if self.media_type in JSON_LINES:
            return JsonLinesReader(self._country, self._charset)
        if self.media_type != CSV:
            raise Invalid({"file": [NOT_A_WORKBOOK]})
        if file_kinds.begins_as_json(start):
            raise Invalid({"file": [f"is JSON: send one object a line (Content-Type: {JSON_LINES[0]})"]})
        return CsvReader(self.table, self._charset)
