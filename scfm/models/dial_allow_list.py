"""The phone numbers that the call flows of an account may connect people with: its setting ``dial_allow_list``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scfm.models import hints, msisdn
from scfm.models.fields import FieldError

DIAL_ALLOW_LIST = "dial_allow_list"
MAX_DIAL_NUMBERS = 100
# What is dialled within a country alone, such as 115.
SHORT_NUMBER = re.compile(r"[0-9]{3,6}\Z", re.ASCII)
NO_LIST = "must be a list of phone numbers"


def read_dial_allow_list(given: Any, country: str | None) -> list[str]:
    """The numbers that a client gives, as a list or as a text with commas; none for null and for an empty text.

    COUNTRY is the account's ``default_country``. Raises FieldError with each that is no number.
    """
    values = given.split(",") if isinstance(given, str) else [] if given is None else given
    if not isinstance(values, list) or not all(isinstance(value, str | None) for value in values):
        raise FieldError(NO_LIST, hint=hints.DIAL_NUMBERS)
    written = [value.strip() for value in values if value is not None and value.strip()]
    if len(written) > MAX_DIAL_NUMBERS:
        raise FieldError(f"has too many numbers (maximum is {MAX_DIAL_NUMBERS})")
    numbers = {value: _number(value, country) for value in written}
    if wrong := [value for value, number in numbers.items() if number is None]:
        shown = (value[: hints.MAX_SHOWN_NAME] for value in wrong[: hints.MAX_NAMES])
        raise FieldError(*(f"{value} is an invalid number" for value in shown), hint=hints.DIAL_NUMBERS)
    return list(dict.fromkeys(number for number in numbers.values() if number is not None))


def dial_allow_list(account: Mapping[str, Any]) -> tuple[str, ...]:
    """The numbers of an account, each as a definition may write it: with a plus sign and without."""
    numbers = account["settings"].get(DIAL_ALLOW_LIST, ())
    return tuple(form for number in numbers for form in dict.fromkeys((number, number.removeprefix("+"))))


def _number(written: str, country: str | None) -> str | None:
    """A number as it is stored: with its country code, or a short one; None for what is none."""
    number, messages = msisdn.check(written, country)
    if not messages:
        return number
    return written if SHORT_NUMBER.match(written) else None
