"""What is wrong with the parameters of a batch operation, by the JSON Schema of its type."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from functools import cache, lru_cache
from itertools import islice
from typing import Any

from scfm.models.draft import Errors
from scfm.models.filter_formats import filter_formats, quoted
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
    return [f"{quoted(name)} {MISPLACED}" for name in unknown if _seems_a_parameter(name)]


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
    return Formats({**filter_formats(country), "call-parameter": lambda value: value in CALL_PARAMETERS})
