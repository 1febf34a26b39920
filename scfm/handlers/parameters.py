"""Request parameters: the query string and the body, of whatever kind, as one nested dict, as in Rails."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from typing import Any

from scfm.errors import BadRequest, Invalid, NotFound, TooLarge
from scfm.handlers.forms import FORM, MULTIPART, Params, media_type, nested_form, nested_multipart
from scfm.handlers.parameter_limits import DEFAULT_LIMITS, Limits
from scfm.models.filters import as_id, text
from scfm.schemas.strict_json import finite, no_constant

JSON = "application/json"

MAX_NUMBER_DIGITS = 800  # of one JSON number: a double has at most 767 that matter, and int() is quadratic in them

_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # UTF-32's begin with UTF-16's
# Possessive, and an unclosed string runs to the end: no input makes it scan a byte twice. The signs are not
# one set because a search only skips quickly to alternatives that begin with plain characters.
_JSON_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|\[|\]|\{|\}|,', re.DOTALL)


def parse_parameters(query: str, body: bytes, content_type: str, limits: Limits = DEFAULT_LIMITS) -> Params:
    """The parameters of a request. A name in the query wins over the same top-level name in the body.

    ``query`` is as Tornado hands it over, one character a byte. Form values are str, and None for a name
    without ``=``; JSON values keep their types, and a JSON body that is no object comes under ``_json``. A
    body without a type is a form; one of another type is ignored, and so are the files in a multipart body.

    Raises TooLarge, or BadRequest: with a reason where a bound is passed, without where something is malformed.
    """
    if len(body) > limits.body:
        raise TooLarge
    if not query and not body:
        return {}
    return joined_parameters(query, lambda: _body(body, content_type, limits), limits)


def joined_parameters(query: str, body: Callable[[], Params], limits: Limits = DEFAULT_LIMITS) -> Params:
    """The parameters of a query, and those that BODY gives; raises BadRequest."""
    try:
        params = body()
        if query:
            params |= nested_form(query.encode("latin-1"), limits)
        _check(params, limits)
    except ValueError as error:  # also what json and the codecs raise
        raise BadRequest from error
    return params


def parse_id(written: str) -> int:
    """The id in a path; raises NotFound for what cannot be one."""
    document_id = as_id(written)
    if not document_id:
        raise NotFound
    return document_id


def boolean(params: Params, name: str) -> bool:
    """A parameter that is true or false, and false where it is not given; raises Invalid for any other."""
    written = text(params.get(name, "false"))
    if written not in ("true", "false"):
        raise Invalid({name: ["must be true or false"]})
    return written == "true"


def _body(body: bytes, content_type: str, limits: Limits) -> Params:
    if not body:
        return {}
    kind = media_type(content_type)
    if kind in ("", FORM):
        return nested_form(body, limits)
    if kind == MULTIPART:
        return nested_multipart(body, content_type, limits)
    if is_json(kind):
        return _json(body, limits)
    return {}


def is_json(content_type: str) -> bool:
    """Whether a body of this type is read as JSON."""
    kind = media_type(content_type)
    return kind == JSON or kind.endswith("+json")


def _check(params: Params, limits: Limits) -> None:
    """Holds the read parameters against the bounds, one level of nesting after the other."""
    level: list[Any] = [params]
    fields = 0
    for _ in range(limits.depth):
        values = [value for container in level for value in _values(container, limits)]
        fields += len(values)
        if fields > limits.fields:
            limits.too_many()
        level = [value for value in values if isinstance(value, dict | list)]
        if not level:
            return
    limits.too_deep()


def _values(container: Params | list[Any], limits: Limits) -> list[Any]:
    names, values = (container.keys(), list(container.values())) if isinstance(container, dict) else ((), container)
    for value in (*names, *values):
        # A lone surrogate, which JSON can spell, cannot be encoded: that is a ValueError.
        if isinstance(value, str) and len(value.encode()) > limits.value:
            limits.too_long()
    return values


# JSON


def _json(body: bytes, limits: Limits) -> Params:
    if body.startswith(_BYTE_ORDER_MARKS):
        body = body.decode(json.detect_encoding(body)).encode()
    _skim(body, limits)
    value = json.loads(
        body.decode(),
        parse_int=lambda digits: int(_number(digits)),
        parse_float=lambda digits: finite(_number(digits)),
        parse_constant=no_constant,
    )
    return value if isinstance(value, dict) else {"_json": value}


def _skim(body: bytes, limits: Limits) -> None:
    """Stops at the first sign of too many levels or fields, before the parser would recurse into them."""
    depth = 0
    for seen, token in enumerate(_JSON_TOKEN.finditer(body)):
        sign = body[token.start()]
        depth += (sign in b"[{") - (sign in b"]}")
        if depth > limits.depth:
            limits.too_deep()
        # At most four a field: its name, the two ends of its value, a comma; and the outermost brackets.
        if seen > 4 * limits.fields + 2:
            limits.too_many()


def _number(digits: str) -> str:
    if len(digits) > MAX_NUMBER_DIGITS:
        raise BadRequest(f"a number is too long (maximum is {MAX_NUMBER_DIGITS} digits)")
    return digits
