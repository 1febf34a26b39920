"""Takes phone numbers and secrets out of lines of the log: the second line of defence.

The first is that no line is given any: routes are logged and no paths, ids and no names. What comes from others,
such as the words of a driver, a provider or a trace, may hold some all the same.
"""

from __future__ import annotations

import re
from typing import Final

DOT: Final = "•"
# Of a phone number so many digits are left; so many are taken for one, behind a plus and without.
SHOWN_DIGITS: Final = 3
HIDDEN: Final = "[hidden]"

# An access token or a digest (64 hexadecimal digits) and a provider's auth token (32), but not the sid of one of its
# objects, which has two letters in front; the secret of a session, in URL-safe base64 (43 characters); credentials in
# a URL; a phone number. What is left of a word must not be a number: ids of requests and objects are hexadecimal.
_SENSITIVE: Final = re.compile(
    r"""
      (?<![0-9A-Za-z_-]) (?: [0-9a-f]{64} | [0-9a-f]{32} | [0-9A-Za-z_-]{43} ) (?![0-9A-Za-z_-])
    | (?<=://) [^/@\s:]* : [^/@\s]+ (?=@)
    | (?<![0-9A-Za-z_.-]) \+? [0-9]{9,15} (?![0-9A-Za-z_-])
    | \+ [0-9]{6,15} (?![0-9])
    """,
    re.VERBOSE | re.ASCII,
)
# Whether there may be anything at all: a long run of digits, of letters, or a plus.
_SUSPECT: Final = re.compile(r"[0-9]{9}|\+[0-9]{6}|[0-9A-Za-z_-]{32}|://[^/\s]*@", re.ASCII)


def redacted(text: str) -> str:
    """TEXT without what looks like a phone number, of which the last three digits stay, or a secret."""
    return text if _SUSPECT.search(text) is None else _SENSITIVE.sub(_masked, text)


def _masked(found: re.Match[str]) -> str:
    word = found[0]
    digits = word.removeprefix("+")
    if not digits.isdecimal() or len(digits) > 15:
        return HIDDEN
    return word[: len(word) - len(digits)] + DOT * (len(digits) - SHOWN_DIGITS) + digits[-SHOWN_DIGITS:]
