"""Filters: each turns what a client gave under ``q`` into a native MongoDB condition.

This is the only door through which a client's values reach a query. Values are compared as text (CONTRACT: a
number 5 and a string "5" are both found by ``5``); names are escaped, so none can be an operator or a path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from scfm.models import msisdn
from scfm.models.keys import escape
from scfm.models.query import Document, Query, all_of

LARGEST_INTEGER = 2**63


@dataclass(frozen=True)
class Clause:
    """What a filter adds to a query: a condition, and stages for what another collection must tell."""

    condition: Document
    stages: tuple[Document, ...] = ()


Filter = Callable[[Any], Clause | None]
"""From the parameter's value to a clause; None where the value says nothing and is ignored."""


def apply(query: Query, filters: Mapping[str, Filter], parameters: Any) -> Query:
    """QUERY narrowed by every parameter that FILTERS knows; unknown ones are ignored."""
    if not isinstance(parameters, Mapping):
        return query
    for name, value in parameters.items():
        clause = filters[name](value) if name in filters else None
        if clause is not None:
            query = query.narrowed(clause.condition, stages=clause.stages)
    return query


def text(value: Any) -> str | None:
    """A scalar as the text it compares as; None for null and for what is not a scalar."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    return None


def choices(value: Any) -> list[str]:
    """The values of a comma list, or of an array: ``failed, errored``."""
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    parts = [part.strip() for one in values for part in (text(one) or "").split(",")]
    return [part for part in parts if part]


def one_of(field: str) -> Filter:
    """``q[field]=v1,v2``: the text field is one of these; a name without a value finds null."""

    def build(value: Any) -> Clause:
        return Clause({field: None} if value is None else {field: {"$in": choices(value)}})

    return build


def id_of(field: str) -> Filter:
    """``q[field]=1,2``: the field holds one of these ids; a name without a value finds null."""

    def build(value: Any) -> Clause:
        if value is None:
            return Clause({field: None})
        return Clause({field: {"$in": [number for part in choices(value) if (number := as_id(part))]}})

    return build


def as_id(value: str) -> int:
    """The id that a text stands for, 0 (no id) where it stands for none."""
    if not re.fullmatch(r"[0-9]{1,19}\Z", value, re.ASCII):
        return 0
    number = int(value)
    return number if number < LARGEST_INTEGER and str(number) == value else 0


def phone_number(field: str) -> Filter:
    """``q[msisdn]=252 662 345678``: normalised before it compares; what cannot be a number finds nothing."""

    def build(value: Any) -> Clause:
        if value is None:
            return Clause({field: None})
        numbers = [msisdn.normalise(part) for part in choices(value)]
        return Clause({field: {"$in": [number for number in numbers if number]}})

    return build


def times(field: str) -> dict[str, Filter]:
    """The four filters over a time: ``FIELD_before``, ``_after``, ``_or_before``, ``_or_after``."""
    return {
        f"{field}_before": _time(field, "$lt", "$lt", 0),
        f"{field}_after": _time(field, "$gt", "$gte", 1),
        f"{field}_or_before": _time(field, "$lte", "$lt", 1),
        f"{field}_or_after": _time(field, "$gte", "$gte", 0),
    }


def _time(field: str, exactly: str, by_day: str, days: int) -> Filter:
    def build(value: Any) -> Clause | None:
        moment, bare = moment_of(value)
        if moment is None:
            return None
        if not bare:
            return Clause({field: {exactly: moment}})
        try:
            return Clause({field: {by_day: moment + timedelta(days=days)}})
        except OverflowError:
            return None

    return build


def moment_of(value: Any) -> tuple[datetime | None, bool]:
    """The moment that a text names, in UTC, and whether it is a bare date; (None, False) for neither."""
    if not isinstance(value, str):
        return None, False
    # In a query string an unescaped "+02:00" arrives as " 02:00".
    written = re.sub(r" (?=[0-9]{2}:?[0-9]{2}\Z)", "+", value.strip()) if "T" in value else value.strip()
    try:
        moment = datetime.fromisoformat(written.removesuffix(" UTC"))
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None, False
    return moment, ":" not in written and "T" not in written


def nested(field: str) -> Filter:
    """``q[metadata][a][b]=v``: the value at that path, compared as text; a missing value finds null."""

    def build(value: Any) -> Clause | None:
        if not isinstance(value, Mapping):
            return None
        return Clause(all_of([at_path((field, *path), leaf) for path, leaf in _leaves(value)]))

    return build


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, escape(str(name))))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _leaves(inner, (*path, str(position)))
    else:
        yield path, value


def at_path(path: tuple[str, ...], value: Any) -> Document:
    """The condition that the value at PATH (escaped names) is VALUE as text, or is null or missing for None.

    A MongoDB path looks into every element of an array on its way; ours does so only where the path has a
    number there, so arrays elsewhere are ruled out.
    """
    dotted = ".".join(path)
    arrays = [
        {".".join(path[:depth]): {"$type": "array"}} for depth in range(2, len(path)) if not path[depth].isdecimal()
    ]
    if value is None:
        return {"$or": [{dotted: None, "$nor": [{dotted: {"$type": "array"}}]}, *arrays]}
    ruled_out = [*arrays, {dotted: {"$type": "array"}}]
    return {**_equals(dotted, text(value) or ""), "$nor": ruled_out}


def _equals(path: str, value: str) -> Document:
    same: list[Document] = [{path: value}]
    if value in ("true", "false"):
        same.append({path: value == "true"})
    elif re.fullmatch(r"-?[0-9]{1,19}\Z", value, re.ASCII) and str(int(value)) == value:
        if -LARGEST_INTEGER <= int(value) < LARGEST_INTEGER:
            same.append({path: {"$eq": int(value), "$type": ["int", "long"]}})
    elif (number := _float(value)) is not None:
        same.append({path: {"$eq": number, "$type": "double"}})
    return same[0] if len(same) == 1 else {"$or": same}


def _float(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if str(number) == value else None


NEWEST_CALL: tuple[Document, ...] = (
    {
        "$lookup": {
            "from": "phone_calls",
            "localField": "_id",
            "foreignField": "callout_participation_id",
            "pipeline": [{"$sort": {"_id": -1}}, {"$limit": 1}, {"$project": {"status": 1}}],
            "as": "_newest_call",
        }
    },
)


def _newest_call(condition: Document) -> Clause:
    return Clause({}, (*NEWEST_CALL, {"$match": condition}, {"$unset": "_newest_call"}))


def has_phone_calls(value: Any) -> Clause | None:
    """``q[has_phone_calls]=true|false`` on participations."""
    wanted = text(value)
    if wanted not in ("true", "false"):
        return None
    return _newest_call({"_newest_call": {"$ne": []} if wanted == "true" else []})


def last_phone_call_attempt(value: Any) -> Clause:
    """``q[last_phone_call_attempt]=failed,errored``: the status of the participation's newest call."""
    return _newest_call({"_newest_call.status": {"$in": choices(value)}})


def no_phone_calls_or_last_attempt(value: Any) -> Clause:
    """``q[no_phone_calls_or_last_attempt]=failed``: never called, or the newest call ended so."""
    return _newest_call({"$or": [{"_newest_call": []}, {"_newest_call.status": {"$in": choices(value)}}]})
