"""Hints beside error messages that do not explain themselves: what would be accepted."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Any

from scfm.providers.call_parameters import CALL_PARAMETERS
from scfm.twiml.registry import BUILT_IN, Registry

# How many of the names that a client got wrong are looked at, and how many characters of each are shown.
MAX_NAMES, MAX_SHOWN_NAME = 5, 40
AUDIO_NAME = (
    "what an audio file plays never changes: take another name, or delete the one of this name first; "
    "GET /api/audio_files?q[name]=NAME has its id"
)
PHONE_NUMBER = "a phone number with its country code, such as +252662345678"
DEFINITION = "what a definition may hold: GET /api/schemas/call_flow.json"
DIAL_NUMBERS = f"{PHONE_NUMBER}, or a short one, such as 115; in a form, dial_allow_list[]=115 for each"
KNOWN_CONTACT = "contact_id is the id of a contact of yours: see GET /api/contacts"
CALLOUT = "a population belongs to a callout: POST /api/callouts/1/batch_operations, or give callout_id"
MSISDN_COLUMN = (
    "msisdn is the phone number: name that column so in the first row, or say which it is (msisdn_column=Phone), and "
    "remove rows above it, such as a title"
)
FOLLOW_UP = (
    'only a plan is followed up: create a callout whose plan has audience={"follow_up": {"callout_id": 1, "q": {}}}'
)
PLAN = "what a plan may hold: GET /api/schemas/plan.json"
PREVIEW = "nothing there matches now; with skip_validate_preview_presence=true it is created all the same"


def choice_of(choices: Iterable[str]) -> str:
    """For a value that must be one of a list."""
    return f"one of: {', '.join(choices)}"


def events(noun: str, status: str, possible: Iterable[str]) -> str:
    """For an event that a status does not allow."""
    names = ", ".join(possible)
    return f"a {noun} that is {status} can take: {names}" if names else f"a {noun} that is {status} can take no event"


def call_flow(value: str, registered: Collection[str]) -> str | None:
    """For a call flow that is not registered.

    None for a built-in one on a server where nothing has been registered: that answer the guide shows, and explains.
    """
    if value in BUILT_IN and set(registered) == set(Registry.from_setting("").names):
        return None
    names = ", ".join(sorted(registered))
    return f"one of the registered call flows: {names}; REGISTERED_CALL_FLOW_LOGIC registers more"


def request_params(value: Any) -> str | None:
    """For names in ``remote_request_params`` that the provider's call does not have.

    None where there are none, also where the parameters are missing: that answer the guide shows, and explains.
    """
    unknown = sorted(set(value) - CALL_PARAMETERS) if isinstance(value, dict) else []
    return "; ".join(_unknown_parameter(name) for name in unknown[:MAX_NAMES]) or None


def _unknown_parameter(name: str) -> str:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[-\s]+", "_", name[:MAX_SHOWN_NAME]).lower().strip("_")
    close = get_close_matches(snake, sorted(CALL_PARAMETERS), n=2)
    meant = f": did you mean {' or '.join(close)}?" if close else ""
    return f"{name[:MAX_SHOWN_NAME]} is no parameter of a call{meant}"


def phone_number(value: object, country: str | None) -> str:
    """For a number that is none; COUNTRY is the account's ``default_country``."""
    written = str(value).strip()
    if written.startswith(("+", "00")) or not any(character.isdigit() for character in written):
        return PHONE_NUMBER
    if country is None:
        return f"{PHONE_NUMBER}; for numbers as they are dialled within a country, set the account's default_country"
    return f"{PHONE_NUMBER}, or as it is dialled within {country}, the account's default_country"
