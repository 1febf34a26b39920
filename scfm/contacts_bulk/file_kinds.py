"""What a file is, as its first bytes show, where it holds no contacts that can be read."""

from __future__ import annotations

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE

from scfm.errors import Invalid

# So many bytes tell.
SIGNATURE_BYTES = 512

ZIP = b"PK\x03\x04"
_OPEN_DOCUMENT = b"mimetypeapplication/vnd.oasis.opendocument"

AS_TABLE = "save the table as .xlsx or as CSV (UTF-8)"
PACKED = "unpack it, and send the file that is inside"
OPEN_DOCUMENT = f"is an OpenDocument file (.ods): {AS_TABLE}"

# The first bytes of files (https://en.wikipedia.org/wiki/List_of_file_signatures), what they are and what to do.
KINDS = {
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": f"is an old Excel workbook (.xls) or has a password: {AS_TABLE}, without",
    b"\x09\x08": f"is an old Excel workbook (.xls): {AS_TABLE}",
    b"%PDF-": f"is a PDF document: open what it was made from, and {AS_TABLE}",
    b"{\\rtf": f"is a document of a word processor (RTF): {AS_TABLE}",
    b"BEGIN:VCARD": "is a file of vCards: export the contacts as CSV",
    b"PK\x05\x06": "is an empty ZIP archive",
    b"\x1f\x8b": f"is compressed (gzip): {PACKED}",
    b"BZh": f"is compressed (bzip2): {PACKED}",
    b"\xfd7zXZ\x00": f"is compressed (xz): {PACKED}",
    b"\x28\xb5\x2f\xfd": f"is compressed (zstd): {PACKED}",
    b"7z\xbc\xaf\x27\x1c": f"is an archive (7z): {PACKED}",
    b"Rar!\x1a\x07": f"is an archive (RAR): {PACKED}",
    b"\x89PNG\r\n": f"is a picture (PNG): {AS_TABLE}",
    b"\xff\xd8\xff": f"is a picture (JPEG): {AS_TABLE}",
    b"SQLite format 3\x00": "is an SQLite database: export the table as CSV",
}
_TEXT = re.compile(rb"(?:\xef\xbb\xbf)?\s*")
_JSON = re.compile(rb'[{\[]\s*["{\[]')
MARKED_UP = (
    (re.compile(rb"<!doctype html|<html|<head|<body|<table", re.IGNORECASE), "is an HTML page"),
    (re.compile(rb"<\?xml|<workbook", re.IGNORECASE), "is an XML document"),
)
UTF16 = "is text in UTF-16 without a byte order mark, or no text: save it as UTF-8, or name its charset (utf-16le)"


def check_kind(start: bytes, charset: str | None) -> None:
    """Raise Invalid for what is no table in text and no ZIP archive, with what it is and what to do."""
    text = _TEXT.sub(b"", start, count=1)
    for signature, problem in KINDS.items():
        if start.startswith(signature):
            raise Invalid({"file": [problem]})
    for pattern, kind in MARKED_UP:
        if pattern.match(text):
            raise Invalid({"file": [f"{kind}: {AS_TABLE}"]})
    if is_zip(start) and _OPEN_DOCUMENT in start:
        raise Invalid({"file": [OPEN_DOCUMENT]})
    # With two bytes of zeros behind, it is the mark of UTF-32.
    has_mark = start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) and start[2:4] != b"\0\0"
    if not (is_zip(start) or has_mark or (charset or "").startswith("utf-16")) and start.count(0) * 4 > len(start):
        raise Invalid({"file": [UTF16]})


def is_zip(start: bytes) -> bool:
    """Whether it is an archive, as workbooks (.xlsx) are."""
    return start.startswith(ZIP)


def begins_as_json(start: bytes) -> bool:
    """Whether it is JSON, or JSON lines."""
    return _JSON.match(_TEXT.sub(b"", start, count=1)) is not None
