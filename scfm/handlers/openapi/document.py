"""The document as a whole."""

from __future__ import annotations

from collections.abc import Iterable

from tornado.web import URLSpec  # type: ignore[attr-defined]

from scfm import __version__
from scfm.handlers.openapi.components import JsonObject, components
from scfm.handlers.openapi.documented_route import DocumentedRoute
from scfm.handlers.openapi.operations import DESCRIBED
from scfm.models.registry import RESOURCES

ABOUT = """\
Manages contacts, callouts and phone calls over Twilio or Somleng.

Parameters may stand in the query string, in a form or in a JSON body; a query parameter wins. Nested names are
written `metadata[name]=Alice`. Unknown fields, and fields that a client may not set, are ignored. A path may end in
`.json` or in a slash. `PUT` does what `PATCH` does, `HEAD` works wherever `GET` does, and `If-None-Match` gives a
304. Every answer has an `X-Request-Id` (the client's, if it sent one), an `X-Runtime` in seconds, and an `ETag` where
it has a body. A verb that a path lacks is answered with 404.
"""


def openapi_document(routes: Iterable[URLSpec]) -> JsonObject:
    """The document that describes ROUTES, as JSON has it. A handler that DESCRIBED lacks is left out."""
    paths: dict[str, JsonObject] = {}
    for route in map(DocumentedRoute.of, routes):
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
        "security": [{"basic": []}, {"bearer": []}],
        "tags": [{"name": resource.collection} for resource in RESOURCES],
        "paths": paths,
        "components": components(),
    }
