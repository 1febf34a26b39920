"""The OpenAPI 3.1 document of the API, made from the routes and from what the resources declare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tornado.web import URLSpec  # type: ignore[attr-defined]

from scfm import __version__
from scfm.handlers.collection import CollectionHandler, NestedHandler, PreviewHandler
from scfm.handlers.health import HealthHandler
from scfm.handlers.member import EventsHandler, MemberHandler, OwnAccountHandler
from scfm.handlers.pagination import DEFAULT_PER_PAGE, MOST_PER_PAGE
from scfm.handlers.webhook import REFUSAL, RemotePhoneCallEventsHandler
from scfm.models.batch_operation import BATCH_OPERATIONS, TYPES
from scfm.models.fields import Schema
from scfm.models.registry import RESOURCES
from scfm.models.resource import Resource

Json = dict[str, Any]

JSON, FORM, XML, TEXT = "application/json", "application/x-www-form-urlencoded", "application/xml", "text/plain"

ABOUT = """\
Manages contacts, callouts and phone calls over Twilio or Somleng.

Parameters may stand in the query string, in a form or in a JSON body; a query parameter wins. Nested names are
written `metadata[name]=Alice`. Unknown fields, and fields that a client may not set, are ignored. A path may end in
`.json` or in a slash. `PUT` does what `PATCH` does, `HEAD` works wherever `GET` does, and `If-None-Match` gives a
304. Every answer has an `X-Request-Id` (the client's, if it sent one), an `X-Runtime` in seconds, and an `ETag` where
it has a body. A verb that a path lacks is answered with 404.
"""

MESSAGES: Schema = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}}
PROBLEM: Schema = {
    "type": "object",
    "properties": {"status": {"type": "integer"}, "error": {"type": "string"}, "message": {"type": "string"}},
    "required": ["status", "error"],
    "additionalProperties": False,
}
INVALID: Schema = {
    "type": "object",
    "properties": {"errors": MESSAGES},
    "required": ["errors"],
    "additionalProperties": False,
    "examples": [{"errors": {"msisdn": ["can't be blank"]}}],
}
HEALTH: Schema = {
    "type": "object",
    "properties": {"status": {"const": "ok"}, "version": {"type": "string"}},
    "required": ["status", "version"],
}
# What Twilio and Somleng send; more fields are kept as they come.
REPORT: Schema = {
    "type": "object",
    "properties": {
        "AccountSid": {"type": "string", "description": "Finds the account."},
        "CallSid": {"type": "string"},
        "Direction": {"type": "string", "examples": ["inbound", "outbound-api"]},
        "From": {"type": "string"},
        "To": {"type": "string"},
        "CallStatus": {"type": "string", "examples": ["in-progress", "completed"]},
        "Digits": {"type": "string"},
        "SequenceNumber": {"type": "string"},
    },
    "required": ["AccountSid", "CallSid", "Direction"],
    "additionalProperties": {"type": "string"},
}

HEADERS: Mapping[str, tuple[Schema, str]] = {
    "Per-Page": ({"type": "integer", "minimum": 1}, "How many items a page has at most."),
    "Total": ({"type": "integer", "minimum": 0}, "How many items there are on all pages."),
    "Link": (
        {"type": "string"},
        "`first`, `prev`, `last` and `next` as they apply, where there is more than one page.",
    ),
    "Location": ({"type": "string"}, "The resource's path."),
    "Idempotent-Replayed": ({"const": "true"}, "The answer is the one that this Idempotency-Key had before."),
    "WWW-Authenticate": ({"type": "string"}, "Absent where the token is good, but not a super admin's."),
    "Retry-After": ({"type": "integer"}, "In how many seconds to try again."),
}

# By status: the component's name, what it means, the body, the headers.
ERRORS: Mapping[int, tuple[str, str, str, tuple[str, ...]]] = {
    400: ("BadRequest", "The request cannot be read, or passes a bound that `message` names.", "Problem", ()),
    401: ("Unauthorized", "No token, an unknown one, or not a super admin's.", "", ("WWW-Authenticate",)),
    404: ("NotFound", "Nothing of the account's is there.", "Problem", ()),
    409: ("Conflict", "A request with this Idempotency-Key is being carried out.", "Problem", ()),
    413: ("TooLarge", "The body is too large.", "Problem", ()),
    422: ("Invalid", "A rule is broken. Every failing field with its messages, or `base`.", "Invalid", ()),
    500: ("Failure", "A failure of the server; its log has the trace under the X-Request-Id.", "Problem", ()),
    503: ("Unavailable", "The database does not answer.", "Problem", ("Retry-After",)),
}

PARAMETERS: Mapping[str, Json] = {
    "id": {"in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}},
    "page": {"in": "query", "schema": {"type": "integer", "minimum": 1, "default": 1}},
    "per_page": {
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST_PER_PAGE, "default": DEFAULT_PER_PAGE},
    },
    "type": {
        "in": "query",
        "description": "The same as `q[type]`.",
        "schema": {"type": "string", "examples": list(TYPES)},
    },
    "account_id": {
        "in": "query",
        "description": "A super admin may name another account.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "Idempotency-Key": {
        "in": "header",
        "description": "Names the request: sent again within 24 hours, it gets the first answer and does nothing.",
        "schema": {"type": "string", "pattern": r"^[!-~]([ -~]{0,253}[!-~])?$"},
    },
    "X-Twilio-Signature": {
        "in": "header",
        "required": True,
        "description": "Made with the account's auth token over the public URL and the fields.",
        "schema": {"type": "string"},
    },
}


@dataclass(frozen=True)
class Route:
    """An entry of the table of routes, as far as the document needs it."""

    path: str
    handler: type
    verbs: tuple[str, ...]
    resource: Resource
    parent: Resource | None
    super_admin: bool
    for_any_account: bool

    @classmethod
    def of(cls, entry: URLSpec) -> Route:
        """The route of a Tornado URLSpec, whose name is the path as OpenAPI writes it."""
        told = entry.kwargs or {}
        return cls(
            path=str(entry.name),
            handler=entry.handler_class,
            verbs=tuple(told.get("verbs", "GET").split()),
            resource=told.get("resource", BATCH_OPERATIONS),
            parent=told.get("parent"),
            super_admin=told.get("super_admin", False),
            for_any_account=told.get("for_any_account", False),
        )

    @property
    def under(self) -> str:
        """Under what the resource is listed or created here, for a name: ``_of_callout``, or nothing."""
        return f"_of_{self.parent.kind}" if self.parent else ""

    def parameters(self, *names: str) -> list[Json]:
        """References to the path's own parameters, and to those called NAMES."""
        of_path = ["id"] if "{id}" in self.path else []
        of_account = ["account_id"] if self.for_any_account else []
        return [_ref("parameters", name) for name in (*of_path, *names, *of_account)]


def document(routes: Iterable[URLSpec]) -> Json:
    """The document that describes ROUTES, as JSON has it. A handler that DESCRIBED lacks is left out."""
    paths: dict[str, Json] = {}
    for route in map(Route.of, routes):
        for verb in route.verbs:
            if describe := DESCRIBED.get((route.handler, verb)):
                paths.setdefault(route.path, {})[verb.lower()] = describe(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Simple Call Flow Manager",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"basic": []}, {"bearer": []}],
        "tags": [{"name": resource.collection} for resource in RESOURCES],
        "paths": paths,
        "components": _components(),
    }


def _components() -> Json:
    filters = {f"q_of_{one.collection}": _filters(one) for one in RESOURCES}
    return {
        "securitySchemes": {
            "basic": {"type": "http", "scheme": "basic", "description": "The token as user name, any password."},
            "bearer": {"type": "http", "scheme": "bearer", "description": "The token."},
        },
        "schemas": {**{_title(one): _shown(one) for one in RESOURCES}, "Problem": PROBLEM, "Invalid": INVALID},
        "parameters": {**{name: {"name": name, **rest} for name, rest in PARAMETERS.items()}, **filters},
        "headers": {name: {"schema": schema, "description": about} for name, (schema, about) in HEADERS.items()},
        "responses": {
            name: _response(about, {JSON: _ref("schemas", body)} if body else {}, headers)
            for name, about, body, headers in ERRORS.values()
        },
    }


# What a resource looks like, going out and coming in.


def _title(resource: Resource) -> str:
    return resource.kind.title().replace("_", "")


def _noun(resource: Resource) -> str:
    return resource.kind.replace("_", " ")


def _nouns(resource: Resource) -> str:
    return resource.collection.replace("_", " ")


def _shown(resource: Resource) -> Json:
    """A resource's fields in the order they are shown."""
    return {
        "type": "object",
        "properties": {one.name: one.schema for one in resource.fields},
        "required": [one.name for one in resource.fields],
        "additionalProperties": False,
    }


def _given(resource: Resource, *, new: bool) -> Json:
    """What a client may give for a resource."""
    properties: dict[str, Schema] = {}
    for one in resource.fields:
        properties |= one.given
    properties |= resource.accepts
    if not new:
        return {"type": "object", "properties": properties}
    return {
        "type": "object",
        "properties": {**properties, **resource.accepts_new},
        **({"required": list(resource.required)} if resource.required else {}),
    }


def _body(schema: Schema, *types: str) -> Json:
    """A request body; in a form, objects are written with brackets."""
    nested = [name for name, one in schema["properties"].items() if one.get("type") == "object"]
    encoding = {name: {"style": "deepObject", "explode": True} for name in nested}
    content: Json = {kind: {"schema": schema} for kind in types}
    if encoding and FORM in content:
        content[FORM]["encoding"] = encoding
    return {"required": bool(schema.get("required")), "content": content}


def _filters(resource: Resource) -> Json:
    return {
        "name": "q",
        "in": "query",
        "style": "deepObject",
        "explode": True,
        "description": "Filters, all of which must hold. A name without a value finds null.",
        "schema": {"type": "object", "properties": {name: _filter(resource, name) for name in resource.filters}},
    }


def _filter(resource: Resource, name: str) -> Json:
    objects = [one.name for one in resource.fields if one.schema.get("type") == "object"]
    if name in objects:
        return {"type": "object", "description": f"The value at a path: `q[{name}][a][b]=v`."}
    if name.endswith(("_before", "_after")):
        return {"type": "string", "description": "A date-time compares exactly, a bare date compares days."}
    if name.startswith("has_"):
        return {"type": "string", "enum": ["true", "false"]}
    return {"type": "string", "description": "One of these, separated by commas."}


# Answers.


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _response(about: str, content: Mapping[str, Schema], headers: Iterable[str] = ()) -> Json:
    found: Json = {"description": about}
    if names := list(headers):
        found["headers"] = {name: _ref("headers", name) for name in names}
    if content:
        found["content"] = {kind: {"schema": schema} for kind, schema in content.items()}
    return found


def _errors(*statuses: int) -> Json:
    return {str(status): _ref("responses", ERRORS[status][0]) for status in sorted((*statuses, 500, 503))}


def _operation(route: Route, name: str, summary: str, responses: Json, **more: Any) -> Json:
    if route.super_admin:
        more["description"] = "For super admins only."
    return {
        "operationId": name,
        "summary": summary,
        "tags": [route.resource.collection],
        **more,
        "responses": responses,
    }


# Operations, each made from its route.


def _list(route: Route) -> Json:
    resource = route.resource
    named = f"list_{resource.collection}{route.under}"
    of = f" of the {_noun(route.parent)}" if route.parent else ""
    by_type = ["type"] if resource is BATCH_OPERATIONS else []
    return _page(route, named, f"List the {_nouns(resource)}{of}", *by_type)


def _preview(route: Route) -> Json:
    named = f"preview_{route.resource.collection}_of_batch_operation"
    return _page(route, named, f"List the {_nouns(route.resource)} that a run would take")


def _page(route: Route, named: str, summary: str, *names: str) -> Json:
    items = {"type": "array", "items": _ref("schemas", _title(route.resource))}
    errors = (400, 401, 404) if "{id}" in route.path else (400, 401)
    found = {"200": _response("A page, by id.", {JSON: items}, ("Per-Page", "Total", "Link"))}
    parameters = route.parameters(f"q_of_{route.resource.collection}", *names, "page", "per_page")
    return _operation(route, named, summary, {**found, **_errors(*errors)}, parameters=parameters)


def _create(route: Route) -> Json:
    resource = route.resource
    of = f" of the {_noun(route.parent)}" if route.parent else ""
    return _operation(
        route,
        f"create_{resource.kind}{route.under}",
        f"Create a {_noun(resource)}{of}".replace(" a a", " an a"),
        _made(route, "It has been created."),
        parameters=route.parameters("Idempotency-Key"),
        requestBody=_body(_given(resource, new=True), JSON, FORM),
    )


def _event(route: Route) -> Json:
    resource = route.resource
    events = list(resource.machine.events) if resource.machine else []
    schema = {"type": "object", "properties": {"event": {"enum": events}}, "required": ["event"]}
    return _operation(
        route,
        f"create_{resource.kind}_event",
        f"Move the {_noun(resource)} to another status",
        _made(route, f"The {_noun(resource)} in its new status."),
        parameters=route.parameters("Idempotency-Key"),
        requestBody=_body(schema, JSON, FORM),
    )


def _made(route: Route, about: str) -> Json:
    shown = {JSON: _ref("schemas", _title(route.resource))}
    errors = (400, 401, 404, 409, 413, 422) if "{id}" in route.path else (400, 401, 409, 413, 422)
    return {"201": _response(about, shown, ("Location", "Idempotent-Replayed")), **_errors(*errors)}


def _show(route: Route) -> Json:
    shown = {"200": _response("As it is now.", {JSON: _ref("schemas", _title(route.resource))})}
    return _operation(
        route,
        f"show_{_own(route)}",
        f"Fetch the {_noun(route.resource)}",
        {**shown, **_errors(400, 401, 404)},
        parameters=route.parameters(),
    )


def _update(route: Route) -> Json:
    return _operation(
        route,
        f"update_{_own(route)}",
        f"Update the {_noun(route.resource)}",
        {"204": _response("It has been updated.", {}), **_errors(400, 401, 404, 413, 422)},
        parameters=route.parameters(),
        requestBody=_body(_given(route.resource, new=False), JSON, FORM),
    )


def _delete(route: Route) -> Json:
    return _operation(
        route,
        f"delete_{route.resource.kind}",
        f"Delete the {_noun(route.resource)}",
        {"204": _response("It has been deleted.", {}), **_errors(400, 401, 404, 422)},
        parameters=route.parameters(),
    )


def _own(route: Route) -> str:
    return route.resource.kind if "{id}" in route.path else f"own_{route.resource.kind}"


def _webhook(route: Route) -> Json:
    text = {"type": "string"}
    responses = {
        "201": _response("What the caller is to hear: TwiML.", {XML: text}),
        **_errors(400),
        "403": _response("It does not come from a provider that we know.", {TEXT: {"const": REFUSAL}}),
        "422": _response("It names no call, no direction, or no number that could have called.", {XML: text}),
    }
    return _operation(
        route,
        "receive_remote_phone_call_event",
        "Report on a call, and ask what to do next (for the provider)",
        dict(sorted(responses.items())),
        parameters=route.parameters("X-Twilio-Signature"),
        requestBody=_body(REPORT, FORM),
        security=[],
    )


def _health(route: Route) -> Json:
    responses = {"200": _response("Both do.", {JSON: HEALTH}), **_errors()}
    return {
        "operationId": "health",
        "summary": "Whether the server and its database answer",
        "security": [],
        "responses": responses,
    }


DESCRIBED: Mapping[tuple[type, str], Callable[[Route], Json]] = {
    (HealthHandler, "GET"): _health,
    (OwnAccountHandler, "GET"): _show,
    (OwnAccountHandler, "PATCH"): _update,
    (CollectionHandler, "GET"): _list,
    (CollectionHandler, "POST"): _create,
    (NestedHandler, "GET"): _list,
    (NestedHandler, "POST"): _create,
    (PreviewHandler, "GET"): _preview,
    (MemberHandler, "GET"): _show,
    (MemberHandler, "PATCH"): _update,
    (MemberHandler, "DELETE"): _delete,
    (EventsHandler, "POST"): _event,
    (RemotePhoneCallEventsHandler, "GET"): _list,
    (RemotePhoneCallEventsHandler, "POST"): _webhook,
}
