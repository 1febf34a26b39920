"""Phone numbers as a viewer sees them: but for its last three, each digit is a dot, as in ``+•••••••••678``.

A number is masked wherever it stands: in a field that holds one, in the middle of a text, in the name of a field, and
where it is a number of JSON, which becomes a text. What the API itself says (ids, counts, times, names of providers'
objects, digests) stays as it is. In free JSON, such as metadata and what providers send, whatever is as long as a
phone number is taken for one, unless it looks like a time, a digest or the name of an object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Final

import orjson

from scfm.models.paths import KeyPath
from scfm.models.roles import Role

DOT: Final = "•"
SHOWN_DIGITS: Final = 3
# How many digits are a number: in a text, behind a plus, and in a field that holds numbers.
MIN_DIGITS_IN_TEXT, MIN_DIGITS_AFTER_PLUS, MIN_DIGITS_OF_FIELD = 7, 5, SHOWN_DIGITS + 1

# What may stand between two digits of a number, up to five together: brackets, dashes, dots, slashes, spaces within
# a line, and what is not seen.
_SEPARATORS: Final = (
    "[ \\t().\\-/_"
    "\u00a0\u00ad\u2000-\u200f\u202a-\u202f\u205f-\u206f\u3000\ufeff"
    "\u00b7\u2010-\u2015\u2212\u30fb\uff08\uff09\uff0d\uff0e\uff0f]"
)
_PLUS: Final = "[+\uff0b]"
_RUN: Final = re.compile(rf"(?:{_PLUS}{_SEPARATORS}{{0,5}})?\d+(?:{_SEPARATORS}{{1,5}}\d+)*")
_NO_DIGIT: Final = re.compile(r"\D")


class _Dots(dict[int, str]):
    """By the code of a character, as ``str.translate`` looks for it: a dot for a digit, of whatever script."""

    def __missing__(self, code: int) -> str:
        character = self[code] = DOT if chr(code).isdecimal() else chr(code)
        return character


_DOTS: Final = _Dots()


class _Numbers:
    """What counts as a number in a text: so many digits, and so many behind a plus."""

    def __init__(self, digits: int, after_plus: int) -> None:
        self._digits, self._after_plus = digits, after_plus
        more = rf"\d(?:{_SEPARATORS}{{0,5}}\d)"
        # Most texts hold none: this finds out more quickly than ``_RUN``.
        self._any = re.compile(f"{more}{{{digits - 1}}}|{_PLUS}{_SEPARATORS}{{0,5}}{more}{{{after_plus - 1}}}")

    def masked_in(self, text: str) -> str:
        """A text with its numbers masked."""
        if self._any.search(text) is None:
            return text
        shown, end = [], 0
        for found in _NO_NUMBER.finditer(text):
            shown += [_RUN.sub(self._shown, text[end : found.start()]), found[0]]
            end = found.end()
        return "".join([*shown, _RUN.sub(self._shown, text[end:])])

    def _shown(self, run: re.Match[str]) -> str:
        digits = len(_NO_DIGIT.sub("", run[0]))
        return run[0] if digits < (self._digits if run[0][0].isdecimal() else self._after_plus) else _dots(run[0])


# What has as many digits and is none.
_NO_NUMBER: Final = re.compile(
    r"""
    (?<![\w+-]) (?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])              # ISO 8601, RFC 3339
        (?:[Tt ]\d\d:\d\d (?::\d\d (?:[.,]\d{1,9})?)? (?:\ ?(?:[Zz]|UTC|[+-]\d\d:?\d\d))?)? (?![\w-])
    | (?<=[A-Za-z\u00c0-\u1fff][-_]) (?<!(?u:\d).)                                 # recording-2026-11-29-1705
        (?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]) (?:[-_ ](?:[01]\d|2[0-3])[0-5]\d)? (?![\w-])
    | (?<![\w+-]) (?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])T\d{4,6}Z? (?!\w)
    | (?<![\w+./-]) [0-3]?\d([./-])[0-3]?\d\1(?:19|20)\d\d (?![\w./-])               # 30/11/2026
    | (?<![0-9A-Za-z]) [A-Z]{2}[0-9a-f]{32} (?![0-9A-Za-z])                          # CA…, a provider's object
    | (?<![0-9A-Za-z]) [0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12} (?![0-9A-Za-z])
    | (?<![0-9A-Za-z]) (?=[0-9]*[A-Fa-f]) [0-9A-Fa-f]{32,128} (?![0-9A-Za-z])        # a digest
    | (?<=//) \d{1,3}(?:\.\d{1,3}){3} (?=[:/?\#]|\Z)                                 # the host of a URL
    """,
    re.VERBOSE | re.ASCII,
)

_IN_TEXT: Final = _Numbers(MIN_DIGITS_IN_TEXT, MIN_DIGITS_AFTER_PLUS)
_IN_FIELD: Final = _Numbers(MIN_DIGITS_OF_FIELD, MIN_DIGITS_OF_FIELD)


class _Kind(Enum):
    """What a field holds, by its name."""

    PLAIN = "nothing that a client chose"
    NUMBER = "phone numbers"
    FREE = "free JSON"
    PROMPT = "texts by language, whose codes (id, to) are no names of fields"
    OTHER = "what its own type and fields say"


_PLAIN_NAMES: Final = frozenset({"id", "sha256", "digest", "address", "token"})
_PLAIN_ENDINGS: Final = ("_at", "_id", "_sid", "_token", "_digest")
# Without underscores and in small letters: providers write ForwardedFrom and forwarded_from.
_NUMBER_NAMES: Final = frozenset(
    {
        *("msisdn", "dial", "dialallowlist", "from", "to", "caller", "called", "callerid", "forwardedfrom"),
        *("fromformatted", "toformatted", "phonenumber", "phone", "mobile", "tel", "telephone", "number"),
    }
)
_FREE_NAMES: Final = frozenset(
    {
        *("metadata", "call_flow_data", "answers", "set", "details", "value"),
        *("remote_request_params", "remote_queue_response", "remote_response"),
    }
)
_PROMPT_NAMES: Final = frozenset({"say", "or_say", "play", "message", "audio"})
# Names are remembered, as they come again and again; longer ones are a client's.
MAX_REMEMBERED_NAMES, MAX_REMEMBERED_LENGTH = 2048, 64


def shown_to(role: Role, value: Any) -> Any:
    """What the API shows to who has ROLE: VALUE itself, but for a viewer."""
    return masked(value) if role is Role.VIEWER else value


def value_shown_to(role: Role, path: KeyPath, value: Any) -> Any:
    """A VALUE that stands at PATH in free JSON, told without the names that lead to it, as who has ROLE sees it."""
    if role is not Role.VIEWER:
        return value
    return _number(value) if any(_kind(name) is _Kind.NUMBER for name in path) else _free(value)


def count_numbers(path: KeyPath, values: Iterable[Any]) -> int:
    """How many of the VALUES that stand at PATH in free JSON hold phone numbers."""
    return sum(value_shown_to(Role.VIEWER, path, value) != value for value in values)


def masked(value: Any) -> Any:
    """What the API shows, JSON or documents that become JSON, with its phone numbers masked; a copy."""
    if isinstance(value, dict):
        return _object(value, _member)
    if isinstance(value, list):
        return [masked(item) for item in value]
    return masked_text(value) if isinstance(value, str) else value


def masked_json(content: bytes) -> bytes:
    """JSON with its phone numbers masked."""
    return orjson.dumps(masked(orjson.loads(content)))


def masked_text(text: str) -> str:
    """A text with the phone numbers in it masked."""
    return _IN_TEXT.masked_in(text)


def names_a_number(filters: Any) -> bool:
    """Whether FILTERS, by name, ask for what a viewer is not shown: a phone number, or a part of one.

    A number that a field of numbers is asked for counts however it is written, as it is read before it is compared.
    """
    if isinstance(filters, list):
        return any(names_a_number(one) for one in filters)
    if not isinstance(filters, dict):
        return False
    for name, value in filters.items():
        kind = _kind(name) if len(name) <= MAX_REMEMBERED_LENGTH else _Kind.OTHER
        if kind is _Kind.NUMBER and _digits_in(value) > SHOWN_DIGITS:
            return True
        if kind is _Kind.FREE and _AS[kind](value) != value:
            return True
        if kind is _Kind.OTHER and names_a_number(value):
            return True
    return False


def _digits_in(value: Any) -> int:
    if isinstance(value, dict):
        return sum(_digits_in(inner) for pair in value.items() for inner in pair)
    if isinstance(value, list):
        return sum(_digits_in(inner) for inner in value)
    return sum(character.isdecimal() for character in str(value))


def _member(name: str, value: Any) -> Any:
    """The value of a field of an object that the API shows."""
    if value is None or isinstance(value, bool):
        return value
    kind = _kind(name) if len(name) <= MAX_REMEMBERED_LENGTH else _Kind.OTHER
    if kind is _Kind.PLAIN and not isinstance(value, dict | list):
        return value
    return _AS[kind](value)


def _free(value: Any) -> Any:
    """Free JSON, in which no name says what is under it, but for those of numbers."""
    if isinstance(value, dict):
        return _object(value, _free_member)
    if isinstance(value, list):
        return [_free(item) for item in value]
    return masked_text(value) if isinstance(value, str) else _digits(value, MIN_DIGITS_IN_TEXT)


def _free_member(name: str, value: Any) -> Any:
    kind = _kind(name) if len(name) <= MAX_REMEMBERED_LENGTH else _Kind.OTHER
    return _AS[kind](value) if kind in (_Kind.NUMBER, _Kind.PROMPT) else _free(value)


def _prompt(value: Any) -> Any:
    """A text, or a map of texts by language."""
    return _object(value, lambda _language, text: _free(text)) if isinstance(value, dict) else _free(value)


def _number(value: Any) -> Any:
    """What a field holds that is for phone numbers, of which some are short."""
    if isinstance(value, dict):
        return _object(value, lambda _name, inner: _number(inner))
    if isinstance(value, list):
        return [_number(item) for item in value]
    return _IN_FIELD.masked_in(value) if isinstance(value, str) else _digits(value, MIN_DIGITS_OF_FIELD)


def _object(value: dict[str, Any], member: Callable[[str, Any], Any]) -> dict[str, Any]:
    """An object with the values that MEMBER makes, and its names masked; of two that then are alike both stay."""
    shown: dict[str, Any] = {}
    for name, inner in value.items():
        known = _masked_name(name) if len(name) <= MAX_REMEMBERED_LENGTH else masked_text(name)
        count, unlike = 1, known
        while unlike in shown:
            count += 1
            unlike = f"{known} ({count})"
        shown[unlike] = member(name, inner)
    return shown


def _digits(value: Any, least: int) -> Any:
    """A whole number of at least LEAST digits as a masked text; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) < 10 ** (least - 1):
        return value
    return _dots(str(int(value))) if value == int(value) else value


def _dots(number: str) -> str:
    """A number, which ends with a digit, with dots for all its digits but the last ones."""
    begin, left = len(number), SHOWN_DIGITS
    while left and begin:
        begin -= 1
        left -= number[begin].isdecimal()
    return number[:begin].translate(_DOTS) + number[begin:]


@lru_cache(MAX_REMEMBERED_NAMES)
def _kind(name: str) -> _Kind:
    if name in _PLAIN_NAMES or name.endswith(_PLAIN_ENDINGS):
        return _Kind.PLAIN
    if name in _FREE_NAMES:
        return _Kind.FREE
    if name in _PROMPT_NAMES:
        return _Kind.PROMPT
    return _Kind.NUMBER if name.replace("_", "").lower() in _NUMBER_NAMES else _Kind.OTHER


@lru_cache(MAX_REMEMBERED_NAMES)
def _masked_name(name: str) -> str:
    return masked_text(name)


# What becomes of a value, by what its field holds.
_AS: Final[Mapping[_Kind, Callable[[Any], Any]]] = {
    _Kind.PLAIN: masked,  # an object or a list, in spite of its name
    _Kind.NUMBER: _number,
    _Kind.FREE: _free,
    _Kind.PROMPT: _prompt,
    _Kind.OTHER: masked,
}
