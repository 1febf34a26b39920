"""Filters: each turns what a client gave under ``q`` into a native MongoDB condition.

Client values reach a query by these functions only. Values are compared as text (docs/api.md: a
number 5 and a string "5" are both found by ``5``), in NFC and trimmed; names are escaped, so none can be an operator
or a path. What takes long to read is refused with BadRequest before it is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from scfm.errors import BadRequest, Invalid
from scfm.models import msisdn, paths
from scfm.models.texts import forms, trimmed
from scfm.storage.query import Document, Newest, Query, all_of

MAX_INTEGER = 2**63
MAX_ID_DIGITS = 19
# Values of one list. To read a thousand phone numbers takes about as long as a request may hold up the others.
MAX_VALUES = 1000
MILLISECOND = timedelta(milliseconds=1)
TOO_MANY_VALUES = f"has too many values (maximum is {MAX_VALUES})"
# Characters of a date and time, however it is written.
MAX_TIME = 64
# The condition on a field that no document fits.
NO_VALUE: Document = {"$in": []}


@dataclass(frozen=True)
class Clause:
    """What a filter adds to a query: a condition, and what is asked of the newest documents of another collection."""

    condition: Document
    newest: tuple[Newest, ...] = ()


class FilterTooLarge(ValueError):
    """A filter has more values, or longer paths, than are read; the text says which: ``has too many values``."""


Filter = Callable[[Any, str | None], Clause | None]
"""From the parameter's value and the account's default country to a clause; None where the value says nothing.

Raises FilterTooLarge.
"""


def apply(
    query: Query,
    filters: Mapping[str, Filter],
    parameters: Any,
    country: str | None = None,
    *,
    strict: bool = False,
) -> Query:
    """QUERY narrowed by every parameter that FILTERS knows; others are ignored, or, when STRICT, raise Invalid.

    ``country``: the account's ``default_country``, by which phone numbers without a country code are read. Raises
    BadRequest for a filter that has more in it than is read.
    """
    if not isinstance(parameters, Mapping):
        if strict:
            raise Invalid({"parameters": ["a filter must be an object"]})
        return query
    for name, value in parameters.items():
        try:
            clause = filters[name](value, country) if name in filters else None
        except FilterTooLarge as error:
            raise BadRequest(f"q[{name}] {error}") from None
        if clause is None and strict:
            raise Invalid({"parameters": [f"the filter {name} is not understood"]})
        if clause is not None:
            query = query.narrowed(clause.condition, newest=clause.newest)
    return query


def text(value: Any) -> str | None:
    """A scalar as the text it compares as; None for null and for what is not a scalar."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    return None


def choices(value: Any) -> list[str]:
    """The values of a comma list, or of an array: ``failed, errored``.

    Raises FilterTooLarge for more than MAX_VALUES, the empty ones between two commas included.
    """
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    texts = [text(element) or "" for element in values]
    if len(texts) + sum(written.count(",") for written in texts) > MAX_VALUES:
        raise FilterTooLarge(TOO_MANY_VALUES)
    parts = [trimmed(part) for written in texts for part in written.split(",")]
    return [part for part in parts if part]


def text_field(field: str, absent: str | None = None) -> Filter:
    """``q[field]=v1,v2``: the text field is one of these; a name without a value finds null.

    ABSENT is what a document shows that does not have the field.
    """

    def build(value: Any, _country: str | None) -> Clause:
        if value is None:
            return Clause({field: None if absent is None else NO_VALUE})
        wanted = [form for part in choices(value) for form in forms(part)]
        return Clause({field: {"$in": [*wanted, None] if absent is not None and absent in wanted else wanted}})

    return build


def count_field(field: str) -> Filter:
    """``q[field]=0,2``: the field holds one of these whole numbers; a document without it shows 0."""

    def build(value: Any, _country: str | None) -> Clause:
        if value is None:
            return Clause({field: NO_VALUE})
        wanted: list[int | None] = [number for part in choices(value) if (number := as_count(part)) is not None]
        return Clause({field: {"$in": [*wanted, None] if 0 in wanted else wanted}})

    return build


def as_count(value: str) -> int | None:
    """The whole number from 0 on that a text stands for, None where it stands for none."""
    return 0 if value == "0" else as_id(value) or None


def id_field(field: str) -> Filter:
    """``q[field]=1,2``: the field holds one of these ids; a name without a value finds null."""

    def build(value: Any, _country: str | None) -> Clause:
        if value is None:
            return Clause({field: None})
        return Clause({field: {"$in": [document_id for part in choices(value) if (document_id := as_id(part))]}})

    return build


def as_id(value: str) -> int:
    """The id that a text stands for, 0 (no id) where it stands for none."""
    if not (value.isascii() and value.isdigit() and len(value) <= MAX_ID_DIGITS):
        return 0
    document_id = int(value)
    return document_id if document_id < MAX_INTEGER and str(document_id) == value else 0


def msisdn_field(field: str) -> Filter:
    """``q[msisdn]=252 662 345678``: normalised before it compares; what cannot be a number finds nothing.

    What an older version stored in another form is found by that form.
    """

    def build(value: Any, country: str | None) -> Clause:
        if value is None:
            return Clause({field: None})
        msisdns = [form for part in choices(value) for form in msisdn.stored_forms(part, country)]
        return Clause({field: {"$in": msisdns}})

    return build


def time_fields(field: str) -> dict[str, Filter]:
    """The four filters over a time: ``FIELD_before``, ``_after``, ``_or_before``, ``_or_after``."""
    return {
        f"{field}_before": _time(field, "$lt", "$lt", 0),
        f"{field}_after": _time(field, "$gt", "$gte", 1),
        f"{field}_or_before": _time(field, "$lte", "$lt", 1),
        f"{field}_or_after": _time(field, "$gte", "$gte", 0),
    }


def time_field(field: str) -> Filter:
    """``q[field]=2018-05-19T06:49:24.294Z``: at that millisecond, or on that day; without a value, null."""

    def build(value: Any, _country: str | None) -> Clause | None:
        if value is None:
            return Clause({field: None})
        moment, bare = moment_of(value)
        if moment is None:
            return None
        start = _to_the_millisecond(moment, up=False)
        return Clause({field: {"$gte": start, "$lt": _later(start, timedelta(days=1) if bare else MILLISECOND)}})

    return build


def _time(field: str, exactly: str, by_day: str, days: int) -> Filter:
    def build(value: Any, _country: str | None) -> Clause | None:
        moment, bare = moment_of(value)
        if moment is None:
            return None
        if bare:
            return Clause({field: {by_day: _later(moment, timedelta(days=days))}})
        return Clause({field: {exactly: _to_the_millisecond(moment, up=exactly in ("$lt", "$gte"))}})

    return build


def _to_the_millisecond(moment: datetime, *, up: bool) -> datetime:
    """Stored times have milliseconds: what lies between two of them counts as the next or as the last."""
    beyond = timedelta(microseconds=moment.microsecond % 1000)
    return _later(moment - beyond, timedelta(milliseconds=1 if up and beyond else 0))


def _later(moment: datetime, by: timedelta) -> datetime:
    """MOMENT later BY, or the end of time."""
    try:
        return moment + by
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def moment_of(value: Any) -> tuple[datetime | None, bool]:
    """The moment that a text (ISO 8601) names, in UTC, and whether it is a bare date; (None, False) for neither."""
    if not isinstance(value, str) or len(value) > MAX_TIME:
        return None, False
    # In a query string an unescaped "+02:00" arrives as " 02:00"; and some write "10:30 +02:00".
    written = re.sub(r"(:[0-9.]+) +([+-]?)(?=[0-9]{2}:?[0-9]{2}\Z)", _with_sign, trimmed(value).upper())
    written = written.removesuffix(" UTC")
    try:
        return datetime.combine(date.fromisoformat(written), time(tzinfo=UTC)), True
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(written)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC), False
    except (ValueError, OverflowError):
        return None, False


def _with_sign(found: re.Match[str]) -> str:
    return found[1] + (found[2] or "+")


def json_field(field: str) -> Filter:
    """``q[metadata][a][b]=v``: the value at that path, compared as text; a missing value finds null."""

    def build(value: Any, _country: str | None) -> Clause | None:
        if not isinstance(value, Mapping):
            return None
        leaves = list(paths.leaves(value))
        if paths.too_many(leaves):
            raise FilterTooLarge(paths.TOO_MANY)
        return Clause(
            all_of([paths.at(field, path, None if leaf is None else text(leaf) or "") for path, leaf in leaves])
        )

    return build


def parts_of(parts: Mapping[str, Filter]) -> Filter:
    """``q[actor][type]=user&q[actor][id]=1``: an object of which each of these PARTS is as asked."""

    def build(value: Any, country: str | None) -> Clause | None:
        if not isinstance(value, Mapping):
            return None
        clauses = [parts[name](inner, country) for name, inner in value.items() if name in parts]
        return Clause(all_of([clause.condition for clause in clauses if clause is not None]))

    return build


def _newest_call(statuses: Sequence[str] | None, none: bool) -> Clause:
    among = None if statuses is None else tuple(statuses)
    return Clause({}, (Newest("phone_calls", "callout_participation_id", "status", among, none),))


def has_phone_calls(value: Any, _country: str | None) -> Clause | None:
    """``q[has_phone_calls]=true|false`` on participations."""
    answer = trimmed(text(value) or "")
    if answer not in ("true", "false"):
        return None
    return _newest_call(None, none=False) if answer == "true" else _newest_call([], none=True)


def last_phone_call_attempt(value: Any, _country: str | None) -> Clause:
    """``q[last_phone_call_attempt]=failed,errored``: the status of the participation's newest call."""
    return _newest_call(choices(value), none=False)


def no_phone_calls_or_last_attempt(value: Any, _country: str | None) -> Clause:
    """``q[no_phone_calls_or_last_attempt]=failed``: never called, or the newest call ended so."""
    return _newest_call(choices(value), none=True)
