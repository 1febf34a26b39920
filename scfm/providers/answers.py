"""What a provider answered, out of its JSON: a call, a page of calls."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import orjson

from scfm.providers.errors import FETCH_FAILED, Unknown
from scfm.runtime.http_times import parse_time

RemoteCall = dict[str, Any]
"""The provider's JSON of a call, its names in snake_case, without its nulls; ``sid`` is always there."""

# What is stored of an answer: no deeper than MongoDB takes, and no whole number of more than 64 bits.
MAX_LEVELS = 32
MAX_STORED_INTEGER = 2**63 - 1


def parse_object(text: str, failure: str) -> dict[str, Any]:
    """The body of an answer, a JSON object. Raises Unknown, whose message begins with FAILURE, for anything else."""
    try:
        payload = orjson.loads(text)
    except ValueError as error:
        raise Unknown(f"{failure}: the answer is not JSON") from error
    if not isinstance(payload, dict):
        raise Unknown(f"{failure}: the answer is not a JSON object")
    return payload


def _storable(value: Any, levels: int) -> Any:
    """The value as MongoDB takes it: null for what is more than LEVELS deep, text for too large a number."""
    if isinstance(value, dict):
        return {key: _storable(inner, levels - 1) for key, inner in value.items()} if levels else None
    if isinstance(value, list):
        return [_storable(inner, levels - 1) for inner in value] if levels else None
    return str(value) if isinstance(value, int) and value > MAX_STORED_INTEGER else value


def parse_call(payload: Mapping[str, Any], failure: str) -> RemoteCall:
    """The call of which PAYLOAD is the JSON. Raises Unknown, whose message begins with FAILURE, if it has no sid."""
    sid = payload.get("sid")
    if not (isinstance(sid, str) and sid):
        raise Unknown(f"{failure}: the answer has no sid")
    return {
        key: value if isinstance(value, str) else _storable(value, MAX_LEVELS)
        for key, value in payload.items()
        if value is not None
    }


def parse_calls(page: Mapping[str, Any]) -> list[RemoteCall]:
    """The calls of a page of the list. Raises Unknown if PAGE is none."""
    calls = page.get("calls")
    if not (isinstance(calls, list) and all(isinstance(call, dict) for call in calls)):
        raise Unknown(f"{FETCH_FAILED}: the answer is not a list of calls")
    return [parse_call(call, FETCH_FAILED) for call in calls]


def next_query(page: Mapping[str, Any]) -> dict[str, Any]:
    """The query that asks for the page after PAGE, empty if it is the last.

    Of the next page's address the query alone is followed: our token goes nowhere else.
    """
    uri = page.get("next_page_uri")
    return dict(parse_qsl(uri.partition("?")[2])) if isinstance(uri, str) else {}


def is_to(call: Mapping[str, Any], to: str) -> bool:
    """Whether CALL rings TO (a msisdn): a provider may have ignored the filter."""
    return str(call.get("to")).lstrip("+") == to.lstrip("+")


def is_since(call: Mapping[str, Any], since: datetime) -> bool:
    """Whether CALL was created in the second of SINCE (aware) or later, or its answer has no date."""
    created = parse_time(call.get("date_created"))
    return created is None or created >= since.replace(microsecond=0)
