"""The formats in the schemas of filters: what JSON Schema has no word for, and what is wrong with a value."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from scfm.errors import Invalid
from scfm.models import msisdn, paths
from scfm.models.call_lifecycle import CALL_STATUSES
from scfm.models.callout_status import STATUSES as STATUSES_OF_A_CALLOUT
from scfm.models.filters import as_count, as_id, choices, moment_of, text
from scfm.models.outcome import OUTCOMES
from scfm.models.texts import trimmed
from scfm.schemas import Formats, pointer, violations

# Characters of a value that an error quotes.
MAX_QUOTED = 60

Format = Callable[[Any], bool]


@lru_cache(maxsize=256)  # as many as there are countries
def filter_formats(country: str | None) -> Mapping[str, Format]:
    """By name, the formats of filters; ``country`` is the account's ``default_country``."""

    def phone_number(value: str) -> None:
        if msisdn.normalise(value, country) is None:
            raise ValueError(f"{quoted(value)} is not a phone number")

    return {
        "id": _each(_check_id, by_comma=False),
        "ids": _each(_check_id),
        "phone-number": _each(phone_number, by_comma=False),
        "phone-numbers": _each(phone_number),
        "texts": _each(lambda value: None),
        "callout-statuses": _each(_check_among("a status of callouts", STATUSES_OF_A_CALLOUT)),
        "phone-call-statuses": _each(_check_among("a status of phone calls", CALL_STATUSES)),
        "outcomes": _each(_check_among("an outcome", OUTCOMES)),
        "count": _each(_check_count, by_comma=False),
        "counts": _each(_check_count),
        "date-or-time": lambda value: moment_of(value)[0] is not None,
        "date-or-time-or-null": lambda value: value is None or moment_of(value)[0] is not None,
        "paths": lambda value: not isinstance(value, dict) or _check_paths(value),
    }


@lru_cache(maxsize=256)
def _checker(country: str | None) -> Formats:
    return Formats(filter_formats(country))


def check_filters(schema: str, given: Any, country: str | None) -> None:
    """Raise Invalid for filters of a client, ``q``, that are not understood: what is wrong by the SCHEMA, by place.

    Where somebody acts on what fits, a filter that is passed over, or fits nobody for its spelling, misleads.
    """
    found = violations(schema, given, _checker(country))
    if found:
        raise Invalid({"q": [": ".join(filter(None, (pointer(path), problem))) for path, problem in found.items()]})


def _each(check: Callable[[str], None], by_comma: bool = True) -> Format:
    """A format of a value, or of a comma list. An array is counted here, and its elements have their own format."""

    def holds(value: Any) -> bool:
        values = choices(value) if by_comma else [trimmed(text(value) or "")]
        for element in values if not isinstance(value, list) else ():
            check(element)
        return True

    return holds


def _check_id(value: str) -> None:
    if not as_id(value):
        raise ValueError(f"{quoted(value)} is not an id")


def _check_count(value: str) -> None:
    if as_count(value) is None:
        raise ValueError(f"{quoted(value)} is not a number")


def _check_among(what: str, known: tuple[str, ...]) -> Callable[[str], None]:
    def check(value: str) -> None:
        if value not in known:
            raise ValueError(f"{quoted(value)} is not {what} ({', '.join(known)})")

    return check


def _check_paths(value: dict[str, Any]) -> bool:
    if paths.too_many(paths.leaves(value)):
        raise ValueError(paths.TOO_MANY)
    return True


def quoted(value: str) -> str:
    """VALUE as an error quotes it."""
    return json.dumps(value if len(value) <= MAX_QUOTED else value[:MAX_QUOTED] + "…", ensure_ascii=False)
