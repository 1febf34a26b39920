"""The parameters of a call: which there are, and the form that the provider gets."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus, urlencode

import orjson
from twilio.rest.api.v2010.account.call import CallList  # type: ignore[import-untyped]

_WIRE_NAMES = {
    name.rstrip("_"): "".join(word.capitalize() for word in name.split("_"))
    for name in inspect.signature(CallList.create).parameters
    if name != "self"
}
"""The name of each parameter of a call on the wire: ``StatusCallbackEvent`` for ``status_callback_event``."""

CALL_PARAMETERS: frozenset[str] = frozenset(_WIRE_NAMES)
"""What ``remote_request_params`` may name: those of the library's ``calls.create``, ``from_`` as ``from``."""

# Each of these tells the provider what to do when somebody answers.
INSTRUCTIONS = ("url", "twiml", "application_sid")
# How many encoded forms are kept, and of how many bytes of JSON at the most.
MAX_CACHED_FORMS, MAX_CACHED_FORM_BYTES = 256, 4096


def encode_form(params: Mapping[str, Any], to: str) -> bytes:
    """The form that asks for a call to TO (a msisdn) with PARAMS, whose own ``to`` and nulls are left out.

    Raises ValueError, whose text is for the client, for a name or a value that no form can have.
    """
    if unknown := sorted(params.keys() - CALL_PARAMETERS):
        raise ValueError(f"{unknown[0]!r} is not a parameter of a call")
    others = {name: value for name, value in params.items() if name != "to" and value is not None}
    try:
        key = orjson.dumps(others)
    except orjson.JSONEncodeError as error:
        raise ValueError("a parameter is not text") from error
    encode = _encoded if len(key) <= MAX_CACHED_FORM_BYTES else _encoded.__wrapped__
    return b"To=" + quote_plus(to).encode() + encode(key)


@lru_cache(maxsize=MAX_CACHED_FORMS)
def _encoded(params: bytes) -> bytes:
    """What follows ``To`` in the form, of PARAMS as JSON; cached, as the calls of a batch operation have the same."""
    fields = {_WIRE_NAMES[name]: _text(name, value) for name, value in orjson.loads(params).items()}
    return b"&" * bool(fields) + urlencode(fields, doseq=True).encode()


def _text(name: str, value: Any) -> str | list[Any]:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        raise ValueError(f"{name} cannot be an object")
    if isinstance(value, (list, tuple)):
        return [_text(name, item) for item in value if item is not None]
    return str(value)
