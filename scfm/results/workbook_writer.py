"""A workbook (.xlsx), written row by row: what is held does not grow with it.

It has what ECMA-376 (Office Open XML, part 1) asks of a workbook, and no more: sheets of rows, whose texts stand in
the cells themselves (``inlineStr``). Sheets have a limit of bytes, as Excel wants to repair what needs ZIP64.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import IO, Final, cast
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import orjson

from scfm.results.result_table import Cell

# Excel's limits: rows of a sheet, and characters of a cell (support.microsoft.com: Excel specifications and limits).
MAX_SHEET_ROWS: Final = 1 << 20
MAX_CHARACTERS: Final = 32_767
# Bytes of one sheet's XML.
MAX_SHEET_BYTES: Final = 1 << 30
# Whole numbers beyond are not exact in a spreadsheet.
MAX_EXACT_INTEGER: Final = 2**53
# XML is gathered before it is compressed.
GATHERED_BYTES: Final = 1 << 14
COMPRESSION: Final = 4

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_LINKED = f'<Relationships xmlns="{_PACKAGE}/relationships">'
_BEGIN = f'{_XML}<worksheet xmlns="{_MAIN}"><sheetData>'.encode()
_END = b"</sheetData></worksheet>"
# What XML cannot hold is written by its number, and so is what would read like that (ST_Xstring, 22.9.2.19).
_SPECIAL = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")


class _Output:
    """Where the archive is written to; it cannot be gone back in."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: bytes) -> int:
        self.written += data
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""


class WorkbookWriter:
    """Writes rows below HEADER into sheets called NAME, ``NAME 2``…; ``take`` gives what has been written so far."""

    def __init__(self, name: str, header: Sequence[str]) -> None:
        self._name, self._header = name, header
        self._output = _Output()
        self._archive = ZipFile(cast(IO[bytes], self._output), "w", ZIP_DEFLATED, compresslevel=COMPRESSION)
        self._sheets = 0
        self._begin_sheet()

    def add(self, row: Sequence[Cell]) -> None:
        """Write one row."""
        if self._rows >= MAX_SHEET_ROWS or self._size >= MAX_SHEET_BYTES:
            self._end_sheet()
            self._begin_sheet()
        self._write_row(row)

    def take(self) -> bytes:
        """The bytes that have been written since this was called last."""
        written = bytes(self._output.written)
        self._output.written.clear()
        return written

    def close(self) -> None:
        """Write what belongs at the end."""
        self._end_sheet()
        for name, content in self._parts().items():
            self._archive.writestr(name, f"{_XML}{content}")
        self._archive.close()

    def _begin_sheet(self) -> None:
        self._sheets += 1
        entry = ZipInfo(f"xl/worksheets/sheet{self._sheets}.xml")
        entry.compress_type = ZIP_DEFLATED
        self._sheet = self._archive.open(entry, "w")
        self._gathered = bytearray(_BEGIN)
        self._rows = self._size = 0
        self._write_row(self._header)

    def _end_sheet(self) -> None:
        self._sheet.write(bytes(self._gathered) + _END)
        self._sheet.close()

    def _write_row(self, row: Sequence[Cell]) -> None:
        written = f"<row>{''.join(map(_cell, row))}</row>".encode()
        self._rows += 1
        self._size += len(written)
        self._gathered += written
        if len(self._gathered) >= GATHERED_BYTES:
            self._sheet.write(bytes(self._gathered))
            self._gathered.clear()

    def _parts(self) -> dict[str, str]:
        """By their names, the other parts of the package."""
        numbers = range(1, self._sheets + 1)
        types = "".join(
            f'<Override PartName="/xl/worksheets/sheet{number}.xml" ContentType="{_TYPE}.worksheet+xml"/>'
            for number in numbers
        )
        sheets = "".join(
            f'<sheet name="{self._name}{f" {number}" if number > 1 else ""}" sheetId="{number}" r:id="r{number}"/>'
            for number in numbers
        ).join(("<sheets>", "</sheets>"))
        relations = "".join(
            f'<Relationship Id="r{number}" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet{number}.xml"/>'
            for number in numbers
        )
        root = f'<Relationship Id="r1" Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/>'
        return {
            "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}">{sheets}</workbook>',
            "xl/_rels/workbook.xml.rels": f"{_LINKED}{relations}</Relationships>",
            "_rels/.rels": f"{_LINKED}{root}</Relationships>",
            "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>{types}</Types>',
        }


def _cell(value: Cell) -> str:
    if value is None or value == "":
        return "<c/>"
    if not isinstance(value, str):
        if isinstance(value, float) or abs(value) <= MAX_EXACT_INTEGER:
            return f"<c><v>{orjson.dumps(value).decode()}</v></c>"
        value = str(value)
    text = escape(_SPECIAL.sub(lambda found: f"_x{ord(found[0]):04X}_", value[:MAX_CHARACTERS]))
    return f'<c t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
