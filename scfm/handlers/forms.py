"""Forms, as webhooks and clients send them: urlencoded or multipart, flat or with Rack's nested names.

Everything here raises BadRequest: with a reason where a bound is passed, without where something is malformed; a
ValueError of the codecs means the same.
"""

from __future__ import annotations

import re
from binascii import a2b_qp
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from scfm.errors import BadRequest, TooLarge
from scfm.handlers.multipart import multipart_parts
from scfm.handlers.parameter_limits import Limits

Params = dict[str, Any]
Container = TypeVar("Container", dict[str, Any], list[Any])
Fields = dict[str, list[str]]

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

_NAME = re.compile(r"[\[\]]*+([^\[\]]++)\]*+")
_ELEMENT_KEY = re.compile(r"\[\]\[([^\[\]]+)\]")


def media_type(content_type: str) -> str:
    """The type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def is_form(content_type: str) -> bool:
    """Whether a body of this type is a form."""
    return media_type(content_type) in (FORM, MULTIPART)


def flat_form(body: bytes, content_type: str, limits: Limits) -> Fields:
    """Each name of a form with its values, in order; a name like ``a[b].$c`` is kept as it is.

    For webhooks, whose names mean nothing but themselves. Raises TooLarge, BadRequest.
    """
    if len(body) > limits.body:
        raise TooLarge
    fields: Fields = {}
    try:
        if media_type(content_type) == MULTIPART:
            for name, value in multipart_fields(body, content_type, limits):
                fields.setdefault(name, []).append(value)
        else:
            if body.count(b"&") >= limits.fields:
                limits.too_many()
            for pair in body.split(b"&"):
                if pair:
                    encoded_name, _, encoded_value = pair.partition(b"=")
                    fields.setdefault(_decode(encoded_name, limits), []).append(_decode(encoded_value, limits))
    except UnicodeDecodeError:
        raise BadRequest from None
    if len(body) > limits.value:  # else nothing in it is longer
        for name, values in fields.items():
            if any(len(text.encode()) > limits.value for text in (name, *values)):
                limits.too_long()
    return fields


def nested_form(body: bytes, limits: Limits) -> Params:
    """The parameters of an urlencoded form or a query; the value of a name without ``=`` is None."""
    if body.count(b"&") >= limits.fields:
        limits.too_many()
    params: Params = {}
    for pair in re.split(rb"& *", body):
        name, equals, value = pair.partition(b"=")
        _nest(params, _decode(name, limits), _decode(value, limits) if equals else None, limits)
    return params


def nested_multipart(body: bytes, content_type: str, limits: Limits) -> Params:
    """The parameters of a multipart form, without its files."""
    return nested_fields(multipart_fields(body, content_type, limits), limits)


def nested_fields(fields: Iterable[tuple[str, str]], limits: Limits) -> Params:
    """The parameters that FIELDS, names with values, make."""
    params: Params = {}
    for name, value in fields:
        _nest(params, name, value, limits)
    return params


def _decode(text: bytes, limits: Limits) -> str:
    """A name or a value without its percent-encoding."""
    if b"%" not in text:
        return text.replace(b"+", b" ").decode()
    if len(text) > 3 * limits.value:  # every byte escaped
        limits.too_long()
    # Quoted-printable differs from percent-encoding in its sign alone, and Python decodes it in C: unquote_to_bytes
    # takes nine times as long where there are many escapes.
    quoted = text.replace(b"=", b"=3D").replace(b"%", b"=").replace(b"+", b" ")
    decoded = a2b_qp(quoted)
    # A good escape loses two bytes, a bad one fewer; and a line that ends in the sign goes on in the next.
    if len(decoded) != len(quoted) - 2 * quoted.count(b"=") or b"%\n" in text or b"%\r" in text:
        raise BadRequest
    return decoded.decode()


# Nested names


def _nest(params: Params, name: str, value: str | None, limits: Limits) -> None:
    """Puts one form field in its place. A field without a name is ignored."""
    if _NAME.match(name):
        _put(params, name, value, limits, limits.depth)


def _put(params: Params, name: str, value: str | None, limits: Limits, depth: int) -> Params:
    """The rules of Rack 2 (``normalize_params``), under which ``[a][b]`` and ``a]b`` are ``a[b]`` too.

    Where Rack would lose a value this refuses it (``a=2`` after ``a[b]=1``; ``a[[]=1``) or keeps it (``a[][]=2``
    after ``a[][b]=1``).
    """
    if depth <= 0:
        limits.too_deep()
    match = _NAME.match(name)
    if not match:
        raise BadRequest
    key, rest = match[1], name[match.end() :]
    if rest in ("", "["):
        whole = name if rest else key
        if isinstance(params.get(whole), dict | list):
            raise BadRequest
        params[whole] = value
    elif rest == "[]":
        _container(params, key, list).append(value)
    elif rest.startswith("[]"):
        # ``k`` of ``[][k]``; of anything longer, all that follows ``[]``.
        element_key = _ELEMENT_KEY.fullmatch(rest)
        element_name = element_key[1] if element_key else rest[2:]
        _append(_container(params, key, list), element_name, value, limits, depth - 2)
    else:
        _put(_container(params, key, dict), rest, value, limits, depth - 1)
    return params


def _container(params: Params, key: str, kind: type[Container]) -> Container:
    if params.get(key) is None:
        params[key] = kind()
    container = params[key]
    if not isinstance(container, kind):
        raise BadRequest
    return container


def _append(elements: list[Any], name: str, value: str | None, limits: Limits, depth: int) -> None:
    """A field of the list's last element, or of a new one where the last has that field already."""
    if name == "[]":
        elements.append(None if value is None else [value])
    elif elements and isinstance(elements[-1], dict) and not _has(elements[-1], name):
        _put(elements[-1], name, value, limits, depth)
    else:
        elements.append(_put({}, name, value, limits, depth))


def _has(element: Any, name: str) -> bool:
    if "[]" in name:
        return False
    for key in filter(None, re.split(r"[\[\]]+", name)):
        if not isinstance(element, dict) or key not in element:
            return False
        element = element[key]
    return True


def multipart_fields(body: bytes, content_type: str, limits: Limits) -> Iterator[tuple[str, str]]:
    """The name and the value of each field of a multipart form, in order; files are left out.

    Not by Tornado's parser, which groups fields by name, so that the elements of a list could not be told apart.
    """
    for part in multipart_parts(body, content_type, limits):
        if part.name is None or part.filename is not None:
            continue
        if part.end - part.begin > limits.value:
            limits.too_long()
        yield part.name, body[part.begin : part.end].decode()
