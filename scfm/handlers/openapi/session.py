"""What the document says of sessions: how to sign in, and how a browser is known then."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scfm.handlers.forms import FORM
from scfm.handlers.oidc import OidcCallbackHandler, OidcStartHandler
from scfm.handlers.openapi.components import JsonObject, body_of, errors_of, object_schema, ref, response
from scfm.handlers.openapi.documented_route import DocumentedRoute
from scfm.handlers.parameters import JSON
from scfm.handlers.session import SessionHandler
from scfm.handlers.session_cookie import CSRF_HEADER, HOST_PREFIX, SESSION_COOKIE
from scfm.models.user import MAX_PASSWORD, MIN_PASSWORD
from scfm.schemas import Schema

BY_SESSION: JsonObject = {
    "type": "apiKey",
    "in": "cookie",
    "name": SESSION_COOKIE,
    "description": f"Of `POST /session`; `{HOST_PREFIX}{SESSION_COOKIE}` where PUBLIC_URL is https, without a path. "
    f"A write needs its `csrf_token` in `{CSRF_HEADER}`, else it is `403`.",
}
SESSION: Schema = object_schema(
    {
        "user": {**ref("schemas", "User"), "description": "Who has signed in."},
        "account": object_schema({"id": {"type": "integer", "minimum": 1}, "settings": {"type": "object"}}),
        "csrf_token": {"type": "string", "description": f"What a write must have in `{CSRF_HEADER}`."},
    }
)
CREDENTIALS: Schema = {
    "type": "object",
    "properties": {"email": {"type": "string"}, "password": {"type": "string"}},
    "required": ["email", "password"],
}
NEW_PASSWORD: Schema = {
    "type": "object",
    "properties": {
        "password": {"type": "string", "description": "The present one."},
        "new_password": {
            "type": "string",
            "minLength": MIN_PASSWORD,
            "maxLength": MAX_PASSWORD,
            "description": "The next one.",
        },
    },
    "required": ["password", "new_password"],
}
CSRF_PARAMETER: JsonObject = {
    "name": CSRF_HEADER,
    "in": "header",
    "required": True,
    "description": "The `csrf_token` of the session.",
    "schema": {"type": "string"},
}
# What an issuer sends a browser back with (RFC 6749, section 4.1.2; RFC 9207).
OIDC_ANSWER = {
    "state": "What the sign-in began with.",
    "code": "What the server asks the issuer with, who has signed in.",
    "iss": "The issuer.",
    "error": "Why nobody has signed in.",
}


def _show(route: DocumentedRoute) -> JsonObject:
    return {
        "operationId": "show_session",
        "summary": "Who has signed in",
        "security": [{"session": []}],
        "responses": {"200": response("The session of the cookie.", {JSON: SESSION}), **errors_of(401)},
    }


def _create(route: DocumentedRoute) -> JsonObject:
    about = "Signed in, for twelve hours; the session that the request showed is over."
    return {
        "operationId": "create_session",
        "summary": "Sign in",
        "security": [],
        "requestBody": body_of(CREDENTIALS, JSON, FORM),
        "responses": {
            "201": response(about, {JSON: SESSION}, ("Location", "Set-Cookie")),
            **errors_of(400, 401, 403, 413, 415, 422, 429),
        },
    }


def _change(route: DocumentedRoute) -> JsonObject:
    return {
        "operationId": "change_password",
        "summary": "Change one's own password",
        "security": [{"session": []}],
        "parameters": [CSRF_PARAMETER],
        "requestBody": body_of(NEW_PASSWORD, JSON, FORM),
        "responses": {
            "204": response("Changed. The user's other sessions are over, this one goes on.", {}),
            **errors_of(400, 401, 403, 413, 415, 422, 429),
        },
    }


def _delete(route: DocumentedRoute) -> JsonObject:
    return {
        "operationId": "delete_session",
        "summary": "Sign out",
        "security": [{"session": []}],
        "parameters": [CSRF_PARAMETER],
        "responses": {"204": response("Signed out.", {}, ("Set-Cookie",)), **errors_of(401, 403, 415)},
    }


def _start_oidc(route: DocumentedRoute) -> JsonObject:
    shown = object_schema({"url": {"type": "string", "format": "uri"}})
    return {
        "operationId": "start_openid_connect",
        "summary": "Sign in with an account of the organisation (OpenID Connect)",
        "security": [],
        "responses": {
            "200": response("Where a browser is to go; to programs.", {JSON: shown}),
            "302": response("To the issuer; to browsers.", {}, ("Location", "Set-Cookie")),
            **errors_of(404),
        },
    }


def _end_oidc(route: DocumentedRoute) -> JsonObject:
    back = "To the page: signed in, or with `?sign_in=refused` or `?sign_in=unavailable`."
    return {
        "operationId": "end_openid_connect",
        "summary": "Where the issuer sends a browser back to",
        "security": [],
        "parameters": [
            {"name": name, "in": "query", "description": about, "schema": {"type": "string"}}
            for name, about in OIDC_ANSWER.items()
        ],
        "responses": {"302": response(back, {}, ("Location", "Set-Cookie")), **errors_of(400, 404)},
    }


DESCRIBED_SESSIONS: Mapping[tuple[type, str], Callable[[DocumentedRoute], JsonObject]] = {
    (SessionHandler, "GET"): _show,
    (SessionHandler, "POST"): _create,
    (SessionHandler, "PATCH"): _change,
    (SessionHandler, "DELETE"): _delete,
    (OidcStartHandler, "GET"): _start_oidc,
    (OidcCallbackHandler, "GET"): _end_oidc,
}
