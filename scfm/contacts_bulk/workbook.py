"""Contacts as a workbook (XLSX, ECMA-376): it is kept in a file until it is whole, and read by another process."""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from scfm.contacts_bulk import xlsx_reader
from scfm.contacts_bulk.file_kinds import AS_TABLE
from scfm.contacts_bulk.table_reader import Table, TableRow
from scfm.contacts_bulk.text_lines import LINE_TOO_LONG, Problem, ReadStep
from scfm.errors import Invalid
from scfm.runtime.child_process import REFUSED, run_program

log = logging.getLogger("scfm.import")

# Bytes of a workbook as it is sent.
MAX_WORKBOOK = 64 << 20
# How many are read at a time, each by a process of its own: see xlsx_reader for what one may take.
READERS = asyncio.Semaphore(2)
# Seconds that a reader may take, which is told to have less of the processor's time.
MAX_READER_SECONDS = 300.0
TOOK_TOO_MUCH = f"takes too long or too much memory to read: {AS_TABLE}"


class WorkbookReader:
    """Reads the worksheet SHEET, or the first. ``unpack`` must be awaited between the last part and ``end``."""

    def __init__(self, sheet: Any = None, table: Table | None = None) -> None:
        if not isinstance(sheet, str | None):
            raise Invalid({"sheet": ["must be the name of a worksheet"]})
        self._sheet = sheet
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it is open as long as the import goes on
        self._size = 0
        self._table = table or Table()

    def store(self, chunk: bytes) -> None:
        """Keep a part of the file."""
        self._size += len(chunk)
        if self._size > MAX_WORKBOOK:
            raise Invalid(
                {"file": [f"is too large: a workbook has at most {MAX_WORKBOOK >> 20} MiB; save it as CSV"]}
            )
        self._file.write(chunk)

    def feed(self, chunk: bytes) -> Iterator[ReadStep]:
        self.store(chunk)
        return iter(())

    async def unpack(self) -> None:
        """Have the rows read into another file; raises Invalid for what is no workbook, or takes too much."""
        self._file.flush()
        self._file.seek(0)
        rows: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it is open as long as the import goes on
        workbook, self._file = self._file, rows
        with workbook:
            async with READERS:
                status, output = await run_program(
                    xlsx_reader.__name__,
                    json.dumps(self._sheet),
                    stdin=workbook,
                    stdout=rows,
                    seconds=MAX_READER_SECONDS,
                )
        rows.seek(0)
        if status == 0:
            return
        if status == REFUSED:
            name, message = json.loads(output.partition("\n")[0])
            raise Invalid({name: [message]})
        log.warning("a workbook was not read to its end (status %d): %s", status, output or "nothing said")
        raise Invalid({"file": [TOOK_TOO_MUCH]})

    def end(self) -> Iterator[ReadStep]:
        for line in self._file:
            yield from self._take(line)
        yield from self._table.end()

    @property
    def held_bytes(self) -> int:
        return self._table.held_bytes  # the rest is in a file

    def _take(self, line: bytes) -> Iterator[ReadStep]:
        number, cells, problems = json.loads(line)
        if cells is None:
            yield Problem(number, None, LINE_TOO_LONG)
            return
        bad = {int(position): reason for position, reason in problems.items()}
        yield from self._table.take(TableRow(number, _in_a_row(cells), len(line), bad=bad))

    def close(self) -> None:
        """Remove the temporary file."""
        self._file.close()


def _in_a_row(cells: dict[str, str]) -> list[str]:
    """The cells that are not empty, by position, with the empty ones between them."""
    row = [""] * (int(max(cells, key=int, default=-1)) + 1)
    for position, text in cells.items():
        row[int(position)] = text
    return row
