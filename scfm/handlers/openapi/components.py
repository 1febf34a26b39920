"""What the operations of the OpenAPI document are made of: schemas, parameters, headers, errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scfm.handlers.forms import FORM
from scfm.handlers.openapi.parameters import SHARED_PARAMETERS
from scfm.handlers.parameters import JSON
from scfm.models.registry import RESOURCES
from scfm.models.resource import Resource
from scfm.schemas import Schema, definitions, with_references

JsonObject = dict[str, Any]

# Where the document has its schemas.
SCHEMAS = "#/components/schemas"

XML, PLAIN_TEXT = "application/xml", "text/plain"

COUNT: Schema = {"type": "integer", "minimum": 0}
NULLABLE_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}


def object_schema(properties: dict[str, Schema]) -> Schema:
    """The schema of an object that has all of PROPERTIES, and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


MESSAGES: Schema = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}}
PROBLEM: Schema = {
    "type": "object",
    "properties": {"status": {"type": "integer"}, "error": {"type": "string"}, "message": {"type": "string"}},
    "required": ["status", "error"],
    "additionalProperties": False,
}
INVALID_ANSWER: Schema = {
    "type": "object",
    "properties": {
        "errors": MESSAGES,
        "hints": {
            "type": "object",
            "description": "Under the same names, where an error does not explain itself: what would be taken.",
            "additionalProperties": {"type": "string"},
        },
    },
    "required": ["errors"],
    "additionalProperties": False,
    "examples": [{"errors": {"msisdn": ["can't be blank"]}}],
}
HEADERS: Mapping[str, tuple[Schema, str]] = {
    "Per-Page": ({"type": "integer", "minimum": 1}, "How many items a page has at most."),
    "Total": ({"type": "integer", "minimum": 0}, "How many items there are on all pages."),
    "Link": (
        {"type": "string"},
        "`first`, `prev`, `last` and `next` as they apply, where there is more than one page.",
    ),
    "X-Request-Id": ({"type": "string"}, "The request's own, if it is sane, or a new one; the log names it."),
    "X-Runtime": ({"type": "string", "pattern": r"^[0-9]+\.[0-9]{6}$"}, "The seconds that the answer took."),
    "ETag": ({"type": "string"}, "Changes when the body does; `If-None-Match` with it gives 304."),
    "Accept-Ranges": ({"const": "bytes"}, "That a part of the file may be asked for."),
    "Content-Range": ({"type": "string"}, "Which part of the file it is, and how long the whole."),
    "Location": ({"type": "string"}, "The resource's path."),
    "Idempotent-Replayed": ({"const": "true"}, "The answer is the one that this Idempotency-Key had before."),
    "WWW-Authenticate": ({"type": "string"}, "Absent where the token is good, but not a super admin's."),
    "Retry-After": ({"type": "integer"}, "In how many seconds to try again."),
    "RateLimit": (
        {"type": "string"},
        "The limit's name, `r`: how many requests are left, `t`: in how many seconds there is another. Other answers "
        "have it once half of an account's requests are used.",
    ),
    "RateLimit-Policy": ({"type": "string"}, "The limit's name, `q`: how many requests within `w` seconds."),
    "Set-Cookie": ({"type": "string"}, "The session's cookie, `scfm_session`."),
}

# By status: the component's name, what it means, the body, the headers.
ERRORS: Mapping[int, tuple[str, str, str, tuple[str, ...]]] = {
    400: ("BadRequest", "The request cannot be read, or passes a bound that `message` names.", "Problem", ()),
    401: ("Unauthorized", "No token, an unknown or expired one, or not a super admin's.", "", ("WWW-Authenticate",)),
    403: (
        "Forbidden",
        "The client's role does not reach it; another person must approve it; a write by cookie lacks its token; "
        "or a page of another site sends it (`Sec-Fetch-Site: cross-site`).",
        "Problem",
        (),
    ),
    404: ("NotFound", "Nothing of the account's is there.", "Problem", ()),
    409: ("Conflict", "A request with this Idempotency-Key is being carried out.", "Problem", ()),
    413: ("TooLarge", "The body is too large.", "Problem", ()),
    415: ("UnsupportedMediaType", "The body has a `Content-Encoding`, which is not read.", "Problem", ()),
    422: ("Invalid", "A rule is broken. Every failing field with its messages, or `base`.", "Invalid", ()),
    429: (
        "TooManyRequests",
        "It failed too often, or the account or the address sends more requests than it may: `message` says which.",
        "Problem",
        ("Retry-After", "RateLimit", "RateLimit-Policy"),
    ),
    500: ("Failure", "A failure of the server; its log has the trace under the X-Request-Id.", "Problem", ()),
    503: ("Unavailable", "The database does not answer.", "Problem", ("Retry-After",)),
}

# What may become of any request that changes something.
WRITE_ERRORS = (400, 401, 403, 415, 422)


def components() -> JsonObject:
    """What the operations refer to."""
    filters = {f"q_of_{one.collection}": _filters(one) for one in RESOURCES}
    return {
        "securitySchemes": {
            "basic": {"type": "http", "scheme": "basic", "description": "The token as user name, any password."},
            "bearer": {"type": "http", "scheme": "bearer", "description": "The token."},
        },
        "schemas": {
            **{title(one): _shown(one) for one in RESOURCES},
            "Problem": PROBLEM,
            "Invalid": INVALID_ANSWER,
            **definitions(SCHEMAS),
        },
        "parameters": {**{name: {"name": name, **rest} for name, rest in SHARED_PARAMETERS.items()}, **filters},
        "headers": {name: {"schema": schema, "description": about} for name, (schema, about) in HEADERS.items()},
        "responses": {
            name: response(about, {JSON: ref("schemas", schema)} if schema else {}, headers)
            for name, about, schema, headers in ERRORS.values()
        },
    }


# What a resource looks like, going out and coming in.


def title(resource: Resource) -> str:
    """The name of the resource's schema: ``PhoneCall``."""
    return resource.kind.title().replace("_", "")


def noun(resource: Resource) -> str:
    """``phone call``."""
    return resource.kind.replace("_", " ")


def nouns(resource: Resource) -> str:
    """``phone calls``."""
    return resource.collection.replace("_", " ")


def _shown(resource: Resource) -> JsonObject:
    """A resource's fields in the order they are shown."""
    return {
        "type": "object",
        "description": f"What is shown of {nouns(resource)}.",
        "properties": {one.name: with_references(one.schema, SCHEMAS) for one in resource.fields},
        "required": [one.name for one in resource.fields],
        "additionalProperties": False,
    }


def given_of(resource: Resource, *, new: bool) -> JsonObject:
    """What a client may give for a resource."""
    properties: dict[str, Schema] = {}
    for one in resource.fields:
        properties |= with_references(dict(one.accepts), SCHEMAS)
    properties |= resource.accepts
    if not new:
        return {"type": "object", "properties": properties}
    return {
        "type": "object",
        "properties": {**properties, **resource.accepts_new},
        **({"required": list(resource.required)} if resource.required else {}),
    }


def body_of(schema: Schema, *types: str) -> JsonObject:
    """A request body; in a form, objects are written with brackets."""
    properties: Mapping[str, Schema] = schema["properties"]
    # What is another schema has the form of an object, or of that or null.
    nested = [
        name for name, one in properties.items() if one.get("type") == "object" or one.keys() & {"anyOf", "$ref"}
    ]
    encoding = {name: {"style": "deepObject", "explode": True} for name in nested}
    content: JsonObject = {kind: {"schema": schema} for kind in types}
    if encoding and FORM in content:
        content[FORM]["encoding"] = encoding
    return {"required": bool(schema.get("required")), "content": content}


def _filters(resource: Resource) -> JsonObject:
    return {
        "name": "q",
        "in": "query",
        "style": "deepObject",
        "explode": True,
        "description": "Filters, all of which must hold. A name without a value finds null.",
        "schema": {"type": "object", "properties": {name: _filter(resource, name) for name in resource.filters}},
    }


def _filter(resource: Resource, name: str) -> JsonObject:
    objects = [one.name for one in resource.fields if one.schema.get("type") == "object"]
    if name in objects:
        return {"type": "object", "description": f"The value at a path: `q[{name}][a][b]=v`."}
    if name.endswith(("_before", "_after")):
        return {"type": "string", "description": "A date-time compares exactly, a bare date compares days."}
    if name in (one.name for one in resource.fields if one.schema.get("format") == "date-time"):
        return {"type": "string", "description": "A date-time names a millisecond, a bare date a day."}
    if name.startswith("has_"):
        return {"type": "string", "enum": ["true", "false"], "description": "Whether there is any."}
    return {"type": "string", "description": "One of these, separated by commas."}


# Answers.


def ref(kind: str, name: str) -> JsonObject:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def response(about: str, content: Mapping[str, Schema], headers: Iterable[str] = ()) -> JsonObject:
    """An answer, with a body of one of the media types in CONTENT."""
    tag = ("ETag",) if JSON in content else ()
    names = (*headers, *tag, "X-Request-Id", "X-Runtime")
    found: JsonObject = {"description": about, "headers": {name: ref("headers", name) for name in names}}
    if content:
        found["content"] = {kind: {"schema": schema} for kind, schema in content.items()}
    return found


def errors_of(*statuses: int) -> JsonObject:
    """The answers with these statuses, and those that any request may get."""
    return {str(status): ref("responses", ERRORS[status][0]) for status in sorted({*statuses, 429, 500, 503})}
