"""Phone numbers: one spelling for each, and whether it could ring at all."""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers

BLANK = "can't be blank"
INVALID = "is an invalid number"

SOMALIA = 252
SOMALIA_DIGITS = 7  # phonenumbers lets six pass

_NOT_DIALLED = re.compile(r"[^0-9+]+")  # ASCII digits only: \d would let other scripts' through


def check(value: object) -> tuple[str | None, list[str]]:
    """The number in its one spelling, and what is wrong: ``("+252662345678", [])`` or ``(None, [INVALID])``.

    ``value`` is what the client sent: a str, or an int from JSON; any other type counts as blank.
    """
    digits = _digits(value)
    if not digits:
        return None, [BLANK]
    number = _possible(digits)
    return (number, []) if number else (None, [INVALID])


def normalise(value: object) -> str | None:
    """The number in its one spelling, ``+252662345678``; None for what cannot be a number. Idempotent."""
    return check(value)[0]


def errors(value: object) -> list[str]:
    """What is wrong with the number: BLANK, INVALID or nothing."""
    return check(value)[1]


def _digits(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return _NOT_DIALLED.sub("", str(value)).lstrip("+").removeprefix("00").lstrip("+")


# A caller's number is read at each of his webhooks, and reading one costs as much as asking the database.
@lru_cache(maxsize=4096)
def _possible(digits: str) -> str | None:
    try:
        number = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException:
        return None
    without_zero = _without_trunk_zero(digits, number)
    if without_zero != digits:
        return _possible(without_zero)
    national = phonenumbers.national_significant_number(number)
    enough = number.country_code != SOMALIA or len(national) >= SOMALIA_DIGITS
    return f"+{digits}" if enough and phonenumbers.is_possible_number(number) else None


def _without_trunk_zero(digits: str, number: phonenumbers.PhoneNumber) -> str:
    """Drops the zero after the country code, unless (Italy, Ivory Coast) it belongs to the number."""
    code = str(number.country_code)
    national = digits[len(code) :]
    if national.startswith("0") and len(phonenumbers.national_significant_number(number)) < len(national):
        return code + national[1:]
    return digits
