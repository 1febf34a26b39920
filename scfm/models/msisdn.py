"""Phone numbers: how a text is read as one, and the one form in which it is stored (docs/api.md, "Phone numbers").

What is not understood is refused, never left out: a number that has lost or gained a digit is somebody else's.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import phonenumbers

BLANK = "can't be blank"
INVALID = "is an invalid number"

COUNTRIES: frozenset[str] = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""The countries, two capital letters each, that an account may have as its ``default_country``."""

SOMALIA = 252
SOMALIA_DIGITS = 7  # phonenumbers lets six pass

# Of the text as it was sent, and of the digits in it. E.164 has 15 digits; "00", trunk prefixes and the few countries
# that phonenumbers lets go beyond add some.
MAX_LENGTH = 250
MAX_DIGITS = 32
# No prefix is written more often than this before a number.
MAX_PREFIXES = 4

_DIGIT = re.compile(r"\d")
_PLAIN = re.compile(r"\+?[0-9]+\Z")
# What separates digits most often; all else is looked at one by one.
_SEPARATORS = re.compile(r"[ ()/-]+")
# As any version has stored a number.
_STORED = re.compile(rf"\+[0-9]{{1,{MAX_DIGITS}}}\Z")
# The schema of RFC 3966, and the mark by which a spreadsheet knows a text.
_BEFORE = re.compile(r"tel:|'", re.IGNORECASE)
_DROPPED = frozenset("/()\N{FULLWIDTH SOLIDUS}\N{FULLWIDTH LEFT PARENTHESIS}\N{FULLWIDTH RIGHT PARENTHESIS}")
_MINUS = frozenset("\N{MINUS SIGN}\N{HEAVY MINUS SIGN}\N{MODIFIER LETTER MINUS SIGN}")
_DOT = frozenset(".\N{FULLWIDTH FULL STOP}")
_PLUS = frozenset("+\N{FULLWIDTH PLUS SIGN}")


def check(value: object, country: str | None = None) -> tuple[str | None, list[str]]:
    """The number in its one form, and what is wrong: ``("+252662345678", [])`` or ``(None, [INVALID])``.

    ``value`` is what the client sent: a str, or an int or float from JSON; any other type counts as blank.
    ``country`` (one of COUNTRIES) is where a number is national that does not begin with ``+`` or ``00``.
    """
    text = _text(value)
    if not _DIGIT.search(text):
        return None, [BLANK]
    written = _written(text)
    if written is None:
        return None, [INVALID]
    digits = written.removeprefix("+").removeprefix("00")
    if len(digits) > MAX_DIGITS:
        return None, [INVALID]
    msisdn = _read(digits, country if digits == written else None)
    return (msisdn, []) if msisdn else (None, [INVALID])


def normalise(value: object, country: str | None = None) -> str | None:
    """The number in its one form, ``+252662345678``; None for what cannot be a number. Idempotent."""
    return check(value, country)[0]


def stored_forms(value: object, country: str | None = None) -> list[str]:
    """The texts to look for where a stored number is sought: the one form of VALUE, if it is a number.

    And VALUE itself, if it is ``+`` and digits: older versions may have stored it in another form.
    """
    msisdn = normalise(value, country)
    forms = [msisdn] if msisdn else []
    if isinstance(value, str) and value != msisdn and _STORED.match(value):
        forms.append(value)
    return forms


def national(stored: str, country: str) -> str | None:
    """What a stored number would be in COUNTRY if its ``+`` was none of its own: of one that is not valid as it is.

    Older versions put a ``+`` before a national number as before any other. None where it is not so.
    """
    phone_number = _parse(stored)
    if phone_number is not None and phonenumbers.is_valid_number(phone_number):
        return None
    read = normalise(stored.removeprefix("+"), country)
    return read if read != stored else None


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    # A negative number, a fraction, or one beyond all phone numbers: "0" is no phone number either.
    return str(int(value)) if 0 <= value < 10**MAX_DIGITS and value == int(value) else "0"


def _written(text: str) -> str | None:
    """The digits as ASCII, behind a ``+`` if there was one; None where there is anything that is not understood."""
    if len(text) > MAX_LENGTH and len(text := text.strip()) > MAX_LENGTH:
        return None
    if _PLAIN.match(text):
        return text
    plain = _SEPARATORS.sub("", text)
    if _PLAIN.match(plain):
        return plain
    text = text.strip()
    if before := _BEFORE.match(text):
        text = text[before.end() :]
    digits = ""
    for character in text:
        if character.isdecimal():
            digits += str(unicodedata.decimal(character))
        elif character in _DOT:
            digits += "."
        elif character in _PLUS and not digits.strip("."):
            digits += "+"
        elif not _is_dropped(character):
            return None
    whole, _, decimals = digits.partition(".")
    # A spreadsheet's decimals: 85512345678.0
    if decimals.strip("0") == "" and _DIGIT.search(whole):
        return whole
    return digits.replace(".", "")


def _is_dropped(character: str) -> bool:
    if character.isspace() or character in _DROPPED or character in _MINUS:
        return True
    return unicodedata.category(character) in ("Cf", "Pd")


# A caller's number is read at each webhook of the call, and reading one costs as much as asking the database.
@lru_cache(maxsize=4096)
def _read(digits: str, country: str | None) -> str | None:
    """The number in its one form: a national one of COUNTRY, or else one that begins with its country code."""
    if country is not None and (phone_number := _national(digits, country)) is not None:
        return _form(phone_number)
    said = _parse("+" + digits)
    return None if said is None else _form(said, "+" + digits)


def _national(digits: str, country: str) -> phonenumbers.PhoneNumber | None:
    """The valid number of COUNTRY that the digits are there, or None."""
    # Spreadsheets lose the zero, be it a trunk prefix or (Italy) part of the number.
    for dialled in (digits, "0" + digits.lstrip("0")):
        phone_number = _parse(dialled, country)
        if phone_number is not None and _is_of(phone_number, country):
            break
    else:
        return None
    if digits.startswith(str(phone_number.country_code)):
        # 4917639744448 is a German mobile phone with its country code, and could be a landline without its zero.
        said = _parse("+" + digits)
        if said is not None and _is_mobile(said) and not _is_mobile(phone_number):
            return said
    return phone_number


def _parse(text: str, country: str | None = None) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None


def _is_of(phone_number: phonenumbers.PhoneNumber, country: str) -> bool:
    """Whether it is valid, and has the country's code: a prefix for calls abroad (011, 810) leads to another."""
    home: bool = phone_number.country_code == phonenumbers.country_code_for_region(country)
    return home and phonenumbers.is_valid_number(phone_number)


def _is_mobile(phone_number: phonenumbers.PhoneNumber) -> bool:
    mobile: bool = phonenumbers.number_type(phone_number) == phonenumbers.PhoneNumberType.MOBILE
    return mobile


def _form(phone_number: phonenumbers.PhoneNumber, written: str = "") -> str | None:
    """The E.164 form of a possible number, else None.

    ``written``: how it was written. phonenumbers drops one prefix each time it reads a number, so one that was
    written otherwise is read again, until nothing is left to drop.
    """
    form = _e164(phone_number)
    for _ in range(MAX_PREFIXES):
        if form == written:
            break
        again = _parse(form)
        if again is None:
            return None
        written, phone_number, form = form, again, _e164(again)
    else:
        return None
    national = phonenumbers.national_significant_number(phone_number)
    enough = phone_number.country_code != SOMALIA or len(national) >= SOMALIA_DIGITS
    return form if enough and phonenumbers.is_possible_number(phone_number) else None


def _e164(phone_number: phonenumbers.PhoneNumber) -> str:
    return f"+{phone_number.country_code}{phonenumbers.national_significant_number(phone_number)}"
