"""The charsets in which files of contacts are read: a stream of bytes in one of them becomes a stream of UTF-8."""

from __future__ import annotations

import codecs

from scfm.errors import Invalid

UTF8, UTF16_LE, UTF16_BE, WINDOWS_1252 = "utf-8", "utf-16-le", "utf-16-be", "windows-1252"
# Labels of Content-Type, in lower case. As in https://encoding.spec.whatwg.org/#names-and-labels, UTF-16 without a
# byte order mark is little-endian, and ISO-8859-1 is read as windows-1252, which has it but for control characters.
LABELS = {
    **dict.fromkeys(("utf-8", "utf8", "us-ascii", "ascii"), UTF8),
    **dict.fromkeys(("utf-16", "utf16", "utf-16le"), UTF16_LE),
    "utf-16be": UTF16_BE,
    **dict.fromkeys(("windows-1252", "cp1252", "iso-8859-1", "iso8859-1", "latin1", "latin-1"), WINDOWS_1252),
}
MARKS = ((codecs.BOM_UTF8, UTF8), (codecs.BOM_UTF16_LE, UTF16_LE), (codecs.BOM_UTF16_BE, UTF16_BE))
MAX_MARK = 3
# No UTF-8 has this byte.
INVALID_BYTE = b"\xff"
NOT_UTF8 = (
    "is not valid UTF-8: save the file as UTF-8, or name its charset (Content-Type: text/csv; charset=windows-1252)"
)


def charset_of(label: str) -> str:
    """The charset that a Content-Type names; raises Invalid."""
    try:
        return LABELS[label.lower()]
    except KeyError:
        raise Invalid({"content_type": ["must have the charset utf-8, utf-16, windows-1252 or iso-8859-1"]}) from None


class Transcoder:
    """Bytes in, UTF-8 out, without a byte order mark; a byte order mark says more than CHARSET does.

    What is not valid in the charset is not valid UTF-8 either, so that the cell or line with it is found to be bad,
    for the reason ``problem``, and the others are read.
    """

    def __init__(self, charset: str | None = None) -> None:
        self._charset = charset
        self._start = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._begun = False
        self.problem = NOT_UTF8

    def feed(self, chunk: bytes) -> bytes:
        """The text up to here, as far as its last character is whole."""
        if not self._begun:
            self._start += chunk
            if len(self._start) < MAX_MARK:
                return b""
            chunk = self._begin()
        return chunk if self._decoder is None else self._encoded(self._decoder.decode(chunk))

    def end(self) -> bytes:
        """What is left at the end of the stream."""
        rest = b"" if self._begun else self._begin()
        if self._decoder is None:
            return rest
        rest = self._encoded(self._decoder.decode(rest))
        try:
            return rest + self._encoded(self._decoder.decode(b"", True))
        except UnicodeDecodeError:  # half a character
            return rest + INVALID_BYTE

    def _begin(self) -> bytes:
        self._begun, start, self._start = True, self._start, b""
        mark, charset = next((pair for pair in MARKS if start.startswith(pair[0])), (b"", self._charset or UTF8))
        if charset != UTF8:
            errors = "surrogateescape" if charset == WINDOWS_1252 else "surrogatepass"
            self._decoder = codecs.getincrementaldecoder(charset)(errors)
            self.problem = f"is not valid {charset.upper() if charset != WINDOWS_1252 else charset}"
        elif self._charset == UTF8:
            self.problem = "is not valid UTF-8, which its Content-Type names as its charset"
        return start[len(mark) :]

    @staticmethod
    def _encoded(text: str) -> bytes:
        # A byte that the charset does not have, or half a surrogate pair, is a surrogate here, which no UTF-8 has.
        return text.encode("utf-8", "surrogatepass")
