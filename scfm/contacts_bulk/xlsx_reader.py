"""A program: reads a worksheet of the XLSX workbook on its standard input, and writes its rows as lines of JSON.

A row is ``[number, cells, problems]``: cells as text, and what is wrong with some, both by position, from 0;
``[number, null, {}]`` is one that is too long. Empty rows are left out. The argument is the name of the worksheet as
JSON, null for the first that is not hidden. A workbook that cannot be read ends it with status REFUSED, and ``[field,
message]`` as the first line of its standard error; what follows there is for the log.

It is a process of its own since parsing takes time and memory that the file decides on. Both are limited here, where
the system can, and whatever becomes of it, the server goes on.
"""

from __future__ import annotations

import datetime
import json
import sys
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import IO, Any

from scfm.contacts_bulk.file_kinds import AS_TABLE, OPEN_DOCUMENT
from scfm.runtime.child_process import exit_refused, limit_process

# Bytes of all XML of the workbook, unpacked; bytes of the process; seconds of the processor; bytes of the answer.
MAX_UNPACKED = 256 << 20
MAX_PROCESS_BYTES = 1 << 30
MAX_SECONDS = 60
MAX_OUTPUT = MAX_UNPACKED
MAX_PARTS = 10_000
# As many as a worksheet has (https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3).
MAX_ROWS = 1_048_576
# Bytes of a row as it is written: as much as a line of CSV.
MAX_ROW = 2 << 20
# A spreadsheet keeps so many digits.
SIGNIFICANT_DIGITS = 15

WORKBOOK_TOO_LARGE = (
    f"is too large: a workbook has at most {MAX_UNPACKED >> 20} MiB when it is unpacked; save it as CSV"
)
DAMAGED = f"is a workbook that cannot be read: open it, and {AS_TABLE}"
# What a ZIP archive is that has a part with such a name, or one that ends so.
OTHER_KINDS = {
    "word/document.xml": f"is a Word document: {AS_TABLE}",
    "ppt/presentation.xml": f"is a PowerPoint presentation: {AS_TABLE}",
    "xl/workbook.bin": f"is a binary Excel workbook (.xlsb): {AS_TABLE}",
    "content.xml": OPEN_DOCUMENT,
    ".iwa": f"is a file of Apple's Numbers or Pages: {AS_TABLE}",
}
STRICT = b"http://purl.oclc.org/ooxml/spreadsheetml/main"


class Unreadable(Exception):
    """The workbook cannot be read; the arguments are the name of what is at fault, and the message."""


def check_archive(file: IO[bytes]) -> bool:
    """Raise Unreadable for what is no workbook; whether it may have formulas."""
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile:
        raise Unreadable("file", "is a damaged or incomplete workbook: send it again") from None
    with archive:
        parts = archive.infolist()
        names = {part.filename for part in parts}
        for name, message in OTHER_KINDS.items():
            if name in names or (name.startswith(".") and any(one.endswith(name) for one in names)):
                raise Unreadable("file", message)
        if "[Content_Types].xml" not in names:
            raise Unreadable("file", "is a ZIP archive: unpack it, and send the file that is inside")
        xml = [part for part in parts if part.filename.endswith((".xml", ".rels"))]
        # No more is unpacked of a part than it says here.
        if len(parts) > MAX_PARTS or sum(part.file_size for part in xml) > MAX_UNPACKED:
            raise Unreadable("file", WORKBOOK_TOO_LARGE)
        if any(part.flag_bits & 1 for part in parts):
            raise Unreadable("file", f"has a password: {AS_TABLE}, without")
        if "xl/workbook.xml" in names:
            with archive.open("xl/workbook.xml") as part:
                if STRICT in part.read(4096):
                    raise Unreadable("file", f"is a Strict Open XML workbook: {AS_TABLE}")
        return any(_has(archive, part, b"<f") for part in xml if "worksheets/" in part.filename)


def _has(archive: zipfile.ZipFile, part: zipfile.ZipInfo, sought: bytes) -> bool:
    with archive.open(part) as content:
        rest = b""
        while chunk := content.read(1 << 16):
            if sought in rest + chunk:
                return True
            rest = chunk[-len(sought) :]
    return False


def read_rows(file: IO[bytes], sheet: str | None) -> Iterator[list[Any]]:
    """The rows of the worksheet of that name, or of the first that is not hidden; raises Unreadable."""
    formulas = check_archive(file)
    worksheet = _worksheet(file, sheet, data_only=True)
    # Where a formula has no result, its cell is as empty as one without a formula: only the formula itself tells.
    written = _worksheet(file, sheet, data_only=False).iter_rows() if formulas else None
    for number, cells in enumerate(worksheet.iter_rows(), 1):
        if number > MAX_ROWS:
            raise Unreadable("file", f"has more than {MAX_ROWS} rows")
        texts, problems = _texts(cells, next(written, ()) if written else ())
        if texts or problems:
            yield [number, texts, problems]


def _worksheet(file: IO[bytes], sheet: str | None, data_only: bool) -> Any:
    # Here, as the server knows this file too, and needs no library for it.
    import openpyxl  # type: ignore[import-untyped]  # noqa: PLC0415

    workbook = openpyxl.load_workbook(file, read_only=True, data_only=data_only, keep_links=False)
    names = {worksheet.title: worksheet for worksheet in workbook.worksheets}
    if not names:
        raise Unreadable("file", "is a workbook without worksheets")
    if sheet is None:
        # A hidden sheet is not the list that is meant to be sent.
        shown = (one for one in names.values() if one.sheet_state == "visible")
        found = next(shown, next(iter(names.values())))
    else:
        found = names.get(sheet) or next((one for name, one in names.items() if name.lower() == sheet.lower()), None)
    if found is None:
        raise Unreadable("sheet", f"is not in the workbook, which has: {', '.join(names)[:1000]}")
    # What the file says of its size may be wrong, and each row would be filled up to it.
    found.reset_dimensions()
    return found


def _texts(cells: Iterable[Any], written: Iterable[Any]) -> tuple[dict[int, str], dict[int, str]]:
    """The cells of a row as text, without empty ones, and what is wrong with some, both by position."""
    texts: dict[int, str] = {}
    problems: dict[int, str] = {}
    for position, cell in enumerate(cells):
        if cell.value is None:
            continue
        if cell.data_type == "e":
            problems[position] = f"holds the error {cell.value}"
            continue
        texts[position] = text_of(cell.value)
    for position, cell in enumerate(written):
        if cell.data_type == "f" and position not in problems and not texts.get(position):
            problems[position] = "holds a formula without a result: open the workbook, and save it again"
    return texts, problems


def text_of(value: object) -> str:
    """A cell's value as CSV would have it: a whole number without a decimal point, a date as in ISO 8601."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(Decimal(f"{value:.{SIGNIFICANT_DIGITS}g}"), "f")
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return f"PT{value.total_seconds():.{SIGNIFICANT_DIGITS}g}S"
    return str(value)


def write_row(row: list[Any]) -> None:
    """Write ``[number, cells, problems]`` as a line; a row that is too long without its cells."""
    line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
    if len(line) > MAX_ROW:
        line = json.dumps([row[0], None, {}]).encode() + b"\n"
    sys.stdout.buffer.write(line)


def main() -> None:
    """Read the workbook on the standard input, within the limits."""
    limit_process(memory=MAX_PROCESS_BYTES, seconds=MAX_SECONDS, output=MAX_OUTPUT)
    warnings.simplefilter("ignore")
    try:
        for row in read_rows(sys.stdin.buffer, json.loads(sys.argv[1])):
            write_row(row)
        sys.stdout.flush()
    except Unreadable as error:
        exit_refused(json.dumps(error.args))
    except (MemoryError, OSError) as error:  # what it has written is too large for a file
        exit_refused(json.dumps(["file", WORKBOOK_TOO_LARGE]), error)
    except Exception as error:  # whatever a library meets in what a stranger has put into a file
        exit_refused(json.dumps(["file", DAMAGED]), error)


if __name__ == "__main__":
    main()
