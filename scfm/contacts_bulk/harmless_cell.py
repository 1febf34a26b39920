"""Texts that strangers may have written, as cells in which no spreadsheet sees a formula."""

from __future__ import annotations

from typing import Final

# What a spreadsheet takes for a formula (https://owasp.org/www-community/attacks/CSV_Injection).
FORMULA_SIGNS: Final = ("=", "+", "-", "@", "\t", "\r")
# In front of CSV: without it Excel takes UTF-8 for something else.
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def harmless(text: str) -> str:
    """The text, behind a ``'`` if it would be a formula."""
    return "'" + text if text.startswith(FORMULA_SIGNS) else text
