"""The body of a provider's webhook: a flat form, whose names mean nothing but themselves."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from tornado.httputil import HTTPInputError, parse_multipart_form_data

from scfm.errors import BadRequest, TooLarge
from scfm.handlers.parameters import FORM, MULTIPART, Limits

Fields = dict[str, list[str]]

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def is_form(content_type: str) -> bool:
    """Whether a body of this type is a form."""
    return _media_type(content_type) in (FORM, MULTIPART)


def read(body: bytes, content_type: str, limits: Limits) -> Fields:
    """Each name of a form with its values, in order; a name like ``a[b].$c`` is kept as it is.

    Raises TooLarge, or BadRequest: with a reason where a bound is passed, without where something is malformed.
    """
    if len(body) > limits.body:
        raise TooLarge
    try:
        multipart = _media_type(content_type) == MULTIPART
        fields = _multipart(body, content_type) if multipart else _urlencoded(body, limits)
    except (ValueError, HTTPInputError):  # what the codecs and Tornado raise
        raise BadRequest from None
    if len(body) > limits.value:  # else nothing in it is longer
        _check(fields, limits)
    return fields


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _urlencoded(body: bytes, limits: Limits) -> Fields:
    if body.count(b"&") >= limits.fields:
        limits.too_many()
    if _BAD_ESCAPE.search(body):
        raise BadRequest
    fields: Fields = {}
    for name, value in parse_qsl(body.decode(), keep_blank_values=True, errors="strict"):
        fields.setdefault(name, []).append(value)
    return fields


def _multipart(body: bytes, content_type: str) -> Fields:
    boundary = re.search(r';\s*boundary="?([^";]+)', content_type, re.IGNORECASE)
    if boundary is None:
        raise BadRequest
    arguments: dict[str, list[bytes]] = {}
    parse_multipart_form_data(boundary[1].strip().encode(), body, arguments, {})
    return {name: [value.decode() for value in values] for name, values in arguments.items()}


def _check(fields: Fields, limits: Limits) -> None:
    for name, values in fields.items():
        if any(len(text.encode()) > limits.value for text in (name, *values)):
            limits.too_long()
