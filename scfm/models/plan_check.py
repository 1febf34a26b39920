"""A client's plan on its way in: what is wrong with it, and what of a plan may be changed when."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from functools import cache, lru_cache, partial
from importlib.resources import files
from typing import Any

import orjson

from scfm.models import hints
from scfm.models.callout_status import COMPLETED, MACHINE
from scfm.models.fields import NO_OBJECT, NOT_IN_LIST, FieldError, check_json, check_size
from scfm.models.filter_formats import Format, filter_formats
from scfm.models.plan import as_moment, with_defaults
from scfm.models.plan_window import minutes_of
from scfm.providers.call_parameters import CALL_PARAMETERS, encode_form
from scfm.runtime.offload import offload
from scfm.schemas import Formats, InstancePath, Schema, pointer, schema, violations
from scfm.storage.query import Document

# What may be changed of a plan once it has been started.
CHANGEABLE = ("retry", "window", "not_after", "priority", "calls_per_second", "calls_in_flight")
# RFC 3339, 5.6.
MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII | re.IGNORECASE,
)
NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)


async def read_plan(given: Any, country: str | None, *, form: bool) -> Document | None:
    """The plan that a client gives, with its defaults; raises FieldError with all that is wrong with it.

    ``country`` is the account's ``default_country``; ``form``: the values are texts, see ``_typed``.
    """
    if form:
        given = _typed(given, {**schema("plan"), "type": ["object", "null"]})
    if given is None:
        return None
    if not isinstance(given, dict):
        raise FieldError(NO_OBJECT, hint=hints.PLAN)
    check_json(given)
    check_size(given)
    return await offload(len(orjson.dumps(given)), partial(_checked, given, country))


def _checked(given: Document, country: str | None) -> Document:
    if found := _violations(given, country):
        messages = [f"{pointer(path)}: {message}" for path, message in found.items()]
        raise FieldError(*messages, hint=hints.request_params(given.get("remote_request_params")) or hints.PLAN)
    return with_defaults(_plain_numbers(given, schema("plan")))


def check_change(old: Mapping[str, Any], plan: Document | None) -> None:
    """Raise FieldError where the callout OLD, as it is stored, may not get PLAN instead of its own any more."""
    status, own = old["status"], old.get("plan")
    if status == MACHINE.initial or plan == own:
        return
    if status == COMPLETED:
        raise FieldError(f"cannot be changed any more: the callout is {COMPLETED}")
    if own is None:
        raise FieldError(f"cannot be given any more: the callout is {status}")
    if plan is None:
        raise FieldError(f"cannot be taken away any more: the callout is {status}")
    changed = [name for name in plan if plan[name] != own.get(name) and name not in CHANGEABLE]
    if changed:
        raise FieldError(
            *(f"{pointer((name,))}: cannot be changed any more: the callout is {status}" for name in changed),
            hint=f"of a plan that has been started these can be changed: {', '.join(CHANGEABLE)}",
        )


def _typed(value: Any, described: Schema) -> Any:
    """VALUE out of a form, each text as what it spells, where the schema wants such a thing."""
    if isinstance(value, dict):
        properties = described.get("properties", {})
        return {name: _typed(one, properties.get(name, {})) for name, one in value.items()}
    if isinstance(value, list):
        return [_typed(one, described.get("items", {})) for one in value]
    return _spelled(value.strip(), described.get("type", ()), value) if isinstance(value, str) else value


def _spelled(written: str, kinds: str | Sequence[str], otherwise: str) -> Any:
    """The number, boolean or null that a text spells, where it may be one of these KINDS."""
    if "null" in kinds and written in ("", "null"):
        return None
    if "boolean" in kinds and written in ("true", "false"):
        return written == "true"
    if ("integer" in kinds or "number" in kinds) and NUMBER.fullmatch(written):
        return float(written) if "." in written else int(written)
    return otherwise


def _plain_numbers(value: Any, described: Schema) -> Any:
    """The same with ``3`` for ``3.0``, which JSON Schema calls an integer too."""
    if isinstance(value, dict) and "properties" in described:
        return {name: _plain_numbers(one, described["properties"][name]) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain_numbers(one, described.get("items", {})) for one in value]
    return int(value) if isinstance(value, float) and "integer" in described.get("type", ()) else value


# What is wrong.


def _violations(plan: Document, country: str | None) -> dict[InstancePath, str]:
    """A sentence for each place in PLAN that is wrong: first what its schema tells, then what no schema can."""
    found = violations("plan", plan, _formats(country))
    wrong = {path[0] for path in found if path}
    for check, names in _CHECKS.items():
        if not wrong.intersection(names) and all(name in plan for name in names):
            for path, message in check(*(plan[name] for name in names)):
                found.setdefault(path, message)
    return found


def _check_parameters(params: Document) -> Iterator[tuple[InstancePath, str]]:
    unknown = [name for name in params if name not in CALL_PARAMETERS]
    for name in unknown:
        yield ("remote_request_params", name), NOT_IN_LIST
    if not unknown:
        for name, value in params.items():
            try:
                encode_form({name: value}, "")
            except ValueError as error:
                yield ("remote_request_params", name), str(error)


def _check_hours(window: Document | None) -> Iterator[tuple[InstancePath, str]]:
    if window is not None and window["from"] == window["to"]:
        yield ("window", "to"), "must not be the same as from"


def _check_order(starts_at: str | None, not_after: str | None) -> Iterator[tuple[InstancePath, str]]:
    start, end = as_moment(starts_at), as_moment(not_after)
    if start is not None and end is not None and end <= start:
        yield ("not_after",), "must be after starts_at"


# Each with the names of what it looks at, all of which must be there and be right as far as the schema tells.
_CHECKS: Mapping[Callable[..., Iterator[tuple[InstancePath, str]]], tuple[str, ...]] = {
    _check_parameters: ("remote_request_params",),
    _check_hours: ("window",),
    _check_order: ("starts_at", "not_after"),
}


# The formats that the schema of plans has.


@lru_cache(maxsize=256)  # as many as there are countries
def _formats(country: str | None) -> Formats:
    own: Mapping[str, Format] = {
        "time-zone": lambda value: value in _time_zones() if isinstance(value, str) else True,
        "time-of-day": lambda value: _is_time(value, 23 * 60 + 59),
        "end-of-hours": lambda value: _is_time(value, 24 * 60),
        "calendar-date": _is_date,
        "moment": _is_moment,
    }
    return Formats({**filter_formats(country), **own})


@cache
def _time_zones() -> frozenset[str]:
    """The names of the IANA database that comes with the program: the same on every machine."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


def _is_time(value: Any, latest: int) -> bool:
    if not isinstance(value, str):
        return True
    return re.fullmatch(r"[0-9]{2}:[0-5][0-9]", value, re.ASCII) is not None and minutes_of(value) <= latest


def _is_date(value: Any) -> bool:
    if not isinstance(value, str):
        return True
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value, re.ASCII):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_moment(value: Any) -> bool:
    if not isinstance(value, str):
        return True
    if not MOMENT.fullmatch(value):
        return False
    try:
        as_moment(value)
    except (ValueError, OverflowError):
        return False
    return True
