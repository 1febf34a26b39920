"""The parts of a multipart body (RFC 2046, section 5.1.1; RFC 7578): where each is, and what it is called.

It raises BadRequest: with a reason where a bound is passed, without where something is malformed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from mmap import mmap
from typing import NamedTuple
from urllib.parse import unquote

from scfm.errors import BadRequest
from scfm.handlers.parameter_limits import Limits

MAX_PART_HEAD = 8192  # bytes of one part's headers

_BOUNDARY = re.compile(r";\s*boundary=\"?([\w'()+,./:=? -]{1,70})", re.ASCII | re.IGNORECASE)
_DISPOSITION = re.compile(rb"(?:\A|\r\n)content-disposition:[ \t]*form-data\b([^\r\n]*)", re.IGNORECASE)
_DISPOSITION_PARAMETER = re.compile(rb';[ \t]*([\w*-]++)=(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"|([^;\s"]*+))')


class Part(NamedTuple):
    """A part, whose content is from ``begin`` up to ``end`` in the body; ``filename`` is None unless it is a file."""

    name: str | None
    filename: str | None
    begin: int
    end: int


def multipart_parts(body: bytes | mmap, content_type: str, limits: Limits) -> Iterator[Part]:
    """Each part of the body, in order."""
    boundary = _BOUNDARY.search(content_type)
    if not boundary:
        raise BadRequest
    delimiter = b"\r\n--" + boundary[1].rstrip().encode()
    at_once = body[: len(delimiter) - 2] == delimiter[2:]
    position = len(delimiter) - 2 if at_once else _after(body, delimiter, 0)
    for number in range(limits.fields + 1):
        if body[position : position + 2] == b"--":
            return
        if number == limits.fields:
            limits.too_many()
        following = _after(body, delimiter, position)
        end = following - len(delimiter)
        line_end = body.find(b"\r\n", position, end)
        head_end = body.find(b"\r\n\r\n", line_end + 2, end) if line_end >= 0 else -1
        if head_end < 0 or body[position:line_end].strip(b" \t"):
            raise BadRequest
        begin = head_end + 4
        name, filename = _names(body[line_end + 2 : min(head_end, line_end + 2 + MAX_PART_HEAD)])
        yield Part(name, filename, begin, end)
        position = following


def _after(body: bytes | mmap, delimiter: bytes, position: int) -> int:
    found = body.find(delimiter, position)
    if found < 0:
        raise BadRequest  # the closing delimiter is missing
    return found + len(delimiter)


def _names(head: bytes) -> tuple[str | None, str | None]:
    """The name of a part, and that of its file (RFC 7578, section 4.2), from its headers."""
    disposition = _DISPOSITION.search(head)
    if not disposition:
        raise BadRequest
    found = islice(_DISPOSITION_PARAMETER.finditer(disposition[1]), 3)  # name, filename, filename*
    parameters = {match[1].lower(): match[2] or match[3] or b"" for match in found}
    name, filename = parameters.get(b"name"), parameters.get(b"filename")
    if b"filename*" in parameters:  # RFC 8187
        _, _, encoded = parameters[b"filename*"].rpartition(b"'")
        filename = unquote(encoded.decode("ascii", "replace")).encode()
    if name is None and filename is None:
        raise BadRequest
    return (
        None if name is None else _unescaped(name).decode("utf-8", "replace" if filename is not None else "strict"),
        None if filename is None else _unescaped(filename).decode("utf-8", "replace"),
    )


def _unescaped(text: bytes) -> bytes:
    return text.replace(b'\\"', b'"').replace(rb"\\", b"\\")
