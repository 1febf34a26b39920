"""What is wrong with the parameters of a batch operation, by the JSON Schema of its type."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches
from functools import cache, lru_cache
from itertools import islice
from typing import Any

from scfm.models import msisdn, paths
from scfm.models.call_lifecycle import CALL_STATUSES
from scfm.models.callout import STATUSES as STATUSES_OF_A_CALLOUT
from scfm.models.draft import Errors
from scfm.models.filters import as_id, choices, moment_of, text
from scfm.models.texts import trimmed
from scfm.providers.call_parameters import CALL_PARAMETERS
from scfm.schemas import NAMES, Formats, pointer, schema, violations

# Errors of these come under their own names; those of all others under "parameters", with the place.
OWN_NAMES = frozenset(
    {
        "limit",
        "max",
        "max_per_period",
        "max_per_period_hours",
        "max_per_period_timestamp_attribute",
        "remote_request_params",
    }
)
# Characters of a value that an error quotes.
MAX_QUOTED = 60
# Of the names that are no fields so many are compared with those of parameters, and so much of each.
MAX_COMPARED, MAX_NAME = 50, 40
MISPLACED = "is no field of a batch operation; what it selects belongs into parameters"


def parameter_errors(name: str, parameters: Any, country: str | None) -> Errors:
    """What keeps PARAMETERS from fitting the schema NAME; ``country`` is the account's ``default_country``."""
    errors = Errors()
    known = schema(name)["properties"]
    for path, message in violations(name, parameters, _formats(country)).items():
        if not path:
            errors.add("parameters", message)
        elif path[0] in OWN_NAMES and path[0] in known:
            errors.add(str(path[0]), message)
        else:
            errors.add("parameters", f"{pointer(path)}: {message}")
    return errors


def misplaced(given: Iterable[str], known: Collection[str]) -> list[str]:
    """What is wrong with names GIVEN beside ``parameters`` that are not KNOWN, and seem meant for it.

    Other unknown fields are ignored. A filter that is would ring everybody: ``paramaters[…]``, ``limit``, ``q[…]``.
    """
    unknown = islice((name for name in given if name not in known), MAX_COMPARED)
    return [f"{_quoted(name)} {MISPLACED}" for name in unknown if _seems_a_parameter(name)]


def _seems_a_parameter(name: str) -> bool:
    plain = "_".join("".join(letter if letter.isalnum() else " " for letter in name[:MAX_NAME].lower()).split())
    return (
        plain.startswith("param") or "filter" in plain or bool(get_close_matches(plain, _parameter_names(), 1, 0.8))
    )


@cache
def _parameter_names() -> list[str]:
    names = {
        name
        for schema_name in NAMES
        if "_filters" not in schema_name and schema_name != "plan"
        for name in schema(schema_name).get("properties", ())
    }
    return sorted({"parameters", "q", *names} - {"skip_validate_preview_presence"})


@lru_cache(maxsize=256)  # as many as there are countries
def _formats(country: str | None) -> Formats:
    """The formats in the schemas."""

    def phone_number(value: str) -> None:
        if msisdn.normalise(value, country) is None:
            raise ValueError(f"{_quoted(value)} is not a phone number")

    return Formats(
        {
            "id": _each(_check_id, by_comma=False),
            "ids": _each(_check_id),
            "phone-number": _each(phone_number, by_comma=False),
            "phone-numbers": _each(phone_number),
            "texts": _each(lambda value: None),
            "callout-statuses": _each(_check_status("callouts", STATUSES_OF_A_CALLOUT)),
            "phone-call-statuses": _each(_check_status("phone calls", CALL_STATUSES)),
            "date-or-time": lambda value: moment_of(value)[0] is not None,
            "paths": lambda value: not isinstance(value, dict) or _check_paths(value),
            "call-parameter": lambda value: value in CALL_PARAMETERS,
        }
    )


def _each(check: Callable[[str], None], by_comma: bool = True) -> Callable[[Any], bool]:
    """A format of a value, or of a comma list. An array is counted here, and its elements have their own format."""

    def holds(value: Any) -> bool:
        values = choices(value) if by_comma else [trimmed(text(value) or "")]
        for element in values if not isinstance(value, list) else ():
            check(element)
        return True

    return holds


def _check_id(value: str) -> None:
    if not as_id(value):
        raise ValueError(f"{_quoted(value)} is not an id")


def _check_status(of: str, statuses: tuple[str, ...]) -> Callable[[str], None]:
    def check(value: str) -> None:
        if value not in statuses:
            raise ValueError(f"{_quoted(value)} is not a status of {of} ({', '.join(statuses)})")

    return check


def _check_paths(value: dict[str, Any]) -> bool:
    if paths.too_many(paths.leaves(value)):
        raise ValueError(paths.TOO_MANY)
    return True


def _quoted(value: str) -> str:
    return json.dumps(value if len(value) <= MAX_QUOTED else value[:MAX_QUOTED] + "…", ensure_ascii=False)
