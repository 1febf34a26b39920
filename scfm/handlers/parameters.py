"""Request parameters: the query string and the body, of whatever kind, as one nested dict, as in Rails."""

from __future__ import annotations

import codecs
import json
import math
import re
from binascii import a2b_qp
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NoReturn, TypeVar

from scfm.errors import BadRequest, TooLarge

Params = dict[str, Any]
Container = TypeVar("Container", dict[str, Any], list[Any])

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
JSON = "application/json"

DIGITS = 800  # of one JSON number: a double has at most 767 that matter, and int() is quadratic in them
PART_HEAD = 8192  # bytes of one multipart part's headers

_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # UTF-32's begin with UTF-16's
_NAME = re.compile(r"[\[\]]*+([^\[\]]++)\]*+")
_ELEMENT_KEY = re.compile(r"\[\]\[([^\[\]]+)\]")
_BOUNDARY = re.compile(r";\s*boundary=\"?([\w'()+,./:=? -]{1,70})", re.ASCII | re.IGNORECASE)
_DISPOSITION = re.compile(rb"(?:\A|\r\n)content-disposition:[ \t]*form-data\b([^\r\n]*)", re.IGNORECASE)
_DISPOSITION_PARAMETER = re.compile(rb';[ \t]*([\w*-]++)=(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"|([^;\s"]*+))')
# Possessive, and an unclosed string runs to the end: no input makes it scan a byte twice. The signs are not
# one set because a search only skips quickly to alternatives that begin with plain characters.
_JSON_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|\[|\]|\{|\}|,', re.DOTALL)


@dataclass(frozen=True)
class Limits:
    """The bounds of one request: far above any honest one, far below what would hold up the others.

    ``body``: bytes; the longest request of the guide has a few hundred. ``depth``: objects and lists inside
    one another; Rack's own bound, and well under MongoDB's 100. ``fields``: names and list elements at all
    levels; the bound of Django and PHP. ``value``: bytes of UTF-8 of one name or string.
    """

    body: int = 1 << 20
    depth: int = 32
    fields: int = 1000
    value: int = 1 << 16

    def too_deep(self) -> NoReturn:
        raise BadRequest(f"parameters are nested too deeply (maximum is {self.depth} levels)")

    def too_many(self) -> NoReturn:
        raise BadRequest(f"too many parameters (maximum is {self.fields})")

    def too_long(self) -> NoReturn:
        raise BadRequest(f"a parameter is too long (maximum is {self.value} bytes)")


def parse(query: str, body: bytes, content_type: str, limits: Limits = Limits()) -> Params:
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
    try:
        params = _body(body, content_type, limits) | _form(query.encode("latin-1"), limits)
        _check(params, limits)
    except ValueError as error:  # also what json and the codecs raise
        raise BadRequest from error
    return params


def _body(body: bytes, content_type: str, limits: Limits) -> Params:
    media_type = content_type.partition(";")[0].strip().lower()
    if not body:
        return {}
    if media_type in ("", FORM):
        return _form(body, limits)
    if media_type == MULTIPART:
        return _multipart(body, content_type, limits)
    if media_type == JSON or media_type.endswith("+json"):
        return _json(body, limits)
    return {}


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
    for text in (*names, *values):
        # A lone surrogate, which JSON can spell, cannot be encoded: that is a ValueError.
        if isinstance(text, str) and len(text.encode()) > limits.value:
            limits.too_long()
    return values


# Forms


def _form(text: bytes, limits: Limits) -> Params:
    if text.count(b"&") >= limits.fields:
        limits.too_many()
    params: Params = {}
    for pair in re.split(rb"& *", text):
        name, equals, value = pair.partition(b"=")
        _nest(params, _decode(name, limits), _decode(value, limits) if equals else None, limits)
    return params


def _decode(text: bytes, limits: Limits) -> str:
    if len(text) > 3 * limits.value:  # every byte escaped
        limits.too_long()
    # Quoted-printable differs from percent-encoding in its sign alone, and Python decodes it in C.
    quoted = text.replace(b"=", b"=3D").replace(b"%", b"=").replace(b"+", b" ")
    decoded = a2b_qp(quoted)
    # A good escape loses two bytes, a bad one fewer; and a line that ends in the sign goes on in the next.
    if len(decoded) != len(quoted) - 2 * quoted.count(b"=") or b"%\n" in text or b"%\r" in text:
        raise BadRequest
    return decoded.decode()


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
        _set(params, name if rest else key, value)
    elif rest == "[]":
        _container(params, key, list).append(value)
    elif rest.startswith("[]"):
        _append(_container(params, key, list), _element_name(rest), value, limits, depth - 2)
    else:
        _put(_container(params, key, dict), rest, value, limits, depth - 1)
    return params


def _set(params: Params, key: str, value: str | None) -> None:
    if isinstance(params.get(key), dict | list):
        raise BadRequest
    params[key] = value


def _container(params: Params, key: str, kind: type[Container]) -> Container:
    if params.get(key) is None:
        params[key] = kind()
    container = params[key]
    if not isinstance(container, kind):
        raise BadRequest
    return container


def _element_name(rest: str) -> str:
    """``k`` of ``[][k]``; of anything longer, all that follows ``[]``."""
    match = _ELEMENT_KEY.fullmatch(rest)
    return match[1] if match else rest[2:]


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


# Multipart


def _multipart(body: bytes, content_type: str, limits: Limits) -> Params:
    params: Params = {}
    for head, content in _parts(body, content_type, limits):
        name = _part_name(head)
        if name is None:
            continue
        if len(content) > limits.value:
            limits.too_long()
        _nest(params, name, content.decode(), limits)
    return params


def _parts(body: bytes, content_type: str, limits: Limits) -> Iterator[tuple[bytes, bytes]]:
    """Each part's headers and content (RFC 2046, section 5.1.1)."""
    boundary = _BOUNDARY.search(content_type)
    if not boundary:
        raise BadRequest
    delimiter = b"\r\n--" + boundary[1].rstrip().encode()
    _, *parts = (b"\r\n" + body).split(delimiter, limits.fields + 1)
    for number, part in enumerate(parts):
        if part.startswith(b"--"):
            return
        if number == limits.fields:
            limits.too_many()
        padding, _, rest = part.partition(b"\r\n")
        head, blank, content = rest.partition(b"\r\n\r\n")
        if padding.strip(b" \t") or not blank:
            raise BadRequest
        yield head, content
    raise BadRequest  # the closing delimiter is missing


def _part_name(head: bytes) -> str | None:
    """The name of a part's field; None for a file (RFC 7578, section 4.2)."""
    disposition = _DISPOSITION.search(head[:PART_HEAD])
    if not disposition:
        raise BadRequest
    found = islice(_DISPOSITION_PARAMETER.finditer(disposition[1]), 3)  # name, filename, filename*
    parameters = {match[1].lower(): match[2] or match[3] or b"" for match in found}
    if b"filename" in parameters or b"filename*" in parameters:
        return None
    if b"name" not in parameters:
        raise BadRequest
    return parameters[b"name"].replace(b'\\"', b'"').replace(rb"\\", b"\\").decode()


# JSON


def _json(body: bytes, limits: Limits) -> Params:
    if body.startswith(_BYTE_ORDER_MARKS):
        body = body.decode(json.detect_encoding(body)).encode()
    _skim(body, limits)
    value = json.loads(
        body.decode(),
        parse_int=lambda digits: int(_number(digits)),
        parse_float=lambda digits: _finite(float(_number(digits))),
        parse_constant=_no_constant,
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
    if len(digits) > DIGITS:
        raise BadRequest(f"a number is too long (maximum is {DIGITS} digits)")
    return digits


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise BadRequest
    return number


def _no_constant(_: str) -> NoReturn:
    """For NaN and the infinities, which Python would read and JSON (RFC 8259) does not know."""
    raise BadRequest
