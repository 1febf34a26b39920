"""Texts as imports store and filters compare them: in Unicode's composed form (NFC), without blanks around them."""

from __future__ import annotations

from typing import Literal
from unicodedata import normalize

# What str.strip takes away, the last of which is U+3000, spaces without a width, and marks of the direction of
# writing. Not the joiners U+200C and U+200D, which are part of words.
BLANKS = (
    "".join(filter(str.isspace, map(chr, range(0x3001))))
    + "\u200b\u2060\ufeff"
    + "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
# To normalise takes time that grows with the square of a run of combining marks, a second for 64 KiB of them; so
# longer texts compare as they are. https://www.unicode.org/reports/tr15/#Stream_Safe_Text_Format
MAX_NORMALISED = 1024


def trimmed(text: str) -> str:
    """TEXT without blanks, also no-break ones, at its ends."""
    return text.strip(BLANKS)


def stored_form(text: str) -> str:
    """TEXT as imports store it: trimmed, and composed."""
    text = trimmed(text)
    return text if text.isascii() else composed(text, "NFC")


def forms(text: str) -> tuple[str, ...]:
    """TEXT first, and the texts that differ from it only in how their letters are composed (NFC, NFD).

    Documents hold texts in the form in which they came.
    """
    if text.isascii():
        return (text,)
    return tuple(dict.fromkeys((text, composed(text, "NFC"), composed(text, "NFD"))))


def spellings(text: str) -> tuple[str, ...]:
    """TEXT as it is given, and the forms of what it is without the blanks around it."""
    return tuple(dict.fromkeys((text, *forms(trimmed(text)))))


def composed(text: str, form: Literal["NFC", "NFD"]) -> str:
    """TEXT in one of Unicode's forms; one that is longer than MAX_NORMALISED as it was."""
    return text if len(text) > MAX_NORMALISED else normalize(form, text)
